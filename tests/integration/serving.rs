//! The HTTP server of a scripted packager.

use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use crate::faults::{Fault, answer, head};
use crate::guard::{Ruling, with_query};
use crate::packager::{Inner, Source};

/// Bytes asked for: the first and the last.
type Range = (usize, usize);

impl Inner {
    pub async fn serve(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        loop {
            let Ok(Some(request)) = lines.next_line().await else { return };
            let (mut range, mut last, mut headers) = (None, false, Vec::new());
            loop {
                match lines.next_line().await {
                    Ok(Some(line)) if line.is_empty() => break,
                    Ok(Some(line)) => {
                        last |= line.eq_ignore_ascii_case("connection: close");
                        range = range.or_else(|| read_range(&line));
                        headers.push(line);
                    }
                    _ => return,
                }
            }
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            self.state.lock().requests.push((Instant::now(), path.clone()));
            let ruling = self.state.lock().guard.as_mut().map(|guard| guard.rule(&path, headers));
            let answered = match ruling {
                Some(Ruling::Never) => std::future::pending().await,
                Some(Ruling::Status(status)) => write.write_all(&head(status, &[], 0)).await,
                Some(Ruling::Go) | None => self.answer(&path, range, &mut write).await,
            };
            if answered.is_err() || last {
                return;
            }
        }
    }

    /// An error ends the connection.
    async fn answer(
        &self,
        path: &str,
        range: Option<Range>,
        write: &mut OwnedWriteHalf,
    ) -> Result<(), std::io::Error> {
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let (mut good, fault) = self.find(bare);
        let copies = self.state.lock().copies_queries && !query.is_empty();
        if let Some(body) = good.as_mut().filter(|_| copies && bare.ends_with(".m3u8")) {
            *body = with_query(&String::from_utf8_lossy(body), query).into_bytes();
        }
        match (fault, good, range) {
            (Some(fault), good, _) => answer(&fault, good.unwrap_or_default(), write).await,
            (None, Some(body), Some((from, to))) if from < body.len() => {
                let part = &body[from..(to + 1).min(body.len())];
                let end = from + part.len() - 1;
                let content_range = format!("Content-Range: bytes {from}-{end}/{}", body.len());
                write.write_all(&head(206, &[&content_range], part.len())).await?;
                write.write_all(part).await
            }
            (None, Some(_), Some(_)) => write.write_all(&head(416, &[], 0)).await,
            (None, Some(body), None) => {
                let secret = path.ends_with(".bin");
                let headers: &[&str] = if secret { &["Cache-Control: no-store"] } else { &[] };
                write.write_all(&head(200, headers, body.len())).await?;
                write.write_all(&body).await
            }
            (None, None, _) => write.write_all(&head(404, &[], 0)).await,
        }
    }

    /// The good answer, if there is one, and the fault that stands in its place.
    fn find(&self, path: &str) -> (Option<Vec<u8>>, Option<Fault>) {
        let (folder, file) = path.rsplit_once('/').unwrap_or_default();
        let stream = folder.trim_start_matches('/').to_owned();
        // Packagers were started at different times.
        let timeline_ms = u64::from(byte_of(&self.id)) * 1_000;
        let source = Source { id: self.id.clone(), stream, timeline_ms };
        let state = self.state.lock();
        let fault_of = |faults: &std::collections::HashMap<String, Fault>, what: Option<&str>| {
            let of_one = what.and_then(|w| faults.get(&format!("{}/{w}", source.stream)));
            of_one.or_else(|| faults.get(&source.stream)).cloned()
        };
        if file.ends_with(".m3u8") {
            let all = state.all();
            let name = file.trim_end_matches(".m3u8");
            let what = all.iter().find(|r| r.file == name).map(|r| r.what.as_str());
            let good = state.playlist(&source, file).map(String::into_bytes);
            return (good, fault_of(&state.playlists, what));
        }
        let good = state.file(&source, file);
        let fault = fault_of(&state.segments, good.as_ref().map(|(what, _)| what.as_str()));
        (good.map(|(_, bytes)| bytes), fault)
    }
}

fn byte_of(id: &str) -> u8 {
    segue::model::names::ContentHash::of(id.as_bytes()).0[0]
}

/// `Range: bytes=0-99`
fn read_range(line: &str) -> Option<Range> {
    let (name, value) = line.split_once(':')?;
    let (from, to) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
    let last = if to.is_empty() { usize::MAX - 1 } else { to.parse().ok()? };
    name.eq_ignore_ascii_case("range").then_some((from.parse().ok()?, last))
}

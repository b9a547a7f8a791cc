//! A scripted packager: its list goes on by one whenever it is asked for, and ends.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::clips::Made;

/// Segments that are listed at once.
const LISTED: usize = 3;

/// One line of its script.
#[derive(Clone, Debug)]
struct Entry {
    run: usize,
    msn: u64,
    uri: String,
    map: Option<String>,
    /// Milliseconds of its date.
    date: Option<u64>,
}

/// A packager that is being written.
#[derive(Clone, Debug, Default)]
pub struct Packager {
    entries: Vec<Entry>,
    files: HashMap<String, Vec<u8>>,
    runs: usize,
    multivariant: Option<String>,
}

impl Packager {
    /// It lists `made` from the number `first` on.
    pub fn of(made: &Made, first: u64) -> Self {
        Self::default().then(made, first)
    }

    /// It begins again with `made`, from the number `first` on.
    pub fn then(mut self, made: &Made, first: u64) -> Self {
        let run = self.runs;
        self.runs += 1;
        let map = made.init.as_ref().map(|init| {
            self.files.insert(format!("/live/init{run}.mp4"), init.clone());
            format!("init{run}.mp4")
        });
        for (number, segment) in made.segments.iter().enumerate() {
            let uri = format!("{run}-{number}.{}", if map.is_some() { "m4s" } else { "ts" });
            self.files.insert(format!("/live/{uri}"), segment.clone());
            let msn = first + number as u64;
            self.entries.push(Entry { run, msn, uri, map: map.clone(), date: None });
        }
        self
    }

    /// It writes dates; the first segment's is so many milliseconds after midnight.
    pub fn dated(mut self, first: u64) -> Self {
        for (number, entry) in self.entries.iter_mut().enumerate() {
            entry.date = Some(first + 1000 * number as u64);
        }
        self
    }

    /// Its entry is a multivariant playlist, which lists `live.m3u8` as the variant of that height.
    pub fn among(mut self, multivariant: &str) -> Self {
        self.multivariant = Some(multivariant.to_owned());
        self
    }

    fn list(&self, asked: usize) -> String {
        let newest = (asked + LISTED - 1).min(self.entries.len() - 1);
        let run = self.entries[newest].run;
        let window = self.entries[newest + 1 - LISTED.min(newest + 1)..=newest].iter();
        let window: Vec<&Entry> = window.filter(|entry| entry.run == run).collect();
        let head = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{}\n",
            window[0].msn
        );
        let map = window[0].map.as_ref().map(|map| format!("#EXT-X-MAP:URI=\"{map}\"\n"));
        let mut list = head + &map.unwrap_or_default();
        for entry in window {
            if let Some(ms) = entry.date {
                let (s, ms) = (ms / 1000, ms % 1000);
                list += &format!(
                    "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:{:02}:{:02}.{ms:03}Z\n",
                    s / 60,
                    s % 60
                );
            }
            list += &format!("#EXTINF:1.000,\n{}\n", entry.uri);
        }
        if newest + 1 == self.entries.len() {
            list += "#EXT-X-ENDLIST\n";
        }
        list
    }

    fn answer(&self, path: &str, asked: &Mutex<usize>) -> Option<Vec<u8>> {
        match path {
            "/live/entry.m3u8" if self.multivariant.is_some() => {
                self.multivariant.clone().map(String::into_bytes)
            }
            "/live/entry.m3u8" | "/live/live.m3u8" => {
                let mut asked = asked.lock();
                *asked += 1;
                Some(self.list(*asked - 1).into_bytes())
            }
            path => self.files.get(path).cloned(),
        }
    }

    /// Goes on air.
    pub async fn start(self) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked_for = Arc::<Mutex<Vec<String>>>::default();
        let (script, paths) = (Arc::new(self), Arc::clone(&asked_for));
        let asked = Arc::new(Mutex::new(0));
        let server = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (script, asked) = (Arc::clone(&script), Arc::clone(&asked));
                let paths = Arc::clone(&paths);
                tokio::spawn(async move { serve(connection, &script, &asked, &paths).await });
            }
        });
        Running { address, asked_for, server }
    }
}

/// A packager on air.
pub struct Running {
    address: SocketAddr,
    asked_for: Arc<Mutex<Vec<String>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Running {
    pub fn url(&self) -> String {
        format!("http://{}/live/entry.m3u8", self.address)
    }

    /// How often each segment was asked for, the ones that were not left out.
    pub fn fetched(&self) -> HashMap<String, usize> {
        let mut fetched = HashMap::new();
        for path in self.asked_for.lock().iter().filter(|path| !path.ends_with(".m3u8")) {
            *fetched.entry(path.clone()).or_default() += 1;
        }
        fetched
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    mut connection: TcpStream,
    script: &Packager,
    asked: &Mutex<usize>,
    paths: &Mutex<Vec<String>>,
) -> Option<()> {
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(connection.read_u8().await.ok()?);
        }
        let text = String::from_utf8(request).ok()?;
        let path = text.split(' ').nth(1)?;
        paths.lock().push(path.to_owned());
        let (status, body) = match script.answer(path, asked) {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", Vec::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        connection.write_all(&[head.as_bytes(), &body].concat()).await.ok()?;
    }
}

//! `segue watch` over a tiny HTTP server: a good live stream passes, and faults that only HTTP can
//! show are told.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::format_push_string,
    clippy::too_many_lines,
    clippy::type_complexity,
    clippy::needless_pass_by_value,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::format_collect,
    clippy::needless_for_each,
    clippy::semicolon_if_nothing_returned,
    clippy::case_sensitive_file_extension_comparisons,
    clippy::large_stack_arrays,
    clippy::manual_is_multiple_of,
    reason = "a test may"
)]

mod several;
mod splits;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use segue::watch::{Options, Outcome, Segments, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What goes wrong, and with which segment.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Missing(u64),
    Cut(u64),
    /// Other bytes whenever it is asked for again.
    Changing(u64),
    /// The key is not there, or not 16 bytes.
    KeyMissing,
    KeyLong,
    /// Segments under the key that are no whole blocks.
    Unpadded,
    /// The whole playlist numbered from 0 again once this was the newest.
    Restart(u64),
}

/// A stream of 1 s segments that goes on by one each time its playlist is asked for, and ends.
#[derive(Debug)]
struct Stream {
    fault: Fault,
    polls: Mutex<u64>,
    asked: Mutex<u64>,
}

const LAST: u64 = 14;
const VOD: u64 = 18_000;

impl Stream {
    fn playlist(&self) -> String {
        let mut polls = self.polls.lock();
        let newest = (5 + *polls).min(LAST);
        *polls += 1;
        let first = newest - 4;
        let shift = match self.fault {
            Fault::Restart(at) if newest > at => at,
            _ => 0,
        };
        let gone = u64::from(first > 3);
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:{gone}\n",
            first - shift.min(first)
        );
        for n in first..=newest {
            let splice = if n == 3 { "#EXT-X-DISCONTINUITY\n" } else { "" };
            // Clear at first, encrypted from the splice on.
            if n == 3 || (n == first && n > 3) {
                text += "#EXT-X-KEY:METHOD=AES-128,URI=\"key\",IV=0x1\n";
            }
            text += &format!("{splice}#EXTINF:1.000,\nv0/{n}.ts\n");
        }
        if newest == LAST {
            text += "#EXT-X-ENDLIST\n";
        }
        text
    }

    /// Two frames of each segment, byte ranges of it, at another pace.
    fn iframes(&self) -> String {
        let newest = (5 + *self.polls.lock()).min(LAST);
        let mut text = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:1\n\
                        #EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI=\"init\",BYTERANGE=\"4@2\"\n"
            .to_owned();
        for frame in 0..2 * (newest + 1) {
            let (n, offset) = (frame / 2, frame % 2 * 4);
            let splice = if frame == 6 { "#EXT-X-DISCONTINUITY\n" } else { "" };
            text += &format!("{splice}#EXTINF:0.500,\n#EXT-X-BYTERANGE:5@{offset}\nv0/{n}.ts\n");
        }
        if newest == LAST {
            text += "#EXT-X-ENDLIST\n";
        }
        text
    }

    /// A part of what is there.
    fn ranged(&self, path: &str, (from, to): (usize, usize)) -> Vec<u8> {
        let whole = String::from_utf8(self.answer(path)).unwrap();
        let Some((head, body)) = whole.split_once("\r\n\r\n") else { return Vec::new() };
        if !head.starts_with("HTTP/1.1 200") {
            return whole.into_bytes();
        }
        let part = &body[from.min(body.len())..(to + 1).min(body.len())];
        let head = "HTTP/1.1 206 Partial Content\r\nContent-Length: ";
        format!("{head}{}\r\n\r\n{part}", part.len()).into_bytes()
    }

    fn answer(&self, path: &str) -> Vec<u8> {
        let whole = |body: &str| {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
        };
        if path == "/live/playlist.m3u8" {
            return whole(
                "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\nlow.m3u8\n\
                 #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100,URI=\"frames.m3u8\"\n",
            );
        }
        if path == "/live/frames.m3u8" {
            return whole(&self.iframes());
        }
        if path == "/vod.m3u8" {
            let mut text =
                "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-PLAYLIST-TYPE:VOD\n".to_owned();
            for n in 0..VOD {
                text += &format!("#EXTINF:9,\nlive/v0/{n}.ts\n");
            }
            return whole(&(text + "#EXT-X-ENDLIST\n"));
        }
        if path == "/live/key" {
            return match self.fault {
                Fault::KeyMissing => {
                    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()
                }
                Fault::KeyLong => whole("0123456789abcdefg"),
                _ => whole("0123456789abcdef"),
            };
        }
        if path == "/live/init" {
            return whole("xxinitxx");
        }
        if path == "/live/low.m3u8" {
            return whole(&self.playlist());
        }
        let number = path.strip_prefix("/live/v0/").and_then(|p| p.strip_suffix(".ts"));
        let Some(n) = number.and_then(|n| n.parse::<u64>().ok()) else {
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
        };
        let mut asked = self.asked.lock();
        *asked += 1;
        match self.fault {
            Fault::Missing(m) if m == n => {
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()
            }
            Fault::Cut(m) if m == n => {
                b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_vec()
            }
            Fault::Changing(m) if m == n => whole(&format!("ask {asked:>28}")),
            Fault::Unpadded => whole(&format!("segment {n}")),
            // Two blocks of AES.
            _ => whole(&format!("segment {n:>24}")),
        }
    }
}

async fn serve(listener: TcpListener, stream: Arc<Stream>) {
    loop {
        let Ok((connection, _)) = listener.accept().await else { return };
        tokio::spawn(connection_loop(connection, Arc::clone(&stream)));
    }
}

/// Answers every path as `answer` says.
async fn serve_with(listener: TcpListener, answer: Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>) {
    loop {
        let Ok((mut connection, _)) = listener.accept().await else { return };
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            while let Some((path, _)) = request(&mut connection).await {
                if connection.write_all(&answer(&path)).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The path of the next request, and the range that it asks for.
async fn request(connection: &mut TcpStream) -> Option<(String, Option<(usize, usize)>)> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(connection.read_u8().await.ok()?);
    }
    let text = String::from_utf8(request).ok()?;
    let range = text.split_once("Range: bytes=").and_then(|(_, range)| {
        let (from, to) = range.split("\r\n").next()?.split_once('-')?;
        Some((from.parse().ok()?, to.parse().ok()?))
    });
    Some((text.split(' ').nth(1)?.to_owned(), range))
}

async fn connection_loop(mut connection: TcpStream, stream: Arc<Stream>) -> Option<()> {
    loop {
        let (path, range) = request(&mut connection).await?;
        let answer = match range {
            Some(range) => stream.ranged(&path, range),
            None => stream.answer(&path),
        };
        connection.write_all(&answer).await.ok()?;
        if answer.ends_with(b"short") {
            return None;
        }
    }
}

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Watches a stream with `fault` to its end: the outcome, and the rules broken.
async fn watch(fault: Fault) -> (Outcome, Vec<String>, serde_json::Value) {
    watch_at(fault, "/live/playlist.m3u8").await
}

async fn watch_at(fault: Fault, path: &str) -> (Outcome, Vec<String>, serde_json::Value) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stream = Arc::new(Stream { fault, polls: Mutex::new(0), asked: Mutex::new(0) });
    let server = tokio::spawn(serve(listener, stream));
    let options = Options {
        urls: vec![format!("http://{address}{path}")],
        seconds: None,
        json: true,
        segments: Segments::All,
        balanced: false,
    };
    let output = Output::default();
    let watched = run(&options, Box::new(output.clone()));
    let outcome = tokio::time::timeout(Duration::from_secs(120), watched).await.unwrap();
    server.abort();
    let text = String::from_utf8(output.0.lock().clone()).unwrap();
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rules = events.iter().filter(|e| e["event"] == "breach");
    let rules = rules.map(|e| e["rule"].as_str().unwrap().to_owned()).collect();
    (outcome, rules, events.last().unwrap().clone())
}

#[tokio::test]
async fn a_good_stream_is_watched_to_its_end() {
    let (outcome, rules, summary) = watch(Fault::None).await;
    assert_eq!((outcome, rules), (Outcome::Clean, vec![]));
    let of = |rendition: &str| {
        let playlists = summary["playlists"].as_array().unwrap();
        playlists.iter().find(|p| p["rendition"] == rendition).unwrap().clone()
    };
    assert_eq!(of("v0")["segments"], LAST);
    assert_eq!(of("v0")["discontinuities"], 1);
    assert_eq!(of("i0")["segments"], 2 * (LAST + 1));
}

/// It ends by itself, and does not ask for all that was ever made.
#[tokio::test]
async fn a_vod_is_judged_once() {
    let (outcome, rules, summary) = watch_at(Fault::None, "/vod.m3u8").await;
    assert_eq!((outcome, rules), (Outcome::Clean, vec![]));
    assert_eq!(summary["playlists"][0]["segments"], VOD);
    assert_eq!(summary["fetched"], 16);
}

#[tokio::test]
async fn faults_are_told() {
    let faults = [
        (Fault::Missing(7), "not_ok"),
        (Fault::Cut(7), "cut_short"),
        (Fault::Changing(7), "other_bytes"),
        (Fault::Restart(8), "first_msn_fell"),
        (Fault::KeyMissing, "not_ok"),
        (Fault::KeyLong, "key_length"),
        (Fault::Unpadded, "cipher_length"),
    ];
    let watched = futures_util::future::join_all(faults.map(|(fault, _)| watch(fault))).await;
    for ((fault, rule), (outcome, rules, _)) in faults.iter().zip(watched) {
        assert_eq!(outcome, Outcome::Breached, "{fault:?}");
        assert_eq!(rules.first().map(String::as_str), Some(*rule), "{fault:?}: {rules:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_cannot_be_watched() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let options = Options {
        urls: vec![format!("http://{address}/x.m3u8")],
        seconds: Some(1),
        json: false,
        segments: Segments::None,
        balanced: false,
    };
    let outcome = run(&options, Box::new(Output::default())).await;
    assert_eq!(outcome, Outcome::Unwatchable);
    assert_eq!(outcome.exit_code(), 2);
}

//! Two proxies that lost sight of each other: a watch of both names the split, and says when it is over.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use segue::watch::{Options, Outcome, Segments, run};
use tokio::net::TcpListener;

use crate::{LAST, Output, serve_with};

/// The numbers that `/two` gives to segments of its own.
const SPLIT: std::ops::RangeInclusive<u64> = 7..=9;

/// One stream, at `/one` and at `/two`. Whichever is asked for less goes on with each poll, so that neither
/// falls behind on a slow machine.
#[derive(Debug)]
struct Two {
    polls: Mutex<[u64; 2]>,
    split: bool,
}

impl Two {
    fn answer(&self, path: &str) -> Vec<u8> {
        let url = usize::from(path.starts_with("/two/"));
        let body = if path.ends_with(".m3u8") {
            self.playlist(url)
        } else {
            format!("bytes of {}", path.rsplit('/').next().unwrap())
        };
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    fn playlist(&self, url: usize) -> String {
        let mut polls = self.polls.lock();
        if polls[url] <= polls[1 - url] {
            polls[url] += 1;
        }
        let newest = (4 + polls[url]).min(LAST);
        let first = newest - 4;
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for n in first..=newest {
            let own = if self.split && url == 1 && SPLIT.contains(&n) { "other" } else { "same" };
            text += &format!("#EXTINF:1.000,\n{n}-{own}.ts\n");
        }
        if newest == LAST {
            text += "#EXT-X-ENDLIST\n";
        }
        text
    }
}

async fn watch(split: bool, json: bool) -> (Outcome, String) {
    watch_at(split, json, ["one/live.m3u8", "two/live.m3u8"].map(str::to_owned)).await
}

/// The same split, of playlists of these lanes.
pub async fn watch_of(lanes: [&str; 2]) -> (Outcome, String) {
    let [one, two] = lanes.map(|lane| format!("live~1.00ff.{lane}.mac/v0/index.m3u8"));
    watch_at(true, false, [format!("one/{one}"), format!("two/{two}")]).await
}

async fn watch_at(split: bool, json: bool, paths: [String; 2]) -> (Outcome, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let two = Two { polls: Mutex::default(), split };
    let server = tokio::spawn(serve_with(listener, Arc::new(move |path: &str| two.answer(path))));
    let urls = paths.map(|p| format!("http://{address}/{p}"));
    let segments = Segments::All;
    let options = Options { urls: urls.into(), seconds: None, json, segments, balanced: false };
    let output = Output::default();
    let watched = run(&options, Box::new(output.clone()));
    let outcome = tokio::time::timeout(Duration::from_secs(120), watched).await.unwrap();
    server.abort();
    (outcome, String::from_utf8(output.0.lock().clone()).unwrap())
}

#[tokio::test]
async fn a_split_is_named_with_its_urls_and_numbers_and_its_end_is_told() {
    let (outcome, text) = watch(true, true).await;
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = |key: &str, value: &str| -> Vec<&serde_json::Value> {
        events.iter().filter(|e| e[key] == value).collect()
    };
    let begun = named("rule", "split");
    assert_eq!((outcome, outcome.exit_code(), begun.len()), (Outcome::Breached, 1, 1), "{text}");
    let mut urls = [&begun[0]["url"], &begun[0]["other_url"]].map(|u| u.as_u64().unwrap());
    urls.sort_unstable();
    assert_eq!((urls, &begun[0]["msn"]), ([1, 2], &7.into()));
    assert_eq!(begun[0]["event"], "breach");
    assert!(named("rule", "other_bytes").is_empty(), "named already: {text}");
    let over = named("event", "split_over");
    assert_eq!(over.len(), 1, "{text}");
    let summary = events.last().unwrap();
    let summed = &summary["splits"].as_array().unwrap()[0];
    for split in [over[0], summed] {
        assert_eq!(split["urls"], serde_json::json!([1, 2]));
        let numbers = ["first", "last", "numbers", "agree_from"].map(|k| split[k].as_u64());
        assert_eq!(numbers, [7, 9, 3, 10].map(Some));
        assert_eq!(split["since_ms"], begun[0]["at_ms"]);
        assert!(split["over_ms"].as_u64() > split["since_ms"].as_u64(), "{split}");
    }
}

#[tokio::test]
async fn people_read_it_in_words() {
    let (_, text) = watch(true, false).await;
    let line = |words: &str| text.lines().any(|line| line.contains(words));
    assert!(line("BREACH split (law 1): split from "), "{text}");
    let differ = "1 and 2 differ in 3 segments, 7 to 9, and agree from 10 on; it began ";
    assert!(line(&format!("SPLIT OVER: {differ}")), "{text}");
    assert!(line(&format!("split  {differ}")), "{text}");
}

#[tokio::test]
async fn without_a_split_none_is_named() {
    let (_, text) = watch(false, true).await;
    assert!(!text.contains("split\"") && text.contains("\"splits\":[]"), "{text}");
}

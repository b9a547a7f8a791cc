//! Several URLs: of two lanes, or one that cannot be reached; and how long it is said to have taken.

use std::sync::Arc;
use std::time::Duration;

use segue::watch::{Options, Outcome, Segments, run};
use tokio::net::TcpListener;

use crate::splits::watch_of;
use crate::{Fault, Output, Stream, serve};

#[tokio::test]
async fn two_lanes_are_not_compared() {
    let (outcome, text) = watch_of(["a-1", "b-1"]).await;
    assert_eq!((outcome, outcome.exit_code()), (Outcome::Clean, 0), "{text}");
    let told =
        text.lines().filter(|line| line.contains("1 and 2 are on different lanes: not compared"));
    assert_eq!(told.count(), 1, "{text}");
    let (outcome, text) = watch_of(["a-1", "a-1"]).await;
    assert_eq!(outcome, Outcome::Breached, "{text}");
    assert!(text.contains("BREACH split") && !text.contains("different lanes"), "{text}");
}

fn options(urls: Vec<String>, seconds: Option<u64>) -> Options {
    Options { urls, seconds, json: false, segments: Segments::None, balanced: false }
}

async fn watch(options: &Options) -> (Outcome, String) {
    let output = Output::default();
    let outcome = run(options, Box::new(output.clone())).await;
    (outcome, String::from_utf8(output.0.lock().clone()).unwrap())
}

/// One that ends after some three seconds.
fn stream() -> Arc<Stream> {
    Arc::new(Stream { fault: Fault::None, polls: 0.into(), asked: 0.into() })
}

#[tokio::test]
async fn one_that_cannot_be_reached_does_not_end_the_watch_of_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, stream()));
    let none = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let urls = [there, none].map(|at| format!("http://{at}/live/low.m3u8"));
    let (outcome, text) = watch(&options(urls.clone().into(), Some(4))).await;
    assert_eq!((outcome, outcome.exit_code()), (Outcome::Unwatchable, 2), "{text}");
    assert!(text.contains(&format!("watching media playlist {}", urls[0])), "{text}");
    assert_eq!(text.matches(&format!("cannot watch {}: ", urls[1])).count(), 1, "{text}");
    assert!(text.contains("2      was never watched: "), "{text}");
    // It is said how long it took, and not when the last playlist came.
    let watched = text.lines().find_map(|line| line.split_once(" s watched, "));
    assert!(watched.is_some_and(|(s, _)| s.parse::<u64>().unwrap() >= 4), "{text}");
    server.abort();
}

#[tokio::test]
async fn one_that_is_reached_later_is_watched_from_then_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, stream()));
    // A listener that hangs up on whoever comes, until the first has.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let late = listener.local_addr().unwrap();
    let begins = tokio::spawn(async move {
        drop(listener.accept().await.unwrap());
        serve(listener, stream()).await;
    });
    let urls = [there, late].map(|at| format!("http://{at}/live/low.m3u8"));
    let options = options(urls.clone().into(), None);
    let (outcome, text) =
        tokio::time::timeout(Duration::from_secs(120), watch(&options)).await.unwrap();
    server.abort();
    begins.abort();
    assert!(text.contains(&format!("cannot watch {}: ", urls[1])), "{text}");
    assert!(text.contains(&format!("watching media playlist {}", urls[1])), "{text}");
    assert!(!text.contains("was never watched"), "{text}");
    assert_ne!(outcome, Outcome::Unwatchable, "{text}");
}

#[tokio::test]
async fn what_is_no_url_ends_it_at_once() {
    let (outcome, text) =
        watch(&options(vec!["http://127.0.0.1/x".into(), "x".into()], None)).await;
    assert_eq!(outcome, Outcome::Unwatchable, "{text}");
}

//! `segue probe` over scripted packagers that serve real segments: what it says of one encoder with
//! two packagers, of two encoders, and of what goes wrong.

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

mod clips;
mod packager;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use clips::{Cut, Encoder};
use packager::{Packager, Running};
use parking_lot::Mutex;
use segue::model::probe::Class;
use segue::probe::{Options, Output, exit_code, run};
use serde_json::Value;

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn options(a: &str, b: &str) -> Options {
    Options { a: a.to_owned(), b: b.to_owned(), seconds: None, json: true, rendition: None }
}

async fn text_of(options: &Options, screen: bool) -> (Class, String) {
    let text = Text::default();
    let output = Output { to: Box::new(text.clone()), screen, colors: false };
    let probed = run(options, output);
    let class = tokio::time::timeout(Duration::from_secs(120), probed).await.unwrap();
    let text = String::from_utf8(text.0.lock().clone()).unwrap();
    (class, text)
}

/// All that it said until both packagers ended.
async fn probe(a: &Running, b: &Running) -> (Class, Vec<Value>) {
    let (class, text) = text_of(&options(&a.url(), &b.url()), false).await;
    let said: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said.last().unwrap()["event"], "summary");
    (class, said)
}

/// Two packagers behind one relay: `b` came half a second later and cuts there.
fn relayed(fmp4: bool) -> (Packager, Packager) {
    let a = Cut { fmp4, ..Cut::of(Encoder::One) };
    let b = Cut { from: "0.5", ..a };
    (Packager::of(&a.make(), 15), Packager::of(&b.make(), 0))
}

#[tokio::test]
async fn one_encoder_and_two_packagers_are_exact() {
    for fmp4 in [false, true] {
        let (a, b) = relayed(fmp4);
        let (a, b) = (a.start().await, b.start().await);
        let (class, said) = probe(&a, &b).await;
        let end = said.last().unwrap();
        assert_eq!(class, Class::Exact, "{end:#}");
        assert_eq!(exit_code(class), 0);
        assert_eq!((&end["method"], &end["offset_ms"]), (&"keyframe".into(), &0.into()));
        assert_eq!(end["border_phase_ms"], 500, "{end:#}");
        assert_eq!(
            (&end["border_phase_constant"], &end["msn_difference"]),
            (&true.into(), &(-15).into())
        );
        assert_eq!(end["keyframes_equal"], end["keyframes_compared"]);
        assert_eq!(end["a"]["container"], if fmp4 { "fmp4" } else { "ts" });
        assert_eq!((&end["a"]["video"], &end["a"]["keyframe_ms"]), (&"H.264".into(), &500.into()));
        assert_eq!(end["parameter_sets_equal"], true);
        // Nothing old but one, and each once.
        let fetched = a.fetched();
        assert!(fetched.values().all(|times| *times == 1), "{fetched:?}");
        assert!(!fetched.keys().any(|path| path.contains("0-1.")), "{fetched:?}");
    }
}

#[tokio::test]
async fn two_encoders_with_dates_are_near() {
    let a = Packager::of(&Cut::of(Encoder::One).make(), 0).dated(1000);
    let shifted = Cut { shift: "500", ..Cut::of(Encoder::Other) };
    let b = Packager::of(&shifted.make(), 7).dated(1000);
    let (class, said) = probe(&a.start().await, &b.start().await).await;
    let end = said.last().unwrap();
    assert_eq!((class, exit_code(class)), (Class::Near, 1), "{end:#}");
    assert_eq!((&end["method"], &end["offset_ms"]), (&"program_date_time".into(), &500_000.into()));
    assert_eq!((&end["border_phase_ms"], &end["msn_difference"]), (&0.into(), &7.into()));
    assert_eq!((&end["gap_max_ms"], &end["keyframes_equal"]), (&500.into(), &0.into()));
}

/// Equal times of other pictures: nothing but arrival is left, and that is never called exact.
#[tokio::test]
async fn two_encoders_that_began_at_0_are_unaligned() {
    let a = Packager::of(&Cut::of(Encoder::One).make(), 0);
    let b = Packager::of(&Cut::of(Encoder::Other).make(), 0);
    let (class, said) = probe(&a.start().await, &b.start().await).await;
    let end = said.last().unwrap();
    assert_eq!((class, exit_code(class)), (Class::Unaligned, 2), "{end:#}");
    assert_eq!((&end["method"], &end["keyframes_equal"]), (&"arrival".into(), &0.into()));
    assert!(said.iter().all(|s| s["verdict"] != "exact" && s["method"] != "keyframe"));
    assert!(end["advice"].as_array().unwrap().len() >= 2, "{end:#}");
}

#[tokio::test]
async fn a_packager_that_begins_again_is_found_by_its_pictures() {
    let whole = Cut::of(Encoder::One).make();
    let again = Cut { from: "6", shift: "1000", ..Cut::of(Encoder::One) }.make();
    let before = clips::Made { segments: whole.segments[..6].to_vec(), ..whole.clone() };
    let (a, b) = (Packager::of(&whole, 0), Packager::of(&before, 40).then(&again, 0));
    let (class, said) = probe(&a.start().await, &b.start().await).await;
    let end = said.last().unwrap();
    assert_eq!(class, Class::Exact, "{end:#}");
    assert_eq!((&end["b"]["restarts"], &end["method"]), (&1.into(), &"keyframe".into()));
    assert_eq!((&end["offset_ms"], &end["msn_difference"]), (&1_000_000.into(), &(-6).into()));
    let seen =
        |offset: i64| said.iter().any(|s| s["verdict"] == "exact" && s["offset_ms"] == offset);
    assert!(seen(0) && seen(1_000_000));
}

#[tokio::test]
async fn open_gops_are_near() {
    let cut = Cut::of(Encoder::Open);
    let (a, b) = (Packager::of(&cut.make(), 0), Packager::of(&cut.make(), 0));
    let (class, said) = probe(&a.start().await, &b.start().await).await;
    let end = said.last().unwrap();
    assert_eq!((class, &end["method"]), (Class::Near, &"keyframe".into()), "{end:#}");
    assert_eq!((&end["a"]["closed"], &end["gap_max_ms"]), (&false.into(), &500.into()));
    assert_eq!(end["a"]["video"], "H.265");
    // H.264 marks none of them as a keyframe.
    let cut = Cut::of(Encoder::Keyless);
    let (a, b) = (Packager::of(&cut.make(), 0), Packager::of(&cut.make(), 0));
    let (class, said) = probe(&a.start().await, &b.start().await).await;
    let end = said.last().unwrap();
    assert_eq!((class, &end["a"]["keyframe_ms"]), (Class::Unaligned, &Value::Null), "{end:#}");
    assert!(end["why"].as_str().unwrap().contains("no keyframe"), "{end:#}");
}

#[tokio::test]
async fn what_a_packager_lacks_is_told_and_the_rest_compared() {
    let (a, b) = relayed(false);
    let low = "#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=640x360\nlive.m3u8\n";
    let high = "#EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720\nhigh.m3u8\n";
    let sound = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"English\",URI=\"sound.m3u8\"\n";
    let a = a.among(&format!("#EXTM3U\n{sound}{high}{low}")).start().await;
    let b = b.among(&format!("#EXTM3U\n{low}")).start().await;
    let (class, said) = probe(&a, &b).await;
    let end = said.last().unwrap();
    assert_eq!(class, Class::Exact, "{end:#}");
    assert_eq!(end["rendition"]["a"], "v1 640x360 500 kbit/s");
    let pairs = end["renditions"].as_array().unwrap();
    let of = |a: &str| pairs.iter().find(|p| p["a"].as_str().unwrap().starts_with(a)).unwrap();
    assert_eq!((&of("v1")["exact"], &of("v0")["exact"]), (&true.into(), &false.into()));
    assert_eq!(of("a0")["b"], Value::Null);
    // What was asked for is not there: told at once.
    let asked = Options { rendition: Some("v7".to_owned()), ..options(&a.url(), &b.url()) };
    let (class, text) = text_of(&asked, false).await;
    assert_eq!((class, exit_code(class)), (Class::Impossible, 2));
    assert!(text.contains("it has v0 1280x720 3000 kbit/s"), "{text}");
}

#[tokio::test]
async fn another_container_is_no_failover() {
    let a = Packager::of(&Cut::of(Encoder::One).make(), 0);
    let b = Packager::of(&Cut { fmp4: true, ..Cut::of(Encoder::One) }.make(), 0);
    let (class, said) = probe(&a.start().await, &b.start().await).await;
    assert_eq!(class, Class::Impossible);
    assert!(said.last().unwrap()["why"].as_str().unwrap().contains("a writes MPEG-TS, b fMP4"));
}

/// It says so, and looks on at the other one.
#[tokio::test]
async fn a_packager_that_is_not_there_is_told() {
    let (a, _) = relayed(false);
    let a = a.start().await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{gone}/live/entry.m3u8");
    let options = Options { seconds: Some(2), json: false, ..options(&a.url(), &url) };
    let (class, text) = text_of(&options, false).await;
    assert_eq!((class, exit_code(class)), (Class::Looking, 2));
    assert!(text.contains("b state      cannot connect"), "{text}");
    assert!(
        text.contains("a state      answered") && text.contains("looking for an answer of b"),
        "{text}"
    );
    assert!(text.contains("  - b: see whether it runs"), "{text}");
    assert_eq!(text.matches("b state").count(), 2, "an error is told once: {text}");
    let (class, text) = text_of(&Options { b: "rtmp://x/y".to_owned(), ..options }, false).await;
    assert_eq!(class, Class::Looking);
    assert!(
        text.contains("b cannot be probed: \"rtmp://x/y\" is not an http or https URL"),
        "{text}"
    );
}

#[tokio::test]
async fn a_terminal_is_drawn_on_again() {
    let (a, b) = relayed(false);
    let (a, b) = (a.start().await, b.start().await);
    let options = Options { json: false, ..options(&a.url(), &b.url()) };
    let (class, text) = text_of(&options, true).await;
    assert_eq!(class, Class::Exact);
    assert!(text.contains("\x1b[2Kborders    b cuts 0.5 s after a, always"), "{text}");
    assert!(!text.contains("\x1b[1;32m"), "no colours were asked for");
    assert!(text.lines().all(|line| line.chars().count() <= 80 + "\x1b[0J\x1b[99A\r\x1b[2K".len()));
}

//! `segue viewers --from-log`: each kind of CloudFront log tells the same of the same viewers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};

use crate::repository;

const SEGUE: &str = env!("CARGO_BIN_EXE_segue");

/// What `standard.log`, `standard-v2.json` and `real-time.log` hold, to the letter.
const TABLE: &str = "\
STREAM                       HOST               VIEWERS  PEOPLE  PEAK  AT
/live/cam/playlist.m3u8      media.example.com  7        12      7     2026-03-01 12:01:00
/live/council/playlist.m3u8  media.example.com  2        3       2     2026-03-01 12:00:00
";

fn read(log: &str, more: &[&str]) -> Output {
    let log = repository("tests/config/logs").join(log);
    Command::new(SEGUE).args(["viewers", "--from-log"]).arg(log).args(more).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_kind_of_log_tells_the_same() {
    for log in ["standard.log", "standard-v2.json", "real-time.log"] {
        let output = read(log, &[]);
        assert_eq!(
            (text(&output.stdout).as_str(), text(&output.stderr).as_str()),
            (TABLE, ""),
            "{log}"
        );
        assert!(output.status.success());
    }
    let json = read("standard.log", &["--json", "--people-per-stream", "2.5"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["streams"][0]["people"], &json["lines_not_read"]), (&18.into(), &0.into()));
    // The whole time at once: one more who moved to another address is one more viewer.
    let longer = text(&read("real-time.log", &["--window-seconds", "3600"]).stdout);
    assert!(longer.contains("cam/playlist.m3u8      media.example.com  7 "), "{longer}");
}

#[test]
fn what_cannot_be_read_is_told() {
    let output = read("standard.log", &["--conf", "/nowhere.yaml"]);
    assert!(!output.status.success());
    let wrong = read("real-time.log", &["--fields", "c-ip timestamp"]);
    let said = text(&wrong.stderr);
    assert!(
        said.contains("lines could not be read; of the first: the line has no c-ip or cs-uri-stem"),
        "{said}"
    );
    let none = Command::new(SEGUE).args(["viewers"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2), "{}", text(&none.stderr));
    let none = read("no-such.log", &[]);
    assert!(text(&none.stderr).contains("no-such.log"), "{}", text(&none.stderr));
}

/// Ended by its id, however the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_is_followed_and_standard_input_is_read() {
    let whole = std::fs::read_to_string(repository("tests/config/logs/standard.log")).unwrap();
    let mut piped = Command::new(SEGUE)
        .args(["viewers", "--from-log", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    piped.stdin.take().unwrap().write_all(whole.as_bytes()).unwrap();
    assert_eq!(text(&piped.wait_with_output().unwrap().stdout), TABLE);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cdn.log");
    let (first, rest) = whole.split_at(whole.len() / 2);
    std::fs::write(&file, first).unwrap();
    let mut following = Command::new(SEGUE);
    following
        .args(["viewers", "--follow", "--json", "--from-log"])
        .arg(&file)
        .stdout(Stdio::piped());
    let mut following = Running(following.spawn().unwrap());
    let mut lines = BufReader::new(following.0.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("\"streams\""));
    let mut log = std::fs::File::options().append(true).open(&file).unwrap();
    log.write_all(rest.as_bytes()).unwrap();
    // A line of each look; the test's own limit ends what never comes.
    let all = lines.map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap());
    let found = all.take(20).find(|json| json["streams"][0]["viewers"] == 7);
    assert!(found.is_some(), "what was appended was not read");
}

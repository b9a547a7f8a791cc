//! `segue drain` and `segue undrain`, before a proxy that is played.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread::JoinHandle;

use serde_json::json;

use crate::POOLS;

const TOKEN: &str = "admin_token: \"${DRAIN_TOKEN}\"\n";

/// Plays a proxy that gives these answers, one to each request, and then the requests that came.
fn proxy(answers: Vec<(u16, String)>) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let played = std::thread::spawn(move || {
        let answer = |(status, body): (u16, String)| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut part = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut part).unwrap();
                assert!(read > 0, "the request ends early");
                request.extend_from_slice(&part[..read]);
            }
            let length = body.len();
            write!(stream, "HTTP/1.1 {status} Played\r\nContent-Length: {length}\r\n\r\n{body}")
                .unwrap();
            String::from_utf8(request).unwrap()
        };
        answers.into_iter().map(answer).collect()
    });
    (port, played)
}

fn state(drained: bool, health: &str, lanes: u64, siblings: u64) -> (u16, String) {
    let state = json!({
        "packager": "a", "pool": "live", "health": health, "drained": drained,
        "drained_since": drained.then_some(7), "lanes": lanes, "siblings": siblings,
    });
    (200, format!("{state:#}"))
}

/// Runs `args` with a configuration that names this port; `more` stands in it.
fn segue(args: &[&str], port: u16, more: &str) -> (i32, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("{POOLS}admin: \"0.0.0.0:{port}\"\n{more}");
    std::fs::write(dir.path().join("f.yaml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_segue"));
    command.args(args).args(["--conf", "f.yaml"]).current_dir(dir.path());
    command.env("DRAIN_TOKEN", "a-secret-of-16-letters");
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn drain_tells_how_many_lanes_leave() {
    for (answer, expected) in [
        (state(true, "up", 3, 1), "a is drained; 3 lanes leave it.\n"),
        (state(true, "down", 0, 1), "a is drained; no lane is on it.\n"),
        (state(true, "up", 1, 1), "a is drained; 1 lane leaves it.\n"),
        (
            state(true, "up", 0, 0),
            "a is drained, but no sibling is up: it still serves new viewers.\n",
        ),
        (
            state(true, "up", 1, 0),
            "a is drained, but no sibling is up: 1 lane stays on it for now.\n",
        ),
    ] {
        let (port, played) = proxy(vec![answer]);
        let (code, out, err) = segue(&["drain", "a"], port, TOKEN);
        assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""));
        let requests = played.join().unwrap();
        let first = requests[0].lines().next().unwrap();
        assert_eq!(first, "POST /packagers/a/drain HTTP/1.1");
        assert!(requests[0].contains("\r\nAuthorization: Bearer a-secret-of-16-letters\r\n"));
    }
}

/// An operator's shell knows neither the store's password nor the token keys.
#[test]
fn variables_that_only_the_proxy_needs_need_not_be_set() {
    let others = "store: \"rediss://:${NOT_SET_HERE}@store\"\ntoken_keys: [\"${NOR_IS_THIS}\"]\n";
    for (args, answer) in [
        (&["drain", "a"][..], state(true, "up", 0, 1)),
        (&["undrain", "a"], state(false, "up", 0, 1)),
        (&["fleet", "--json"], (200, "{}".to_owned())),
        (&["viewers", "--json"], (200, json!({ "viewers": {} }).to_string())),
    ] {
        let (port, played) = proxy(vec![answer]);
        let (code, _, err) = segue(args, port, &format!("{TOKEN}{others}"));
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
        played.join().unwrap();
    }
    // What they do need has to be there.
    let (code, _, err) = segue(&["drain", "a"], 1, "admin_token: \"${NOT_SET_HERE}\"\n");
    let told = "admin_token: the environment variable NOT_SET_HERE is not set";
    assert!(code == 1 && err.contains(told), "{err}");
}

#[test]
fn drain_waits_until_no_lane_is_left() {
    let states = [(3, 1), (3, 1), (2, 1), (1, 0), (0, 1)];
    let answers = states.map(|(lanes, siblings)| state(true, "up", lanes, siblings));
    let (port, played) = proxy(answers.to_vec());
    let (code, out, err) = segue(&["drain", "a", "--wait"], port, TOKEN);
    let expected = "\
a is drained; 3 lanes leave it.
2 lanes left on a
1 lane left on a, and no sibling is up
a has no lane any more: it can be stopped.
";
    assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""));
    let requests = played.join().unwrap();
    assert!(requests[1..].iter().all(|r| r.starts_with("GET /packagers/a/drain HTTP/1.1\r\n")));
    // For programs: each state that it tells of.
    let (port, played) = proxy(answers.to_vec());
    let (code, out, _) = segue(&["drain", "a", "--wait", "--json"], port, TOKEN);
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lanes: Vec<_> = lines.iter().map(|l| l["lanes"].as_u64().unwrap()).collect();
    assert_eq!((code, lanes), (0, vec![3, 2, 1, 0]));
    played.join().unwrap();
    // Somebody else has brought it back.
    let (port, played) = proxy(vec![state(true, "up", 2, 1), state(false, "up", 2, 1)]);
    let (code, _, err) = segue(&["drain", "a", "--wait"], port, TOKEN);
    assert_eq!((code, err.as_str()), (1, "segue: a was brought back meanwhile\n"));
    played.join().unwrap();
}

#[test]
fn undrain_waits_until_its_checks_say_that_it_is_up() {
    let answers = ["down", "down", "up"].map(|health| state(true, health, 0, 1));
    let answers = answers.into_iter().chain([state(false, "up", 0, 1)]).collect();
    let (port, played) = proxy(answers);
    let (code, out, err) = segue(&["undrain", "a", "--wait"], port, TOKEN);
    let expected = "a is down: waiting until it is up\na gets new viewers again.\n";
    assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""));
    assert!(played.join().unwrap()[3].starts_with("POST /packagers/a/undrain HTTP/1.1\r\n"));
    let (port, played) = proxy(vec![state(false, "down", 0, 1)]);
    let (code, out, _) = segue(&["undrain", "a"], port, TOKEN);
    assert_eq!((code, out.as_str()), (0, "a gets new viewers again once it is up.\n"));
    played.join().unwrap();
}

#[test]
fn what_goes_wrong_is_told() {
    let unknown = (404, "no such packager; there are a, b\n".to_owned());
    let (port, played) = proxy(vec![unknown, (200, "pong".to_owned())]);
    let (code, _, err) = segue(&["drain", "z"], port, TOKEN);
    assert_eq!((code, err.as_str()), (1, "segue: no such packager; there are a, b (404)\n"));
    let (code, _, err) = segue(&["drain", "a"], port, TOKEN);
    assert!(code == 1 && err.contains("no Segue that can drain"), "{err}");
    played.join().unwrap();
    // Nobody listens there any more.
    let (code, _, err) = segue(&["drain", "a"], port, TOKEN);
    assert!(code == 1 && err.contains(&format!("no proxy answers at 127.0.0.1:{port}")), "{err}");
    let (code, _, err) = segue(&["drain", "a"], port, "");
    assert!(code == 1 && err.contains("no admin_token"), "{err}");
    let (code, _, err) = segue(&["drain", "a b"], port, TOKEN);
    assert!(code == 1 && err.contains("`a b` is no packager's id"), "{err}");
}

/// The example's commands are commands.
#[test]
fn the_crontab_says_what_can_be_done() {
    let cron = std::fs::read_to_string(crate::repository("conf/packagers.cron")).unwrap();
    let jobs: Vec<&str> =
        cron.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit())).collect();
    let mut done = Vec::new();
    for job in jobs {
        assert!(!job.contains('%'), "a line feed to cron: {job}");
        assert_eq!(job.split_whitespace().nth(5), Some("root"));
        let segue = job
            .split(" && ")
            .find_map(|c| c.split_once("segue ").filter(|_| c.contains("timeout")));
        let args: Vec<&str> = segue.unwrap().1.split_whitespace().collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_segue"));
        let output = command.args(&args).output().unwrap();
        // There is no such file here: 1. What is no command is 2.
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        done.push(args[0].to_owned());
    }
    assert_eq!(done, ["undrain", "drain"]);
}

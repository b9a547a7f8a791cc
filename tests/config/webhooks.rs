//! Webhooks as an operator configures and tries them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use segue::model::notify::Kind;

use crate::{POOLS, parse, repository};

fn segue(args: &[&str], dir: &Path) -> (i32, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_segue")).args(args).current_dir(dir).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A directory with a file of these webhooks.
fn with_hooks(hooks: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f.yaml"), format!("{POOLS}webhooks: [{hooks}]\n")).unwrap();
    dir
}

#[test]
fn the_defaults_are_those_of_the_documented_file() {
    let plain = parse(&format!("{POOLS}webhooks: [{{ url: \"https://h.example.com:81/x\" }}]\n"));
    let plain = &plain.unwrap().webhooks[0];
    assert_eq!(plain.name, "h.example.com:81");
    assert_eq!(plain.events, Kind::ALL);
    assert_eq!(
        (plain.timeout, plain.retry_for),
        (Duration::from_secs(5), Duration::from_secs(600))
    );
    assert_eq!((plain.queue, &plain.secret, plain.headers.len()), (1000, &None, 0));
    let file = std::fs::read_to_string(repository("conf/segue.yaml")).unwrap();
    for line in ["timeout_seconds: 5", "retry_for_seconds: 600", "queue: 1000"] {
        assert!(file.contains(&format!("#?    {line}\n")), "{line}");
    }
}

#[test]
fn no_secret_of_it_is_printed() {
    let text = "webhooks: [{ url: \"https://h/u-secret\", secret: s-secret-of-hooks, headers: { X: h-secret } }]";
    let shown = format!("{:?}", parse(&format!("{POOLS}{text}\n")).unwrap());
    assert!(shown.contains("(secret)") && !shown.contains("-secret"), "{shown}");
}

#[test]
fn check_shows_who_is_told_what() {
    let dir = with_hooks(
        "{ url: \"https://chat.example.com/u-secret\", events: [packager_down, packager_up] }, \
         { url: \"http://127.0.0.1:1/x\", name: on-call, secret: 0123456789abcdef }",
    );
    let (code, out, err) = segue(&["check", "--conf", "f.yaml"], dir.path());
    assert_eq!((code, err.as_str()), (0, ""));
    let expected = "
WEBHOOK           SIGNED  EVENTS
chat.example.com  no      packager_down packager_up
on-call           yes     all
";
    assert!(out.ends_with(expected), "{out}");
}

/// Answers one request; gives back what it was.
fn once(answer: &'static str) -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut part = [0; 4096];
        while !request.ends_with(b"}") {
            let read = stream.read(&mut part).unwrap();
            assert!(read > 0, "the request ends early");
            request.extend_from_slice(&part[..read]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (port, server)
}

#[test]
fn a_test_message_is_sent_and_the_answer_told() {
    for (answer, code, told) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", 0, "on-call  taken: 204 in "),
        (
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 8\r\n\r\nwho is \n",
            1,
            "\"who is\"; look at its headers and its secret\n",
        ),
        ("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", 1, "on-call  not taken: 500 in "),
        (
            "HTTP/1.1 301 X\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n",
            1,
            "redirects are not followed, write the URL that it leads to\n",
        ),
    ] {
        let (port, server) = once(answer);
        let dir = with_hooks(&format!(
            "{{ url: \"http://127.0.0.1:{port}/x\", name: on-call, events: [splice] }}"
        ));
        let (exit, out, err) = segue(&["webhooks", "test", "--conf", "f.yaml"], dir.path());
        let request = server.join().unwrap();
        assert!(request.starts_with("POST /x HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\"event\":\"test\""), "{request}");
        assert_eq!(exit, code, "{out}{err}");
        assert!(out.contains(told), "{out}");
        let failed = "segue: 1 of 1 did not take the test message\n";
        assert_eq!(err, if code == 0 { "" } else { failed });
    }
}

#[test]
fn what_cannot_be_tried_is_told() {
    let hook = "{ url: \"http://127.0.0.1:1/x\", name: on-call }";
    for (hooks, more, said) in [
        ("", &[][..], "segue: the configuration has no webhooks\n"),
        (hook, &["--hook", "other"], "segue: no webhook is called other; there are on-call\n"),
        (hook, &["--hook", "on-call"], "segue: 1 of 1 did not take the test message\n"),
    ] {
        let dir = with_hooks(hooks);
        let args = [&["webhooks", "test", "--conf", "f.yaml"][..], more].concat();
        let (code, out, err) = segue(&args, dir.path());
        assert_eq!((code, err.as_str()), (1, said));
        if more.contains(&"on-call") {
            assert!(
                out.starts_with("on-call  not taken: cannot connect: Connection refused"),
                "{out}"
            );
        }
    }
}

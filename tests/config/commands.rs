//! The commands that need no proxy, as the shell sees them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use crate::{POOLS, repository};

/// Exit code, standard output, standard error.
fn segue(args: &[&str], dir: &Path) -> (i32, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_segue")).args(args).current_dir(dir).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_sums_a_good_file_up() {
    let (code, out, err) = segue(&["check", "--conf", "conf/segue.yaml"], &repository(""));
    assert_eq!((code, err.as_str()), (0, ""));
    let expected = "\
conf/segue.yaml is right.

listen    127.0.0.1:8080
admin     127.0.0.1:9090
store     sqlite:segue.db
segments  segments (4GiB), memory 1GiB

POOL  HOSTS  PACKAGER  URL                    ZONE  WEIGHT  CAPACITY
live  *      a         http://127.0.0.1:8951  -     1       -
             b         http://127.0.0.1:8952  -     1       -

PACKAGER  KIND     HEALTH CHECK         REPORT
a         generic  connects, every 2 s  -
b         generic  connects, every 2 s  -
";
    assert_eq!(out, expected);
}

#[test]
fn check_tells_every_problem_and_exits_1() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("f.yaml"),
        format!("{POOLS}zone: Z\nserver: {{ threads: 0 }}\n"),
    )
    .unwrap();
    let (code, out, err) = segue(&["check", "--conf", "f.yaml"], dir.path());
    let expected = "\
f.yaml:2: zone: `Z` may have 1 to 32 of a-z, 0-9 and -, and does not begin with -
f.yaml:3: server.threads: wants a whole number from 1 to 1024; this is 0
";
    assert_eq!((code, out.as_str(), err.as_str()), (1, "", expected));
    let (code, _, err) = segue(&["--conf", "f.yaml"], dir.path());
    assert_eq!((code, err), (1, format!("segue: {expected}")));
}

#[test]
fn check_warns_and_exits_0() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f.yaml"), format!("{POOLS}admin: 0.0.0.0:9090\n")).unwrap();
    let (code, _, err) = segue(&["check", "--conf", "f.yaml"], dir.path());
    assert_eq!(code, 0);
    assert!(err.starts_with("f.yaml:2: admin: ") && err.ends_with(" (a warning)\n"), "{err}");
}

/// Whatever is said of a store, its password is not.
#[test]
fn check_shows_a_store_without_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("{POOLS}store: \"valkeys://segue:hush@cache.internal/2\"\n");
    std::fs::write(dir.path().join("f.yaml"), text).unwrap();
    let (code, out, err) = segue(&["check", "--conf", "f.yaml"], dir.path());
    assert_eq!(code, 0);
    assert!(out.contains("store     rediss://segue@cache.internal:6379/2\n"), "{out}");
    assert!(err.starts_with("f.yaml: token_keys: are not set: "), "{err}");
    assert!(!out.contains("hush") && !err.contains("hush"));
}

#[test]
fn the_cause_of_an_address_in_use_is_told_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let text = format!("{POOLS}listen: [\"{address}\"]\n");
    std::fs::write(dir.path().join("f.yaml"), text).unwrap();
    let (code, _, err) = segue(&["--conf", "f.yaml"], dir.path());
    let told = format!("segue: listen[0]: cannot listen on {address}: Address already in use ");
    assert_eq!((code, err.matches("in use").count()), (1, 1), "{err}");
    assert!(err.lines().any(|line| line.starts_with(&told)), "{err}");
}

#[test]
fn check_reads_the_ca_of_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let check = |ca: &str| {
        std::fs::write(dir.path().join("ca.pem"), ca).unwrap();
        let text =
            format!("{POOLS}store: \"rediss://cache\"\nredis: {{ ca: ca.pem }}\nfleet: {{}}\n");
        std::fs::write(dir.path().join("f.yaml"), text).unwrap();
        segue(&["check", "--conf", "f.yaml"], dir.path())
    };
    let (code, _, err) = check("nothing");
    let expected = "f.yaml:3: redis.ca: `ca.pem` holds no certificate; wants a PEM file\n";
    assert_eq!((code, err.as_str()), (1, expected));
    assert_eq!(check("-----BEGIN CERTIFICATE-----\n").0, 0);
}

#[test]
fn bad_arguments_exit_2() {
    for args in [&[][..], &["check"], &["watch"], &["--upgrade"], &["--conf"], &["dance"]] {
        assert_eq!(segue(args, &repository("")).0, 2, "{args:?}");
    }
}

#[test]
fn health_wants_a_200() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", 1),
        ("SSH-2.0\r\n", 1),
        ("", 1),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/.segue/healthz", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut part = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut part).unwrap();
                assert!(read > 0, "the request ends early");
                request.extend_from_slice(&part[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        let (code, _, err) = segue(&["health", &url], &repository(""));
        let request = server.join().unwrap();
        assert!(
            request.starts_with("GET /.segue/healthz HTTP/1.1\r\nHost: 127.0.0.1:"),
            "{request}"
        );
        assert_eq!(code, expected, "{answer:?}: {err}");
    }
    for url in ["http://127.0.0.1:1/", "https://127.0.0.1/", "nonsense"] {
        assert_eq!(segue(&["health", url], &repository("")).0, 1, "{url}");
    }
}

/// A file and its pid file in a directory of their own.
fn with_pid_file(pid: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("f.yaml"),
        format!("{POOLS}server: {{ pid_file: segue.pid }}\n"),
    )
    .unwrap();
    std::fs::write(dir.path().join("segue.pid"), pid).unwrap();
    dir
}

#[test]
fn reload_sends_sighup() {
    // Stands in for a running proxy: a program of that name, which SIGHUP ends.
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("segue");
    std::os::unix::fs::symlink("/bin/sleep", &name).unwrap();
    // Where this test runs under nohup, SIGHUP is ignored from birth: env undoes that.
    let mut proxy =
        Command::new("env").arg("--default-signal=HUP").arg(&name).arg("60").spawn().unwrap();
    let comm = format!("/proc/{}/comm", proxy.id());
    while std::fs::read_to_string(&comm).unwrap() != "segue\n" {
        std::thread::yield_now();
    }
    let place = with_pid_file(&format!("{}\n", proxy.id()));
    let (code, out, err) = segue(&["reload", "--conf", "f.yaml"], place.path());
    if code != 0 {
        proxy.kill().unwrap();
    }
    let ended = proxy.wait().unwrap();
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(ended.signal(), Some(1), "ended by SIGHUP");
}

#[test]
fn reload_leaves_other_programs_alone() {
    let mut other = Command::new("/bin/sleep").arg("60").spawn().unwrap();
    let pids = [other.id().to_string(), "4194305".to_owned(), "-1".to_owned(), String::new()];
    let codes =
        pids.map(|pid| segue(&["reload", "--conf", "f.yaml"], with_pid_file(&pid).path()).0);
    let ended = other.try_wait().unwrap();
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(codes, [1; 4]);
    assert_eq!(ended, None);
}

#[test]
fn reload_of_a_broken_file_tells_what_is_wrong() {
    let place = with_pid_file("1");
    std::fs::write(place.path().join("f.yaml"), "pools: []\n").unwrap();
    let (code, _, err) = segue(&["reload", "--conf", "f.yaml"], place.path());
    assert_eq!(code, 1);
    assert!(err.contains("f.yaml:1: pools: is empty"), "{err}");
}

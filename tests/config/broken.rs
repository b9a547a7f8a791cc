//! What a broken file leads to, and what a good one: all problems at once, reload, secrets.

use segue::config::{AccessLog, Config, LogFormat, StoreSpec};

use crate::{POOLS, parse};

#[test]
fn all_problems_are_told_at_once() {
    let text = "\
listen: [\"nowhere\"]
threads: 2
server:
  threads: 0
  treads: 1
pools:
  - name: live
    packagers:
      - { id: a, url: \"http://a/x\", weigth: 2 }
      - { id: a, url: \"${NONE}\" }
";
    let errors = parse(text).unwrap_err();
    let told: Vec<_> = errors.problems.iter().map(|p| (p.line.unwrap(), p.key.as_str())).collect();
    assert_eq!(
        told,
        [
            (1, "listen[0]"),
            (2, "threads"),
            (4, "server.threads"),
            (5, "server.treads"),
            (9, "pools[0].packagers[0].url"),
            (9, "pools[0].packagers[0].weigth"),
            (10, "pools[0].packagers[1].url"),
            (10, "pools[0].packagers[1].id"),
        ],
        "{errors}"
    );
}

#[test]
fn secrets_are_not_printed() {
    let text = format!(
        "admin_token: very-secret-letters\nstore: \"rediss://u:hidden-letters@cache\"\ntoken_keys: [\"${{KEY}}\"]\n{}",
        POOLS.replace("}] }]", ", headers: { Authorization: Basic-hidden } }] }]")
    );
    let config = parse(&text).unwrap();
    let printed = format!("{config:?}");
    for secret in
        ["very-secret", "hidden-letters", "Basic-hidden", "48, 49, 50", "0123456789abcdef"]
    {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
    assert_eq!(config.admin_token.unwrap().reveal(), "very-secret-letters");
    assert_eq!(config.token_keys[0].reveal(), b"0123456789abcdef0123456789abcdef");
}

#[test]
fn values_are_taken() {
    let text = format!(
        "{POOLS}\
server: {{ threads: \"${{THREADS}}\", upgrade_sock: /run/s/u.sock }}
store: memory
segments: {{ dir: off }}
log: {{ format: json, access: stdout }}
admin: 0.0.0.0:9090
"
    );
    let config = parse(&text).unwrap();
    assert_eq!(config.server.threads, 7);
    assert_eq!(config.server.pid_file, std::path::Path::new("/run/s/segue.pid"));
    assert_eq!((config.store, config.segments.dir), (StoreSpec::Memory, None));
    assert_eq!((config.log.format, config.log.access), (LogFormat::Json, AccessLog::Stdout));
    let warned: Vec<_> = config.warnings.iter().map(|p| (p.line, p.key.as_str())).collect();
    assert_eq!(warned, [(Some(6), "admin")]);
}

#[test]
fn a_reload_is_all_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("segue.yaml");
    std::fs::write(&path, POOLS).unwrap();
    let running = Config::load(&path).unwrap();
    assert_eq!(running.reload(&path).unwrap(), running);

    std::fs::write(&path, POOLS.replace("http://a", "http://b")).unwrap();
    assert_eq!(running.reload(&path).unwrap().pools[0].packagers[0].url.host, "b");

    std::fs::write(&path, format!("{POOLS}server:\n  threads: 5\n")).unwrap();
    let said = running.reload(&path).unwrap_err().to_string();
    let expected = ":2: server: cannot change in a running process; start a new one with --upgrade";
    assert!(said.ends_with(expected), "{said}");

    std::fs::write(&path, "pools: [").unwrap();
    assert!(running.reload(&path).is_err());
    std::fs::remove_file(&path).unwrap();
    let said = running.reload(&path).unwrap_err().to_string();
    assert!(
        said.ends_with("segue.yaml: cannot be read: No such file or directory (os error 2)"),
        "{said}"
    );
}

#[test]
fn files_that_are_no_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    for (bytes, expected) in [
        (vec![0xff, 0xfe], "is not UTF-8 text"),
        (vec![b'#'; 2 << 20], "is longer than 1 MiB, so it is no configuration"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert!(Config::load(&path).unwrap_err().to_string().ends_with(expected));
    }
}

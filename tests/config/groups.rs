//! Groups of packagers in the file: what they are read as, what is said of those that are wrong, and how
//! `segue check` shows them.

use std::process::Command;
use std::time::Duration;

use segue::config::{Group, GroupSource};

use crate::{parse, said};

fn with(packager: &str) -> String {
    format!("pools:\n- name: live\n  packagers:\n  - {packager}\n")
}

#[test]
fn an_entry_stands_for_a_group() {
    let group = |packager: &str| {
        let config = parse(&with(packager)).unwrap_or_else(|e| panic!("{packager}: {e}"));
        config.pools[0].packagers[0].group.clone()
    };
    assert_eq!(group("{ id: a, url: \"http://a\" }"), None);
    assert_eq!(group("{ id: a, url: \"http://a\", addresses: one, packagers_max: 3 }"), None);
    let named = Group {
        source: GroupSource::Name("edges.internal".to_owned()),
        packagers_max: 64,
        leave_within: Duration::from_secs(300),
    };
    let text = "{ id: a, url: \"http://edges.internal:1935\", addresses: packagers }";
    assert_eq!(group(text), Some(named));
    let listed = Group {
        source: GroupSource::File("there/is.none".into()),
        packagers_max: 3,
        leave_within: Duration::from_secs(7),
    };
    let text =
        "{ id: a, file: there/is.none, zone: az1, packagers_max: 3, leave_within_seconds: 7 }";
    assert_eq!(group(text), Some(listed));
    let warnings = parse(&with(text)).unwrap().warnings;
    assert_eq!((warnings.len(), warnings[0].line), (1, Some(4)), "{warnings:?}");
    assert!(warnings[0].text.contains("cannot be read now"), "{warnings:?}");
}

#[test]
fn a_group_that_nothing_remembers_is_warned_of() {
    let text = with("{ id: a, url: \"http://a\", addresses: packagers }");
    assert_eq!(parse(&text).unwrap().warnings, []);
    let warnings = parse(&format!("store: memory\n{text}")).unwrap().warnings;
    assert_eq!((warnings.len(), warnings[0].key.as_str()), (1, "store"), "{warnings:?}");
}

#[test]
fn name_servers() {
    let servers =
        |text: &str| parse(&format!("{}dns: {text}\n", with("{ id: a, url: \"http://a\" }")));
    let config =
        servers("{ servers: [\"10.0.0.2\", \"127.0.0.1:5353\", \"fd00:ec2::253\"] }").unwrap();
    let shown: Vec<String> = config.dns.servers.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["10.0.0.2:53", "127.0.0.1:5353", "[fd00:ec2::253]:53"]);
    assert_eq!(
        servers("{ servers: [ns.example.com] }").unwrap_err().to_string(),
        "f.yaml:5: dns.servers[0]: `ns.example.com` is no name server; write its IP address, such as 10.0.0.2 or 127.0.0.1:5353"
    );
}

#[test]
fn what_is_wrong_is_told() {
    for (packager, expected) in [
        (
            "{ id: a, url: \"http://a\", addresses: many }",
            "addresses: `many` is neither one nor packagers",
        ),
        (
            "{ id: a, url: \"http://10.0.0.1\", addresses: packagers }",
            "addresses: wants a url with a name: that of this one is an address",
        ),
        ("{ id: a, addresses: packagers }", "url: is missing"),
        (
            "{ id: a, url: \"http://a\", file: f }",
            "url: cannot stand beside `file`, whose items have a url each",
        ),
        (
            "{ id: a, addresses: packagers, file: f }",
            "addresses: cannot stand beside `file`, whose items have a url each",
        ),
        (
            "{ id: a, url: \"http://a\", packagers_max: 0 }",
            "packagers_max: wants a whole number from 1 to 1000; this is 0",
        ),
    ] {
        let expected = format!("f.yaml:4: pools[0].packagers[0].{expected}");
        assert_eq!(said(&with(packager)), expected, "\n{packager}");
    }
}

#[test]
fn check_shows_them() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("packagers.yaml"), "[]").unwrap();
    let text = "dns: { servers: [\"10.0.0.2\"] }\npools:\n- name: live\n  packagers:\n  \
                - { id: az1, url: \"http://edges.internal:1935\", addresses: packagers, zone: az1 }\n  \
                - { id: more, file: packagers.yaml, packagers_max: 8 }\n";
    std::fs::write(dir.path().join("f.yaml"), text).unwrap();
    let mut segue = Command::new(env!("CARGO_BIN_EXE_segue"));
    let output =
        segue.args(["check", "--conf", "f.yaml"]).current_dir(dir.path()).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{out}");
    for line in [
        "dns       10.0.0.2:53\n",
        "az1       http://edges.internal:1935, each address, 64 at most  az1   1       -\n",
        "more      listed in packagers.yaml, 8 at most                   -     1       -\n",
    ] {
        assert!(out.contains(line), "{line} in\n{out}");
    }
}

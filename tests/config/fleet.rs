//! A fleet as an operator configures it: what is said of wrong keys, and what `segue check` sums up.

use std::process::Command;

use crate::{POOLS, parse, said};

const REDIS: &str = "store: \"redis://store:6379\"\ntoken_keys: [\"${KEY}\"]\n";

fn with(more: &str) -> String {
    format!("{POOLS}{more}\n")
}

#[test]
fn without_it_a_proxy_is_alone_and_an_empty_one_is_enough() {
    assert_eq!(parse(POOLS).unwrap().fleet, None);
    let fleet = parse(&with(&format!("{REDIS}fleet: {{}}"))).unwrap().fleet.unwrap();
    assert_eq!(fleet.listen.to_string(), "0.0.0.0:8090");
    assert_eq!((fleet.advertise, &fleet.id, fleet.peers.len()), (None, &None, 0));
    assert_eq!((fleet.one_per_zone, &fleet.key), (false, &None));
    let shown = format!("{:?}", parse(&with("fleet: { key: \"${KEY}\" }")).unwrap());
    assert!(!shown.contains("0123456789abcdef") && !shown.contains("[48, 49"), "{shown}");
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let cases = [
        ("fleet: { id: \"A b\" }", "fleet.id: `A b` may have 1 to 64 of a-z, 0-9 and -"),
        (
            "fleet: { peers: [\"10.0.0.1\"] }",
            "fleet.peers[0]: `10.0.0.1` is no place to ask; write ADDRESS:PORT",
        ),
        (
            "fleet: { peers: [\"a:1\"], peers_name: \"b:1\" }",
            "fleet.peers_name: stands beside peers",
        ),
        ("fleet: { fetch: all }", "fleet.fetch: `all` is not one of each, one_per_zone"),
        ("fleet: { key: short }", "fleet.key: "),
        (
            "fleet: { advertise: \"0.0.0.0:1\" }",
            "fleet.advertise: `0.0.0.0:1` is no address that others can ask",
        ),
        (
            "fleet: { listen: \"127.0.0.1:9090\" }",
            "fleet.listen: address `127.0.0.1:9090` stands at admin already",
        ),
        (
            "listen: [\"0.0.0.0:8090\"]\nfleet: {}",
            "fleet.listen: address `0.0.0.0:8090` stands at listen[0] already",
        ),
        ("fleet: { peer: x }", "fleet.peer: unknown key; did you mean `peers`?"),
        ("store: memory\ntoken_keys: [\"${KEY}\"]\nfleet: {}", "fleet: finds nobody"),
        ("store: memory\nfleet: { peers: [\"a:1\"] }", "fleet.key: is missing"),
    ];
    for (keys, says) in cases {
        let said = said(&with(keys));
        assert!(said.contains(says), "{keys}: {said}");
    }
    let many: Vec<String> = (0..65).map(|n| format!("\"10.0.0.{n}:1\"")).collect();
    let said = said(&with(&format!("fleet: {{ peers: [{}] }}", many.join(", "))));
    assert!(said.contains("fleet.peers: has 65 and may have 64"), "{said}");
}

#[test]
fn what_is_taken_and_should_be_known_is_a_warning() {
    for (keys, want) in [
        (format!("{REDIS}fleet: {{}}"), &[][..]),
        ("fleet: {}".to_owned(), &["store"]),
        // A store that is shared, and nothing else.
        (REDIS.trim_end().to_owned(), &["store"]),
        (
            "store: memory\ntoken_keys: [\"${KEY}\"]\nfleet: { peers: [\"a:1\"] }".to_owned(),
            &["store"],
        ),
        (format!("{REDIS}segments: {{ dir: \"off\" }}\nfleet: {{}}"), &["fleet.id"]),
        (format!("{REDIS}segments: {{ dir: \"off\" }}\nfleet: {{ id: one }}"), &[]),
        (format!("{REDIS}fleet: {{ fetch: one_per_zone }}"), &["fleet.fetch"]),
        (format!("{REDIS}zone: az1\nfleet: {{ fetch: one_per_zone }}"), &[]),
    ] {
        let config = parse(&with(&keys)).unwrap_or_else(|why| panic!("{keys}: {why}"));
        let warned: Vec<&str> = config.warnings.iter().map(|w| w.key.as_str()).collect();
        assert_eq!(warned, want, "{keys}");
    }
}

#[test]
fn check_says_how_it_is_understood() {
    for (keys, line) in [
        (
            "fleet: {}".to_owned(),
            "fleet     0.0.0.0:8090, finds none: the store is of this machine alone, each fetches, signed with the store's key\n",
        ),
        (
            format!("{REDIS}fleet: {{}}"),
            "fleet     0.0.0.0:8090, found through the store, each fetches, signed with token_keys\n",
        ),
        (
            format!(
                "{REDIS}zone: az1\n\
                 fleet: {{ listen: \"10.0.0.1:1\", id: one, fetch: one_per_zone, peers: [\"10.0.0.2:1\", \"B:2\"] }}"
            ),
            "fleet     10.0.0.1:1, one, others at 10.0.0.2:1 b:2, one of a zone fetches, signed with token_keys\n",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f.yaml"), with(&keys)).unwrap();
        let mut check = Command::new(env!("CARGO_BIN_EXE_segue"));
        check.env("KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
        let output = check.args(["check", "--conf", "f.yaml"]).current_dir(dir.path()).output();
        let out = String::from_utf8(output.unwrap().stdout).unwrap();
        assert!(out.contains(line), "{out}");
    }
}

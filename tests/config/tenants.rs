//! What an operator is told of tenants: what is wrong, what is doubtful, and what each may take.

use std::process::Command;

use crate::{parse, repository, said};

/// Two pools, the first with these keys.
fn with(keys: &str) -> String {
    let packager = |id: &str| format!("packagers: [{{ id: {id}, url: \"http://{id}\" }}]");
    format!(
        "pools:\n- name: x\n  hosts: [x.example, \"*.x.example\"]\n  {}\n  {keys}\n- name: y\n  hosts: [\"*\"]\n  {}\n",
        packager("a"),
        packager("b")
    )
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let too_many = format!("paths: [{}]", vec!["\"/a/*\""; 257].join(", "));
    for (keys, expected) in [
        (
            "paths: [live]",
            "f.yaml:5: pools[0].paths[0]: `live` begins with / and has 512 bytes at most",
        ),
        (
            "paths: [\"/a/*\", \"/a/**/b\"]",
            "f.yaml:5: pools[0].paths[1]: `/a/**/b` may have one * in a segment, and ** as its last segment alone",
        ),
        (
            "paths: [\"/a/../b\"]",
            "f.yaml:5: pools[0].paths[0]: `/a/../b` has an empty or dot segment, which no path has",
        ),
        (
            "paths: [\"/a%20b\"]",
            "f.yaml:5: pools[0].paths[0]: `/a%20b` holds what no decoded path holds: write paths without %, ?, #, \\ and control characters",
        ),
        (
            "paths: \"/a\"",
            "f.yaml:5: pools[0].paths: wants a list, such as [\"...\"]; this is text",
        ),
        (
            "labels: { a-b: c }",
            "f.yaml:5: pools[0].labels.a-b: `a-b` is no name of a label; write letters, digits and _, no digit first",
        ),
        (
            "labels: { __a: c }",
            "f.yaml:5: pools[0].labels.__a: begins with __, which Prometheus keeps for itself",
        ),
        (
            "labels: { pool: c }",
            "f.yaml:5: pools[0].labels.pool: is taken: it holds the pool's name",
        ),
        (too_many.as_str(), "f.yaml:5: pools[0].paths: has 257 and may have 256"),
        ("labels: [a]", "f.yaml:5: pools[0].labels: wants a map of names to text; this is a list"),
        (
            "limits: { streams: 0 }",
            "f.yaml:5: pools[0].limits.streams: wants a whole number from 1 to 1000000000; this is 0",
        ),
        (
            "limits: { segment_bytes: 1MiB }",
            "f.yaml:5: pools[0].limits.segment_bytes: 1MiB does not hold one segment of origin.segment_bytes, 64MiB; raise it or lower that",
        ),
        (
            "answers: { entry_max_age_seconds: 61 }",
            "f.yaml:5: pools[0].answers.entry_max_age_seconds: wants a whole number from 0 to 60; this is 61",
        ),
        ("hosts2: []", "f.yaml:5: pools[0].hosts2: unknown key; did you mean `hosts`?"),
    ] {
        assert_eq!(said(&with(keys)), expected, "{keys}");
    }
}

#[test]
fn a_limit_that_the_proxy_cannot_keep_is_warned_of() {
    let keys =
        "limits: { streams: 3000, lanes: 10001, waiting_requests: 10000, segment_bytes: 5GiB }";
    let config = parse(&with(keys)).unwrap();
    let told: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "5: pools[0].limits.streams: 3000 is more than limits.streams of the whole proxy, 2000, which counts first; raise that or lower this",
            "5: pools[0].limits.lanes: 10001 is more than limits.lanes of the whole proxy, 10000, which counts first; raise that or lower this",
            "5: pools[0].limits.segment_bytes: 5GiB is more than the whole segment store holds, 4GiB, which counts first; raise that or lower this",
        ]
    );
    assert_eq!(config.allowed(&config.pools[0]).streams, 2000);
}

#[test]
fn a_pool_without_limits_cannot_fill_the_proxy_alone() {
    let text = with("limits: { streams: 7 }");
    let config = parse(&format!("{text}limits: {{ lanes: 1, waiting_requests: 10 }}\n")).unwrap();
    let [x, y] = [0, 1].map(|n| config.allowed(&config.pools[n]));
    assert_eq!((x.streams, y.streams), (7, 1500));
    assert_eq!((y.lanes, y.waiting_requests, y.segment_bytes), (1, 7, 3 << 30));
    assert_eq!((x.bandwidth_bps, y.bandwidth_bps), (None, None));
    // Where there is no other, nothing is kept for it.
    let one = parse(crate::POOLS).unwrap();
    assert_eq!(one.allowed(&one.pools[0]).streams, 2000);
}

#[test]
fn check_shows_what_each_tenant_may_take() {
    let dir = tempfile::tempdir().unwrap();
    let keys = "paths: [\"/live/*/playlist.m3u8\", \"/vod/**\"]\n  limits: { viewers: 5000, streams: 200, bandwidth_mbps: 2000, segment_bytes: 1GiB }";
    std::fs::write(dir.path().join("f.yaml"), with(keys)).unwrap();
    let mut segue = Command::new(env!("CARGO_BIN_EXE_segue"));
    let output =
        segue.args(["check", "--conf", "f.yaml"]).current_dir(dir.path()).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let expected = "
POOL  HOSTS                  PACKAGER  URL       ZONE  WEIGHT  CAPACITY
x     x.example *.x.example  a         http://a  -     1       -
y     *                      b         http://b  -     1       -

PACKAGER  KIND     HEALTH CHECK         REPORT
a         generic  connects, every 2 s  -
b         generic  connects, every 2 s  -

POOL  VIEWERS  STREAMS  LANES  MBPS  WAITING  SEGMENTS  PATHS
x     5000     200      7500   2000  7500     1GiB      /live/*/playlist.m3u8 /vod/**
y     -        1500     7500   -     7500     3GiB      all
";
    assert!(out.ends_with(expected), "{out}");
}

#[test]
fn the_page_s_tenants_are_right() {
    let page = std::fs::read_to_string(repository("docs/tenants.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let text = blocks.into_iter().find(|text| text.contains("name: acme")).unwrap();
    let config = parse(text).unwrap();
    assert_eq!((config.pools.len(), config.warnings.len()), (2, 0));
    assert_eq!(config.pools[0].paths.to_string(), "/live/*/playlist.m3u8 /vod/**");
}

//! Hosts that pin to a zone: what is taken, what is warned of, what `segue check` shows.

use std::process::Command;

use crate::{parse, said};

const PACKAGERS: &str =
    "packagers: [{ id: a, url: \"http://a\", zone: az1 }, { id: b, url: \"http://b\", zone: az2 }]";

fn file(pool: &str) -> String {
    format!("zone: az1\npools:\n- name: live\n  {PACKAGERS}\n  {pool}\n")
}

const HOSTS: &str =
    "zone_hosts: { \"media-az1.example.com\": az1, \"Media-AZ2.example.com\": az2 }";

#[test]
fn they_are_read_in_lower_case_and_need_not_stand_in_hosts() {
    for hosts in ["[media.example.com]", "[media.example.com, media-az1.example.com]"] {
        let base = "url_base: \"https://media-{zone}.example.com\"";
        let config = parse(&file(&format!("hosts: {hosts}\n  {HOSTS}\n  {base}"))).unwrap();
        let pool = &config.pools[0];
        let named = |host: &str, zone: &str| (host.to_owned(), zone.to_owned());
        let both = [named("media-az1.example.com", "az1"), named("media-az2.example.com", "az2")];
        assert_eq!(pool.zone_hosts, both);
        let base = pool.url_base.as_ref().unwrap();
        assert_eq!(base.for_zone("az2"), "https://media-az2.example.com");
        assert_eq!(config.warnings, []);
    }
}

#[test]
fn a_zone_without_packagers_is_warned_of() {
    let config = parse(&file("zone_hosts: { x: az3 }")).unwrap();
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "5: pools[0].zone_hosts.x: no packager of this pool is configured in zone az3, so its viewers get those of other zones; zones here: az1, az2"
        ]
    );
}

#[test]
fn a_url_base_that_leads_to_another_zone_is_refused() {
    let base = "url_base: \"https://media-az2.example.com\"";
    assert_eq!(
        said(&file(&format!("{HOSTS}\n  {base}"))),
        "f.yaml:6: pools[0].url_base: sends viewers of zone az1 to media-az2.example.com, which zone_hosts says is az2; let {zone} stand in it where the zone does in the host names"
    );
}

#[test]
fn check_shows_them() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("f.yaml"),
        file(&format!("{HOSTS}\n  url_base: \"https://media-{{zone}}.example.com/\"")),
    )
    .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_segue"))
        .args(["check", "--conf", "f.yaml"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let expected = "
ZONE HOST              POOL  ZONE  URLS BEGIN WITH
media-az1.example.com  live  az1   https://media-az1.example.com
media-az2.example.com  live  az2   https://media-az2.example.com
";
    assert!(out.ends_with(expected), "{out}");
}

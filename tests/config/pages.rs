//! The pages for operators say what is so: their configurations are taken, the metrics and commands that
//! they name are there.

use std::process::Command;

use segue::config::Config;
use segue::model::names::{PackagerId, PoolName, UnixMs};
use segue::model::notify::{Kind, News, Proxy};

use crate::{POOLS, repository};

fn page(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

/// The fenced blocks of a page in one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let fenced = page.split(&fence).skip(1);
    fenced.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Every variable is set to what any key takes.
fn taken(file: &str, text: &str) -> Config {
    let environment = |_: &str| Some("0123456789abcdef0123456789abcdef0123456789A=".to_owned());
    let config = Config::parse(file, text, &environment).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(config.warnings, [], "{file}");
    config
}

#[test]
fn the_configurations_of_host_names_are_right_and_differ_in_the_zone() {
    let page = page("docs/host-names.md");
    let files = blocks(&page, "yaml");
    let configs: Vec<Config> = files.iter().map(|f| taken("docs/host-names.md", f)).collect();
    let zones: Vec<&str> = configs.iter().map(|config| config.zone.as_str()).collect();
    assert_eq!(zones, ["az1", "az2"]);
    let lines = files[0].lines().zip(files[1].lines());
    let other: Vec<_> = lines.filter(|(one, other)| one != other).collect();
    assert_eq!(other, [("zone: az1", "zone: az2")]);
    for config in configs {
        let pool = &config.pools[0];
        for (host, zone) in &pool.zone_hosts {
            let sent = pool.url_base.as_ref().unwrap().host(zone);
            let back = pool.zone_hosts.iter().find(|(host, _)| *host == sent);
            assert_eq!(back.map(|(_, zone)| zone), Some(zone), "{host} is sent to {sent}");
        }
        // An ALB's deregistration delay, as the page says.
        assert!((config.server.drain_delay + config.server.grace_period).as_secs() < 60);
    }
}

#[test]
fn the_metrics_that_pages_name_are_there() {
    let mut source = String::new();
    for file in std::fs::read_dir(repository("src/ops/metrics")).unwrap().flatten() {
        source += &std::fs::read_to_string(file.path()).unwrap();
    }
    let page = page("docs/host-names.md");
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let named: Vec<&str> = page.split(word).filter_map(|w| w.strip_prefix("segue_")).collect();
    assert!(named.len() > 8, "{named:?}");
    for name in named {
        assert!(source.contains(&format!("\"{name}\"")), "segue_{name}");
    }
}

#[test]
fn the_commands_that_the_page_names_are_there() {
    let page = page("docs/host-names.md");
    for (command, flags) in [
        ("check", &["--conf"][..]),
        ("probe", &[]),
        ("watch", &["--json", "--for"]),
        ("webhooks test", &["--conf"]),
    ] {
        assert!(page.contains(&format!("segue {command}")), "{command}");
        let mut segue = Command::new(env!("CARGO_BIN_EXE_segue"));
        let output = segue.args(command.split(' ')).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}");
        for flag in flags {
            assert!(help.contains(flag), "{command} {flag}: {help}");
        }
    }
}

#[test]
fn the_webhooks_of_the_readme_are_right() {
    let readme = page("README.md");
    let hooks = blocks(&readme, "yaml").into_iter().find(|b| b.starts_with("webhooks:")).unwrap();
    let config = taken("README.md", &format!("{POOLS}{hooks}"));
    assert!(config.webhooks[0].secret.is_some());
    for kind in Kind::ALL {
        assert!(readme.contains(&format!("| `{}` |", kind.as_str())), "{}", kind.as_str());
    }
}

#[test]
fn the_event_of_the_readme_has_the_fields_of_an_event() {
    let blocks = blocks(&page("README.md"), "json");
    let shown = blocks.iter().find(|b| b.contains("\"event\"")).unwrap();
    let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
    let (pool, packager) = (PoolName::new("live"), PackagerId::new("a"));
    let news = News::of_packager(Kind::PackagerDown, UnixMs(1), pool, packager);
    let body = news.body("1", &Proxy { zone: String::new(), host: String::new() });
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let keys = |v: &serde_json::Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&shown), keys(&body));
    assert_eq!(keys(&shown["proxy"]), keys(&body["proxy"]));
}

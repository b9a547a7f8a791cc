//! The pages for operators say what is so: their configurations are taken, the links lead somewhere, the
//! metrics, keys and commands that they name are there.

use std::collections::BTreeSet;
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

/// The README and every page under docs/, by path.
fn pages() -> Vec<(String, String)> {
    let files = std::fs::read_dir(repository("docs")).unwrap().flatten();
    let docs = files.map(|file| format!("docs/{}", file.file_name().to_str().unwrap()));
    let mut paths: Vec<String> = docs.filter(|path| path.ends_with(".md")).collect();
    paths.extend(["README.md".to_owned()]);
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), page(&path))).collect()
}

/// `text` as a file of its own, if it is one of Segue's: what a page shows of other keys than pools gets
/// pools to go with.
fn whole(text: &str) -> Option<String> {
    let keys: serde_yaml::Mapping = serde_yaml::from_str(text).unwrap();
    let known = Config::keys();
    let ours = keys.keys().all(|key| known.contains(key.as_str().unwrap()));
    let pools = if keys.contains_key("pools") { "" } else { POOLS };
    ours.then(|| format!("{pools}{text}"))
}

#[test]
fn segue_check_takes_every_configuration_of_every_page() {
    let dir = tempfile::tempdir().unwrap();
    let (mut taken, mut others) = (BTreeSet::new(), Vec::new());
    for (path, page) in pages() {
        for (n, block) in blocks(&page, "yaml").iter().enumerate() {
            let Some(text) = whole(block) else {
                others.push(path.clone());
                continue;
            };
            let list = dir.path().join("packagers.yaml");
            std::fs::write(&list, "- { url: \"http://10.0.2.9:1935\" }\n").unwrap();
            let text = text.replace("/etc/segue/packagers.yaml", list.to_str().unwrap());
            let ca = dir.path().join("ca.pem");
            std::fs::write(&ca, "-----BEGIN CERTIFICATE-----\n").unwrap();
            let text = text.replace("/etc/segue/store-ca.pem", ca.to_str().unwrap());
            std::fs::write(dir.path().join("f.yaml"), &text).unwrap();
            let mut segue = Command::new(env!("CARGO_BIN_EXE_segue"));
            for variable in text.split("${").skip(1).filter_map(|rest| rest.split('}').next()) {
                segue.env(variable, "0123456789abcdef0123456789abcdef0123456789A=");
            }
            let segue = segue.args(["check", "--conf", "f.yaml"]).current_dir(dir.path());
            let output = segue.output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{path}, block {n}");
            taken.insert(path.clone());
        }
    }
    // What is not for Segue: a Kubernetes service and rules for Prometheus; Prometheus, KEDA, its adapter and two autoscalers.
    assert_eq!(others.iter().filter(|path| *path == "docs/scaling.md").count(), 5);
    assert_eq!(others.iter().filter(|path| *path == "docs/fleet.md").count(), 2);
    assert_eq!(others.len(), 7);
    let expected = [
        "README",
        "docs/authorisation",
        "docs/cdn",
        "docs/fleet",
        "docs/host-names",
        "docs/packagers",
        "docs/store",
        "docs/tenants",
        "docs/webhooks",
    ];
    assert_eq!(taken.iter().map(|p| p.trim_end_matches(".md")).collect::<Vec<_>>(), expected);
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_matches(['#', ' ']).to_lowercase();
    let kept = kept.replace(|c: char| !c.is_alphanumeric() && c != ' ' && c != '-', "");
    kept.replace(' ', "-")
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let mut all = pages();
    all.push(("ARCHITECTURE.md".to_owned(), page("ARCHITECTURE.md")));
    let mut links = 0;
    for (path, text) in all {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let here = repository(&path);
            let there = if file.is_empty() { here } else { here.parent().unwrap().join(file) };
            assert!(there.exists(), "{path}: {link}");
            let target = std::fs::read_to_string(there).unwrap();
            let mut headings = target.lines().filter(|line| line.starts_with('#')).map(anchor);
            assert!(heading.is_empty() || headings.any(|h| h == heading), "{path}: {link}");
            links += 1;
        }
    }
    assert!(links > 30, "only {links} links found");
}

#[test]
fn every_page_is_named_in_the_readme() {
    let readme = page("README.md");
    for (path, _) in pages().into_iter().filter(|(path, _)| path != "README.md") {
        assert!(readme.contains(&format!("]({path})")), "{path}");
    }
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
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let mut count = 0;
    for (path, page) in pages() {
        let named = page.split(word).filter_map(|w| w.strip_prefix("segue_"));
        for name in named.filter(|name| !name.is_empty()) {
            let plain = source.contains(&format!("\"{name}\""));
            let peak = name.strip_suffix("_peak").is_some_and(|n| source.contains(n));
            assert!(plain || peak, "{path}: segue_{name}");
            count += 1;
        }
    }
    assert!(count > 40, "only {count} metrics found");
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
fn the_webhooks_of_the_page_are_right() {
    let page = page("docs/webhooks.md");
    let hooks = blocks(&page, "yaml").into_iter().find(|b| b.starts_with("webhooks:")).unwrap();
    let config = taken("docs/webhooks.md", &format!("{POOLS}{hooks}"));
    assert!(config.webhooks[0].secret.is_some());
    for kind in Kind::ALL {
        assert!(page.contains(&format!("| `{}` |", kind.as_str())), "{}", kind.as_str());
    }
}

#[test]
fn the_event_of_the_page_has_the_fields_of_an_event() {
    let blocks = blocks(&page("docs/webhooks.md"), "json");
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

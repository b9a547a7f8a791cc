//! `conf/segue.yaml` and the code say the same: every key stands in it, and every default in it is
//! the default.

use std::collections::BTreeSet;

use segue::config::Config;
use serde_yaml::Value;

use crate::{parse, repository};

fn file() -> String {
    std::fs::read_to_string(repository("conf/segue.yaml")).unwrap()
}

/// The line with its default taken in, if it is one: `#key: value`.
fn with_default(line: &str) -> Option<String> {
    let (before, rest) = line.split_once('#')?;
    let is_default = before.trim().is_empty() && rest.starts_with(|c: char| c.is_ascii_lowercase());
    is_default.then(|| format!("{before}{rest}"))
}

/// The line with its example taken in, if it is one: `#?key: value`.
fn with_example(line: &str) -> Option<String> {
    let (before, rest) = line.split_once("#?")?;
    before.trim().is_empty().then(|| format!("{before}{rest}"))
}

/// Lists whose default is empty, and what is of two kinds.
fn has_default_and_example(line: &str) -> bool {
    let lists = ["#store", "#token_keys", "#trusted_proxies", "#auth_queries", "#auth_headers"];
    lists.iter().any(|list| line.trim_start().starts_with(list))
}

fn changed(change: impl Fn(usize, &str) -> Option<String>) -> String {
    let text = file();
    let lines = text
        .lines()
        .enumerate()
        .map(|(n, line)| change(n, line).unwrap_or_else(|| line.to_owned()) + "\n");
    lines.collect()
}

/// The shapes of all keys of `value`: `pools[].packagers[].url`.
fn keys(value: &Value, shape: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Mapping(map) => {
            for (key, value) in map {
                let key = key.as_str().unwrap();
                let shape =
                    if shape.is_empty() { key.to_owned() } else { format!("{shape}.{key}") };
                keys(value, &shape, found);
                found.insert(shape);
            }
        }
        Value::Sequence(items) => {
            items.iter().for_each(|item| keys(item, &format!("{shape}[]"), found))
        }
        _ => {}
    }
}

#[test]
fn the_file_is_right_as_it_is() {
    let config = Config::load(&repository("conf/segue.yaml")).unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.pools.len(), 1);
    assert_eq!(config.pools[0].packagers.len(), 2);
}

#[test]
fn every_default_in_it_is_the_default() {
    let plain = parse(&file()).unwrap();
    let mut defaults = 0;
    for (at, line) in file().lines().enumerate() {
        let Some(default) = with_default(line) else {
            continue;
        };
        let text = changed(|n, line| (n == at).then(|| with_default(line)).flatten());
        let with = parse(&text).unwrap_or_else(|why| panic!("{default}: {why}"));
        assert_eq!(with, plain, "{default}");
        defaults += 1;
    }
    assert!(defaults > 35, "only {defaults} defaults found: is the file still written that way?");
    assert_eq!(parse(&changed(|_, line| with_default(line))).unwrap(), plain);
}

#[test]
fn every_key_stands_in_it() {
    // A key with a default and an example would stand twice: the example counts.
    let text = changed(|_, line| {
        let list = has_default_and_example(line);
        if list { None } else { with_default(line).or_else(|| with_example(line)) }
    });
    let mut found = BTreeSet::new();
    keys(&serde_yaml::from_str(&text).unwrap(), "", &mut found);
    for named_by_the_operator in [
        "webhooks[].headers.X-Team",
        "pools[].labels.customer",
        "pools[].packagers[].headers.X-Edge-Key",
        "pools[].packagers[].wcs.at_most.degraded_streams_percent",
        "pools[].credentials.queries.wowzatokenhash",
        "pools[].credentials.headers.Authorization",
    ] {
        assert!(found.remove(named_by_the_operator));
    }
    found.retain(|key| !key.starts_with("pools[].zone_hosts."));
    assert_eq!(found, Config::keys());
}

#[test]
fn no_key_stands_in_it_twice_and_examples_are_read() {
    let text =
        changed(|_, line| if has_default_and_example(line) { None } else { with_example(line) });
    // A list stands in place of a url.
    let text = text.replace("        file: ", "        #file: ");
    // One name stands in place of a list.
    let text = text.replace("  peers_name: ", "  #peers_name: ");
    // The packager of the example is http; and neither CA exists.
    let text = text.replace("url: \"http://127.0.0.1:8951\"", "url: \"https://127.0.0.1:8951\"");
    let environment = |_: &str| Some("0123456789abcdef0123456789abcdef0123456789A=".to_owned());
    let errors = Config::parse("f.yaml", &text, &environment).unwrap_err();
    let keys: Vec<&str> = errors.problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["redis.ca", "pools[0].packagers[0].ca"], "{errors}");
}

#[test]
fn the_values_of_a_kind_are_its_defaults() {
    let shown = changed(|_, line| {
        let of_others = ["admin:", "user:", "password:", "ca:", "file:", "peers_name:"]
            .iter()
            .any(|key| line.contains(key));
        if of_others { None } else { with_example(line) }
    });
    let plain = "pools: [{ name: live, packagers: [{ id: a, url: \"http://a\", wowza: {} },\
                 { id: b, url: \"http://b\", wcs: {} }] }]";
    let environment = |_: &str| Some("0123456789abcdef0123456789abcdef0123456789A=".to_owned());
    let shown =
        shown.replace("        #?  ", "          # ").replace("http://127.0.0.1:8951", "https://a");
    let [shown, plain] = [&shown, plain].map(|text| {
        Config::parse("f.yaml", text, &environment).unwrap_or_else(|why| panic!("{why}")).pools
    });
    for (shown, plain) in shown[0].packagers.iter().zip(&plain[0].packagers) {
        assert_eq!(shown.kind, plain.kind);
    }
}

#[test]
fn the_readme_s_configuration_is_right() {
    let readme = std::fs::read_to_string(repository("README.md")).unwrap();
    let text = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let environment = |_: &str| Some("0123456789abcdef0123456789abcdef0123456789A=".to_owned());
    let config = Config::parse("README.md", text, &environment).unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.pools[0].packagers.len(), 2);
}

#[test]
fn a_file_cut_off_anywhere_is_taken_or_told_about() {
    let text = changed(|_, line| with_default(line).or_else(|| with_example(line)));
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        if let Err(errors) = parse(&text[..end]) {
            assert!(!errors.problems.is_empty(), "cut at {end}");
        }
    }
}

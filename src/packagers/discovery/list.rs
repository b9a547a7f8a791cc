//! What stands in the file of a group: a list in YAML, or in JSON, which is YAML as well.
//!
//! ```yaml
//! - { url: "http://10.0.1.17:1935" }
//! - { id: edge-7, url: "http://10.0.2.9:1935", zone: az2, weight: 2 }
//! ```

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Place;
use crate::model::discovery::member_id;
use crate::model::names::{PackagerId, is_plain_name};
use crate::origin::Endpoint;

/// A longer file is no list of packagers.
pub(super) const BYTES_MAX: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    id: Option<Name>,
    url: Url,
    zone: Option<Name>,
    weight: Option<Weight>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Url(String);

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

#[derive(Deserialize)]
#[serde(try_from = "u32")]
struct Weight(u32);

impl TryFrom<String> for Url {
    type Error = String;
    fn try_from(url: String) -> Result<Self, String> {
        match Endpoint::from_url(&url) {
            Ok(endpoint) if endpoint.port > 0 => Ok(Self(url)),
            _ => Err(format!("`{url}` is no URL of a packager; write http://HOST:PORT")),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        if is_plain_name(&name) {
            return Ok(Self(name));
        }
        Err(format!("`{name}` may have 1 to 32 of a-z, 0-9 and -, and does not begin with -"))
    }
}

impl TryFrom<u32> for Weight {
    type Error = String;
    fn try_from(weight: u32) -> Result<Self, String> {
        if (1..=1000).contains(&weight) {
            return Ok(Self(weight));
        }
        Err(format!("weight {weight} is not from 1 to 1000"))
    }
}

/// The packagers in it. Errors begin with the line, where there is one.
pub(super) fn read(group: &str, bytes: &[u8]) -> Result<Vec<(PackagerId, Place)>, String> {
    if bytes.len() as u64 > BYTES_MAX {
        return Err(" is longer than 1 MiB, so it is no list of packagers".to_owned());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| " is not UTF-8 text".to_owned())?;
    let items: Option<Vec<Item>> = serde_yaml::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        format!("{line}: {}", told(&error.to_string()))
    })?;
    let items = items.unwrap_or_default();
    if items.is_empty() {
        return Err(" names no packager".to_owned());
    }
    let mut ids = BTreeSet::new();
    let mut named = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        let place = item.url.0.split_once("://").map_or("", |(_, rest)| rest.trim_end_matches('/'));
        let id = item.id.map_or_else(|| member_id(group, place), |id| PackagerId::new(id.0));
        if !ids.insert(id.clone()) {
            return Err(format!(
                " item {} is called {id} like one before it: give each an id",
                at + 1
            ));
        }
        let (zone, weight) = (item.zone.map(|z| z.0), item.weight.map(|w| w.0));
        named.push((id, Place::Item { url: item.url.0, zone, weight }));
    }
    Ok(named)
}

/// The parser's words, with items counted from 1 and without the line, which stands before them.
fn told(error: &str) -> String {
    let text = error.split(" at line ").next().unwrap_or_default();
    let item = text.strip_prefix(".[").and_then(|rest| rest.split_once("]: "));
    let item = item.and_then(|(at, rest)| Some((at.parse::<usize>().ok()?, rest)));
    item.map_or_else(|| text.to_owned(), |(at, rest)| format!("item {}: {rest}", at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (name, text, want) in [
            ("yaml", "- url: http://10.0.1.17:1935\n", Ok("g-10-0-1-17-1935")),
            (
                "json",
                r#"[{"id": "x", "url": "https://b/", "zone": "az2", "weight": 3}, {"url": "http://[::1]:80"}]"#,
                Ok("x az2 3, g----1--80"),
            ),
            ("empty", "", Err(" names no packager")),
            ("a list of nobody", "[]\n", Err(" names no packager")),
            ("no list", "a: b\n", Err("1: invalid type: map, expected a sequence")),
            ("no yaml", "- {url: 'http://a'}\n- {url: \"\n", Err("3: found unexpected")),
            ("no url", "- url: http://a\n- id: b\n", Err("2: item 2: missing field `url`")),
            (
                "not a url",
                "- url: http://a\n\n- url: ftp://b\n",
                Err("3: item 2: `ftp://b` is no URL"),
            ),
            ("a path", "- url: http://a/live\n", Err("1: item 1: `http://a/live` is no URL")),
            ("unknown", "- url: http://a\n  wieght: 2\n", Err("2: item 1: unknown field `wieght`")),
            ("weight", "- url: http://a\n  weight: 0\n", Err("1: item 1: weight 0 is not from")),
            ("id", "- url: http://a\n  id: A b\n", Err("1: item 1: `A b` may have 1 to 32")),
            ("twice", "- url: http://a\n- url: http://a\n", Err(" item 2 is called g-a like one")),
        ] {
            let got = read("g", text.as_bytes()).map(|named| {
                let one = |(id, place): &(PackagerId, Place)| match place {
                    Place::Item { zone: Some(zone), weight: Some(weight), .. } => {
                        format!("{id} {zone} {weight}")
                    }
                    _ => id.to_string(),
                };
                named.iter().map(one).collect::<Vec<_>>().join(", ")
            });
            match (&got, want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{name}"),
                (Err(got), Err(want)) => assert!(got.starts_with(want), "{name}: {got}"),
                _ => panic!("{name}: {got:?}"),
            }
        }
    }
}

//! `segue fleet`: the other proxies, as a running one sees them; and what a configuration says of them.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use segue::config::{Config, Fleet, StoreSpec};
use serde_json::Value;

use super::admin::Admin;
use super::check::{row, table};

/// Of which proxy.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The configuration that the proxy runs with: says where it is asked.
    #[arg(long, value_name = "FILE")]
    conf: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Tells.
pub fn fleet(options: &Options) -> anyhow::Result<()> {
    let answer = Admin::of(&options.conf)?.get("/fleet.json")?;
    let fleet: Value = serde_json::from_str(&answer.body).context("no Segue answers there")?;
    if options.json {
        println!("{fleet}");
        return Ok(());
    }
    if fleet.is_null() {
        bail!("this proxy is alone: its configuration has no `fleet`");
    }
    let mut text = String::new();
    table(&mut text, &rows(&fleet));
    print!("{text}");
    if let Some(away) = store_away(&fleet) {
        println!("{away}");
    }
    Ok(())
}

/// Without the store nobody new is found there, and lanes go on without it.
fn store_away(fleet: &Value) -> Option<String> {
    let store = fleet.get("store").filter(|store| store.get("up") == Some(&Value::Bool(false)))?;
    let since = store.get("since_ms").and_then(Value::as_u64).unwrap_or_default() / 1000;
    let cause = store.get("cause").and_then(Value::as_str).unwrap_or("no cause is known");
    Some(format!("the store has been away for {since} s: {cause}"))
}

fn rows(fleet: &Value) -> Vec<Vec<String>> {
    let text = |of: &Value, key: &str| match of.get(key).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => "-".to_owned(),
    };
    let mut rows = vec![row(["PROXY", "ZONE", "AT", "VERSION", "STATE"])];
    let own = [&text(fleet, "id"), &text(fleet, "zone"), "-", &text(fleet, "version"), "this one"];
    rows.push(own.map(str::to_owned).to_vec());
    for other in fleet.get("proxies").and_then(Value::as_array).into_iter().flatten() {
        let since = other.get("since_ms").and_then(Value::as_u64).unwrap_or_default() / 1000;
        let flag = |key| other.get(key).and_then(Value::as_bool).unwrap_or(false);
        let state = match (flag("answers"), text(other, "cause")) {
            (true, _) if flag("leaving") => format!("answers for {since} s, is on its way out"),
            (true, _) => format!("answers for {since} s"),
            (false, cause) if cause == "-" => "not asked yet".to_owned(),
            (false, cause) => format!("does not answer for {since} s: {cause}"),
        };
        let [id, zone, at, version] = ["id", "zone", "at", "version"].map(|key| text(other, key));
        rows.push(vec![id, zone, at, version, state]);
    }
    rows
}

/// What `segue check` says of it.
pub fn in_short(config: &Config) -> Option<String> {
    let Fleet { listen, id, peers, one_per_zone, key, advertise } = config.fleet.as_ref()?;
    let peers: Vec<String> = peers.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    let shared = matches!(config.store, StoreSpec::Redis(_));
    let found = match (peers.is_empty(), advertise) {
        (false, _) => format!("others at {}", peers.join(" ")),
        (true, _) if !shared => "finds none: the store is of this machine alone".to_owned(),
        (true, Some(at)) => format!("found through the store, at {at}"),
        (true, None) => "found through the store".to_owned(),
    };
    let fetches = if *one_per_zone { "one of a zone fetches" } else { "each fetches" };
    let signs = match (key, config.token_keys.is_empty()) {
        (Some(_), _) => "signed with fleet.key",
        (None, false) => "signed with token_keys",
        (None, true) => "signed with the store's key",
    };
    let id = id.as_ref().map_or_else(String::new, |id| format!("{id}, "));
    Some(format!("{listen}, {id}{found}, {fetches}, {signs}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_store_that_is_away_is_told() {
        let fleet =
            |up: bool| json!({ "store": { "up": up, "since_ms": 61_000, "cause": "refused" } });
        assert_eq!(store_away(&fleet(true)), None);
        assert_eq!(store_away(&json!({})), None);
        assert_eq!(store_away(&fleet(false)).unwrap(), "the store has been away for 61 s: refused");
    }

    #[test]
    fn a_fleet_is_a_table() {
        let fleet = json!({
            "id": "az1-1", "zone": "az1", "version": "1.0", "proxies": [
                { "at": "10.0.0.2:8090", "answers": true, "since_ms": 61_000, "id": "az2-1", "zone": "az2",
                  "version": "1.1", "cause": "", "leaving": false },
                { "at": "10.0.0.3:8090", "answers": true, "since_ms": 2_000, "id": "az2-2", "zone": "",
                  "version": "1.1", "cause": "", "leaving": true },
                { "at": "10.0.0.4:8090", "answers": false, "since_ms": 5_000, "id": null, "cause": "refuses connections" },
                { "at": "10.0.0.5:8090", "answers": false, "since_ms": 5, "id": null, "cause": "" },
            ],
        });
        let mut text = String::new();
        table(&mut text, &rows(&fleet));
        let want = "\
PROXY  ZONE  AT             VERSION  STATE
az1-1  az1   -              1.0      this one
az2-1  az2   10.0.0.2:8090  1.1      answers for 61 s
az2-2  -     10.0.0.3:8090  1.1      answers for 2 s, is on its way out
-      -     10.0.0.4:8090  -        does not answer for 5 s: refuses connections
-      -     10.0.0.5:8090  -        not asked yet
";
        assert_eq!(text, want);
    }
}

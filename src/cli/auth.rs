//! What `segue check` says of authorisation: nothing where none is configured.

use segue::config::{Config, Pool};

use super::check::{row, table};

/// What stands in front, for the table of the whole.
pub(super) fn in_front(config: &Config) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    if !config.trusted_proxies.is_empty() {
        let all: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
        rows.push(row(["trusted", &all.join(" ")]));
    }
    if let Some(secret) = &config.origin_secret {
        rows.push(row(["secret", &shown_in(secret)]));
    }
    rows
}

fn shown_in(secret: &segue::config::OriginSecret) -> String {
    format!("in {} (values: {})", secret.name, secret.values.len())
}

/// A table of the pools that say something of who is let in.
pub(super) fn who_is_let_in(text: &mut String, config: &Config) {
    let says = |pool: &&Pool| {
        let auth = &pool.auth;
        auth.per_viewer
            || !auth.queries.is_empty()
            || !auth.headers.is_empty()
            || !auth.credentials.is_empty()
            || auth.origin_secret.is_some()
    };
    let pools: Vec<&Pool> = config.pools.iter().filter(says).collect();
    if pools.is_empty() {
        return;
    }
    let mut rows = vec![row(["POOL", "AUTH", "VIEWERS SHOW", "FOR", "SEGUE SHOWS", "SECRET"])];
    for pool in pools {
        let auth = &pool.auth;
        let shown =
            auth.queries.iter().cloned().chain(auth.headers.iter().map(ToString::to_string));
        let own = &auth.credentials;
        let names = own.queries.iter().map(|(name, _)| name.clone());
        let names = names.chain(own.headers.iter().map(|(name, _)| name.to_string()));
        let secret = auth.origin_secret.as_ref().map(shown_in);
        rows.push(row([
            pool.name.as_str(),
            if auth.per_viewer { "per_viewer" } else { "none" },
            &or_dash(&shown.collect::<Vec<_>>()),
            &if auth.per_viewer { format!("{} s", auth.expires.as_secs()) } else { "-".to_owned() },
            &or_dash(&names.collect::<Vec<_>>()),
            secret.as_deref().unwrap_or("-"),
        ]));
    }
    text.push('\n');
    table(text, &rows);
}

fn or_dash(names: &[String]) -> String {
    if names.is_empty() { "-".to_owned() } else { names.join(" ") }
}

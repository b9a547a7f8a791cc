//! `segue webhooks test`: whether messages arrive, without a running proxy.

use anyhow::bail;

use super::{parts, telling};
use crate::config::Config;
use crate::model::notify::News;
use crate::notify::try_once;

/// What one receiver said.
pub struct Tried {
    /// Its name.
    pub hook: String,
    /// What it said, and how long that took.
    pub said: crate::notify::Tried,
}

/// Sends a test message to each webhook of `config`, or to the one of that name, once.
///
/// # Errors
/// There is no such webhook.
pub fn try_webhooks(config: &Config, only: Option<&str>) -> anyhow::Result<Vec<Tried>> {
    let all = parts::webhooks(config);
    let names: Vec<&str> = all.iter().map(|spec| spec.name.as_str()).collect();
    if all.is_empty() {
        bail!("the configuration has no webhooks");
    }
    if let Some(only) = only.filter(|only| !names.contains(only)) {
        bail!("no webhook is called {only}; there are {}", names.join(", "));
    }
    let (proxy, news) = (telling::proxy(config), News::test(telling::now()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut tried = Vec::new();
    for spec in all.iter().filter(|spec| only.is_none_or(|only| only == spec.name)) {
        let said = runtime.block_on(try_once(spec, &news, &proxy));
        tried.push(Tried { hook: spec.name.clone(), said });
    }
    Ok(tried)
}

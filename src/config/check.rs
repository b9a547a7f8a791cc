//! From text to [`Config`]: what must hold between keys, and where each problem stands.

use std::collections::BTreeSet;
use std::path::Path as FilePath;

use serde_yaml::Value;

use super::environment::{Environment, substitute};
use super::error::{ConfigErrors, Problem};
use super::lines::{Path, line_of};
use super::section::{Found, Report, Section};
use super::{Config, GroupSource, StoreSpec};

/// A longer file is no configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

pub(super) fn load(path: &FilePath) -> Result<Config, ConfigErrors> {
    let file = path.display().to_string();
    let whole = |why: String| ConfigErrors::whole(&file, None, why);
    let text = read_file(path).map_err(whole)?;
    parse(&file, &text, &|name| std::env::var(name).ok()).0
}

pub(super) fn read_file(path: &FilePath) -> Result<String, String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|why| format!("cannot be read: {why}"))?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|why| format!("cannot be read: {why}"))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("is longer than 1 MiB, so it is no configuration".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

pub(super) fn yaml(file: &str, text: &str) -> Result<Value, ConfigErrors> {
    let parsed =
        serde_yaml::from_str::<Value>(text).and_then(|mut top| top.apply_merge().map(|()| top));
    parsed.map_err(|why| {
        let line = why.location().map(|location| location.line());
        let why = why.to_string();
        // The line stands before the message already.
        let why = why.split(" at line ").next().unwrap_or_default();
        ConfigErrors::whole(file, line, format!("is not YAML: {why}"))
    })
}

/// With the lines of `text` that they stand in, in order.
pub(super) fn problems(text: &str, found: Found) -> Vec<Problem> {
    let problem = |(path, text_of): (Path, String)| Problem {
        line: line_of(text, &path),
        key: path.to_string(),
        text: text_of,
    };
    let mut problems: Vec<Problem> = found.into_iter().map(problem).collect();
    problems.sort_by_key(|problem| problem.line);
    problems
}

/// The configuration or its problems, and the shape of every key that was asked for.
pub(super) fn parse(
    file: &str,
    text: &str,
    environment: Environment<'_>,
) -> (Result<Config, ConfigErrors>, BTreeSet<String>) {
    let mut top = match yaml(file, text) {
        Ok(top) => top,
        Err(why) => return (Err(why), BTreeSet::new()),
    };
    let report = Report::default();
    substitute(&mut top, &Path::default(), environment, &report);
    let mut config = Section::read(&report, Path::default(), Some(&top), Config::read);
    check(&config, &report);
    let (errors, warnings, known) = report.take();
    if !errors.is_empty() {
        return (
            Err(ConfigErrors { file: file.to_owned(), problems: problems(text, errors) }),
            known,
        );
    }
    config.warnings = problems(text, warnings);
    (Ok(config), known)
}

pub(super) fn reload(running: &Config, path: &FilePath) -> Result<Config, ConfigErrors> {
    let config = load(path)?;
    let changed = [
        ("listen", config.listen != running.listen),
        ("admin", config.admin != running.admin),
        ("zone", config.zone != running.zone),
        ("store", config.store != running.store),
        ("redis", config.redis != running.redis),
        ("segments", config.segments != running.segments),
        ("fleet", config.fleet != running.fleet),
        ("token_keys", config.token_keys != running.token_keys),
        ("server", config.server != running.server),
        ("limits", config.limits != running.limits),
        ("log", config.log != running.log),
    ];
    let text = read_file(path).unwrap_or_default();
    let problem = |(key, _): (&str, bool)| Problem {
        line: line_of(&text, &Path::default().key(key)),
        key: key.to_owned(),
        text: "cannot change in a running process; start a new one with --upgrade".to_owned(),
    };
    let problems: Vec<Problem> =
        changed.into_iter().filter(|(_, changed)| *changed).map(problem).collect();
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(ConfigErrors { file: path.display().to_string(), problems })
    }
}

/// What must hold between keys.
fn check(config: &Config, report: &Report) {
    let top = Path::default();
    if config.listen.is_empty() {
        report.error(&top.key("listen"), "is empty; write such as [\"0.0.0.0:8080\"]");
    }
    if config.listen.contains(&config.admin) {
        report.error(
            &top.key("admin"),
            format!("address `{}` stands at listen already", config.admin),
        );
    }
    if !config.admin.ip().is_loopback() && config.admin_token.is_none() {
        let text = "can be reached from other machines: status and metrics are open to them, and without \
                    admin_token nothing can be changed through it";
        report.warning(&top.key("admin"), text);
    }
    let all = |network: &ipnet::IpNet| network.prefix_len() == 0;
    if config.trusted_proxies.iter().any(all) {
        let text =
            "trusts everybody: each viewer can say whose address he has and which host he asks for";
        report.warning(&top.key("trusted_proxies"), text);
    }
    let mut groups =
        config.pools.iter().flat_map(|p| &p.packagers).filter_map(|p| p.group.as_ref());
    let looked_up = groups.any(|group| matches!(group.source, GroupSource::Name(_)));
    if looked_up && config.store == StoreSpec::Memory {
        let text = "a process that is started while names cannot be looked up knows no packager of a group: \
                    with sqlite:PATH they are remembered beside the store";
        report.warning(&top.key("store"), text);
    }
    let largest = config.pools.iter().map(|pool| pool.origin.segment_bytes).max();
    let limits = [
        ("memory", Some(config.segments.memory)),
        ("disk", config.segments.dir.as_ref().map(|_| config.segments.disk)),
    ];
    for (key, limit) in limits {
        if let (Some(limit), Some(largest)) = (limit, largest)
            && limit < largest
        {
            let text = format!(
                "{limit} does not hold one segment of origin.segment_bytes, {largest}; raise it or lower that"
            );
            report.error(&top.key("segments").key(key), text);
        }
    }
    super::tenants::check(config, report);
    super::store::check(config, report);
    super::fleet::check(config, report);
    if config.server.keepalive_timeout.as_secs() <= 60 {
        let text = "an ALB keeps idle connections for 60 s; if this is not longer, it answers 502 now and then";
        report.warning(&top.key("server").key("keepalive_timeout_seconds"), text);
    }
}

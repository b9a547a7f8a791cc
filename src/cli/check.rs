//! `segue check`: what is wrong with a configuration, or what it says in short.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use segue::config::{ByteSize, Config, GroupSource, Packager};
use segue::model::notify::Kind;

use super::auth;

/// Prints the problems to standard error, or a summary to standard output.
pub fn check(conf: &Path) -> ExitCode {
    match Config::load(conf) {
        Ok(config) => {
            print_warnings(conf, &config);
            print!("{}", summary(conf, &config));
            ExitCode::SUCCESS
        }
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what is accepted but should be known.
pub fn print_warnings(conf: &Path, config: &Config) {
    for warning in &config.warnings {
        eprintln!("{}:{warning} (a warning)", conf.display());
    }
}

fn summary(conf: &Path, config: &Config) -> String {
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    let segments = match &config.segments.dir {
        Some(dir) => format!(
            "{} ({}), memory {}",
            dir.display(),
            config.segments.disk,
            config.segments.memory
        ),
        None => format!("memory {}", config.segments.memory),
    };
    let mut text = format!("{} is right.\n\n", conf.display());
    let mut rows = vec![
        row(["listen", &listen.join(" ")]),
        row(["admin", &config.admin.to_string()]),
        row(["store", &config.store.to_string()]),
        row(["segments", &segments]),
    ];
    if !config.dns.servers.is_empty() {
        let servers: Vec<String> = config.dns.servers.iter().map(ToString::to_string).collect();
        rows.push(row(["dns", &servers.join(" ")]));
    }
    if !config.zone.is_empty() {
        rows.push(row(["zone", &config.zone]));
    }
    if let Some(fleet) = super::fleet::in_short(config) {
        rows.push(row(["fleet", &fleet]));
    }
    rows.extend(auth::in_front(config));
    table(&mut text, &rows);
    text.push('\n');
    let mut rows = vec![row(["POOL", "HOSTS", "PACKAGER", "URL", "ZONE", "WEIGHT", "CAPACITY"])];
    for pool in &config.pools {
        let hosts = pool.hosts.join(" ");
        let mut first = (pool.name.as_str(), hosts.as_str());
        for packager in &pool.packagers {
            let (name, hosts) = std::mem::take(&mut first);
            let zone = if packager.zone.is_empty() { "-" } else { &packager.zone };
            let url = place(packager);
            let capacity = packager.capacity.map_or("-".to_owned(), |lanes| lanes.to_string());
            rows.push(row([
                name,
                hosts,
                packager.id.as_str(),
                &url,
                zone,
                &packager.weight.to_string(),
                &capacity,
            ]));
        }
    }
    table(&mut text, &rows);
    text.push('\n');
    table(&mut text, &super::kinds::rows(&config.pools));
    zone_hosts(&mut text, config);
    let tenants = tenants(config);
    if !tenants.is_empty() {
        text.push('\n');
        table(&mut text, &tenants);
    }
    auth::who_is_let_in(&mut text, config);
    webhooks(&mut text, config);
    text
}

/// Where the viewers of hosts that stand for a zone go first, and where they are sent on to.
fn zone_hosts(text: &mut String, config: &Config) {
    let mut rows = vec![row(["ZONE HOST", "POOL", "ZONE", "URLS BEGIN WITH"])];
    for pool in &config.pools {
        for (host, zone) in &pool.zone_hosts {
            let base = pool.url_base.as_ref().map_or_else(|| "-".to_owned(), |b| b.for_zone(zone));
            rows.push(row([host, pool.name.as_str(), zone, &base]));
        }
    }
    if rows.len() > 1 {
        text.push('\n');
        table(text, &rows);
    }
}

/// Who is told what; without the URLs, which may be secrets.
fn webhooks(text: &mut String, config: &Config) {
    if config.webhooks.is_empty() {
        return;
    }
    let mut rows = vec![row(["WEBHOOK", "SIGNED", "EVENTS"])];
    for hook in &config.webhooks {
        let events: Vec<&str> = hook.events.iter().map(|event| event.as_str()).collect();
        let all = events.len() == Kind::ALL.len();
        let events = if all { "all".to_owned() } else { events.join(" ") };
        let signed = if hook.secret.is_some() { "yes" } else { "no" };
        rows.push(row([&hook.name, signed, &events]));
    }
    text.push('\n');
    table(text, &rows);
}

/// What each pool may take; nothing where there is one pool without limits.
fn tenants(config: &Config) -> Vec<Vec<String>> {
    let plain = config.pools.iter().all(|pool| pool.limits.are_none() && pool.paths.are_all());
    if plain && config.pools.len() < 2 {
        return Vec::new();
    }
    let title = ["POOL", "VIEWERS", "STREAMS", "LANES", "MBPS", "WAITING", "SEGMENTS", "PATHS"];
    let mut rows = vec![row(title)];
    for pool in &config.pools {
        let allowed = config.allowed(pool);
        let number = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        let paths = if pool.paths.are_all() { "all".to_owned() } else { pool.paths.to_string() };
        rows.push(row([
            pool.name.as_str(),
            &number(pool.limits.viewers),
            &allowed.streams.to_string(),
            &allowed.lanes.to_string(),
            &number(allowed.bandwidth_bps.map(|bits| bits / 1_000_000)),
            &allowed.waiting_requests.to_string(),
            &ByteSize(allowed.segment_bytes).to_string(),
            &paths,
        ]));
    }
    rows
}

/// Where a packager is, or those of a group.
fn place(packager: &Packager) -> String {
    match &packager.group {
        None => packager.url.to_string(),
        Some(group) => match &group.source {
            GroupSource::Name(_) => {
                format!("{}, each address, {} at most", packager.url, group.packagers_max)
            }
            GroupSource::File(path) => {
                format!("listed in {}, {} at most", path.display(), group.packagers_max)
            }
        },
    }
}

pub fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Appends `rows` with each column as wide as its widest cell.
pub fn table(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell: &String| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.extend([line.trim_end(), "\n"]);
    }
}

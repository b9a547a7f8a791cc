//! What a request costs where more is asked of Segue: viewers that are told one by one, a limit of bandwidth,
//! proxies that are believed, a thousand tenants. Each beside Segue without that, in the same rounds.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::load::{self, median};
use crate::options::Options;
use crate::packager;
use crate::servers::{Extra, Server, Target};

/// Viewers of whom each has a token of his own.
const VIEWERS: usize = 1000;
const POOLS: usize = 1000;

/// What one setting costs.
pub struct Case {
    pub name: String,
    /// A request's processor time to that without the setting: the median of the rounds' own ratios.
    pub to_plain: f64,
}

/// A Segue with a setting, and how it is asked.
struct Setup {
    name: &'static str,
    server: Server,
    /// For wrk.
    more: Vec<String>,
    targets: &'static [Target],
}

const BOTH: &[Target] = &[Target::Playlist, Target::Segment];
const PLAYLIST: &[Target] = &[Target::Playlist];

/// Each setting with each kind of answer that it matters to. `origin` has the packager's files.
pub fn measure(folder: &Path, origin: u16, options: &Options) -> Result<Vec<Case>> {
    let start = |name: &str, extra: &Extra| {
        let folder = folder.join(name);
        Server::segue_with(&folder, origin, packager::ENTRY, packager::LISTED, extra)
    };
    let plain = start("plain", &Extra::default())?;
    let setups = setups(&start, folder, origin)?;
    let mut cases = Vec::new();
    for target in BOTH {
        let asked: Vec<&Setup> = setups.iter().filter(|s| s.targets.contains(target)).collect();
        let mut ratios: Vec<Vec<f64>> = vec![Vec::new(); asked.len()];
        // The first round warms up, and does not count.
        for round in 0..=options.rounds {
            let length = if round == 0 { Duration::from_secs(1) } else { options.run };
            let (without, _) = load::run(&plain, *target, length, None)?;
            for (setup, ratios) in asked.iter().zip(&mut ratios) {
                let more: Vec<&str> = setup.more.iter().map(String::as_str).collect();
                let (with, _) = load::run_with(&setup.server, *target, length, &more)?;
                if round > 0 {
                    ratios.push(with / without);
                }
            }
            eprintln!("{target:?} with settings: round {round} of {}", options.rounds);
        }
        let named = asked.iter().zip(ratios).map(|(setup, ratios)| Case {
            name: format!("{target:?}, {}", setup.name).to_lowercase(),
            to_plain: median(ratios),
        });
        cases.extend(named);
    }
    Ok(cases)
}

fn setups(
    start: &dyn Fn(&str, &Extra) -> Result<Server>,
    folder: &Path,
    origin: u16,
) -> Result<Vec<Setup>> {
    let pool = |text: &str| Extra { pool: format!("    {text}\n"), ..Extra::default() };
    let viewers = start("viewers", &pool("sessions: viewer"))?;
    let script = viewers_script(&viewers, folder)?;
    let trusted =
        Extra { top: "trusted_proxies: [\"127.0.0.0/8\"]\n".to_owned(), ..Extra::default() };
    let many = Extra { pools: other_pools(origin)?, hosts: Some("127.0.0.1"), ..Extra::default() };
    let setup = |name, server, more: &[&str], targets| {
        let more = more.iter().map(|&one| one.to_owned()).collect();
        Setup { name, server, more, targets }
    };
    Ok(vec![
        setup("sessions: viewer", viewers, &["-s", &script], PLAYLIST),
        setup(
            "bandwidth_mbps",
            start("limited", &pool("limits: { bandwidth_mbps: 1000000 }"))?,
            &[],
            BOTH,
        ),
        setup(
            "trusted_proxies",
            start("trusted", &trusted)?,
            &["-H", "X-Forwarded-For: 203.0.113.9, 127.0.0.2"],
            PLAYLIST,
        ),
        setup("1,000 pools", start("pools", &many)?, &[], BOTH),
    ])
}

/// A script for wrk that asks for the playlist of one viewer after the other.
fn viewers_script(server: &Server, folder: &Path) -> Result<String> {
    let mut script = "local requests = {}\nlocal paths = {\n".to_owned();
    for _ in 0..VIEWERS {
        writeln!(script, "  \"{}\",", server.path(Target::Playlist)?)?;
    }
    script += "}
local last = 0
init = function() for n, path in ipairs(paths) do requests[n] = wrk.format(\"GET\", path) end end
request = function() last = last % #requests + 1; return requests[last] end
";
    let file = folder.join("viewers.lua");
    fs::write(&file, script)?;
    Ok(file.to_str().context("a path")?.to_owned())
}

/// Pools that nobody watches, each with a host of its own.
fn other_pools(origin: u16) -> Result<String> {
    let mut text = String::new();
    for n in 1..POOLS {
        // Checks of so many packagers would count as requests' time.
        write!(
            text,
            "  - name: other-{n}
    hosts: [\"media-{n}.example.com\"]
    health: {{ interval_seconds: 300 }}
    packagers: [{{ id: p{n}, url: \"http://127.0.0.1:{origin}\" }}]
"
        )?;
    }
    Ok(text)
}

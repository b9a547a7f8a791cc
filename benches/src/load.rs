//! Load by wrk, round-robin over the servers: requests per second and processor time for each.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::options::Options;
use crate::process::{Processor, pinned};
use crate::servers::{Server, Target};

/// Medians over the rounds, in the order of the servers.
pub struct Loads {
    pub playlist: Vec<Load>,
    pub segment: Vec<Load>,
}

/// What one kind of answer costs one server.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Microseconds of user and system time for a request.
    pub cpu_us: f64,
    /// The smallest and the largest of the rounds.
    pub cpu_us_range: (f64, f64),
    /// Requests in a second of the clock.
    pub per_second: f64,
    /// What the first server's request cost, to this one's: the median of the rounds' own ratios.
    /// Runs of one round are seconds apart, so that a busy machine weighs on both alike.
    pub first_to_this: f64,
}

/// Connections of wrk. Enough to keep the server busy, few enough that nothing queues for long.
const fn connections(target: Target) -> &'static str {
    match target {
        Target::Playlist => "64",
        Target::Segment => "16",
    }
}

pub fn measure(servers: &[&Server], options: &Options) -> Result<Loads> {
    let mut loads = Vec::new();
    for target in [Target::Playlist, Target::Segment] {
        let mut rounds: Vec<Vec<(f64, f64)>> = vec![Vec::new(); servers.len()];
        // The first round warms caches and branch predictors up, and does not count.
        for round in 0..=options.rounds {
            let length = if round == 0 { Duration::from_secs(1) } else { options.run };
            for (server, measured) in servers.iter().zip(&mut rounds) {
                let once = run(server, target, length, None)?;
                if round > 0 {
                    measured.push(once);
                }
            }
            eprintln!("{target:?}: round {round} of {}", options.rounds);
        }
        let first = rounds.first().cloned().unwrap_or_default();
        loads.push(rounds.into_iter().map(|own| summary(own, &first)).collect());
    }
    let segment = loads.pop().context("segments")?;
    Ok(Loads { playlist: loads.pop().context("playlists")?, segment })
}

fn summary(rounds: Vec<(f64, f64)>, first: &[(f64, f64)]) -> Load {
    let ratios = first.iter().zip(&rounds).map(|((first, _), (own, _))| first / own);
    let first_to_this = median(ratios.collect());
    let mut cpu: Vec<f64> = rounds.iter().map(|(cpu, _)| *cpu).collect();
    let per_second = rounds.into_iter().map(|(_, rate)| rate).collect();
    cpu.sort_by(f64::total_cmp);
    let range = (cpu.first().copied().unwrap_or(0.0), cpu.last().copied().unwrap_or(0.0));
    Load { cpu_us: median(cpu), cpu_us_range: range, per_second: median(per_second), first_to_this }
}

/// The middle one, or the mean of the middle two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => at(n / 2),
        n => f64::midpoint(at(n / 2 - 1), at(n / 2)),
    }
}

/// One run of wrk: processor microseconds for a request, requests per second. `header`: a line
/// that is sent too.
pub fn run(
    server: &Server,
    target: Target,
    length: Duration,
    header: Option<&str>,
) -> Result<(f64, f64)> {
    let more: Vec<&str> = header.into_iter().flat_map(|line| ["-H", line]).collect();
    run_with(server, target, length, &more)
}

/// The same with more arguments for wrk.
pub fn run_with(
    server: &Server,
    target: Target,
    length: Duration,
    more: &[&str],
) -> Result<(f64, f64)> {
    let url = format!("http://127.0.0.1:{}{}", server.port, server.path(target)?);
    let mut wrk = pinned("wrk", Processor::Load);
    wrk.args(["-t1", "-c", connections(target), "-d", &format!("{}s", length.as_secs())]).arg(&url);
    wrk.args(more);
    let before = server.tree.cpu();
    let output = wrk.output().context("wrk")?;
    let used = server.tree.cpu() - before;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || text.contains("Non-2xx") {
        bail!("{}, {url}:\n{text}{}", server.kind.name(), String::from_utf8_lossy(&output.stderr));
    }
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "));
    let requests: f64 = requests.context("wrk says no number of requests")?.0.parse()?;
    let per_second = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    let per_second = per_second.context("wrk says no rate")?.trim().parse()?;
    Ok((used.as_secs_f64() * 1e6 / requests, per_second))
}

//! The tables, and whether the bars hold.

use crate::appends::Appends;
use crate::cases::Case;
use crate::choice::PACKAGERS;
use crate::delay::Delays;
use crate::load::{Load, Loads};
use crate::long::{LONG, Long, SHORT};
use crate::media::Looked;
use crate::packager::SEGMENT;
use crate::servers::{Kind, Server};

/// A playlist may cost at most this much of nginx proxy_cache's processor time.
const PLAYLIST_TO_NGINX: f64 = 1.0;
/// A playlist may cost at most this much of bare Pingora's.
const PLAYLIST_TO_BARE: f64 = 1.25;
/// A segment may cost at most this much of bare Pingora's.
const SEGMENT_TO_BARE: f64 = 1.15;
/// With a setting a request may cost at most this much of what it costs without.
const CASE_TO_PLAIN: f64 = 1.15;
/// A long playlist may cost at most this much of what the same bytes cost bare Pingora.
const LONG_TO_BARE: f64 = 1.5;
/// A refresh of a long playlist may cost at most this much of reading all of it.
const SKIM_TO_ALL: f64 = 0.2;
/// Looking into a segment may cost at most this much of taking it off a socket and hashing it.
const LOOK_TO_FETCH: f64 = 1.0;

/// Prints all. True: the bars hold.
pub fn print(
    servers: &[&Server],
    loads: &Loads,
    delays: &Delays,
    idle: &[f64],
    viewers: usize,
) -> bool {
    table("playlist", servers, &loads.playlist);
    table("segment", servers, &loads.segment);
    println!("\nmemory for an idle viewer, of {viewers}");
    for (server, bytes) in servers.iter().zip(idle) {
        println!("  {:<18} {:>8.1} KiB", server.kind.name(), bytes / 1024.0);
    }
    let of_segment = |ms: f64| ms / 1e3 / SEGMENT.as_secs_f64();
    println!("\nfrom a segment written by the packager to the same listed by Segue");
    for (name, ms) in [("median", delays.median), ("longest", delays.longest)] {
        println!("  {name:<18} {ms:>8.0} ms {:>6.2} of the segment's duration", of_segment(ms));
    }
    println!();
    let bars = [
        ("playlist to nginx", &loads.playlist, Kind::Nginx, PLAYLIST_TO_NGINX),
        ("playlist to bare Pingora", &loads.playlist, Kind::Bare, PLAYLIST_TO_BARE),
        ("segment to bare Pingora", &loads.segment, Kind::Bare, SEGMENT_TO_BARE),
    ];
    let mut all = true;
    for (name, loads, other, most) in bars {
        all &= bar(name, ratio(servers, loads, other), most);
    }
    all
}

/// What an append costs. There is no bar: it is the network's, and the disk's.
pub fn appends(figures: &Appends) {
    println!(
        "an append of a step of two renditions ({} bytes as text); to the server for each step that was taken",
        figures.step_bytes
    );
    println!(
        "  {:<34} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "median µs", "p99 µs", "steps/s", "CPU µs", "bytes in", "bytes out"
    );
    for row in &figures.rows {
        let server = row.server.as_ref().map_or_else(String::new, |s| {
            format!(" {:>9.1} {:>9.0} {:>9.0}", s.cpu_us, s.received, s.sent)
        });
        println!(
            "  {:<34} {:>9.0} {:>9.0} {:>9.0}{server}",
            row.name, row.median_us, row.p99_us, row.per_second
        );
    }
    println!(
        "  a lane of {} steps takes {:.0} KiB of the server's memory\n",
        figures.steps,
        figures.lane_bytes / 1024.0
    );
}

/// The same of a window of hours.
pub fn long(figures: &Long) -> bool {
    println!("\n{:<34} {LONG:>10} {SHORT:>10}      ratio", "segments in the list, CPU µs");
    for (name, long, short) in &figures.costs {
        println!("  {name:<32} {long:>10.1} {short:>10.1} {:>10.1}", long / short);
    }
    let (long, short) = figures.resident;
    println!("  {:<32} {long:>10.1} {short:>10.1} {:>10.1}", "resident memory, MiB", long / short);
    println!();
    let mut all = bar("reading the newest to all", figures.skim_to_all, SKIM_TO_ALL);
    for (name, ratio) in &figures.to_bare {
        all &= bar(name, *ratio, LONG_TO_BARE);
    }
    all
}

/// What settings cost.
pub fn cases(cases: &[Case]) -> bool {
    println!("\nwith a setting, CPU of a request to that without");
    cases.iter().map(|case| bar(&case.name, case.to_plain, CASE_TO_PLAIN)).fold(true, |a, b| a & b)
}

/// What it costs to put packagers in order.
pub fn choice(ns: f64) {
    println!("\norder of preference of {PACKAGERS} packagers: {ns:.0} ns");
}

/// What looking into a segment costs.
pub fn media(looked: &[Looked]) -> bool {
    println!("\n{:<12} bytes, CPU µs: a copy, fetching, looking, a cut", "segment");
    for Looked { name, bytes, copy, fetch, inspect, cut } in looked {
        println!("  {name:<10} {bytes:>10} {copy:>10.1} {fetch:>10.1} {inspect:>10.1} {cut:>10.1}");
        println!("  {:<10} looking is {:.1} copies", "", inspect / copy);
    }
    println!();
    let bars = looked.iter().map(|of| {
        let name = format!("looking into {}", of.name);
        bar(&name, of.inspect / of.fetch, LOOK_TO_FETCH)
    });
    bars.fold(true, |all, holds| all & holds)
}

fn bar(name: &str, ratio: f64, most: f64) -> bool {
    let holds = ratio <= most;
    let verdict = if holds { "pass" } else { "FAIL" };
    println!("  {verdict}  {name:<26} {ratio:.2} (at most {most:.2})");
    holds
}

/// Segue, which stands first, to another.
fn ratio(servers: &[&Server], loads: &[Load], kind: Kind) -> f64 {
    let found = servers.iter().zip(loads).find(|(server, _)| server.kind == kind);
    found.map_or(f64::NAN, |(_, load)| load.first_to_this)
}

fn table(what: &str, servers: &[&Server], loads: &[Load]) {
    println!("\n{what:<20} CPU µs/request (least to most)    requests/s   Segue's CPU to it");
    for (server, load) in servers.iter().zip(loads) {
        let (least, most) = load.cpu_us_range;
        println!(
            "  {:<18} {:>10.2}   ({least:>8.2} to {most:>8.2}) {:>12.0} {:>12.2}",
            server.kind.name(),
            load.cpu_us,
            load.per_second,
            load.first_to_this,
        );
    }
}

//! `make bench`: what a request costs Segue, beside a bare Pingora service that answers the same
//! bytes, nginx proxy_cache, HAProxy's cache and Varnish, all in one run; how long a new segment
//! takes to be listed; what an idle viewer costs in memory; what a window of hours costs beside one of
//! seconds; what it costs to look into a segment; and what an append to the store costs.
//!
//! The answers are Segue's own: a packager is started, Segue plays it, and its playlist and one of
//! its segments, with their headers, are what the others are given to serve. Each server has one
//! worker thread (Varnish, which needs one for each open request: one processor) and the
//! processor that `wrk` does not have. Rounds go round-robin over the servers, medians count.
//!
//! `packager` writes files and `origin` serves them; `servers` starts the five, of which `bare` is
//! in here; `load` drives wrk; `cases`, `choice`, `delay`, `idle`, `media`, `appends` and `long` (with `pieces`) measure the
//! rest; `report` prints and judges.

// Threads that sleep and clocks that are read are what a measurement is made of.
#![allow(clippy::disallowed_methods)]

mod appends;
mod bare;
mod cases;
mod choice;
mod client;
mod delay;
mod idle;
mod load;
mod long;
mod media;
mod options;
mod origin;
mod packager;
mod pieces;
mod process;
mod report;
mod servers;

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use client::{Answer, Client};
use options::Options;
use packager::Packager;
use servers::{Server, Target};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// True: all bars hold.
fn run() -> Result<bool> {
    let options = match Options::read()? {
        Some(Options { bare: Some((port, dir)), .. }) => return bare::serve(port, &dir),
        Some(options) => options,
        None => return Ok(true),
    };
    let folder = tempfile::tempdir().context("temporary folder")?;
    let origin = origin::start(folder.path().join("files"))?;
    // First, while nothing else runs.
    if !options.only_cases && !options.only_media && !options.only_long {
        report::appends(&appends::measure(folder.path(), options.appends)?);
        if options.only_appends {
            return Ok(true);
        }
    }
    report::choice(choice::ns());
    let mut all = options.only_cases || report::media(&media::measure(folder.path())?);
    if options.only_media {
        return Ok(all);
    }
    if !options.long.is_zero() && !options.only_cases {
        all &= report::long(&long::measure(folder.path(), origin, &options)?);
    }
    if options.only_long {
        return Ok(all);
    }
    let packager = Packager::start(&folder.path().join("files"))?;
    all &= report::cases(&cases::measure(folder.path(), origin, &options)?);
    if options.only_cases {
        return Ok(all);
    }
    let segue = Server::segue(folder.path(), origin, packager::ENTRY, packager::LISTED)?;

    println!("Segue plays a packager of {} s segments of 1 MB.", packager::SEGMENT.as_secs());
    let delays = delay::measure(&segue, &packager, options.delays)?;
    let (playlist, segment) = answers(&segue)?;
    println!(
        "A playlist of {} and a segment of {} bytes.",
        playlist.body.len(),
        segment.body.len()
    );
    playlist.save(&folder.path().join("files"), "playlist.m3u8")?;
    segment.save(&folder.path().join("files"), "segment.ts")?;

    let others = Server::others(folder.path(), origin)?;
    let servers: Vec<&Server> = std::iter::once(&segue).chain(&others).collect();
    let loads = load::measure(&servers, &options)?;
    let idle = idle::measure(&servers, options.viewers)?;
    Ok(report::print(&servers, &loads, &delays, &idle, options.viewers) && all)
}

/// What Segue answers now: its media playlist and the newest segment.
fn answers(segue: &Server) -> Result<(Answer, Answer)> {
    let mut client = Client::connect(segue.port)?;
    let playlist = client.get(&segue.path(Target::Playlist)?)?;
    let segment = client.get(&segue.path(Target::Segment)?)?;
    Ok((playlist, segment))
}

//! The binary: arguments, configuration, and which command runs. All else is in the library.

mod cli;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use segue::config::Config;

use cli::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Some(Command::Check { conf }) => return cli::check::check(&conf),
        Some(Command::Reload { conf }) => cli::reload::reload(&conf),
        Some(Command::Health { url }) => cli::health::health(&url),
        Some(Command::Watch { .. }) => Err(anyhow::anyhow!(
            "`segue watch` is not wired to the binary yet"
        )),
        Some(Command::Demo { .. }) => Err(anyhow::anyhow!(
            "`segue demo` is not wired to the binary yet"
        )),
        None => args
            .run
            .conf
            .context("--conf is missing")
            .and_then(|conf| run(&conf, args.run.upgrade)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("segue: {why:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the proxy. Returns only if it cannot start.
fn run(conf: &Path, _upgrade: bool) -> anyhow::Result<()> {
    let config = Config::load(conf)?;
    cli::pid::write(&config.server.pid_file)?;
    anyhow::bail!("the proxy is not wired to the binary yet")
}

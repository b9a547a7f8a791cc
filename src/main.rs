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
        Some(Command::Drain(options)) => cli::drain::drain(&options),
        Some(Command::Undrain(options)) => cli::drain::undrain(&options),
        Some(Command::Health { url }) => cli::health::health(&url),
        Some(Command::Watch(options)) => return watch(&options),
        Some(Command::Demo(options)) => segue::app::demonstrate(&options),
        None => {
            args.run.conf.context("--conf is missing").and_then(|conf| run(&conf, args.run.upgrade))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("segue: {why:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the proxy until a signal ends it.
fn run(conf: &Path, upgrade: bool) -> anyhow::Result<()> {
    let config = Config::load(conf)?;
    segue::app::logs::start(&config.log);
    segue::app::serve(config, &segue::app::Options { path: conf.to_owned(), upgrade })
}

/// Watches streams until they end or Ctrl-C.
fn watch(options: &segue::watch::Options) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let watched = segue::watch::run(options, Box::new(std::io::stdout()));
            runtime.block_on(watched).exit_code().into()
        }
        Err(error) => {
            eprintln!("segue: {error}");
            ExitCode::from(2)
        }
    }
}

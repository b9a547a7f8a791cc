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
        Some(Command::Fleet(options)) => cli::fleet::fleet(&options),
        Some(Command::Webhooks(command)) => cli::webhooks::webhooks(&command),
        Some(Command::Viewers(options)) => cli::viewers::viewers(&options),
        Some(Command::Health { url }) => cli::health::health(&url),
        Some(Command::Watch(options)) => return watch(&options),
        Some(Command::Probe(options)) => return probe(&options),
        Some(Command::Demo(options)) => segue::app::demonstrate(&options),
        None => {
            args.run.conf.context("--conf is missing").and_then(|conf| run(&conf, args.run.upgrade))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("segue: {}", told(&why));
            ExitCode::FAILURE
        }
    }
}

/// An error and what caused it, in one sentence. Most errors name their cause, which is not said twice.
fn told(why: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in why.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Runs the proxy until a signal ends it.
fn run(conf: &Path, upgrade: bool) -> anyhow::Result<()> {
    let config = Config::load(conf)?;
    segue::app::logs::start(&config.log);
    segue::app::serve(config, &segue::app::Options { path: conf.to_owned(), upgrade })
}

/// Watches streams until they end or Ctrl-C.
fn watch(options: &segue::watch::Options) -> ExitCode {
    looking(async { segue::watch::run(options, Box::new(std::io::stdout())).await.exit_code() })
}

/// Compares two packagers until their streams end or Ctrl-C.
fn probe(options: &segue::probe::Options) -> ExitCode {
    looking(async {
        segue::probe::exit_code(segue::probe::run(options, segue::probe::Output::stdout()).await)
    })
}

/// Runs a command that looks at streams from outside; 2 where it could not.
fn looking(command: impl Future<Output = u8>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command).into(),
        Err(error) => {
            eprintln!("segue: {error}");
            ExitCode::from(2)
        }
    }
}

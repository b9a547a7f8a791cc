//! The command line: what can be said, and the commands that need no proxy or ask a running one.

mod admin;
mod auth;
pub mod check;
pub mod drain;
pub mod fleet;
pub mod health;
mod kinds;
pub mod pid;
pub mod reload;
pub mod viewers;
pub mod webhooks;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// An HA-aware HLS reverse proxy: viewers do not notice that a packager dies.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Args {
    /// Without a command the proxy runs.
    #[command(flatten)]
    pub run: Run,
    /// Another thing to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Runs the proxy.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The configuration.
    #[arg(long, value_name = "FILE", required = true)]
    pub conf: Option<PathBuf>,
    /// Take the listening sockets over from the running process, which then ends by itself.
    #[arg(long)]
    pub upgrade: bool,
}

/// What there is besides running the proxy.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tell what is wrong with a configuration; exit 1 if anything is.
    Check {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        conf: PathBuf,
    },
    /// Have the running proxy take a changed configuration: all of it or nothing.
    Reload {
        /// The configuration that it runs with.
        #[arg(long, value_name = "FILE")]
        conf: PathBuf,
    },
    /// Take a packager out: its lanes move to a sibling, and viewers lose nothing.
    Drain(drain::Options),
    /// Bring a packager back that was taken out: it gets new viewers again.
    Undrain(drain::Options),
    /// The other proxies, as the running one sees them.
    Fleet(fleet::Options),
    /// Whether messages to operators arrive.
    #[command(subcommand)]
    Webhooks(webhooks::Command),
    /// How many watch: as the running proxy counts, or as a CDN's log says.
    Viewers(viewers::Options),
    /// Poll a live HLS stream and report every breach of the rules; exit 1 if there was one, 2 if there was none
    /// but a URL could not be watched.
    Watch(segue::watch::Options),
    /// Compare two packagers of one stream: how far they are apart, and what a failover between them
    /// would be like.
    Probe(segue::probe::Options),
    /// Two built-in packagers, the proxy before them, and a page to kill them from.
    Demo(segue::demo::Options),
    /// Ask a running proxy whether it is alive; exit 1 if it does not say so within 2 s.
    Health {
        /// What to ask.
        #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080/.segue/healthz")]
        url: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_sound() {
        super::Args::command().debug_assert();
    }
}

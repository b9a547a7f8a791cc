//! `segue webhooks test`: sends a test message to each webhook and tells what it answers.

use std::path::PathBuf;

use anyhow::bail;
use segue::app::{Tried, try_webhooks};
use segue::config::Config;

/// What can be done with webhooks.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Send a test message to each, once, and tell what it answers; exit 1 if one does not take it.
    Test {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        conf: PathBuf,
        /// Only to the webhook of this name.
        #[arg(long, value_name = "NAME")]
        hook: Option<String>,
    },
}

/// Does it.
pub fn webhooks(command: &Command) -> anyhow::Result<()> {
    let Command::Test { conf, hook } = command;
    let config = Config::load(conf)?;
    let tried = try_webhooks(&config, hook.as_deref())?;
    let width = tried.iter().map(|t| t.hook.chars().count()).max().unwrap_or(0);
    for one in &tried {
        println!("{:width$}  {}", one.hook, told(one));
    }
    let failed = tried.iter().filter(|t| !t.said.taken).count();
    if failed > 0 {
        bail!("{failed} of {} did not take the test message", tried.len());
    }
    Ok(())
}

fn told(one: &Tried) -> String {
    let ms = one.said.took.as_millis();
    match &one.said.answer {
        Ok((status, _)) if one.said.taken => format!("taken: {status} in {ms} ms"),
        Ok((status @ 300..=399, _)) => {
            format!(
                "not taken: {status} in {ms} ms; redirects are not followed, write the URL that it leads to"
            )
        }
        Ok((status @ (401 | 403), body)) => format!(
            "not taken: {status} in {ms} ms{}; look at its headers and its secret",
            quoted(body)
        ),
        Ok((status, body)) => format!("not taken: {status} in {ms} ms{}", quoted(body)),
        Err(why) => format!("not taken: {why}"),
    }
}

/// The first line of what it says, as far as it can be shown.
fn quoted(body: &str) -> String {
    const SHOWN: usize = 120;
    let line = body.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let shown: String = line.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if shown.is_empty() { shown } else { format!(", \"{shown}\"") }
}

//! `segue reload`: tells the running proxy to take its changed configuration.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use segue::config::Config;

use super::{check, pid};

/// Checks the file here first, so that what is wrong with it is told here and not only in the
/// proxy's log; then sends SIGHUP.
pub fn reload(conf: &Path) -> anyhow::Result<()> {
    let config = Config::load(conf)?;
    check::print_warnings(conf, &config);
    let pid = pid::running(&config.server.pid_file)?;
    // The shell's own kill: a signal cannot be sent from safe Rust, and slim images have no /bin/kill.
    let sent = Command::new("sh").args(["-c", "kill -HUP \"$0\"", &pid.to_string()]).status();
    if !sent.context("cannot run sh")?.success() {
        bail!("cannot send SIGHUP to process {pid}");
    }
    println!("Process {pid} was told to take {}; its log says whether it did.", conf.display());
    Ok(())
}

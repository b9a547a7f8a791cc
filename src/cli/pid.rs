//! Finding the running process by the file that holds its id, for `segue reload`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

/// The id in `path`, if a process of that id runs this program.
pub fn running(path: &Path) -> anyhow::Result<u32> {
    let text = fs::read_to_string(path).with_context(|| {
        format!("no proxy is running with this configuration: its pid file {}", path.display())
    })?;
    let pid: u32 =
        text.trim().parse().with_context(|| format!("{} holds no process id", path.display()))?;
    // The file outlives a killed process, and its number may be another program's by now.
    let name = |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name(&pid.to_string()) != name("self") {
        bail!(
            "no proxy is running with this configuration: process {pid} of {} is gone",
            path.display()
        );
    }
    Ok(pid)
}

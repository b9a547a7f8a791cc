//! The file that holds the running process's id, so that `segue reload` finds it.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};

/// Writes this process's id to `path`; makes its directory, for this user alone, if need be.
/// A new process that takes over simply writes its own.
pub fn write(path: &Path) -> anyhow::Result<()> {
    let at = || format!("the pid file {}", path.display());
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(at)?;
    }
    // By way of another name, so that nobody reads half a number.
    let new = path.with_extension("pid.new");
    fs::write(&new, format!("{}\n", std::process::id())).with_context(at)?;
    fs::rename(&new, path).with_context(at)
}

/// The id in `path`, if a process of that id runs this program.
pub fn running(path: &Path) -> anyhow::Result<u32> {
    let text = fs::read_to_string(path).with_context(|| {
        format!(
            "no proxy is running with this configuration: its pid file {}",
            path.display()
        )
    })?;
    let pid: u32 = text
        .trim()
        .parse()
        .with_context(|| format!("{} holds no process id", path.display()))?;
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

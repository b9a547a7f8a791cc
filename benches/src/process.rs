//! Processes and what they have used, from /proc.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Clock ticks of /proc/PID/stat in a second: 100 on every Linux that is not exotic.
const TICKS_PER_SECOND: u64 = 100;
/// What a page counts in /proc/PID/statm on the machines this runs on.
const PAGE: u64 = 4096;

/// The processor for servers and the one for wrk, where there are two.
#[derive(Clone, Copy)]
pub enum Processor {
    Server,
    Load,
}

/// A command that runs on one processor alone.
pub fn pinned(program: &str, processor: Processor) -> Command {
    let several = std::thread::available_parallelism().is_ok_and(|n| n.get() > 1);
    if !several {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args([
        "-c",
        match processor {
            Processor::Server => "0",
            Processor::Load => "1",
        },
    ]);
    command.arg(program);
    command
}

/// A process and all its children, ended when dropped.
pub struct Tree {
    child: Child,
}

impl Tree {
    /// Starts it. What it says goes to `log`, to be looked at if it does not start.
    pub fn start(mut command: Command, log: &std::path::Path) -> Result<Self> {
        let file = fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        Ok(Self { child })
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Processor time of user and system, of all processes of the tree.
    pub fn cpu(&self) -> Duration {
        let ticks: u64 = self.ids().iter().filter_map(|id| ticks(*id)).sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    /// Resident bytes of all processes of the tree.
    pub fn resident(&self) -> u64 {
        self.ids().iter().filter_map(|id| resident(*id)).sum()
    }

    fn ids(&self) -> Vec<u32> {
        let mut ids = vec![self.child.id()];
        let mut at = 0;
        while let Some(parent) = ids.get(at).copied() {
            let path = format!("/proc/{parent}/task/{parent}/children");
            let children = fs::read_to_string(path).unwrap_or_default();
            ids.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            at += 1;
        }
        ids
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // The youngest first, so that no parent starts them again; each by its own id.
        let mut ids = self.ids();
        ids.reverse();
        for id in ids {
            let _ =
                Command::new("kill").args(["-9", &id.to_string()]).stderr(Stdio::null()).status();
        }
        let _ = self.child.wait();
    }
}

fn ticks(id: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // After the name in parentheses, which may hold anything: utime is field 14, stime 15.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn resident(id: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
    Some(statm.split_whitespace().nth(1)?.parse::<u64>().ok()? * PAGE)
}

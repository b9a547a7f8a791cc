//! Groups of packagers that come and go: who belongs to them is looked up again and again, in DNS or in a
//! file.
//!
//! `look` the loops that ask; `list` what stands in a file; `kept` what a restarted process knows before
//! the first answer. What an answer means is decided in `model/discovery`, what follows from it in `app`.

mod kept;
mod list;
mod look;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::model::discovery::{Change, Group, Lanes, Rules};
use crate::model::names::{PackagerId, UnixMs};

pub use look::Discovery;

/// A group as it is configured. Its name is that of its entry among the packagers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// Its name: its packagers' ids begin with it.
    pub group: PackagerId,
    /// What says who belongs to it.
    pub source: Source,
    /// Packagers at the most.
    pub members_max: usize,
    /// One that has left is forgotten after so long, whatever lanes are on it.
    pub leave_within: Duration,
}

/// What says who belongs to a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Each address of this name.
    Dns(String),
    /// The list in this file.
    File(PathBuf),
}

/// Where a packager of a group is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// An address of the group's name.
    Address(IpAddr),
    /// An item of its file.
    Item {
        /// Where it answers.
        url: String,
        /// Its zone; none: the group's.
        zone: Option<String>,
        /// Its weight; none: the group's.
        weight: Option<u32>,
    },
}

/// Hears of every look-up.
pub trait Observer: Send + Sync {
    /// One ended: `ok`, or why it brought nothing.
    fn looked_up(&self, group: &PackagerId, outcome: &'static str);
}

/// A group as it stands.
#[derive(Clone, Debug)]
pub struct GroupState {
    /// How it is configured.
    pub spec: GroupSpec,
    /// Who belongs to it.
    pub group: Group<Place>,
    /// Why the last look-up brought nothing; empty where it did.
    pub cause: String,
}

/// How answers of name servers are taken: three in a row must not name a packager, over 5 s.
const ANSWERS: u32 = 3;
const ABSENT_MIN: Duration = Duration::from_secs(5);

impl GroupSpec {
    /// How its answers are taken.
    #[must_use]
    pub const fn rules(&self) -> Rules {
        let (answers, absent_min) = match self.source {
            Source::Dns(_) => (ANSWERS, ABSENT_MIN),
            // Whoever writes the file knows.
            Source::File(_) => (1, Duration::ZERO),
        };
        let (members_max, leave_within) = (self.members_max, self.leave_within);
        Rules { members_max, answers, absent_min, leave_within }
    }
}

/// All groups.
pub struct Groups {
    table: Mutex<BTreeMap<PackagerId, GroupState>>,
    /// Where they are remembered; none: nowhere.
    file: Option<PathBuf>,
    ticks: watch::Sender<u64>,
}

impl Groups {
    /// The groups of `specs`, with those packagers that `file` remembers.
    #[must_use]
    pub fn open(specs: Vec<GroupSpec>, file: Option<PathBuf>, now: UnixMs) -> Arc<Self> {
        let known = file.as_deref().map(kept::read).unwrap_or_default();
        let state = |spec: GroupSpec| {
            let members = kept::members_of(&known, &spec);
            if !members.is_empty() {
                tracing::info!(target: "segue::packagers", group = %spec.group, packagers = members.len(), "a group is as it was known last");
            }
            let group = Group::remembered(members, now);
            (spec.group.clone(), GroupState { spec, group, cause: String::new() })
        };
        let table = specs.into_iter().map(state).collect();
        Arc::new(Self { table: Mutex::new(table), file, ticks: watch::Sender::new(0) })
    }

    /// Groups as they stand, by name.
    #[must_use]
    pub fn all(&self) -> Vec<GroupState> {
        self.table.lock().values().cloned().collect()
    }

    /// Changes whenever somebody joins, moves or leaves, and at each reload.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.ticks.subscribe()
    }

    /// The groups as they would stand with `specs`: one that is looked up as before keeps its packagers.
    #[must_use]
    pub fn with(&self, specs: Vec<GroupSpec>) -> Vec<GroupState> {
        let table = self.table.lock();
        let state = |spec: GroupSpec| {
            let known = table.get(&spec.group).filter(|known| known.spec.source == spec.source);
            match known {
                Some(known) => GroupState { spec, ..known.clone() },
                None => GroupState { spec, group: Group::default(), cause: String::new() },
            }
        };
        specs.into_iter().map(state).collect()
    }

    /// Takes `specs` in place of what was. See [`Groups::with`].
    pub fn reload(&self, specs: Vec<GroupSpec>) {
        let states = self.with(specs).into_iter().map(|s| (s.spec.group.clone(), s)).collect();
        *self.table.lock() = states;
        self.changed();
    }

    /// Forgets those that have left, by what `lanes` says is on them.
    pub fn forget(&self, now: UnixMs, lanes: impl Fn(&PackagerId) -> Lanes) {
        let mut some = false;
        for state in self.table.lock().values_mut() {
            let changes = state.group.forget(now, &lanes, &state.spec.rules());
            some |= !changes.is_empty();
            tell(&state.spec, &changes);
        }
        if some {
            self.changed();
        }
    }

    /// One look-up of that group has come to an end. An answer that comes too late for a changed
    /// configuration is of no interest.
    fn looked_up(&self, spec: &GroupSpec, now: UnixMs, outcome: Result<Answer, String>) {
        let mut table = self.table.lock();
        let Some(state) = table.get_mut(&spec.group).filter(|s| s.spec.source == spec.source)
        else {
            return;
        };
        let group = spec.group.as_str();
        match outcome {
            Ok(Answer { named, ttl }) => {
                let refused = state.group.refused();
                let changes = state.group.answer(now, named, ttl, &state.spec.rules());
                tell(&state.spec, &changes);
                if !state.cause.is_empty() {
                    state.cause.clear();
                    tracing::info!(target: "segue::packagers", group, "the group can be looked up again");
                }
                if state.group.refused() > refused {
                    let packagers_max = state.spec.members_max;
                    tracing::warn!(target: "segue::packagers", group, packagers_max, refused = state.group.refused(), "more packagers than the group may have: the others get no lanes");
                }
                drop(table);
                if !changes.is_empty() {
                    self.changed();
                    self.remember();
                }
            }
            Err(cause) => {
                if state.cause != cause {
                    let known = state.group.count().0;
                    tracing::warn!(target: "segue::packagers", group, cause, known, "the group cannot be looked up: it stays as it is");
                }
                state.cause = cause;
            }
        }
    }

    fn changed(&self) {
        self.ticks.send_modify(|tick| *tick = tick.wrapping_add(1));
    }

    /// Writes down who belongs where, for a process that is started while nobody can be asked.
    fn remember(&self) {
        let Some(file) = self.file.as_deref() else { return };
        let text = kept::text(self.table.lock().values());
        if let Err(error) = kept::write(file, &text) {
            tracing::warn!(target: "segue::packagers", file = %file.display(), %error, "groups cannot be remembered");
        }
    }
}

/// What a look-up brought.
struct Answer {
    named: Vec<(PackagerId, Place)>,
    ttl: Duration,
}

fn tell(spec: &GroupSpec, changes: &[Change]) {
    let group = spec.group.as_str();
    let by = match &spec.source {
        Source::Dns(name) => name.clone(),
        Source::File(path) => path.display().to_string(),
    };
    for change in changes {
        let id = match change {
            Change::Joined(id)
            | Change::Back(id)
            | Change::Moved(id)
            | Change::Left(id)
            | Change::Forgotten(id) => id.as_str(),
        };
        let what = match change {
            Change::Joined(_) => "packager joined: it gets lanes once its checks are good",
            Change::Back(_) => "packager is back before it was gone",
            Change::Moved(_) => "packager has another address, zone or weight",
            Change::Left(_) => "packager left: no new lanes, and those on it leave",
            Change::Forgotten(_) => "packager that left is forgotten",
        };
        tracing::info!(target: "segue::packagers", packager = id, group, by, "{what}");
    }
}

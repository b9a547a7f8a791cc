//! What operators are told who take packagers out and bring them back.

use serde::Serialize;

use super::admin::Reply;
use crate::model::names::{PackagerId, UnixMs};

/// A packager as it stands now, on this proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackagerState {
    /// Which.
    pub packager: PackagerId,
    /// Its pool.
    pub pool: String,
    /// What its checks say: `up`, `down`, `new` or `unknown`.
    pub health: String,
    /// It is taken out.
    pub drained: bool,
    /// Since when, Unix milliseconds.
    pub drained_since: Option<UnixMs>,
    /// Lanes that are on it: with none left it can be stopped.
    pub lanes: usize,
    /// Packagers beside it that are up and not taken out: with none its lanes stay.
    pub siblings: usize,
}

/// Why it is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DrainError {
    /// No such packager is configured; these are.
    #[error("no such packager; there are {}", list(.0))]
    NoPackager(Vec<PackagerId>),
    /// It would be forgotten with the next restart.
    #[error("not done: {0}")]
    Store(String),
}

fn list(ids: &[PackagerId]) -> String {
    let ids: Vec<&str> = ids.iter().map(PackagerId::as_str).collect();
    if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
}

/// The answer to whoever asked.
pub(super) fn reply(state: Result<PackagerState, DrainError>) -> Reply {
    match state {
        Ok(state) => Reply::json(&state),
        Err(error @ DrainError::NoPackager(_)) => Reply::line(404, &error.to_string()),
        Err(error @ DrainError::Store(_)) => Reply::line(503, &error.to_string()),
    }
}

/// `/packagers/{id}/drain` and `/packagers/{id}/undrain`: whom, and whether out.
pub(super) fn asked(path: &str) -> Option<(PackagerId, bool)> {
    let (id, act) = path.strip_prefix("/packagers/")?.split_once('/')?;
    match act {
        "drain" => Some((PackagerId::new(id), true)),
        "undrain" => Some((PackagerId::new(id), false)),
        _ => None,
    }
}

//! Headers and steps as text, for stores that keep them so: what an older version wrote reads the same for
//! ever, and what a newer one wrote is told apart from damage.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::model::lane::{FORMAT, Header, Step};
use crate::model::names::LaneId;

/// A header of `lane`.
pub fn read_header(lane: &LaneId, text: &str) -> Result<Header, StoreError> {
    from_text(lane, text, |header: &Header| header.format)
}

/// A step of `lane`.
pub fn read_step(lane: &LaneId, text: &str) -> Result<Step, StoreError> {
    from_text(lane, text, |step: &Step| step.format)
}

/// What the two above read.
pub fn to_text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Unreadable(e.to_string()))
}

/// The store's copy of `lane` cannot be used.
pub fn damaged(lane: &LaneId, why: &str) -> StoreError {
    StoreError::Unreadable(format!("lane {lane}: {why}"))
}

fn from_text<T: DeserializeOwned>(
    lane: &LaneId,
    text: &str,
    format: impl Fn(&T) -> u16,
) -> Result<T, StoreError> {
    // Asked first: a newer format may not even parse, and the operator should hear why.
    #[derive(serde::Deserialize)]
    struct Versioned {
        format: u16,
    }
    let parsed: Result<T, _> = serde_json::from_str(text);
    let written = parsed
        .as_ref()
        .map_or_else(|_| serde_json::from_str(text).map_or(0, |v: Versioned| v.format), format);
    if written > FORMAT {
        let why = format!("format {written} is of a newer Segue, this one knows up to {FORMAT}");
        return Err(damaged(lane, &why));
    }
    parsed.map_err(|e| damaged(lane, &e.to_string()))
}

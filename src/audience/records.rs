//! The text of the records that are kept over restarts.

use crate::model::viewers::{Kept, Ledger, Row};

/// The ledger of what was kept. A record that cannot be read, of a later version perhaps, is left out.
#[must_use]
pub fn from_records(records: &[String]) -> Ledger {
    let read = |record: &String| match serde_json::from_str::<Kept>(record) {
        Ok(kept) => Some(kept),
        Err(error) => {
            tracing::warn!(%error, record, "a record of viewers is not understood");
            None
        }
    };
    Ledger::from_kept(records.iter().filter_map(read))
}

/// What changed, as it is kept.
#[must_use]
pub fn to_records(rows: &[Row]) -> Vec<(String, Option<String>)> {
    let text = |kept: &Kept| serde_json::to_string(kept).ok();
    rows.iter().map(|(name, kept)| (name.to_string(), kept.as_ref().and_then(text))).collect()
}

//! A lane's log as one proxy gives it to another.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::lane::{Header, Log, Step};
use crate::model::names::{LaneId, StreamKey};
use crate::store::StoredLane;

/// Longest log that is given or taken, bytes; of a longer one the oldest steps are left out.
pub(super) const BYTES_MAX: u64 = 16 << 20;

/// A longer one is not read beside others' work, bytes: this much takes about a millisecond.
const AT_ONCE_MAX: usize = 64 << 10;

/// Which lane is asked for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub stream: StreamKey,
    pub lane: LaneId,
}

impl Wanted {
    /// As it stands in a query.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads what `text` makes.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

#[derive(Serialize)]
struct Written<'a> {
    header: &'a Header,
    steps: &'a [Step],
}

#[derive(Deserialize)]
struct Came {
    header: Header,
    steps: Vec<Step>,
}

/// The log as it is sent.
pub(super) fn write(lane: &StoredLane) -> Vec<u8> {
    let mut steps = lane.steps.as_slice();
    loop {
        let written = Written { header: &lane.header, steps };
        let text = serde_json::to_vec(&written).unwrap_or_default();
        let length = text.len() as u64;
        if length <= BYTES_MAX || steps.is_empty() {
            return text;
        }
        // Its length tells how many are short enough, where steps are about as long as each other: an eighth fewer.
        let fit = (steps.len() as u64).saturating_mul(BYTES_MAX) / length;
        let fit = usize::try_from(fit - fit / 8).unwrap_or_default();
        steps = steps.get(steps.len() - fit..).unwrap_or_default();
    }
}

/// The log that came, if it is one of the lane that was asked for, without holes.
pub(super) fn read(body: &[u8], wanted: &Wanted) -> Option<StoredLane> {
    let Came { header, steps } = serde_json::from_slice(body).ok()?;
    if header.lane != wanted.lane || header.stream != wanted.stream {
        return None;
    }
    let mut log = Log::new(Arc::new(header));
    for step in steps {
        log.push(step).ok()?;
    }
    let header = Header::clone(log.header());
    Some(StoredLane { header, steps: log.steps().cloned().collect() })
}

/// The same, on a thread that serves nobody else where it is long.
pub(super) async fn read_aside(body: Bytes, wanted: &Arc<Wanted>) -> Option<StoredLane> {
    if body.len() <= AT_ONCE_MAX {
        return read(&body, wanted);
    }
    let wanted = Arc::clone(wanted);
    tokio::task::spawn_blocking(move || read(&body, &wanted)).await.ok()?
}

/// Which of two logs goes on further.
pub(super) fn longer(one: StoredLane, other: StoredLane) -> StoredLane {
    let reach = |lane: &StoredLane| (lane.steps.last().map(|s| s.msn), lane.steps.len());
    if reach(&other) > reach(&one) { other } else { one }
}

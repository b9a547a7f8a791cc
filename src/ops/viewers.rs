//! How many watch, for operators: the page, and what a CDN's log says.

use super::admin::Reply;
use crate::model::viewers::log::Report;

/// A page of its own: nothing is loaded from elsewhere but `status.json` beside it.
const PAGE: &str = include_str!("page.html");
/// Longest report that is read.
pub(super) const REPORT_BYTES_MAX: usize = 4 << 20;

pub(super) fn page() -> Reply {
    Reply { status: 200, content_type: "text/html; charset=utf-8", body: PAGE.as_bytes().to_vec() }
}

/// What became of a report. `take`: how many of its lanes belong to streams of ours.
pub(super) fn heard(body: Option<&[u8]>, take: impl FnOnce(Report) -> usize) -> Reply {
    let Some(body) = body else { return Reply::line(413, "the report is too long") };
    match serde_json::from_slice::<Report>(body) {
        Ok(report) => {
            let lanes = report.streams.len();
            let taken = take(report);
            Reply::json(&serde_json::json!({ "lanes": lanes, "taken": taken }))
        }
        Err(error) => Reply::line(400, &format!("no report of viewers: {error}")),
    }
}

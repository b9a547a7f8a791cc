//! The secret header that a CDN puts on its requests: whatever comes without it came around the CDN and is
//! refused before anything else is looked at. Health pages are answered all the same.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderName;
use pingora::http::RequestHeader;

use super::errors::Failure;
use super::lanes::Lanes;
use super::{Context, Front, unix_s};

/// How often the log tells of refused requests, seconds.
const TOLD_EVERY_S: u64 = 60;

/// A header and the values that open. Holds hashes only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    name: HeaderName,
    values: Vec<blake3::Hash>,
}

impl Gate {
    /// Requests show one of `values` in the header `name`: several, while one takes the place of another.
    pub fn new<'a>(name: HeaderName, values: impl IntoIterator<Item = &'a str>) -> Self {
        let values = values.into_iter().map(|value| blake3::hash(value.as_bytes()));
        Self { name, values: values.collect() }
    }

    /// Compares by hash, and all of them: how long it takes tells nothing of where values differ.
    fn opens_for(&self, request: &RequestHeader) -> bool {
        let mut opens = false;
        for shown in request.headers.get_all(&self.name) {
            let shown = blake3::hash(shown.as_bytes());
            for value in &self.values {
                opens |= *value == shown;
            }
        }
        opens
    }
}

/// What is told of refused requests.
#[derive(Debug, Default)]
pub(super) struct Gatekeeper {
    since: AtomicU64,
    told_at_s: AtomicU64,
}

impl Gatekeeper {
    /// Counts one. How many there were since the last time, where it is time to tell.
    fn refused(&self, now_s: u64) -> Option<u64> {
        self.since.fetch_add(1, Ordering::Relaxed);
        let told = self.told_at_s.load(Ordering::Relaxed);
        let due = now_s >= told.saturating_add(TOLD_EVERY_S);
        let tells = due
            && self
                .told_at_s
                .compare_exchange(told, now_s, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        tells.then(|| self.since.swap(0, Ordering::Relaxed))
    }
}

impl<L: Lanes> Front<L> {
    /// Refuses what did not come through the CDN: does not open the `gate` of its pool, where that has one.
    pub(super) fn pass_gate(
        &self,
        request: &RequestHeader,
        gate: Option<&Gate>,
        context: &Context,
    ) -> Result<(), Failure> {
        let Some(gate) = gate else { return Ok(()) };
        if request.raw_path().starts_with(b"/.segue/") || gate.opens_for(request) {
            return Ok(());
        }
        self.observer.not_through_cdn();
        if let Some(requests) = self.gatekeeper.refused(unix_s()) {
            let peer = context.client.address.map(|address| address.to_string());
            tracing::warn!(requests, peer, "refused: they do not show origin_secret_header");
        }
        Err(Failure::Gate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens() {
        let gate = Gate::new(HeaderName::from_static("x-origin-secret"), ["new", "old"]);
        for (name, values, opens) in [
            ("x-origin-secret", &["new"][..], true),
            ("X-Origin-Secret", &["old"], true),
            ("x-origin-secret", &["wrong", "old"], true),
            ("x-origin-secret", &["wrong"], false),
            ("x-origin-secret", &[""], false),
            ("x-origin-secret", &["new, old"], false),
            ("x-origin-secret", &[], false),
            ("x-other", &["new"], false),
        ] {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            for value in values {
                request.append_header(name, *value).unwrap();
            }
            assert_eq!(gate.opens_for(&request), opens, "{name} {values:?}");
        }
        assert!(!format!("{gate:?}").contains("new"));
    }

    #[test]
    fn the_log_tells_once_a_minute_and_counts() {
        let keeper = Gatekeeper::default();
        let told = [100, 100, 130, 159, 160, 161].map(|now| keeper.refused(now));
        assert_eq!(told, [Some(1), None, None, None, Some(4), None]);
    }
}

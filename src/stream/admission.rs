//! Whether a viewer is let in, where a pool's packagers decide that of each: his entry request is asked of
//! one of them anew, and all that is taken of the answer is its verdict.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;

use super::{Refusal, Streams};
use crate::model::names::{PackagerId, StreamKey, UnixMs};
use crate::model::playlist;
use crate::model::shown::Shown;
use crate::origin::OriginError;
use crate::packagers::Packager;

/// One packager's time to answer while there are others: two fit into [`ALL_WITHIN`].
const DEADLINE: Duration = Duration::from_secs(2);
/// A verdict comes within this, or none does: the first playlist is waited for as well, and players
/// wait for 6 s.
const ALL_WITHIN: Duration = Duration::from_secs(4);
/// One that gave no verdict is asked last for this long, so that not every viewer waits for it.
const ASKED_LAST_FOR: Duration = Duration::from_secs(5);

/// What one packager said of a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// He is let in.
    Allowed,
    /// He is not.
    Refused,
    /// There is no such stream.
    Gone,
    /// Nothing: it fails, is late, or answers with what is no playlist.
    None,
}

impl Verdict {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Gone => "gone",
            Self::None => "none",
        }
    }

    fn of(answer: &Result<bytes::Bytes, OriginError>) -> Self {
        match answer {
            Ok(body) if playlist::shape(body).is_ok() => Self::Allowed,
            Err(error) if error.is_gone() => Self::Gone,
            // Too early and too many: not of this viewer.
            Err(OriginError::Status(408 | 425 | 429)) => Self::None,
            // A redirect elsewhere leads to a page where viewers sign in.
            Err(OriginError::Status(400..=499) | OriginError::Redirect(_)) => Self::Refused,
            Ok(_) | Err(_) => Self::None,
        }
    }
}

/// Who gave no verdict lately, and when.
#[derive(Default)]
pub(super) struct Lately(DashMap<PackagerId, UnixMs>);

impl Lately {
    /// True where that is news.
    fn failed(&self, id: &PackagerId, now: UnixMs) -> bool {
        let news = !self.has_failed(id, now);
        self.0.retain(|_, at| now.since(*at) < ASKED_LAST_FOR);
        self.0.insert(id.clone(), now);
        news
    }

    fn has_failed(&self, id: &PackagerId, now: UnixMs) -> bool {
        self.0.get(id).is_some_and(|at| now.since(*at) < ASKED_LAST_FOR)
    }
}

impl Streams {
    /// Asks a packager whether this viewer is let in to `stream`, and the next one if it gives no
    /// verdict. Never shared with others.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] and [`Refusal::NoStream`] where a packager says so,
    /// [`Refusal::NoPackager`] where none says anything in time.
    pub async fn admit(&self, stream: &StreamKey, shown: &Shown) -> Result<(), Refusal> {
        let clock = self.deps.clock;
        let began = clock.now();
        let path = stream.path_and_query();
        let mut last = Refusal::NoPackager;
        let mut askable = self.askable(stream).into_iter().peekable();
        while let Some((packager, watched)) = askable.next() {
            // That there is no such stream is its word alone while others are known to have it.
            if last == Refusal::NoStream && !watched {
                continue;
            }
            let left = ALL_WITHIN.saturating_sub(clock.now().since(began));
            if left.is_zero() {
                break;
            }
            let id = &packager.id;
            let asked = clock.now();
            // The first to ask an edge for a stream waits until it has it.
            let deadline = if askable.peek().is_some() { left.min(DEADLINE) } else { left };
            let answer = self.deps.origin.entry(id, &path, shown, deadline).await;
            let verdict = Verdict::of(&answer);
            self.deps.observer.admission(id, verdict, clock.now().since(asked));
            match verdict {
                Verdict::Allowed => return Ok(()),
                Verdict::Refused => return Err(Refusal::NotAllowed),
                Verdict::Gone => last = Refusal::NoStream,
                // That many wait for it is no fault of its.
                Verdict::None if answer == Err(OriginError::Busy) => {}
                Verdict::None => self.tell_failed(stream, id, &answer),
            }
        }
        Err(last)
    }

    fn tell_failed(
        &self,
        stream: &StreamKey,
        id: &PackagerId,
        answer: &Result<bytes::Bytes, OriginError>,
    ) {
        if self.lately.failed(id, self.deps.clock.now()) {
            let error = answer.as_ref().err().map_or("no playlist".to_owned(), ToString::to_string);
            tracing::warn!(stream = %stream, packager = %id, %error, "does not say who is let in: others are asked");
        }
    }

    /// Who is asked, best first, and whether he is known to have the stream: those that carry it or stand
    /// by for it, so that others get no request for it; those that are up; own zone first.
    fn askable(&self, stream: &StreamKey) -> Vec<(Arc<Packager>, bool)> {
        let Some(pool) = self.deps.pools.get(&stream.pool) else { return Vec::new() };
        let status = self.slots.get(stream).and_then(|slot| slot.status.load_full());
        let carries = |id: &PackagerId| {
            let mut lanes = status.iter().flat_map(|s| &s.lanes);
            lanes.any(|lane| lane.packager.as_ref() == Some(id))
        };
        let moves = |id: &PackagerId| {
            let mut packagers = status.iter().flat_map(|s| &s.packagers);
            packagers.any(|p| p.packager == *id && p.state == "moves")
        };
        let now = self.deps.clock.now();
        let order = pool.preference(&self.deps.zone, &carries);
        let mut all: Vec<Arc<Packager>> = order.into_iter().map(|(p, _)| p).collect();
        if all.iter().any(|p| p.health().is_usable()) {
            all.retain(|p| p.health().is_usable());
        }
        // Stable: what is alike stays in the pool's order.
        all.sort_by_cached_key(|p| {
            let failed = self.lately.has_failed(&p.id, now);
            (failed, p.drained().is_some(), !carries(&p.id), !moves(&p.id))
        });
        all.into_iter().map(|p| (p.clone(), carries(&p.id) || moves(&p.id))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn verdicts() {
        let body = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
        for (answer, verdict) in [
            (body("#EXTM3U\n#EXT-X-TARGETDURATION:2\n"), Verdict::Allowed),
            (body("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n"), Verdict::Allowed),
            (body("<html>Sign in</html>"), Verdict::None),
            (body(""), Verdict::None),
            (Err(OriginError::Status(400)), Verdict::Refused),
            (Err(OriginError::Status(401)), Verdict::Refused),
            (Err(OriginError::Status(403)), Verdict::Refused),
            (Err(OriginError::Status(404)), Verdict::Gone),
            (Err(OriginError::Status(410)), Verdict::Gone),
            (Err(OriginError::Status(429)), Verdict::None),
            (Err(OriginError::Status(500)), Verdict::None),
            (Err(OriginError::Redirect("https://sso/".into())), Verdict::Refused),
            (Err(OriginError::Timeout(DEADLINE)), Verdict::None),
            (Err(OriginError::Connect("refused".into())), Verdict::None),
            (Err(OriginError::Truncated(3)), Verdict::None),
            (Err(OriginError::Busy), Verdict::None),
        ] {
            assert_eq!(Verdict::of(&answer), verdict, "{answer:?}");
        }
    }

    #[test]
    fn who_failed_is_told_once_in_a_while() {
        let (lately, id) = (Lately::default(), PackagerId::new("a"));
        let after = |ms: u64| UnixMs(1_000_000 + ms);
        assert!(!lately.has_failed(&id, after(0)));
        assert!(lately.failed(&id, after(0)));
        assert!(!lately.failed(&id, after(4_000)));
        assert!(lately.has_failed(&id, after(8_000)));
        assert!(!lately.has_failed(&id, after(9_000)));
        assert!(lately.failed(&id, after(9_000)));
    }
}

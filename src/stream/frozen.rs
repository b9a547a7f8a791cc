//! What is frozen in a lane's header when it opens, and what has to be fetched for it first.

use std::time::Duration;

use bytes::Bytes;

use super::Refusal;
use super::fetching::outcome;
use super::source::{EntryState, Session, Shown, Source};
use super::worker::{Event, Worker};
use crate::model::lane::{Container, FORMAT, Header, Seen, SessionResource, Track, Want, What};
use crate::model::multivariant::{self, Resource};
use crate::model::names::{LaneId, OutputMsn, PackagerId, RenditionId, UnixMs};
use crate::model::playlist::Extent;
use crate::model::rendition::{Rendition, Traits};
use crate::model::uri;

/// The longest target duration, seconds: what a packager claims beyond is listed as it is.
const TARGET_MAX: u32 = 60;
/// Session resources are of little weight; more is none of them.
const SESSION_BYTES_MAX: usize = 256 << 10;
/// They are waited for no longer than this: a lane opens without them.
const SESSION_TIME: Duration = Duration::from_secs(2);

impl Worker {
    /// Where the URLs of this zone's viewers begin.
    pub(super) fn place(&self, zone: &str) -> multivariant::Place {
        let base = self.settings.url_base.as_ref().map(|base| base.for_zone(zone));
        multivariant::Place::new(&self.key.path, base.as_deref())
    }

    /// What is frozen when a lane opens on `id`. `Ok(None)`: bytes have to come first.
    pub(super) async fn header(
        &mut self,
        now: UnixMs,
        id: &PackagerId,
        lane: LaneId,
        zone: &str,
        again: bool,
    ) -> Result<Option<Header>, Refusal> {
        let Some(source) = self.sources.get(id) else { return Ok(None) };
        let Some((&at, shown)) = source.shown.iter().find(|(_, s)| !s.track.segments().is_empty())
        else {
            return Ok(None);
        };
        let track = &shown.track;
        let mapped = track.newest().is_some_and(|s| s.listed.map.is_some());
        let container = if mapped { Container::FragmentedMp4 } else { Container::Plain };
        let place = self.place(zone);
        let mut session = Vec::new();
        let (renditions, pieces) = match &source.entry {
            EntryState::Multivariant(m, _) => {
                let Session::Held(resources) = &source.session else {
                    self.ask_session(id);
                    return Ok(None);
                };
                let name = |r: &Option<SessionResource>| r.as_ref().map(|r| r.name.clone());
                let names: Vec<Option<String>> = resources.iter().map(name).collect();
                session = resources.iter().flatten().cloned().collect();
                (m.renditions(), m.pieces(&place, &names))
            }
            EntryState::Lone | EntryState::Unknown => {
                let Some(bandwidth) = bandwidth(track) else {
                    self.fetch_newest(id, at);
                    return Ok(None);
                };
                (vec![lone(bandwidth)], multivariant::wrap(&place, bandwidth, None))
            }
        };
        let old = shown.deep.as_deref().unwrap_or_default();
        let seen = track.segments().iter().skip(track.listed_from()).map(Seen::duration);
        let list: Duration = old.iter().map(|l| l.segment.duration).chain(seen).sum();
        let extent = extent(source, shown, again);
        let long = self.settings.is_long(list);
        let deep = !again && (long || extent != Extent::Sliding);
        let dates = track.newest().is_some_and(|s| s.wall_end.is_some());
        let start = shown.head.start.clone();
        let depth = if deep { old.len() + track.segments().len() } else { 0 };
        let target = self.target_duration(track).await?;
        let least = Duration::from_secs(u64::from(target)) * 3;
        let most = if again { self.settings.hold } else { Duration::MAX };
        let window = self.settings.window.unwrap_or(list.min(most)).max(least);
        Ok(Some(Header {
            format: FORMAT,
            lane,
            stream: self.key.clone(),
            zone: zone.to_owned(),
            renditions,
            multivariant: pieces,
            target_duration: target,
            version: self.version(container),
            container,
            independent_segments: self.independent(),
            extent,
            dates,
            start,
            resources: session,
            window,
            depth_held: self.settings.hold.max(self.settings.window.unwrap_or_default()),
            first_msn: first_number(now, extent, depth),
            first_discontinuity: first_discontinuity(now, extent, again),
            opened_at: now,
        }))
    }

    /// Starts to fetch what the multivariant playlist of `id` names beside renditions.
    fn ask_session(&mut self, id: &PackagerId) {
        let hosts = self.deps.hosts_of(id);
        let base = self.key.path_and_query();
        let Some(source) = self.sources.get_mut(id) else { return };
        let EntryState::Multivariant(m, _) = &source.entry else { return };
        if source.session != Session::Unknown {
            return;
        }
        if m.resources.is_empty() {
            source.session = Session::Held(Vec::new());
            let _ = self.outbox.try_send(Event::Look);
            return;
        }
        source.session = Session::Asked;
        let path = |r: &multivariant::SessionResource| uri::resolve(&base, &r.uri, &hosts).ok();
        let wanted: Vec<_> = m.resources.iter().map(|r| (r.kind, path(r))).collect();
        let (deps, id, out) = (self.deps.clone(), id.clone(), self.outbox.clone());
        let opening = deps.clock.now();
        tokio::spawn(async move {
            let each = wanted.into_iter().enumerate().map(|(n, (kind, path))| {
                let (deps, id) = (&deps, &id);
                async move {
                    let bytes = deps.session_resource(id, kind, &path?).await?;
                    let until = deps.clock.now().plus(Duration::from_secs(600));
                    let held = deps.segments.put(bytes, until).await.ok()?;
                    let name = match kind {
                        // Never stored, and told apart from the keys of another opening.
                        Resource::Key => format!("key-s{n}-{}", opening.0),
                        // Stored for long wherever it passes: its name is its content's.
                        Resource::Data | Resource::Steering => {
                            format!("data-{}.json", held.hash.short())
                        }
                    };
                    Some(SessionResource { name, held })
                }
            });
            let all = futures_util::future::join_all(each).await;
            let _ = out.send(Event::Session(id, all)).await;
        });
    }

    /// The largest EXT-X-VERSION that anything in the lane may need, whichever packager it comes
    /// from (RFC 8216, 7). Low latency, which asks for more, is not carried.
    fn version(&self, container: Container) -> u16 {
        let shown = self.sources.values().flat_map(|s| s.shown.values());
        let least = if container == Container::FragmentedMp4 { 7 } else { 3 };
        let keys = |s: &Shown| s.track.newest().is_some_and(|n| !n.listed.segment.keys.is_empty());
        let of = |s: &Shown| s.head.version.max(if keys(s) { 5 } else { 0 });
        shown.map(of).fold(least, u16::max).min(7)
    }

    /// EXT-X-INDEPENDENT-SEGMENTS: only where it is true of all packagers that may carry the lane.
    fn independent(&self) -> bool {
        let mut shown = self.sources.values().flat_map(|s| s.shown.values());
        shown.all(|s| s.head.independent_segments || s.track.segments().is_empty())
    }

    /// The largest of the floor, what any packager of the pool shows now, and what was seen for
    /// this stream before: it can never change afterwards (RFC 8216, 6.2.1).
    async fn target_duration(&self, track: &Track) -> Result<u32, Refusal> {
        let tracks = self.sources.values().flat_map(|s| s.shown.values().map(|s| &s.track));
        let shown = tracks.chain([track]).map(longest).max().unwrap_or(1);
        let wanted = shown.max(self.settings.target_duration.unwrap_or(1)).max(1);
        Ok(self.deps.store.target_duration(&self.key, wanted).await.unwrap_or(wanted))
    }

    /// A lone media playlist's BANDWIDTH is measured from a segment, which is needed anyway.
    fn fetch_newest(&mut self, id: &PackagerId, at: usize) {
        let Some(track) = self.sources.get(id).and_then(|s| s.shown.get(&at)).map(|s| &s.track)
        else {
            return;
        };
        let Some(seen) =
            track.segments().iter().rev().find(|s| !s.lost() && s.bytes.held.is_none())
        else {
            return;
        };
        let want = Want {
            packager: id.clone(),
            rendition: 0,
            run: track.run(),
            what: What::Segment {
                msn: seen.msn(),
                at: seen.listed.resource.clone(),
                encrypted: seen.listed.segment.keys.iter().any(|k| k.whole_segment),
            },
        };
        let target = Duration::from_secs(u64::from(track.target_duration().max(1)));
        let matched = [(id.clone(), vec![Some(at)])].into();
        self.fetch(&[want], &matched, target);
    }
}

/// A lane whose log was lost opens without its depth: its old numbers named other segments. Those
/// of what is whole never change.
fn extent(source: &Source, shown: &Shown, again: bool) -> Extent {
    match shown.head.extent {
        _ if source.whole() => Extent::Whole,
        _ if again => Extent::Sliding,
        extent => extent,
    }
}

impl super::Deps {
    /// What cannot be had, or would lead players astray, is left out.
    async fn session_resource(&self, id: &PackagerId, kind: Resource, path: &str) -> Option<Bytes> {
        let result = self.origin.segment(id, path, None, SESSION_TIME).await;
        self.observer.fetched(id, outcome(&result), result.as_ref().map_or(0, Bytes::len));
        let bytes = result.ok().filter(|b| !b.is_empty() && b.len() <= SESSION_BYTES_MAX)?;
        let text = String::from_utf8_lossy(&bytes);
        // A steering manifest that wants to be asked for elsewhere would lead past this proxy.
        let astray = kind == Resource::Steering && text.contains("RELOAD-URI");
        (!astray).then_some(bytes)
    }
}

/// The number that a lane opens with: four for each second since November 2023. A lane gains fewer,
/// even with what it lists when it opens, so that one whose log is lost opens above where it was.
/// Below 2^31, which is all that some players hold, until 2040. Steps of the `depth` of a long
/// window come before it; and what is whole has the same numbers whenever it is opened.
fn first_number(now: UnixMs, extent: Extent, depth: usize) -> OutputMsn {
    const BEGAN_MS: u64 = 1_700_000_000_000;
    if extent == Extent::Whole {
        return OutputMsn(1);
    }
    OutputMsn((now.0.saturating_sub(BEGAN_MS) / 250).saturating_sub(depth as u64))
}

/// The discontinuity number that a lane opens with: 0, and for one whose log is lost the minute, counted
/// round every 45 days, and ten thousand: above what it had, unless that was more borders than minutes.
/// It must be small: hls.js walks through all numbers below it, at each refresh and on the page's own
/// thread (`initPTS.some` in 1.7.4: 60 ms for a million), so that a Unix second stops the page.
fn first_discontinuity(now: UnixMs, extent: Extent, again: bool) -> u64 {
    const MINUTES: u64 = 1 << 16;
    if again && extent != Extent::Whole { 10_000 + now.0 / 60_000 % MINUTES } else { 0 }
}

/// EXT-X-TARGETDURATION must not be less than any EXTINF, rounded (RFC 8216, 4.3.3.1).
fn longest(track: &Track) -> u32 {
    let longest = track.segments().iter().map(Seen::duration).max().unwrap_or_default();
    let rounded = (longest + Duration::from_millis(500)).as_secs();
    track.target_duration().max(u32::try_from(rounded).unwrap_or(u32::MAX)).min(TARGET_MAX)
}

/// Peak bit rate of what is held, with a tenth to spare.
fn bandwidth(track: &Track) -> Option<u64> {
    let rates = track.segments().iter().filter_map(|s| {
        let ms = u64::try_from(s.duration().as_millis()).ok()?.max(100);
        Some(s.bytes.held?.length.saturating_mul(8000) / ms)
    });
    rates.max().map(|peak| (peak + peak / 10).max(1))
}

fn lone(bandwidth: u64) -> Rendition {
    Rendition {
        id: RenditionId::new("v0"),
        traits: Traits { bandwidth: Some(bandwidth), ..Traits::default() },
    }
}

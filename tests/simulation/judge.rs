//! Holds every refresh to the laws, by what it has seen before and by the truth in the bytes.

use std::collections::{BTreeMap, VecDeque};

use segue::model::lane::{Splice, SpliceMethod};

use crate::world::Truth;

/// A media playlist as a player reads it.
#[derive(Debug, Default)]
pub struct Read {
    pub target: u64,
    pub first: u64,
    pub discontinuity_sequence: u64,
    pub ended: bool,
    pub segments: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub msn: u64,
    pub uri: String,
    pub lines: Vec<String>,
    pub discontinuity: bool,
    /// EXT-X-GAP: it has no bytes.
    pub gap: bool,
    /// DISCONTINUITY tags up to and with this one, by the playlist's sequence.
    pub number: u64,
    pub millis: u64,
}

pub fn read(text: &str) -> Option<Read> {
    let mut out = Read::default();
    let mut lines: Vec<String> = Vec::new();
    let value = |l: &str| l.split_once(':').and_then(|(_, v)| v.parse::<u64>().ok());
    if !text.starts_with("#EXTM3U\n") {
        return None;
    }
    let mut number = None;
    for line in text.lines().skip(1) {
        match line.split(':').next()? {
            "#EXT-X-TARGETDURATION" => out.target = value(line)?,
            "#EXT-X-MEDIA-SEQUENCE" => out.first = value(line)?,
            "#EXT-X-DISCONTINUITY-SEQUENCE" => out.discontinuity_sequence = value(line)?,
            "#EXT-X-VERSION" => {}
            "#EXT-X-ENDLIST" => out.ended = true,
            _ if line.starts_with('#') => lines.push(line.to_owned()),
            _ => {
                let discontinuity = lines.iter().any(|l| l == "#EXT-X-DISCONTINUITY");
                let gap = lines.iter().any(|l| l == "#EXT-X-GAP");
                let now = number.unwrap_or(out.discontinuity_sequence) + u64::from(discontinuity);
                number = Some(now);
                let inf = lines.iter().find_map(|l| l.strip_prefix("#EXTINF:"))?;
                let seconds: f64 = inf.split(',').next()?.parse().ok()?;
                out.segments.push(Item {
                    msn: out.first + out.segments.len() as u64,
                    uri: line.to_owned(),
                    lines: std::mem::take(&mut lines),
                    discontinuity,
                    gap,
                    number: now,
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    millis: (seconds * 1000.0).round() as u64,
                });
            }
        }
    }
    Some(out)
}

/// What would stand where there is a gap, by what stands beside it. None where nothing does.
pub fn between(before: Option<&Truth>, item: &Item, after: Option<&Truth>) -> Option<Truth> {
    let follows = |t: &Truth| Truth {
        n: t.n + 1,
        start: t.end,
        end: t.end + item.millis,
        marked: false,
        ..t.clone()
    };
    let leads = |t: &Truth| Truth {
        n: t.n.wrapping_sub(1),
        start: t.start.saturating_sub(item.millis),
        end: t.start,
        marked: false,
        ..t.clone()
    };
    after.map(leads).or(before.map(follows))
}

/// The truths of a list, those of gaps made up; none of a list of nothing but gaps.
pub fn with_gaps(items: &[Item], read: &[Option<Truth>]) -> Option<Vec<Truth>> {
    let mut truths = read.to_vec();
    for i in (0..truths.len()).rev().chain(0..truths.len()) {
        if truths[i].is_none() {
            let before = i.checked_sub(1).and_then(|b| truths[b].clone());
            // What begins another run does not tell what it follows.
            let goes_on = items.get(i + 1).is_some_and(|next| !next.discontinuity);
            let after = truths.get(i + 1).cloned().flatten().filter(|_| goes_on);
            truths[i] = between(before.as_ref(), &items[i], after.as_ref());
        }
    }
    truths.into_iter().collect()
}

/// Where a player reads: law 2 holds at each proxy, the others everywhere.
type Seat = (usize, String, String);

#[derive(Default)]
struct LaneSeen {
    target: Option<u64>,
    items: BTreeMap<(usize, String, u64), (Item, Truth)>,
    /// Of each step, over all renditions.
    borders: BTreeMap<(usize, u64), (bool, u64)>,
    last_step: Option<u64>,
    splices: BTreeMap<u64, (Splice, Option<u64>)>,
}

#[derive(Default)]
pub struct Judge {
    pub trace: Vec<String>,
    pub breach: Option<String>,
    /// Proxies may disagree, since they could not reach the store.
    pub split: bool,
    /// Each proxy's own list keeps all laws even then.
    pub fleet: bool,
    /// What went on before this moment does not count for law 6.
    pub calm_since: u64,
    pub refreshes: u64,
    pub gaps: Vec<(i64, i64, SpliceMethod)>,
    lanes: BTreeMap<String, LaneSeen>,
    /// First, one after the last, and when.
    edges: BTreeMap<Seat, (u64, u64, u64)>,
    asked: BTreeMap<(u64, String, String), VecDeque<u64>>,
}

impl Judge {
    pub fn new(split: bool) -> Self {
        Self { split, ..Self::default() }
    }

    /// What proxies of a fleet show is judged for each by itself.
    pub fn of_fleet() -> Self {
        Self { split: true, fleet: true, ..Self::default() }
    }

    /// A proxy whose log was another than the store's begins again from the store's.
    pub fn forget(&mut self, proxy: usize, lane: &str) {
        if let Some(seen) = self.lanes.get_mut(lane) {
            seen.items.retain(|(side, _, _), _| *side != proxy);
            seen.borders.retain(|(side, _), _| *side != proxy);
        }
        self.edges.retain(|(side, of, _), _| *side != proxy || of != lane);
    }

    /// A proxy starts: of lanes whose log there was another it begins again.
    pub fn settle_split(&mut self, proxy: usize, was_split: impl Fn(&str) -> bool) {
        let lanes: Vec<String> =
            self.lanes.keys().filter(|lane| was_split(lane)).cloned().collect();
        lanes.iter().for_each(|lane| self.forget(proxy, lane));
    }

    /// How often each life of a proxy asked for each segment.
    pub fn segments_asked(&self) -> Vec<((u64, String), usize)> {
        let segments = self.asked.iter().filter(|((_, _, path), _)| path.ends_with(".ts"));
        let of = |((life, id, path), times): (&(u64, String, String), &VecDeque<u64>)| {
            ((*life, format!("{id} {path}")), times.len())
        };
        segments.map(of).collect()
    }

    pub fn note(&mut self, now: u64, line: &str) {
        let line = format!("{:>7}.{:03} {line}", now / 1000, now % 1000);
        if std::env::var_os("SEGUE_LIVE").is_some() {
            println!("{line}");
        }
        self.trace.push(line);
    }

    pub fn broken(&mut self, now: u64, law: &str) {
        self.note(now, &format!("BREACH {law}"));
        self.breach.get_or_insert_with(|| law.to_owned());
    }

    /// A request left a proxy for a packager.
    pub fn asked(&mut self, now: u64, life: u64, packager: &str, path: &str, segment: bool) {
        let kind = if segment { "segment" } else { "playlist" };
        self.note(now, &format!("life {life} asks {packager} for {kind} {path}"));
        let key = (life, packager.to_owned(), path.to_owned());
        self.asked.entry(key).or_default().push_back(now);
    }

    /// Without faults a segment is asked for once, and a playlist three times per segment.
    pub fn frugal(&self, shortest: u64) -> Result<(), String> {
        // Whether a run goes on may have to be proven where another proxy's lane is taken over.
        let most = if self.fleet { 2 } else { 1 };
        for ((life, packager, path), times) in &self.asked {
            let what = format!("life {life} asked {packager} for {path}");
            // Streams that nobody watches for long are begun again.
            if path.ends_with(".ts") && path.starts_with("/live/") && times.len() > most {
                return Err(format!("{what} {} times", times.len()));
            }
            let apart = times.iter().zip(times.iter().skip(3)).map(|(a, b)| b - a).min();
            if path.ends_with(".m3u8")
                && path.starts_with("/live/")
                && apart.is_some_and(|a| a + 10 < shortest)
            {
                return Err(format!("{what} four times within {apart:?} ms"));
            }
        }
        Ok(())
    }

    /// Law 6. `good`: since when some packager has had nothing wrong with it.
    pub fn appended(&mut self, now: u64, lane: &str, good: Option<u64>) {
        self.on_time(now, lane, good);
        self.lanes.entry(lane.to_owned()).or_default().last_step = Some(now);
    }

    pub fn on_time(&mut self, now: u64, lane: &str, good: Option<u64>) {
        let calm = self.calm_since;
        let Some(seen) = self.lanes.get(lane) else { return };
        let (Some(last), Some(target), Some(good)) = (seen.last_step, seen.target, good) else {
            return;
        };
        let target = target * 1000;
        // A request may take a quarter of a second each way here, longer than deadlines reckon with.
        let patience = target * 3 / 2 + 300;
        // It is known to be good after it has listed two segments more.
        let from = last.max(good + target * 2).max(calm + target * 2);
        if now > from + patience {
            self.broken(now, &format!("6: {lane} stands still for {} ms", now - last));
        }
    }

    /// `allowed`: the most that may be lost or repeated, milliseconds, if that can be said.
    pub fn spliced(&mut self, lane: &str, msn: u64, splice: &Splice, allowed: Option<u64>) {
        let lane = self.lanes.entry(lane.to_owned()).or_default();
        lane.splices.insert(msn, (splice.clone(), allowed));
    }

    /// A playlist that a player was given, with the bytes behind each segment.
    pub fn refreshed(&mut self, now: u64, seat: &Seat, list: &Read, truths: &[Truth]) {
        self.refreshes += 1;
        if let Err(law) = self.judge(now, seat, list, truths) {
            self.broken(now, &format!("{law} ({seat:?})"));
        }
    }

    fn judge(
        &mut self,
        now: u64,
        seat: &Seat,
        list: &Read,
        truths: &[Truth],
    ) -> Result<(), String> {
        let side = if self.split { seat.0 } else { 0 };
        let last = list.first + list.segments.len() as u64;
        // A player that could not ask for a window's length may miss some.
        let length: u64 = list.segments.iter().map(|s| s.millis).sum();
        let until = now + length.min(list.target * 3000);
        let before = self.edges.insert(seat.clone(), (list.first, last, until));
        if let Some((f, l, _)) = before.filter(|(f, l, _)| list.first < *f || last < *l) {
            return Err(format!("2: the list was {f} to {l} and is {} to {last}", list.first));
        }
        if let Some((_, l, _)) = before.filter(|(_, l, until)| list.first > *l && now < *until) {
            return Err(format!("2: a hole, the list ended at {l} and begins at {}", list.first));
        }
        let lane = self.lanes.entry(seat.1.clone()).or_default();
        if *lane.target.get_or_insert(list.target) != list.target {
            return Err("4: the target duration changed".into());
        }
        for (i, (item, truth)) in list.segments.iter().zip(truths).enumerate() {
            lane.take(side, seat, item, truth)?;
            if i > 0
                && let Some(before) = truths.get(i - 1)
            {
                // After a split the winner's steps follow the winner's, not those printed here.
                if !self.split || self.fleet {
                    border(item, before, truth)?;
                }
                if let Some((splice, allowed)) = lane.splices.remove(&item.msn) {
                    let gap = truth.start.cast_signed() - before.end.cast_signed();
                    self.gaps.push((gap, splice.gap_ms, splice.method));
                    if allowed.is_some_and(|a| gap.unsigned_abs() > a) && !self.split {
                        return Err(format!(
                            "splice at {}: {gap} ms, allowed {allowed:?}",
                            item.msn
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Law 3.
fn border(item: &Item, before: &Truth, truth: &Truth) -> Result<(), String> {
    let must = !truth.follows(before) || truth.marked;
    if must && !item.discontinuity {
        return Err(format!(
            "3: no DISCONTINUITY at {} between {before:?} and {truth:?}",
            item.msn
        ));
    }
    Ok(())
}

impl LaneSeen {
    /// Laws 1, 3, 7 and the length of what is listed.
    fn take(&mut self, side: usize, seat: &Seat, item: &Item, truth: &Truth) -> Result<(), String> {
        let key = (side, seat.2.clone(), item.msn);
        if !item.gap && truth.end - truth.start != item.millis {
            return Err(format!(
                "1: {} is {} ms long, not {}",
                item.msn,
                truth.end - truth.start,
                item.millis
            ));
        }
        let known = self.items.entry(key).or_insert_with(|| (item.clone(), truth.clone()));
        if known.0 != *item || (!item.gap && known.1 != *truth) {
            return Err(format!("1: {} was {:?} and is {:?}", item.msn, known, (item, truth)));
        }
        let border = (item.discontinuity, item.number);
        if *self.borders.entry((side, item.msn)).or_insert(border) != border {
            return Err(format!("7: {} has another discontinuity number", item.msn));
        }
        let other = if seat.2 == "v0" { "v1" } else { "v0" };
        if let Some((i, t)) = self.items.get(&(side, other.to_owned(), item.msn))
            && !i.gap
            && !item.gap
            && (t.start, &t.packager, t.run) != (truth.start, &truth.packager, truth.run)
        {
            return Err(format!("7: {} is {t:?} and {truth:?}", item.msn));
        }
        Ok(())
    }
}

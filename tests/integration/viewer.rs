//! A viewer: joins a stream, refreshes its playlist as a player does, fetches everything that is
//! listed, and holds each answer to the laws. Any breach fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use segue::model::names::ContentHash;
use segue::model::watch::{Answer, Fetched, Listed, Observer, Place, Polled, Rule, Shown, Wanted};

use crate::content::Label;
use crate::http::{self, Reply};

/// How often a playlist is asked for.
const REFRESH: Duration = Duration::from_millis(200);
/// A condition that is not met within so long fails the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// A segment as it was listed, and what its bytes said.
#[derive(Clone, Debug)]
pub struct Watched {
    pub listed: Listed,
    pub label: Label,
}

/// Where a lane went on in another run.
#[derive(Clone, Debug)]
pub struct Border {
    pub msn: u64,
    #[allow(dead_code, reason = "for who reads a failed test")]
    pub from: Label,
    pub to: Label,
    /// Content lost (positive) or repeated (negative), milliseconds.
    pub gap_ms: i64,
}

pub struct Viewer {
    port: u16,
    began: Instant,
    stream: String,
    places: Vec<(Place, String)>,
    observer: Observer,
    /// Of each rendition in use, what was seen, by MSN.
    seen: BTreeMap<String, BTreeMap<u64, Watched>>,
    /// The newest playlist of each rendition in use.
    shown: BTreeMap<String, Shown>,
    /// Renditions that are refreshed.
    uses: BTreeSet<String>,
    /// Breaches that this viewer may see.
    allowed: Vec<Rule>,
    /// Of so many segments he fetches one, whose number leaves this rest.
    fetches: (u64, u64),
}

impl Viewer {
    /// Asks for `stream`. The error is the refusal.
    pub async fn join(port: u16, stream: &str) -> Result<Self, String> {
        let path = format!("/{stream}/playlist.m3u8");
        let reply = http::get(port, &path).await?;
        if reply.status != 200 {
            return Err(format!("{} {}", reply.status, reply.text()));
        }
        let entry = reply.text();
        let uris = entry.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
        let places: Vec<(Place, String)> = uris
            .map(|uri| {
                let rendition = uri.rsplit('/').nth(1).unwrap_or_default().to_owned();
                (Place { url: 0, rendition }, join(&path, uri))
            })
            .collect();
        if places.is_empty() {
            return Err(format!("no variant: {entry}"));
        }
        Ok(Self::with(port, stream, places))
    }

    /// One who knows the path of a media playlist already.
    pub fn with_path(port: u16, stream: &str, path: &str) -> Self {
        let rendition = path.rsplit('/').nth(1).unwrap_or_default().to_owned();
        Self::with(port, stream, vec![(Place { url: 0, rendition }, path.to_owned())])
    }

    fn with(port: u16, stream: &str, places: Vec<(Place, String)>) -> Self {
        let first = places[0].0.rendition.clone();
        Self {
            port,
            began: Instant::now(),
            stream: stream.to_owned(),
            places,
            observer: Observer::default(),
            seen: BTreeMap::new(),
            shown: BTreeMap::new(),
            uses: [first].into(),
            // How long an edge stood still says something of the machine as well.
            allowed: vec![Rule::EdgeStale],
            fetches: (1, 0),
        }
    }

    /// He plays every rendition from now on.
    pub fn with_all_renditions(mut self) -> Self {
        self.uses = self.places.iter().map(|(p, _)| p.rendition.clone()).collect();
        self
    }

    /// He fetches one in `many` segments only, beginning with the `rest`.
    pub fn fetching_one_in(&mut self, many: u64, rest: u64) {
        self.fetches = (many, rest % many);
    }

    /// From now on these are no breaches to him.
    pub fn allowing(&mut self, rules: &[Rule]) {
        self.allowed.extend(rules);
    }

    /// The path of the newest segment.
    pub fn segment_path(&self) -> String {
        join(self.path(), &self.newest().listed.uri)
    }

    /// The path of his first media playlist.
    pub fn path(&self) -> &str {
        &self.places[0].1
    }
    /// His token.
    pub fn token(&self) -> &str {
        let from = self.path().split_once("playlist~").unwrap().1;
        from.split('/').next().unwrap()
    }
    pub fn lane_packager(&self) -> &str {
        &self.newest().label.packager
    }

    /// The answer for his first media playlist, whatever it is.
    pub async fn ask(&self) -> Result<Reply, String> {
        http::get(self.port, self.path()).await
    }

    /// Refreshes each playlist in use, fetches what is new, and judges.
    pub async fn refresh(&mut self) {
        for (place, path) in self.places.clone() {
            if !self.uses.contains(&place.rendition) {
                continue;
            }
            let sent = self.began.elapsed();
            let reply = http::get(self.port, &path).await;
            let polled = Polled { sent, received: self.began.elapsed() };
            let answer = whole(reply);
            let seen = self.observer.playlist(&place, polled, answer.as_deref());
            let wrong: Vec<_> =
                seen.breaches.iter().filter(|b| !self.allowed.contains(&b.rule)).collect();
            let Some(shown) = seen.shown.filter(|_| wrong.is_empty()) else {
                panic!("{} {place}: {wrong:#?}\n{answer:?}", self.stream);
            };
            self.shown.insert(place.rendition.clone(), shown.clone());
            let (many, rest) = self.fetches;
            for msn in seen.added.into_iter().filter(|msn| msn % many == rest) {
                self.fetch(&place, &path, &shown, msn).await;
            }
        }
    }

    async fn fetch(&mut self, place: &Place, path: &str, shown: &Shown, msn: u64) {
        let Some(wanted) = self.observer.due(place, msn, self.began.elapsed()) else { return };
        let bytes = self.bytes(place, path, &wanted).await;
        let label = Label::read(&bytes)
            .unwrap_or_else(|e| panic!("{} {place}: segment {msn}: {e}", self.stream));
        let listed = shown.segments.iter().find(|s| s.msn == msn).unwrap().clone();
        assert_eq!(label.stream, self.stream, "another stream's segment");
        let watched = self.seen.entry(place.rendition.clone()).or_default();
        if let Some(before) = msn.checked_sub(1).and_then(|m| watched.get(&m)) {
            let (from, to) = (&before.label, &label);
            assert_eq!(from.rendition, to.rendition, "another rendition at {msn}");
            assert!(
                listed.discontinuity || to.follows(from),
                "{} {place}: no DISCONTINUITY before {msn}: {from:?} then {to:?}",
                self.stream
            );
        }
        watched.insert(msn, Watched { listed, label });
    }

    async fn bytes(&mut self, place: &Place, path: &str, wanted: &Wanted) -> Vec<u8> {
        let reply = http::get(self.port, &join(path, &wanted.uri)).await;
        let answer = whole(reply);
        let fetched =
            answer.as_deref().map(|b| Fetched { hash: ContentHash::of(b), length: b.len() as u64 });
        let breaches = self.observer.segment(place, self.began.elapsed(), wanted, fetched);
        match answer {
            Answer::Whole(bytes) if breaches.is_empty() => bytes,
            _ => panic!("{} {place}: {breaches:#?}", self.stream),
        }
    }

    /// Fetches all that is listed now once more: the same bytes, all there.
    pub async fn check_all_listed(&mut self) {
        for (place, path) in self.places.clone() {
            let Some(shown) = self.shown.get(&place.rendition).cloned() else { continue };
            for listed in shown.segments {
                let wanted = Wanted { msn: listed.msn, uri: listed.uri, range: None };
                self.bytes(&place, &path, &wanted).await;
            }
        }
    }

    /// Plays until `met` says so.
    pub async fn until(&mut self, what: &str, met: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        loop {
            self.refresh().await;
            if met(self) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{}: waited for {what}\n{self}", self.stream);
            tokio::time::sleep(REFRESH).await;
        }
    }

    /// Plays until `count` more segments have come.
    pub async fn more(&mut self, count: u64) {
        self.refresh().await;
        let to = self.edge() + count;
        self.until(&format!("{count} more segments"), |v| v.edge() >= to).await;
    }

    /// Plays until the newest segment is of `packager`.
    pub async fn until_on(&mut self, packager: &str) {
        let what = format!("the lane to be on {packager}");
        self.until(&what, |v| v.lane_packager() == packager).await;
    }

    /// The newest playlist of the first rendition in use.
    pub fn playlist(&self) -> &Shown {
        self.shown.values().next().expect("nothing was shown yet")
    }
    pub fn edge(&self) -> u64 {
        self.playlist().last_msn().unwrap()
    }
    pub fn newest(&self) -> &Watched {
        self.watched().values().next_back().expect("nothing was watched yet")
    }
    /// How many of the segments listed now are of `packager`.
    pub fn lists_of(&self, packager: &str) -> usize {
        let first = self.playlist().first_msn;
        self.watched().range(first..).filter(|(_, w)| w.label.packager == packager).count()
    }
    fn watched(&self) -> &BTreeMap<u64, Watched> {
        self.seen.values().next().expect("nothing was watched yet")
    }

    /// The borders between runs, of the first rendition in use.
    pub fn borders(&self) -> Vec<Border> {
        borders(self.watched())
    }

    /// MSN n is the same moment in each rendition in use. The error says where not.
    pub fn same_moments(&self) -> Result<(), String> {
        let mut all = self.seen.values();
        let first = all.next().ok_or("nothing was watched")?;
        for (msn, other) in all.flatten() {
            let Some(one) = first.get(msn) else { continue };
            if (&one.label.packager, one.label.start_ms)
                != (&other.label.packager, other.label.start_ms)
            {
                return Err(format!("{msn}: {:?} and {:?}", one.label, other.label));
            }
        }
        Ok(())
    }

    /// The same of each rendition in use.
    pub fn borders_of_all(&self) -> Vec<Vec<Border>> {
        self.seen.values().map(borders).collect()
    }
}

fn borders(watched: &BTreeMap<u64, Watched>) -> Vec<Border> {
    let pairs = watched.values().zip(watched.values().skip(1));
    pairs
        .filter(|(a, b)| !b.label.follows(&a.label))
        .map(|(a, b)| Border {
            msn: b.listed.msn,
            from: a.label.clone(),
            to: b.label.clone(),
            gap_ms: b.label.start_ms.cast_signed() - a.label.end_ms().cast_signed(),
        })
        .collect()
}

impl std::fmt::Display for Viewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (rendition, watched) in &self.seen {
            writeln!(f, "{rendition}:")?;
            for (msn, w) in watched.iter().rev().take(12).rev() {
                let mark = if w.listed.discontinuity { "|" } else { " " };
                let Label { packager, life, number, start_ms, .. } = &w.label;
                writeln!(f, "  {mark}{msn} = {packager}.{life} {number} at {start_ms}")?;
            }
        }
        Ok(())
    }
}

fn whole(reply: Result<Reply, String>) -> Answer<Vec<u8>> {
    match reply {
        Err(why) => Answer::Failed(why),
        Ok(r) if r.status != 200 => Answer::Status(r.status),
        Ok(r) if !r.is_whole() => {
            Answer::Cut(r.body.len() as u64, r.promised.unwrap_or_default() as u64)
        }
        Ok(r) => Answer::Whole(r.body),
    }
}

/// A relative URI against the path of its playlist.
fn join(base: &str, uri: &str) -> String {
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    if uri.starts_with('/') { uri.to_owned() } else { format!("{folder}/{uri}") }
}

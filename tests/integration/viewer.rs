//! A viewer: joins a stream, refreshes its playlist as a player does, fetches everything that is
//! listed, and holds each answer to the laws. Any breach fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use segue::model::names::ContentHash;
use segue::model::watch::multivariant::variants;
use segue::model::watch::{
    Answer, Fetched, Listed, Observer, Place, Polled, Resource, ResourceKind, Rule, Shown,
    Variables, Wanted,
};

use crate::carried::Carried;
use crate::content::Label;
use crate::http::{self, Reply};
use crate::judges::judge;
use crate::script::EPOCH_MS;

/// How often a playlist is asked for.
const REFRESH: Duration = Duration::from_millis(200);
/// Of a list that is new to him he plays so many segments, from its end.
const PLAYED_MAX: usize = 40;
/// A condition that is not met within so long fails the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// A segment as it was listed, and what its bytes said.
#[derive(Clone, Debug)]
pub struct Watched {
    pub listed: Listed,
    pub label: Label,
}

pub struct Viewer {
    port: u16,
    host: String,
    began: Instant,
    stream: String,
    places: Vec<(Place, String)>,
    observer: Observer,
    /// Of each rendition in use, what was seen, by MSN.
    pub seen: BTreeMap<String, BTreeMap<u64, Watched>>,
    /// The newest playlist of each rendition in use.
    shown: BTreeMap<String, Shown>,
    /// The same as they were written, and the entry playlist.
    texts: BTreeMap<String, String>,
    entry: String,
    carried: Carried,
    /// Renditions that are refreshed.
    uses: BTreeSet<String>,
    /// Breaches that this viewer may see.
    allowed: Vec<Rule>,
    /// Of so many segments he fetches one, whose number leaves this rest.
    fetches: (u64, u64),
    /// A rendition may go on with another.
    takes_stand_ins: bool,
}

impl Watched {
    /// How far its date is off by a clock that is right; none without a date.
    pub fn date_error_ms(&self) -> Option<i64> {
        let date = self.listed.moment?.ms.cast_signed();
        Some(date - EPOCH_MS.cast_signed() - self.label.start_ms.cast_signed())
    }
}

impl Viewer {
    /// Asks for `stream`. The error is the refusal.
    pub async fn join(port: u16, stream: &str) -> Result<Self, String> {
        Self::join_with(port, stream, "").await
    }

    /// The same with a query, `?DVR`.
    pub async fn join_with(port: u16, stream: &str, query: &str) -> Result<Self, String> {
        Self::join_at(port, "localhost", stream, query).await
    }

    /// The same, asked of `host`.
    pub async fn join_at(port: u16, host: &str, stream: &str, query: &str) -> Result<Self, String> {
        let path = format!("/{stream}/playlist.m3u8{query}");
        let reply = http::get_at(port, host, &path).await?;
        if reply.status != 200 {
            return Err(format!("{} {}", reply.status, reply.text()));
        }
        let entry = reply.text();
        judge(&entry).map_err(|e| format!("{e}\n{entry}"))?;
        let mut places: Vec<(Place, String)> = variants(&entry, &mut Variables::default())
            .into_iter()
            .map(|v| {
                let folder = v.uri.rsplit('/').nth(1);
                let rendition = folder.map_or(v.name.clone(), str::to_owned);
                (Place { url: 0, rendition }, join(&path, &v.uri))
            })
            .collect();
        // The variants first, as they stand: he begins with the first of them.
        places.sort_by_key(|(place, _)| !place.rendition.starts_with('v'));
        if places.is_empty() && entry.contains("#EXTINF") {
            places.push((Place { url: 0, rendition: "v0".to_owned() }, path)); // a packager's own
        }
        if places.is_empty() {
            return Err(format!("no variant: {entry}"));
        }
        Ok(Self { entry, host: host.to_owned(), ..Self::with(port, stream, places) })
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
            host: "localhost".to_owned(),
            began: Instant::now(),
            stream: stream.to_owned(),
            places,
            observer: Observer::default(),
            seen: BTreeMap::new(),
            shown: BTreeMap::new(),
            texts: BTreeMap::new(),
            entry: String::new(),
            carried: Carried::default(),
            uses: [first].into(),
            // How long an edge stood still says something of the machine as well.
            allowed: vec![Rule::EdgeStale],
            fetches: (1, 0),
            takes_stand_ins: false,
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

    /// A rendition may go on with another that is near to it.
    pub fn taking_stand_ins(mut self) -> Self {
        self.takes_stand_ins = true;
        self
    }

    /// What he asks for is answered by another proxy from now on.
    pub const fn led_to(&mut self, port: u16) {
        self.port = port;
    }

    /// From now on these are no breaches to him.
    pub fn allowing(&mut self, rules: &[Rule]) {
        self.allowed.extend(rules);
    }

    /// The path of the newest segment.
    pub fn segment_path(&self) -> String {
        self.path_of(&self.newest().listed.uri)
    }
    /// The path of what his first media playlist names.
    pub fn path_of(&self, uri: &str) -> String {
        join(self.path(), uri)
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
        self.get(self.path(), None).await
    }

    /// Refreshes each playlist in use, fetches what is new, and judges.
    pub async fn refresh(&mut self) {
        for (place, path) in self.places.clone() {
            if !self.uses.contains(&place.rendition) {
                continue;
            }
            let sent = self.began.elapsed();
            let reply = self.get(&path, None).await;
            let polled = Polled { sent, received: self.began.elapsed() };
            let answer = whole(reply);
            let seen = self.observer.playlist(&place, polled, answer.as_deref());
            let wrong: Vec<_> =
                seen.breaches.iter().filter(|b| !self.allowed.contains(&b.rule)).collect();
            let Some(shown) = seen.shown.filter(|_| wrong.is_empty()) else {
                let text = answer.map(|body| String::from_utf8_lossy(&body).into_owned());
                let text = if let Answer::Whole(text) = text { text } else { format!("{text:?}") };
                panic!("{} {place}: {wrong:#?}\n{text}", self.stream);
            };
            self.shown.insert(place.rendition.clone(), shown.clone());
            if let Answer::Whole(body) = answer {
                let text = String::from_utf8(body).unwrap();
                let judged = judge(&text);
                assert!(judged.is_ok(), "{} {place}: {judged:?}\n{text}", self.stream);
                self.texts.insert(place.rendition.clone(), text);
            }
            for resource in self.observer.resources(&place, self.began.elapsed()) {
                self.fetch_resource(&place, &path, resource).await;
            }
            let (many, rest) = self.fetches;
            // Of a window of hours nobody plays the old end.
            let since = seen.added.len().saturating_sub(PLAYED_MAX);
            for msn in seen.added.into_iter().skip(since).filter(|msn| msn % many == rest) {
                self.fetch(&place, &path, &shown, msn).await;
            }
        }
    }

    /// Length and offset, if a range is asked for; then 206 is what 200 is otherwise.
    async fn get(&self, path: &str, range: Option<(u64, u64)>) -> Result<Reply, String> {
        let (port, host) = (self.port, &self.host);
        let Some((length, offset)) = range else { return http::get_at(port, host, path).await };
        let header = format!("Host: {host}\r\nRange: bytes={offset}-{}\r\n", offset + length - 1);
        let mut reply = http::get_from(port, path, &header).await?;
        reply.status = if reply.status == 206 { 200 } else { 1000 + reply.status };
        Ok(reply)
    }

    async fn fetch_resource(&mut self, place: &Place, base: &str, wanted: Resource) {
        let path = join(base, &wanted.uri);
        let reply = self.get(&path, wanted.range).await;
        if let (Ok(reply), true) = (&reply, wanted.kind != ResourceKind::Init) {
            let cache = reply.header("cache-control");
            assert_eq!(cache, Some("no-store"), "nobody may keep a key: {path}");
        }
        let answer = whole(reply);
        let told =
            answer.as_deref().map(|b| Fetched { hash: ContentHash::of(b), length: b.len() as u64 });
        let breaches = self.observer.resource(place, self.began.elapsed(), &wanted, told);
        match answer {
            Answer::Whole(bytes) if breaches.is_empty() => self.carried.take(&wanted, path, bytes),
            _ => panic!("{} {place}: {breaches:#?}\n{}", self.stream, self.texts[&place.rendition]),
        }
    }

    async fn fetch(&mut self, place: &Place, path: &str, shown: &Shown, msn: u64) {
        let Some(wanted) = self.observer.due(place, msn, self.began.elapsed()) else { return };
        let bytes = self.bytes(place, path, &wanted).await;
        let listed = shown.segments.iter().find(|s| s.msn == msn).unwrap().clone();
        let label = self.read(place, path, &listed, &bytes);
        let frames = place.rendition.starts_with('i');
        let watched = self.seen.entry(place.rendition.clone()).or_default();
        if let Some(before) = msn.checked_sub(1).and_then(|m| watched.get(&m)) {
            let (from, to) = (&before.label, &label);
            let same = self.takes_stand_ins || from.rendition == to.rendition;
            assert!(same, "another rendition at {msn}: {from:?} then {to:?}");
            // Several frames of one segment may stand in a row.
            let goes_on = to.follows(from) || frames && to.number == from.number;
            assert!(
                listed.discontinuity || goes_on,
                "{} {place}: no DISCONTINUITY before {msn}: {from:?} then {to:?}",
                self.stream
            );
        }
        watched.insert(msn, Watched { listed, label });
    }

    /// What a segment says of itself, in the clear.
    fn read(&self, place: &Place, base: &str, listed: &Listed, bytes: &[u8]) -> Label {
        let label = self.carried.read(listed, bytes, |uri| join(base, uri)).unwrap_or_else(|e| {
            let text = &self.texts[&place.rendition];
            panic!("{} {place}: segment {}: {e}\n{text}", self.stream, listed.msn)
        });
        assert_eq!(label.stream, self.stream, "another stream's segment");
        label
    }

    async fn bytes(&mut self, place: &Place, path: &str, wanted: &Wanted) -> Vec<u8> {
        let answer = whole(self.get(&join(path, &wanted.uri), wanted.range).await);
        let fetched =
            answer.as_deref().map(|b| Fetched { hash: ContentHash::of(b), length: b.len() as u64 });
        let breaches = self.observer.segment(place, self.began.elapsed(), wanted, fetched);
        match answer {
            Answer::Whole(bytes) if breaches.is_empty() => bytes,
            _ => panic!("{} {place}: {breaches:#?}", self.stream),
        }
    }

    /// Fetches all that is listed now once more: the same bytes, all there, gaps left out.
    pub async fn check_all_listed(&mut self) {
        for (place, _) in self.places.clone() {
            let Some(shown) = self.shown.get(&place.rendition).cloned() else { continue };
            for listed in shown.segments.iter().filter(|s| !s.gap) {
                self.listed(&place.rendition, listed).await;
            }
        }
    }

    /// Fetches one that is listed, whether he plays it or not.
    pub async fn listed(&mut self, rendition: &str, listed: &Listed) -> Label {
        let found = self.places.iter().find(|(p, _)| p.rendition == rendition);
        let (place, path) = found.expect("a rendition").clone();
        let Listed { msn, uri, range, .. } = listed.clone();
        let bytes = self.bytes(&place, &path, &Wanted { msn, uri, range }).await;
        self.read(&place, &path, listed, &bytes)
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
        self.shown_of(self.main()).expect("nothing was shown yet")
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
    /// The rendition that he began with.
    fn main(&self) -> &str {
        &self.places[0].0.rendition
    }
    /// The names of all renditions that he knows of.
    pub fn renditions(&self) -> Vec<&str> {
        self.places.iter().map(|(p, _)| p.rendition.as_str()).collect()
    }
    /// The newest playlist of one.
    pub fn shown_of(&self, rendition: &str) -> Option<&Shown> {
        self.shown.get(rendition)
    }
    /// The same as it was written.
    pub fn text_of(&self, rendition: &str) -> &str {
        &self.texts[rendition]
    }
    /// The newest playlist of the rendition that he began with, as it was written.
    pub fn text(&self) -> &str {
        self.text_of(self.main())
    }
    /// The entry playlist.
    pub fn entry(&self) -> &str {
        &self.entry
    }
    pub const fn carried(&self) -> &Carried {
        &self.carried
    }
    /// What was watched of one, by number.
    pub fn watched_of(&self, rendition: &str) -> &BTreeMap<u64, Watched> {
        self.seen.get(rendition).unwrap_or_else(|| panic!("{rendition} was not watched"))
    }
    pub fn watched(&self) -> &BTreeMap<u64, Watched> {
        self.seen.get(self.main()).expect("nothing was watched yet")
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
    let base = base.split('?').next().unwrap_or_default();
    let mut folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    if uri.starts_with('/') {
        return uri.to_owned();
    }
    let mut uri = uri;
    while let Some(rest) = uri.strip_prefix("../") {
        (uri, folder) = (rest, folder.rsplit_once('/').map_or("", |(folder, _)| folder));
    }
    format!("{folder}/{uri}")
}

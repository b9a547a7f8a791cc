//! A lane and what packagers show it: playlists as packagers write them, carried on and printed.

use std::sync::Arc;

use segue::model::lane::{
    Action, Candidate, Header, Held, Listed, Log, Relations, Resource, Situation, Snapshot,
    SpliceReason, Track, Want, What, next, print,
};
use segue::model::media::Content;
use segue::model::names::{ContentHash, PackagerId, PackagerMsn, RenditionId, UnixMs};
use segue::model::playlist::{Key, Limits, Segment, parse};
use segue::model::rendition::{Kind, Rendition, Traits};

const START: u64 = 1_800_000_000_000;
/// Every segment of the first rendition.
pub const SECONDS: u64 = 4;

pub fn at(ms: u64) -> UnixMs {
    UnixMs(START + ms)
}

/// The date of that moment, as packagers write it.
pub fn date(ms: u64) -> String {
    let seconds = (START + ms) / 1000;
    let (day, rest) = (seconds / 86_400, seconds % 86_400);
    // 2027-01-15, on which all of this plays.
    assert_eq!(day, 20_833, "within one day");
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!(
        "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        ms % 1000
    )
}

/// A list of these segments; `tags` gives the lines before the URI, EXTINF among them.
pub fn list(numbers: std::ops::Range<u64>, tags: impl Fn(u64) -> String) -> String {
    let head = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:{SECONDS}\n#EXT-X-MEDIA-SEQUENCE:{}\n",
        numbers.start
    );
    let segment = |n: u64| format!("{}\n{n}.ts\n", tags(n).trim_end());
    head + &numbers.map(segment).collect::<String>()
}

/// What a packager shows of one rendition.
pub struct Shown {
    pub track: Track,
    folder: &'static str,
    /// Tells the bytes of one run from those of another.
    pub life: u32,
    /// Listed and not to be had yet.
    pub bytes_after: u64,
    /// What is in a segment, by its number; none where nothing can be told.
    pub content: Option<Box<dyn Fn(u64) -> Content>>,
}

impl Shown {
    pub fn new(folder: &'static str) -> Self {
        Self { track: Track::default(), folder, life: 1, bytes_after: 0, content: None }
    }

    pub fn listed(&self, text: &str) -> Snapshot {
        let list = parse(text.as_bytes(), &Limits::default()).unwrap();
        Snapshot {
            target_duration: list.target_duration,
            ended: list.ended,
            skipped: list.skipped,
            segments: list.segments.into_iter().map(|s| self.resolved(s)).collect(),
        }
    }

    fn resolved(&self, segment: Segment) -> Listed {
        let path = |uri: &str| match uri.strip_prefix('/') {
            Some(_) => uri.to_owned(),
            None => format!("/{}/{uri}", self.folder),
        };
        let keys = |keys: &[Key]| -> Arc<[Option<Resource>]> {
            let own = |k: &Key| !k.uri.contains(':');
            keys.iter()
                .map(|k| own(k).then(|| Resource { path: path(&k.uri), range: None }))
                .collect()
        };
        let map = segment.map.as_ref();
        Listed {
            resource: Resource { path: path(&segment.uri), range: segment.range },
            map: map.map(|m| Resource { path: path(&m.uri), range: m.range }),
            keys: keys(&segment.keys),
            map_keys: map.map_or_else(|| [].into(), |m| keys(&m.keys)),
            segment,
        }
    }

    /// A refresh that brings this list; all that it names is held at once.
    pub fn shows(&mut self, now: u64, text: &str) {
        let snapshot = self.listed(text);
        self.track.observe(at(now), snapshot, false);
        let run = self.track.run();
        let seen: Vec<Listed> = self.track.segments().iter().map(|s| s.listed.clone()).collect();
        for listed in seen {
            let held = self.held(&listed.resource);
            if listed.segment.msn.0 >= self.bytes_after {
                self.comes(run, listed.segment.msn, held);
            }
            for asset in listed.assets() {
                let held = self.held(asset.resource);
                self.track.fetched_asset(run, asset.resource, Some(held));
            }
        }
    }

    /// The bytes of a segment, and what is in them.
    fn comes(&mut self, run: u32, msn: PackagerMsn, held: Held) {
        if let Some(content) = &self.content {
            self.track.looked(run, msn, Arc::new(content(msn.0)));
        }
        self.track.fetched(run, msn, Some(held));
    }

    fn held(&self, resource: &Resource) -> Held {
        let name = format!("{} {} {:?}", self.life, resource.path, resource.range);
        Held { hash: ContentHash::of(name.as_bytes()), length: 16 }
    }
}

/// A lane before some packagers; each shows what it has of each rendition.
pub struct Show {
    pub log: Log,
    pub packagers: Vec<(PackagerId, Vec<Option<Shown>>)>,
    /// Per packager: why it is not to be used, and since when it says that the stream is over.
    pub barred: Vec<Option<SpliceReason>>,
    pub over_since: Vec<Option<UnixMs>>,
    /// How runs relate, as far as segments were looked into.
    pub relations: Relations,
    pub overlap: bool,
    /// What the last decision waits for.
    pub wants: Vec<Want>,
    /// What stands in long lists before that which is looked at, per rendition of the first.
    pub depth: Vec<Vec<Listed>>,
}

impl Show {
    pub fn of(kinds: &[Kind], change: impl FnOnce(&mut Header)) -> Self {
        let mut header = crate::lane::header();
        header.renditions = kinds
            .iter()
            .enumerate()
            .map(|(n, kind)| Rendition {
                id: RenditionId::new(format!("{}{n}", kind.letter())),
                traits: Traits { kind: *kind, ..Traits::default() },
            })
            .collect();
        change(&mut header);
        let log = Log::new(Arc::new(header));
        let (barred, over_since) = (Vec::new(), Vec::new());
        Self {
            log,
            packagers: Vec::new(),
            barred,
            over_since,
            relations: Relations::default(),
            overlap: false,
            wants: Vec::new(),
            depth: Vec::new(),
        }
    }

    /// One more packager; folders of its renditions, none where it has no such.
    pub fn with(mut self, id: &str, folders: &[Option<&'static str>]) -> Self {
        let shown = folders.iter().map(|f| f.map(Shown::new)).collect();
        self.packagers.push((PackagerId::new(id), shown));
        self.barred.push(None);
        self.over_since.push(None);
        self
    }

    pub fn shows(&mut self, packager: usize, rendition: usize, now: u64, text: &str) {
        self.packagers[packager].1[rendition].as_mut().unwrap().shows(now, text);
    }

    /// Two refreshes of all that a packager shows fail in a row: it is left at once.
    pub fn fails(&mut self, packager: usize, now: u64) {
        for shown in self.packagers[packager].1.iter_mut().flatten() {
            shown.track.failed(at(now), false);
            shown.track.failed(at(now + 100), false);
        }
    }

    /// Lets the lane go on as far as it can. Returns how many steps that gave.
    pub fn carry(&mut self, now: u64) -> usize {
        let mut appended = 0;
        loop {
            let none = Vec::new();
            self.relations.appended(&self.log);
            for (id, shown) in &self.packagers {
                let tracks: Vec<_> = shown.iter().map(|s| s.as_ref().map(|s| &s.track)).collect();
                self.relations.shown(at(now), id, &tracks);
            }
            let candidates: Vec<Candidate> = self
                .packagers
                .iter()
                .enumerate()
                .map(|(n, (id, shown))| {
                    let depth = if n == 0 { &self.depth } else { &none };
                    Candidate {
                        id,
                        barred: self.barred[n],
                        over_since: self.over_since[n],
                        tracks: shown.iter().map(|s| s.as_ref().map(|s| &s.track)).collect(),
                        lacks: shown.iter().map(Option::is_none).collect(),
                        relation: self.relations.to(id),
                        depth: depth.iter().map(Vec::as_slice).collect(),
                    }
                })
                .collect();
            let wanted = vec![true; self.log.header().renditions.len()];
            let decision = next(&Situation {
                now: at(now),
                log: &self.log,
                wanted: &wanted,
                candidates: &candidates,
                carried_since: at(0),
                elsewhere: None,
                fleet: false,
                alone: false,
                end_after: std::time::Duration::from_secs(60),
                overlap: self.overlap,
            });
            let Action::Append(steps) = decision.action else {
                self.wants = decision.wants;
                return appended;
            };
            appended += steps.len();
            steps.into_iter().for_each(|step| self.log.push(step).unwrap());
        }
    }

    /// Lets the lane go on, and all that it waits for comes at once.
    pub fn settle(&mut self, now: u64) {
        for _ in 0..8 {
            self.carry(now);
            let wants = std::mem::take(&mut self.wants);
            self.give(wants);
        }
    }

    /// What a decision waited for comes.
    pub fn give(&mut self, wants: Vec<Want>) {
        for want in wants {
            let (_, shown) =
                self.packagers.iter_mut().find(|(id, _)| *id == want.packager).unwrap();
            let Some(shown) = shown[want.rendition].as_mut() else { continue };
            let held = shown.held(want.what.resource());
            match want.what {
                What::Segment { msn, .. } => shown.comes(want.run, msn, held),
                What::Tail { cutting, of, .. } => {
                    let name = format!("{cutting:?} of {of:?}");
                    let held = Held { hash: ContentHash::of(name.as_bytes()), length: 8 };
                    shown.track.made_tail(want.run, cutting, Some(held));
                }
                What::Glimpse { msn, .. } => {
                    let content = shown.content.as_ref().map(|content| content(msn.0));
                    let mut keyframes = content.unwrap().video.unwrap().keyframes;
                    keyframes.truncate(1);
                    shown.track.glimpsed(want.run, msn, keyframes);
                }
                What::Asset { .. } => {}
            }
        }
    }

    /// The playlist of a rendition, of all steps.
    pub fn text(&self, rendition: usize) -> String {
        print(&self.log, rendition, self.log.first().unwrap()).unwrap()
    }

    /// The same without its head and without what names segments: tags and packagers' numbers.
    pub fn body(&self, rendition: usize) -> Vec<String> {
        let text = self.text(rendition);
        let tags = text.lines().skip_while(|l| !l.starts_with("#EXT-X-DISCONTINUITY-SEQUENCE"));
        tags.skip(1).map(str::to_owned).collect()
    }

    /// The numbers of a rendition's segments, as printed.
    pub fn numbers(&self, rendition: usize) -> Vec<u64> {
        let first = self.log.header().first_msn.0;
        let uris = self.body(rendition).into_iter().filter(|l| !l.starts_with('#'));
        uris.map(|l| l.split_once('-').unwrap().0.parse::<u64>().unwrap() - first).collect()
    }

    /// The packager's numbers of a rendition's entries, one vector for each step.
    pub fn sources(&self, rendition: usize) -> Vec<Vec<u64>> {
        let of = |e: &segue::model::lane::Entry| e.source.msn.0;
        self.log.steps().map(|s| s.entries(rendition).iter().map(of).collect()).collect()
    }
}

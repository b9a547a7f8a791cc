//! What a refresh and an append of a long list are made of, one by one: reading the packager's
//! playlist and printing the lane's.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use segue::model::lane::{
    Container, Entry, FORMAT, Header, Held, Log, Share, Source, Step, print_with,
};
use segue::model::names::{
    ContentHash, LaneId, OutputMsn, PackagerId, PackagerMsn, PoolName, RenditionId, StreamKey,
    UnixMs,
};
use segue::model::playlist::{Extent, Limits, parse};
use segue::model::rendition::{Rendition, Traits};

use crate::load::median;
use crate::long::{LONG, SHORT};

/// What is looked at with every refresh.
const LOOKED_AT: usize = 512;
/// Steps that are held; those before them are listed on demand.
const HELD: u64 = 300;
const START: u64 = 1_800_000_000_000;
const TIMES: usize = 25;

/// A packager's list from segment `first` on.
pub fn list(first: u64, count: u64) -> String {
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    for n in first..first + count {
        let _ = writeln!(text, "#EXTINF:1.000000,\n{n}.ts");
    }
    text
}

/// A name, microseconds with the long list and with the short one: reading the newest, reading
/// all, printing.
pub fn measure() -> Vec<(&'static str, f64, f64)> {
    let lists = [list(0, LONG), list(0, SHORT)];
    let logs = [log(LONG), log(SHORT)];
    let newest = Limits { kept: LOOKED_AT, ..Limits::default() };
    let read = |limits: &Limits| {
        let of = |text: &String| us(&mut || black_box(parse(text.as_bytes(), limits)).is_ok());
        (of(&lists[0]), of(&lists[1]))
    };
    let (skim, all) = (read(&newest), read(&Limits::default()));
    let prints = |log: &Log| {
        let first = log.first().unwrap_or(OutputMsn(0));
        let edge = log.tail().map_or(first, |tail| tail.msn);
        // What is listed on demand is named once, when it is appended.
        let named = |_| Some(*b"0123abcd");
        us(&mut || black_box(print_with(log, 0, first..=edge, &named)).is_some())
    };
    vec![
        ("reading the newest 512", skim.0, skim.1),
        ("reading all", all.0, all.1),
        ("printing", prints(&logs[0]), prints(&logs[1])),
    ]
}

/// The middle of some.
pub fn us(work: &mut dyn FnMut() -> bool) -> f64 {
    let mut once = || {
        let began = Instant::now();
        // Short ones often enough that the clock's grain does not count.
        let mut done = 0_u32;
        while began.elapsed() < Duration::from_millis(2) || done == 0 {
            assert!(work());
            done += 1;
        }
        began.elapsed().as_secs_f64() * 1e6 / f64::from(done)
    };
    median((0..TIMES).map(|_| once()).collect())
}

/// A lane of so many steps.
fn log(count: u64) -> Log {
    let header = header();
    let first = header.first_msn.0;
    let mut log = Log::new(header.into());
    for n in 0..count {
        let step = step(first + n, n, n + HELD < count);
        assert!(log.push(step).is_ok());
    }
    log
}

/// Of one rendition, number `n` of its packager.
pub fn step(msn: u64, n: u64, on_demand: bool) -> Step {
    let at = UnixMs(START + n * 1000);
    let held = Held { hash: ContentHash::of(&n.to_be_bytes()), length: 1_000_000 };
    let entry = Entry {
        source: Source { msn: PackagerMsn(n), path: format!("/long/{n}.ts"), range: None },
        duration: Duration::from_secs(1),
        lines: vec!["#EXTINF:1.000000,".to_owned()],
        extension: "ts".to_owned(),
        held: (!on_demand).then_some(held),
        gap: false,
        stands_in: false,
        on_demand,
        map: None,
        keys: Vec::new(),
        media: None,
        cut: None,
    };
    Step {
        format: FORMAT,
        msn: OutputMsn(msn),
        packager: PackagerId::new("a"),
        discontinuity: false,
        discontinuity_number: 0,
        splice: None,
        shares: vec![Share { msn: OutputMsn(msn), tags: None, entries: vec![entry] }],
        listed_at: at,
        content_end: at,
        wall_end: None,
        wall_shift_ms: 0,
        holders: Vec::new(),
        end: false,
    }
}

/// Of one rendition.
pub fn header() -> Header {
    Header {
        format: FORMAT,
        lane: LaneId::new("a-1"),
        stream: StreamKey {
            pool: PoolName::new("live"),
            path: "/long/cam.m3u8".into(),
            query: "".into(),
        },
        zone: String::new(),
        renditions: vec![Rendition { id: RenditionId::new("v0"), traits: Traits::default() }],
        multivariant: vec!["#EXTM3U\n".to_owned(), "/v0/index.m3u8\n".to_owned()],
        target_duration: 1,
        version: 3,
        container: Container::Plain,
        independent_segments: false,
        extent: Extent::Sliding,
        dates: false,
        start: None,
        resources: Vec::new(),
        window: Duration::from_secs(LONG),
        depth_held: Duration::from_secs(HELD),
        first_msn: OutputMsn(START / 1000),
        first_discontinuity: 0,
        opened_at: UnixMs(START),
    }
}

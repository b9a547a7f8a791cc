//! Lanes and steps to fill stores with.

use std::time::Duration;

use segue::model::lane::{
    Container, Cut, Entry, FORMAT, Header, Held, Init, Key, KeyUri, Mark, Media, Part, Share,
    Source, Splice, SpliceMethod, SpliceReason, Step,
};
use segue::model::media::{Joint, PictureHash, Ticks};
use segue::model::names::{
    ContentHash, LaneId, OutputMsn, PackagerId, PackagerMsn, PoolName, RenditionId, StreamKey,
    UnixMs,
};
use segue::model::playlist::Extent;
use segue::model::rendition::{Rendition, Traits};

/// The first number of every lane here.
pub const FIRST: u64 = 1_700_000_000;

pub fn stream(path: &str) -> StreamKey {
    StreamKey { pool: PoolName::new("live"), path: path.into(), query: "DVR".into() }
}

pub fn header(lane: &str) -> Header {
    Header {
        format: FORMAT,
        lane: LaneId::new(lane),
        stream: stream("/live/cam/playlist.m3u8"),
        zone: String::new(),
        renditions: vec![Rendition { id: RenditionId::new("v0"), traits: Traits::default() }],
        multivariant: vec!["#EXTM3U\n".into(), "/v0/index.m3u8\n".into()],
        target_duration: 6,
        version: 3,
        container: Container::Plain,
        independent_segments: true,
        extent: Extent::Event,
        dates: true,
        start: Some("#EXT-X-START:TIME-OFFSET=-20".into()),
        resources: Vec::new(),
        window: Duration::from_secs(24),
        depth_held: Duration::MAX,
        first_msn: OutputMsn(FIRST),
        first_discontinuity: 0,
        opened_at: UnixMs(FIRST * 1000),
    }
}

/// The `n`th step of a lane, by `writer`.
pub fn step(n: u64, writer: &str) -> Step {
    let held = Held { hash: ContentHash::of(writer.as_bytes()), length: n };
    Step {
        format: FORMAT,
        msn: OutputMsn(FIRST + n),
        packager: PackagerId::new(writer),
        discontinuity: n == 2,
        discontinuity_number: u64::from(n >= 2),
        splice: (n == 2).then(|| Splice {
            from: PackagerId::new("z"),
            reason: SpliceReason::Stalled,
            method: SpliceMethod::Arrival,
            gap_ms: -1200,
        }),
        shares: vec![Share {
            msn: OutputMsn(FIRST + n),
            tags: None,
            entries: vec![Entry {
                source: source(n),
                duration: Duration::from_nanos(5_999_999_999),
                lines: vec!["#EXTINF:6.000000,".into(), "#EXT-X-UNKNOWN".into()],
                extension: "ts".into(),
                held: Some(held),
                gap: false,
                stands_in: false,
                on_demand: false,
                map: Some(Init { held, extension: "mp4".into(), keys: vec![] }),
                keys: vec![Key {
                    format: "identity".into(),
                    before: "METHOD=AES-128,URI=\"".into(),
                    uri: KeyUri::Held { name: format!("{n}-0"), held },
                    after: "\"".into(),
                }],
                media: Some(Media {
                    end: Joint { video: Some(Ticks(-7)), audio: None },
                    keyframes: vec![Mark {
                        pts: Ticks(1 << 33),
                        picture: PictureHash([n.to_le_bytes()[0]; 16]),
                    }],
                }),
                cut: (n == 2).then(|| Cut {
                    joint: Joint { video: None, audio: Some(Ticks(9)) },
                    whole: held,
                    before: Some(Part { source: source(n), held }),
                }),
            }],
        }],
        listed_at: UnixMs((FIRST + 6 * n) * 1000),
        content_end: UnixMs((FIRST + 6 * n) * 1000 + 17),
        wall_end: None,
        wall_shift_ms: -5,
        holders: Vec::new(),
        end: false,
    }
}

fn source(n: u64) -> Source {
    let path = format!("/live/cam_{n}.ts?a=\"b\"\u{e9}");
    Source { msn: PackagerMsn(u64::MAX), path, range: None }
}

/// The number before the `n`th step: what a writer of it expects as tail.
pub fn before(n: u64) -> Option<OutputMsn> {
    n.checked_sub(1).map(|p| OutputMsn(FIRST + p))
}

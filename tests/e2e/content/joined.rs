//! The judge of frames before media that is joined here as a lane would join it: it must call that
//! exact, or its "not exact" would prove nothing.

use std::path::Path;

use bytes::Bytes;
use segue::model::media;

use super::frames::{Clocks, Frames, judge};
use crate::clip::{Clip, Recipe, ffmpeg};
use crate::laws::{Kind, Listed, Map, Recording, Rendition, Resource, Segment};

/// Seconds of a segment, and by how much `b` is cut later.
const SEGMENT: u32 = 4;
const LATER: u32 = 2;

/// A clip in segments, from `second` on.
fn segments(folder: &Path, clip: &Clip, name: &str, ending: &str, second: u32) -> Vec<Bytes> {
    let mut run = ffmpeg();
    run.args(["-ss", &second.to_string(), "-i"]).arg(&clip.path).args(["-c", "copy"]);
    run.args(["-output_ts_offset", &(12 + second).to_string(), "-f", "hls"]);
    run.args(["-hls_time", &SEGMENT.to_string(), "-hls_list_size", "0"]);
    if ending == "m4s" {
        run.args(["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4"]);
        run.args(["-hls_segment_options", "movflags=+frag_discont"]);
    }
    run.arg("-hls_segment_filename").arg(folder.join(format!("{name}%d.{ending}")));
    let status = run.arg(folder.join(format!("{name}.m3u8"))).status().unwrap();
    assert!(status.success());
    let read = |i| std::fs::read(folder.join(format!("{name}{i}.{ending}"))).ok().map(Bytes::from);
    (0..).map_while(read).collect()
}

/// Two segments of `a` and what `b` carries on with: with its tail where `exact`, else with its segment.
fn received(folder: &Path, ending: &str, exact: bool) -> Frames {
    let clip = Clip::encode(folder, "clip", Recipe { seconds: 16, ..Recipe::default() });
    let a = segments(folder, &clip, "a", ending, 0);
    let b = segments(folder, &clip, "b", ending, LATER);
    let init = std::fs::read(folder.join("init.mp4")).unwrap_or_default();
    let container = match ending {
        "ts" => media::Container::Ts,
        _ => media::Container::Fmp4 { init: &init },
    };
    let joint = media::inspect(container, &a[1]).unwrap().end();
    let lacks = media::inspect(container, &b[1]).unwrap().lacks_sound(&joint);
    let held = if lacks { Bytes::from(b[..2].concat()) } else { b[1].clone() };
    let first = if exact { media::cut(container, &held, &joint).unwrap() } else { b[1].clone() };
    recorded(folder, ending, &init, &[&a[0], &a[1], &first, &b[2]])
}

fn recorded(folder: &Path, ending: &str, init: &[u8], all: &[&Bytes]) -> Frames {
    let listed = folder.join("listed");
    std::fs::create_dir_all(&listed).unwrap();
    let url = "http://127.0.0.1/cam.m3u8".to_owned();
    let mut rendition = Rendition::begin(Kind::Variant, url, &listed);
    let keep = |rendition: &Rendition, uri: &str, bytes: &[u8]| {
        let resource = Resource { url: crate::http::resolve(&rendition.url, uri), range: None };
        rendition.keep(&resource, bytes);
    };
    keep(&rendition, "init.mp4", init);
    let map = Map { line: "#EXT-X-MAP:URI=\"init.mp4\"".to_owned(), keys: Vec::new() };
    for (msn, bytes) in (0..).zip(all) {
        let uri = format!("{msn}.{ending}");
        keep(&rendition, &uri, bytes);
        let (lines, map) = (vec!["#EXTINF:4,".to_owned()], Some(map.clone()));
        let map = map.filter(|_| !init.is_empty());
        let segment = Segment { lines, uri, range: None, keys: Vec::new(), map };
        rendition.segments.insert(msn, Listed { segment, discontinuity: u64::from(msn >= 2) });
    }
    judge(&Recording { renditions: vec![rendition] }, Clocks::One, folder)
}

#[test]
fn a_tail_is_exact_and_a_segment_is_not() {
    for ending in ["ts", "m4s"] {
        let folder = tempfile::tempdir().unwrap();
        let exact = received(folder.path(), ending, true);
        assert_eq!(exact.findings, [""; 0], "{ending}");
        assert!(exact.read_whole && exact.joins.len() == 1, "{ending}: {exact:?}");
        assert!(exact.joins[0].exact(), "{ending}: {exact:?}");
        let folder = tempfile::tempdir().unwrap();
        let twice = received(folder.path(), ending, false);
        assert_eq!(twice.joins[0].lost_frames, -30, "{ending}: {twice:?}");
        assert!(!twice.findings.is_empty() && !twice.joins[0].exact(), "{ending}: {twice:?}");
    }
}

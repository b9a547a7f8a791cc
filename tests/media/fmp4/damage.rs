//! Real segments that are damaged: a fact that is told, never a panic, never more work than there are
//! bytes.

use std::sync::OnceLock;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;

use segue::model::media::{Container, Content, Damage, Joint, Ticks, cut, inspect};

use super::made::{H264, borders, hls, shaka};

/// An init segment and a segment of it.
type Pair = (Vec<u8>, Vec<u8>);

/// One fragment, several, sound alone, sound encrypted.
fn real() -> &'static [Pair] {
    static REAL: OnceLock<Vec<Pair>> = OnceLock::new();
    REAL.get_or_init(|| {
        let several = &["-hls_segment_options", "frag_duration=500000"];
        let encrypted = &[
            "--enable_raw_key_encryption",
            "--keys",
            "key_id=00112233445566778899aabbccddeeff:key=00112233445566778899aabbccddeeff",
        ];
        let [_, sound] = shaka(&[]);
        let [_, secret] = shaka(encrypted);
        let all = [hls("25", H264, &[]), hls("25", H264, several), sound, secret];
        all.into_iter().map(|mut made| (made.init, made.segments.remove(0))).collect()
    })
}

fn look((init, segment): &Pair) -> Result<Content, Damage> {
    inspect(Container::Fmp4 { init }, segment)
}

/// What is believed can be cut, and the cut is believed too.
fn cuts((init, segment): &Pair, content: &Content) {
    let container = Container::Fmp4 { init };
    let bytes = Bytes::copy_from_slice(segment);
    for (at, keyframe) in content.video.iter().flat_map(|video| video.keyframes.iter().enumerate())
    {
        let cut = match cut(container, &bytes, &Joint::at(keyframe.pts)) {
            Ok(cut) => cut,
            Err(error) => {
                // Another that is shown at that time may have been found first.
                assert!(!keyframe.closed, "{error}");
                continue;
            }
        };
        assert!(cut.len() <= segment.len() + 4096);
        let keyframes = &content.video.as_ref().unwrap().keyframes;
        let first = keyframes.iter().position(|other| other.pts == keyframe.pts && other.closed);
        assert!(first <= Some(at));
        let again = inspect(container, &cut).unwrap().video.unwrap();
        assert_eq!(again.keyframes, keyframes[first.unwrap()..]);
    }
    let middle = content.audio.first().map_or(0, |audio| audio.pts.first.0 + Ticks::SECOND);
    if let (None, Ok(cut)) = (&content.video, cut(container, &bytes, &Joint::at(Ticks(middle)))) {
        assert!(cut.len() <= segment.len() + 4096);
    }
}

#[test]
fn cut_off_at_any_byte() {
    for (init, segment) in real() {
        let borders = borders(segment);
        let heads = borders.iter().flat_map(|at| at.saturating_sub(20)..at + 200);
        for length in heads.chain((0..segment.len()).step_by(97)).filter(|n| *n < segment.len()) {
            let short = look(&(init.clone(), segment[..length].to_vec()));
            match short {
                Err(Damage::NotMedia(_)) => assert!((1..8).contains(&length), "{length}"),
                Err(Damage::Truncated(n)) => assert!(n == length && length >= 8),
                Err(Damage::Encrypted) => assert!(look(&(init.clone(), segment.clone())).is_err()),
                // Nothing tells that more was to come.
                Err(Damage::Empty) => assert!(length == 0 || borders.contains(&length)),
                other => assert!(other.is_ok() && borders.contains(&length), "{length}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_is_not_media() {
    let (init, _) = &real()[0];
    let page = "<html><head><title>502 Bad Gateway</title></head></html>".as_bytes();
    let ts = [&[0x47, 0x40, 0x11, 0x10][..], &[0xff; 184]].concat();
    for other in [page, &ts, &[0; 500], b"#EXTM3U\n", b"\x00"] {
        assert!(matches!(look(&(init.clone(), other.to_vec())), Err(Damage::NotMedia(_))));
        // It says nothing of the segment.
        assert_eq!(look(&(other.to_vec(), real()[0].1.clone())), Err(Damage::Unreadable));
    }
}

/// What happens to bytes.
#[derive(Clone, Debug)]
enum Blow {
    Flip(Index, u8),
    /// In what stands before the samples of some fragment, where it hurts.
    FlipInHead(Index, Index, u8),
    /// A number of four bytes, where one may stand.
    Number(Index, Index, u32),
    CutOff(Index),
    /// Some bytes are not there.
    Hole(Index, u8),
    Twice(Index, Index),
}

fn blow() -> impl Strategy<Value = Blow> {
    let at = any::<Index>;
    let number = prop_oneof![
        Just(0),
        Just(1),
        Just(7),
        Just(8),
        Just(u32::MAX),
        Just(i32::MIN.cast_unsigned()),
        any::<u32>(),
        0..5000_u32
    ];
    prop_oneof![
        2 => (at(), 1..=255_u8).prop_map(|(at, bits)| Blow::Flip(at, bits)),
        6 => (at(), at(), 1..=255_u8).prop_map(|(at, within, bits)| Blow::FlipInHead(at, within, bits)),
        6 => (at(), at(), number).prop_map(|(at, within, number)| Blow::Number(at, within, number)),
        1 => at().prop_map(Blow::CutOff),
        1 => (at(), any::<u8>()).prop_map(|(at, count)| Blow::Hole(at, count)),
        1 => (at(), at()).prop_map(|(at, within)| Blow::Twice(at, within)),
    ]
}

fn strike(bytes: &mut Vec<u8>, blow: &Blow, heads: &[usize]) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    let head = |at: &Index, within: &Index| (at.get(heads) + within.index(1200)) % length;
    match blow {
        Blow::Flip(at, bits) => bytes[at.index(length)] ^= bits,
        Blow::FlipInHead(at, within, bits) => bytes[head(at, within)] ^= bits,
        Blow::Number(at, within, number) => {
            let at = head(at, within) & !3;
            let field = bytes[at..].iter_mut().zip(number.to_be_bytes());
            field.for_each(|(byte, new)| *byte = new);
        }
        Blow::CutOff(at) => bytes.truncate(at.index(length)),
        Blow::Hole(at, count) => {
            let at = at.index(length);
            bytes.drain(at..length.min(at + usize::from(*count)));
        }
        Blow::Twice(at, within) => {
            let (from, to) = (at.index(length), within.index(length));
            let again = bytes[from..length.min(from + 500)].to_vec();
            bytes.splice(to..to, again);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn blows(
        which in any::<Index>(),
        on_segment in prop::collection::vec(blow(), 0..4),
        on_init in prop::collection::vec(blow(), 0..2),
    ) {
        let mut pair = which.get(real()).clone();
        let heads = borders(&pair.1);
        for blow in &on_segment {
            strike(&mut pair.1, blow, &heads);
        }
        for blow in &on_init {
            strike(&mut pair.0, blow, &[0]);
        }
        if let Ok(content) = look(&pair) {
            cuts(&pair, &content);
        }
    }
}

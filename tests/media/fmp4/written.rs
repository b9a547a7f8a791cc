//! Segments written by hand: the forms that the muxers at hand do not write, and what nobody should.

use bytes::Bytes;

use segue::model::media::{Container, Content, Damage, Joint, Keyframe, Ticks, cut, inspect};

pub fn boxed(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes(), kind.as_slice(), body].concat()
}

/// A box of numbers of four bytes.
pub fn full(kind: [u8; 4], version: u32, flags: u32, numbers: &[u32]) -> Vec<u8> {
    boxed(kind, &words(&[&[version << 24 | flags], numbers].concat()))
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// A track of pictures (1) at 1000 ticks a second, one of sound (2) at 500, and
/// one of text (3).
fn init(elst: &[u32]) -> Vec<u8> {
    let avcc = boxed(*b"avcC", &[1, 77, 0, 10, 0xff, 0xe1, 0, 2, 0x67, 1, 1, 0, 2, 0x68, 2]);
    let avc1 = boxed(*b"avc1", &[&[0; 78][..], &avcc].concat());
    let sound = boxed(*b"ac-3", &[0; 28]);
    let moov = [
        full(*b"mvhd", 0, 0, &[0, 0, 1000, 0]),
        track(1, *b"vide", 1000, &avc1, elst),
        track(2, *b"soun", 500, &sound, &[0]),
        track(3, *b"text", 1000, &boxed(*b"wvtt", &[0; 8]), &[0]),
        boxed(*b"mvex", &[trex(1, NOT_KEY), trex(2, 0), trex(3, 0)].concat()),
    ];
    [boxed(*b"ftyp", b"iso5"), boxed(*b"moov", &moov.concat())].concat()
}

const KEY: u32 = 0x0200_0000;
const NOT_KEY: u32 = 0x0101_0000;

fn trex(track: u32, flags: u32) -> Vec<u8> {
    full(*b"trex", 0, 0, &[track, 1, 100, 6, flags])
}

fn track(id: u32, handler: [u8; 4], timescale: u32, entry: &[u8], elst: &[u32]) -> Vec<u8> {
    let stsd = boxed(*b"stsd", &[&words(&[0, 1]), entry].concat());
    let hdlr = boxed(*b"hdlr", &[&[0; 8], handler.as_slice(), &[0; 13]].concat());
    let minf = boxed(*b"minf", &boxed(*b"stbl", &stsd));
    let mdia = [full(*b"mdhd", 0, 0, &[0, 0, timescale, 0]), hdlr, minf];
    let parts = [
        full(*b"tkhd", 0, 0, &[0, 0, id]),
        boxed(*b"edts", &full(*b"elst", 0, 0, elst)),
        boxed(*b"mdia", &mdia.concat()),
    ];
    boxed(*b"trak", &parts.concat())
}

/// A picture of six bytes: a keyframe or another, told apart by its last byte.
fn picture(key: bool, number: u8) -> Vec<u8> {
    vec![0, 0, 0, 2, if key { 0x65 } else { 0x41 }, number]
}

fn traf(parts: &[Vec<u8>]) -> Vec<u8> {
    boxed(*b"traf", &parts.concat())
}

fn tfdt(time: u32) -> Vec<u8> {
    full(*b"tfdt", 0, 0, &[time])
}

/// The trafs of a fragment, given where its samples begin.
type Make<'f> = dyn Fn(u32) -> Vec<Vec<u8>> + 'f;

/// `make` gets where the samples begin, from the start of moof.
fn fragment(make: impl Fn(u32) -> Vec<Vec<u8>>, samples: &[Vec<u8>]) -> Vec<u8> {
    let moof = |at| {
        let mfhd = full(*b"mfhd", 0, 0, &[7]);
        boxed(*b"moof", &[mfhd, make(at).concat()].concat())
    };
    let at = moof(0).len() as u32 + 8;
    [moof(at), boxed(*b"mdat", &samples.concat())].concat()
}

fn look(init: &[u8], segment: &[u8]) -> Result<Content, Damage> {
    inspect(Container::Fmp4 { init }, segment)
}

fn tail(init: &[u8], segment: &[u8], pts: i64) -> Result<Bytes, Damage> {
    cut(Container::Fmp4 { init }, &Bytes::copy_from_slice(segment), &Joint::at(Ticks(pts)))
}

fn keyframes(content: &Content) -> Vec<(i64, bool)> {
    let keyframes = &content.video.as_ref().unwrap().keyframes;
    keyframes.iter().map(|Keyframe { pts, closed, .. }| (pts.0 / 90, *closed)).collect()
}

/// Pictures 0 to 5 of 100 ms each, keyframes 0 and 3, whose moof is as `traf` makes it.
fn pictures(make: impl Fn(u32) -> Vec<Vec<u8>>) -> Vec<u8> {
    let samples: Vec<_> = (0..6).map(|n| picture(n % 3 == 0, n)).collect();
    fragment(make, &samples)
}

fn last_bytes(mdat: &[u8]) -> Vec<u8> {
    mdat.chunks(6).map(|sample| sample[5]).collect()
}

fn mdat_of(segment: &[u8]) -> &[u8] {
    let at = segment.windows(4).position(|bytes| bytes == b"mdat").unwrap();
    &segment[at + 4..]
}

#[test]
fn a_run_in_every_form() {
    let tfhd = || full(*b"tfhd", 0, 0x2_0000, &[1]);
    let flags: Vec<u32> = (0..6).map(|n| if n % 3 == 0 { KEY } else { NOT_KEY }).collect();
    let two = |first: &[u32], second: &[u32], flags| {
        let runs = [full(*b"trun", 0, flags, first), full(*b"trun", 0, flags & !1, second)];
        traf(&[vec![tfhd(), tfdt(0)], runs.to_vec()].concat())
    };
    let each: Vec<u32> = flags.iter().flat_map(|flags| [100, 6, *flags, 0]).collect();
    let forms: [(&str, &Make); 4] = [
        ("all fields", &|at| {
            let run = full(*b"trun", 0, 0xf01, &[&[6, at], &each[..]].concat());
            vec![traf(&[tfhd(), tfdt(0), run])]
        }),
        ("flags alone", &|at| {
            let run = full(*b"trun", 0, 0x401, &[&[6, at], &flags[..]].concat());
            vec![traf(&[tfhd(), tfdt(0), run])]
        }),
        ("two runs, the second after the first", &|at| vec![two(&[3, at, KEY], &[3, KEY], 0x5)]),
        ("defaults of the fragment", &|at| {
            let tfhd = full(*b"tfhd", 0, 0x2_0038, &[1, 100, 6, NOT_KEY]);
            let runs = [full(*b"trun", 0, 5, &[3, at, KEY]), full(*b"trun", 1, 4, &[3, KEY])];
            vec![traf(&[vec![tfhd, tfdt(0)], runs.to_vec()].concat())]
        }),
    ];
    let init = init(&[0]);
    for (name, make) in forms {
        let segment = pictures(make);
        let content = look(&init, &segment).unwrap();
        assert_eq!(keyframes(&content), [(0, true), (300, true)], "{name}");
        assert_eq!(content.video.as_ref().unwrap().frame, Ticks(9000), "{name}");
        let left = tail(&init, &segment, 300 * 90).unwrap();
        assert_eq!(last_bytes(mdat_of(&left)), [3, 4, 5], "{name}");
        let content = look(&init, &left).unwrap();
        assert_eq!(keyframes(&content), [(300, true)], "{name}");
        assert_eq!(content.video.unwrap().pts.last, Ticks(500 * 90), "{name}");
        assert_eq!(tail(&init, &segment, 0).unwrap(), segment, "{name}");
        for other in [100, 299, 301, 600] {
            let pts = Ticks(other * 90);
            assert_eq!(tail(&init, &segment, pts.0), Err(Damage::NoKeyframe(pts)), "{name}");
        }
    }
}

#[test]
fn pictures_out_of_order() {
    let (offsets, below) = (0xc01, (-100_i32).cast_unsigned());
    let segment = |version, last: [u32; 2]| {
        pictures(move |at| {
            let samples =
                [KEY, 100, NOT_KEY, 200, NOT_KEY, 0, KEY, 100, last[0], last[1], NOT_KEY, 100];
            let run = full(*b"trun", version, offsets, &[&[6, at], &samples[..]].concat());
            vec![traf(&[full(*b"tfhd", 0, 0x2_0000, &[1]), tfdt(0), run])]
        })
    };
    // Shown at 100, 300, 200, 400, 500, 600; and with one that is shown before the keyframe at 400.
    let content = |segment: &[u8]| look(&init(&[0]), segment).unwrap();
    assert_eq!(keyframes(&content(&segment(0, [NOT_KEY, 100]))), [(100, true), (400, true)]);
    let open = segment(1, [NOT_KEY, below]);
    assert_eq!(keyframes(&content(&open)), [(100, true), (400, false)]);
    assert_eq!(tail(&init(&[0]), &open, 400 * 90), Err(Damage::NoKeyframe(Ticks(400 * 90))));
}

#[test]
fn edit_lists() {
    let run = |at| full(*b"trun", 0, 5, &[6, at, KEY]);
    let segment = pictures(|at| vec![traf(&[full(*b"tfhd", 0, 0, &[1]), tfdt(5000), run(at)])]);
    let none = (-1_i32).cast_unsigned();
    let lists: [(&[u32], i64); 5] = [
        (&[0], 5000),
        (&[1, 0, 200, 0x1_0000], 4800),
        (&[2, 200, none, 0x1_0000, 0, 200, 0x1_0000], 5000),
        (&[2, 1000, none, 0x1_0000, 0, 200, 0x1_0000], 5800),
        (&[1, 1000, none, 0x1_0000], 5000),
    ];
    for (list, first) in lists {
        let video = look(&init(list), &segment).unwrap().video.unwrap();
        assert_eq!((video.pts.first.0, video.dts.first.0), (first * 90, first * 90), "{list:?}");
        // tfdt is the media's own time, whatever the edit list says.
        let left = tail(&init(list), &segment, first * 90).unwrap();
        assert_eq!(left, segment);
    }
}

/// Sound after the pictures in one fragment, found in each way.
fn both(tfhd: u32, offset: u32, before: u64) -> Vec<u8> {
    let mut samples: Vec<_> = (0..6).map(|n| picture(n % 3 == 0, n)).collect();
    samples.extend((10..16).map(|n| vec![0, 0, 0, 0, 0, n]));
    let make = |at| {
        let header = |track| {
            let base = [(before >> 32) as u32, before as u32];
            let base = if tfhd & 1 != 0 { &base[..] } else { &[] };
            full(*b"tfhd", 0, tfhd, &[&[track], base].concat())
        };
        let flags: Vec<u32> = (0..6).map(|n| if n % 3 == 0 { KEY } else { NOT_KEY }).collect();
        let pictures = full(*b"trun", 0, 0x401, &[&[6, at], &flags[..]].concat());
        let at = if offset == 0 { Vec::new() } else { vec![at + offset] };
        let sound = full(*b"trun", 0, u32::from(offset != 0), &[&[6][..], &at].concat());
        vec![traf(&[header(1), tfdt(0), pictures]), traf(&[header(2), tfdt(10), sound])]
    };
    fragment(make, &samples)
}

#[test]
fn sound_in_the_same_fragment() {
    // A frame of sound lasts 200 ms; they begin 20 ms after the pictures.
    let of_file = [both(1, 36, 0), both(1, 36, 4_000_000)];
    for segment in [both(0x2_0000, 36, 0), both(0, 0, 0)].into_iter().chain(of_file) {
        let init = init(&[0]);
        let content = look(&init, &segment).unwrap();
        assert_eq!(keyframes(&content), [(0, true), (300, true)]);
        let audio = &content.audio[0];
        assert_eq!((audio.frames, audio.frame.0, audio.pts.first.0), (6, 18000, 1800));
        let left = tail(&init, &segment, 300 * 90).unwrap();
        // At 220 ms is nearer than at 420.
        assert_eq!(last_bytes(mdat_of(&left)), [3, 4, 5, 11, 12, 13, 14, 15]);
        let content = look(&init, &left).unwrap();
        assert_eq!(content.audio[0].pts.first.0, 220 * 90);
        assert_eq!(content.video.unwrap().pts.first.0, 300 * 90);
        // What counts from the start of a file does not go elsewhere as it is.
        let all = tail(&init, &segment, 0).unwrap();
        assert_eq!(last_bytes(mdat_of(&all)), last_bytes(mdat_of(&segment)));
        assert_eq!(look(&init, &all), look(&init, &segment));
    }
}

/// A joint in milliseconds, and the pictures and the sound that are left.
type SoundCase<'a> = (Option<i64>, Option<i64>, &'a [u8], &'a [u8]);

#[test]
fn sound_begins_where_it_ended() {
    // Frames of 200 ms from 20 ms on, pictures of 100 ms from 0 on.
    let (init, segment) = (init(&[0]), both(0x2_0000, 36, 0));
    let ms = |time: i64| Ticks(time * 90);
    let all = last_bytes(mdat_of(&segment));
    let cases: [SoundCase<'_>; 9] = [
        // Later than the picture, earlier, earlier than there is any, later than there is any.
        (Some(300), Some(430), &[3, 4, 5], &[12, 13, 14, 15]),
        (Some(300), Some(30), &[3, 4, 5], &[10, 11, 12, 13, 14, 15]),
        (Some(300), Some(-500), &[3, 4, 5], &[10, 11, 12, 13, 14, 15]),
        (Some(300), Some(9000), &[3, 4, 5], &[]),
        // All pictures.
        (Some(0), Some(430), &[0, 1, 2, 3, 4, 5], &[12, 13, 14, 15]),
        (None, Some(430), &[0, 1, 2, 3, 4, 5], &[12, 13, 14, 15]),
        // Nothing is gone.
        (Some(0), Some(110), &all[..6], &all[6..]),
        (None, Some(20), &all[..6], &all[6..]),
        (None, None, &all[..6], &all[6..]),
    ];
    for (video, audio, pictures, sound) in cases {
        let joint = Joint { video: video.map(ms), audio: audio.map(ms) };
        let bytes = Bytes::copy_from_slice(&segment);
        let left = cut(Container::Fmp4 { init: &init }, &bytes, &joint).unwrap();
        assert_eq!(last_bytes(mdat_of(&left)), [pictures, sound].concat(), "{joint:?}");
        let is_all = all.len() == pictures.len() + sound.len();
        assert_eq!(left.as_ptr() == bytes.as_ptr(), is_all, "the same bytes: {joint:?}");
        let audio = look(&init, &left).unwrap().audio;
        let first = audio.first().map(|audio| audio.pts.first);
        let expected = sound.first().map(|nth| ms(20 + 200 * (i64::from(*nth) - 10)));
        assert_eq!(first, expected, "{joint:?}");
    }
    let end = look(&init, &segment).unwrap().end();
    assert_eq!((end.video, end.audio), (Some(ms(600)), Some(ms(1220))));
}

#[test]
fn text_is_kept_from_what_is_shown() {
    // Three of 200 ms each.
    let text = |at| {
        let tfhd = full(*b"tfhd", 0, 0x2_0008, &[3, 200]);
        traf(&[tfhd, tfdt(0), full(*b"trun", 0, 1, &[3, at])])
    };
    let mut samples: Vec<_> = (0..6).map(|n| picture(n % 3 == 0, n)).collect();
    samples.extend((10..13).map(|n| vec![0, 0, 0, 0, 0, n]));
    let make = |at| {
        let flags = [KEY, NOT_KEY, NOT_KEY, KEY, NOT_KEY, NOT_KEY];
        let run = full(*b"trun", 0, 0x401, &[&[6, at], &flags[..]].concat());
        vec![traf(&[full(*b"tfhd", 0, 0x2_0000, &[1]), tfdt(0), run]), text(at + 36)]
    };
    let left = tail(&init(&[0]), &fragment(make, &samples), 300 * 90).unwrap();
    assert_eq!(last_bytes(mdat_of(&left)), [3, 4, 5, 11, 12]);
}

#[test]
fn a_keyframe_is_one_in_word_and_deed() {
    let segment = pictures(|at| {
        // All of them, the muxer says.
        let run = full(*b"trun", 0, 0x401, &[6, at, KEY, KEY, KEY, KEY, KEY, KEY]);
        vec![traf(&[full(*b"tfhd", 0, 0x2_0000, &[1]), tfdt(0), run])]
    });
    let content = look(&init(&[0]), &segment).unwrap();
    assert_eq!(keyframes(&content), [(0, true), (300, true)]);
}

/// A name, three keyframes, and whether they are closed.
type SetsCase = (&'static str, [Vec<u8>; 3], [bool; 3]);

/// Sets in the init segment are in force until the first other ones.
#[test]
fn a_keyframe_needs_its_parameter_sets() {
    let sets = |sps: u8, pps: u8| vec![0, 0, 0, 2, 0x67, sps, 0, 0, 0, 2, 0x68, pps];
    let both = |sets: Vec<u8>, number| [sets, picture(true, number)].concat();
    let other_sps = [vec![0, 0, 0, 2, 0x67, 9], picture(true, 2)].concat();
    let cases: [SetsCase; 4] = [
        ("none", [picture(true, 0), picture(true, 1), picture(true, 2)], [true; 3]),
        ("the same", [both(sets(1, 2), 0), picture(true, 1), picture(true, 2)], [true; 3]),
        (
            "others",
            [both(sets(9, 2), 0), picture(true, 1), both(sets(1, 2), 2)],
            [true, false, true],
        ),
        ("another in part", [picture(true, 0), picture(true, 1), other_sps], [true, true, true]),
    ];
    for (name, samples, closed) in cases {
        let segment = fragment(
            |at| {
                let run: Vec<u32> = samples.iter().flat_map(|s| [s.len() as u32, KEY]).collect();
                let run = full(*b"trun", 0, 0x601, &[&[3, at], &run[..]].concat());
                vec![traf(&[full(*b"tfhd", 0, 0x2_0000, &[1]), tfdt(0), run])]
            },
            &samples,
        );
        let found = keyframes(&look(&init(&[0]), &segment).unwrap());
        let found: Vec<_> = found.into_iter().map(|(_, closed)| closed).collect();
        assert_eq!(found, closed, "{name}");
    }
}

#[test]
fn what_stands_before_a_fragment() {
    let two = |first: u32| {
        pictures(move |at| {
            let run = full(*b"trun", 0, 5, &[6, at, KEY]);
            vec![traf(&[full(*b"tfhd", 0, 0x2_0000, &[1]), tfdt(first), run])]
        })
    };
    let styp = boxed(*b"styp", b"msdh");
    let clock = |time| full(*b"prft", 0, 0, &[1, 0, 0, time]);
    let moment = |time| full(*b"emsg", 1, 0, &[1000, 0, time, 0, 0, 0]);
    let after = |delta| {
        boxed(
            *b"emsg",
            &[&[0, 0, 0, 0, b'a', 0, b'b', 0][..], &words(&[1000, delta, 0, 0])].concat(),
        )
    };
    let sidx = full(*b"sidx", 0, 0, &[1, 1000, 0, 0, 0]);
    let before = |parts: &[Vec<u8>]| parts.concat();
    let head = before(&[styp.clone(), sidx, moment(500), moment(700), after(100), after(700)]);
    let second = before(&[clock(600), two(600)]);
    let segment = before(&[head, clock(0), two(0), styp.clone(), second.clone()]);
    let left = tail(&init(&[0]), &segment, 600 * 90).unwrap();
    assert_eq!(left, before(&[styp.clone(), moment(700), after(100), styp, second]));
}

#[test]
fn more_than_a_segment_can_hold() {
    let init = init(&[0]);
    let run = |count, size, at| {
        let tfhd = full(*b"tfhd", 0, 0x2_0010, &[1, size]);
        traf(&[tfhd, tfdt(0), full(*b"trun", 0, 5, &[count, at, KEY])])
    };
    let endless = fragment(|at| vec![run(u32::MAX, 0, at)], &[]);
    assert_eq!(look(&init, &endless), Err(Damage::Malformed("a segment with too many samples")));
    let shared = fragment(|at| (0..9).map(|_| run(6, 6, at)).collect(), &vec![picture(true, 0); 6]);
    assert!(look(&init, &shared).is_ok());
    let shared =
        fragment(|at| (0..50).map(|_| run(6, 40, at)).collect(), &vec![picture(true, 0); 40]);
    assert_eq!(look(&init, &shared), Err(Damage::Malformed("samples that share their bytes")));
    let keys = |count| {
        let make = |at| {
            let tfhd = full(*b"tfhd", 0, 0x2_0020, &[1, KEY]);
            vec![traf(&[tfhd, tfdt(0), full(*b"trun", 0, 1, &[count, at])])]
        };
        fragment(make, &vec![picture(true, 0); count as usize])
    };
    assert!(look(&init, &keys(16_384)).is_ok());
    assert_eq!(
        look(&init, &keys(16_385)),
        Err(Damage::Malformed("a segment with too many keyframes"))
    );
    let crowd = fragment(|at| (0..100).map(|_| run(0, 6, at)).collect(), &[]);
    assert_eq!(look(&init, &crowd), Err(Damage::Malformed("a fragment with too many tracks")));
    let styles = boxed(*b"styp", b"").repeat(20_000);
    assert_eq!(look(&init, &styles), Err(Damage::Malformed("a segment with too many boxes")));
}

#[test]
fn encryption_is_told_by_either() {
    let segment = |told: &[u8]| {
        pictures(|at| {
            let run = full(*b"trun", 0, 5, &[6, at, KEY]);
            let tfhd = full(*b"tfhd", 0, 0x2_0000, &[1]);
            vec![traf(&[tfhd, tfdt(0), run, told.to_vec()])]
        })
    };
    for told in [full(*b"senc", 0, 0, &[0]), full(*b"saiz", 0, 0, &[0, 0])] {
        assert_eq!(look(&init(&[0]), &segment(&told)), Err(Damage::Encrypted));
    }
    // With one IV for all samples a fragment need not say anything.
    let mut secret = init(&[0]);
    let at = secret.windows(4).position(|bytes| bytes == b"avc1").unwrap();
    secret[at..at + 4].copy_from_slice(b"encv");
    assert!(look(&init(&[0]), &segment(&[])).is_ok());
    assert_eq!(look(&secret, &segment(&[])), Err(Damage::Encrypted));
    assert_eq!(tail(&secret, &segment(&[]), 0), Err(Damage::Encrypted));
}

#[test]
fn what_is_missing_is_told() {
    let sound = |tfhd: &[u32], times: &[Vec<u8>], count| {
        fragment(
            |at| {
                let run = full(*b"trun", 0, 1, &[count, at]);
                vec![traf(
                    &[vec![full(*b"tfhd", 0, 0x2_0000, tfhd)], times.to_vec(), vec![run]].concat(),
                )]
            },
            &[vec![0; 12]],
        )
    };
    let (init, no_init) = (init(&[0]), boxed(*b"ftyp", b"iso5"));
    assert_eq!(look(&init, &sound(&[2], &[tfdt(0)], 2)), Err(Damage::NoPicture));
    assert_eq!(look(&init, &sound(&[2], &[tfdt(0)], 0)), Err(Damage::Empty));
    assert_eq!(look(&init, &boxed(*b"styp", b"msdh")), Err(Damage::Empty));
    assert_eq!(look(&init, &[]), Err(Damage::Empty));
    let malformed = |segment: &[u8]| matches!(look(&init, segment), Err(Damage::Malformed(_)));
    assert!(malformed(&sound(&[9], &[tfdt(0)], 2)), "a track that is not in the init segment");
    assert!(malformed(&sound(&[2], &[], 2)), "no time");
    assert_eq!(look(&no_init, &sound(&[2], &[tfdt(0)], 2)), Err(Damage::Unreadable));
}

//! Splices at the frame: where a lane goes on in a sibling's segments when their pictures are compared.

use segue::model::lane::{Splice, SpliceMethod};
use segue::model::media::{
    Audio, Codec, Content, Joint, Keyframe, PictureHash, Span, Ticks, Video,
};
use segue::model::rendition::Kind;

use crate::show::{SECONDS, Show, list};

const MS: u64 = SECONDS * 1000;
const S: i64 = Ticks::SECOND;
/// A frame of picture, and of sound.
const PICTURE: i64 = S / 25;
const SOUND: i64 = 1920;

/// A packager of a programme that has a keyframe every second.
#[derive(Clone, Copy)]
struct Made {
    /// Seconds of the programme at which its segment 0 begins.
    begins: i64,
    /// Media time at the programme's beginning, seconds.
    base: i64,
    /// Who encodes it.
    encoder: u8,
    /// When its keyframes are, seconds after the full one, in parts of 90,000.
    phase: i64,
    /// Its sound is in its segments so much later than its pictures.
    late: i64,
}

const A: Made = Made { begins: 0, base: 10, encoder: 1, phase: 0, late: 0 };

impl Made {
    fn content(self, n: u64) -> Content {
        let n = i64::try_from(n).unwrap();
        let seconds = i64::try_from(SECONDS).unwrap();
        let from = self.begins + n * seconds;
        let pts = |second: i64| (second + self.base) * S + self.phase;
        let (first, end) = (pts(from), pts(from + seconds));
        let keyframes = (from..from + seconds).map(|second| {
            let mut hash = [self.encoder; 16];
            hash[..8].copy_from_slice(&second.to_be_bytes());
            let pts = Ticks(pts(second));
            Keyframe { pts, dts: pts, hash: PictureHash(hash), closed: true }
        });
        let span = |first: i64, last: i64| Span { first: Ticks(first), last: Ticks(last) };
        let sound = |t: i64| {
            let frames = (t - self.late - self.base * S + SOUND - 1).div_euclid(SOUND);
            frames * SOUND + self.base * S
        };
        Content {
            video: Some(Video {
                codec: Codec::H264,
                parameter_sets: None,
                pts: span(first, end - PICTURE),
                dts: span(first, end - PICTURE),
                pictures: 100,
                frame: Ticks(PICTURE),
                keyframes: keyframes.collect(),
            }),
            audio: vec![Audio {
                codec: Codec::Aac,
                pts: span(sound(first), sound(end) - SOUND),
                frame: Ticks(SOUND),
                frames: 180,
            }],
            pcr: None,
        }
    }
}

/// Two packagers, until `a` fails at 40 s; their lists are there as their segments end.
struct Two {
    show: Show,
    made: [Made; 2],
}

impl Two {
    fn of(a: Made, b: Made) -> Self {
        let mut show = Show::of(&[Kind::Video], |h| h.dates = true)
            .with("a", &[Some("a")])
            .with("b", &[Some("b")]);
        for (n, made) in [a, b].into_iter().enumerate() {
            let shown = show.packagers[n].1[0].as_mut().unwrap();
            shown.content = Some(Box::new(move |n| made.content(n)));
        }
        // Of a standby nothing is held that was not asked for.
        show.packagers[1].1[0].as_mut().unwrap().bytes_after = u64::MAX;
        Self { show, made: [a, b] }
    }

    fn refresh(&mut self, n: usize, now: u64) {
        let since = i64::try_from(now).unwrap() - self.made[n].begins * 1000;
        let end = u64::try_from(since).unwrap_or(0) / MS;
        if end > 0 {
            let text = list(end.saturating_sub(6)..end, |_| format!("#EXTINF:{SECONDS},"));
            self.show.shows(n, 0, now, &text);
        }
    }

    /// Looks every 500 ms, and everything wanted comes at once.
    fn play(&mut self, from: u64, to: u64, alive: &[usize]) {
        for now in (from..to).step_by(500) {
            for n in alive {
                self.refresh(*n, now);
            }
            self.show.settle(now);
        }
    }

    fn killed(mut self) -> Self {
        self.play(9000, 41_000, &[0, 1]);
        self.show.fails(0, 41_000);
        self.play(41_000, 60_000, &[1]);
        self
    }

    fn splice(&self) -> Splice {
        let mut splices = self.show.log.steps().filter_map(|s| s.splice.clone());
        let first = splices.next().unwrap();
        assert_eq!(splices.next(), None);
        first
    }

    /// The number, what was cut, and the milliseconds of the first entry after the splice.
    fn first(&self) -> (u64, Option<Joint>, u128) {
        let step = self.show.log.steps().find(|s| s.splice.is_some()).unwrap();
        let entry = &step.entries(0)[0];
        let joint = entry.cut.as_ref().map(|cut| cut.joint);
        (entry.source.msn.0, joint, entry.duration.as_millis())
    }
}

#[test]
fn the_tail_from_where_the_lane_ended() {
    // Its numbers are 5 lower, its clock another, and its borders are two seconds later.
    let two = Two::of(A, Made { begins: 18 + 4, base: 5000, ..A }).killed();
    let Splice { method, gap_ms, .. } = two.splice();
    assert_eq!((method, gap_ms), (SpliceMethod::Keyframe, 0));
    // a ended at second 40; b's segment from 38 to 42 is cut there.
    let (msn, joint, length) = two.first();
    assert_eq!((msn, length), (4, 2000));
    let joint = joint.unwrap();
    assert_eq!(joint.video, Some(Ticks(5040 * S)));
    assert!((joint.audio.unwrap().0 - 5040 * S).abs() <= SOUND, "{joint:?}");
    assert!(two.show.text(0).contains("#EXTINF:2.000000,\n"), "{}", two.show.text(0));
    // And b's next follow it.
    let last = two.show.log.tail().unwrap();
    assert_eq!((last.packager.as_str(), last.splice.as_ref()), ("b", None));
}

#[test]
fn equal_borders_need_no_cut() {
    let two = Two::of(A, Made { begins: 20, base: 10, ..A }).killed();
    let Splice { method, gap_ms, .. } = two.splice();
    assert_eq!((method, gap_ms), (SpliceMethod::Keyframe, 0));
    let (msn, joint, length) = two.first();
    assert_eq!((msn, length), (5, 4000));
    assert_eq!(joint.and_then(|joint| joint.video), Some(Ticks(50 * S)));
}

/// The sound that belongs to its beginning is in the segment before.
#[test]
fn sound_that_came_earlier_is_taken_from_the_segment_before() {
    let two = Two::of(A, Made { begins: 20, late: -S / 2, ..A }).killed();
    let step = two.show.log.steps().find(|s| s.splice.is_some()).unwrap();
    let cut = step.entries(0)[0].cut.clone().unwrap();
    assert_eq!(cut.before.map(|part| part.source.msn.0), Some(4));
    assert_eq!(step.entries(0)[0].source.msn.0, 5);
}

#[test]
fn other_pictures_prove_nothing() {
    let two = Two::of(A, Made { begins: 22, encoder: 2, ..A }).killed();
    assert_eq!(two.splice().method, SpliceMethod::Arrival);
    assert_eq!(two.first().1, None);
}

/// Audio that stands apart is cut at the frame at which it ended, in a segment of its own.
#[test]
fn audio_apart_goes_on_where_it_ended() {
    let kinds = [Kind::Variant, Kind::Audio];
    let b = Made { begins: 22, base: 5000, ..A };
    let folders = [[Some("a"), Some("a-en")], [Some("b"), Some("b-en")]];
    let mut show = Show::of(&kinds, |_| {}).with("a", &folders[0]).with("b", &folders[1]);
    for (n, made) in [A, b].into_iter().enumerate() {
        let [pictures, sound] = &mut show.packagers[n].1[..] else { unreachable!() };
        let alone = |content: Content| Content { video: None, ..content };
        let mute = |content: Content| Content { audio: vec![], ..content };
        pictures.as_mut().unwrap().content = Some(Box::new(move |n| mute(made.content(n))));
        sound.as_mut().unwrap().content = Some(Box::new(move |n| alone(made.content(n))));
        if n == 1 {
            for shown in [pictures, sound].into_iter().flatten() {
                shown.bytes_after = u64::MAX;
            }
        }
    }
    for now in (9000_u64..60_000).step_by(500) {
        for (n, made) in [A, b].into_iter().enumerate() {
            let began = u64::try_from(made.begins * 1000).unwrap();
            let end = now.saturating_sub(began) / MS;
            let text = list(end.saturating_sub(6)..end, |_| format!("#EXTINF:{SECONDS},"));
            if end > 0 && (n == 1 || now < 41_000) {
                (0..2).for_each(|r| show.shows(n, r, now, &text));
            }
        }
        if now == 41_000 {
            show.fails(0, now);
        }
        show.settle(now);
    }
    let step = show.log.steps().find(|s| s.splice.is_some()).unwrap();
    assert_eq!(step.splice.as_ref().unwrap().method, SpliceMethod::Keyframe);
    let [pictures, sound] = &step.shares[..] else { unreachable!() };
    let joint = |share: &segue::model::lane::Share| share.entries[0].cut.clone().unwrap().joint;
    assert_eq!(joint(pictures), Joint { video: Some(Ticks(5040 * S)), audio: None });
    assert_eq!(joint(sound).video, None);
    // Where the lane's ended, on b's clock: sound is in frames, on both sides the same ones.
    let ended = A.content(9).end().audio.unwrap();
    assert_eq!(joint(sound).audio, Some(Ticks(ended.0 + (5000 - 10) * S)));
    let apart = pictures.duration().abs_diff(sound.duration());
    assert!(apart.as_millis() < 22, "{apart:?}");
}

/// Two encoders by whose dates content can be placed, but no keyframe is where the lane ended.
#[test]
fn by_dates_the_next_keyframe_or_the_one_before() {
    for (overlap, joint, length, gap) in [(false, 4040, 1000, 500), (true, 4039, 2000, -500)] {
        let b = Made { begins: 21, base: 4000, encoder: 2, phase: S / 2, late: 0 };
        let mut two = Two::of(A, b);
        two.show.overlap = overlap;
        let dated = |two: &mut Two, n: usize, now: u64| {
            let began = u64::try_from(two.made[n].begins * 1000).unwrap()
                + u64::try_from(two.made[n].phase / 90).unwrap();
            let end = now.saturating_sub(began) / MS;
            if end > 0 {
                let date = |k: u64| crate::show::date(began + k * MS);
                let tags = |k: u64| format!("{}\n#EXTINF:{SECONDS},", date(k));
                two.show.shows(n, 0, now, &list(end.saturating_sub(6)..end, tags));
            }
        };
        for now in (9000..60_000).step_by(500) {
            if now < 41_000 {
                dated(&mut two, 0, now);
            }
            if now == 41_000 {
                two.show.fails(0, now);
            }
            dated(&mut two, 1, now);
            two.show.settle(now);
        }
        let Splice { method, gap_ms, .. } = two.splice();
        assert_eq!((method, gap_ms), (SpliceMethod::ProgramDateTime, gap));
        let (_, cut, shown) = two.first();
        assert_eq!(cut.unwrap().video, Some(Ticks(joint * S + S / 2)));
        assert_eq!(shown, length);
    }
}

/// Its list goes on counting, and what it missed meanwhile a sibling has.
#[test]
fn content_that_a_restart_lost_is_taken_from_a_sibling() {
    let mut two = Two::of(A, Made { begins: 18, ..A });
    two.play(9000, 41_000, &[0, 1]);
    two.play(41_000, 44_500, &[1]);
    // Segment 10 begins half a second after segment 9 has ended.
    let shown = two.show.packagers[0].1[0].as_mut().unwrap();
    shown.content = Some(Box::new(|n| Made { phase: S / 2, encoder: 3, ..A }.content(n)));
    let text = list(5..11, |n| {
        let mark = if n == 10 { "#EXT-X-DISCONTINUITY\n" } else { "" };
        format!("{mark}#EXTINF:{SECONDS},")
    });
    two.show.shows(0, 0, 44_500, &text);
    two.play(44_500, 60_000, &[1]);
    let Splice { method, gap_ms, .. } = two.splice();
    assert_eq!((method, gap_ms), (SpliceMethod::Keyframe, 0));
    assert_eq!(two.first().2, 2000);
}

/// Another took its place between two refreshes, with the next number: players must be told.
#[test]
fn pictures_of_another_time_stand_behind_a_discontinuity() {
    let mut two = Two::of(A, A);
    two.play(9000, 41_000, &[0]);
    let other = Made { begins: 300, ..A };
    let shown = two.show.packagers[0].1[0].as_mut().unwrap();
    shown.content = Some(Box::new(move |n| if n < 10 { A } else { other }.content(n)));
    two.play(44_000, 52_500, &[0]);
    let marked = |step: &segue::model::lane::Step| step.discontinuity.then_some(step.msn.0);
    let steps: Vec<_> = two.show.log.steps().collect();
    let marks: Vec<u64> = steps.iter().filter_map(|step| marked(step)).collect();
    let tenth = steps.iter().find(|step| step.entries(0)[0].source.msn.0 == 10).unwrap();
    assert_eq!(marks, [tenth.msn.0]);
    assert_eq!(tenth.splice, None);
}

/// A process that reads the log finds the place again, and the run.
#[test]
fn what_was_cut_stands_in_the_log() {
    let two = Two::of(A, Made { begins: 22, ..A }).killed();
    for step in two.show.log.steps() {
        let text = serde_json::to_string(step).unwrap();
        assert_eq!(&serde_json::from_str::<segue::model::lane::Step>(&text).unwrap(), step);
    }
    let mut again = two;
    // Nothing is remembered but the log; then b fails and a is back, with another clock.
    again.show.relations = segue::model::lane::Relations::default();
    let back = Made { begins: 44 - 4000, base: 700, ..A };
    let shown = again.show.packagers[0].1[0].as_mut().unwrap();
    shown.life = 2;
    shown.content = Some(Box::new(move |n| back.content(n)));
    again.made[0] = back;
    again.play(60_000, 75_000, &[0, 1]);
    again.show.fails(1, 75_000);
    again.play(75_000, 90_000, &[0]);
    let last = again.show.log.steps().rev().find_map(|s| s.splice.clone()).unwrap();
    assert_eq!((last.from.as_str(), last.method, last.gap_ms), ("b", SpliceMethod::Keyframe, 0));
}

//! What a failover between the two would be like, why, and what makes it better.

use std::time::Duration;

use serde::Serialize;

use super::relating::Measured;
use super::watched::{Packing, Watched};
use crate::model::align::Method;
use crate::model::media::{Codec, Ticks};

/// How well a lane could go from one to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Too little has been seen.
    #[default]
    Looking,
    /// Spliced at the frame.
    Exact,
    /// At the keyframe that is nearest by what both clocks say.
    Near,
    /// At a border, by when segments came.
    Unaligned,
    /// Not at all.
    Impossible,
}

/// What a failover would be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How good.
    pub class: Class,
    /// Why.
    pub why: String,
    /// How much content may be lost or come twice.
    pub gap_max: Option<Duration>,
    /// What the operator can do.
    pub advice: Vec<String>,
}

impl Verdict {
    fn new(class: Class, why: impl Into<String>) -> Self {
        Self { class, why: why.into(), gap_max: None, advice: Vec::new() }
    }

    fn gap(mut self, gap: Duration) -> Self {
        self.gap_max = Some(gap);
        self
    }

    fn advise(mut self, advice: &[&str]) -> Self {
        self.advice.extend(advice.iter().map(|a| (*a).to_owned()));
        self
    }
}

const ONE_ENCODER: &str = "feed both packagers from one encoder, such as through a relay that pushes to \
     both: with the same pictures on both sides a splice is exact";
const DATES: &str = "or have both write EXT-X-PROGRAM-DATE-TIME from clocks that are in step (ffmpeg: \
     -hls_flags program_date_time, Wowza: cupertinoEnableProgramDateTime)";
const CLOSED: &str = "have the encoder write closed GOPs and packagers cut at keyframes (x264: open_gop=0, \
     x265: open-gop=0): then it can be cut at every border";
const CLEAR: &str = "let the packagers write clear segments to Segue, on a network of your own, and encrypt \
     behind it: what is encrypted is spliced at borders";
const BORDERS: &str = "or give both the same segment length and make them begin to cut together";

/// Segments to see of each before nothing in common means anything.
const ENOUGH: u32 = 3;
/// Fewer keyframes may be the same by chance: black, or a test picture.
const ENOUGH_KEYFRAMES: usize = 3;
/// Borders of encrypted segments that are no further apart are taken for one.
const TOGETHER_MS: u64 = 50;

/// Judges what both show. `same` is false where viewers would see another rendition.
pub(super) fn verdict(
    a: &Watched,
    b: &Watched,
    measured: Option<&Measured>,
    same: bool,
) -> Verdict {
    if let Some(unfit) = unfit(a, b) {
        return unfit;
    }
    let Some(measured) = measured else { return looking(a, b) };
    let segment = longest(a, b);
    let method = measured.relation.method;
    let proven = method <= Method::Pts && measured.agreement.compared >= ENOUGH_KEYFRAMES;
    let settled = a.looks.min(b.looks) >= ENOUGH && measured.shared >= segment;
    if a.encrypted || b.encrypted {
        return if settled { encrypted(measured, segment) } else { looking(a, b) };
    }
    if !proven && !settled {
        return looking(a, b);
    }
    let mut verdict = match method {
        Method::Keyframe | Method::Pts => by_pictures(a, b, measured),
        Method::ProgramDateTime => by_dates(a, b, segment),
        Method::Arrival => by_arrival(a, b, measured, segment),
    };
    if verdict.class == Class::Exact && !same {
        verdict.class = Class::Near;
        verdict.why += "; but the rendition of b only stands in for that of a";
        verdict.advice.push("offer the same renditions on both".to_owned());
    }
    if sound(a) != sound(b) && verdict.class == Class::Exact {
        verdict.class = Class::Near;
        verdict.why += "; but their sound is not coded alike, which some players do not take";
        verdict.advice.push("code the sound alike on both".to_owned());
    }
    verdict
}

fn looking(a: &Watched, b: &Watched) -> Verdict {
    let count = |n: u32| if n == 1 { "1 segment".to_owned() } else { format!("{n} segments") };
    let why = format!("into a: {}, b: {}", count(a.looks), count(b.looks));
    Verdict::new(Class::Looking, why)
}

/// What no lane can go over.
fn unfit(a: &Watched, b: &Watched) -> Option<Verdict> {
    let (Some(ours), Some(theirs)) = (a.packing, b.packing) else { return None };
    if ours != theirs {
        let name = |p| if p == Packing::Ts { "MPEG-TS" } else { "fMP4" };
        let why = format!(
            "a writes {}, b {}: a playlist cannot go from one to the other",
            name(ours),
            name(theirs)
        );
        let advice = ["set the same container on both packagers"];
        return Some(Verdict::new(Class::Impossible, why).advise(&advice));
    }
    let (Some(ours), Some(theirs)) = (&a.content, &b.content) else { return None };
    let codec = |c: &crate::model::media::Content| c.video.as_ref().map(|v| v.codec);
    if codec(ours) == codec(theirs) {
        return None;
    }
    let name = |codec: Option<Codec>| codec.map_or("no pictures", codec_name);
    let why = format!(
        "a has {}, b {}: players do not go on from one to the other",
        name(codec(ours)),
        name(codec(theirs))
    );
    let advice = ["code both alike, or choose renditions that are, with --rendition"];
    Some(Verdict::new(Class::Impossible, why).advise(&advice))
}

fn by_pictures(a: &Watched, b: &Watched, measured: &Measured) -> Verdict {
    let agreement = measured.agreement;
    let told = format!(
        "both carry the same coded pictures ({} of {} keyframes compared)",
        agreement.equal, agreement.compared
    );
    let gop = gop(a, b);
    if agreement.equal < agreement.compared {
        let why = format!("{told}, but not all: what differs was coded or damaged on the way");
        let advice = "find what changes the stream between the encoder and the packagers: a \
             transcoder, or packets that are lost";
        return Verdict::new(Class::Near, why).gap(gop).advise(&[advice]);
    }
    if a.recent().chain(b.recent()).any(|cut| cut.closed == Some(false)) {
        let why = format!("{told}, but segments begin with pictures that need what came before");
        return Verdict::new(Class::Near, why).gap(gop).advise(&[CLOSED]);
    }
    let apart = measured.phase.map_or(0, |phase| phase.ms.median.unsigned_abs());
    let how = if apart <= TOGETHER_MS {
        "each segment begins with a closed keyframe".to_owned()
    } else {
        "each segment begins with a closed keyframe, at which a segment of the other is cut"
            .to_owned()
    };
    Verdict::new(Class::Exact, format!("{told}, and {how}")).gap(Duration::ZERO)
}

fn by_dates(a: &Watched, b: &Watched, segment: Duration) -> Verdict {
    let gop = gop(a, b).min(segment);
    let why =
        "their pictures are coded apart, but both write dates, which agree with when segments come";
    Verdict::new(Class::Near, why).gap(gop).advise(&[ONE_ENCODER])
}

fn by_arrival(a: &Watched, b: &Watched, measured: &Measured, segment: Duration) -> Verdict {
    let keyless =
        |w: &Watched| w.content.as_ref().is_some_and(|c| c.video.is_some()) && w.gop().is_none();
    if keyless(a) || keyless(b) {
        let who = if keyless(a) { "a" } else { "b" };
        let why = format!(
            "no keyframe that players can join at (IDR) was found in {who}, so pictures are not \
             compared: all that is known is when segments come"
        );
        return Verdict::new(Class::Unaligned, why).gap(segment).advise(&[CLOSED, DATES]);
    }
    let pictures = match (a.gop().is_some() && b.gop().is_some(), measured.agreement.equal) {
        (false, _) => "there are no pictures to compare",
        (true, 0) => "no picture of one is in the other",
        (true, _) => "only few pictures of one are in the other",
    };
    let (dates, advice): (&str, &[&str]) = match (a.dated, b.dated) {
        (true, true) => (
            "their dates contradict when segments come",
            &[ONE_ENCODER, "or set the clocks of both: their dates are more than 10 s apart"],
        ),
        (true, false) => ("only a writes dates", &[ONE_ENCODER, DATES]),
        (false, true) => ("only b writes dates", &[ONE_ENCODER, DATES]),
        (false, false) => ("neither writes dates", &[ONE_ENCODER, DATES]),
    };
    let why = format!("{pictures} and {dates}: all that is known is when segments come");
    Verdict::new(Class::Unaligned, why).gap(segment).advise(advice)
}

fn encrypted(measured: &Measured, segment: Duration) -> Verdict {
    let dates = measured.relation.method == Method::ProgramDateTime;
    let phase = measured.phase.filter(|phase| phase.constant);
    if let Some(phase) = phase.filter(|p| dates && p.ms.median.unsigned_abs() <= TOGETHER_MS) {
        let why = "segments are encrypted, so it is spliced at borders; by their dates those are the same";
        let gap = Duration::from_millis(phase.ms.median.unsigned_abs());
        return Verdict::new(Class::Near, why).gap(gap);
    }
    let why =
        "segments are encrypted, so it is spliced at borders, which are not known to be the same";
    let advice: &[&str] = if dates { &[CLEAR, BORDERS] } else { &[CLEAR, BORDERS, DATES] };
    Verdict::new(Class::Unaligned, why).gap(segment).advise(advice)
}

fn gop(a: &Watched, b: &Watched) -> Duration {
    let ticks = a.gop().max(b.gop()).unwrap_or(Ticks(0));
    Duration::from_millis(super::relating::ms(ticks.0).unsigned_abs())
}

/// The longest segment of both.
fn longest(a: &Watched, b: &Watched) -> Duration {
    let of = |w: &Watched| w.lengths().map_or(Duration::ZERO, |(_, longest)| longest);
    of(a).max(of(b))
}

fn sound(w: &Watched) -> Vec<Codec> {
    w.content.as_ref().map(|c| c.audio.iter().map(|a| a.codec).collect()).unwrap_or_default()
}

/// As people call it.
pub(super) const fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "H.264",
        Codec::H265 => "H.265",
        Codec::Aac => "AAC",
        Codec::Mp3 => "MP3",
        Codec::Ac3 => "AC-3",
        Codec::Other => "other",
    }
}

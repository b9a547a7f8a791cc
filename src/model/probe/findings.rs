//! All that is known at one moment. Its fields are those of `segue probe --json`.

use std::time::Duration;

use serde::Serialize;

use super::matching::{Matching, name};
use super::relating::{Measured, ms};
use super::verdict::{Class, Verdict, codec_name, verdict};
use super::watched::Packing;
use super::{Both, Known};
use crate::model::lane::SpliceMethod;
use crate::model::multivariant::Found;
use crate::model::names::UnixMs;

/// After that a packager is gone, and not just slow.
const SILENT: Duration = Duration::from_secs(10);

/// What is known of two packagers. What is not known is null; of two numbers it is always B less A.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// `looking`, `exact`, `near`, `unaligned` or `impossible`.
    pub verdict: Class,
    /// Why, in words.
    pub why: String,
    /// How much content a failover loses or repeats, at the most.
    pub gap_max_ms: Option<u64>,
    /// What the operator can do.
    pub advice: Vec<String>,
    /// The renditions that are compared.
    pub rendition: Option<Paired>,
    /// Which is which.
    pub renditions: Vec<Paired>,
    /// What is shown at `t` of A's media time is shown at `t + offset` of B's.
    pub offset_ms: Option<i64>,
    /// The same, 90 kHz.
    pub offset_ticks: Option<i64>,
    /// `keyframe`, `pts`, `program_date_time` or `arrival`.
    pub method: Option<&'static str>,
    /// By how much the offset may be off, either way.
    pub within_ms: Option<u64>,
    /// By how many parts in a million B's clock runs fast; known after two minutes.
    pub drift_ppm: Option<i64>,
    /// Keyframes that both have at the same moment.
    pub keyframes_compared: usize,
    /// Of those, how many are the same coded picture.
    pub keyframes_equal: usize,
    /// How far B's segment borders lie after A's, in content: the median.
    pub border_phase_ms: Option<i64>,
    /// How far they wander from it.
    pub border_phase_spread_ms: Option<i64>,
    /// They stay within a frame.
    pub border_phase_constant: Option<bool>,
    /// How much higher B's EXT-X-MEDIA-SEQUENCE is for the same content.
    pub msn_difference: Option<i64>,
    /// It has been the same for all segments.
    pub msn_difference_constant: Option<bool>,
    /// How much later B lists the same content: the median.
    pub lag_ms: Option<i64>,
    /// How far it is from that at times.
    pub lag_spread_ms: Option<i64>,
    /// SPS, PPS and VPS are the same.
    pub parameter_sets_equal: Option<bool>,
    /// The first packager.
    pub a: Packager,
    /// The second one.
    pub b: Packager,
}

/// Renditions that stand for each other, by their ids and what else people know them by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Paired {
    /// None where A has nothing like it.
    pub a: Option<String>,
    /// None where B has not.
    pub b: Option<String>,
    /// Viewers see and hear the same; else B's is the nearest that there is.
    pub exact: bool,
}

/// What is known of one packager.
#[allow(clippy::struct_excessive_bools)] // each is told, none is a state
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Packager {
    /// As it was given.
    pub url: String,
    /// Why it does not answer as it should, now.
    pub error: Option<String>,
    /// For how long it has not.
    pub error_ms: Option<u64>,
    /// Its multivariant playlist, or its only media playlist, has been read.
    pub reached: bool,
    /// EXT-X-ENDLIST.
    pub ended: bool,
    /// Segments listed.
    pub listed: usize,
    /// Segments looked into.
    pub looked_into: u32,
    /// How often its timeline began again.
    pub restarts: u32,
    /// The newest number.
    pub newest_msn: Option<u64>,
    /// EXT-X-TARGETDURATION, seconds.
    pub target_duration: Option<u32>,
    /// The shortest segment listed.
    pub segment_ms_min: Option<u64>,
    /// The longest one.
    pub segment_ms_max: Option<u64>,
    /// `ts` or `fmp4`.
    pub container: Option<Packing>,
    /// How pictures are coded.
    pub video: Option<&'static str>,
    /// How sound is.
    pub audio: Vec<&'static str>,
    /// The longest way from a keyframe to the next.
    pub keyframe_ms: Option<u64>,
    /// Segments begin with keyframes that need nothing before them.
    pub closed: Option<bool>,
    /// It writes EXT-X-PROGRAM-DATE-TIME.
    pub dates: bool,
    /// Its segments are encrypted.
    pub encrypted: bool,
    /// What was wrong with the newest segment.
    pub damage: Option<String>,
}

pub(super) fn findings(
    now: UnixMs,
    sides: &Both<Known>,
    matching: Option<&Matching>,
    measured: Option<Measured>,
) -> Findings {
    let (a, b) = (&sides.a.watched, &sides.b.watched);
    let gone = || gone(now, "a", &sides.a).or_else(|| gone(now, "b", &sides.b));
    let verdict = unmatched(sides, matching).or_else(gone).unwrap_or_else(|| {
        let same = matching.is_none_or(Matching::main_is_exact);
        verdict(a, b, measured.as_ref(), same)
    });
    let sets = a.parameter_sets().zip(b.parameter_sets());
    let mut findings = Findings {
        verdict: verdict.class,
        why: verdict.why,
        gap_max_ms: verdict.gap_max.map(milliseconds),
        advice: verdict.advice,
        renditions: renditions(sides, matching),
        parameter_sets_equal: sets.map(|(a, b)| a == b),
        a: packager(now, &sides.a),
        b: packager(now, &sides.b),
        ..Findings::default()
    };
    findings.rendition = matching.and_then(|m| {
        let (a, b) = m.main()?;
        Some(Paired {
            a: sides.a.renditions.as_ref()?.get(a).map(name),
            b: sides.b.renditions.as_ref()?.get(b).map(name),
            exact: m.main_is_exact(),
        })
    });
    if let Some(measured) = measured {
        add(&mut findings, &measured);
    }
    findings
}

fn add(findings: &mut Findings, measured: &Measured) {
    let relation = measured.relation;
    findings.offset_ms = Some(ms(relation.offset.0));
    findings.offset_ticks = Some(relation.offset.0);
    findings.method = Some(SpliceMethod::from(relation.method).as_str());
    findings.within_ms = Some(milliseconds(relation.within));
    findings.drift_ppm = relation.drift_ppm;
    findings.keyframes_compared = measured.agreement.compared;
    findings.keyframes_equal = measured.agreement.equal;
    if let Some(phase) = measured.phase {
        findings.border_phase_ms = Some(phase.ms.median);
        findings.border_phase_spread_ms = Some(phase.ms.within);
        findings.border_phase_constant = Some(phase.constant);
        findings.msn_difference = Some(phase.msn);
        findings.msn_difference_constant = Some(phase.msn_constant);
    }
    findings.lag_ms = measured.lag.map(|lag| lag.median);
    findings.lag_spread_ms = measured.lag.map(|lag| lag.within);
}

/// Before there is anything to look into: who has not answered, or why there is nothing.
fn unmatched(sides: &Both<Known>, matching: Option<&Matching>) -> Option<Verdict> {
    if let Some(why) = matching.and_then(Matching::why_not) {
        let advice =
            "offer the same renditions on both, or choose one that both have with --rendition";
        return Some(Verdict {
            class: Class::Impossible,
            why: why.to_owned(),
            gap_max: None,
            advice: vec![advice.to_owned()],
        });
    }
    let waits = |known: &Known| known.renditions.is_none();
    let who = match (waits(&sides.a), waits(&sides.b)) {
        (true, true) => "for an answer of a and b",
        (true, false) => "for an answer of a",
        (false, true) => "for an answer of b",
        (false, false) => return None,
    };
    let advice = |who: &str, known: &Known| {
        let (_, why) = known.failing.as_ref().filter(|_| waits(known))?;
        Some(format!("{who}: {}", hint(why)))
    };
    let advice = advice("a", &sides.a).into_iter().chain(advice("b", &sides.b)).collect();
    Some(Verdict { why: who.to_owned(), advice, ..Verdict::default() })
}

/// What to see to where a packager's URL leads to nothing.
fn hint(why: &str) -> &'static str {
    if why.contains("connect") || why.contains("cannot be found") || why.contains("no answer") {
        "see whether it runs, and answers at this host and port"
    } else if why.contains("401") || why.contains("403") {
        "have it let this machine read, or give the URL with its token"
    } else if why.contains("answered") {
        "see whether the path is right and the stream is on air"
    } else {
        "give the URL of its HLS playlist, as a player would be given it"
    }
}

/// One of them is not what a failover could lead to, now.
fn gone(now: UnixMs, who: &str, known: &Known) -> Option<Verdict> {
    let (what, since) = match &known.failing {
        Some((since, _)) => ("has not answered", now.since(*since)),
        None if known.ended => return None,
        None => ("has listed nothing new", known.watched.stands_still(now)?),
    };
    if known.failing.is_some() && since < SILENT {
        return None;
    }
    let why = format!("{who} {what} for {} s: nothing comes of it now", since.as_secs());
    let advice = vec![format!("see whether {who} runs and gets its feed")];
    Some(Verdict { class: Class::Impossible, why, gap_max: None, advice })
}

fn renditions(sides: &Both<Known>, matching: Option<&Matching>) -> Vec<Paired> {
    let (Some(matching), Some(a), Some(b)) = (matching, &sides.a.renditions, &sides.b.renditions)
    else {
        return Vec::new();
    };
    let of_b = |index: usize| b.get(index).map(name);
    let pair = |(ours, found): (&Found, &Option<crate::model::multivariant::Match>)| Paired {
        a: Some(name(ours)),
        b: found.and_then(|found| of_b(found.index)),
        exact: found.is_some_and(|found| found.exact),
    };
    let pairs = a.iter().zip(&matching.of_a).map(pair);
    let others =
        matching.only_b.iter().map(|index| Paired { b: of_b(*index), ..Paired::default() });
    pairs.chain(others).collect()
}

fn packager(now: UnixMs, known: &Known) -> Packager {
    let watched = &known.watched;
    let content = watched.content.as_ref();
    let closed = watched.recent().filter_map(|cut| cut.closed).reduce(|all, closed| all && closed);
    Packager {
        url: known.url.clone(),
        error: known.failing.as_ref().map(|(_, why)| why.clone()),
        error_ms: known.failing.as_ref().map(|(since, _)| milliseconds(now.since(*since))),
        reached: known.renditions.is_some(),
        ended: known.ended,
        listed: watched.listed_count(),
        looked_into: watched.looks,
        restarts: watched.restarts(),
        newest_msn: watched.newest(),
        target_duration: watched.target,
        segment_ms_min: watched.lengths().map(|(shortest, _)| milliseconds(shortest)),
        segment_ms_max: watched.lengths().map(|(_, longest)| milliseconds(longest)),
        container: watched.packing,
        video: content.and_then(|c| c.video.as_ref()).map(|v| codec_name(v.codec)),
        audio: content
            .map(|c| c.audio.iter().map(|a| codec_name(a.codec)).collect())
            .unwrap_or_default(),
        keyframe_ms: watched.gop().map(|gop| ms(gop.0).unsigned_abs()),
        closed,
        dates: watched.dated,
        encrypted: watched.encrypted,
        damage: watched.damage.clone(),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

//! The same in words, line by line: labels and what stands beside them.

use super::findings::{Findings, Packager, Paired};
use super::verdict::Class;
use super::watched::Packing;

/// A line or a paragraph of what people see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The same of both, side by side.
    Sides(&'static str, String, String),
    /// Of the two together.
    Fact(&'static str, String),
    /// The verdict.
    Verdict(Tone, String),
    /// What can be done.
    Advice(String),
}

/// How good a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing is known.
    Neutral,
    /// All is well.
    Good,
    /// It could be better.
    Fair,
    /// It should be better.
    Poor,
}

/// All of it.
#[must_use]
pub fn panel(findings: &Findings) -> Vec<Part> {
    let mut parts = sides(findings);
    parts.extend(facts(findings).into_iter().map(|(label, text)| Part::Fact(label, plain(&text))));
    let (tone, verdict) = verdict(findings);
    parts.push(Part::Verdict(tone, plain(&verdict)));
    parts.extend(findings.advice.iter().map(|advice| Part::Advice(plain(advice))));
    parts
}

fn sides(findings: &Findings) -> Vec<Part> {
    let (a, b) = (&findings.a, &findings.b);
    let both =
        |label, of: fn(&Packager) -> String| Part::Sides(label, plain(&of(a)), plain(&of(b)));
    let mut parts =
        vec![both("url", |p| p.url.trim_start_matches("http://").to_owned()), both("state", state)];
    if let Some(Paired { a, b, .. }) = &findings.rendition {
        let name = |name: &Option<String>| plain(name.as_deref().unwrap_or("-"));
        parts.push(Part::Sides("rendition", name(a), name(b)));
    }
    if a.looked_into + b.looked_into > 0 {
        parts.push(both("container", container));
        parts.push(both("codecs", codecs));
        parts.push(both("segments", segments));
        parts.push(both("keyframes", keyframes));
        parts.push(both("dates", |p| if p.dates { "yes" } else { "no" }.to_owned()));
    }
    parts
}

fn state(p: &Packager) -> String {
    if let Some(error) = &p.error {
        let since = p.error_ms.unwrap_or_default() / 1000;
        return format!("{error}, for {since} s; asking again");
    }
    if let Some(damage) = &p.damage {
        return format!("the newest segment cannot be used: {damage}");
    }
    match (p.reached, p.newest_msn) {
        (false, _) => "asking".to_owned(),
        (true, None) => "answered".to_owned(),
        (true, Some(newest)) => {
            let live = if p.ended { "ended" } else { "live" };
            let again = match p.restarts {
                0 => String::new(),
                1 => ", began again once".to_owned(),
                n => format!(", began again {n} times"),
            };
            format!("{live}, segment {newest}, {} looked into{again}", p.looked_into)
        }
    }
}

fn container(p: &Packager) -> String {
    let secret = if p.encrypted { ", encrypted" } else { "" };
    match p.container {
        Some(Packing::Ts) => format!("MPEG-TS{secret}"),
        Some(Packing::Fmp4) => format!("fMP4{secret}"),
        None => "-".to_owned(),
    }
}

fn codecs(p: &Packager) -> String {
    let all: Vec<_> = p.video.iter().chain(&p.audio).copied().collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

fn segments(p: &Packager) -> String {
    let (Some(shortest), Some(longest), Some(target)) =
        (p.segment_ms_min, p.segment_ms_max, p.target_duration)
    else {
        return "-".to_owned();
    };
    let (short, long) = (seconds(shortest.cast_signed()), seconds(longest.cast_signed()));
    let length = if short == long { long } else { format!("{short} to {long}") };
    format!("{length}, target {target} s")
}

fn keyframes(p: &Packager) -> String {
    let Some(gop) = p.keyframe_ms else {
        return if p.video.is_some() { "none found" } else { "-" }.to_owned();
    };
    let closed = match p.closed {
        Some(true) => ", closed",
        Some(false) => ", open at borders",
        None => "",
    };
    format!("every {}{closed}", seconds(gop.cast_signed()))
}

fn facts(f: &Findings) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let (Some(offset), Some(method)) = (f.offset_ms, f.method) {
        facts.push(("media time", offset_text(f, offset, method)));
    }
    if let Some(phase) = f.border_phase_ms {
        facts.push(("borders", borders(f, phase)));
    }
    if let Some(apart) = f.msn_difference {
        let steady = if f.msn_difference_constant == Some(false) { ", not always" } else { "" };
        let text = match apart {
            0 => "the same on both".to_owned(),
            n if n > 0 => format!("b's are {n} higher"),
            n => format!("b's are {} lower", n.unsigned_abs()),
        };
        facts.push(("numbers", text + steady));
    }
    if let (Some(lag), Some(spread)) = (f.lag_ms, f.lag_spread_ms) {
        let (when, within) = (tenths_later(lag, spread), tenths(spread));
        facts.push(("listing", format!("b lists the same content {when} (within {within})")));
    }
    if f.method.is_some() {
        let drift = f.drift_ppm.map_or("known after two minutes".to_owned(), |ppm| match ppm {
            0 => "none".to_owned(),
            ppm => format!("b's clock runs {ppm:+} ppm"),
        });
        facts.push(("drift", drift));
    }
    if let Some(equal) = f.parameter_sets_equal {
        let text =
            if equal { "the same" } else { "not the same: players set up their decoder again" };
        facts.push(("SPS, PPS", text.to_owned()));
    }
    if f.renditions.len() > 1 {
        facts.extend(matched(&f.renditions).map(|text| ("renditions", text)));
    }
    facts
}

/// No more exact than the offset is.
fn borders(f: &Findings, phase: i64) -> String {
    let steady = match (f.border_phase_constant, f.border_phase_spread_ms) {
        (Some(false), Some(spread)) => format!(", wandering by {}", seconds(spread)),
        _ => ", always".to_owned(),
    };
    let rough = f.method == Some("arrival");
    let about = if rough { "about " } else { "" };
    let shown = |ms: i64| if rough { tenths(ms) } else { seconds(ms) };
    match phase {
        0 => format!("b cuts {about}where a does{steady}"),
        ms if ms > 0 => format!("b cuts {about}{} after a{steady}", shown(ms)),
        ms => format!("b cuts {about}{} before a{steady}", shown(-ms)),
    }
}

fn offset_text(f: &Findings, offset: i64, method: &str) -> String {
    let within = f.within_ms.unwrap_or_default();
    let (equal, compared) = (f.keyframes_equal, f.keyframes_compared);
    let offset = match method {
        "keyframe" | "pts" => thousandths(offset),
        _ => tenths(offset),
    };
    let how = match method {
        "keyframe" => format!("by keyframe hash, exact ({equal} of {compared} are the same)"),
        "pts" => "by PTS, exact (pictures were the same, none was compared of late)".to_owned(),
        "program_date_time" => format!("by EXT-X-PROGRAM-DATE-TIME, within {within} ms"),
        _ => {
            let within = tenths(within.max(100).cast_signed());
            format!("by arrival, within {within} and what packaging takes")
        }
    };
    let signed = offset.strip_prefix('-').map_or(format!("+ {offset}"), |back| format!("- {back}"));
    format!("b = a {signed}, {how}")
}

/// What is not the same on both, or that all is.
fn matched(renditions: &[Paired]) -> impl Iterator<Item = String> {
    let uneven = |p: &&Paired| !p.exact;
    let mut lines: Vec<String> = renditions
        .iter()
        .filter(uneven)
        .map(|p| match (&p.a, &p.b) {
            (Some(a), Some(b)) => format!("{a} of a has only {b} of b"),
            (Some(a), None) => format!("{a} of a has nothing on b"),
            (None, Some(b)) => format!("{b} of b has nothing on a"),
            (None, None) => String::new(),
        })
        .collect();
    if lines.is_empty() {
        lines.push(format!("all {} are on both", renditions.len()));
    }
    lines.into_iter()
}

fn verdict(f: &Findings) -> (Tone, String) {
    let gap = f.gap_max_ms.map(|gap| seconds(gap.cast_signed())).unwrap_or_default();
    let (tone, head) = match f.verdict {
        Class::Looking => return (Tone::Neutral, format!("looking {}", f.why)),
        Class::Exact => (Tone::Good, "EXACT failover, nothing lost or repeated".to_owned()),
        Class::Near => (Tone::Fair, format!("NEAR failover, at most {gap} lost or repeated")),
        Class::Unaligned => {
            (Tone::Poor, format!("UNALIGNED failover, up to {gap} lost or repeated"))
        }
        Class::Impossible => (Tone::Poor, "NO failover from one to the other".to_owned()),
    };
    (tone, format!("{head}: {}", f.why))
}

/// What is less than it varies by is nothing.
fn tenths_later(ms: i64, within: i64) -> String {
    match ms {
        ms if ms.saturating_abs() <= within.max(50) => "at the same time".to_owned(),
        ms if ms > 0 => format!("{} later", tenths(ms)),
        ms => format!("{} earlier", tenths(-ms)),
    }
}

/// As exact as it is: `4 s`, `1.5 s`, `0.04 s`.
fn seconds(ms: i64) -> String {
    let text = thousandths(ms);
    let number = text.trim_end_matches(" s").trim_end_matches('0').trim_end_matches('.');
    format!("{number} s")
}

fn thousandths(ms: i64) -> String {
    let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
    format!("{sign}{}.{:03} s", ms / 1000, ms % 1000)
}

fn tenths(ms: i64) -> String {
    let (sign, tenths) =
        (if ms <= -50 { "-" } else { "" }, ms.unsigned_abs().saturating_add(50) / 100);
    format!("{sign}{}.{} s", tenths / 10, tenths % 10)
}

/// What came from outside must not steer a terminal.
fn plain(text: &str) -> String {
    let text = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    text.take(400).collect()
}

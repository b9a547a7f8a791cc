//! Whether the captions that a player shows are those of the picture it shows.

use super::Timeline;
use crate::clip::FRAME_RATE;

/// A cue stands for one second. The picture may be a little behind the clock that cues follow, and
/// where the picture jumps (content shown twice after a splice) the cue of before stands so long.
const TOLERANCE: f64 = 0.4;
/// At least so many of a hundred looks must find a caption: there is one for each second.
const SHOWN_PERCENT_MIN: usize = 60;

/// What was wrong between two moments (Unix milliseconds); empty where all was right.
pub fn wrong_captions(timeline: &Timeline, from_ms: u64, to_ms: u64) -> Vec<String> {
    let looks = timeline.events("shown").filter(|r| (from_ms..to_ms).contains(&r.t));
    let (mut count, mut with, mut wrong) = (0, 0, Vec::new());
    let mut before: Option<(u64, f64)> = None;
    for look in looks {
        let Some((frame, texts)) = look.detail.as_deref().and_then(read) else { continue };
        count += 1;
        with += usize::from(!texts.is_empty());
        let at = f64::from(frame) / f64::from(FRAME_RATE);
        let just_before = before.filter(|(t, _)| look.t - t <= (TOLERANCE * 1000.0) as u64);
        let pictures = [Some(at), just_before.map(|(_, at)| at)];
        for text in texts {
            if !pictures.iter().flatten().any(|at| belongs(&text, *at)) {
                wrong.push(format!("{}: {text:?} over second {at:.2}", look.t));
            }
        }
        before = Some((look.t, at));
    }
    if with * 100 < count * SHOWN_PERCENT_MIN || count == 0 {
        wrong.push(format!("captions in {with} of {count} looks"));
    }
    wrong
}

/// Whether a caption is that of the picture at second `at`.
fn belongs(text: &str, at: f64) -> bool {
    let second = text.strip_prefix("second ").and_then(|n| n.trim().parse::<f64>().ok());
    second.is_some_and(|s| (at - (s + 0.5)).abs() - 0.5 <= TOLERANCE)
}

/// The picture's number, and the captions over it.
fn read(detail: &str) -> Option<(u32, Vec<String>)> {
    let all: Vec<serde_json::Value> = serde_json::from_str(detail).ok()?;
    let (frame, texts) = all.split_first()?;
    let texts = texts.iter().filter_map(|t| t.as_str()).map(str::to_owned).collect();
    Some((u32::try_from(frame.as_u64()?).ok()?, texts))
}

#[test]
fn captions_of_another_second_are_wrong() {
    let look = |t: u64, detail: &str| super::timeline::Record {
        t,
        position: None,
        event: Some("shown".into()),
        detail: Some(detail.into()),
    };
    let wrong = |details: &[&str]| {
        let records = (0..).step_by(200).zip(details).map(|(t, d)| look(t, d)).collect();
        wrong_captions(&Timeline { records, ..Timeline::default() }, 0, 1000)
    };
    assert!(
        wrong(&["[150,\"second 10\"]", "[164,\"second 10\"]", "[168,\"second 10\"]"]).is_empty()
    );
    assert_eq!(wrong(&["[150,\"second 10\"]", "[150,\"second 12\"]"]).len(), 1);
    // The picture jumps back, and the caption follows; or it does not.
    let back = ["[164,\"second 10\"]", "[135,\"second 10\"]", "[138,\"second 9\"]"];
    assert!(wrong(&back).is_empty());
    assert_eq!(
        wrong(&["[164,\"second 10\"]", "[135,\"second 10\"]", "[138,\"second 10\"]"]).len(),
        1
    );
    assert_eq!(wrong(&["[150,\"second 10\"]", "[150]", "[151]"]).len(), 1, "too few");
    assert_eq!(wrong(&[]).len(), 1, "none at all");
}

//! What a scenario says that its splices may cost, and the one place where they are held to it: what
//! the proxy told of a splice against what a viewer's frames show.

use crate::content::frames::{Frames, Join, PICTURE_MS};
use crate::packagers::SEGMENT_SECONDS;
use crate::proxy::Told;

/// What each splice may cost a viewer.
#[derive(Clone, Copy, Debug)]
pub enum Splice {
    /// Nothing: both packagers have the same pictures, the place is found by them, and each comes once.
    Exact,
    /// So much content may be lost or come twice, milliseconds; what is told of it is within a segment
    /// of that.
    UpTo { lost_ms: u32 },
}

/// What finds a place without looking at pictures.
const BY_CLOCK: [&str; 3] = ["program_date_time", "arrival", "newest"];

impl Splice {
    /// What is wrong with the splices that were told, and with what came.
    pub fn wrong(self, told: &[Told], frames: &Frames) -> Vec<String> {
        let mut wrong: Vec<String> = frames.findings.clone();
        for told in told {
            let Some(join) = frames.join_at(told.msn) else {
                wrong.push(format!("{told:?}: no discontinuity was seen there"));
                continue;
            };
            if !self.holds(told, join) {
                wrong.push(format!("{told:?}, {join:?}"));
            }
        }
        let untold = frames.joins.iter().filter(|j| !told.iter().any(|t| t.msn == j.msn));
        wrong.extend(untold.map(|join| format!("a border that no splice was told of: {join:?}")));
        wrong
    }

    fn holds(self, told: &Told, join: &Join) -> bool {
        let told_ms = told.gap_ms as f64;
        match self {
            Self::Exact => {
                let by_pictures = !BY_CLOCK.contains(&told.method.as_str());
                by_pictures && join.exact() && told_ms.abs() < PICTURE_MS
            }
            Self::UpTo { lost_ms } => {
                let segment_ms = f64::from(SEGMENT_SECONDS) * 1000.0;
                join.lost_ms().abs() <= f64::from(lost_ms) + PICTURE_MS
                    && (told_ms - join.lost_ms()).abs() <= segment_ms
            }
        }
    }
}

#[test]
fn a_splice_that_shows_content_twice_is_not_exact() {
    let told = |method: &str, gap_ms| Told {
        lane: "l".to_owned(),
        msn: 7,
        from: "a".to_owned(),
        to: "b".to_owned(),
        reason: "failed".to_owned(),
        method: method.to_owned(),
        gap_ms,
    };
    let with = |lost_frames| Frames {
        joins: vec![Join {
            msn: 7,
            lost_frames,
            sound_gap_ms: Some(3.0),
            clock_step_ms: 0.0,
            first_entry_ms: 2000.0,
        }],
        ..Frames::default()
    };
    let wrong = |told, lost_frames| Splice::Exact.wrong(&[told], &with(lost_frames)).len();
    assert_eq!(wrong(told("keyframe", 0), 0), 0);
    assert_eq!(wrong(told("keyframe", 0), -30), 1, "the proxy believes that it was exact");
    assert_eq!(wrong(told("keyframe", -2000), 0), 1);
    assert_eq!(wrong(told("arrival", 0), 0), 1, "by luck");
    let up_to = |told| Splice::UpTo { lost_ms: 2000 }.wrong(&[told], &with(-30)).len();
    assert_eq!((up_to(told("arrival", -1900)), up_to(told("arrival", 2100))), (0, 1));
    assert_eq!(Splice::Exact.wrong(&[], &with(0)).len(), 1, "a border that nothing was told of");
}

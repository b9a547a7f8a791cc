//! A packager that is taken out: its lane goes where nothing is lost by it, new lanes open elsewhere,
//! and it is the last resort.

use segue::model::lane::{Splice, SpliceReason, Want};
use segue::model::rendition::Kind;

use crate::show::{SECONDS, Show, list};

const MS: u64 = SECONDS * 1000;

fn plain(numbers: std::ops::Range<u64>) -> String {
    list(numbers, |_| format!("#EXTINF:{SECONDS},"))
}

/// `a` and `b` of one rendition; `b` lists each segment `late` milliseconds after `a` lists its own.
/// Refreshes see a segment as it is listed.
struct Two {
    show: Show,
    late: u64,
    /// Neither lists anything after this.
    a_until: u64,
    b_until: u64,
    /// What is wanted of `b` comes after so long.
    comes_after: u64,
    coming: Vec<(u64, Vec<Want>)>,
    /// `a` refuses.
    a_dead: bool,
    now: u64,
}

impl Two {
    fn new(late: u64) -> Self {
        let mut show =
            Show::of(&[Kind::Video], |_| {}).with("a", &[Some("a")]).with("b", &[Some("b")]);
        show.packagers[1].1[0].as_mut().unwrap().bytes_after = u64::MAX;
        Self {
            show,
            late,
            a_until: u64::MAX,
            b_until: u64::MAX,
            comes_after: 50,
            coming: vec![],
            a_dead: false,
            now: 0,
        }
    }

    /// Plays until then, with a look every 50 ms.
    fn until(&mut self, end: u64) {
        while self.now < end {
            self.now += 50;
            let begun = 20 * MS;
            if self.a_dead {
                let shown = self.show.packagers[0].1[0].as_mut().unwrap();
                shown.track.failed(crate::show::at(self.now), false);
            }
            for (packager, late, until) in [(0, 0, self.a_until), (1, self.late, self.b_until)] {
                if packager == 0 && self.a_dead {
                    continue;
                }
                let newest = (begun + self.now.min(until) - late) / MS;
                let text = plain(newest - 4..newest + 1);
                self.show.shows(packager, 0, self.now, &text);
            }
            self.show.carry(self.now);
            self.coming.push((self.now + self.comes_after, std::mem::take(&mut self.show.wants)));
            let now = self.now;
            for (_, wants) in self.coming.extract_if(.., |(at, _)| *at <= now) {
                self.show.give(wants);
            }
        }
    }

    fn drained(&mut self, packager: usize) {
        self.show.barred[packager] = Some(SpliceReason::Drained);
    }

    fn splices(&self) -> Vec<(Splice, String)> {
        let steps = self.show.log.steps();
        steps.filter_map(|s| Some((s.splice.clone()?, s.packager.to_string()))).collect()
    }

    fn serving(&self) -> String {
        self.show.log.tail().unwrap().packager.to_string()
    }

    /// The longest wait between two steps from the `nth` on.
    fn longest_wait(&self, nth: usize) -> u64 {
        let at: Vec<u64> = self.show.log.steps().skip(nth).map(|s| s.listed_at.0).collect();
        at.windows(2).map(|w| w[1] - w[0]).max().unwrap_or_default()
    }
}

/// Wherever the sibling's borders lie, the lane is off within a few segments, in time, and loses no more
/// than any splice may.
#[test]
fn a_drained_packager_is_left_at_the_tails_end() {
    for (late, comes_after) in (0..MS).step_by(100).flat_map(|late| [(late, 50), (late, 900)]) {
        let mut two = Two::new(late);
        two.comes_after = comes_after;
        two.until(30_000);
        assert_eq!(two.serving(), "a", "{late}");
        let steps = two.show.log.steps().count() - 1;
        two.drained(0);
        two.until(60_000);
        assert_eq!(two.serving(), "b", "{late}: {:?}", two.show.sources(0));
        let splices = two.splices();
        assert_eq!(splices.len(), 1, "{late}: {splices:?}");
        let (splice, to) = &splices[0];
        assert_eq!((splice.from.as_str(), to.as_str()), ("a", "b"));
        assert_eq!(splice.reason, SpliceReason::Drained);
        assert!(splice.gap_ms <= 3 * MS.cast_signed() / 8 + 100, "{late}: {splice:?}");
        assert!(splice.gap_ms > -MS.cast_signed(), "{late}: {splice:?}");
        assert!(two.longest_wait(steps) <= MS * 3 / 2, "{late}: {}", two.longest_wait(steps));
        // And it does not come back.
        two.show.barred[0] = None;
        two.until(80_000);
        assert_eq!(two.splices().len(), 1, "{late}");
    }
}

#[test]
fn no_lane_opens_on_a_drained_packager_while_another_carries_the_stream() {
    let mut two = Two::new(1000);
    two.drained(0);
    two.until(30_000);
    assert_eq!(two.serving(), "b");
    assert_eq!(two.splices(), []);
}

#[test]
fn a_lane_opens_on_a_drained_packager_that_is_alone() {
    let mut two = Two::new(1000);
    two.show.packagers.pop();
    two.drained(0);
    two.show.shows(0, 0, 0, &plain(0..5));
    assert!(two.show.carry(100) > 0);
    assert_eq!(two.serving(), "a");
}

/// Its sibling stands still: the lane stays, and nothing is held back.
#[test]
fn a_lane_stays_on_a_drained_packager_while_no_sibling_carries_on() {
    let mut two = Two::new(1000);
    two.until(20_000);
    two.b_until = two.now;
    two.until(40_000);
    let steps = two.show.log.steps().count() - 1;
    two.drained(0);
    two.until(80_000);
    assert_eq!((two.serving().as_str(), two.splices()), ("a", vec![]));
    assert!(two.longest_wait(steps) <= MS + 100, "{}", two.longest_wait(steps));
    // The sibling is back.
    two.b_until = u64::MAX;
    two.until(100_000);
    assert_eq!(two.serving(), "b");
}

/// All that viewers have been given is there after the splice, too.
#[test]
fn a_sibling_that_lacks_a_rendition_is_no_reason_to_leave() {
    let mut show = Show::of(&[Kind::Video, Kind::Audio], |_| {})
        .with("a", &[Some("av"), Some("aa")])
        .with("b", &[Some("bv"), None]);
    let play = |show: &mut Show, from: u64, to: u64| {
        for n in from..to {
            let text = plain(n..n + 5);
            show.shows(0, 0, n * MS, &text);
            show.shows(0, 1, n * MS, &text);
            show.shows(1, 0, n * MS, &text);
            for look in 0..40 {
                show.carry(n * MS + look * 100);
            }
        }
    };
    play(&mut show, 0, 5);
    show.barred[0] = Some(SpliceReason::Drained);
    play(&mut show, 5, 10);
    assert!(show.log.steps().all(|s| s.packager.as_str() == "a" && s.splice.is_none()));
    assert_eq!(show.log.steps().last().unwrap().listed_at, crate::show::at(9 * MS));
}

/// The other dies: the drained one is taken, in time.
#[test]
fn a_drained_packager_is_the_last_resort() {
    let mut two = Two::new(1000);
    two.drained(0);
    two.until(30_000);
    let steps = two.show.log.steps().count() - 1;
    two.b_until = two.now;
    two.until(60_000);
    let splices = two.splices();
    assert_eq!(splices.len(), 1, "{splices:?}");
    assert_eq!((splices[0].0.reason, splices[0].1.as_str()), (SpliceReason::Stalled, "a"));
    assert!(two.longest_wait(steps) <= MS * 3 / 2, "{}", two.longest_wait(steps));
    // It is left again once the other is back.
    two.b_until = u64::MAX;
    two.until(90_000);
    assert_eq!(two.serving(), "b");
    assert_eq!(two.splices()[1].0.reason, SpliceReason::Drained);
}

/// One that was drained and stopped too early is left as any that has failed: operators see why.
#[test]
fn a_drained_packager_that_stops_is_left_for_that() {
    let mut two = Two::new(1000);
    two.until(20_000);
    two.b_until = two.now;
    two.until(40_000);
    two.drained(0);
    two.a_dead = true;
    two.until(44_000);
    two.b_until = u64::MAX;
    two.until(60_000);
    assert_eq!(two.serving(), "b");
    assert_eq!(two.splices()[0].0.reason, SpliceReason::Failed);
}

/// The sibling lists all that it should and its segments never come: they are waited for, and the lane
/// does not fall behind by that.
#[test]
fn a_lane_that_waits_in_vain_does_not_fall_behind() {
    let mut two = Two::new(2000);
    two.comes_after = u64::MAX / 2;
    two.until(20_000);
    let steps = two.show.log.steps().count() - 1;
    two.drained(0);
    two.until(200_000);
    assert_eq!(two.splices(), []);
    assert!(two.longest_wait(steps) <= MS * 3 / 2, "{}", two.longest_wait(steps));
    let newest = two.show.packagers[0].1[0].as_ref().unwrap().track.newest().unwrap().msn().0;
    let tail = *two.show.sources(0).last().unwrap().last().unwrap();
    assert!(tail + 1 >= newest, "{tail} of {newest}");
}

/// All others say that the stream is gone: the lane does not end while the drained one carries it.
#[test]
fn a_lane_on_a_drained_packager_does_not_end_with_the_others() {
    let mut two = Two::new(1000);
    two.until(20_000);
    two.b_until = two.now;
    two.until(40_000);
    two.drained(0);
    two.show.over_since[1] = Some(crate::show::at(two.now));
    two.until(140_000);
    // Late once.
    two.a_until = two.now;
    two.until(148_000);
    two.a_until = u64::MAX;
    two.until(160_000);
    assert!(!two.show.log.tail().unwrap().end);
    assert_eq!(two.serving(), "a");
}

//! A plain viewer that follows one lane over HTTP and keeps all that it lists, while packagers are
//! killed, restarted and drained. No player runs beside it, so that many splices take minutes; what it
//! received is judged by the frame at the end.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use serde::Serialize;

use crate::content::frames::{self, Clocks, Frames, Join};
use crate::expect::Splice;
use crate::laws::{Breach, Witness};
use crate::process::{now_ms, wait_until};
use crate::proxy::{Proxy, Told, Which};
use crate::report::folder;
use crate::stage::Stage;

/// A lane leaves within 1.25 target durations, and what it goes on with may have to be made first.
const SPLICE_MAX: Duration = Duration::from_secs(30);
/// A packager that lists so much again can be spliced to.
const LISTED_AGAIN: usize = 3;

/// Packagers, Segue, and one viewer.
pub struct Follow {
    name: String,
    pub proxy: Proxy,
    witness: Witness,
    /// What was done, and the splice that came of it.
    splices: Vec<Caused>,
    /// Last, so that its folder outlives all that writes there.
    pub stage: Stage,
}

/// A splice and why it came.
#[derive(Clone, Debug, Serialize)]
struct Caused {
    fault: String,
    /// From the fault to the splice, as `/status.json` told of it.
    after_ms: u64,
    told: Told,
    /// What a viewer received there.
    join: Option<Join>,
}

/// What goes to `target/e2e/exact-NAME.json`.
#[derive(Serialize)]
struct Found {
    scenario: String,
    note: String,
    splices: Vec<Caused>,
    by_method: BTreeMap<String, Distribution>,
    frames: Frames,
    breaches: Vec<Breach>,
    wrong: Vec<String>,
}

/// All gaps of one method, smallest first: as told, and as seen.
#[derive(Default, Serialize)]
struct Distribution {
    told_ms: Vec<i64>,
    lost_frames: Vec<i64>,
    sound_gap_ms: Vec<f64>,
}

impl Follow {
    /// Begins to watch through Segue; none where another proxy is to be compared with.
    pub fn begin(name: &str, stage: Stage) -> Self {
        let folder = stage.folder().to_owned();
        let proxy = Proxy::start(Which::Segue, &folder, &stage.direct());
        let witness = Witness::of(&proxy.url(), &folder);
        let follow = Self { name: name.to_owned(), proxy, witness, splices: Vec::new(), stage };
        follow.goes_on(3);
        follow
    }

    /// The packager that serves the lane.
    pub fn serving(&self) -> String {
        let mut serving = None;
        wait_until("a packager serves", Duration::from_secs(10), || {
            serving = self.proxy.serving();
            serving.is_some()
        });
        serving.unwrap()
    }

    /// Does `fault`, and waits until the lane is on another run and goes on there.
    pub fn splice(&mut self, fault: &str, act: impl FnOnce(&mut Self)) {
        let known: Vec<u64> = self.proxy.splices().iter().map(|s| s.msn).collect();
        let begun = now_ms();
        act(self);
        let mut new = Vec::new();
        wait_until(&format!("a splice after {fault}"), SPLICE_MAX, || {
            new = self.proxy.splices();
            new.retain(|s| !known.contains(&s.msn));
            !new.is_empty()
        });
        let after_ms = now_ms() - begun;
        let fault = fault.to_owned();
        let caused = |told| Caused { fault: fault.clone(), after_ms, told, join: None };
        self.splices.extend(new.into_iter().map(caused));
        self.goes_on(1);
    }

    /// Starts a packager and waits until the proxy could go to it.
    pub fn bring_back(&mut self, id: &str) {
        self.stage.packager(id).start();
        self.stage.packager(id).wait_for_new_run();
        self.stage.packager(id).wait_for_listed(LISTED_AGAIN);
        self.ready(id);
    }

    /// The proxy sees it up and moving.
    pub fn ready(&self, id: &str) {
        let what = format!("the proxy sees packager {id} move");
        wait_until(&what, Duration::from_secs(30), || self.proxy.sees_moving(id));
    }

    /// The lane lists `count` segments more.
    pub fn goes_on(&self, count: u64) {
        let mut until = None;
        wait_until("the lane goes on", Duration::from_secs(60), || {
            let edge = self.proxy.edge();
            until = until.or(edge.map(|edge| edge + count));
            edge >= until && until.is_some()
        });
    }

    /// Judges, prints, writes, and panics if anything is not as it should be.
    pub fn finish(mut self, expected: Splice, clocks: Clocks, note: &str) {
        self.goes_on(2);
        let (mut breaches, recording) = self.witness.verdict();
        // A packager's first segment after it joined the feed may be longer than any before.
        breaches.retain(|b| !b.what.contains("EXTINF duration, when rounded"));
        let frames = frames::judge(&recording, clocks, self.stage.folder());
        for caused in &mut self.splices {
            caused.join = frames.join_at(caused.told.msn).cloned();
        }
        let told: Vec<Told> = self.splices.iter().map(|s| s.told.clone()).collect();
        let wrong = expected.wrong(&told, &frames);
        let by_method = distribution(&self.splices);
        let (scenario, note, splices) = (self.name, note.to_owned(), self.splices);
        let found = Found { scenario, note, splices, by_method, frames, breaches, wrong };
        found.publish();
        assert!(found.breaches.is_empty(), "{}: {:#?}", found.scenario, found.breaches);
        assert!(found.wrong.is_empty(), "{}: {:#?}", found.scenario, found.wrong);
    }
}

fn distribution(splices: &[Caused]) -> BTreeMap<String, Distribution> {
    let mut by_method: BTreeMap<String, Distribution> = BTreeMap::new();
    for caused in splices {
        let of = by_method.entry(caused.told.method.clone()).or_default();
        of.told_ms.push(caused.told.gap_ms);
        if let Some(join) = &caused.join {
            of.lost_frames.push(join.lost_frames);
            of.sound_gap_ms.extend(join.sound_gap_ms.map(|ms| (ms * 10.0).round() / 10.0));
        }
    }
    for of in by_method.values_mut() {
        of.told_ms.sort_unstable();
        of.lost_frames.sort_unstable();
        of.sound_gap_ms.sort_by(f64::total_cmp);
    }
    by_method
}

impl Found {
    fn publish(&self) {
        let mut text = format!("\n{} ({})\n", self.scenario, self.note);
        for Caused { fault, after_ms, told, .. } in &self.splices {
            let Told { msn, from, to, reason, method, gap_ms, .. } = told;
            text.push_str(&format!(
                "  {fault:<24} {from} -> {to} at MSN {msn} after {after_ms:>5} ms: {reason}, {method}, told \
                 {gap_ms:+} ms\n"
            ));
        }
        text.push_str(&self.frames.text());
        for (method, of) in &self.by_method {
            text.push_str(&format!("  {method}: {} splices\n", of.told_ms.len()));
            text.push_str(&format!("    told, ms:         {:?}\n", of.told_ms));
            text.push_str(&format!("    frames lost:      {:?}\n", of.lost_frames));
            text.push_str(&format!("    gap of sound, ms: {:?}\n", of.sound_gap_ms));
        }
        text.push_str(&format!("  breaches of the laws: {}\n", self.breaches.len()));
        text.push_str(&format!("  wrong: {}\n", self.wrong.len()));
        let _ = std::io::stderr().write_all(text.as_bytes());
        let file = folder().join(format!("exact-{}.json", self.scenario));
        std::fs::write(file, serde_json::to_vec_pretty(self).unwrap()).unwrap();
    }
}

//! The conformance suite. Each function gets two handles to one store: the same one twice, or two
//! that share a file as two processes would.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use segue::model::names::{LaneId, OutputMsn, PackagerId, UnixMs};
use segue::store::{Appended, Change, LaneStore, StoreError};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::JoinSet;

use crate::fixture::{FIRST, before, header, step, stream};
use crate::server::HUNG;

type Store = Arc<dyn LaneStore>;

pub async fn the_first_to_create_a_lane_wins(one: Store, two: Store) {
    let first = header("a-1");
    let mut second = header("a-1");
    second.target_duration = 10;
    assert_eq!(one.create(&first).await.unwrap(), first);
    assert_eq!(two.create(&second).await.unwrap(), first);
    assert_eq!(two.load(&first.lane).await.unwrap().unwrap().header, first);
}

pub async fn what_was_appended_is_loaded(one: Store, two: Store) {
    let lane = one.create(&header("a-1")).await.unwrap().lane;
    assert_eq!(two.load(&lane).await.unwrap().unwrap().steps, []);
    let steps: Vec<_> = (0..5).map(|n| step(n, "a")).collect();
    for (n, s) in (0..).zip(&steps) {
        assert_eq!(
            one.append(&lane, before(n), std::slice::from_ref(s)).await.unwrap(),
            Appended::Done
        );
    }
    assert_eq!(two.load(&lane).await.unwrap().unwrap().steps, steps);
    assert_eq!(two.load(&LaneId::new("a-2")).await.unwrap(), None);
}

pub async fn a_retry_is_harmless(one: Store, two: Store) {
    let lane = one.create(&header("a-1")).await.unwrap().lane;
    for n in 0..3 {
        let s = step(n, "a");
        assert_eq!(
            one.append(&lane, before(n), std::slice::from_ref(&s)).await.unwrap(),
            Appended::Done
        );
        assert_eq!(
            two.append(&lane, before(n), std::slice::from_ref(&s)).await.unwrap(),
            Appended::Done
        );
    }
    // Also once others have gone on.
    assert_eq!(one.append(&lane, before(1), &[step(1, "a")]).await.unwrap(), Appended::Done);
    assert_eq!(two.load(&lane).await.unwrap().unwrap().steps.len(), 3);
}

pub async fn a_loser_gets_the_steps_it_missed(one: Store, two: Store) {
    let lane = one.create(&header("a-1")).await.unwrap().lane;
    for n in 0..4 {
        one.append(&lane, before(n), &[step(n, "a")]).await.unwrap();
    }
    for n in 0..4 {
        let lost = two.append(&lane, before(n), &[step(n, "b")]).await.unwrap();
        let missed = (n..4).map(|m| step(m, "a")).collect();
        assert_eq!(lost, Appended::Lost(missed));
    }
    two.trim(&lane, OutputMsn(FIRST + 2)).await.unwrap();
    let lost = two.append(&lane, before(1), &[step(1, "b")]).await.unwrap();
    assert_eq!(lost, Appended::Lost(vec![step(2, "a"), step(3, "a")]));
}

pub async fn holes_are_refused(one: Store, two: Store) {
    let lane = one.create(&header("a-1")).await.unwrap().lane;
    let hole = |n| Err(StoreError::Hole { lane: LaneId::new("a-1"), msn: OutputMsn(FIRST + n) });
    let same = |got: Result<Appended, StoreError>, expected: Result<Appended, StoreError>| {
        assert_eq!(format!("{got:?}"), format!("{expected:?}"));
    };
    // An empty log begins with the header's first number and nothing else.
    same(one.append(&lane, None, &[step(1, "a")]).await, hole(1));
    same(one.append(&lane, before(1), &[step(1, "a")]).await, hole(1));
    one.append(&lane, None, &[step(0, "a")]).await.unwrap();
    same(two.append(&lane, before(1), &[step(2, "a")]).await, hole(2));
    same(two.append(&lane, before(2), &[step(2, "a")]).await, hole(2));
    same(two.append(&lane, before(1), &[step(0, "a")]).await, hole(0));
    assert_eq!(one.load(&lane).await.unwrap().unwrap().steps, [step(0, "a")]);
}

pub async fn an_unknown_lane_is_told_apart(one: Store, two: Store) {
    let lane = LaneId::new("a-1");
    let refused = one.append(&lane, None, &[step(0, "a")]).await;
    assert!(matches!(refused, Err(StoreError::NoLane(l)) if l == lane));
    two.trim(&lane, OutputMsn(0)).await.unwrap();
    assert_eq!(two.lanes_of(&stream("/live/cam/playlist.m3u8")).await.unwrap(), []);
}

/// As for a log that is long past.
pub async fn a_log_begins_anew_behind_the_tail_that_was_seen(one: Store, two: Store) {
    let old = header("a-1");
    let mut anew = header("a-1");
    (anew.first_msn, anew.first_discontinuity) = (OutputMsn(FIRST + 9000), 10_000);
    assert!(!one.begin_again(&anew, None).await.unwrap(), "nobody has opened it");
    let lane = one.create(&old).await.unwrap().lane;
    for n in 0..3 {
        one.append(&lane, before(n), &[step(n, "a")]).await.unwrap();
    }
    one.want(&lane, &[0], old.opened_at, HUNG).await.unwrap();
    // Others have gone on since, or it was begun anew already.
    for seen in [None, before(2), before(4)] {
        assert!(!two.begin_again(&anew, seen).await.unwrap());
    }
    let stored = one.load(&lane).await.unwrap().unwrap();
    assert_eq!((stored.header, stored.steps.len()), (old.clone(), 3));
    let mut heard = [one.changes(), two.changes()];
    assert!(two.begin_again(&anew, before(3)).await.unwrap());
    for changes in &mut heard {
        until(changes, |c| is_of(c, &lane)).await;
    }
    let stored = one.load(&lane).await.unwrap().unwrap();
    assert_eq!((stored.header, stored.steps), (anew.clone(), vec![]));
    // Renditions may be others now.
    assert!(one.want(&lane, &[], old.opened_at, HUNG).await.unwrap().is_empty());
    // Who goes on with the old one is told.
    let refused = one.append(&lane, before(3), &[step(3, "a")]).await;
    assert!(matches!(refused, Err(StoreError::Hole { .. })), "{refused:?}");
    assert_eq!(two.append(&lane, None, &[step(9000, "b")]).await.unwrap(), Appended::Done);
    let lost = one.append(&lane, before(3), &[step(3, "a")]).await.unwrap();
    assert_eq!(lost, Appended::Lost(vec![step(9000, "b")]));
    assert_eq!(one.lanes_of(&old.stream).await.unwrap(), [lane]);
    // One that is empty has no tail to be seen.
    let lane = one.create(&header("a-2")).await.unwrap().lane;
    anew.lane = lane.clone();
    assert!(!two.begin_again(&anew, before(1)).await.unwrap());
    assert!(two.begin_again(&anew, None).await.unwrap());
    assert_eq!(two.load(&lane).await.unwrap().unwrap().header, anew);
}

pub async fn many_writers_have_one_winner_per_number(one: Store, two: Store) {
    const WRITERS: u64 = 16;
    const STEPS: u64 = 30;
    let lane = one.create(&header("a-1")).await.unwrap().lane;
    let mut writers = JoinSet::new();
    for w in 0..WRITERS {
        let store = if w % 2 == 0 { one.clone() } else { two.clone() };
        let (lane, name) = (lane.clone(), format!("w{w}"));
        writers.spawn(async move {
            let (mut log, mut won) = (Vec::new(), 0);
            while (log.len() as u64) < STEPS {
                let n = log.len() as u64;
                match store.append(&lane, before(n), &[step(n, &name)]).await.unwrap() {
                    Appended::Done => {
                        log.push(step(n, &name));
                        won += 1;
                    }
                    Appended::Lost(missed) => log.extend(missed),
                }
            }
            log.truncate(usize::try_from(STEPS).unwrap());
            (log, won)
        });
    }
    let ended = writers.join_all().await;
    let stored = two.load(&lane).await.unwrap().unwrap().steps;
    assert_eq!(ended.iter().map(|(_, won)| won).sum::<u64>(), STEPS);
    assert_eq!(stored.len() as u64, STEPS);
    for (log, _) in ended {
        assert_eq!(log, stored);
    }
}

/// Whatever clocks say, which may differ between proxies.
pub async fn lanes_come_in_the_order_of_taking(one: Store, two: Store) {
    for (n, (lane, opened_at)) in (0..).zip([("z", 5), ("b", 7), ("a", 7), ("y", 6)]) {
        let mut h = header(lane);
        h.opened_at = UnixMs(opened_at);
        if n % 2 == 0 { &one } else { &two }.create(&h).await.unwrap();
    }
    // Asked to be opened once more, it keeps its place.
    two.create(&header("z")).await.unwrap();
    let mut other = header("other");
    other.stream = stream("/live/other/playlist.m3u8");
    two.create(&other).await.unwrap();
    for store in [one, two] {
        let lanes = store.lanes_of(&header("z").stream).await.unwrap();
        assert_eq!(lanes, ["z", "b", "a", "y"].map(LaneId::new));
        assert_eq!(store.lanes_of(&other.stream).await.unwrap(), [LaneId::new("other")]);
    }
}

pub async fn what_is_wanted_is_known_to_all(one: Store, two: Store) {
    let mut h = header("a-1");
    h.renditions = vec![h.renditions[0].clone(); 3];
    let refused = one.want(&h.lane, &[0], UnixMs(0), HUNG).await;
    assert!(matches!(refused, Err(StoreError::NoLane(l)) if l == h.lane));
    let lane = one.create(&h).await.unwrap().lane;
    let now = h.opened_at;
    assert!(one.want(&lane, &[], now, HUNG).await.unwrap().is_empty());
    let mut heard = two.changes();
    // A place that the header has not is no rendition.
    assert_eq!(one.want(&lane, &[2, 3], now, HUNG).await.unwrap(), [2]);
    until(&mut heard, |c| is_of(c, &lane)).await;
    assert_eq!(two.want(&lane, &[0], now, HUNG).await.unwrap(), [0, 2]);
    assert_eq!(one.want(&lane, &[], now, HUNG).await.unwrap(), [0, 2]);
    // Once it is long enough ago, by whichever clock the store goes, others are forgotten.
    let mut later = now;
    let forgotten = async {
        loop {
            later = later.plus(Duration::from_millis(1));
            let wanted = two.want(&lane, &[1], later, Duration::from_micros(100)).await.unwrap();
            if wanted == [1] {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HUNG, forgotten).await.expect("others are still wanted");
}

pub async fn trimming_keeps_the_tail(one: Store, two: Store) {
    let lane = one.create(&header("a-1")).await.unwrap().lane;
    one.trim(&lane, OutputMsn(u64::MAX >> 1)).await.unwrap();
    for n in 0..6 {
        one.append(&lane, before(n), &[step(n, "a")]).await.unwrap();
    }
    two.trim(&lane, OutputMsn(FIRST + 4)).await.unwrap();
    let kept = one.load(&lane).await.unwrap().unwrap().steps;
    assert_eq!(kept, [step(4, "a"), step(5, "a")]);
    two.trim(&lane, OutputMsn(FIRST + 100)).await.unwrap();
    assert_eq!(one.load(&lane).await.unwrap().unwrap().steps, [step(5, "a")]);
    let done = one.append(&lane, before(6), &[step(6, "a")]).await.unwrap();
    assert_eq!(done, Appended::Done);
}

pub async fn idle_lanes_expire(one: Store, two: Store) {
    let idle = one.create(&header("idle")).await.unwrap().lane;
    let busy = one.create(&header("busy")).await.unwrap().lane;
    one.append(&busy, None, &[step(0, "a")]).await.unwrap();
    let opened = header("idle").opened_at;
    one.append(&busy, before(1), &[step(1, "a")]).await.unwrap();
    assert_eq!(two.expire(opened).await.unwrap(), 0);
    assert_eq!(two.expire(UnixMs(opened.0 + 1)).await.unwrap(), 1);
    assert_eq!(one.load(&idle).await.unwrap(), None);
    assert_eq!(one.load(&busy).await.unwrap().unwrap().steps.len(), 2);
    let refused = one.append(&idle, None, &[step(0, "a")]).await;
    assert!(matches!(refused, Err(StoreError::NoLane(_))));
    // A lane opened anew under the same id is empty.
    one.create(&header("idle")).await.unwrap();
    assert_eq!(two.load(&idle).await.unwrap().unwrap().steps, []);
}

pub async fn the_first_secret_stays(one: Store, two: Store) {
    assert_eq!(one.secret("token", [1; 32]).await.unwrap(), [1; 32]);
    assert_eq!(two.secret("token", [2; 32]).await.unwrap(), [1; 32]);
    assert_eq!(two.secret("other", [3; 32]).await.unwrap(), [3; 32]);
}

pub async fn the_target_duration_never_falls(one: Store, two: Store) {
    let (a, b) = (stream("/a.m3u8"), stream("/b.m3u8"));
    assert_eq!(one.target_duration(&a, 4).await.unwrap(), 4);
    assert_eq!(two.target_duration(&a, 6).await.unwrap(), 6);
    assert_eq!(one.target_duration(&a, 2).await.unwrap(), 6);
    assert_eq!(one.target_duration(&b, 2).await.unwrap(), 2);
}

pub async fn who_is_drained_is_known_to_all(one: Store, two: Store) {
    let (a, b) = (PackagerId::new("a"), PackagerId::new("b"));
    assert!(two.drained(&BTreeMap::new()).await.unwrap().is_empty());
    one.drain(&a, Some(UnixMs(7))).await.unwrap();
    two.drain(&b, Some(UnixMs(8))).await.unwrap();
    // Taken out already: since the first time.
    two.drain(&a, Some(UnixMs(9))).await.unwrap();
    let both = BTreeMap::from([(a.clone(), UnixMs(7)), (b.clone(), UnixMs(8))]);
    assert_eq!(
        (
            one.drained(&BTreeMap::new()).await.unwrap(),
            two.drained(&BTreeMap::new()).await.unwrap()
        ),
        (both.clone(), both)
    );
    for _ in 0..2 {
        two.drain(&a, None).await.unwrap();
        assert_eq!(one.drained(&BTreeMap::new()).await.unwrap(), [(b.clone(), UnixMs(8))].into());
    }
    // Who still takes it for drained does not take it out again, and an operator may.
    let known = BTreeMap::from([(a.clone(), UnixMs(7)), (b.clone(), UnixMs(8))]);
    assert_eq!(one.drained(&known).await.unwrap(), [(b.clone(), UnixMs(8))].into());
    two.drain(&a, Some(UnixMs(9))).await.unwrap();
    assert_eq!(one.drained(&known).await.unwrap(), [(a, UnixMs(9)), (b, UnixMs(8))].into());
}

pub async fn records_are_kept_by_name(one: Store, two: Store) {
    let record = |name: &str, text: Option<&str>| (name.to_owned(), text.map(str::to_owned));
    assert!(two.kept("viewers/").await.unwrap().is_empty());
    let first = [
        record("viewers/a", Some("1")),
        record("viewers/b_", Some("2")),
        record("other", Some("3")),
    ];
    one.keep(&first).await.unwrap();
    two.keep(&[record("viewers/a", Some("4")), record("viewers/c", None)]).await.unwrap();
    let kept = |store: Store, prefix: &'static str| async move {
        let mut records = store.kept(prefix).await.unwrap();
        records.sort();
        records
    };
    assert_eq!(kept(one.clone(), "viewers/").await, ["2", "4"]);
    two.keep(&[record("viewers/b_", None)]).await.unwrap();
    assert_eq!(kept(one.clone(), "viewers/").await, ["4"]);
    assert_eq!(kept(two.clone(), "").await, ["3", "4"]);
    // Those of one owner are found by his name.
    two.keep(&[record("of/p1/a", Some("5")), record("viewers/a", Some("6"))]).await.unwrap();
    assert_eq!(kept(one.clone(), "of/p1/").await, ["5"]);
    assert!(kept(one.clone(), "of/p2/").await.is_empty());
    assert_eq!(kept(one.clone(), "viewers/").await, ["6"]);
    two.keep(&[record("of/p1/a", None)]).await.unwrap();
    assert!(kept(one.clone(), "of/p1/").await.is_empty());
    assert!(kept(one, "%").await.is_empty());
}

pub async fn changes_are_told_to_all(one: Store, two: Store) {
    let mut heard = [one.changes(), two.changes()];
    let lane = one.create(&header("a-1")).await.unwrap().lane;
    for changes in &mut heard {
        until(changes, |c| is_of(c, &lane)).await;
    }
    for n in 0..3 {
        let mut heard = [one.changes(), two.changes()];
        two.append(&lane, before(n), &[step(n, "a")]).await.unwrap();
        for changes in &mut heard {
            until(changes, |c| is_of(c, &lane)).await;
        }
    }
    // Who has the tail already need not look.
    let mut heard = two.changes();
    two.append(&lane, before(3), &[step(3, "a")]).await.unwrap();
    until(&mut heard, |c| c.as_ref().is_some_and(|c| c.tail == Some(OutputMsn(FIRST + 3)))).await;
}

pub async fn an_expired_lane_is_told_to_all(one: Store, two: Store) {
    let lane = one.create(&header("a-1")).await.unwrap().lane;
    let mut heard = [one.changes(), two.changes()];
    one.expire(UnixMs(u64::MAX >> 1)).await.unwrap();
    until(&mut heard[0], |c| is_of(c, &lane)).await;
    // Another process is told that it must look: the lane's name is gone with the lane.
    until(&mut heard[1], |c| c.is_none() || is_of(c, &lane)).await;
}

fn is_of(change: &Change, lane: &LaneId) -> bool {
    change.as_ref().is_some_and(|changed| changed.lane == *lane)
}

async fn until(changes: &mut Receiver<Change>, wanted: impl Fn(&Change) -> bool) {
    let heard = tokio::time::timeout(HUNG, until_heard(changes, wanted)).await;
    heard.expect("no such change was told");
}

async fn until_heard(changes: &mut Receiver<Change>, wanted: impl Fn(&Change) -> bool) {
    loop {
        match changes.recv().await {
            Ok(change) if wanted(&change) => return,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => panic!("the store is gone"),
        }
    }
}

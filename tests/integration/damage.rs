//! Segments that are media for real: where they are damaged nobody sees them, and where a lane goes on
//! from another packager no picture is lost, though its borders are elsewhere.

use std::path::{Path, PathBuf};

use futures_util::future::join_all;

use crate::faults::{Damage, Fault};
use crate::packager::Packager;
use crate::programme::{sound_alone, torn, without_pictures};
use crate::proxy::Proxy;
use crate::viewer::Viewer;

/// Two of one encoder, their borders a GOP apart.
fn packagers() -> (Packager, Packager) {
    let a = Packager::fake("a").media().live();
    let b = Packager::fake("b").media().shifted(1000).numbered_from(1000).live();
    (a, b)
}

/// Bytes that look like packets as far as their first byte and their length go.
fn garbage(good: &[u8]) -> Vec<u8> {
    let byte = |at: usize| {
        if at.is_multiple_of(188) { 0x47 } else { at.wrapping_mul(73).to_le_bytes()[0] }
    };
    (0..good.len()).map(byte).collect()
}

fn noise(good: &[u8]) -> Vec<u8> {
    (0..good.len()).map(|at| at.wrapping_mul(73).wrapping_add(at / 256).to_le_bytes()[0]).collect()
}

fn page(_: &[u8]) -> Vec<u8> {
    b"<!DOCTYPE html><html><body>Gone fishing</body></html>".to_vec()
}

/// A packet is missing in the middle of a picture.
fn holed(good: &[u8]) -> Vec<u8> {
    let packets = good.chunks(188).collect::<Vec<_>>();
    // The tables, and the first packet of the first keyframe.
    [&packets[..3], &packets[4..]].concat().concat()
}

/// No picture is lost or shown twice where the lane went on.
fn is_exact(viewer: &Viewer) -> bool {
    viewer.borders().iter().all(|border| border.gap_ms == 0)
}

/// The viewer reads each segment that he is given, whole.
async fn nobody_sees(faults: &[(&str, Damage)]) {
    let (a, b) = packagers();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let (a, proxy) = (&a, &proxy);
    join_all(faults.iter().map(|&(name, damage)| async move {
        let mut viewer = proxy.viewer(name).await;
        viewer.until_on("a").await;
        viewer.more(2).await;
        a.break_segments(name, Fault::Damaged(damage));
        viewer.until_on("b").await;
        viewer.more(2).await;
        viewer.check_all_listed().await;
        assert_eq!(viewer.borders().len(), 1, "{name}: {viewer}");
        assert!(is_exact(&viewer), "{name}: {:?}", viewer.borders());
        let path = format!("stream=/{name}/");
        let splices = proxy.logged(&[&path, "splice"]);
        // What it has listed before is damaged as well: where that is asked for again, it is another run.
        let why = ["segment_lost", "restarted"].iter().any(|reason| splices[0].contains(reason));
        assert!(splices.len() == 1 && why, "{name}: {splices:?}");
    }))
    .await;
}

#[tokio::test]
async fn no_viewer_sees_damaged_media() {
    nobody_sees(&[
        ("torn", torn),
        ("pictureless", without_pictures),
        ("sound", sound_alone),
        ("holed", holed),
        ("page", page),
        ("noise", noise),
    ])
    .await;
}

#[tokio::test]
async fn no_viewer_sees_what_only_begins_like_packets() {
    nobody_sees(&[("garbage", garbage)]).await;
}

/// Killed, then back with another timeline, then the other one killed.
#[tokio::test]
async fn no_picture_is_lost_when_one_after_the_other_dies() {
    let (a, b) = packagers();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(3).await;
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(1).await;
    a.restart().await;
    viewer.more(5).await;
    b.kill().await;
    viewer.until_on("a").await;
    viewer.more(2).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.borders().len(), 2, "{viewer}");
    assert!(is_exact(&viewer), "{:?}", viewer.borders());
    let cut = viewer.watched().values().filter(|w| w.label.duration_ms < 2000).count();
    assert!(cut > 0, "borders are apart: {viewer}");
}

/// The lane's packager gives nothing but damage, and nobody else is there: nothing of it is listed.
#[tokio::test]
async fn damage_is_not_listed_where_nothing_else_is() {
    let a = Packager::fake("a").media().live();
    let proxy = Proxy::over(&[&a]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.break_segments("cam", Fault::Damaged(torn));
    let lost = || async { proxy.logged(&["cannot be had"]).len() >= 2 };
    crate::wait_for("a lost segment", std::time::Duration::from_secs(10), lost).await.unwrap();
    a.mend("cam");
    viewer.more(3).await;
    viewer.check_all_listed().await;
    let borders = viewer.borders();
    assert!(!borders.is_empty() && borders.iter().all(|b| b.gap_ms > 0), "{borders:?}");
}

/// What an entry was cut of is asked for again, and cut again, if its bytes were lost: the same come.
#[tokio::test]
async fn a_tail_that_was_lost_is_made_again() {
    let (a, b) = packagers();
    // Little is kept in memory, so that what is lost on disk is lost.
    let proxy = Proxy::over(&[&a, &b])
        .setting("segments: { dir: segments, memory: 64KiB }")
        .pool_setting("origin: { segment_bytes: 64KiB }")
        .start()
        .await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.kill().await;
    viewer.until_on("b").await;
    let listed = viewer.playlist().segments.iter().find(|s| s.discontinuity).unwrap().clone();
    let path = viewer.path_of(&listed.uri);
    let before = proxy.get(&path).await.unwrap();
    assert_eq!(before.status, 200);
    let cut = viewer.watched()[&listed.msn].label.duration_ms;
    assert!(cut < 2000, "{cut} ms");
    viewer.more(3).await;
    let folder = proxy.dir().join("segments");
    let mut removed = 0;
    for file in files(&folder) {
        if std::fs::read(&file).unwrap() == before.body {
            std::fs::remove_file(file).unwrap();
            removed += 1;
        }
    }
    assert_eq!(removed, 1);
    let again = proxy.get(&path).await.unwrap();
    assert_eq!((again.status, again.body == before.body), (200, true));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| self::files(folder)));
    files
}

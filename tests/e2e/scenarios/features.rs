//! All kinds of streams, each through a kill and a restart of the packager that serves, with what
//! was received decoded at the end. Both packagers show what is on air, and agree in nothing else.

use std::time::Duration;

use super::{alone, other};
use crate::packagers::{Container, Iv, Muxer, Shaka, Variants};
use crate::player::{ALL, Order};
use crate::process::wait_until;
use crate::run::Run;
use crate::stage::Stage;

/// They are made for HLS, and follow EXT-X-DISCONTINUITY.
const IN_BROWSERS: [&str; 3] = ["hls.js", "shaka", "video.js"];

/// Players before packagers that show what is on air, the control window behind them.
fn feature(name: &str, what: &str, stage: Stage, players: &[&str], orders: &[Order]) -> Run {
    let mut run = begun(name, what, stage, players, orders);
    run.control();
    run
}

/// The same before the control window.
fn begun(name: &str, what: &str, stage: Stage, players: &[&str], orders: &[Order]) -> Run {
    let upstreams = stage.direct();
    let mut run = Run::begin_with(name, stage, &upstreams, players, orders);
    what.clone_into(&mut run.feature);
    run.judge_content();
    run
}

/// The packager that serves is killed and comes back; the other, which serves then, is restarted:
/// its numbers begin again.
fn killed_and_restarted(mut run: Run) {
    let id = kill(&mut run);
    comes_back(&mut run, &id);
    restarted(&mut run);
    run.finish();
}

/// Which one it was.
fn kill(run: &mut Run) -> String {
    let id = run.serving("a");
    run.fault("kill -9", |run| run.stage.packager(&id).kill());
    id
}

fn comes_back(run: &mut Run, id: &str) {
    run.stage.packager(id).start();
    run.stage.packager(id).wait_for_new_run();
    run.stage.packager(id).wait_for_listed(3);
}

fn restarted(run: &mut Run) {
    run.fault("kill -9 and start", |run| {
        let id = run.serving("b");
        run.stage.packager(&id).kill();
        run.stage.packager(&id).start();
    });
}

/// The lane has left `id`, if there is anything that could leave it.
fn wait_for_splice(run: &Run, id: &str) {
    if run.proxy.status().is_some() {
        wait_until("the lane is spliced", Duration::from_secs(20), || run.serving(id) != id);
    }
}

/// The same stream in several renditions.
fn with(sizes: &[usize], sound: &[&'static str], captions: bool, mut muxer: Muxer) -> Muxer {
    muxer.variants = Some(Variants { sizes: sizes.to_vec(), sound: sound.to_vec(), captions });
    muxer
}

/// Three variants with the sound in each. Right after the splice each player turns to another; in the
/// control window too, since that alone makes some stand still. One encoder's clock is in all runs:
/// mpv looks for the moment that it shows in the new rendition, and where the clock went back it waits
/// until that moment comes again.
#[test]
#[ignore = "make e2e"]
fn abr_ts_with_a_switch() {
    let _alone = alone();
    let a = with(&[0, 1, 2], &[], false, Muxer { one_clock: true, ..Muxer::first() });
    let b = with(&[2, 0, 1], &[], false, Muxer { one_clock: true, ..Muxer::second() });
    let name = "abr_ts_with_a_switch";
    switched_after_each(name, "ABR, MPEG-TS, a switch", &ALL, Stage::on_air(3, [a, b]));
}

/// The same where each packager has its own clock and each run begins it again.
#[test]
#[ignore = "make e2e"]
fn abr_ts_of_their_own_clocks_with_a_switch() {
    let _alone = alone();
    let a = with(&[0, 1, 2], &[], false, Muxer::first());
    let b = with(&[2, 0, 1], &[], false, Muxer::second());
    let players = ["hls.js", "shaka", "video.js", "gstreamer"];
    let name = "abr_ts_of_their_own_clocks_with_a_switch";
    switched_after_each(
        name,
        "ABR, MPEG-TS, a switch, own clocks",
        &players,
        Stage::on_air(3, [a, b]),
    );
}

fn switched_after_each(name: &str, what: &str, players: &[&str], stage: Stage) {
    let mut run = begun(name, what, stage, players, &[]);
    run.control_with_a_switch();
    let id = run.serving("a");
    run.fault("kill -9, then a switch", |run| {
        run.stage.packager(&id).kill();
        wait_for_splice(run, &id);
        run.order(Order::Switch);
    });
    comes_back(&mut run, &id);
    run.fault("kill -9 and start, then a switch", |run| {
        let id = run.serving(other(&id));
        run.stage.packager(&id).kill();
        run.stage.packager(&id).start();
        wait_for_splice(run, &id);
        run.order(Order::Switch);
    });
    run.finish();
}

/// Two variants and two languages, each in a rendition of its own.
///
/// One encoder's clock is in all runs here, as in all fMP4 of these runs. ffmpeg's reader, which mpv
/// is made with, knows no discontinuities and reads the rendition with the lowest timestamp first:
/// where one begins again at 0, it never comes to the others. GStreamer 1.22 shows nothing more after
/// a discontinuity where the timestamps of fMP4 jump, also of a plain list of files. No proxy can help
/// that; see [`clocks_of_their_own`].
#[test]
#[ignore = "make e2e"]
fn abr_fmp4_with_separate_audio() {
    let _alone = alone();
    let fmp4 =
        |muxer| Muxer { container: Container::Fmp4, date_time: true, one_clock: true, ..muxer };
    let a = with(&[0, 2], &["en", "fr"], false, fmp4(Muxer::first()));
    let b = with(&[2, 0], &["fr", "en"], false, fmp4(Muxer::second()));
    let stage = Stage::on_air(3, [a, b]);
    let name = "abr_fmp4_with_separate_audio";
    killed_and_restarted(feature(name, "ABR, fMP4, audio apart, dates", stage, &ALL, &[]));
}

/// The same with subtitles, where each packager has its own clock and each run begins it again, for
/// players that know discontinuities.
#[test]
#[ignore = "make e2e"]
fn clocks_of_their_own() {
    let _alone = alone();
    let fmp4 = |muxer| Muxer { container: Container::Fmp4, ..muxer };
    let a = with(&[0, 1], &["en"], true, fmp4(Muxer::first()));
    let b = with(&[1, 0], &["en"], true, fmp4(Muxer::second()));
    let stage = Stage::on_air(2, [a, b]);
    let what = "ABR, fMP4, audio apart, subtitles, own clocks";
    let orders = [Order::Captions];
    killed_and_restarted(feature("clocks_of_their_own", what, stage, &IN_BROWSERS, &orders));
}

/// Keys change every second segment; after a restart the same name is another key.
#[test]
#[ignore = "make e2e"]
fn aes_128_with_rotation() {
    let _alone = alone();
    let a = Muxer { keys: Some(Iv::Implicit), ..Muxer::first() };
    let b = Muxer { keys: Some(Iv::Explicit), ..Muxer::second() };
    let stage = Stage::on_air(1, [a, b]);
    killed_and_restarted(feature("aes_128_with_rotation", "AES-128, rotated", stage, &ALL, &[]));
}

/// The short one, for every `make test`: a kill while keys change.
#[test]
fn aes_128_killed() {
    let _alone = alone();
    let a = Muxer { keys: Some(Iv::Implicit), ..Muxer::first() };
    let b = Muxer { keys: Some(Iv::Explicit), ..Muxer::second() };
    let stage = Stage::on_air(1, [a, b]);
    let mut run = feature("aes_128_killed", "AES-128, rotated", stage, &ALL, &[]);
    kill(&mut run);
    run.finish();
}

#[test]
#[ignore = "make e2e"]
fn subtitles_ts() {
    let _alone = alone();
    let a = with(&[0], &[], true, Muxer::first());
    let b = with(&[0], &[], true, Muxer::second());
    let stage = Stage::on_air(1, [a, b]);
    let what = "subtitles, MPEG-TS";
    killed_and_restarted(feature("subtitles_ts", what, stage, &ALL, &[Order::Captions]));
}

#[test]
#[ignore = "make e2e"]
fn byte_range_ts() {
    let _alone = alone();
    let single = |muxer| Muxer { single_file: true, ..muxer };
    let stage = Stage::on_air(1, [single(Muxer::first()), single(Muxer::second())]);
    killed_and_restarted(feature("byte_range_ts", "byte ranges, MPEG-TS", stage, &ALL, &[]));
}

#[test]
#[ignore = "make e2e"]
fn byte_range_fmp4() {
    let _alone = alone();
    let single = |muxer| Muxer {
        single_file: true,
        container: Container::Fmp4,
        date_time: true,
        one_clock: true,
        ..muxer
    };
    let stage = Stage::on_air(1, [single(Muxer::first()), single(Muxer::second())]);
    killed_and_restarted(feature("byte_range_fmp4", "byte ranges, fMP4, dates", stage, &ALL, &[]));
}

/// Shaka Packager: I-frame playlists, sound apart with borders of its own.
#[test]
#[ignore = "make e2e"]
fn shaka_packager_clear() {
    let _alone = alone();
    let stage = Stage::shaka(2, [Shaka::first(&[0, 1], None), Shaka::second(&[1, 0], None)]);
    let what = "Shaka Packager, fMP4, audio apart, I-frames";
    killed_and_restarted(feature("shaka_packager_clear", what, stage, &ALL, &[]));
}

/// The same, encrypted. Of the players only some can play it without a licence server.
#[test]
#[ignore = "make e2e"]
fn shaka_packager_encrypted() {
    let _alone = alone();
    let cbcs = Some("cbcs");
    let stage = Stage::shaka(1, [Shaka::first(&[0], cbcs), Shaka::second(&[0], cbcs)]);
    let what = "Shaka Packager, fMP4, SAMPLE-AES";
    killed_and_restarted(feature("shaka_packager_encrypted", what, stage, &["shaka"], &[]));
}

/// What most streams are made of, and a kill.
#[test]
#[ignore = "make e2e"]
fn abr_fmp4_with_audio_and_subtitles() {
    let _alone = alone();
    let fmp4 = |muxer| Muxer { container: Container::Fmp4, one_clock: true, ..muxer };
    let a = with(&[0, 1], &["en", "fr"], true, fmp4(Muxer::first()));
    let b = with(&[1, 0], &["fr", "en"], true, fmp4(Muxer::second()));
    let stage = Stage::on_air(2, [a, b]);
    let name = "abr_fmp4_with_audio_and_subtitles";
    let what = "ABR, fMP4, audio apart, subtitles";
    let mut run = feature(name, what, stage, &ALL, &[Order::Captions]);
    kill(&mut run);
    run.finish();
}

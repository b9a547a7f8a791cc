//! Whatever a packager answers for a playlist, its viewers see nothing of it: one stream for each
//! fault, all in one proxy.

use futures_util::future::join_all;

use crate::faults::Fault;
use crate::packager::Packager;
use crate::proxy::Proxy;

/// A well-formed playlist that no proxy should take.
fn long_playlist(segments: usize, comment: usize) -> Fault {
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:1\n".to_owned();
    let comment = "#".repeat(comment);
    for n in 0..segments {
        text += &format!("#EXTINF:1.0,\n{comment}\nplaylist-{n}.ts\n");
    }
    Fault::Body(text.into_bytes())
}

fn faults() -> Vec<(&'static str, Fault)> {
    const ELSEWHERE: &str = "http://elsewhere.invalid/playlist.m3u8";
    vec![
        ("status404", Fault::Status(404)),
        ("status500", Fault::Status(500)),
        ("status204", Fault::Status(204)),
        ("garbage", Fault::Body(b"\x00\x01\x02 not at all".to_vec())),
        ("page", Fault::Body(b"<html>200 but no playlist</html>".to_vec())),
        ("empty", Fault::Body(Vec::new())),
        ("nothing", Fault::Nothing),
        ("silence", Fault::Silence),
        ("short", Fault::Short),
        ("stall", Fault::Stall),
        ("elsewhere", Fault::Redirect(ELSEWHERE.into())),
        ("loop", Fault::Redirect("/loop/playlist.m3u8".into())),
        ("bomb", Fault::Bomb(256 << 20)),
        ("ten_megabytes", long_playlist(10_000, 1000)),
        ("segments100000", long_playlist(100_000, 1)),
        ("long_line", Fault::Edited(|t| format!("{t}#EXT-X-LONG:{}\n", "x".repeat(1 << 20)))),
        (
            "latin1",
            Fault::Body(b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nm\xfcll.ts\n".to_vec()),
        ),
        ("nan", Fault::Edited(|t| t.replace("#EXTINF:1.000", "#EXTINF:NaN"))),
        ("negative", Fault::Edited(|t| t.replace("#EXTINF:1.000", "#EXTINF:-1"))),
        ("endless", Fault::Edited(|t| t.replace("#EXTINF:1.000", "#EXTINF:1e300"))),
        ("msn_high", Fault::Edited(|t| with_msn(t, "18446744073709551610"))),
        ("msn_over", Fault::Edited(|t| with_msn(t, "99999999999999999999999"))),
        ("no_target", Fault::Edited(|t| t.replace("#EXT-X-TARGETDURATION:2\n", ""))),
        ("other_host", Fault::Edited(|t| t.replace("playlist-", "http://elsewhere.invalid/p-"))),
        ("dots", Fault::Edited(|t| t.replace("playlist-", "../../../../etc/p-"))),
    ]
}

fn with_msn(text: &str, msn: &str) -> String {
    let lines = text.lines().map(|l| match l.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
        Some(_) => format!("#EXT-X-MEDIA-SEQUENCE:{msn}\n"),
        None => format!("{l}\n"),
    });
    lines.collect()
}

#[tokio::test]
async fn no_viewer_sees_a_bad_playlist() {
    let a = Packager::fake("a").live();
    let b = Packager::fake("b").shifted(400).numbered_from(1000).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let (a, proxy) = (&a, &proxy);
    join_all(faults().into_iter().map(|(name, fault)| async move {
        let mut viewer = proxy.viewer(name).await;
        viewer.until_on("a").await;
        a.break_playlists(name, fault);
        viewer.until_on("b").await;
        viewer.more(2).await;
        viewer.check_all_listed().await;
        let borders = viewer.borders();
        assert_eq!(borders.len(), 1, "{name}: {borders:?}");
        assert!(borders[0].gap_ms.abs() <= 1000, "{name}: {borders:?}");
        // One line says what is wrong with it, and one that the lane left.
        let path = format!("stream=/{name}/");
        let what = if name == "dots" { "another run" } else { "its playlist fails" };
        let told = proxy.logged(&[&path, "packager=a", what]);
        assert_eq!(told.len(), 1, "{name}: {:#?}", proxy.logged(&[&path]));
        assert_eq!(proxy.logged(&[&path, "splice"]).len(), 1, "{name}");
    }))
    .await;
    let memory = proxy.memory_mib();
    assert!(memory < 300, "{memory} MiB");
}

#[tokio::test]
async fn a_stream_that_is_bad_everywhere_harms_no_other() {
    let a = Packager::fake("a").live();
    let b = Packager::fake("b").shifted(300).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    for packager in [&a, &b] {
        packager.break_playlists("bad", Fault::Body(b"garbage".to_vec()));
    }
    let mut good = proxy.viewer("good").await;
    let (bad, ()) = tokio::join!(proxy.get("/bad/playlist.m3u8"), good.more(5));
    assert_eq!(bad.unwrap().status, 503);
    assert_eq!(good.borders().len(), 0);
}

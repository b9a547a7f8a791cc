//! AES-128 across splices: the viewer decrypts every segment with what the list says, and reads in
//! it who made it.

use crate::carried::attribute;
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::scripted::SKD;
use crate::viewer::Viewer;

/// Two packagers with other keys, other numbers and borders, and a proxy before them.
async fn stand(taught: fn(Packager) -> Packager) -> (Packager, Packager, Proxy) {
    let a = taught(Packager::fake("a").another_key_every(3)).live();
    let b = taught(Packager::fake("b").shifted(500).numbered_from(777).another_key_every(3)).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    (a, b, proxy)
}

/// The EXT-X-KEY lines of identity keys in a list.
fn key_lines(text: &str) -> Vec<&str> {
    let ours =
        |l: &&str| l.starts_with("#EXT-X-KEY:") && l.contains("AES-128") && !l.contains("skd:");
    text.lines().filter(ours).collect()
}

/// Every key that is listed is there, and nobody may keep it.
async fn keys_are_there(proxy: &Proxy, viewer: &Viewer, rendition: &str) {
    let lines = key_lines(viewer.text_of(rendition));
    assert!(!lines.is_empty(), "{}", viewer.text_of(rendition));
    for line in lines {
        let name = attribute(line, "URI").unwrap().rsplit('/').next().unwrap();
        let paths = viewer.carried().key_paths();
        let path = paths.iter().find(|p| p.ends_with(&format!("/{name}"))).unwrap();
        let reply = proxy.get(path).await.unwrap();
        assert_eq!((reply.status, reply.body.len()), (200, 16), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[tokio::test]
async fn segments_decrypt_before_and_after_a_splice() {
    let (a, b, proxy) = stand(|p| p).await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(4).await;
    assert!(viewer.carried().key_paths().len() > 1, "keys rotate");
    a.kill().await;
    // What it encrypted is listed yet.
    keys_are_there(&proxy, &viewer, "v0").await;
    viewer.until_on("b").await;
    viewer.more(4).await;
    viewer.check_all_listed().await;
    keys_are_there(&proxy, &viewer, "v0").await;
    // A number that was changed is no IV.
    let lines = key_lines(viewer.text());
    assert!(lines.iter().all(|l| attribute(l, "IV").is_some()), "{lines:?}");
    assert_eq!(viewer.borders().len(), 1, "{viewer}");
    // The same names mean other keys now.
    a.restart().await;
    viewer.more(3).await;
    b.kill().await;
    viewer.until_on("a").await;
    viewer.more(4).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.borders().len(), 2, "{viewer}");
}

#[tokio::test]
async fn all_renditions_share_the_keys() {
    let (a, _b, proxy) = stand(|p| p.audio("en", 1000)).await;
    let mut viewer = proxy.viewer("cam").await.with_all_renditions();
    viewer.more(3).await;
    let asked = a.requests().into_iter().filter(|(_, path)| path.contains("/key-"));
    let mut asked: Vec<String> = asked.map(|(_, path)| path).collect();
    let all = asked.len();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), all, "each key was asked for once");
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(3).await;
    viewer.check_all_listed().await;
    keys_are_there(&proxy, &viewer, "a0").await;
    assert_eq!(viewer.spliced_as_one(), Ok(()), "{viewer}");
}

#[tokio::test]
async fn fmp4_with_clear_init_segments_decrypts_across_a_splice() {
    let (a, _b, proxy) = stand(Packager::fmp4).await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(4).await;
    viewer.check_all_listed().await;
    assert_eq!((viewer.borders().len(), viewer.carried().inits()), (1, 2), "{viewer}");
}

/// What is in the clear stays so, on both sides of a splice.
#[tokio::test]
async fn clear_parts_end_the_keys_before_them() {
    let (a, _b, proxy) = stand(|p| p.clear_one_in(2)).await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(4).await;
    assert!(viewer.text().contains("#EXT-X-KEY:METHOD=NONE"), "{}", viewer.text());
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(6).await;
    viewer.check_all_listed().await;
    let of_b = viewer.watched_of("v0").values().filter(|w| w.label.packager == "b");
    let (clear, keyed): (Vec<_>, Vec<_>) = of_b.partition(|w| w.listed.keys.is_empty());
    assert!(!clear.is_empty() && !keyed.is_empty(), "{viewer}");
}

#[tokio::test]
async fn a_clear_sibling_ends_the_keys() {
    let a = Packager::fake("a").another_key_every(3).live();
    let b = Packager::fake("b").shifted(500).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(2).await;
    assert!(viewer.newest().listed.keys.is_empty(), "{}", viewer.text());
    viewer.check_all_listed().await;
}

/// Several keys apply at once; what leads elsewhere stays as it is.
#[tokio::test]
async fn keys_elsewhere_are_left_alone() {
    let (a, _b, proxy) = stand(|p| p.also_keyed(SKD)).await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(2).await;
    a.kill().await;
    viewer.until_on("b").await;
    viewer.more(2).await;
    viewer.check_all_listed().await;
    assert!(viewer.text().lines().any(|l| l == SKD), "{}", viewer.text());
    let both = viewer.newest().listed.keys.len();
    assert_eq!(both, 2, "{}", viewer.text());
}

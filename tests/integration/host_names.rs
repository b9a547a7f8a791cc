//! Two zones with a proxy and a host name each (docs/host-names.md): a zone dies, its viewers are led to
//! the other proxy, and back once the zone is.

use segue::model::watch::Rule;

use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::viewer::Viewer;

/// 32 bytes that both proxies have.
const KEY: &str = "token_keys: [\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"]";
const QUICK: &str = "health: { interval_seconds: 1, timeout_seconds: 1, rise: 1, fall: 1 }";

/// A proxy that prefers the first.
async fn proxy(packagers: &[&Packager]) -> Proxy {
    Proxy::over(packagers).setting(KEY).pool_setting(QUICK).start().await
}

/// His numbers have not fallen, and every number was one segment: the viewer judges that with each
/// refresh. That he came to another numbering is to be seen.
async fn goes_on(viewer: &mut Viewer, proxy: &Proxy) {
    let edge = viewer.edge();
    viewer.led_to(proxy.port());
    viewer.allowing(&[Rule::Hole]);
    viewer.more(2).await;
    assert!(viewer.edge() > edge);
}

#[tokio::test]
async fn a_zone_dies_and_comes_back() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let b = Packager::fake("b").segments_of(2000, 2).shifted(500).numbered_from(1000).live();
    let mut az1 = proxy(&[&a, &b]).await;
    let az2 = proxy(&[&b, &a]).await;
    let mut viewer = az1.viewer("cam").await;
    viewer.more(2).await;
    assert_eq!(viewer.lane_packager(), "a");
    // All of it: packager and proxy.
    a.kill().await;
    az1.kill();
    goes_on(&mut viewer, &az2).await;
    assert_eq!(viewer.lane_packager(), "b");
    // It comes back with an empty store; what segments it has may stay.
    a.restart().await;
    az1.lose_store();
    az1.start_again().await;
    goes_on(&mut viewer, &az1).await;
    viewer.check_all_listed().await;
}

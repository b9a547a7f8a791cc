//! A store that answers, and takes or gives nothing: viewers are served as if it were away.

use std::sync::Arc;

use segue::stream::Lane;

use crate::merging::{Proxy, Stage, Wrong};
use crate::players::stream;

/// The list of a lane that a viewer was given.
async fn comes(proxy: &Proxy) -> Arc<Lane> {
    let lane = proxy.streams.join(&stream(), None).await.unwrap();
    lane.playlist(&lane.header().renditions[0].id).await.expect("a first list");
    lane
}

/// It grows for so many seconds.
async fn watches(proxy: &mut Proxy, lane: &Lane, seconds: u64) {
    proxy.refresh(lane).await;
    let (_, first) = proxy.edges();
    proxy.watch(lane, seconds).await;
    let came = proxy.edges().1 - first;
    assert!(came >= seconds / 2 - 1, "{came} segments of two seconds in {seconds} s");
}

/// It says of a lane that is not there that it is not there, and does not take it.
#[tokio::test(start_paused = true)]
async fn a_new_lane_goes_on_without_a_store_that_writes_nothing() {
    let stage = Stage::new();
    let mut proxy = stage.proxy(1);
    proxy.store_is(Some(Wrong::TakesNothing));
    let lane = comes(&proxy).await;
    watches(&mut proxy, &lane, 20).await;
    let asked = proxy.calls();
    assert!(asked < 200, "{asked} calls in twenty seconds");
    proxy.store_is(None);
    watches(&mut proxy, &lane, 10).await;
    let steps = stage.stored(&lane.header().lane).await;
    assert!(steps.len() >= 10, "{} steps were given to the store", steps.len());
}

/// Another proxy, of a newer version, has written to the lane.
#[tokio::test(start_paused = true)]
async fn a_lane_goes_on_whose_newest_steps_cannot_be_read() {
    let stage = Stage::new();
    let mut proxy = stage.proxy(1);
    let lane = comes(&proxy).await;
    watches(&mut proxy, &lane, 10).await;
    proxy.store_is(Some(Wrong::TooNew));
    watches(&mut proxy, &lane, 20).await;
    proxy.store_is(None);
    watches(&mut proxy, &lane, 10).await;
}

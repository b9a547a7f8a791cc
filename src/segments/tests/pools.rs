//! What pools pay for what is held.

use super::*;

/// Two pools of one store, each with so many bytes.
fn two(store: &Segments, bytes: u64) -> [(Segments, Arc<Allowance>); 2] {
    [(); 2].map(|()| {
        let allowance = Arc::new(Allowance::default());
        allowance.limit(Some(bytes));
        (store.within(Arc::clone(&allowance)), allowance)
    })
}

#[tokio::test]
async fn a_pool_at_its_limit_leaves_room_for_others() {
    let dir = folder();
    for store in [memory(100_000), on_disk(&dir, 100_000, 100_000)] {
        let [(x, of_x), (y, of_y)] = two(&store, 2500);
        x.put(body(1), later(10)).await.unwrap();
        assert_eq!(x.full(), None);
        x.put(body(2), later(20)).await.unwrap();
        assert_eq!(x.put(body(3), later(10)).await, Err(SegmentsError::Allowance));
        // What it holds it may put again.
        x.put(body(2), later(30)).await.unwrap();
        of_x.limit(Some(2200));
        assert_eq!((x.full(), y.full()), (Some("pools.limits.segment_bytes"), None));
        assert!(!x.admits_stream() && store.admits_stream());
        // What x has paid for is free for y.
        y.put(body(2), later(10)).await.unwrap();
        y.put(body(3), later(10)).await.unwrap();
        assert_eq!((of_x.held(), of_y.held()), (2000, 1000));
        sweep(&store, later(100_000));
        assert_eq!((of_x.held(), of_y.held(), store.usage()), (0, 0, (0, 0)));
        x.put(body(4), later(100_050)).await.unwrap();
    }
}

#[tokio::test]
async fn a_pool_that_comes_back_pays_for_what_it_finds() {
    let dir = folder();
    let held = on_disk(&dir, 100_000, 100_000).put(body(1), later(600)).await.unwrap();
    let store = on_disk(&dir, 100_000, 100_000);
    let [(x, of_x), (y, of_y)] = two(&store, 500);
    // It is listed: no limit takes it away.
    assert!(x.find(held, later(600)).await);
    assert!(y.find(held, later(600)).await);
    assert_eq!((of_x.held(), of_y.held()), (1000, 0));
    let other = Held { hash: ContentHash::of(b"other"), length: 5 };
    assert!(!x.find(other, later(600)).await);
    assert_eq!(of_x.held(), 1000);
}

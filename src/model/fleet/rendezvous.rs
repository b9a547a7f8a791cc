//! Who does what among proxies that all know each other: each computes it for itself and comes to the same, and
//! when one leaves only what was its own goes to others (rendezvous hashing).

use crate::model::names::{ContentHash, ProxyId, StreamKey};

/// The one of `proxies` that fetches this stream for all of them.
#[must_use]
pub fn fetcher<'a>(
    stream: &StreamKey,
    proxies: impl IntoIterator<Item = &'a ProxyId>,
) -> Option<&'a ProxyId> {
    let StreamKey { pool, path, query } = stream;
    let what = [pool.as_str().as_bytes(), path.as_bytes(), query.as_bytes()];
    proxies.into_iter().max_by_key(|id| (rank(&what, id), *id))
}

/// The order in which `proxies` are asked for these bytes: another for each content, so that they share the work.
pub fn in_turn(hash: ContentHash, proxies: &mut [&ProxyId]) {
    proxies.sort_by_cached_key(|id| rank(&[&hash.0], id));
}

fn rank(what: &[&[u8]], id: &ProxyId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for field in what.iter().copied().chain([id.as_str().as_bytes()]) {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::PoolName;
    use std::collections::BTreeMap;

    fn stream(n: usize) -> StreamKey {
        let path = format!("/live/cam{n}/playlist.m3u8").into();
        StreamKey { pool: PoolName::new("live"), path, query: "".into() }
    }

    #[test]
    fn one_that_leaves_takes_only_its_own_streams_along() {
        let all: Vec<ProxyId> = (0..5).map(|n| ProxyId::new(format!("az1-{n}"))).collect();
        let without: Vec<&ProxyId> = all.iter().filter(|id| id.as_str() != "az1-2").collect();
        let mut shares: BTreeMap<&ProxyId, usize> = BTreeMap::new();
        for n in 0..1000 {
            let before = fetcher(&stream(n), &all).unwrap();
            *shares.entry(before).or_default() += 1;
            let after = fetcher(&stream(n), without.iter().copied()).unwrap();
            assert!(before == after || before.as_str() == "az1-2", "{n}: {before} to {after}");
            // Whoever looks, in whatever order it knows them.
            assert_eq!(fetcher(&stream(n), all.iter().rev()), Some(before));
        }
        assert!(shares.values().all(|share| (140..260).contains(share)), "{shares:?}");
        assert_eq!(fetcher(&stream(0), []), None);
    }

    #[test]
    fn what_is_part_of_a_stream_counts() {
        let all: Vec<ProxyId> = (0..64).map(|n| ProxyId::new(format!("p-{n}"))).collect();
        let of = |pool: &str, path: &str, query: &str| {
            let key =
                StreamKey { pool: PoolName::new(pool), path: path.into(), query: query.into() };
            fetcher(&key, &all).unwrap().clone()
        };
        let one = of("live", "/a", "DVR");
        assert_eq!(of("live", "/a", "DVR"), one);
        let others = [of("live", "/aDVR", ""), of("live2", "/a", "DVR"), of("live", "/a", "")];
        assert!(others.iter().any(|other| *other != one));
    }

    #[test]
    fn contents_are_asked_for_in_different_orders() {
        let all: Vec<ProxyId> = (0..3).map(|n| ProxyId::new(format!("p-{n}"))).collect();
        let mut firsts = BTreeMap::new();
        for n in 0..90_u8 {
            let mut order: Vec<&ProxyId> = all.iter().collect();
            in_turn(ContentHash::of(&[n]), &mut order);
            *firsts.entry(order[0].clone()).or_insert(0) += 1;
        }
        assert!(firsts.len() == 3 && firsts.values().all(|n| *n > 15), "{firsts:?}");
    }
}

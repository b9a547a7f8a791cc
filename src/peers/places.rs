//! Places at each proxy that is asked for bytes: one that answers slowly takes its own, and none of those in which
//! others would answer soon.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::select_all;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::fleet::{PROXIES_MAX, Present};

/// Contents that one proxy is asked for at one time.
const PLACES: usize = 16;

/// A proxy to ask, and the place at it until dropped.
pub(super) type Placed = (Present<SocketAddr>, OwnedSemaphorePermit);

/// The places at all proxies.
#[derive(Default)]
pub(super) struct Places(Mutex<HashMap<SocketAddr, Arc<Semaphore>>>);

impl Places {
    /// The first of `from` at which a place is free; it is taken out of them.
    pub fn free(&self, from: &mut VecDeque<Present<SocketAddr>>) -> Option<Placed> {
        let place = |proxy: &Present<SocketAddr>| self.at(proxy.at).try_acquire_owned().ok();
        let (n, place) = from.iter().enumerate().find_map(|(n, proxy)| Some((n, place(proxy)?)))?;
        Some((from.remove(n)?, place))
    }

    /// Waits for a place at any of `from`, which is taken out of them. None: there is nobody.
    pub async fn wait(&self, from: &mut VecDeque<Present<SocketAddr>>) -> Option<Placed> {
        if from.is_empty() {
            return None;
        }
        let waits = from.iter().map(|proxy| Box::pin(self.at(proxy.at).acquire_owned()));
        let (place, n, _) = select_all(waits).await;
        Some((from.remove(n)?, place.ok()?))
    }

    fn at(&self, at: SocketAddr) -> Arc<Semaphore> {
        let mut all = self.0.lock();
        if all.len() >= PROXIES_MAX && !all.contains_key(&at) {
            // Who holds a place or waits for one holds the semaphore.
            all.retain(|_, places| Arc::strong_count(places) > 1);
        }
        Arc::clone(all.entry(at).or_insert_with(|| Arc::new(Semaphore::new(PLACES))))
    }
}

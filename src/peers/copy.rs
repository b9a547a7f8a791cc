//! Bytes from other proxies: whoever holds them gives them, two are asked at one time at the most, and what comes is
//! checked against length and hash. However many ask here for the same, it is fetched once.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _, Shared, WeakShared};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Meter;
use super::ask::{AskError, Asker, Within};
use super::places::{Placed, Places};
use crate::model::fleet::{Present, in_turn};
use crate::model::lane::Held;
use crate::model::names::{ContentHash, ProxyId};

/// One that has not given the first byte after this is not waited for alone.
const HEDGE_AFTER: Duration = Duration::from_millis(200);
/// One that has, and has not given all after this, neither.
const SLOW_AFTER: Duration = HEDGE_AFTER.saturating_mul(3);
/// Proxies asked for the same at one time.
const AT_ONCE: usize = 2;
/// Contents fetched from other proxies at one time.
const COPIES_MAX: usize = 64;
/// Nobody takes longer for a piece of it, or to take a connection.
const PIECE_WITHIN: Duration = Duration::from_secs(1);
/// Nor for all of it, whoever still waits.
const WHOLE_WITHIN: Duration = Duration::from_secs(15);
/// Notes of fetches that ended are cleared away beyond so many.
const NOTES: usize = 256;

type Copy = BoxFuture<'static, Option<Bytes>>;

/// Fetches contents from other proxies.
pub(super) struct Copier {
    asking: Arc<Asking>,
    /// What is being fetched; it ends when nobody waits for it any more.
    under_way: Mutex<HashMap<Held, WeakShared<Copy>>>,
}

/// What one fetch needs.
struct Asking {
    asker: Arc<Asker>,
    meter: Arc<dyn Meter>,
    places: Places,
    room: Semaphore,
}

impl Copier {
    pub fn new(asker: Arc<Asker>, meter: Arc<dyn Meter>) -> Self {
        let (places, room) = (Places::default(), Semaphore::new(COPIES_MAX));
        let asking = Arc::new(Asking { asker, meter, places, room });
        Self { asking, under_way: Mutex::default() }
    }

    /// The bytes, from one of `from`, who are asked in this order.
    pub fn copy(&self, held: Held, from: Vec<Present<SocketAddr>>) -> Shared<Copy> {
        let mut under_way = self.under_way.lock();
        if let Some(copy) = under_way.get(&held).and_then(WeakShared::upgrade) {
            return copy;
        }
        if under_way.len() >= NOTES {
            under_way.retain(|_, copy| copy.upgrade().is_some());
        }
        let asking = Arc::clone(&self.asking);
        let work = async move { asking.in_turn(held, from.into()).await };
        let copy = work.boxed().shared();
        if let Some(weak) = copy.downgrade() {
            under_way.insert(held, weak);
        }
        copy
    }
}

/// Who is asked, in order: the holders that answer, then the others of the own zone, then the rest; of each those on
/// their way out last.
pub(super) fn order(
    hash: ContentHash,
    present: &[Present<SocketAddr>],
    holders: &[ProxyId],
    zone: &str,
) -> Vec<Present<SocketAddr>> {
    let mut ids: Vec<&ProxyId> = present.iter().map(|p| &p.id).collect();
    in_turn(hash, &mut ids);
    let place = |id: &ProxyId| ids.iter().position(|other| *other == id);
    let mut all = present.to_vec();
    all.sort_by_cached_key(|p| (!holders.contains(&p.id), p.zone != zone, p.leaving, place(&p.id)));
    all
}

impl Asking {
    /// One at which all places are taken is passed over, and waited for where nobody else is left.
    async fn in_turn(&self, held: Held, mut from: VecDeque<Present<SocketAddr>>) -> Option<Bytes> {
        // One of those that are asked has begun to give.
        let began = AtomicBool::new(false);
        let mut asked = FuturesUnordered::new();
        let mut at_once = 1;
        let mut since = Instant::now();
        let mut room = None;
        loop {
            while asked.len() < at_once {
                let placed = match self.places.free(&mut from) {
                    Some(placed) => placed,
                    None if !asked.is_empty() => break,
                    None => {
                        // What can be had elsewhere goes on meanwhile.
                        room = None;
                        self.places.wait(&mut from).await?
                    }
                };
                if room.is_none() {
                    room = Some(self.room.acquire().await.ok()?);
                }
                if asked.is_empty() {
                    since = Instant::now();
                }
                asked.push(self.one(held, placed, &began));
            }
            let alone = asked.len() < AT_ONCE && !from.is_empty();
            tokio::select! {
                answer = asked.next() => match answer? {
                    Some(bytes) => return Some(bytes),
                    None => began.store(false, Ordering::Relaxed),
                },
                () = tokio::time::sleep(HEDGE_AFTER), if alone => {
                    if !began.load(Ordering::Relaxed) || since.elapsed() >= SLOW_AFTER {
                        at_once = AT_ONCE;
                    }
                }
            }
        }
    }

    async fn one(&self, held: Held, (proxy, _place): Placed, began: &AtomicBool) -> Option<Bytes> {
        let what = format!("bytes/{}?length={}", held.hash.to_hex(), held.length);
        let within = Within { whole: WHOLE_WITHIN, piece: PIECE_WITHIN, bytes: held.length };
        let answer = self.asker.get(proxy.at, &what, within, began).await;
        let answer = answer.and_then(|answer| checked(held, answer.body));
        self.meter.asked("bytes", answer.as_ref().map_or_else(AskError::as_str, |_| "ok"));
        if let Err(AskError::Wrong) = answer {
            tracing::warn!(proxy = %proxy.id, hash = ?held.hash, "another proxy gave other bytes than were asked for");
        }
        answer.inspect(|bytes| self.meter.received(bytes.len())).ok()
    }
}

fn checked(held: Held, body: Bytes) -> Result<Bytes, AskError> {
    let right = body.len() as u64 == held.length && ContentHash::of(&body) == held.hash;
    right.then_some(body).ok_or(AskError::Wrong)
}

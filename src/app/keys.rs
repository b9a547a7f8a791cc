//! The installation's own token key, for when none is configured: one for all proxies that share a store. It
//! outlives the store's contents, since every proxy goes on putting it back.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Config;
use crate::front::{Front, Live};
use crate::model::fleet::FleetKeys;
use crate::model::token::{Keyring, KeyringError};
use crate::peers::Peers;
use crate::store::{LaneStore, StoreError};

/// What it is called in the store.
const NAME: &str = "token_key";
/// Keys that verify beside the one that signs: each is of a time in which the store was not reached.
const OTHERS_MAX: usize = 3;

type Key = [u8; 32];

/// The keys that were made for this installation. Never empty: the first signs, all verify.
pub struct OwnKeys(Mutex<Vec<Key>>);

impl OwnKeys {
    /// The store's, or a fresh one where it cannot be reached.
    pub fn new(stored: Option<Key>) -> Self {
        Self(Mutex::new(vec![stored.unwrap_or_else(rand::random)]))
    }

    /// The key that the store has, or has now.
    pub async fn of(store: &dyn LaneStore) -> Result<Key, StoreError> {
        store.secret(NAME, rand::random()).await
    }

    /// Puts the key back where the store has lost it. Whether the store has another, which signs from now on.
    pub async fn put_back(&self, store: &dyn LaneStore) -> Result<bool, StoreError> {
        let Some(mine) = self.0.lock().first().copied() else { return Ok(false) };
        let stored = store.secret(NAME, mine).await?;
        if stored == mine {
            return Ok(false);
        }
        let mut keys = self.0.lock();
        keys.retain(|key| *key != stored);
        keys.insert(0, stored);
        keys.truncate(1 + OTHERS_MAX);
        Ok(true)
    }

    /// All of them, the one that signs first.
    pub fn all(&self) -> Vec<Key> {
        self.0.lock().clone()
    }

    /// The first signs, all verify.
    pub fn keyring(&self) -> Result<Keyring, KeyringError> {
        Keyring::new(self.0.lock().iter())
    }
}

/// Keeps the key in the store, where none is configured.
pub struct KeyKeeper {
    pub own: Arc<OwnKeys>,
    pub front: Arc<Front<Live>>,
    /// The other proxies, and the keys of questions to them where these are derived from this one.
    pub fleet: Option<Arc<Peers>>,
}

impl KeyKeeper {
    /// Puts the key back; where the store has another, the front signs with that one from now on.
    pub async fn put_back(&self, store: &dyn LaneStore) {
        match self.own.put_back(store).await {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(
                    "the store has another token key than this process began with: it signs from now on, and both \
                     verify here; set token_keys, so that all proxies know all tokens"
                );
                match self.own.keyring() {
                    Ok(keyring) => {
                        self.front.take_keys(keyring);
                        if let Some(peers) = &self.fleet {
                            peers.reload(FleetKeys::new(self.own.all()));
                        }
                    }
                    Err(error) => tracing::error!(%error, "the store's token key is not taken"),
                }
            }
            Err(error) => tracing::debug!(%error, "the token key is not put back"),
        }
    }
}

/// The keys of a configuration; where it has none, the installation's own.
pub fn keyring(config: &Config, own: &OwnKeys) -> Result<Keyring, KeyringError> {
    if config.token_keys.is_empty() {
        return own.keyring();
    }
    Keyring::new(config.token_keys.iter().map(|key| key.reveal().as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn the_key_is_put_back_and_another_one_is_taken() {
        let store = MemoryStore::new();
        let first = OwnKeys::of(&store).await.unwrap();
        let running = OwnKeys::new(Some(first));
        assert!(!running.put_back(&store).await.unwrap());
        // Wiped: the next to be started gets the key of those that run.
        let wiped = MemoryStore::new();
        assert!(!running.put_back(&wiped).await.unwrap());
        assert_eq!(OwnKeys::of(&wiped).await.unwrap(), first);
        // Started while it could not be reached.
        let alone = OwnKeys::new(None);
        let mine = alone.0.lock()[0];
        assert!(alone.put_back(&wiped).await.unwrap());
        assert_eq!(*alone.0.lock(), [first, mine]);
        assert!(!alone.put_back(&wiped).await.unwrap());
        for _ in 0..5 {
            assert!(alone.put_back(&MemoryStore::new()).await.is_ok_and(|other| !other));
            let other = MemoryStore::new();
            OwnKeys::of(&other).await.unwrap();
            assert!(alone.put_back(&other).await.unwrap());
        }
        assert_eq!(alone.0.lock().len(), 1 + OTHERS_MAX);
    }
}

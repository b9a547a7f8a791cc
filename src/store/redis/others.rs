//! What all proxies know beside lanes: secrets, highest target durations, who is drained, records.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use redis::Pipeline;

use super::lanes::millis;
use super::scripts::TARGET;
use super::{NO_MORE, RedisStore};
use crate::model::names::{PackagerId, StreamKey, UnixMs};
use crate::store::StoreError;

/// A highest target duration is forgotten so long after the last lane of its stream was opened: that bounds
/// how many there are.
const TARGET_EXPIRES: Duration = Duration::from_secs(30 * 24 * 3600);

/// What one proxy keeps for itself goes so long after it kept something last: proxies come and go.
const OWNED_EXPIRES: Duration = Duration::from_secs(90 * 24 * 3600);

impl RedisStore {
    pub(super) async fn first_secret(
        &self,
        name: &str,
        fresh: [u8; 32],
    ) -> Result<[u8; 32], StoreError> {
        let key = self.keys.secret(name);
        let mut asked = Pipeline::new();
        asked.cmd("SETNX").arg(&key).arg(&fresh[..]).ignore().cmd("GET").arg(&key);
        let (secret,): (Vec<u8>,) =
            self.link.ask(NO_MORE, async |mut c| asked.query_async(&mut c).await).await?;
        self.link.wrote();
        let length = |_| StoreError::Unreadable(format!("the secret {name} has not 32 bytes"));
        secret.try_into().map_err(length)
    }

    pub(super) async fn highest_target(
        &self,
        stream: &StreamKey,
        seconds: u32,
    ) -> Result<u32, StoreError> {
        let keys = [self.keys.target(stream)];
        let values = [seconds.to_string(), millis(TARGET_EXPIRES)];
        let asked = async |mut c| TARGET.run(&mut c, &keys, &values).await;
        let highest = self.link.ask(NO_MORE, asked).await?;
        self.link.wrote();
        Ok(highest)
    }

    pub(super) async fn all_drained(&self) -> Result<BTreeMap<PackagerId, UnixMs>, StoreError> {
        let mut asked = redis::cmd("HGETALL");
        asked.arg(self.keys.drained());
        let drained: HashMap<String, u64> =
            self.link.ask(NO_MORE, async |mut c| asked.query_async(&mut c).await).await?;
        Ok(drained.into_iter().map(|(id, since)| (PackagerId::new(id), UnixMs(since))).collect())
    }

    pub(super) async fn set_drained(
        &self,
        packager: &PackagerId,
        since: Option<UnixMs>,
    ) -> Result<(), StoreError> {
        let mut asked = redis::cmd(if since.is_some() { "HSETNX" } else { "HDEL" });
        asked.arg(self.keys.drained()).arg(packager.as_str());
        if let Some(since) = since {
            asked.arg(since.0);
        }
        self.link.ask(NO_MORE, async |mut c| asked.exec_async(&mut c).await).await
    }

    pub(super) async fn kept_records(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut asked = redis::cmd("HGETALL");
        asked.arg(self.keys.kept(owner(prefix)));
        let all: HashMap<String, String> =
            self.link.ask(NO_MORE, async |mut c| asked.query_async(&mut c).await).await?;
        let named = all.into_iter().filter(|(name, _)| name.starts_with(prefix));
        Ok(named.map(|(_, record)| record).collect())
    }

    pub(super) async fn keep_records(
        &self,
        records: &[(String, Option<String>)],
    ) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut asked = Pipeline::new();
        asked.atomic();
        for (name, record) in records {
            let key = self.keys.kept(owner(name));
            match record {
                Some(record) => asked.cmd("HSET").arg(key).arg(name).arg(record),
                None => asked.cmd("HDEL").arg(key).arg(name),
            }
            .ignore();
        }
        let owners: BTreeSet<&str> = records.iter().filter_map(|(name, _)| owner(name)).collect();
        for of in owners {
            let key = self.keys.kept(Some(of));
            asked.cmd("PEXPIRE").arg(key).arg(millis(OWNED_EXPIRES)).ignore();
        }
        self.link.ask(NO_MORE, async |mut c| asked.exec_async(&mut c).await).await?;
        // Full, it refuses all of a transaction, whatever it does.
        self.link.wrote();
        Ok(())
    }
}

/// Whose record it is, of what its name begins with: `of/OWNER/`. None: everybody's.
fn owner(name: &str) -> Option<&str> {
    Some(name.strip_prefix("of/")?.split_once('/')?.0)
}

//! What all proxies know beside lanes: secrets, highest target durations, who is drained, records.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use redis::Pipeline;

use super::lanes::millis;
use super::scripts::{DRAIN, TARGET};
use super::{NO_MORE, RedisStore};
use crate::model::names::{PackagerId, StreamKey, UnixMs};
use crate::store::StoreError;

/// A highest target duration is forgotten so long after the last lane of its stream was opened: that bounds
/// how many there are.
const TARGET_EXPIRES: Duration = Duration::from_secs(30 * 24 * 3600);

/// What one proxy keeps for itself goes so long after it kept something last: proxies come and go.
const OWNED_EXPIRES: Duration = Duration::from_secs(90 * 24 * 3600);

/// That a packager was brought back is noted for so long. A proxy that has not reached the store in all this time,
/// and knows no better, takes it out again.
const BACK_NOTED: Duration = Duration::from_secs(30 * 24 * 3600);

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

    /// Who is out, after those of `known` of whom nothing is noted were put back.
    pub(super) async fn all_drained(
        &self,
        known: &BTreeMap<PackagerId, UnixMs>,
    ) -> Result<BTreeMap<PackagerId, UnixMs>, StoreError> {
        let mut noted = self.noted_drains().await?;
        let lost = |(id, _): &(&PackagerId, &UnixMs)| !noted.contains_key(id);
        let lost: Vec<_> = known.iter().filter(lost).collect();
        if !lost.is_empty() {
            self.put_back_drains(&lost).await?;
            noted = self.noted_drains().await?;
        }
        let out = |(id, at)| Some((id, UnixMs(u64::try_from(at).ok()?)));
        Ok(noted.into_iter().filter_map(out).collect())
    }

    async fn noted_drains(&self) -> Result<HashMap<PackagerId, i64>, StoreError> {
        let mut asked = redis::cmd("HGETALL");
        asked.arg(self.keys.drained());
        let noted: HashMap<String, i64> =
            self.link.ask(NO_MORE, async |mut c| asked.query_async(&mut c).await).await?;
        Ok(noted.into_iter().map(|(id, at)| (PackagerId::new(id), at)).collect())
    }

    /// Whatever an operator or another proxy has noted meanwhile stands.
    async fn put_back_drains(&self, lost: &[(&PackagerId, &UnixMs)]) -> Result<(), StoreError> {
        let mut asked = Pipeline::new();
        for (id, since) in lost {
            asked.cmd("HSETNX").arg(self.keys.drained()).arg(id.as_str()).arg(since.0);
        }
        let put: Vec<bool> =
            self.link.ask(NO_MORE, async |mut c| asked.query_async(&mut c).await).await?;
        self.link.wrote();
        for ((id, since), _) in lost.iter().zip(put).filter(|(_, put)| *put) {
            let since = since.0;
            tracing::warn!(packager = %id, since, "the store has lost that it is drained: it is noted there again");
        }
        Ok(())
    }

    pub(super) async fn set_drained(
        &self,
        packager: &PackagerId,
        since: Option<UnixMs>,
    ) -> Result<(), StoreError> {
        let keys = [self.keys.drained()];
        let out = since.map(|since| since.0.to_string()).unwrap_or_default();
        let values = [packager.to_string(), out, millis(BACK_NOTED)];
        self.link.ask(NO_MORE, async |mut c| DRAIN.run(&mut c, &keys, &values).await).await
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

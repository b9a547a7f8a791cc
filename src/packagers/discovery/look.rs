//! The loops that look groups up: one for each, so that a name server that hangs holds up no other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Answer, GroupSpec, Groups, Observer, Place, Source, list};
use crate::model::discovery::member_id;
use crate::model::names::{PackagerId, UnixMs};
use crate::origin::{Resolve, ResolveError, Resolved};

/// For one look-up.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a look-up that failed, doubled each time, to so much.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(15);
/// How often a file is read.
const READ_EVERY: Duration = Duration::from_millis(500);

/// Looks groups up for as long as the server runs, and follows reloads.
pub struct Discovery {
    groups: Arc<Groups>,
    resolver: Arc<dyn Resolve>,
    observer: Arc<dyn Observer>,
    now: Arc<dyn Fn() -> UnixMs + Send + Sync>,
}

impl Discovery {
    /// To be added to the server as a background service. `now` tells the time.
    #[must_use]
    pub fn new(
        groups: Arc<Groups>,
        resolver: Arc<dyn Resolve>,
        observer: Arc<dyn Observer>,
        now: Arc<dyn Fn() -> UnixMs + Send + Sync>,
    ) -> Self {
        Self { groups, resolver, observer, now }
    }

    async fn run(&self) {
        let mut running: BTreeMap<PackagerId, Loop> = BTreeMap::new();
        let mut ticks = self.groups.subscribe();
        loop {
            ticks.mark_unchanged();
            self.follow(&mut running);
            if ticks.changed().await.is_err() {
                return;
            }
        }
    }

    /// Ends the loops of groups that are gone or are looked up otherwise now, begins others.
    fn follow(&self, running: &mut BTreeMap<PackagerId, Loop>) {
        let wanted: Vec<GroupSpec> = self.groups.all().into_iter().map(|s| s.spec).collect();
        running.retain(|group, running| {
            wanted.iter().any(|spec| spec.group == *group && spec.source == running.source)
        });
        for spec in wanted {
            running.entry(spec.group.clone()).or_insert_with(|| {
                let looking = Looking {
                    groups: Arc::clone(&self.groups),
                    resolver: Arc::clone(&self.resolver),
                    observer: Arc::clone(&self.observer),
                    now: Arc::clone(&self.now),
                };
                let source = spec.source.clone();
                let task = match source.clone() {
                    Source::Dns(name) => tokio::spawn(looking.names(spec, name)),
                    Source::File(path) => tokio::spawn(looking.file(spec, path)),
                };
                Loop { source, task }
            });
        }
    }
}

#[async_trait]
impl BackgroundService for Discovery {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.run() => {}
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
    }
}

/// One running loop. Ends when dropped.
struct Loop {
    source: Source,
    task: JoinHandle<()>,
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a loop looks with.
struct Looking {
    groups: Arc<Groups>,
    resolver: Arc<dyn Resolve>,
    observer: Arc<dyn Observer>,
    now: Arc<dyn Fn() -> UnixMs + Send + Sync>,
}

impl Looking {
    fn tell(&self, spec: &GroupSpec, outcome: &'static str, answer: Result<Answer, String>) {
        self.observer.looked_up(&spec.group, outcome);
        self.groups.looked_up(spec, (self.now)(), answer);
    }

    async fn names(self, spec: GroupSpec, name: String) {
        let mut retry = RETRY_MIN;
        loop {
            let found = timeout(PATIENCE, self.resolver.lookup(&name)).await;
            let found = found.unwrap_or(Err(ResolveError::Timeout(PATIENCE)));
            let wait = match found.and_then(|found| Ok((addresses_of(&spec, &found)?, found))) {
                Ok((named, found)) => {
                    retry = RETRY_MIN;
                    self.tell(&spec, "ok", Ok(Answer { named, ttl: found.ttl }));
                    found.fresh_for()
                }
                Err(error) => {
                    self.tell(&spec, error.as_str(), Err(format!("{name}: {error}")));
                    let next = (retry * 2).min(RETRY_MAX);
                    std::mem::replace(&mut retry, next)
                }
            };
            // Never before the answer's time is up, and a fleet not at the same moment.
            sleep(wait.mul_f64(rand::random_range(1.0..1.1))).await;
        }
    }

    async fn file(self, spec: GroupSpec, path: PathBuf) {
        let mut read_last: Option<Vec<u8>> = None;
        let mut taken: Option<(Vec<u8>, Listed)> = None;
        loop {
            match read(&path).await {
                Err(cause) => {
                    let cause = format!("{}: {cause}", path.display());
                    self.tell(&spec, "failed", Err(cause));
                }
                Ok(bytes) => {
                    // What is read twice the same is not still being written.
                    let settled = taken.is_none() || read_last.as_ref() == Some(&bytes);
                    if settled && taken.as_ref().is_none_or(|(taken, _)| *taken != bytes) {
                        let listed = list::read(spec.group.as_str(), &bytes);
                        let listed = listed.map_err(|cause| format!("{}:{cause}", path.display()));
                        taken = Some((bytes.clone(), listed));
                    }
                    read_last = Some(bytes);
                    match taken.as_ref().map(|(_, listed)| listed) {
                        Some(Ok(named)) => {
                            let (named, ttl) = (named.clone(), Duration::ZERO);
                            self.tell(&spec, "ok", Ok(Answer { named, ttl }));
                        }
                        Some(Err(cause)) => self.tell(&spec, "broken", Err(cause.clone())),
                        None => {}
                    }
                }
            }
            sleep(READ_EVERY).await;
        }
    }
}

/// What stands in a file, or what is wrong with it.
type Listed = Result<Vec<(PackagerId, Place)>, String>;

/// The packagers that an answer names. A machine with both kinds of addresses is one packager, by the
/// first kind; where that could not be asked for nobody knows who is there.
fn addresses_of(
    spec: &GroupSpec,
    found: &Resolved,
) -> Result<Vec<(PackagerId, Place)>, ResolveError> {
    let four = found.addresses.iter().any(std::net::IpAddr::is_ipv4);
    if !four && found.partial {
        return Err(ResolveError::Failed("its IPv4 addresses are not known".to_owned()));
    }
    let kind = found.addresses.iter().filter(|address| address.is_ipv4() == four);
    let named = kind.map(|address| {
        (member_id(spec.group.as_str(), &address.to_string()), Place::Address(*address))
    });
    Ok(named.collect())
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let file = tokio::fs::File::open(path).await.map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(list::BYTES_MAX + 1).read_to_end(&mut bytes).await.map_err(cannot)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_one_packager_whatever_addresses_it_has() {
        let spec = GroupSpec {
            group: PackagerId::new("g"),
            source: Source::Dns("g".to_owned()),
            members_max: 64,
            leave_within: Duration::ZERO,
        };
        for (name, found, partial, want) in [
            ("IPv4", &["10.0.0.1", "10.0.0.2"][..], false, Some("g-10-0-0-1 g-10-0-0-2")),
            ("both", &["10.0.0.1", "fd00::1"], false, Some("g-10-0-0-1")),
            ("IPv6 did not come", &["10.0.0.1"], true, Some("g-10-0-0-1")),
            ("IPv6", &["fd00::1", "fd00::2"], false, Some("g-fd00--1 g-fd00--2")),
            ("IPv4 did not come", &["fd00::1"], true, None),
        ] {
            let addresses = found.iter().map(|a| a.parse().unwrap()).collect();
            let found = Resolved { addresses, ttl: Duration::ZERO, partial };
            let named = addresses_of(&spec, &found).ok().map(|named| {
                let ids: Vec<&str> = named.iter().map(|(id, _)| id.as_str()).collect();
                ids.join(" ")
            });
            assert_eq!(named.as_deref(), want, "{name}");
        }
    }
}

//! Groups of packagers: an entry of the configuration that stands for one is replaced by the packagers that
//! belong to it now, so that everything else knows packagers alone. Who joins, moves or leaves reaches the
//! running proxy here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::operate::{Counting, Running};
use crate::config::{self, Config, GroupSource, PackagerUrl};
use crate::model::discovery::Lanes;
use crate::model::names::{PackagerId, UnixMs};
use crate::ops::GroupGauge;
use crate::packagers::discovery::{GroupSpec, GroupState, Observer, Place, Source};
use crate::packagers::{Drained, Membership};

/// How often those that have left are looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Observer for Counting {
    fn looked_up(&self, group: &PackagerId, outcome: &'static str) {
        self.0.looked_up(group, outcome);
    }
}

/// The groups of a configuration.
pub fn specs(config: &Config) -> Vec<GroupSpec> {
    let entries = config.pools.iter().flat_map(|pool| &pool.packagers);
    let spec = |entry: &config::Packager| {
        let group = entry.group.as_ref()?;
        let source = match &group.source {
            GroupSource::Name(name) => Source::Dns(name.clone()),
            GroupSource::File(path) => Source::File(path.clone()),
        };
        let (members_max, leave_within) = (group.packagers_max, group.leave_within);
        Some(GroupSpec { group: entry.id.clone(), source, members_max, leave_within })
    };
    entries.filter_map(spec).collect()
}

/// Where groups are remembered: beside the store. With a store in memory nothing is.
pub fn file(config: &Config) -> Option<PathBuf> {
    match &config.store {
        config::StoreSpec::Memory => None,
        config::StoreSpec::Sqlite(path) => Some(path.with_extension("groups")),
        // Not in it: that it can be reached is not sure.
        config::StoreSpec::Redis(_) => {
            Some(config.server.upgrade_sock.with_file_name("segue.groups"))
        }
    }
}

/// The configuration with the packagers of each group in the group's place.
pub fn expanded(config: &Config, groups: &[GroupState]) -> Config {
    let mut config = config.clone();
    let entries = config.pools.iter().flat_map(|pool| &pool.packagers);
    let mut taken: BTreeSet<PackagerId> = entries.map(|p| p.id.clone()).collect();
    for pool in &mut config.pools {
        let mut all = Vec::new();
        for entry in std::mem::take(&mut pool.packagers) {
            if entry.group.is_none() {
                all.push(entry);
                continue;
            }
            let state = groups.iter().find(|state| state.spec.group == entry.id);
            for (id, member) in state.into_iter().flat_map(|state| state.group.members()) {
                if taken.insert(id.clone()) {
                    all.extend(packager(&entry, id, &member.place));
                } else {
                    tracing::warn!(packager = %id, group = %entry.id, "the group has a packager with the id of another: it is left out");
                }
            }
        }
        pool.packagers = all;
    }
    config
}

/// One packager of a group: like its entry, elsewhere.
fn packager(entry: &config::Packager, id: &PackagerId, place: &Place) -> Option<config::Packager> {
    let mut one = config::Packager { id: id.clone(), group: None, ..entry.clone() };
    match place {
        Place::Address(address) => {
            // It is still asked for by the group's name, and has its certificate.
            one.host.get_or_insert_with(|| entry.url.authority());
            if entry.url.tls {
                one.sni.get_or_insert_with(|| entry.url.host.clone());
            }
            one.url.host = address.to_string();
        }
        Place::Item { url, zone, weight } => {
            one.url = PackagerUrl::parse(url).ok()?;
            one.zone = zone.clone().unwrap_or(one.zone);
            one.weight = weight.unwrap_or(one.weight);
        }
    }
    Some(one)
}

/// What is special about the packagers of groups. `spread`: the lanes of one that leaves do so within this
/// time.
pub fn memberships(
    groups: &[GroupState],
    spread: impl Fn(&PackagerId) -> Duration,
) -> BTreeMap<PackagerId, Membership> {
    let members = groups.iter().flat_map(|state| state.group.members());
    members
        .map(|(id, member)| {
            let leaving = member.leaving.map(|since| Drained { since, spread: spread(id) });
            (id.clone(), Membership { new: member.new, leaving })
        })
        .collect()
}

/// Groups as Prometheus sees them.
pub fn gauges(groups: &[GroupState], now: UnixMs) -> Vec<GroupGauge> {
    let gauge = |state: &GroupState| {
        let (packagers, leaving) = state.group.count();
        GroupGauge {
            group: state.spec.group.clone(),
            packagers,
            leaving,
            refused: state.group.refused(),
            answer_age: state.group.answered_at().map(|at| now.since(at)),
        }
    };
    groups.iter().map(gauge).collect()
}

/// Groups as people see them.
pub fn status(groups: &[GroupState], now: UnixMs) -> Vec<serde_json::Value> {
    let member = |(id, m): (&PackagerId, &crate::model::discovery::Member<Place>)| {
        let at = match &m.place {
            Place::Address(address) => address.to_string(),
            Place::Item { url, .. } => url.clone(),
        };
        serde_json::json!({ "packager": id, "at": at, "leaving_since": m.leaving })
    };
    let group = |state: &GroupState| {
        let source = match &state.spec.source {
            Source::Dns(name) => name.clone(),
            Source::File(path) => path.display().to_string(),
        };
        let age = state.group.answered_at().map(|at| now.since(at).as_millis());
        serde_json::json!({
            "group": state.spec.group, "source": source, "packagers_max": state.spec.members_max,
            "packagers": state.group.members().iter().map(member).collect::<Vec<_>>(),
            "refused": state.group.refused(), "answer_age_ms": age, "cause": state.cause,
        })
    };
    groups.iter().map(group).collect()
}

/// Brings what groups become to the running proxy.
pub struct Regrouping(pub Arc<Running>);

impl Regrouping {
    /// Whoever has left and is on no lane any more is forgotten.
    fn forget(&self) {
        let running = &self.0;
        let leaving = running.groups.all().iter().any(|state| state.group.count().1 > 0);
        if !leaving {
            return;
        }
        let lanes = running.drains.lanes_by_packager();
        let siblings = |id: &PackagerId| running.drains.state(id).map_or(0, |s| s.siblings);
        let on = |id: &PackagerId| match lanes.get(id).copied().unwrap_or(0) {
            0 => Lanes::None,
            _ if siblings(id) > 0 => Lanes::Some,
            _ => Lanes::Stuck,
        };
        running.groups.forget(running.drains.clock.now(), on);
    }
}

#[async_trait]
impl BackgroundService for Regrouping {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let mut changes = self.0.groups.subscribe();
        // What came before this service ran, and what could not be taken, is taken with the next look.
        let mut behind = true;
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => self.forget(),
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    behind = true;
                }
            }
            if behind {
                behind = !self.0.regroup();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::discovery::Group;

    const FILE: &str = r#"
pools:
  - name: live
    packagers:
      - { id: a, url: "http://a" }
      - { id: az1, url: "https://edges.internal:8443", addresses: packagers, zone: az1, weight: 3,
          headers: { X-Key: k } }
      - { id: listed, file: "packagers.yaml", zone: az2 }
      - { id: z, url: "http://z" }
"#;

    fn state(spec: &GroupSpec, members: Vec<(&str, Place)>) -> GroupState {
        let members = members.into_iter().map(|(id, place)| (PackagerId::new(id), place));
        let group = Group::remembered(members, UnixMs(0));
        GroupState { spec: spec.clone(), group, cause: String::new() }
    }

    #[test]
    fn packagers_stand_in_their_group_s_place() {
        let config = Config::parse("f", FILE, &|_| None).unwrap();
        let specs = specs(&config);
        let address = |last| Place::Address(std::net::IpAddr::from([10, 0, 1, last]));
        let item = |zone: Option<&str>| Place::Item {
            url: "http://c:8080".to_owned(),
            zone: zone.map(str::to_owned),
            weight: Some(7),
        };
        let groups = [
            state(&specs[0], vec![("az1-1", address(1)), ("az1-2", address(2))]),
            // One is called like another.
            state(&specs[1], vec![("a", item(None)), ("c", item(None)), ("d", item(Some("az3")))]),
        ];
        let expanded = expanded(&config, &groups);
        let shown = expanded.pools[0].packagers.iter().map(|p| {
            let host = p.host.as_deref().unwrap_or("-");
            let sni = p.sni.as_deref().unwrap_or("-");
            format!("{} {} {} {} {host} {sni} {}", p.id, p.url, p.zone, p.weight, p.headers.len())
        });
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                "a http://a  1 - - 0",
                "az1-1 https://10.0.1.1:8443 az1 3 edges.internal:8443 edges.internal 1",
                "az1-2 https://10.0.1.2:8443 az1 3 edges.internal:8443 edges.internal 1",
                "c http://c:8080 az2 7 - - 0",
                "d http://c:8080 az3 7 - - 0",
                "z http://z  1 - - 0",
            ]
        );
        let none = super::expanded(&config, &[]);
        assert_eq!(none.pools[0].packagers.len(), 2);
    }
}

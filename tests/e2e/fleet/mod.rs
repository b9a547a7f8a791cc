//! A fleet: real proxies with one Redis, and HAProxy before them. Side by side on loopback, or each in a
//! network namespace of its own.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use crate::balancer::Balancer;
use crate::crowd;
use crate::faults::FaultProxy;
use crate::http;
use crate::laws::{List, Segment};
use crate::net::{Namespace, Net, Side};
use crate::ports::Port;
use crate::process::{now_ms, wait_until};
use crate::proxy::{Place, Proxy, Shape, Told, Upstream};
use crate::redis::Redis;
use crate::stage::Stage;

pub mod record;
pub mod run;

/// 32 bytes that all proxies have.
const KEY: &str = "token_keys: [\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"]\n";

/// The proxies of a fleet and what they share.
pub struct Fleet {
    pub balancer: Balancer,
    pub proxies: Vec<Proxy>,
    pub redis: Redis,
    /// Where each proxy is, with those in namespaces.
    pub namespaces: Vec<Namespace>,
    /// Before the packagers, with those in namespaces: what reaches the packagers from there.
    pub gates: Vec<FaultProxy>,
    /// The first rendition of the lane that the first viewers got: through the balancer, then at each proxy.
    pub media: Vec<String>,
    /// Held until the fleet ends.
    ports: Vec<Port>,
    /// Last: it is removed when nobody is there any more.
    net: Option<Net>,
}

/// Where the proxies of a fleet are, and what they can reach.
struct Ground {
    places: Vec<(Place, String)>,
    upstreams: Vec<Upstream>,
    store: String,
}

impl Fleet {
    /// `count` proxies on loopback.
    pub fn start(stage: &Stage, count: usize) -> Self {
        let redis = Redis::start(stage.folder());
        let ports: Vec<Port> = (0..count).map(|_| Port::reserve()).collect();
        let places = ports.iter().map(|port| (Place::loopback(), port.address()));
        let ground = Ground {
            places: places.collect(),
            upstreams: stage.direct(),
            store: format!("redis://{}/0", redis.address()),
        };
        Self::on(stage, redis, ground, |fleet| fleet.ports = ports)
    }

    /// `count` proxies, each in a network namespace.
    pub fn start_apart(stage: &Stage, count: usize) -> Self {
        let packagers = u8::try_from(stage.packagers.len()).unwrap();
        let mut net = Net::make(packagers);
        let namespaces: Vec<Namespace> = (0..count).map(|_| net.namespace()).collect();
        let store = net.host(Side::Store);
        let redis = Redis::start_at(stage.folder(), std::slice::from_ref(&store));
        let gates: Vec<FaultProxy> = (0..)
            .zip(&stage.packagers)
            .map(|(n, p)| FaultProxy::at(&net.host(Side::Packager(n)), p.address()))
            .collect();
        let upstreams = gates.iter().zip(&stage.packagers);
        let place = |n: &Namespace| (Place::within(n), format!("{}:8082", n.host));
        let ground = Ground {
            places: namespaces.iter().map(place).collect(),
            upstreams: upstreams
                .map(|(gate, p)| Upstream { id: p.id.clone(), url: gate.url() })
                .collect(),
            store: format!("redis://{}/0", redis.address_at(&store)),
        };
        Self::on(stage, redis, ground, |fleet| {
            fleet.namespaces = namespaces;
            fleet.gates = gates;
            fleet.net = Some(net);
        })
    }

    fn on(stage: &Stage, redis: Redis, ground: Ground, finish: impl FnOnce(&mut Self)) -> Self {
        let peers: Vec<String> = ground.places.iter().map(|(_, at)| format!("\"{at}\"")).collect();
        let peers = peers.join(", ");
        let mut proxies = Vec::new();
        for (i, (place, listen)) in ground.places.into_iter().enumerate() {
            let zone = |i: usize| format!("az{}", i + 1);
            let entries = ground.upstreams.iter().enumerate().map(|(i, u)| u.entry(&zone(i)));
            let shape = Shape {
                name: format!("p{}", i + 1),
                store: Some(ground.store.clone()),
                // One zone, so that all viewers and judges share one lane.
                zone: zone(0),
                top: format!(
                    "{KEY}fleet: {{ listen: \"{listen}\", id: \"p{}\", peers: [{peers}] }}\n",
                    i + 1
                ),
                pool: "    hosts: [\"*\"]\n    lanes_per_stream: 1\n".to_owned(),
                packagers: entries.collect(),
            };
            proxies.push(Proxy::placed(stage.folder(), &shape, place));
        }
        let addresses: Vec<String> = proxies.iter().map(Proxy::address).collect();
        let balancer = Balancer::before(&addresses, stage.folder());
        let (namespaces, gates, net) = (Vec::new(), Vec::new(), None);
        let mut fleet = Self {
            balancer,
            proxies,
            redis,
            namespaces,
            gates,
            media: Vec::new(),
            ports: Vec::new(),
            net,
        };
        finish(&mut fleet);
        fleet.media = fleet.media_playlists();
        fleet.wait();
        fleet
    }

    /// Waits until each proxy prints the lane that viewers are given.
    fn wait(&self) {
        for url in &self.media {
            wait_until(&format!("{url} lists the lane"), Duration::from_secs(30), || {
                let answer = http::get(url, Duration::from_secs(8));
                answer.is_ok_and(|a| a.status == 200 && a.text().contains("#EXTINF"))
            });
        }
    }

    /// What a viewer who comes now is given, in the same order.
    fn media_playlists(&self) -> Vec<String> {
        let mut first = None;
        wait_until("the balancer gives a lane", Duration::from_secs(30), || {
            first = crowd::media_playlist(&self.balancer.url()).ok();
            first.is_some()
        });
        let (_, path) = http::split(&first.unwrap());
        let hosts = self.proxies.iter().map(Proxy::address);
        let all = std::iter::once(self.balancer.address()).chain(hosts);
        all.map(|host| format!("http://{host}{path}")).collect()
    }

    /// Waits until all proxies list the same: one edge, and the same lines for each number.
    pub fn wait_until_lists_are_one(&self) {
        let urls = &self.media[1..];
        let mut told = String::new();
        let begun = now_ms();
        while let Err(why) = lists_are_one(urls) {
            assert!(now_ms() - begun < 20_000, "proxies print different logs: {why}");
            told = why;
            thread::sleep(Duration::from_millis(200));
        }
        if !told.is_empty() {
            eprintln!("    lists are one after {} ms; before: {told}", now_ms() - begun);
        }
    }

    /// The splices that any proxy tells of now, each once.
    pub fn splices(&self) -> Vec<Told> {
        let mut all: Vec<Told> = Vec::new();
        for told in self.proxies.iter().flat_map(Proxy::splices) {
            if !all.iter().any(|t| (&t.lane, t.msn) == (&told.lane, told.msn)) {
                all.push(told);
            }
        }
        all
    }

    /// The id of that lane.
    pub fn lane(&self) -> &str {
        // `cam~VERSION.KEY.LANE.MAC`
        self.media[0].split('~').nth(1).and_then(|token| token.split('.').nth(2)).expect("a token")
    }

    /// The packager that it is on, by the first proxy that tells.
    pub fn serving(&self) -> Option<String> {
        self.proxies.iter().find_map(|p| p.serving_of(self.lane()))
    }

    /// All proxies see that packager move.
    pub fn see_moving(&self, packager: &str) -> bool {
        self.proxies.iter().all(|p| p.sees_moving(packager))
    }

    /// This machine's address for that, as namespaces see it.
    pub fn host(&self, side: Side) -> String {
        self.net.as_ref().expect("a fleet in namespaces").host(side)
    }
}

/// All that several lists have in common is the same, and they end with the same number.
fn lists_are_one(urls: &[String]) -> Result<(), String> {
    let mut lists = Vec::new();
    for url in urls {
        let answer = http::get(url, Duration::from_secs(8)).map_err(|e| format!("{url}: {e}"))?;
        let list = List::read(&answer.text());
        let each = (list.first..).zip(list.segments).collect::<BTreeMap<u64, Segment>>();
        lists.push((url, each));
    }
    for pair in lists.windows(2) {
        let [(one, a), (other, b)] = pair else { continue };
        for (msn, segment) in a.iter().filter(|(msn, _)| b.contains_key(msn)) {
            if b[msn] != *segment {
                return Err(format!("MSN {msn}: {segment:?} at {one}, {:?} at {other}", b[msn]));
            }
        }
        let (end, other_end) = (a.keys().next_back(), b.keys().next_back());
        if end != other_end {
            return Err(format!("{one} ends with {end:?}, {other} with {other_end:?}"));
        }
    }
    Ok(())
}

//! Health checks over real sockets. Tests wait for the change, however long it takes.

use std::sync::Arc;
use std::time::Duration;

use pingora::services::background::BackgroundService as _;
use segue::model::names::{PackagerId, PoolName};
use segue::origin::{Client, Endpoint};
use segue::packagers::{
    CheckSpec, Health, HealthChecks, KindSpec, Packager, PackagerSpec, PoolSpec, Pools, Spread,
    Thresholds,
};
use tokio::net::TcpListener;

use crate::names::Fixed;
use crate::server::{Act, Server, head};
use crate::{a, endpoint};

fn specs(ids: &[&str], check: Option<&CheckSpec>) -> Vec<PoolSpec> {
    vec![PoolSpec {
        name: PoolName::new("live"),
        hosts: vec!["*".into()],
        zone_hosts: vec![],
        packagers: ids
            .iter()
            .map(|id| PackagerSpec {
                id: PackagerId::new(*id),
                zone: String::new(),
                weight: 1,
                capacity: None,
                check: check.cloned(),
                kind: KindSpec::default(),
            })
            .collect(),
        spread: Spread::default(),
    }]
}

fn quick(path: Option<&str>) -> CheckSpec {
    CheckSpec {
        path: path.map(str::to_owned),
        interval: Duration::from_millis(5),
        thresholds: Thresholds { rise: 2, fall: 2 },
        ..CheckSpec::default()
    }
}

/// Pools that are checked until this is dropped.
struct Running {
    pools: Arc<Pools>,
    task: tokio::task::JoinHandle<()>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    fn over(client: Client, ids: &[&str], check: &CheckSpec) -> Self {
        let pools = Arc::new(Pools::new(&specs(ids, Some(check))));
        let checks = HealthChecks::new(Arc::clone(&pools), Arc::new(client));
        let (stop, shutdown) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(async move { checks.start(shutdown).await });
        Self { pools, task, stop }
    }

    fn packager(&self, id: &str) -> Arc<Packager> {
        let all = self.pools.get(&PoolName::new("live")).unwrap().packagers();
        Arc::clone(all.iter().find(|p| p.id.as_str() == id).unwrap())
    }

    async fn until(&self, id: &str, health: Health) -> Arc<Packager> {
        let mut ticks = self.pools.subscribe();
        loop {
            let packager = self.packager(id);
            if packager.health() == health {
                return packager;
            }
            let changed = tokio::time::timeout(crate::PATIENT, ticks.changed());
            changed.await.unwrap_or_else(|_| panic!("{id} never became {health:?}")).unwrap();
        }
    }
}

#[tokio::test]
async fn a_closed_port_is_down_and_an_open_one_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = Client::new([(a(), endpoint(address.port()))]).unwrap();
    let running = Running::over(client, &["a"], &quick(None));
    running.until("a", Health::Up).await;
    drop(listener);
    let down = running.until("a", Health::Down).await;
    assert!(down.cause().contains("cannot connect"), "{}", down.cause());
    let _listener = TcpListener::bind(address).await.unwrap();
    let up = running.until("a", Health::Up).await;
    assert_eq!(up.cause(), "");
}

#[tokio::test]
async fn a_path_must_answer_its_status() {
    let answer = |status: &str| vec![Act::Answer(head(status, &[("Content-Length", "0")], ""))];
    let mut script = vec![answer("200 OK"); 3];
    script.extend(vec![answer("500 Internal Server Error"); 2]);
    script.extend(vec![answer("200 OK"); 2]);
    let server = Server::play(script).await;
    let client = Client::new([(a(), endpoint(server.port))]).unwrap();
    let mut check = quick(Some("/status?x=1"));
    // After the script the server hears no more: one verdict is left.
    check.timeout = Duration::from_secs(20);
    let running = Running::over(client, &["a"], &check);
    running.until("a", Health::Up).await;
    let down = running.until("a", Health::Down).await;
    assert_eq!(down.cause(), "health check answered 500, not 200");
    running.until("a", Health::Up).await;
    assert!(server.requests()[0].starts_with("GET /status?x=1 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn silence_is_down() {
    let server = Server::play(vec![]).await;
    let client = Client::new([(a(), endpoint(server.port))]).unwrap();
    let mut check = quick(Some("/"));
    check.timeout = Duration::from_millis(50);
    let down = Running::over(client, &["a"], &check).until("a", Health::Down).await;
    assert!(down.cause().contains("no whole answer"), "{}", down.cause());
}

#[tokio::test]
async fn one_address_is_enough_and_none_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let named = |last: &[u8]| {
        let addresses = last.iter().map(|n| std::net::IpAddr::from([127, 0, 0, *n])).collect();
        let endpoint = Endpoint::from_url(&format!("http://pack.example.com:{port}")).unwrap();
        Client::with_names([(a(), endpoint)], Arc::new(Fixed(addresses))).unwrap()
    };
    let both = named(&[2, 1]);
    Running::over(both, &["a"], &quick(None)).until("a", Health::Up).await;
    let down = Running::over(named(&[]), &["a"], &quick(None)).until("a", Health::Down).await;
    assert!(down.cause().contains("does not resolve"), "{}", down.cause());
}

#[tokio::test]
async fn reload_begins_and_ends_checks_and_keeps_health() {
    let up = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let b = PackagerId::new("b");
    let endpoints = [(a(), endpoint(gone.port())), (b, endpoint(up.local_addr().unwrap().port()))];
    let running = Running::over(Client::new(endpoints).unwrap(), &["a"], &quick(None));
    let held = running.until("a", Health::Down).await;
    running.pools.reload(&specs(&["b", "a"], Some(&quick(None))));
    assert_eq!(running.packager("a").health(), Health::Down, "kept");
    running.until("b", Health::Up).await;
    running.pools.reload(&specs(&["b", "a"], None));
    running.until("a", Health::Unknown).await;
    assert_eq!(held.health(), Health::Unknown, "those who hold it see it too");
    running.until("b", Health::Unknown).await;
}

#[tokio::test]
async fn ends_with_the_server() {
    let client = Client::new([(a(), endpoint(1))]).unwrap();
    let mut running = Running::over(client, &["a"], &quick(None));
    running.until("a", Health::Down).await;
    running.stop.send(true).unwrap();
    (&mut running.task).await.unwrap();
}

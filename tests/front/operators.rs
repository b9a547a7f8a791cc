//! The operators' service on a port of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::server::{RunArgs, ShutdownSignal, ShutdownSignalWatch};
use segue::app::{lifecycle, listen};
use segue::model::names::PackagerId;
use segue::ops::{Admin, DrainError, Gauges, Metrics, Operations, PackagerState, Settings};

use crate::client::{Client, get, wait_for};
use crate::stand::{Port, process_settings};

#[derive(Default)]
struct Stand {
    reloads: AtomicUsize,
    out: AtomicBool,
}

#[async_trait]
impl Operations for Stand {
    fn ready(&self) -> bool {
        self.reloads.load(Ordering::SeqCst) > 0
    }
    fn gauges(&self) -> Gauges {
        Gauges { lanes: 7, ..Gauges::default() }
    }
    fn status(&self) -> serde_json::Value {
        serde_json::json!({ "lanes": ["a-1"] })
    }
    fn reload(&self) -> Result<(), String> {
        self.reloads.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    fn packager(&self, id: &PackagerId) -> Result<PackagerState, DrainError> {
        if id.as_str() != "a" {
            return Err(DrainError::NoPackager(vec![PackagerId::new("a")]));
        }
        Ok(PackagerState {
            packager: id.clone(),
            pool: "live".to_owned(),
            health: "up".to_owned(),
            drained: self.out.load(Ordering::SeqCst),
            drained_since: None,
            lanes: 3,
            siblings: 1,
        })
    }
    async fn drain(&self, id: &PackagerId, out: bool) -> Result<PackagerState, DrainError> {
        self.out.store(out, Ordering::SeqCst);
        self.packager(id)
    }
}

struct Never;

#[async_trait]
impl ShutdownSignalWatch for Never {
    async fn recv(&self) -> ShutdownSignal {
        std::future::pending().await
    }
}

#[test]
fn operators_read_and_change() {
    let (port, dir) = (Port::reserve(), tempfile::tempdir().unwrap());
    let operations = Arc::new(Stand::default());
    let settings = Settings { admin_token: Some("secret".to_owned()) };
    let admin = Admin::new(
        Arc::new(Metrics::new(&["playlist"]).unwrap()),
        Arc::clone(&operations),
        Arc::new(ArcSwap::from_pointee(settings)),
    );
    let process = process_settings(dir.path(), std::time::Duration::ZERO, false);
    let mut server = lifecycle::server(&process).unwrap();
    server.add_service(listen::admin(admin, &port.address.to_string()));
    server.bootstrap();
    std::thread::spawn(move || server.run(RunArgs { shutdown_signal: Box::new(Never) }));
    wait_for("the service", || std::net::TcpStream::connect(port.address).is_ok());

    let mut client = Client::connect(port.address);
    assert!(client.get("/metrics", "").text().contains("segue_lanes 7"));
    let status = client.get("/status.json", "");
    assert_eq!(status.header("content-type"), Some("application/json"));
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&status.body).unwrap()["lanes"][0],
        "a-1"
    );
    assert_eq!(client.ask("HEAD", "/healthz", "").status, 200);
    assert_eq!(client.get("/readyz", "").status, 503);
    assert_eq!(client.ask("POST", "/reload", "Content-Length: 0\r\n").status, 401);
    let wrong = "Content-Length: 0\r\nAuthorization: Bearer wrong\r\n";
    assert_eq!(client.ask("POST", "/reload", wrong).status, 403);
    assert_eq!(operations.reloads.load(Ordering::SeqCst), 0);
    let right = "Content-Length: 0\r\nAuthorization: Bearer secret\r\n";
    assert_eq!(client.ask("POST", "/reload", right).status, 200);
    assert_eq!(get(port.address, "/readyz", "").status, 200);

    assert_eq!(client.ask("POST", "/packagers/a/drain", wrong).status, 403);
    let state = |answer: crate::client::Answer| {
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()
    };
    let before = state(client.get("/packagers/a/drain", ""));
    assert_eq!((&before["drained"], &before["lanes"]), (&false.into(), &3.into()));
    assert_eq!(state(client.ask("POST", "/packagers/a/drain", right))["drained"], true);
    assert_eq!(state(client.get("/packagers/a/drain", ""))["drained"], true);
    assert_eq!(state(client.ask("POST", "/packagers/a/undrain", right))["drained"], false);
    let unknown = client.ask("POST", "/packagers/z/drain", right);
    assert_eq!((unknown.status, unknown.text().as_str()), (404, "no such packager; there are a\n"));
}

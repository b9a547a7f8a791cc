//! The operators' service on a port of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::server::{RunArgs, ShutdownSignal, ShutdownSignalWatch};
use segue::app::{lifecycle, listen};
use segue::ops::{Admin, Gauges, Metrics, Operations, Settings};

use crate::client::{Client, get, wait_for};
use crate::stand::{Port, process_settings};

#[derive(Default)]
struct Stand {
    reloads: AtomicUsize,
}

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
}

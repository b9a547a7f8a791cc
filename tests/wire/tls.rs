//! https with an authority of the packager's own, made with the openssl command.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use parking_lot::Mutex;
use pingora::tls::{
    ServerConfig, TlsAcceptor, install_default_crypto_provider, load_certs_and_key_files,
};
use segue::origin::{Endpoint, Origin as _, OriginError};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::server::{ok, request};
use crate::{PATIENT, a, client};

pub fn openssl(dir: &Path, args: &str) {
    let out = Command::new("openssl").args(args.split(' ')).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "{args}: {}", String::from_utf8_lossy(&out.stderr));
}

/// An authority `ca.pem`, and `cert.pem` with `key.pem` for pack.example.com.
fn certificates(dir: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc";
    openssl(dir, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"));
    openssl(dir, &format!("req {key} -keyout key.pem -out req.pem -subj /CN=pack"));
    std::fs::write(
        dir.join("ext"),
        "subjectAltName=DNS:pack.example.com\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    openssl(
        dir,
        "x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem",
    );
}

struct Secure {
    port: u16,
    /// Name and Host header of each request.
    seen: Arc<Mutex<Vec<(String, String)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A server's side of TLS, with `cert.pem` and `key.pem` of `dir`.
pub fn acceptor(dir: &Path) -> TlsAcceptor {
    install_default_crypto_provider();
    let path = |name: &str| dir.join(name).display().to_string();
    let (certs, key) =
        load_certs_and_key_files(&path("cert.pem"), &path("key.pem")).unwrap().unwrap();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(certs, key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(dir: &Path) -> Secure {
    let acceptor = acceptor(dir);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let name = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
            let Ok(head) = request(&mut stream).await else {
                continue;
            };
            let host = head
                .lines()
                .find_map(|l| l.to_lowercase().strip_prefix("host: ").map(str::to_owned));
            told.lock().push((name, host.unwrap_or_default()));
            let _ = stream.write_all(&ok("secret")).await;
            let _ = stream.shutdown().await;
        }
    });
    Secure { port, seen, task }
}

fn secure(port: u16, ca: Option<PathBuf>, sni: Option<&str>) -> Endpoint {
    let mut endpoint = Endpoint::from_url(&format!("https://127.0.0.1:{port}")).unwrap();
    endpoint.ca_file = ca;
    endpoint.sni = sni.map(str::to_owned);
    endpoint.host_header = Some("live.example.com".into());
    endpoint
}

#[tokio::test]
async fn own_authority_and_name() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let server = serve(dir.path()).await;
    let ca = Some(dir.path().join("ca.pem"));
    let good = client(secure(server.port, ca.clone(), Some("pack.example.com")));
    assert_eq!(good.segment(&a(), "/s.ts", None, PATIENT).await.unwrap(), "secret");
    assert_eq!(
        *server.seen.lock(),
        [("pack.example.com".to_owned(), "live.example.com".to_owned())]
    );

    let other = tempfile::tempdir().unwrap();
    certificates(other.path());
    for (name, ca, sni) in [
        ("another name", ca.clone(), Some("other.example.com")),
        ("the address as a name", ca.clone(), None),
        ("an empty name", ca, Some("")),
        ("another authority", Some(other.path().join("ca.pem")), Some("pack.example.com")),
        ("the system's authorities", None, Some("pack.example.com")),
    ] {
        let answer =
            client(secure(server.port, ca, sni)).segment(&a(), "/s.ts", None, PATIENT).await;
        assert!(matches!(answer, Err(OriginError::Connect(_))), "{name}: {answer:?}");
    }
    assert_eq!(server.seen.lock().len(), 1, "nothing was asked where the certificate is wrong");
}

#[tokio::test]
async fn the_admin_port_too() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let server = serve(dir.path()).await;
    let ca = || Some(dir.path().join("ca.pem"));
    for (ca, sni, trouble) in [
        (ca(), Some("pack.example.com"), "its report is no connection counts"),
        (ca(), Some("other.example.com"), "cannot connect"),
        (None, Some("pack.example.com"), "cannot connect"),
    ] {
        let told = crate::reports::over_tls(server.port, ca, sni).await;
        assert!(told.starts_with(trouble), "{sni:?}: {told}");
    }
}

#[tokio::test]
async fn files_that_hold_no_authority() {
    let dir = tempfile::tempdir().unwrap();
    for text in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, text).unwrap();
        let client = segue::origin::Client::new([(a(), secure(1, Some(path), None))]);
        assert!(client.is_err(), "{text:?}");
    }
}

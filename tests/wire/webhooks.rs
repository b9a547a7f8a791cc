//! Webhooks over https, to a receiver whose authority the system knows, and to one whose it does not.

use std::process::Command;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::server::request;
use crate::tls::{acceptor, openssl};

#[tokio::test]
async fn a_message_goes_by_https_to_whom_the_system_trusts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc";
    openssl(dir, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"));
    openssl(dir, &format!("req {key} -keyout key.pem -out req.pem -subj /CN=hooks"));
    std::fs::write(dir.join("ext"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        .unwrap();
    openssl(
        dir,
        "x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem",
    );
    let acceptor = acceptor(dir);
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let mut heard = Vec::new();
        while heard.is_empty() {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            heard.push(request(&mut stream).await.unwrap());
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            let _ = stream.shutdown().await;
        }
        heard
    });
    let file = format!(
        "pools: [{{ name: live, packagers: [{{ id: a, url: \"http://a\" }}] }}]\n\
         webhooks: [{{ url: \"https://localhost:{port}/x\", name: on-call }}]\n"
    );
    std::fs::write(dir.join("f.yaml"), file).unwrap();
    let directory = dir.to_owned();
    let sent = move |authorities: &str| {
        let mut segue = Command::new(env!("CARGO_BIN_EXE_segue"));
        segue.args(["webhooks", "test", "--conf", "f.yaml"]).current_dir(&directory);
        segue.env("SSL_CERT_FILE", directory.join(authorities));
        // The receiver answers meanwhile.
        tokio::task::spawn_blocking(move || {
            String::from_utf8(segue.output().unwrap().stdout).unwrap()
        })
    };
    // An authority of its own, which did not sign the receiver's certificate.
    openssl(
        dir,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout o.key -out other.pem -days 2 -subj /CN=other",
    );
    let refused = sent("other.pem").await.unwrap();
    assert!(refused.starts_with("on-call  not taken: cannot connect"), "{refused}");
    let taken = sent("ca.pem").await.unwrap();
    assert!(taken.starts_with("on-call  taken: 200 in "), "{taken}");
    let heard = serving.await.unwrap();
    assert!(heard[0].starts_with("POST /x HTTP/1.1\r\n"), "{heard:?}");
}

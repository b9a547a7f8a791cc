//! The ways in which a packager's answer can be bad.

use std::io::Write as _;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;

/// Makes bad bytes of good ones.
pub type Damage = fn(&[u8]) -> Vec<u8>;

/// A bad answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status, with a page.
    Status(u16),
    /// 200 with this body in place of the good one.
    Body(Vec<u8>),
    /// The good playlist, its text changed.
    Edited(fn(&str) -> String),
    /// The good bytes, changed.
    Damaged(Damage),
    /// The connection is closed without an answer.
    Nothing,
    /// The connection stays open without an answer.
    Silence,
    /// The good answer, after this time.
    Late(Duration),
    /// Half of what Content-Length promises, then the end.
    Short,
    /// Half of what Content-Length promises, then silence.
    Stall,
    /// A redirect to there.
    Redirect(String),
    /// This much of nothing, gzipped.
    Bomb(usize),
}

/// A head with Content-Length.
pub fn head(status: u16, headers: &[&str], length: usize) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {length}\r\n");
    for line in headers {
        text += &format!("{line}\r\n");
    }
    (text + "\r\n").into_bytes()
}

/// Writes the bad answer in place of `good`. An error ends the connection.
pub async fn answer(fault: &Fault, good: Vec<u8>, w: &mut OwnedWriteHalf) -> std::io::Result<()> {
    const PAGE: &[u8] = b"<html><body>Something is wrong here.</body></html>\n";
    let closed = || Err(std::io::ErrorKind::ConnectionAborted.into());
    match fault {
        Fault::Status(status) => {
            w.write_all(&head(*status, &["Content-Type: text/html"], PAGE.len())).await?;
            w.write_all(PAGE).await
        }
        Fault::Body(body) => {
            w.write_all(&head(200, &[], body.len())).await?;
            w.write_all(body).await
        }
        Fault::Edited(edit) => {
            let body = edit(&String::from_utf8_lossy(&good)).into_bytes();
            w.write_all(&head(200, &[], body.len())).await?;
            w.write_all(&body).await
        }
        Fault::Damaged(damage) => {
            let body = damage(&good);
            w.write_all(&head(200, &[], body.len())).await?;
            w.write_all(&body).await
        }
        Fault::Nothing => closed(),
        Fault::Silence => std::future::pending().await,
        Fault::Late(wait) => {
            tokio::time::sleep(*wait).await;
            w.write_all(&head(200, &[], good.len())).await?;
            w.write_all(&good).await
        }
        Fault::Short => {
            w.write_all(&head(200, &[], good.len())).await?;
            w.write_all(&good[..good.len() / 2]).await?;
            closed()
        }
        Fault::Stall => {
            w.write_all(&head(200, &[], good.len())).await?;
            w.write_all(&good[..good.len() / 2]).await?;
            std::future::pending().await
        }
        Fault::Redirect(to) => w.write_all(&head(302, &[&format!("Location: {to}")], 0)).await,
        Fault::Bomb(bytes) => {
            let bomb = bomb(*bytes);
            w.write_all(&head(200, &["Content-Encoding: gzip"], bomb.len())).await?;
            w.write_all(&bomb).await
        }
    }
}

fn bomb(bytes: usize) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n").unwrap();
    let zeros = vec![b'#'; 1 << 16];
    for _ in 0..bytes >> 16 {
        gz.write_all(&zeros).unwrap();
    }
    gz.finish().unwrap()
}

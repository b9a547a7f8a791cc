//! Sending something: a POST on Pingora's connector, HTTP or HTTPS.

use std::time::Duration;

use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;

use super::client::{Client, Url, peer};

/// Of an answer's body no more is read.
const ANSWER_MAX: usize = 4096;
/// A connection is kept for the next message for so long.
const IDLE: Duration = Duration::from_secs(30);

/// What the receiver says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// The first 4 KiB of its body.
    pub body: Vec<u8>,
}

impl Client {
    /// Sends `body` with these headers beside the usual ones. Redirects are not followed. Takes as long as
    /// it takes: whoever asks sets the deadline. An error says why there is no answer.
    pub async fn post(
        &self,
        url: &Url,
        headers: &[(String, String)],
        body: &str,
    ) -> Result<Answered, String> {
        let peer = peer(url).await?;
        let mut session = loop {
            let (mut session, reused) = self
                .connector
                .get_http_session(&peer)
                .await
                .map_err(|e| super::not_connected(&e))?;
            match self.send(&mut session, url, headers, body).await {
                Ok(()) => break session,
                // The server may close a kept connection at any time: not its fault.
                Err(_) if reused => {}
                Err(why) => return Err(why),
            }
        };
        let status = session.response_header().ok_or("no header")?.status.as_u16();
        let mut came = Vec::new();
        // The status says it all: a body that breaks off changes nothing.
        while let Ok(Some(chunk)) = session.read_response_body().await {
            let room = ANSWER_MAX - came.len();
            came.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if came.len() >= ANSWER_MAX {
                return Ok(Answered { status, body: came });
            }
        }
        self.connector.release_http_session(session, &peer, Some(IDLE)).await;
        Ok(Answered { status, body: came })
    }

    async fn send(
        &self,
        session: &mut HttpSession,
        url: &Url,
        headers: &[(String, String)],
        body: &str,
    ) -> Result<(), String> {
        let failed = |e: Box<pingora::Error>| format!("no answer: {}", e.etype().as_str());
        let mut request =
            RequestHeader::build("POST", url.path().as_bytes(), None).map_err(failed)?;
        let length = body.len().to_string();
        let usual = [
            ("Host", url.host()),
            ("User-Agent", self.name),
            ("Content-Type", "application/json"),
            ("Content-Length", length.as_str()),
        ];
        for (name, value) in usual {
            request.insert_header(name, value).map_err(failed)?;
        }
        for (name, value) in headers {
            request.insert_header(name.clone(), value.as_str()).map_err(failed)?;
        }
        session.write_request_header(Box::new(request)).await.map_err(failed)?;
        let bytes = bytes::Bytes::copy_from_slice(body.as_bytes());
        session.write_request_body(bytes, true).await.map_err(failed)?;
        session.finish_request_body().await.map_err(failed)?;
        session.read_response_header().await.map_err(failed)
    }
}

//! Writing an answer to the viewer: in pieces, each with its time limit, and where a tenant's
//! bandwidth is limited each when its turn has come.

use std::time::Duration;

use bytes::Bytes;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use tokio::time::{Instant, sleep, timeout_at};

use super::answer::Answer;
use super::settings::Settings;
use super::tenant::Tenant;

/// How an answer is written.
pub struct Sending<'a> {
    tenant: &'a Tenant,
    /// Its pieces wait for their turn; others go at once, and count all the same.
    turns: bool,
    piece: usize,
    /// The viewer may take until then. Waits for a turn are not his.
    until: Instant,
}

impl<'a> Sending<'a> {
    /// For an answer with `bytes` of body to a viewer of `tenant`.
    pub fn new(settings: &Settings, tenant: &'a Tenant, bytes: usize, turns: bool) -> Self {
        let slice = settings.slice_bytes.max(1);
        Self {
            tenant,
            turns,
            piece: if turns { tenant.piece(slice) } else { slice },
            until: Instant::now() + time_limit(settings, bytes),
        }
    }

    /// Writes it to its end.
    pub async fn send(mut self, session: &mut Session, answer: Answer) -> Result<()> {
        let Answer { header, mut body } = answer;
        let body_wanted = session.req_header().method != http::Method::HEAD;
        let ends = body.is_empty() || !body_wanted;
        self.within(session.write_response_header(header, ends)).await?;
        if ends {
            return Ok(());
        }
        while body.len() > self.piece {
            let piece = body.split_to(self.piece);
            self.write(session, piece, false).await?;
        }
        self.write(session, body, true).await
    }

    async fn write(&mut self, session: &mut Session, piece: Bytes, end: bool) -> Result<()> {
        let bytes = piece.len();
        if self.turns {
            let wait = self.tenant.turn(bytes);
            if !wait.is_zero() {
                let began = Instant::now();
                sleep(wait).await;
                self.until += began.elapsed();
            }
        } else {
            self.tenant.pass(bytes);
        }
        self.within(session.write_response_body(Some(piece), end)).await?;
        self.tenant.sent(bytes);
        Ok(())
    }

    async fn within(&self, write: impl Future<Output = Result<()>>) -> Result<()> {
        let written = timeout_at(self.until, write).await;
        let slow = |_| Error::explain(ErrorType::WriteTimedout, "the viewer is too slow");
        written.map_err(slow).and_then(|written| written).map_err(Error::into_down)
    }
}

/// All of an answer must be gone by then.
fn time_limit(settings: &Settings, bytes: usize) -> Duration {
    let rate = u64::from(settings.send_rate_min.max(1));
    settings.write_timeout + Duration::from_secs(bytes as u64 / rate)
}

//! One short answer of a packager, on a connection of its own and counting towards no limit: what it
//! says of itself on its admin port, and the playlists of health checks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use tokio::time::timeout;

use super::body::{self, Framing};
use super::book::Entry;
use super::client::Client;
use super::credentials::Shows;
use super::exchange::Ask;
use super::location::request_target;
use super::{Credentials, Endpoint, OriginError};
use crate::model::names::PackagerId;

/// Where a packager tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminPlace {
    /// `https` rather than `http`.
    pub tls: bool,
    /// Name or address, where it is not the packager's own.
    pub host: Option<String>,
    /// TCP port.
    pub port: u16,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its status.
    pub status: u16,
    /// What each `WWW-Authenticate` asks for.
    pub challenges: Vec<String>,
    /// Its body, decompressed; empty where the status is another than 200.
    pub body: Bytes,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PageAsk<'a> {
    /// Path and query.
    pub path: &'a str,
    /// The Authorization header.
    pub authorization: Option<&'a str>,
    /// Bytes of the body, compressed or not.
    pub bytes_max: u64,
    /// For all of it.
    pub deadline: Duration,
}

impl Client {
    /// Asks the packager at one of its addresses.
    pub async fn page_at(
        &self,
        packager: &PackagerId,
        address: SocketAddr,
        ask: PageAsk<'_>,
    ) -> Result<Page, OriginError> {
        let entry = self.known(packager)?;
        self.page(&entry, &[address], ask).await
    }

    /// Asks where the packager tells of itself. The packager's own headers are not sent there.
    pub async fn admin_page(
        &self,
        packager: &PackagerId,
        place: &AdminPlace,
        ask: PageAsk<'_>,
    ) -> Result<Page, OriginError> {
        let entry = self.known(packager)?;
        let work = async {
            let mut addresses = match &place.host {
                None => self.resolve(&entry).await?,
                Some(host) => self.lookup(host, place.port).await?,
            };
            for address in &mut addresses {
                address.set_port(place.port);
            }
            let beside = entry.beside(endpoint(&entry.endpoint, place), ask.authorization)?;
            self.page(&beside, &addresses, ask).await
        };
        timeout(ask.deadline, work).await.unwrap_or(Err(OriginError::Timeout(ask.deadline)))
    }

    /// The names by which the packager may call itself in absolute URLs.
    #[must_use]
    pub fn own_hosts(&self, packager: &PackagerId) -> Vec<String> {
        let Ok(entry) = self.known(packager) else { return Vec::new() };
        let authority = entry.host.to_str().unwrap_or_default().to_owned();
        vec![authority, entry.endpoint.host.clone()]
    }

    async fn page(
        &self,
        entry: &Entry,
        addresses: &[SocketAddr],
        ask: PageAsk<'_>,
    ) -> Result<Page, OriginError> {
        let work = async {
            let target = request_target(ask.path)?;
            let request = Ask {
                entry,
                connector: self.unkept(),
                target: &target,
                range: None,
                // None at its admin port: that entry has no credentials.
                shows: Shows::Own,
                group: self.fresh_group(),
                fresh_group: self.fresh_group(),
                deadline: ask.deadline,
            };
            let mut reply = request.send(addresses).await?;
            let Some(header) = reply.session.response_header().cloned() else {
                return Err(OriginError::Protocol("no headers".to_owned()));
            };
            let status = header.status.as_u16();
            let challenges = header.headers.get_all(WWW_AUTHENTICATE).iter();
            let challenges = challenges.filter_map(|v| Some(v.to_str().ok()?.to_owned())).collect();
            let body = if status == 200 {
                let (framing, limit) = (Framing::of(&header), ask.bytes_max);
                let received = AtomicU64::new(0);
                let read =
                    body::read(&mut reply.session, framing, limit, ask.deadline, &received).await?;
                body::decode(&header, read, limit)?
            } else {
                Bytes::new()
            };
            reply.session.shutdown().await;
            Ok(Page { status, challenges, body })
        };
        timeout(ask.deadline, work).await.unwrap_or(Err(OriginError::Timeout(ask.deadline)))
    }
}

/// The packager's endpoint with the place put in. Its names are those of its public port only where it
/// is the same host.
fn endpoint(of: &Endpoint, place: &AdminPlace) -> Endpoint {
    Endpoint {
        tls: place.tls,
        host: place.host.clone().unwrap_or_else(|| of.host.clone()),
        port: place.port,
        host_header: None,
        headers: Vec::new(),
        credentials: Credentials::default(),
        ca_file: None,
        sni: of.sni.clone().filter(|_| place.host.as_ref().is_none_or(|host| *host == of.host)),
        limits: of.limits,
    }
}

impl Entry {
    /// The same packager at another port, with its authorities.
    fn beside(
        &self,
        endpoint: Endpoint,
        authorization: Option<&str>,
    ) -> Result<Arc<Self>, OriginError> {
        let bad = |_| OriginError::Protocol("a header that cannot be sent".to_owned());
        let mut entry = self.at(endpoint).map_err(|e| OriginError::Protocol(e.to_string()))?;
        if let Some(text) = authorization {
            let mut value = HeaderValue::from_str(text).map_err(bad)?;
            value.set_sensitive(true);
            entry.headers.push((AUTHORIZATION, value));
        }
        Ok(Arc::new(entry))
    }
}

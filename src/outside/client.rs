//! A plain HTTP/1.1 client on Pingora's connector: keep-alive, deadlines, redirects, and nothing
//! that hides what the server did.

use std::fmt;
use std::net::ToSocketAddrs;
use std::time::Duration;

use http::Uri;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;

use crate::model::watch::Answer;

/// To connect, and to the head of the answer: players give up after about this long.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// From the request to the last byte.
const BODY_DEADLINE: Duration = Duration::from_secs(30);
/// A playlist is never larger.
const PLAYLIST_MAX: usize = 10 << 20;
/// Redirects followed for one request.
const REDIRECTS_MAX: usize = 5;

/// An absolute http or https URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    tls: bool,
    authority: String,
    path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

impl Url {
    /// Reads an absolute URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|e| format!("not a URL: {e}"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("not an http or https URL".to_owned()),
        };
        let authority = uri.authority().ok_or("a URL without a host")?.to_string();
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { tls, authority, path })
    }

    /// Resolves a reference found in the answer to this URL (RFC 3986, 5.2).
    pub fn join(&self, reference: &str) -> Result<Self, String> {
        if reference.contains("://") {
            return Self::parse(reference);
        }
        let base = self.path.split('?').next().unwrap_or("/");
        if let Some(rest) = reference.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", if self.tls { "https" } else { "http" }));
        }
        let merged = if reference.starts_with('/') {
            reference.to_owned()
        } else if reference.starts_with('?') {
            format!("{base}{reference}")
        } else {
            let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{reference}")
        };
        let merged = merged.split('#').next().unwrap_or_default();
        let (path, query) = merged.split_once('?').map_or((merged, None), |(p, q)| (p, Some(q)));
        let mut path = without_dots(path);
        if let Some(query) = query {
            path = format!("{path}?{query}");
        }
        Ok(Self { path, ..self.clone() })
    }

    /// Its path and query, as they are asked for.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and port as written.
    pub fn host(&self) -> &str {
        self.authority.rsplit('@').next().unwrap_or_default()
    }

    /// What stands after its `?`.
    pub fn query(&self) -> &str {
        self.path.split_once('?').map_or("", |(_, query)| query)
    }

    /// The same server answers for both.
    pub fn same_host(&self, other: &Self) -> bool {
        self.authority.eq_ignore_ascii_case(&other.authority)
    }

    fn host_and_port(&self) -> Result<(String, u16), String> {
        let authority = self.authority.rsplit('@').next().unwrap_or_default();
        let uri: http::uri::Authority = authority.parse().map_err(|_| "a bad host".to_owned())?;
        let port = uri.port_u16().unwrap_or(if self.tls { 443 } else { 80 });
        Ok((uri.host().trim_matches(['[', ']']).to_owned(), port))
    }
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for element in path.split('/').skip(1) {
        match element {
            "." => {}
            ".." => {
                kept.pop();
            }
            element => kept.push(element),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

/// An answer, and where redirects led.
pub struct Got<T> {
    /// What came.
    pub answer: Answer<T>,
    /// The URL that answered.
    pub landed: Url,
}

/// Asks servers; keeps connections.
pub struct Client {
    pub(super) connector: Connector,
    pub(super) name: &'static str,
}

impl Client {
    /// With an empty pool of connections; servers are told `name`.
    pub fn new(name: &'static str) -> Self {
        Self { connector: Connector::new(None), name }
    }

    /// A playlist, whole, or why not.
    pub async fn whole(&self, url: &Url) -> Result<(Url, Vec<u8>), String> {
        self.up_to(PLAYLIST_MAX, url, None).await
    }

    /// Any body of at most `max` bytes, whole, or why not; `range` is length and offset.
    pub async fn up_to(
        &self,
        max: usize,
        url: &Url,
        range: Option<(u64, u64)>,
    ) -> Result<(Url, Vec<u8>), String> {
        let mut body = Vec::new();
        let take = |chunk: &[u8]| {
            body.extend_from_slice(chunk);
            body.len() <= max
        };
        let got = self.read(url, range, take).await;
        match got.answer {
            Answer::Whole(()) => Ok((got.landed, body)),
            Answer::Status(status) => Err(format!("answered {status}")),
            Answer::Cut(came, promised) => Err(format!("ended after {came} of {promised} bytes")),
            Answer::Failed(why) => Err(why),
        }
    }

    /// A playlist.
    pub async fn get(&self, url: &Url) -> Got<Vec<u8>> {
        let mut body = Vec::new();
        let got = self
            .read(url, None, |chunk| {
                body.extend_from_slice(chunk);
                body.len() <= PLAYLIST_MAX
            })
            .await;
        Got { landed: got.landed, answer: got.answer.map(|()| body) }
    }

    /// Any body, in pieces, which `take` may refuse; `range` is length and offset.
    pub async fn read(
        &self,
        url: &Url,
        range: Option<(u64, u64)>,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Got<()> {
        let mut landed = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let once = self.once(&landed, range, &mut take);
            let answer = match tokio::time::timeout(BODY_DEADLINE, once).await {
                Ok(Ok(Step::Done(answer))) => answer,
                Ok(Ok(Step::Redirect(to))) => match landed.join(&to) {
                    Ok(to) => {
                        landed = to;
                        continue;
                    }
                    Err(why) => Answer::Failed(format!("redirected to {to}: {why}")),
                },
                Ok(Err(why)) => Answer::Failed(why),
                Err(_) => Answer::Failed(format!("no whole answer in {BODY_DEADLINE:?}")),
            };
            return Got { answer, landed };
        }
        Got { answer: Answer::Failed("redirected too often".to_owned()), landed }
    }

    async fn once(
        &self,
        url: &Url,
        range: Option<(u64, u64)>,
        take: &mut impl FnMut(&[u8]) -> bool,
    ) -> Result<Step, String> {
        let peer = peer(url).await?;
        let head = async {
            loop {
                let (mut session, reused) = self
                    .connector
                    .get_http_session(&peer)
                    .await
                    .map_err(|e| super::not_connected(&e))?;
                match self.ask(&mut session, url, range).await {
                    Ok(()) => return Ok(session),
                    // The server may close a kept connection at any time: not its fault.
                    Err(_) if reused => {}
                    Err(why) => return Err(why),
                }
            }
        };
        let mut session = tokio::time::timeout(HEAD_DEADLINE, head)
            .await
            .map_err(|_| format!("no answer in {HEAD_DEADLINE:?}"))??;
        let header = session.response_header().ok_or("no header")?;
        let status = header.status.as_u16();
        let text =
            |name: &str| header.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        if let (301 | 302 | 303 | 307 | 308, Some(to)) = (status, text("location")) {
            return Ok(Step::Redirect(to));
        }
        if status != if range.is_some() { 206 } else { 200 } {
            return Ok(Step::Done(Answer::Status(status)));
        }
        let promised = text("content-length").and_then(|l| l.parse::<u64>().ok());
        let mut came = 0_u64;
        loop {
            match session.read_response_body().await {
                Ok(Some(chunk)) => {
                    came += chunk.len() as u64;
                    if !take(&chunk) {
                        return Err(format!("larger than {came} bytes"));
                    }
                }
                Ok(None) => break,
                Err(e) => match promised {
                    Some(promised) => return Ok(Step::Done(Answer::Cut(came, promised))),
                    None => {
                        return Err(format!("cut off after {came} bytes: {}", e.etype().as_str()));
                    }
                },
            }
        }
        if let Some(promised) = promised.filter(|p| *p != came) {
            return Ok(Step::Done(Answer::Cut(came, promised)));
        }
        self.connector.release_http_session(session, &peer, Some(Duration::from_secs(30))).await;
        Ok(Step::Done(Answer::Whole(())))
    }

    async fn ask(
        &self,
        session: &mut HttpSession,
        url: &Url,
        range: Option<(u64, u64)>,
    ) -> Result<(), String> {
        let failed = |e: Box<pingora::Error>| format!("no answer: {}", e.etype().as_str());
        let mut request = RequestHeader::build("GET", url.path.as_bytes(), None).map_err(failed)?;
        request.insert_header("Host", url.host()).map_err(failed)?;
        request.insert_header("User-Agent", self.name).map_err(failed)?;
        request.insert_header("Accept", "*/*").map_err(failed)?;
        if let Some((length, offset)) = range {
            let last = offset.saturating_add(length).saturating_sub(1);
            request.insert_header("Range", format!("bytes={offset}-{last}")).map_err(failed)?;
        }
        session.write_request_header(Box::new(request)).await.map_err(failed)?;
        session.finish_request_body().await.map_err(failed)?;
        session.read_response_header().await.map_err(failed)
    }
}

enum Step {
    Done(Answer<()>),
    Redirect(String),
}

pub(super) async fn peer(url: &Url) -> Result<HttpPeer, String> {
    let (host, port) = url.host_and_port()?;
    let name = host.clone();
    // The standard library's resolver, off the runtime: the connector takes addresses only.
    let address = tokio::task::spawn_blocking(move || (name.as_str(), port).to_socket_addrs())
        .await
        .map_err(|e| e.to_string())?
        .map_err(|e| format!("{host} cannot be found: {e}"))?
        .next()
        .ok_or_else(|| format!("{host} has no address"))?;
    let mut peer = HttpPeer::new(address, url.tls, host);
    peer.options.connection_timeout = Some(HEAD_DEADLINE);
    peer.options.total_connection_timeout = Some(HEAD_DEADLINE);
    peer.options.read_timeout = Some(HEAD_DEADLINE);
    peer.options.write_timeout = Some(HEAD_DEADLINE);
    Ok(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved() {
        let base = Url::parse("http://h:81/live/cam/playlist.m3u8?a=b").unwrap();
        for (reference, whole) in [
            ("x.ts", "http://h:81/live/cam/x.ts"),
            ("x.ts?y=/z/../w", "http://h:81/live/cam/x.ts?y=/z/../w"),
            ("./v/x.ts", "http://h:81/live/cam/v/x.ts"),
            ("../x.ts", "http://h:81/live/x.ts"),
            ("../../../x.ts", "http://h:81/x.ts"),
            ("/x.ts", "http://h:81/x.ts"),
            ("?q", "http://h:81/live/cam/playlist.m3u8?q"),
            ("//o/x.ts", "http://o/x.ts"),
            ("https://o:444/x.ts", "https://o:444/x.ts"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), whole, "{reference}");
        }
        assert!(Url::parse("rtmp://h/x").is_err());
        assert_eq!(Url::parse("https://[::1]/x").unwrap().host_and_port(), Ok(("::1".into(), 443)));
    }
}

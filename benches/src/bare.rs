//! The bare Pingora service: answers held bytes with the same headers, and does nothing else.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::modules::http::HttpModules;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use crate::client::Answer;

struct Bare {
    answers: HashMap<String, Held>,
}

struct Held {
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// Serves the saved answers of `dir`. Does not return.
pub fn serve(port: u16, dir: &Path) -> Result<bool> {
    let mut answers = HashMap::new();
    for name in ["playlist.m3u8", "segment.ts"] {
        answers.insert(format!("/{name}"), held(Answer::load(&dir.join(name))?)?);
    }
    let mut server = Server::new(None)?;
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Bare { answers });
    service.add_tcp(&format!("127.0.0.1:{port}"));
    service.threads = Some(1);
    server.add_service(service);
    server.run_forever()
}

fn held(answer: Answer) -> Result<Held> {
    let mut headers = Vec::new();
    for (name, value) in answer.headers {
        headers.push((name.parse()?, value.parse()?));
    }
    headers.push((http::header::CONTENT_LENGTH, HeaderValue::from(answer.body.len())));
    Ok(Held { headers, body: answer.body.into() })
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Error::e_explain(ErrorType::InternalError, "every answer is local")
    }

    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<bool> {
        let Some(held) = self.answers.get(session.req_header().uri.path()) else {
            session.respond_error(404).await?;
            return Ok(true);
        };
        let mut header = ResponseHeader::build_no_case(200, Some(held.headers.len() + 2))?;
        for (name, value) in &held.headers {
            header.insert_header(name.clone(), value.clone())?;
        }
        session.write_response_header(Box::new(header), false).await?;
        session.write_response_body(Some(held.body.clone()), true).await?;
        Ok(true)
    }
}

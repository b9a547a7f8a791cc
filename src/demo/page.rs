//! The page: the video, the lane's log, and buttons for each packager.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Proxy;
use super::http::{Handler, Request, Response, serve};
use super::packager::{Act, Packager};

const PAGE: &str = include_str!("page/index.html");

/// Where `npm ci` puts hls.js.
pub fn hls_js() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/demo/page");
    folder.join("node_modules/hls.js/dist/hls.min.js")
}

/// Serves the page until dropped.
pub async fn page(listener: TcpListener, packagers: Arc<Vec<Packager>>, proxy: Proxy) {
    let proxy = Arc::new(proxy);
    let handler: Handler = Arc::new(move |request| {
        let (packagers, proxy) = (Arc::clone(&packagers), Arc::clone(&proxy));
        async move { answer(&request, &packagers, &proxy).await }.boxed()
    });
    serve(listener, handler).await;
}

async fn answer(request: &Request, packagers: &[Packager], proxy: &Proxy) -> Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET" | "HEAD", "/") => Response::ok("text/html; charset=utf-8", PAGE),
        ("GET" | "HEAD", "/hls.min.js") => match tokio::fs::read(hls_js()).await {
            Ok(script) => Response::ok("text/javascript", script),
            Err(_) => Response::not_found("hls.js is not installed: run npm ci in src/demo/page"),
        },
        ("GET", "/state.json") => {
            let state = state(packagers, proxy);
            Response::ok("application/json", state.to_string())
        }
        ("POST", path) => {
            let Some((id, act)) = path.strip_prefix("/packagers/").and_then(|p| p.split_once('/'))
            else {
                return Response::not_found("no such thing");
            };
            let packager = packagers.iter().find(|p| p.id().as_str() == id);
            if let (Some(packager), "drain" | "undrain") = (packager, act) {
                (proxy.drain)(packager.id().clone(), act == "drain").await;
                return Response::ok("application/json", state(packagers, proxy).to_string());
            }
            match (packager, Act::named(act)) {
                (Some(packager), Some(act)) => {
                    packager.act(act);
                    Response::ok("application/json", state(packagers, proxy).to_string())
                }
                _ => Response::not_found("no such packager, or nothing that can be done to it"),
            }
        }
        _ => Response::not_found("no such page"),
    }
}

fn state(packagers: &[Packager], proxy: &Proxy) -> Value {
    let of = |p: &Packager| {
        let mut state = json!(p.state());
        if let Some(state) = state.as_object_mut() {
            state.insert("drained".to_owned(), (proxy.drained)(p.id()).into());
        }
        state
    };
    let states: Vec<_> = packagers.iter().map(of).collect();
    json!({ "stream": proxy.entry, "packagers": states, "status": (proxy.status)() })
}

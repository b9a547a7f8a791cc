//! `segue demo`: two packagers that are never in step, the proxy before them, and a page on which
//! to kill them while the video plays.
//!
//! `clip` and `restamp` make an endless stream of a bundled clip; `packager` serves it in the `manner` of
//! one kind: `wowza` and `wcs`, with an `admin` port, are `simulated` for tests as well. `page` shows
//! what the proxy does. The proxy itself is started by the caller.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;

mod admin;
mod clip;
mod http;
mod manner;
mod packager;
mod page;
mod restamp;
pub mod simulated;
mod wcs;
mod wowza;

use crate::model::names::PackagerId;
use admin::Access;
use clip::Clip;
use manner::{Manner, Plain};
use packager::{Packager, Shape};
use wcs::Wcs;
use wowza::Wowza;

/// Which kind of packagers are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Any.
    #[default]
    Plain,
    /// Simulated Wowza Streaming Engines.
    Wowza,
    /// Simulated Web Call Servers.
    Wcs,
}

impl Kind {
    /// The path of the demo's stream.
    #[must_use]
    pub const fn entry(self) -> &'static str {
        match self {
            Self::Plain | Self::Wowza => "/live/cam/playlist.m3u8",
            Self::Wcs => "/cam/cam.m3u8",
        }
    }
}

/// A packager that the demo has started.
pub struct Started {
    /// Its id.
    pub id: PackagerId,
    /// Where it serves streams.
    pub url: String,
    /// Where it tells of itself, as the configuration says it; empty where its kind does not.
    pub kind: String,
}

/// Where the demo answers.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Address of the page.
    #[arg(long, default_value = "127.0.0.1:8070")]
    pub page: SocketAddr,
    /// Address of the proxy.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Give each packager an encoder of its own, whose letter it shows: then nothing but arrival
    /// relates the two, and failover is at segment borders.
    #[arg(long)]
    pub two_encoders: bool,
    /// What the packagers are, or rather behave like.
    #[arg(long, value_enum, default_value_t)]
    pub packager: Kind,
}

/// The running proxy, as the page needs it.
pub struct Proxy {
    /// The URL of the stream that the page plays.
    pub entry: String,
    /// What `/status.json` says of streams now.
    pub status: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// Takes a packager out of the proxy, or brings it back.
    pub drain: Box<dyn Fn(PackagerId, bool) -> BoxFuture<'static, ()> + Send + Sync>,
    /// Whether it is out.
    pub drained: Box<dyn Fn(&PackagerId) -> bool + Send + Sync>,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// An address is taken or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(String, std::io::Error),
    /// What is bundled is damaged.
    #[error("the bundled clip is damaged: {0}")]
    Clip(#[from] restamp::NotPackets),
    /// The proxy did not start.
    #[error("the proxy did not start: {0}")]
    Proxy(String),
}

/// Starts two packagers, hands their ids and URLs to `start_proxy`, serves the page, and ends when
/// `stop` does.
///
/// # Errors
/// Where something cannot be started.
pub async fn run<F>(
    options: &Options,
    start_proxy: impl FnOnce(Vec<Started>) -> F,
    stop: impl Future<Output = ()>,
) -> Result<(), DemoError>
where
    F: Future<Output = Result<Proxy, String>>,
{
    let packagers = Arc::new(packagers(options)?);
    let listed = packagers.iter().map(|p| started(p, options.packager)).collect();
    let proxy = start_proxy(listed).await.map_err(DemoError::Proxy)?;
    let listener = TcpListener::bind(options.page)
        .await
        .map_err(|e| DemoError::Listen(options.page.to_string(), e))?;
    let address = listener.local_addr().map_or(options.page, |a| a);
    greet(address, options.packager.entry(), &packagers, &proxy);
    tokio::select! {
        () = page::page(listener, packagers, proxy) => {}
        () = stop => {}
    }
    Ok(())
}

/// `a` cuts at 0, 4, 8 s and numbers from the stream's beginning; `b` cuts 2 s later, began a
/// minute later and names otherwise.
fn packagers(options: &Options) -> Result<Vec<Packager>, DemoError> {
    let clock = Instant::now();
    let plain = |playlist, prefix| Arc::new(Plain { playlist, prefix }) as Arc<dyn Manner>;
    let manners: [Arc<dyn Manner>; 2] = match options.packager {
        Kind::Plain => [plain("index.m3u8", "cam-"), plain("chunklist_w71.m3u8", "media_w71_")],
        Kind::Wowza => [0, 1].map(|_| Arc::new(Wowza::new(Access::Digest, false)) as _),
        Kind::Wcs => [0, 1].map(|_| Arc::new(Wcs::new(Access::Open, None)) as _),
    };
    let mut started = Vec::new();
    let clips = if options.two_encoders {
        [Clip::a()?, Clip::b()?]
    } else {
        [Clip::of_one()?, Clip::of_one()?]
    };
    for (((id, begin), manner), clip) in [("a", 0), ("b", 31)].into_iter().zip(manners).zip(clips) {
        let shape = Shape { begin, manner };
        let packager = Packager::start(PackagerId::new(id), clip, shape, clock)
            .map_err(|e| DemoError::Listen(format!("a free port for packager {id}"), e))?;
        started.push(packager);
    }
    Ok(started)
}

fn started(packager: &Packager, kind: Kind) -> Started {
    let admin = packager.admin_url();
    let kind = match kind {
        Kind::Plain => String::new(),
        Kind::Wowza => format!(
            "wowza: {{ admin: \"{admin}\", user: {}, password: \"{}\" }}",
            admin::USER,
            admin::PASSWORD
        ),
        Kind::Wcs => format!("wcs: {{ admin: \"{admin}\" }}"),
    };
    Started { id: packager.id().clone(), url: packager.url(), kind }
}

/// What one can do now.
#[allow(clippy::print_stdout)] // this is what the command is for
fn greet(address: SocketAddr, entry: &str, packagers: &[Packager], proxy: &Proxy) {
    println!("Segue demo: open http://{address}/ and kill a packager while the video plays.\n");
    for packager in packagers {
        println!("  packager {}   {}{entry}", packager.id(), packager.url());
    }
    println!("  the proxy    {}", proxy.entry);
    println!("\nWithout the page:");
    println!(
        "  curl -X POST http://{address}/packagers/a/kill      (freeze, thaw, restart, drain, undrain)"
    );
    println!("  segue watch {}", proxy.entry);
    if !page::hls_js().exists() {
        println!("\nThe page needs hls.js: run `npm ci` in src/demo/page (`make demo` does).");
    }
    println!("\nCtrl-C ends it.");
}

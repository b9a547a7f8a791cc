//! Packagers: nginx-rtmp fed by one relay, or ffmpeg's HLS muxer or Shaka Packager behind a static
//! server.
//!
//! Each serves `/live/cam.m3u8` on a port of its own, and can be killed, frozen, restarted and
//! cut off from its feed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::faults::FaultProxy;
use crate::http;
use crate::link::Link;
use crate::nginx;
use crate::ports::Port;
use crate::process::{Process, Signal, wait_until};
use crate::programme::Programme;

mod keys;
mod muxer;
mod relay;
mod server;
mod shaka;

use keys::Rotation;
pub use muxer::{Container, Iv, Muxer, Source, Variants};
pub use relay::Relay;
pub use shaka::Shaka;

/// Where every packager of these tests has its stream.
pub const ENTRY: &str = "/live/cam.m3u8";

/// Seconds of content in a segment of the nginx-rtmp packagers.
pub const SEGMENT_SECONDS: u32 = 4;
/// Segments that a playlist lists.
pub const LISTED: u32 = 6;

/// How a packager comes by its media.
pub enum Feed {
    /// nginx-rtmp takes the relay's push over this link, and after a restart its list goes on or not.
    Rtmp { port: Port, link: Link, counts_on: bool },
    /// An ffmpeg of its own writes the files.
    Muxer { source: Source, muxer: Muxer },
    /// A Shaka Packager of its own writes them.
    Shaka { programme: Arc<Programme>, shaka: Shaka },
}

/// One packager.
pub struct Packager {
    pub id: String,
    pub feed: Feed,
    pub faults: FaultProxy,
    http: Port,
    folder: PathBuf,
    server: Option<Process>,
    makers: Vec<Process>,
    rotation: Option<Rotation>,
}

impl Packager {
    /// An nginx-rtmp packager, running, without a feed until its link is restored.
    pub fn nginx_rtmp(id: &str, folder: &Path, counts_on: bool) -> Self {
        let port = Port::reserve();
        let link = Link::to(port.address());
        Self::prepare(id, folder, Feed::Rtmp { port, link, counts_on })
    }

    /// An ffmpeg HLS muxer behind a static server, running.
    pub fn ffmpeg(id: &str, folder: &Path, source: Source, muxer: Muxer) -> Self {
        Self::prepare(id, folder, Feed::Muxer { source, muxer })
    }

    /// A Shaka Packager behind a static server, running.
    pub fn shaka(id: &str, folder: &Path, programme: Arc<Programme>, shaka: Shaka) -> Self {
        Self::prepare(id, folder, Feed::Shaka { programme, shaka })
    }

    fn prepare(id: &str, folder: &Path, feed: Feed) -> Self {
        let http = Port::reserve();
        let faults = FaultProxy::before(http.address());
        let folder = folder.join(format!("packager-{id}"));
        let id = id.to_owned();
        std::fs::create_dir_all(folder.join("hls")).unwrap();
        let (server, makers, rotation) = (None, Vec::new(), None);
        let mut made = Self { id, feed, faults, http, folder, server, makers, rotation };
        made.start();
        made
    }

    /// `127.0.0.1:port` of its HTTP server.
    pub fn address(&self) -> String {
        self.http.address()
    }

    /// Its own address.
    pub fn url(&self) -> String {
        format!("http://{}", self.http.address())
    }

    /// Starts what [`Packager::kill`] ended. Its numbers begin at 0 again.
    pub fn start(&mut self) {
        let name = format!("packager-{}", self.id);
        let hls = self.folder.join("hls");
        let config = server::config(&self.feed, &self.http.address(), &hls);
        self.server = Some(nginx::start(&name, &self.folder, &config));
        self.make(&name, &hls);
        let address = self.http.address();
        wait_until("a packager's HTTP server", Duration::from_secs(10), || {
            http::connect(&address, Duration::from_secs(1)).is_ok()
        });
    }

    /// Starts what writes the files.
    fn make(&mut self, name: &str, hls: &Path) {
        match &self.feed {
            Feed::Rtmp { .. } => {}
            Feed::Muxer { source, muxer } => {
                let key_file = self.folder.join("keys.txt");
                self.rotation = muxer.keys.map(|iv| Rotation::start(hls, &key_file, iv));
                let command = muxer.command(source, hls, &key_file);
                let logs = self.folder.parent().unwrap();
                self.makers = vec![Process::spawn(&format!("{name}-muxer"), command, logs)];
            }
            Feed::Shaka { programme, shaka } => {
                self.makers = shaka.start(name, programme, hls);
            }
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.server = None;
        self.makers.clear();
        self.rotation = None;
    }

    /// SIGSTOP: connections open, nothing answers.
    pub fn freeze(&self) {
        self.processes().for_each(|p| p.signal(Signal::Stop));
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.processes().for_each(|p| p.signal(Signal::Cont));
    }

    /// Takes the feed away; the HTTP server lives.
    pub fn cut_feed(&mut self) {
        match &self.feed {
            Feed::Rtmp { link, .. } => link.cut(),
            Feed::Muxer { .. } | Feed::Shaka { .. } => self.makers.clear(),
        }
    }

    /// Gives an nginx-rtmp packager its feed.
    pub fn restore_feed(&self) {
        if let Feed::Rtmp { link, .. } = &self.feed {
            link.restore();
        }
    }

    /// The first MSN and the URIs of the media playlist at [`ENTRY`], or of its first variant.
    pub fn listed(&self) -> Option<(u64, Vec<String>)> {
        Self::listed_at(&format!("{}{ENTRY}", self.url()))
    }

    fn listed_at(url: &str) -> Option<(u64, Vec<String>)> {
        let answer = http::get(url, Duration::from_secs(2)).ok()?;
        let text = answer.text();
        if answer.status != 200 || !text.starts_with("#EXTM3U") {
            return None;
        }
        if text.contains("#EXT-X-STREAM-INF") {
            let first = text.lines().find(|l| !l.starts_with('#') && !l.is_empty())?;
            return Self::listed_at(&http::resolve(url, first));
        }
        let first = text.lines().find_map(|l| l.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
        let first = first.and_then(|n| n.trim().parse().ok()).unwrap_or(0);
        let uris = text.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
        Some((first, uris.map(str::to_owned).collect()))
    }

    /// Waits until it has made `count` segments in all (or lists as many as it ever does).
    pub fn wait_for_segments(&self, count: u64) {
        let what = format!("{count} segments of packager {}", self.id);
        wait_until(&what, Duration::from_secs(120), || {
            self.listed().is_some_and(|(first, uris)| first + uris.len() as u64 >= count)
        });
    }

    /// Waits until it lists `count` segments at once.
    pub fn wait_for_listed(&self, count: usize) {
        let what = format!("{count} segments in packager {}'s list", self.id);
        wait_until(&what, Duration::from_secs(120), || {
            self.listed().is_some_and(|(_, uris)| uris.len() >= count)
        });
    }

    /// Waits until the run that began with the last [`Packager::start`] lists something.
    pub fn wait_for_new_run(&self) {
        let file = self.folder.join("hls/cam.m3u8");
        let begun =
            std::fs::metadata(self.folder.join("nginx.conf")).and_then(|m| m.modified()).unwrap();
        wait_until("a playlist of the new run", Duration::from_secs(60), || {
            std::fs::metadata(&file).and_then(|m| m.modified()).is_ok_and(|t| t > begun)
        });
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        self.server.iter().chain(&self.makers)
    }
}

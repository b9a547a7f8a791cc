//! Packagers: nginx-rtmp fed by one relay, or ffmpeg's HLS muxer behind a static server.
//!
//! Each serves `/live/cam.m3u8` on a port of its own, and can be killed, frozen, restarted and
//! cut off from its feed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::clip::Clip;
use crate::faults::FaultProxy;
use crate::http;
use crate::link::Link;
use crate::nginx;
use crate::ports::Port;
use crate::process::{Process, Signal, wait_until};

/// Where every packager of these tests has its stream.
pub const ENTRY: &str = "/live/cam.m3u8";

/// Seconds of content in a segment of the nginx-rtmp packagers.
pub const SEGMENT_SECONDS: u32 = 4;
/// Segments that a playlist lists.
const LISTED: u32 = 6;

/// How a packager comes by its media.
pub enum Feed {
    /// nginx-rtmp takes the relay's push over this link.
    Rtmp { port: Port, link: Link },
    /// An ffmpeg of its own writes the files.
    Muxer { clip: Clip, muxer: Muxer },
}

/// Settings of ffmpeg's HLS muxer.
#[derive(Clone, Debug)]
pub struct Muxer {
    /// Content per segment, seconds.
    pub segment_seconds: u32,
    /// Added to all timestamps, seconds: another encoder has another clock.
    pub pts_offset: u32,
    /// The first MSN.
    pub first_msn: u32,
    /// More arguments before the output (maps, variants); empty for one media playlist.
    pub variants: Option<Variants>,
}

/// A multivariant stream: which inputs, in which order, under which name.
#[derive(Clone, Debug)]
pub struct Variants {
    /// More clips, each one variant; the first variant is the packager's clip.
    pub clips: Vec<PathBuf>,
    /// ffmpeg's `-var_stream_map`.
    pub map: String,
    /// Media playlists are `<prefix>_<name>.m3u8`.
    pub prefix: String,
}

/// One packager.
pub struct Packager {
    pub id: String,
    pub feed: Feed,
    pub faults: FaultProxy,
    http: Port,
    folder: PathBuf,
    server: Option<Process>,
    muxer: Option<Process>,
}

impl Packager {
    /// An nginx-rtmp packager, running, without a feed until its link is restored.
    pub fn nginx_rtmp(id: &str, folder: &Path) -> Self {
        let port = Port::reserve();
        let link = Link::to(port.address());
        Self::prepare(id, folder, Feed::Rtmp { port, link })
    }

    /// An ffmpeg HLS muxer behind a static server, running.
    pub fn ffmpeg(id: &str, folder: &Path, clip: Clip, muxer: Muxer) -> Self {
        Self::prepare(id, folder, Feed::Muxer { clip, muxer })
    }

    fn prepare(id: &str, folder: &Path, feed: Feed) -> Self {
        let http = Port::reserve();
        let faults = FaultProxy::before(http.address());
        let folder = folder.join(format!("packager-{id}"));
        let id = id.to_owned();
        std::fs::create_dir_all(folder.join("hls")).unwrap();
        let mut made = Self { id, feed, faults, http, folder, server: None, muxer: None };
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
        self.server = Some(nginx::start(&name, &self.folder, &self.config()));
        if let Feed::Muxer { clip, muxer } = &self.feed {
            let command = muxer.command(clip, &self.folder.join("hls"));
            let name = format!("{name}-muxer");
            self.muxer = Some(Process::spawn(&name, command, self.folder.parent().unwrap()));
        }
        let address = self.http.address();
        wait_until("a packager's HTTP server", Duration::from_secs(10), || {
            http::connect(&address, Duration::from_secs(1)).is_ok()
        });
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.server = None;
        self.muxer = None;
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
            Feed::Muxer { .. } => self.muxer = None,
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
        self.listed_at(&format!("{}{ENTRY}", self.url()))
    }

    fn listed_at(&self, url: &str) -> Option<(u64, Vec<String>)> {
        let answer = http::get(url, Duration::from_secs(2)).ok()?;
        let text = answer.text();
        if answer.status != 200 || !text.starts_with("#EXTM3U") {
            return None;
        }
        if text.contains("#EXT-X-STREAM-INF") {
            let first = text.lines().find(|l| !l.starts_with('#') && !l.is_empty())?;
            return self.listed_at(&http::resolve(url, first));
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
        self.server.iter().chain(&self.muxer)
    }

    fn config(&self) -> String {
        let hls = self.folder.join("hls");
        let hls = hls.display();
        let rtmp = match &self.feed {
            // By default it would read its old playlist after a restart and go on with its numbers.
            Feed::Rtmp { port, .. } => format!(
                "rtmp {{ server {{ listen {}; application live {{ live on; hls on; hls_path {hls}; \
                 hls_fragment {SEGMENT_SECONDS}s; hls_playlist_length {}s; hls_continuous off; }} }} }}\n",
                port.address(),
                SEGMENT_SECONDS * LISTED
            ),
            Feed::Muxer { .. } => String::new(),
        };
        format!(
            "{rtmp}http {{ {}\n types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; \
             video/mp4 mp4 m4s; }}\n server {{ listen {}; location /live/ {{ alias {hls}/; \
             add_header Cache-Control no-cache always; \
             add_header Access-Control-Allow-Origin * always; }} }} }}\n",
            nginx::HTTP_TEMP_PATHS,
            self.http.address()
        )
    }
}

impl Muxer {
    /// One media playlist with `segment_seconds`, numbers from `first_msn`.
    pub const fn plain(segment_seconds: u32, first_msn: u32) -> Self {
        Self { segment_seconds, pts_offset: 0, first_msn, variants: None }
    }

    fn command(&self, clip: &Clip, hls: &Path) -> Command {
        let mut ffmpeg = clip.on_air();
        let mut maps = vec![("0:v".to_owned(), "0:a".to_owned())];
        if let Some(variants) = &self.variants {
            for (i, clip) in variants.clips.iter().enumerate() {
                ffmpeg.args(["-re", "-stream_loop", "-1", "-i"]).arg(clip);
                maps.push((format!("{}:v", i + 1), format!("{}:a", i + 1)));
            }
        }
        for (video, audio) in &maps {
            ffmpeg.args(["-map", video, "-map", audio]);
        }
        ffmpeg.args(["-c", "copy", "-output_ts_offset", &self.pts_offset.to_string()]);
        ffmpeg.args(["-f", "hls", "-hls_time", &self.segment_seconds.to_string()]);
        ffmpeg.args(["-hls_list_size", &LISTED.to_string(), "-hls_delete_threshold", "4"]);
        ffmpeg.args(["-hls_flags", "delete_segments+temp_file+independent_segments"]);
        ffmpeg.args(["-start_number", &self.first_msn.to_string()]);
        if let Some(variants) = &self.variants {
            let prefix = &variants.prefix;
            ffmpeg.args(["-var_stream_map", &variants.map, "-master_pl_name", "cam.m3u8"]);
            ffmpeg.arg("-hls_segment_filename").arg(hls.join(format!("{prefix}_%v_%d.ts")));
            ffmpeg.arg(hls.join(format!("{prefix}_%v.m3u8")));
        } else {
            ffmpeg.arg("-hls_segment_filename").arg(hls.join("cam%05d.ts"));
            ffmpeg.arg(hls.join("cam.m3u8"));
        }
        ffmpeg
    }
}

/// One encoder into one nginx-rtmp relay that pushes to all packagers.
pub struct Relay {
    _encoder: Process,
    _server: Process,
    _port: Port,
}

impl Relay {
    /// Goes on air. Packagers get their feed once their links are up.
    pub fn start(folder: &Path, clip: &Clip, packagers: &[Packager]) -> Self {
        let port = Port::reserve();
        let pushes: String = packagers
            .iter()
            .filter_map(|p| match &p.feed {
                Feed::Rtmp { link, .. } => Some(link.port()),
                Feed::Muxer { .. } => None,
            })
            .map(|port| format!("push rtmp://127.0.0.1:{port}/live; "))
            .collect();
        let config = format!(
            "rtmp {{ server {{ listen {}; application live {{ live on; {pushes} \
             push_reconnect 500ms; }} }} }}\n",
            port.address()
        );
        let server = nginx::start("relay", &folder.join("relay"), &config);
        let address = port.address();
        wait_until("the relay", Duration::from_secs(10), || {
            http::connect(&address, Duration::from_secs(1)).is_ok()
        });
        let mut ffmpeg = clip.on_air();
        ffmpeg.args(["-c", "copy", "-f", "flv"]).arg(format!("rtmp://{address}/live/cam"));
        let encoder = Process::spawn("encoder", ffmpeg, folder);
        Self { _encoder: encoder, _server: server, _port: port }
    }
}

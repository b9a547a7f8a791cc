//! One encoder into one nginx-rtmp relay that pushes to all packagers.

use std::path::Path;
use std::time::Duration;

use super::{Feed, Packager};
use crate::clip::{Clip, ffmpeg};
use crate::http;
use crate::nginx;
use crate::ports::Port;
use crate::process::{Process, wait_until};

/// A relay on air.
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
                Feed::Muxer { .. } | Feed::Shaka { .. } => None,
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
        let mut encoder = ffmpeg();
        clip.for_ever(&mut encoder);
        encoder.args(["-c", "copy", "-f", "flv"]).arg(format!("rtmp://{address}/live/cam"));
        let encoder = Process::spawn("encoder", encoder, folder);
        Self { _encoder: encoder, _server: server, _port: port }
    }
}

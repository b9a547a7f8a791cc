//! The HTTP server of a packager: its folder under `/live/`, and nginx-rtmp where that makes the
//! files. What ffmpeg leaves out of its files is put in here.

use std::path::Path;

use super::muxer::{Container, Iv};
use super::{Feed, LISTED, SEGMENT_SECONDS};
use crate::nginx;

const TYPES: &str = "types { application/vnd.apple.mpegurl m3u8; video/mp2t ts; \
     video/mp4 mp4 m4s; text/vtt vtt; application/octet-stream bin; }";

/// nginx's configuration below its main level.
pub fn config(feed: &Feed, address: &str, hls: &Path) -> String {
    let hls = hls.display();
    let rtmp = match feed {
        // By default it reads its old playlist after a restart and goes on with its numbers.
        Feed::Rtmp { port, counts_on, .. } => format!(
            "rtmp {{ server {{ listen {}; application live {{ live on; hls on; hls_path {hls}; \
             hls_fragment {SEGMENT_SECONDS}s; hls_playlist_length {}s; hls_continuous {}; }} }} }}\n",
            port.address(),
            SEGMENT_SECONDS * LISTED,
            if *counts_on { "on" } else { "off" }
        ),
        Feed::Muxer { .. } | Feed::Shaka { .. } => String::new(),
    };
    format!(
        "{rtmp}http {{ {}\n {TYPES}\n server {{ listen {address}; location /live/ {{ alias {hls}/; {} \
         add_header Cache-Control no-cache always; \
         add_header Access-Control-Allow-Origin * always; }} }} }}\n",
        nginx::HTTP_TEMP_PATHS,
        repairs(feed)
    )
}

/// ffmpeg's WebVTT segments do not say how their clock relates to the media's: in MPEG-TS that
/// one is 1.4 s ahead. And it always writes an IV, which is the MSN where it is told none: under a
/// name that no player knows the MSN is what is left.
fn repairs(feed: &Feed) -> String {
    let Feed::Muxer { muxer, .. } = feed else { return String::new() };
    let mut repairs = Vec::new();
    if muxer.variants.as_ref().is_some_and(|v| v.captions) {
        let ticks = if muxer.container == Container::Ts { 126_000 } else { 0 };
        repairs.push(format!(
            "sub_filter WEBVTT \"WEBVTT\\nX-TIMESTAMP-MAP=MPEGTS:{ticks},LOCAL:00:00:00.000\";"
        ));
    }
    if muxer.keys == Some(Iv::Implicit) {
        repairs.push("sub_filter ',IV=0x' ',X-IV=0x'; sub_filter_once off;".to_owned());
    }
    if !repairs.is_empty() {
        repairs.push("sub_filter_types text/vtt application/vnd.apple.mpegurl;".to_owned());
    }
    repairs.join(" ")
}

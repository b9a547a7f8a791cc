//! What a built-in packager calls things, and what it says of itself: each kind of packager has its own
//! manner.

use std::fmt::Debug;

use async_trait::async_trait;

use super::http::{Request, Response};

/// What a request of a viewer, or of a proxy, is for.
pub enum Asked {
    /// This is the answer.
    Answer(Response),
    /// A media playlist whose segments' names begin so.
    Media {
        /// What stands before a segment's number in its name.
        prefix: String,
    },
    /// A segment, by its number.
    Segment(u64),
}

impl Asked {
    /// There is nothing of that name.
    pub fn nothing() -> Self {
        Self::Answer(Response::not_found("no such stream"))
    }

    /// The segment whose name is `prefix`, a number and `.ts`.
    pub fn segment(name: &str, prefix: &str) -> Self {
        let number = name.strip_prefix(prefix).and_then(|n| n.strip_suffix(".ts"));
        number.and_then(|n| n.parse().ok()).map_or_else(Self::nothing, Self::Segment)
    }
}

/// A kind of packager.
#[async_trait]
pub trait Manner: Debug + Send + Sync {
    /// What is asked for, at the port for viewers.
    async fn find(&self, request: &Request) -> Asked;
    /// What it answers at its admin port.
    async fn admin(&self, _request: &Request) -> Response {
        Response::not_found("nothing to tell")
    }
}

/// A multivariant playlist of one media playlist.
pub fn multivariant(uri: &str) -> Asked {
    let text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH=160000,RESOLUTION=640x360,\
         CODECS=\"avc1.4d401e,mp4a.40.2\"\n{uri}\n"
    );
    Asked::Answer(Response::ok("application/vnd.apple.mpegurl", text))
}

/// A packager of no kind.
#[derive(Debug)]
pub struct Plain {
    /// The media playlist's name.
    pub playlist: &'static str,
    /// What stands before a segment's number in its name.
    pub prefix: &'static str,
}

#[async_trait]
impl Manner for Plain {
    async fn find(&self, request: &Request) -> Asked {
        let Some(name) = request.path.strip_prefix("/live/cam/") else { return Asked::nothing() };
        match name {
            "playlist.m3u8" => multivariant(self.playlist),
            name if name == self.playlist => Asked::Media { prefix: self.prefix.to_owned() },
            name => Asked::segment(name, self.prefix),
        }
    }
}

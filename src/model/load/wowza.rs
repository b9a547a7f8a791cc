//! A Wowza server's connection counts: XML, nested (server, virtual host, application, instance,
//! stream) or `?flat` (a list of streams with attributes). Versions differ in the name of the root.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{LoadError, WowzaLoad};

/// A deeper document is no connection counts: a server nests six levels.
const DEPTH_MAX: usize = 16;
/// Streams that are kept of one report; of the rest only their sessions are added up.
const STREAMS_MAX: usize = 1000;
/// Bytes of a name or number.
const TEXT_MAX: usize = 512;

/// What one report says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// `ConnectionsCurrent` of the server; none where the report has only streams.
    pub connections: Option<u64>,
    /// `ConnectionsTotal` since the server's start.
    pub connections_total: u64,
    /// `ConnectionsTotalAccepted`.
    pub accepted: u64,
    /// `ConnectionsTotalRejected`.
    pub rejected: u64,
    /// `MessagesInBytesRate`, bytes per second.
    pub bytes_in_rate: f64,
    /// `MessagesOutBytesRate`, bytes per second.
    pub bytes_out_rate: f64,
    /// Its streams, as they came.
    pub streams: Vec<StreamSessions>,
    /// Streams beyond those.
    pub streams_left_out: usize,
    sessions: u64,
    sessions_hls: u64,
}

/// The sessions of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSessions {
    /// The virtual host's name.
    pub vhost: String,
    /// The application's.
    pub application: String,
    /// The application instance's.
    pub instance: String,
    /// Its own.
    pub name: String,
    /// HLS (`SessionsCupertino`).
    pub hls: u64,
    /// DASH; none where the version does not count them.
    pub dash: Option<u64>,
    /// RTMP (`SessionsFlash`).
    pub rtmp: u64,
    /// RTSP and WebRTC.
    pub rtsp: u64,
    /// `SessionsSanJose` (HDS).
    pub hds: u64,
    /// `SessionsSmooth`.
    pub smooth: u64,
    /// All of them.
    pub total: u64,
}

impl StreamSessions {
    /// `application/instance/name`, as Wowza's paths are; the instance left out where it is the default.
    #[must_use]
    pub fn path(&self) -> String {
        match self.instance.as_str() {
            "" | "_definst_" => format!("{}/{}", self.application, self.name),
            instance => format!("{}/{instance}/{}", self.application, self.name),
        }
    }

    fn count(&mut self, what: &str, text: &str) {
        let number = text.trim().parse().unwrap_or(0);
        match what.to_ascii_lowercase().as_str() {
            "sessionscupertino" => self.hls = number,
            "sessionsmpegdash" => self.dash = Some(number),
            "sessionsflash" => self.rtmp = number,
            "sessionsrtsp" => self.rtsp = number,
            "sessionssanjose" => self.hds = number,
            "sessionssmooth" => self.smooth = number,
            "sessionstotal" => self.total = number,
            _ => {}
        }
    }
}

impl Counts {
    /// Reads a report, nested or flat.
    ///
    /// # Errors
    /// Where it is not XML, has another root, is nested too deep or ends in the middle.
    pub fn read(body: &[u8]) -> Result<Self, LoadError> {
        let mut reading = Reading::default();
        let text = String::from_utf8_lossy(body);
        let mut reader = Reader::from_str(&text);
        loop {
            match reader.read_event().map_err(|_| reading.broken())? {
                Event::Start(tag) => reading.open(&tag)?,
                Event::Empty(tag) => {
                    reading.open(&tag)?;
                    reading.close();
                }
                Event::Text(text) => reading.add(&text),
                Event::GeneralRef(name) => reading.add(&unescaped(&format!("&{};", &*name))),
                Event::End(_) => reading.close(),
                Event::Eof => break,
                // Declarations and comments.
                _ => {}
            }
        }
        if !reading.rooted {
            return Err(LoadError::Other("connection counts"));
        }
        if reading.path.is_empty() { Ok(reading.counts) } else { Err(LoadError::Cut) }
    }

    /// The sessions of all streams, those that were left out included.
    #[must_use]
    pub const fn sessions(&self) -> u64 {
        self.sessions
    }

    /// Something was counted since the server's start, as far as the report can tell. In
    /// `httpOriginMode` nothing ever is.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.connections.unwrap_or(0) > 0 || self.connections_total > 0 || self.sessions > 0
    }

    /// How much the server carries. `counted`: an earlier report of the same server counted something.
    /// None where nothing was ever counted: that is a server that does not count, or one that nobody has
    /// watched yet, and 0 would draw all viewers to it.
    #[must_use]
    pub fn load(&self, which: WowzaLoad, counted: bool) -> Option<u64> {
        if !counted && !self.counts() {
            return None;
        }
        Some(match which {
            WowzaLoad::Connections => self.connections.unwrap_or(self.sessions),
            WowzaLoad::Sessions => self.sessions,
            WowzaLoad::HlsSessions => self.sessions_hls,
        })
    }

    fn count(&mut self, what: &str, text: &str) {
        let text = text.trim();
        let whole = || text.parse().unwrap_or(0);
        let rate = || text.parse::<f64>().ok().filter(|n| n.is_finite()).unwrap_or(0.0);
        match what {
            "ConnectionsCurrent" => self.connections = Some(whole()),
            "ConnectionsTotal" => self.connections_total = whole(),
            "ConnectionsTotalAccepted" => self.accepted = whole(),
            "ConnectionsTotalRejected" => self.rejected = whole(),
            "MessagesInBytesRate" => self.bytes_in_rate = rate(),
            "MessagesOutBytesRate" => self.bytes_out_rate = rate(),
            _ => {}
        }
    }

    fn keep(&mut self, stream: StreamSessions) {
        self.sessions = self.sessions.saturating_add(stream.total);
        self.sessions_hls = self.sessions_hls.saturating_add(stream.hls);
        if self.streams.len() < STREAMS_MAX {
            self.streams.push(stream);
        } else {
            self.streams_left_out += 1;
        }
    }
}

/// Where the reader is.
#[derive(Default)]
struct Reading {
    counts: Counts,
    /// The elements that are open, outermost first.
    path: Vec<String>,
    /// The text of the innermost, so far.
    text: String,
    /// The stream that is open.
    stream: Option<StreamSessions>,
    /// Names of what is open above it.
    vhost: String,
    application: String,
    instance: String,
    rooted: bool,
}

impl Reading {
    fn broken(&self) -> LoadError {
        if self.rooted { LoadError::Cut } else { LoadError::Other("connection counts") }
    }

    fn open(&mut self, tag: &BytesStart<'_>) -> Result<(), LoadError> {
        let name = shortened(tag.name().as_ref());
        self.text.clear();
        if self.path.is_empty() {
            let known = matches!(name.as_str(), "WowzaMediaServer" | "WowzaStreamingEngine");
            if !known || self.rooted {
                return Err(LoadError::Other("connection counts"));
            }
            self.rooted = true;
        }
        if self.path.len() >= DEPTH_MAX {
            return Err(LoadError::Deep);
        }
        match name.as_str() {
            "VHost" => self.vhost.clear(),
            "Application" => self.application.clear(),
            "ApplicationInstance" => self.instance.clear(),
            "Stream" => self.stream = Some(self.stream_of(tag)),
            _ => {}
        }
        self.path.push(name);
        Ok(())
    }

    /// A stream, with its attributes if it is one of a flat list.
    fn stream_of(&self, tag: &BytesStart<'_>) -> StreamSessions {
        let mut stream = StreamSessions {
            vhost: self.vhost.clone(),
            application: self.application.clone(),
            instance: self.instance.clone(),
            ..StreamSessions::default()
        };
        for attribute in tag.attributes().flatten().take(32) {
            let value = shortened(&unescaped(&attribute.value));
            match attribute.key.as_ref() {
                "vhostName" => stream.vhost = decoded(&value),
                "applicationName" => stream.application = decoded(&value),
                "appInstanceName" => stream.instance = decoded(&value),
                "streamName" => stream.name = decoded(&value),
                key => stream.count(key, &value),
            }
        }
        stream
    }

    fn add(&mut self, text: &str) {
        if self.text.len() < TEXT_MAX {
            self.text.push_str(text);
        }
    }

    /// The innermost element ends: its text is whole.
    fn close(&mut self) {
        let text = std::mem::take(&mut self.text);
        let text = shortened(text.trim());
        let Some(what) = self.path.pop() else { return };
        match (self.path.last().map(String::as_str), what.as_str()) {
            (_, "Stream") => {
                if let Some(stream) = self.stream.take() {
                    self.counts.keep(stream);
                }
            }
            (Some("Stream"), what) => {
                if let Some(stream) = &mut self.stream {
                    match what {
                        "Name" => stream.name = decoded(&text),
                        what => stream.count(what, &text),
                    }
                }
            }
            (Some("VHost"), "Name") => self.vhost = decoded(&text),
            (Some("Application"), "Name") => self.application = decoded(&text),
            (Some("ApplicationInstance"), "Name") => self.instance = decoded(&text),
            // Each level repeats the six counters for its own part.
            (Some("WowzaMediaServer" | "WowzaStreamingEngine"), what) => {
                self.counts.count(what, &text);
            }
            _ => {}
        }
    }
}

fn shortened(text: &str) -> String {
    let end = (0..=TEXT_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end.min(text.len())).unwrap_or_default().to_owned()
}

fn unescaped(text: &str) -> String {
    quick_xml::escape::unescape(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

/// Undoes the URL encoding of names: `%2F`, and `+` for a space.
fn decoded(text: &str) -> String {
    let hex = |b: Option<u8>| char::from(b?).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                plain.push(high * 16 + low);
                bytes = ahead;
            }
            (b'+', ..) => plain.push(b' '),
            _ => plain.push(byte),
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests;

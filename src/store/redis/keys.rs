//! What things are called in Redis. All keys of a lane have its name between braces, so that they are in one
//! hash slot and one script may touch them; so have those of a stream.

use crate::model::names::{LaneId, StreamKey};

/// Names under one prefix.
pub struct Keys {
    prefix: String,
}

/// The keys of one lane.
pub struct LaneKeys {
    /// A hash: `header`, `first`, `tail`, `at` (when its last step was listed), `renditions`.
    pub lane: String,
    /// A list: its steps.
    pub log: String,
    /// A hash: when each rendition was last wanted.
    pub wanted: String,
}

impl LaneKeys {
    /// All of them.
    pub fn all(self) -> [String; 3] {
        [self.lane, self.log, self.wanted]
    }
}

impl Keys {
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub fn lane(&self, lane: &LaneId) -> LaneKeys {
        let key = |what: &str| format!("{}:{{{lane}}}:{what}", self.prefix);
        LaneKeys { lane: key("lane"), log: key("log"), wanted: key("wanted") }
    }

    /// A sorted set: a stream's lanes in the order in which they were taken.
    pub fn lanes_of(&self, stream: &StreamKey) -> String {
        self.lanes_of_text(&stream_text(stream))
    }

    /// The same, of a stream's text.
    pub fn lanes_of_text(&self, stream: &str) -> String {
        format!("{}:{{{stream}}}:lanes", self.prefix)
    }

    /// A number: a stream's highest target duration.
    pub fn target(&self, stream: &StreamKey) -> String {
        format!("{}:{{{}}}:target", self.prefix, stream_text(stream))
    }

    /// A sorted set: all lanes, each with its stream, by when its last step was listed, or before.
    pub fn lanes(&self) -> String {
        format!("{}:lanes", self.prefix)
    }

    /// Bytes: a secret of the installation.
    pub fn secret(&self, name: &str) -> String {
        format!("{}:secret:{name}", self.prefix)
    }

    /// A hash: since when packagers are taken out, or, less than 0, when they were brought back.
    pub fn drained(&self) -> String {
        format!("{}:drained", self.prefix)
    }

    /// A hash: records by name, of everybody or of one owner.
    pub fn kept(&self, owner: Option<&str>) -> String {
        match owner {
            None => format!("{}:kept", self.prefix),
            Some(owner) => format!("{}:kept:{owner}", self.prefix),
        }
    }

    /// The channel of changes.
    pub fn changes(&self) -> String {
        format!("{}:changes", self.prefix)
    }
}

/// A stream as its keys name it: pools' names have no slash, paths no question mark.
fn stream_text(stream: &StreamKey) -> String {
    format!("{}{}?{}", stream.pool, stream.path, stream.query)
}

/// A lane and its stream as `Keys::lanes` has them.
pub fn registered(lane: &LaneId, stream: &StreamKey) -> String {
    format!("{lane} {}", stream_text(stream))
}

/// The two of what [`registered`] made.
pub fn of_registered(text: &str) -> (LaneId, &str) {
    let (lane, stream) = text.split_once(' ').unwrap_or((text, ""));
    (LaneId::new(lane), stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::PoolName;

    /// What is between the first brace and the next closing one decides the slot.
    fn tag(key: &str) -> &str {
        let (_, rest) = key.split_once('{').unwrap();
        rest.split_once('}').unwrap().0
    }

    #[test]
    fn all_keys_of_a_lane_or_a_stream_are_in_one_slot() {
        let keys = Keys::new("segue");
        for key in keys.lane(&LaneId::new("a-9f3c1e4b")).all() {
            assert_eq!(tag(&key), "a-9f3c1e4b");
            assert!(key.starts_with("segue:"));
        }
        let stream = StreamKey {
            pool: PoolName::new("live"),
            path: "/live/{cam}/playlist.m3u8".into(),
            query: "DVR".into(),
        };
        assert_eq!(tag(&keys.lanes_of(&stream)), tag(&keys.target(&stream)));
        let registered = registered(&LaneId::new("a-1"), &stream);
        let (lane, text) = of_registered(&registered);
        assert_eq!((lane.as_str(), text), ("a-1", "live/live/{cam}/playlist.m3u8?DVR"));
        assert_eq!(keys.lanes_of_text(text), keys.lanes_of(&stream));
    }
}

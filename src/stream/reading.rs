//! A packager's media playlist as it came, to a snapshot with resolved resources.

use std::sync::Arc;

use crate::model::lane::{Listed, Resource, Snapshot};
use crate::model::playlist::{self, Context, Extent, Key, Limits, Segment, Variables};
use crate::model::uri::{self, UriError};

/// Of so many segments, the newest, everything is looked at with every refresh: more than a
/// lane holds, and more than it falls behind.
const LOOKED_AT: usize = 512;

/// A media playlist, read.
pub struct Read {
    /// Its newest segments, as the track takes them.
    pub snapshot: Snapshot,
    /// Those that stand before them; none where they were only counted.
    pub deep: Option<Vec<Listed>>,
    /// What is said of the whole.
    pub head: Head,
}

/// What a media playlist says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Head {
    /// EXT-X-VERSION.
    pub version: u16,
    /// EXT-X-PLAYLIST-TYPE.
    pub extent: Extent,
    /// EXT-X-INDEPENDENT-SEGMENTS.
    pub independent_segments: bool,
    /// The EXT-X-START line.
    pub start: Option<String>,
}

/// Where a playlist was fetched, which is what its URIs are relative to.
pub struct Place<'a> {
    /// Absolute path and query on the packager.
    pub base: &'a str,
    /// What the packager calls itself.
    pub hosts: &'a [String],
    /// The path of the stream's entry playlist.
    pub entry: &'a str,
    /// What the multivariant playlist defined.
    pub variables: &'a Variables,
}

/// Reads a media playlist. `deep`: all of it, not only its newest segments. The error is one line
/// for the log.
pub fn read(body: &[u8], place: &Place, limits: &Limits, deep: bool) -> Result<Read, String> {
    let kept = if deep { usize::MAX } else { LOOKED_AT };
    let context = Context {
        imports: place.variables,
        query: place.base.split_once('?').map(|(_, query)| query),
    };
    let list = playlist::parse_with(body, &Limits { kept, ..*limits }, &context);
    let list = list.map_err(|e| e.to_string())?;
    let head = Head {
        version: list.version,
        extent: list.extent,
        independent_segments: list.independent_segments,
        start: list.start,
    };
    let mut resolver = Resolver::new(place);
    let mut segments = list
        .segments
        .into_iter()
        .map(|segment| resolver.listed(segment))
        .collect::<Result<Vec<_>, String>>()?;
    let newest = segments.split_off(segments.len().saturating_sub(LOOKED_AT));
    let skipped = list.skipped + segments.len() as u64;
    let snapshot = Snapshot {
        target_duration: list.target_duration,
        ended: list.ended,
        skipped,
        segments: newest,
    };
    Ok(Read { snapshot, deep: deep.then_some(segments), head })
}

/// Resolves URIs. Keys and maps are mostly those of the segment before.
struct Resolver<'a> {
    place: &'a Place<'a>,
    keys: (Arc<[Key]>, Arc<[Option<Resource>]>),
    /// From a media playlist of ours to the root.
    up: usize,
}

impl<'a> Resolver<'a> {
    fn new(place: &'a Place) -> Self {
        // It stands two folders below the entry playlist's name, which is no folder.
        let up = place.entry.matches('/').count() + 1;
        Self { place, keys: (Arc::new([]), Arc::new([])), up }
    }

    fn listed(&mut self, mut segment: Segment) -> Result<Listed, String> {
        let path = self.path(&segment.uri).map_err(|e| e.to_string())?;
        let resource = Resource { path, range: segment.range };
        let map = match &segment.map {
            None => None,
            Some(map) => {
                let path = self.path(&map.uri).map_err(|e| e.to_string())?;
                Some(Resource { path, range: map.range })
            }
        };
        let map_keys = segment.map.as_ref().map(|m| Arc::clone(&m.keys));
        let map_keys = map_keys.map_or_else(|| Arc::from([]), |keys| self.keys(&keys));
        let keys = self.keys(&segment.keys);
        for line in &mut segment.lines {
            if let Some(line_of_ours) = playlist::reached(line, self.up, |uri| self.path(uri).ok())
            {
                *line = line_of_ours;
            }
        }
        Ok(Listed { segment, resource, map, keys, map_keys })
    }

    fn path(&self, uri: &str) -> Result<String, UriError> {
        uri::resolve(self.place.base, uri, self.place.hosts)
    }

    /// Where each key is on the packager. What leads elsewhere is not ours to hold.
    fn keys(&mut self, keys: &Arc<[Key]>) -> Arc<[Option<Resource>]> {
        if !Arc::ptr_eq(&self.keys.0, keys) {
            let place = |k: &Key| Some(Resource { path: self.path(&k.uri).ok()?, range: None });
            let places = keys.iter().map(place).collect();
            self.keys = (Arc::clone(keys), places);
        }
        Arc::clone(&self.keys.1)
    }
}

//! What a viewer fetches besides segments, and what he makes of it: keys to decrypt with, init
//! segments that must be those of whoever made the segment.

use std::collections::BTreeMap;

use segue::model::watch::{Listed, Resource, ResourceKind};

use crate::cipher::{self, Key};
use crate::content::{Label, read_init};

/// Keys and init segments, by their path.
#[derive(Debug, Default)]
pub struct Carried {
    keys: BTreeMap<String, Key>,
    inits: BTreeMap<String, Vec<u8>>,
}

impl Carried {
    pub fn take(&mut self, resource: &Resource, path: String, bytes: Vec<u8>) {
        if resource.kind == ResourceKind::Init {
            self.inits.insert(path, bytes);
        } else {
            let key = bytes.try_into().expect("a key of 16 bytes");
            self.keys.insert(path, key);
        }
    }

    /// Paths of all keys that were ever needed.
    pub fn key_paths(&self) -> Vec<String> {
        self.keys.keys().cloned().collect()
    }
    /// How many init segments were needed.
    pub fn inits(&self) -> usize {
        self.inits.len()
    }

    /// The segment in the clear, and what it says of itself. `path_of` makes a path of a URI.
    pub fn read(
        &self,
        listed: &Listed,
        bytes: &[u8],
        path_of: impl Fn(&str) -> String,
    ) -> Result<Label, String> {
        let clear = self.decrypt(listed, bytes, &path_of)?;
        let label = Label::read(clear.as_deref().unwrap_or(bytes))?;
        if let Some(map) = listed.map.as_deref() {
            let uri = attribute(map, "URI").ok_or("EXT-X-MAP without URI")?;
            let init = self.inits.get(&path_of(uri)).ok_or(format!("{uri} was never fetched"))?;
            let (packager, life, rendition) = read_init(init)?;
            if (packager.as_str(), life) != label.run() || rendition != label.rendition {
                return Err(format!("{label:?} with the init segment of {packager}.{life}"));
            }
        }
        Ok(label)
    }

    fn decrypt(
        &self,
        listed: &Listed,
        bytes: &[u8],
        path_of: impl Fn(&str) -> String,
    ) -> Result<Option<Vec<u8>>, String> {
        let ours = |k: &&String| {
            k.contains("METHOD=AES-128")
                && attribute(k, "KEYFORMAT").is_none_or(|f| f == "identity")
        };
        let Some(line) = listed.keys.iter().find(ours) else { return Ok(None) };
        let uri = attribute(line, "URI").ok_or("EXT-X-KEY without URI")?;
        let key = self.keys.get(&path_of(uri)).ok_or(format!("{uri} was never fetched"))?;
        // What a player does with a KEY that has none: wrong where numbers are others.
        let iv = match attribute(line, "IV") {
            Some(iv) => cipher::read_iv(iv).ok_or(format!("a bad IV: {line}"))?,
            None => cipher::implicit_iv(listed.msn),
        };
        cipher::decrypt(bytes, key, iv).map(Some).map_err(|e| format!("{e}: {line}"))
    }
}

/// An attribute's value without its quotes. Scripted lines hold no commas in quotes.
pub fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, list) = line.split_once(':')?;
    let pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(n, _)| *n == name).map(|(_, value)| value.trim_matches('"'))
}

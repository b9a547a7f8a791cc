//! The line of a key. The YAML parser tells positions only with errors, so the text is walked once
//! more to the key in question, and an error is raised on purpose where it stands. That is exact for
//! every style of YAML (flow maps, quotes, anchors), which no scanner of our own would be.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One part of a key path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// A key of a map.
    Key(String),
    /// An item of a list, from 0.
    Item(usize),
}

/// The path of a key from the top of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path(pub Vec<Part>);

impl Path {
    /// The path of `key` in this map.
    pub fn key(&self, key: &str) -> Self {
        self.and(Part::Key(key.to_owned()))
    }
    /// The path of the item at `index` in this list.
    pub fn item(&self, index: usize) -> Self {
        self.and(Part::Item(index))
    }
    fn and(&self, part: Part) -> Self {
        Self(self.0.iter().cloned().chain([part]).collect())
    }
    /// The path with `[]` for every `[n]`: which key of the shape it is.
    pub fn shape(&self) -> String {
        self.print(|_| String::new())
    }
    fn print(&self, number: impl Fn(usize) -> String) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Key(key) if text.is_empty() => text.push_str(key),
                Part::Key(key) => text.extend([".", key]),
                Part::Item(index) => text.extend(["[", &number(*index), "]"]),
            }
        }
        text
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print(|index| index.to_string()))
    }
}

/// The line on which `path` stands in `text`, from 1; where it does not stand, that of the nearest
/// part above it.
pub(super) fn line_of(text: &str, path: &Path) -> Option<usize> {
    (1..=path.0.len()).rev().find_map(|length| {
        let seek = Seek(path.0.get(..length)?);
        let found = seek.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
        found.to_string().contains(FOUND).then(|| found.location())?.map(|location| location.line())
    })
}

const FOUND: &str = "here it stands";

/// Walks to the path and fails there; ends without an error where the path does not stand.
struct Seek<'a>(&'a [Part]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Scalars end the walk: found if nothing of the path is left.
macro_rules! scalars {
    ($($visit:ident($kind:ty)),+) => {
        $(fn $visit<E: Error>(self, _: $kind) -> Result<(), E> {
            self.end()
        })+
    };
}

impl Seek<'_> {
    fn end<E: Error>(self) -> Result<(), E> {
        if self.0.is_empty() { Err(E::custom(FOUND)) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    scalars!(visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.end()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((Part::Item(wanted), rest)) = self.0.split_first() else {
            return if self.0.is_empty() { self.end() } else { skip_items(seq) };
        };
        for _ in 0..*wanted {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        if seq.next_element_seed(Seek(rest))?.is_none() {
            return Ok(());
        }
        skip_items(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (wanted, rest) = match self.0.split_first() {
            Some((Part::Key(wanted), rest)) => (wanted.as_str(), rest),
            Some(_) => ("", self.0),
            None => return self.end(),
        };
        while let Some(is_it) = map.next_key_seed(SeekKey { wanted, last: rest.is_empty() })? {
            if is_it && !rest.is_empty() {
                map.next_value_seed(Seek(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

fn skip_items<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Compares a key; fails on the last one of the path, so that the key's own line is told.
struct SeekKey<'a> {
    wanted: &'a str,
    last: bool,
}

impl<'de> DeserializeSeed<'de> for SeekKey<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for SeekKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        match (key == self.wanted, self.last) {
            (true, true) => Err(E::custom(FOUND)),
            (is_it, _) => Ok(is_it),
        }
    }
    fn visit_bool<E: Error>(self, key: bool) -> Result<bool, E> {
        self.visit_str(&key.to_string())
    }
    fn visit_u64<E: Error>(self, key: u64) -> Result<bool, E> {
        self.visit_str(&key.to_string())
    }
    fn visit_i64<E: Error>(self, key: i64) -> Result<bool, E> {
        self.visit_str(&key.to_string())
    }
    fn visit_f64<E: Error>(self, key: f64) -> Result<bool, E> {
        self.visit_str(&key.to_string())
    }
    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        self.visit_str("null")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a comment: with a colon
listen: ['127.0.0.1:1',
  \"127.0.0.1:2\"]
server:

  # threads: 1
  threads: 4
pools:
  - name: live
    packagers:
      - id: a
        url: http://a
      - { id: b,
          url: 'http://b', headers: { X-A: 1 } }
  -
    name: other
    hosts:
    - a.example.com
";

    #[test]
    fn lines_of_keys_in_every_style() {
        let pool = |n| Path::default().key("pools").item(n);
        let packager = |n| pool(0).key("packagers").item(n);
        for (path, line) in [
            (Path::default().key("listen"), 2),
            (Path::default().key("listen").item(1), 3),
            (Path::default().key("server").key("threads"), 7),
            (pool(0).key("name"), 9),
            (packager(0), 11),
            (packager(0).key("url"), 12),
            (packager(1), 13),
            (packager(1).key("url"), 14),
            (packager(1).key("headers").key("X-A"), 14),
            (pool(1).key("name"), 16),
            (pool(1).key("hosts").item(0), 18),
            (pool(1).key("packagers"), 16),
        ] {
            assert_eq!(line_of(TEXT, &path), Some(line), "{path}");
        }
        assert_eq!(line_of(TEXT, &Path::default().key("missing")), None);
    }
}

//! EXT-X-DEFINE: names that stand for text in URIs and attributes (RFC 8216bis, 4.4.2.3).

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::read::attribute;

/// More are not taken.
const COUNT_MAX: usize = 64;
/// Longer lines are left as they are.
const LINE_MAX: usize = 65_536;

/// What a playlist has defined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    values: BTreeMap<String, String>,
    /// The query of the playlist's own URL.
    query: String,
}

impl Variables {
    /// Nothing defined yet, in a playlist whose URL has this query (without its `?`).
    #[must_use]
    pub fn of_query(query: &str) -> Self {
        Self { values: BTreeMap::new(), query: query.to_owned() }
    }

    /// The same in a playlist with another query: each sees its own.
    pub fn set_query(&mut self, query: &str) {
        query.clone_into(&mut self.query);
    }

    /// Takes one EXT-X-DEFINE; `imports` are what the multivariant playlist defined.
    pub(super) fn define(&mut self, line: &str, imports: &Self) {
        let (name, value) = if let Some(name) = attribute(line, "NAME") {
            (name, attribute(line, "VALUE").map(str::to_owned))
        } else if let Some(name) = attribute(line, "IMPORT") {
            (name, imports.values.get(name).cloned())
        } else if let Some(name) = attribute(line, "QUERYPARAM") {
            let mut pairs = imports.query.split('&').filter_map(|pair| pair.split_once('='));
            (name, pairs.find(|(n, _)| *n == name).map(|(_, value)| value.to_owned()))
        } else {
            return;
        };
        if let Some(value) = value
            && self.values.len() < COUNT_MAX
        {
            self.values.insert(name.to_owned(), value);
        }
    }

    /// `line` with its `{$name}` replaced. A name that nobody defined stays as it is written.
    pub(super) fn resolve<'a>(&self, line: &'a str) -> Cow<'a, str> {
        if self.values.is_empty() || !line.contains("{$") {
            return Cow::Borrowed(line);
        }
        let (mut resolved, mut rest) = (String::new(), line);
        while let Some((before, after)) = rest.split_once("{$") {
            resolved.push_str(before);
            let known =
                after.split_once('}').and_then(|(n, tail)| Some((self.values.get(n)?, tail)));
            match known {
                Some((value, tail)) if resolved.len() + value.len() <= LINE_MAX => {
                    resolved.push_str(value);
                    rest = tail;
                }
                _ => {
                    resolved.push_str("{$");
                    rest = after;
                }
            }
        }
        resolved.push_str(rest);
        Cow::Owned(resolved)
    }
}

//! Reads one map of the file key by key. What was not asked for in the end is an unknown key, so the
//! shape stands in one place: where it is read. Problems are collected, so that one run tells all.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_yaml::{Mapping, Value};

use super::lines::Path;
use super::values::ByteSize;

/// Problems by the path of their key.
pub(super) type Found = Vec<(Path, String)>;

/// What was found wrong so far, and which keys there are.
#[derive(Default)]
pub(super) struct Report {
    errors: RefCell<Found>,
    warnings: RefCell<Found>,
    known: RefCell<BTreeSet<String>>,
    claimed: RefCell<BTreeMap<(&'static str, String), Path>>,
}

impl Report {
    /// The value at `path` is wrong. The first problem of a value is told; what may follow from it,
    /// for the value itself and what stands above or below it, is not.
    pub fn error(&self, path: &Path, text: impl Into<String>) {
        let mut errors = self.errors.borrow_mut();
        if !errors
            .iter()
            .any(|(other, _)| other.0.starts_with(&path.0) || path.0.starts_with(&other.0))
        {
            errors.push((path.clone(), text.into()));
        }
    }
    /// The key at `path` is accepted, but its operator should know.
    pub fn warning(&self, path: &Path, text: impl Into<String>) {
        self.warnings.borrow_mut().push((path.clone(), text.into()));
    }
    /// Takes `value` for `path`; an error if another key has it. `what` says among what it is unique.
    pub fn claim(&self, what: &'static str, value: &str, path: &Path) -> Result<(), String> {
        let mut claimed = self.claimed.borrow_mut();
        let first = claimed.entry((what, value.to_owned())).or_insert_with(|| path.clone());
        if first == path {
            Ok(())
        } else {
            Err(format!("{what} `{value}` stands at {first} already"))
        }
    }
    /// Errors, warnings and the shapes of all keys that can be set.
    pub fn take(self) -> (Found, Found, BTreeSet<String>) {
        (self.errors.into_inner(), self.warnings.into_inner(), self.known.into_inner())
    }
}

/// What a value is, in the words of an operator.
pub(super) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a map",
        Value::Tagged(_) => "tagged",
    }
}

/// One map of the file while it is read.
pub(super) struct Section<'a> {
    /// Where problems go.
    pub report: &'a Report,
    /// Where the map stands.
    pub path: Path,
    map: Option<&'a Mapping>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// Reads the map `value` with `read`; then all that `read` did not ask for is unknown.
    pub fn read<T>(
        report: &'a Report,
        path: Path,
        value: Option<&'a Value>,
        read: impl FnOnce(&Self) -> T,
    ) -> T {
        let map = match value {
            Some(Value::Mapping(map)) => Some(map),
            None | Some(Value::Null) => None,
            Some(other) => {
                report.error(&path, format!("wants a map of keys, this is {}", kind(other)));
                None
            }
        };
        let section = Self { report, path, map, asked: RefCell::default() };
        let checked = read(&section);
        section.refuse_unknown_keys();
        checked
    }

    fn refuse_unknown_keys(&self) {
        let asked = self.asked.borrow();
        for key in self.map.into_iter().flat_map(Mapping::keys) {
            let Value::String(key) = key else {
                self.report
                    .error(&self.path, format!("has a key that is {}: keys are text", kind(key)));
                continue;
            };
            if asked.contains(&key.as_str()) {
                continue;
            }
            let near = asked.iter().find(|known| is_near(key, known));
            let hint = near.map_or_else(
                || format!("known here: {}", asked.join(", ")),
                |known| format!("did you mean `{known}`?"),
            );
            self.report.error(&self.path.key(key), format!("unknown key; {hint}"));
        }
    }

    /// The key is there.
    pub fn has(&self, key: &str) -> bool {
        self.map.is_some_and(|map| map.contains_key(key))
    }

    /// The value of `key`, where it has one.
    fn value(&self, key: &'static str) -> Option<&'a Value> {
        self.asked.borrow_mut().push(key);
        self.report.known.borrow_mut().insert(self.path.key(key).shape());
        self.map?.get(key)
    }

    /// The value of `key` is wrong.
    pub fn error(&self, key: &str, text: impl Into<String>) {
        self.report.error(&self.path.key(key), text);
    }

    /// A map below this one; absent is the same as empty.
    pub fn section<T>(&self, key: &'static str, read: impl FnOnce(&Section<'a>) -> T) -> T {
        Section::read(self.report, self.path.key(key), self.value(key), read)
    }

    /// A list of maps below this one.
    pub fn sections<T>(
        &self,
        key: &'static str,
        mut read: impl FnMut(&Section<'a>) -> T,
    ) -> Vec<T> {
        let items = self.items(key, "a list of maps, each beginning with `- `");
        let read = |(path, value)| Section::read(self.report, path, Some(value), &mut read);
        items.unwrap_or_default().into_iter().map(read).collect()
    }

    fn items(&self, key: &'static str, wanted: &str) -> Option<Vec<(Path, &'a Value)>> {
        match self.value(key)? {
            Value::Sequence(items) => {
                let path = self.path.key(key);
                Some(items.iter().enumerate().map(|(n, item)| (path.item(n), item)).collect())
            }
            other => {
                self.error(key, format!("wants {wanted}; this is {}", kind(other)));
                None
            }
        }
    }

    /// Text.
    pub fn text(&self, key: &'static str) -> Option<&'a str> {
        self.value(key).and_then(|value| as_text(self.report, &self.path.key(key), value))
    }

    /// Text that `parse` turns into something better, or says why not.
    pub fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.text(key).and_then(|text| parse(text).map_err(|why| self.error(key, why)).ok())
    }

    /// A list of texts that `parse` turns into something better; `default` where the key is absent.
    pub fn parsed_list<T>(
        &self,
        key: &'static str,
        default: &[&str],
        parse: impl Fn(&Path, &str) -> Result<T, String>,
    ) -> Vec<T> {
        let path = self.path.key(key);
        let parse = |path: &Path, text: &str| {
            parse(path, text).map_err(|why| self.report.error(path, why)).ok()
        };
        if !self.has(key) {
            self.value(key);
            return default.iter().filter_map(|text| parse(&path, text)).collect();
        }
        let items = self.items(key, "a list, such as [\"...\"]").unwrap_or_default();
        let text = |(path, value): (Path, _)| parse(&path, as_text(self.report, &path, value)?);
        items.into_iter().filter_map(text).collect()
    }

    /// A map of names that are not ours (header names), each with its text.
    pub fn names(&self, key: &'static str) -> Vec<(Path, String, &'a str)> {
        let mut names = Vec::new();
        let path = self.path.key(key);
        let map = match self.value(key) {
            None | Some(Value::Null) => return names,
            Some(Value::Mapping(map)) => map,
            Some(other) => {
                self.error(key, format!("wants a map of names to text; this is {}", kind(other)));
                return names;
            }
        };
        for (name, value) in map {
            let Value::String(name) = name else {
                self.error(key, "has a name that is not text: put it in quotes");
                continue;
            };
            let path = path.key(name);
            if let Some(text) = as_text(self.report, &path, value) {
                names.push((path, name.clone(), text));
            }
        }
        names
    }

    /// A map of names that are not ours to numbers; `parse` reads a name, or says why not.
    pub fn numbers(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<String, String>,
    ) -> Vec<(String, f64)> {
        let path = self.path.key(key);
        let map = match self.value(key) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Mapping(map)) => map,
            Some(other) => {
                self.error(
                    key,
                    format!("wants a map of names to numbers; this is {}", kind(other)),
                );
                return Vec::new();
            }
        };
        let read = |(name, value): (&Value, &Value)| {
            let name = name.as_str().unwrap_or_default();
            let path = path.key(name);
            let number = match value {
                Value::Number(number) => number.as_f64(),
                Value::String(text) => text.parse().ok(),
                _ => None,
            };
            let number = number.filter(|number| number.is_finite());
            if number.is_none() {
                self.report.error(&path, format!("wants a number; this is {}", kind(value)));
            }
            let name = parse(name).map_err(|why| self.report.error(&path, why)).ok();
            name.zip(number)
        };
        map.iter().filter_map(read).collect()
    }

    /// true or false.
    pub fn flag(&self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.value(key) else { return default };
        let flag = match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        if flag.is_none() {
            self.error(key, format!("wants true or false; this is {}", kind(value)));
        }
        flag.unwrap_or(default)
    }

    /// A whole number within `range`, where the key is set.
    pub fn number_if_set(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.value(key)?;
        // Text of digits is a number too: it may come from the environment.
        let number = match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let shown = match value {
                Value::Number(number) => number.to_string(),
                Value::String(text) => format!("`{text}`"),
                other => kind(other).to_owned(),
            };
            let (low, high) = range.into_inner();
            self.error(key, format!("wants a whole number from {low} to {high}; this is {shown}"));
        }
        number
    }

    /// A whole number within `range`.
    pub fn number(&self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        self.number_if_set(key, range).unwrap_or(default)
    }

    /// A part of a whole, such as 0.75, in thousandths.
    pub fn permille(&self, key: &'static str, default: u32) -> u32 {
        let Some(value) = self.value(key) else { return default };
        let part = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        // Thousandths that are counted off: no conversion that could go wrong.
        let near = |part: f64, n: u32| (part * 1000.0 - f64::from(n)).abs() < 0.5;
        let found = part.and_then(|part| (1..=1000).find(|n| near(part, *n)));
        if found.is_none() {
            self.error(key, "wants a part of the whole from 0.001 to 1, such as 0.75");
        }
        found.unwrap_or(default)
    }

    /// A whole number within `range`, which fits `u32`.
    pub fn small(&self, key: &'static str, default: u32, range: RangeInclusive<u32>) -> u32 {
        let range = u64::from(*range.start())..=u64::from(*range.end());
        let number = self.number(key, u64::from(default), range);
        u32::try_from(number).unwrap_or(default)
    }

    /// A number with two digits behind the point at the most, within `range`: hundredths, so that it stays
    /// exact.
    pub fn hundredths(&self, key: &'static str, default: u32, range: RangeInclusive<u32>) -> u32 {
        let Some(value) = self.value(key) else { return default };
        let text = match value {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            other => kind(other).to_owned(),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let number = (digits(whole) && digits(fraction) && fraction.len() <= 2)
            .then(|| format!("{whole}{fraction:0<2}").parse().ok())
            .flatten()
            .filter(|number| range.contains(number));
        if number.is_none() {
            let shown = |hundredths: u32| format!("{}.{:02}", hundredths / 100, hundredths % 100);
            let (low, high) = (shown(*range.start()), shown(*range.end()));
            self.error(key, format!("wants a number from {low} to {high}; this is {text}"));
        }
        number.unwrap_or(default)
    }

    /// A whole number within `range`, which counts things in memory.
    pub fn count(&self, key: &'static str, default: u32, range: RangeInclusive<u32>) -> usize {
        usize::try_from(self.small(key, default, range)).unwrap_or(usize::MAX)
    }

    /// Seconds within `range`.
    pub fn seconds(&self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.number(key, default, range))
    }

    /// A size in bytes within `range`; `default` is written as in the file.
    pub fn size(
        &self,
        key: &'static str,
        default: ByteSize,
        range: RangeInclusive<ByteSize>,
    ) -> ByteSize {
        let Some(value) = self.value(key) else {
            return default;
        };
        let size = match value {
            Value::Number(number) => number.as_u64().map(ByteSize),
            Value::String(text) => ByteSize::parse(text),
            _ => None,
        };
        let size = size.filter(|size| range.contains(size));
        if size.is_none() {
            let (low, high) = range.into_inner();
            let wanted = format!(
                "wants a size from {low} to {high}, such as \"512MiB\", \"1GiB\" or a number of bytes"
            );
            self.error(key, wanted);
        }
        size.unwrap_or(default)
    }
}

fn as_text<'a>(report: &Report, path: &Path, value: &'a Value) -> Option<&'a str> {
    match value {
        Value::String(text) => Some(text),
        Value::Null => {
            report.error(path, "has no value: write one, or leave the key out");
            None
        }
        other => {
            report.error(path, format!("wants text in quotes; this is {}", kind(other)));
            None
        }
    }
}

/// `key` looks like `known` with a slip of the fingers.
fn is_near(key: &str, known: &str) -> bool {
    match distance(key, known) {
        0 | 1 => true,
        2 => key.chars().next() == known.chars().next(),
        _ => false,
    }
}

/// How many letters must be changed, added or dropped to make `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (above, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let cost = (corner + usize::from(x != y)).min(left + 1).min(*above + 1);
            corner = std::mem::replace(above, cost);
            left = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distances() {
        for (a, b, letters) in [
            ("", "abc", 3),
            ("url", "url", 0),
            ("ulr", "url", 2),
            ("host", "hosts", 1),
            ("pool", "", 4),
        ] {
            assert_eq!(distance(a, b), letters, "{a} {b}");
        }
    }
}

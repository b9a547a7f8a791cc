//! One line of a CloudFront log: tab-separated under a `#Fields:` header (standard logs, legacy and v2), JSON
//! (v2), or tab-separated without a header in the order that was configured (real-time logs).

use std::borrow::Cow;
use std::collections::HashMap;

use crate::model::names::UnixMs;
use crate::model::playlist::date;
use crate::model::route::Route;
use crate::model::viewers::cmcd;

/// A longer line is no log's.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Fields of a line that are looked at.
const FIELDS_MAX: usize = 256;

/// The order in which real-time logs hold their fields where all of the usual are configured.
const REAL_TIME: &str = "timestamp c-ip time-to-first-byte sc-status sc-bytes cs-method cs-protocol \
    cs-host cs-uri-stem cs-bytes x-edge-location x-edge-request-id x-host-header time-taken \
    cs-protocol-version c-ip-version cs-user-agent cs-referer cs-cookie cs-uri-query \
    x-edge-response-result-type x-forwarded-for ssl-protocol ssl-cipher x-edge-result-type";

/// Somebody asked for a media playlist and was given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// When, Unix milliseconds.
    pub at: UnixMs,
    /// The host asked, lower case; empty where the line does not say.
    pub host: String,
    /// The path of the entry playlist.
    pub stream: String,
    /// The lane that the token names. Not verified: the CDN had an answer to it.
    pub lane: String,
    /// A hash of the player's session id, else of address and User-Agent.
    pub who: u64,
}

/// Why a line says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Longer than 64 KiB.
    #[error("the line is too long")]
    TooLong,
    /// It begins like JSON and is none.
    #[error("the line is no JSON")]
    Json,
    /// No date and time, or none that can be read.
    #[error("the line has no time")]
    NoTime,
    /// Neither path nor address: the fields are in another order, or were left out.
    #[error("the line has no c-ip or cs-uri-stem: name its fields with --fields")]
    NoFields,
}

/// Reads lines; knows the fields' order.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Where each field that is of use stands.
    columns: Columns,
}

/// The fields of use.
const NAMES: [&str; 12] = [
    "date",
    "time",
    "timestamp",
    "timestamp(ms)",
    "c-ip",
    "cs-method",
    "host",
    "cs-uri-stem",
    "sc-status",
    "user-agent",
    "cs-uri-query",
    "x-host-header",
];

type Columns = [Option<usize>; NAMES.len()];

/// What a line has under each of [`NAMES`].
struct Values<'a>([Option<Cow<'a, str>>; NAMES.len()]);

/// Standard and real-time logs name the same field differently.
fn place_of(name: &str) -> Option<usize> {
    let name = match name {
        "cs(Host)" | "cs-host" => "host",
        "cs(User-Agent)" | "cs-user-agent" => "user-agent",
        other => other,
    };
    NAMES.iter().position(|known| *known == name)
}

fn columns(names: &str) -> Columns {
    let mut columns = Columns::default();
    for (at, name) in names.split([' ', '\t', ',']).filter(|n| !n.is_empty()).enumerate() {
        if let Some(column) = place_of(name).and_then(|place| columns.get_mut(place)) {
            column.get_or_insert(at);
        }
    }
    columns
}

impl Reader {
    /// For lines without a header whose fields stand in the order of `fields`, with spaces or commas between;
    /// none: as real-time logs have them. A `#Fields:` header says better.
    #[must_use]
    pub fn new(fields: Option<&str>) -> Self {
        Self { columns: columns(fields.unwrap_or(REAL_TIME)) }
    }

    /// What a line says. None: it is a header, or no answered request for a lane's media playlist.
    ///
    /// # Errors
    /// See [`LineError`].
    pub fn line(&mut self, line: &str) -> Result<Option<Request>, LineError> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.len() > LINE_BYTES_MAX {
            return Err(LineError::TooLong);
        }
        if let Some(names) = line.strip_prefix("#Fields:") {
            self.columns = columns(names);
            return Ok(None);
        }
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        if line.starts_with('{') {
            return request(&Values::of_json(line)?);
        }
        request(&Values::of_columns(line, &self.columns))
    }
}

impl<'a> Values<'a> {
    fn of_columns(line: &'a str, columns: &Columns) -> Self {
        let fields: Vec<&str> = line.split('\t').take(FIELDS_MAX).collect();
        Self(columns.map(|at| Some(Cow::Borrowed(*fields.get(at?)?))))
    }

    fn of_json(line: &str) -> Result<Self, LineError> {
        let object: HashMap<String, serde_json::Value> =
            serde_json::from_str(line).map_err(|_| LineError::Json)?;
        let mut values = Self(std::array::from_fn(|_| None));
        for (name, value) in object {
            let Some(slot) = place_of(&name).and_then(|place| values.0.get_mut(place)) else {
                continue;
            };
            *slot = match value {
                serde_json::Value::String(text) => Some(Cow::Owned(text)),
                serde_json::Value::Number(number) => Some(Cow::Owned(number.to_string())),
                _ => None,
            };
        }
        Ok(values)
    }

    /// What stands there; `-` is nothing.
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(place_of(name)?)?.as_deref()?;
        (value != "-" && !value.is_empty()).then_some(value)
    }

    fn at(&self) -> Option<UnixMs> {
        if let Some(ms) = self.get("timestamp(ms)") {
            return ms.parse().ok().map(UnixMs);
        }
        if let Some(seconds) = self.get("timestamp") {
            let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
            let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
            let ms: u64 = digits.parse().ok()?;
            return Some(UnixMs(whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(ms)?));
        }
        date::unix_ms(&format!("{}T{}Z", self.get("date")?, self.get("time")?)).map(UnixMs)
    }
}

fn request(values: &Values<'_>) -> Result<Option<Request>, LineError> {
    let (Some(path), Some(address)) = (values.get("cs-uri-stem"), values.get("c-ip")) else {
        return Err(LineError::NoFields);
    };
    let answered = values.get("sc-status").is_none_or(|s| matches!(s, "200" | "206" | "304"));
    if !answered || values.get("cs-method").is_some_and(|method| method != "GET") {
        return Ok(None);
    }
    // Some write the tilde of our paths encoded.
    let path = if path.contains("%7") {
        Cow::Owned(path.replace("%7E", "~").replace("%7e", "~"))
    } else {
        Cow::Borrowed(path)
    };
    let Ok(Route::Playlist(place)) = Route::parse(&path) else { return Ok(None) };
    let Some(lane) = place.token.split('.').nth(2) else { return Ok(None) };
    let at = values.at().ok_or(LineError::NoTime)?;
    let sid = values.get("cs-uri-query").and_then(session);
    let agent = values.get("user-agent").unwrap_or_default();
    let who = match &sid {
        Some(sid) => hash(&["sid", sid]),
        None => hash(&["address", address, agent]),
    };
    let host = values.get("x-host-header").or_else(|| values.get("host")).unwrap_or_default();
    Ok(Some(Request {
        at,
        host: host.to_ascii_lowercase(),
        stream: place.stream.to_string(),
        lane: lane.to_owned(),
        who,
    }))
}

/// The session id of a query as logs hold it: they may encode once more what was encoded already.
fn session(query: &str) -> Option<String> {
    if let Some(sid) = cmcd::sid_of_query(query) {
        return Some(sid.into_owned());
    }
    cmcd::sid_of_query(&cmcd::decode(query)?).map(Cow::into_owned)
}

/// Each text goes in with its length before it.
fn hash(texts: &[&str]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

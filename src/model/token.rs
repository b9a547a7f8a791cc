//! Tokens: the lane id and a MAC, in the URL. They pin a viewer session without any state, and
//! make a lane known even where its log is lost.
//!
//! `1.<key id>.<lane id>[.q<identity query>][.e<expiry>][.v<viewer id>].<mac>`: version, key id
//! of 4 hex digits, base64url where needed. One text for one set of claims, so that no change of
//! a character can pass. The MAC covers what the URL does not hold too: the pool and the path of
//! the stream. Never the Host header: a CDN may change it.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::names::{LaneId, PoolName, StreamKey};

/// The version of the text and of what the MAC covers.
const VERSION: &str = "1";
/// Longest token, bytes.
pub const TOKEN_BYTES_MAX: usize = 1024;
/// Longest identity query in a token, bytes.
pub const QUERY_BYTES_MAX: usize = 512;
/// Longest lane id and viewer id, bytes.
pub const ID_BYTES_MAX: usize = 64;
/// Shortest key, bytes.
pub const KEY_BYTES_MIN: usize = 32;
const MAC_BYTES: usize = 16;
/// Where the keys' bytes come from does not matter; what they are used for does.
const KEY_CONTEXT: &str = "segue 2026 token mac v1";

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The stream; its path and pool are not in the text, only its identity query is.
    pub stream: StreamKey,
    /// The lane. Of letters, digits, `-` and `_`, 64 at most: see [`is_id`].
    pub lane: LaneId,
    /// The viewer, where sessions are counted; the same letters as the lane.
    pub viewer: Option<String>,
    /// The Unix second from which the token is refused.
    pub expires_unix_s: Option<u64>,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not read as a token.
    #[error("not a token")]
    Malformed,
    /// Signed with a key that is not configured (any more).
    #[error("the token's key is not known")]
    UnknownKey,
    /// The MAC is not ours, or it is for another stream.
    #[error("the token is forged or for another stream")]
    Forged,
    /// It was valid once.
    #[error("the token has expired")]
    Expired,
}

/// Why keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// No key at all.
    #[error("no token key")]
    Empty,
    /// A key with fewer bytes than [`KEY_BYTES_MIN`].
    #[error("token key {index} is shorter than {KEY_BYTES_MIN} bytes")]
    Short {
        /// Which, from 0.
        index: usize,
    },
}

/// The keys: the first signs, all verify.
#[derive(Clone)]
pub struct Keyring {
    first: Key,
    others: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: u16,
    mac: [u8; 32],
}

impl Key {
    fn new(bytes: &[u8]) -> Self {
        let mac = blake3::derive_key(KEY_CONTEXT, bytes);
        let [high, low, ..] = *blake3::hash(&mac).as_bytes();
        Self { id: u16::from_be_bytes([high, low]), mac }
    }

    /// Each field goes in with its length before it, so that no two sets of claims are one text.
    fn mac(&self, pool: &str, path: &str, fields: &Fields<'_>) -> [u8; MAC_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.mac);
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        add(VERSION.as_bytes());
        add(&self.id.to_be_bytes());
        add(pool.as_bytes());
        add(path.as_bytes());
        add(fields.lane.as_bytes());
        add(fields.query.as_bytes());
        // No claim and an empty claim differ.
        add(&[u8::from(fields.viewer.is_some())]);
        add(fields.viewer.unwrap_or_default().as_bytes());
        add(&[u8::from(fields.expires.is_some())]);
        add(&fields.expires.unwrap_or_default().to_le_bytes());
        let mut mac = [0; MAC_BYTES];
        hasher.finalize_xof().fill(&mut mac);
        mac
    }
}

/// The claims that the text holds.
struct Fields<'a> {
    lane: &'a str,
    query: &'a str,
    viewer: Option<&'a str>,
    expires: Option<u64>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({} keys)", self.others.len() + 1)
    }
}

impl Keyring {
    /// Keys of at least 32 bytes each; the first signs.
    ///
    /// # Errors
    /// No key, or one that is too short.
    pub fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Result<Self, KeyringError> {
        let mut made = Vec::new();
        for (index, key) in keys.into_iter().enumerate() {
            if key.as_ref().len() < KEY_BYTES_MIN {
                return Err(KeyringError::Short { index });
            }
            made.push(Key::new(key.as_ref()));
        }
        let mut keys = made.into_iter();
        let first = keys.next().ok_or(KeyringError::Empty)?;
        Ok(Self { first, others: keys.collect() })
    }

    /// The token for `claims`. Claims outside the limits of this module give a text that does
    /// not verify.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> String {
        let fields = Fields {
            lane: claims.lane.as_str(),
            query: &claims.stream.query,
            viewer: claims.viewer.as_deref(),
            expires: claims.expires_unix_s,
        };
        let mac = self.first.mac(claims.stream.pool.as_str(), &claims.stream.path, &fields);
        let mut text = format!("{VERSION}.{:04x}.{}", self.first.id, fields.lane);
        if !fields.query.is_empty() {
            text.push_str(".q");
            URL_SAFE_NO_PAD.encode_string(fields.query, &mut text);
        }
        // Writing to a String cannot fail.
        if let Some(expires) = fields.expires {
            let _ = write!(text, ".e{expires}");
        }
        if let Some(viewer) = fields.viewer {
            let _ = write!(text, ".v{viewer}");
        }
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut text);
        text
    }

    /// What `text` says, if it is ours and for this stream. `path` is the stream's entry path,
    /// `now_unix_s` the Unix second.
    ///
    /// # Errors
    /// See [`TokenError`]. Only a token that is ours can be [`TokenError::Expired`].
    pub fn verify(
        &self,
        text: &str,
        pool: &PoolName,
        path: &str,
        now_unix_s: u64,
    ) -> Result<Claims, TokenError> {
        let (signed, mac) = text.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let mac = mac_of(mac)?;
        let (key_id, fields, query) = read(text, signed).ok_or(TokenError::Malformed)?;
        let fields = Fields { query: &query, ..fields };
        let mut known = false;
        let mut ours = false;
        for key in std::iter::once(&self.first).chain(&self.others) {
            if key.id == key_id {
                known = true;
                ours |= same(&mac, &key.mac(pool.as_str(), path, &fields));
            }
        }
        if !known {
            return Err(TokenError::UnknownKey);
        }
        if !ours {
            return Err(TokenError::Forged);
        }
        if fields.expires.is_some_and(|expires| now_unix_s >= expires) {
            return Err(TokenError::Expired);
        }
        Ok(Claims {
            lane: LaneId::new(fields.lane),
            viewer: fields.viewer.map(str::to_owned),
            expires_unix_s: fields.expires,
            stream: StreamKey { pool: pool.clone(), path: Arc::from(path), query: query.into() },
        })
    }
}

/// `text` can be a lane's or a viewer's id in a token: 1 to 64 letters, digits, `-` and `_`.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !text.is_empty() && text.len() <= ID_BYTES_MAX && text.bytes().all(plain)
}

/// The lane that a token names. Nothing is verified: whoever looks from outside has no keys.
#[must_use]
pub fn lane_named(text: &str) -> Option<LaneId> {
    let mut parts = text.split('.');
    let known = parts.next() == Some(VERSION) && parts.next().and_then(key_id_of).is_some();
    let lane = parts.next().filter(|lane| known && is_id(lane))?;
    parts.next().map(|_| LaneId::new(lane))
}

/// Reads all before the MAC. The query comes apart from the rest: it is decoded.
fn read<'a>(text: &str, signed: &'a str) -> Option<(u16, Fields<'a>, String)> {
    if text.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let mut parts = signed.split('.');
    if parts.next() != Some(VERSION) {
        return None;
    }
    let key_id = parts.next().and_then(key_id_of)?;
    let lane = parts.next().filter(|lane| is_id(lane))?;
    let mut part = parts.next();
    let mut query = String::new();
    if let Some(encoded) = part.and_then(|p| p.strip_prefix('q')) {
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        query = String::from_utf8(bytes).ok()?;
        if query.is_empty() || query.len() > QUERY_BYTES_MAX {
            return None;
        }
        part = parts.next();
    }
    let mut expires = None;
    if let Some(digits) = part.and_then(|p| p.strip_prefix('e')) {
        expires = Some(decimal(digits)?);
        part = parts.next();
    }
    let mut viewer = None;
    if let Some(id) = part.and_then(|p| p.strip_prefix('v')) {
        viewer = Some(id).filter(|id| is_id(id));
        viewer?;
        part = parts.next();
    }
    let fields = Fields { lane, query: "", viewer, expires };
    part.is_none().then_some((key_id, fields, query))
}

/// Four lower-case hex digits.
fn key_id_of(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (digits && text.len() == 4).then(|| u16::from_str_radix(text, 16).ok())?
}

/// A number as it is printed: no sign, no zeros in front.
pub(in crate::model) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn mac_of(text: &str) -> Result<[u8; MAC_BYTES], TokenError> {
    let mut mac = [0; MAC_BYTES];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut mac) {
        Ok(MAC_BYTES) => Ok(mac),
        _ => Err(TokenError::Malformed),
    }
}

/// Compares in constant time, as blake3's own hashes do.
fn same(a: &[u8; MAC_BYTES], b: &[u8; MAC_BYTES]) -> bool {
    let wide = |mac: &[u8; MAC_BYTES]| {
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(mac) {
            *to = *from;
        }
        blake3::Hash::from_bytes(hash)
    };
    wide(a) == wide(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            stream: StreamKey {
                pool: PoolName::new("live"),
                path: "/live/cam/playlist.m3u8".into(),
                query: "DVR".into(),
            },
            lane: LaneId::new("a-9f3c1e4b"),
            viewer: Some("v_1".into()),
            expires_unix_s: Some(1_800_000_000),
        }
    }

    fn ring() -> Keyring {
        Keyring::new([[7; 32]]).unwrap()
    }

    fn verify(ring: &Keyring, text: &str) -> Result<Claims, TokenError> {
        ring.verify(text, &PoolName::new("live"), "/live/cam/playlist.m3u8", 1_799_999_999)
    }

    #[test]
    fn what_is_signed_verifies() {
        let mut short = claims();
        short.stream.query = "".into();
        short.viewer = None;
        short.expires_unix_s = None;
        for claims in [claims(), short] {
            let text = ring().sign(&claims);
            assert_eq!(verify(&ring(), &text), Ok(claims), "{text}");
        }
    }

    #[test]
    fn the_text_stays_the_same_between_versions() {
        // Viewers hold tokens over an upgrade: a change here needs another version.
        let text = ring().sign(&claims());
        let known = "1.e554.a-9f3c1e4b.qRFZS.e1800000000.vv_1.GbUe1dY5fdjzsRdwZt4kTw";
        assert_eq!(text, known);
    }

    #[test]
    fn another_stream_pool_or_time_is_refused() {
        let ring = ring();
        let text = ring.sign(&claims());
        let live = PoolName::new("live");
        let path = "/live/cam/playlist.m3u8";
        assert_eq!(ring.verify(&text, &live, "/live/b.m3u8", 0), Err(TokenError::Forged));
        assert_eq!(ring.verify(&text, &PoolName::new("b"), path, 0), Err(TokenError::Forged));
        assert_eq!(ring.verify(&text, &live, path, 1_800_000_000), Err(TokenError::Expired));
    }

    #[test]
    fn keys_turn_over() {
        let old = ring();
        let text = old.sign(&claims());
        let both = Keyring::new([vec![9; 40], vec![7; 32]]).unwrap();
        assert_eq!(verify(&both, &text), Ok(claims()));
        assert_ne!(both.sign(&claims()), text);
        let new = Keyring::new([vec![9; 40]]).unwrap();
        assert_eq!(verify(&new, &text), Err(TokenError::UnknownKey));
        assert!(matches!(Keyring::new([[7; 31]]), Err(KeyringError::Short { index: 0 })));
        assert!(matches!(Keyring::new::<[u8; 32]>([]), Err(KeyringError::Empty)));
    }

    #[test]
    fn texts_that_are_no_tokens() {
        let good = ring().sign(&claims());
        let (signed, mac) = good.rsplit_once('.').unwrap();
        let cases = [
            String::new(),
            ".".into(),
            "1".into(),
            signed.into(),
            format!("{signed}..{mac}"),
            format!("{signed}.x.{mac}"),
            format!("{good}A"),
            format!("{good}="),
            good.replace("1.", "2."),
            good.replace("a-9f3c1e4b", "a/9f3c1e4b"),
            good.replace("a-9f3c1e4b", &"a".repeat(65)),
            good.replace(".e1800000000", ".e01800000000"),
            good.replace(".e1800000000", ".e+1800000000"),
            good.replace(".e1800000000", ".e99999999999999999999"),
            good.replace(".vv_1", ".v"),
            format!("1.0000.a.q{}.{mac}", "A".repeat(2000)),
        ];
        for text in cases {
            assert_eq!(verify(&ring(), &text), Err(TokenError::Malformed), "{text}");
        }
    }
}

//! What a proxy shows another: a MAC over what it asks for, who asks and when, by a key that is derived from the
//! token keys, so that nothing needs to be configured. The answer to it is signed over the MAC of the question, so
//! that none can be shown again for another.
//!
//! A question reads `1.<key id>.<Unix second>.<who asks>.<mac>`, an answer `1.<who answers>.<mac>`. That a question
//! can be shown again for a few minutes harms nothing: it can only ask for what is held, again.

use crate::model::names::{ProxyId, is_proxy_id};

/// Where the key's bytes come from does not matter; what they are used for does.
const KEY_CONTEXT: &str = "segue 2026 fleet mac v1";
const VERSION: &str = "1";
/// Clocks of two proxies may differ by so much, the way included. Seconds.
const APART_S: u64 = 300;
/// A longer text is none of ours.
const TEXT_BYTES_MAX: usize = 256;

/// 32 bytes that only who has the key can make.
pub type Mac = [u8; 32];

/// What is asked of another proxy.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`.
    pub method: &'a str,
    /// Path and query, as they stand in the request.
    pub target: &'a str,
    /// Who asks.
    pub by: &'a ProxyId,
    /// When, by the clock of who asks: Unix seconds.
    pub unix_s: u64,
}

/// A question that is from a proxy of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who asks.
    pub by: ProxyId,
    /// What its answer is signed over.
    pub mac: Mac,
    /// Which of the keys it is signed with.
    key: usize,
}

/// Why a question or an answer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error("not signed")]
    Missing,
    /// It does not read as one.
    #[error("not a signature")]
    Malformed,
    /// Made at another time: the clocks of the two are so many seconds apart, or it was made long ago.
    #[error("signed {0} s away from the time here: look at the clocks")]
    Time(i64),
    /// Signed with a key that is not known here.
    #[error("signed with another key: the proxies of a fleet share token_keys, or fleet.key")]
    Key,
    /// Not made for this, or not by this fleet.
    #[error("the signature is wrong")]
    Wrong,
}

#[derive(Clone)]
struct Key {
    id: u16,
    mac: [u8; 32],
}

/// The fleet's keys: all verify; the first signs, unless the other side does not know it.
#[derive(Clone)]
pub struct FleetKeys(Vec<Key>);

impl std::fmt::Debug for FleetKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FleetKeys({} keys)", self.0.len())
    }
}

impl FleetKeys {
    /// Derived from these secrets, in their order.
    pub fn new<K: AsRef<[u8]>>(secrets: impl IntoIterator<Item = K>) -> Self {
        let key = |secret: K| {
            let mac = blake3::derive_key(KEY_CONTEXT, secret.as_ref());
            let [high, low, ..] = *blake3::hash(&mac).as_bytes();
            Key { id: u16::from_be_bytes([high, low]), mac }
        };
        Self(secrets.into_iter().map(key).collect())
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Signs a question with one of the keys (counted from 0, and round): the text to show, and what the answer
    /// is held against. None where there is no key.
    #[must_use]
    pub fn sign(&self, key: usize, request: &Request<'_>) -> Option<(String, Verified)> {
        let at = key.checked_rem(self.0.len())?;
        let key = self.0.get(at)?;
        let mac = key.question(request);
        let shown = blake3::Hash::from_bytes(mac).to_hex();
        let Request { by, unix_s, .. } = request;
        let text = format!("{VERSION}.{:04x}.{unix_s}.{by}.{shown}", key.id);
        Some((text, Verified { by: (*by).clone(), mac, key: at }))
    }

    /// Who asks, if the text was made for this question, lately, with one of the keys. `now_s`: Unix seconds.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify(
        &self,
        text: Option<&str>,
        method: &str,
        target: &str,
        now_s: u64,
    ) -> Result<Verified, SignatureError> {
        let text = text.ok_or(SignatureError::Missing)?;
        let [version, id, unix_s, by, mac] = fields(text)?;
        let id = hex_u16(id).filter(|_| version == VERSION).ok_or(SignatureError::Malformed)?;
        let unix_s = unix_s.parse::<u64>().map_err(|_| SignatureError::Malformed)?;
        let mac = blake3::Hash::from_hex(mac).map_err(|_| SignatureError::Malformed)?;
        if !is_proxy_id(by) {
            return Err(SignatureError::Malformed);
        }
        let mut known = self.0.iter().enumerate().filter(|(_, key)| key.id == id).peekable();
        if known.peek().is_none() {
            return Err(SignatureError::Key);
        }
        let by = ProxyId::new(by);
        let request = Request { method, target, by: &by, unix_s };
        // Hashes are compared in constant time.
        let right = |(_, key): &(usize, &Key)| blake3::Hash::from(key.question(&request)) == mac;
        let (key, _) = known.find(right).ok_or(SignatureError::Wrong)?;
        if now_s.abs_diff(unix_s) > APART_S {
            let apart = i64::try_from(now_s.abs_diff(unix_s)).unwrap_or(i64::MAX);
            return Err(SignatureError::Time(if unix_s > now_s { apart } else { -apart }));
        }
        Ok(Verified { by, mac: *mac.as_bytes(), key })
    }

    /// Signs what is answered to a question, with the key that it was asked with.
    #[must_use]
    pub fn sign_answer(&self, to: &Verified, by: &ProxyId, body: &[u8]) -> String {
        let mac = self.0.get(to.key).map_or([0; 32], |key| key.answer(to, by, body));
        format!("{VERSION}.{by}.{}", blake3::Hash::from_bytes(mac).to_hex())
    }

    /// Who answered, if it has the key that it was asked with.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify_answer(
        &self,
        text: Option<&str>,
        to: &Verified,
        body: &[u8],
    ) -> Result<ProxyId, SignatureError> {
        let [version, by, mac] = fields(text.ok_or(SignatureError::Missing)?)?;
        let mac = blake3::Hash::from_hex(mac).map_err(|_| SignatureError::Malformed)?;
        if version != VERSION || !is_proxy_id(by) {
            return Err(SignatureError::Malformed);
        }
        let by = ProxyId::new(by);
        let key = self.0.get(to.key).ok_or(SignatureError::Key)?;
        let right = blake3::Hash::from(key.answer(to, &by, body)) == mac;
        right.then_some(by).ok_or(SignatureError::Wrong)
    }
}

impl Key {
    fn question(&self, request: &Request<'_>) -> Mac {
        let time = request.unix_s.to_le_bytes();
        let (method, target) = (request.method.as_bytes(), request.target.as_bytes());
        self.over(&[b"question", method, target, &time, request.by.as_str().as_bytes()])
    }

    fn answer(&self, to: &Verified, by: &ProxyId, body: &[u8]) -> Mac {
        self.over(&[b"answer", &to.mac, by.as_str().as_bytes(), body])
    }

    /// Each field goes in with its length before it, so that no two sets of fields are one text.
    fn over(&self, fields: &[&[u8]]) -> Mac {
        let mut hasher = blake3::Hasher::new_keyed(&self.mac);
        for field in fields {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field);
        }
        *hasher.finalize().as_bytes()
    }
}

/// As many as there must be.
fn fields<const N: usize>(text: &str) -> Result<[&str; N], SignatureError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(SignatureError::Malformed);
    }
    let fields: Vec<&str> = text.splitn(N + 1, '.').collect();
    fields.try_into().map_err(|_| SignatureError::Malformed)
}

fn hex_u16(text: &str) -> Option<u16> {
    let digits = text.len() == 4 && text.bytes().all(|b| b.is_ascii_hexdigit());
    u16::from_str_radix(text, 16).ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const PATH: &str = "/.segue/fleet/1/hello";

    fn keys(secrets: &[&str]) -> FleetKeys {
        FleetKeys::new(secrets)
    }

    fn ask<'a>(target: &'a str, by: &'a ProxyId, unix_s: u64) -> Request<'a> {
        Request { method: "GET", target, by, unix_s }
    }

    #[test]
    fn only_what_was_asked_lately_with_a_known_key_is_believed() {
        let (own, by) = (keys(&["one", "two"]), ProxyId::new("az1-a"));
        let signed = |keys: &FleetKeys, key: usize, target: &str, at: u64| {
            keys.sign(key, &ask(target, &by, at)).unwrap().0
        };
        let right = signed(&own, 0, PATH, NOW);
        let cases = [
            ("as it is", right.clone(), "GET", PATH, Ok(())),
            ("with the second key", signed(&own, 1, PATH, NOW), "GET", PATH, Ok(())),
            ("keys are counted round", signed(&own, 2, PATH, NOW), "GET", PATH, Ok(())),
            ("a little old", signed(&own, 0, PATH, NOW - APART_S), "GET", PATH, Ok(())),
            ("a fast clock", signed(&own, 0, PATH, NOW + APART_S), "GET", PATH, Ok(())),
            (
                "shown again",
                signed(&own, 0, PATH, NOW - APART_S - 1),
                "GET",
                PATH,
                Err(SignatureError::Time(-301)),
            ),
            (
                "from the future",
                signed(&own, 0, PATH, NOW + APART_S + 1),
                "GET",
                PATH,
                Err(SignatureError::Time(301)),
            ),
            (
                "of another fleet",
                signed(&keys(&["three"]), 0, PATH, NOW),
                "GET",
                PATH,
                Err(SignatureError::Key),
            ),
            ("for another path", right.clone(), "GET", "/other", Err(SignatureError::Wrong)),
            (
                "for another query",
                right.clone(),
                "GET",
                "/.segue/fleet/1/hello?x",
                Err(SignatureError::Wrong),
            ),
            ("for another method", right.clone(), "POST", PATH, Err(SignatureError::Wrong)),
            (
                "in another's name",
                right.replace("az1-a", "az1-b"),
                "GET",
                PATH,
                Err(SignatureError::Wrong),
            ),
            (
                "made younger",
                right.replace(&NOW.to_string(), &(NOW + 1).to_string()),
                "GET",
                PATH,
                Err(SignatureError::Wrong),
            ),
            ("longer", format!("{right}.x"), "GET", PATH, Err(SignatureError::Malformed)),
        ];
        for (name, text, method, target, want) in cases {
            let got = own.verify(Some(&text), method, target, NOW).map(|v| assert_eq!(v.by, by));
            assert_eq!(got, want, "{name}: {text}");
        }
        for text in ["", "1", "....", "1.zzzz.1.a.b", "2.0000.1.a.00", &"1.".repeat(300)] {
            assert_eq!(own.verify(Some(text), "GET", PATH, NOW), Err(SignatureError::Malformed));
        }
        assert_eq!(own.verify(None, "GET", PATH, NOW), Err(SignatureError::Missing));
        assert!(keys(&[]).sign(0, &ask(PATH, &by, NOW)).is_none());
    }

    #[test]
    fn an_answer_is_of_its_question_alone() {
        let own = keys(&["one", "two"]);
        let (asks, answers) = (ProxyId::new("az1-a"), ProxyId::new("az2-b"));
        let (text, mine) = own.sign(1, &ask(PATH, &asks, NOW)).unwrap();
        let theirs = own.verify(Some(&text), "GET", PATH, NOW).unwrap();
        assert_eq!(mine, theirs);
        let answer = own.sign_answer(&theirs, &answers, b"body");
        assert_eq!(own.verify_answer(Some(&answer), &mine, b"body"), Ok(answers.clone()));
        let later = own.sign(1, &ask(PATH, &asks, NOW + 1)).unwrap().1;
        let (_, first_key) = own.sign(0, &ask(PATH, &asks, NOW)).unwrap();
        for (name, text, to, body) in [
            ("other bytes", answer.clone(), &mine, &b"bodY"[..]),
            ("another question's", answer.clone(), &later, b"body"),
            ("another key's", answer.clone(), &first_key, b"body"),
            ("another's", answer.replace("az2-b", "az2-c"), &mine, b"body"),
        ] {
            let got = own.verify_answer(Some(&text), to, body);
            assert_eq!(got, Err(SignatureError::Wrong), "{name}");
        }
        assert_eq!(own.verify_answer(None, &mine, b"body"), Err(SignatureError::Missing));
        // A question is no answer.
        assert!(own.verify_answer(Some(&text), &mine, b"body").is_err());
    }
}

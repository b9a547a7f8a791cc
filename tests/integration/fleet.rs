//! What tests of a fleet share: the key, questions as another proxy asks them, and what a proxy says of others.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use segue::model::fleet::{FleetKeys, Request, Verified};
use segue::model::names::{ContentHash, ProxyId};
use serde_json::Value;

use crate::http::{self, Reply};
use crate::proxy::Proxy;
use crate::viewer::Viewer;
use crate::wait_for;

/// The token key of all proxies of a test: base64 and bytes.
pub const TOKEN_KEYS: &str = "token_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]";
pub fn keys() -> FleetKeys {
    FleetKeys::new([(0..32).collect::<Vec<u8>>()])
}

/// Long enough on a busy machine: they ask each other every second.
pub const SOON: Duration = Duration::from_secs(20);

pub fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Another proxy, as far as a question shows it.
pub struct Asking {
    pub keys: FleetKeys,
    pub method: &'static str,
    pub unix_s: u64,
    /// What is signed, where that is not what is asked.
    pub signs: Option<String>,
    /// The signature is left out.
    pub unsigned: bool,
}

impl Default for Asking {
    fn default() -> Self {
        let (method, unix_s) = ("GET", unix_s());
        Self { keys: keys(), method, unix_s, signs: None, unsigned: false }
    }
}

impl Asking {
    pub async fn ask(&self, proxy: &Proxy, what: &str) -> Result<(Reply, Verified), String> {
        let path = format!("/.segue/fleet/1/{what}");
        let target = self.signs.as_ref().unwrap_or(&path);
        let (method, by, unix_s) = (self.method, &ProxyId::new("test-1"), self.unix_s);
        let (text, asked) = self.keys.sign(0, &Request { method, target, by, unix_s }).unwrap();
        let shown =
            if self.unsigned { String::new() } else { format!("X-Segue-Fleet: {text}\r\n") };
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{shown}\r\n");
        let reply = http::send(proxy.fleet().port(), request.as_bytes()).await?;
        Ok((reply, asked))
    }
}

/// The answer to a question as it should be.
pub async fn ask(proxy: &Proxy, what: &str) -> Reply {
    Asking::default().ask(proxy, what).await.unwrap().0
}

/// The question for the newest segment that he was given, and its bytes.
pub async fn newest(proxy: &Proxy, viewer: &Viewer) -> (String, Vec<u8>) {
    let bytes = proxy.get(&viewer.segment_path()).await.unwrap().body;
    (question(&bytes), bytes)
}

/// The question for these bytes.
pub fn question(bytes: &[u8]) -> String {
    format!("bytes/{}?length={}", ContentHash::of(bytes).to_hex(), bytes.len())
}

/// The other proxies that `proxy` says answer, by id.
pub async fn answering(proxy: &Proxy) -> Vec<String> {
    let status = proxy.status().await;
    let all = status["fleet"]["proxies"].as_array().cloned().unwrap_or_default();
    let answers = all.iter().filter(|p| p["answers"] == Value::Bool(true));
    let mut ids: Vec<String> = answers.map(|p| p["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// Until `proxy` says that these answer and no others.
pub async fn sees(proxy: &Proxy, want: &[&str]) {
    let met = || async { answering(proxy).await == want };
    if let Err(error) = wait_for(&format!("{want:?} to answer"), SOON, met).await {
        panic!("{error}: {}", proxy.status().await["fleet"]);
    }
}

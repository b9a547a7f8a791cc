//! EXT-X-KEY: which keys apply to the segments that follow (RFC 8216, 4.3.2.4).

use std::sync::Arc;

use super::Key;
use super::attributes::attribute;

/// KEYFORMATs that apply together at the most. Players know four.
const FORMATS_MAX: usize = 16;

/// The keys in force where a reader stands.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    keys: Arc<[Key]>,
}

impl Default for InForce {
    fn default() -> Self {
        Self { keys: Arc::new([]) }
    }
}

impl InForce {
    /// All of them, shared by the segments that they apply to.
    pub fn all(&self) -> Arc<[Key]> {
        Arc::clone(&self.keys)
    }

    /// Takes one EXT-X-KEY: it ends the one of its KEYFORMAT, and METHOD=NONE ends all. Returns
    /// the bytes that are kept because of it; none where no player could read the tag.
    pub fn take(&mut self, list: &str) -> Option<usize> {
        let method = attribute(list, "METHOD")?.value;
        if method == "NONE" {
            *self = Self::default();
            return Some(0);
        }
        let key = key(list, method)?;
        let mut keys: Vec<Key> =
            self.keys.iter().filter(|k| k.format != key.format).cloned().collect();
        keys.push(key);
        let bytes = keys.iter().map(|k| k.before.len() + k.uri.len() + k.after.len()).sum();
        if keys.len() > FORMATS_MAX {
            return None;
        }
        self.keys = keys.into();
        Some(bytes)
    }
}

fn key(list: &str, method: &str) -> Option<Key> {
    let uri = attribute(list, "URI")?;
    if uri.value.is_empty() || uri.value.starts_with('#') {
        return None;
    }
    let format = attribute(list, "KEYFORMAT").map_or("identity", |f| f.value);
    // The other methods carry their IVs in the media, or take none.
    let takes_iv = matches!(method, "AES-128" | "SAMPLE-AES") && format == "identity";
    Some(Key {
        uri: uri.value.to_owned(),
        format: format.to_owned(),
        whole_segment: method == "AES-128",
        numbers_are_ivs: takes_iv && attribute(list, "IV").is_none(),
        before: list.get(..uri.at)?.to_owned(),
        after: list.get(uri.at + uri.value.len()..)?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(tags: &[&str]) -> Option<Vec<String>> {
        let mut keys = InForce::default();
        for tag in tags {
            keys.take(tag)?;
        }
        Some(keys.all().iter().map(|k| format!("{} {}", k.format, k.uri)).collect())
    }

    #[test]
    fn one_key_for_each_format_until_none() {
        let aes = "METHOD=AES-128,URI=\"k1\"";
        let fairplay =
            "METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"";
        let apple = "com.apple.streamingkeydelivery skd://x".to_owned();
        assert_eq!(formats(&[aes]), Some(vec!["identity k1".into()]));
        assert_eq!(formats(&[aes, fairplay]), Some(vec!["identity k1".into(), apple.clone()]));
        let next = "METHOD=AES-128,URI=\"k2\",KEYFORMAT=\"identity\"";
        assert_eq!(formats(&[aes, fairplay, next]), Some(vec![apple, "identity k2".into()]));
        assert_eq!(formats(&[aes, "METHOD=NONE"]), Some(vec![]));
        assert_eq!(formats(&["URI=\"k\""]), None);
        assert_eq!(formats(&["METHOD=AES-128"]), None);
    }

    #[test]
    fn a_number_stands_for_a_missing_iv_of_plain_keys_only() {
        let implicit = |list: &str| {
            let mut keys = InForce::default();
            keys.take(list).unwrap();
            keys.all()[0].numbers_are_ivs
        };
        assert!(implicit("METHOD=AES-128,URI=\"k\""));
        assert!(implicit("METHOD=SAMPLE-AES,URI=\"k\",KEYFORMAT=\"identity\""));
        assert!(!implicit("METHOD=AES-128,URI=\"k\",IV=0x1"));
        assert!(!implicit("METHOD=SAMPLE-AES-CTR,URI=\"k\""));
        assert!(!implicit("METHOD=AES-256-GCM,URI=\"k\""));
        assert!(!implicit("METHOD=SAMPLE-AES,URI=\"skd://k\",KEYFORMAT=\"com.apple\""));
    }

    #[test]
    fn what_stands_around_the_uri_is_kept() {
        let mut keys = InForce::default();
        keys.take("METHOD=AES-128, URI=\"k/1\" ,IV=0xAB,X-NEW=1").unwrap();
        let k = &keys.all()[0];
        assert_eq!((&*k.before, &*k.after), ("METHOD=AES-128, URI=\"", "\" ,IV=0xAB,X-NEW=1"));
    }
}

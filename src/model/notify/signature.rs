//! How a receiver knows that a message is from whom has the secret: HMAC-SHA256 of the body, written as
//! receivers know it from other webhooks. By ring, which stands below TLS here anyway.

use std::fmt::Write as _;

use ring::hmac;

/// The header that carries it.
pub const SIGNATURE_HEADER: &str = "X-Segue-Signature";

/// `sha256=` and the HMAC-SHA256 of `body` in hex.
#[must_use]
pub fn signature(secret: &[u8], body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), body);
    tag.as_ref().iter().fold("sha256=".to_owned(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::signature;

    /// The second test case of RFC 4231.
    #[test]
    fn as_others_compute_it() {
        assert_eq!(
            signature(b"Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}

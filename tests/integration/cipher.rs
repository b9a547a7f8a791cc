//! AES-128 as HLS has it (RFC 8216, 5.2): CBC, padded, the IV written out or the segment's number.

use aes::Aes128;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};

pub type Key = [u8; 16];

/// The IV that a KEY without one means.
pub fn implicit_iv(msn: u64) -> [u8; 16] {
    u128::from(msn).to_be_bytes()
}

pub fn encrypt(bytes: &[u8], key: &Key, iv: [u8; 16]) -> Vec<u8> {
    cbc::Encryptor::<Aes128>::new(key.into(), &iv.into()).encrypt_padded_vec_mut::<Pkcs7>(bytes)
}

pub fn decrypt(bytes: &[u8], key: &Key, iv: [u8; 16]) -> Result<Vec<u8>, String> {
    let decryptor = cbc::Decryptor::<Aes128>::new(key.into(), &iv.into());
    decryptor.decrypt_padded_vec_mut::<Pkcs7>(bytes).map_err(|_| "it does not decrypt".to_owned())
}

/// `0x` and up to 32 hex digits.
pub fn read_iv(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    Some(u128::from_str_radix(digits, 16).ok()?.to_be_bytes())
}

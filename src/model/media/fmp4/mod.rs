//! fMP4.

use bytes::Bytes;

use super::{Content, Damage, Ticks};

pub(super) fn inspect(_init: &[u8], _segment: &[u8]) -> Result<Content, Damage> {
    Err(Damage::Malformed("fMP4 is not read yet"))
}

pub(super) fn cut(_init: &[u8], _segment: &Bytes, _pts: Ticks) -> Result<Bytes, Damage> {
    Err(Damage::Malformed("fMP4 is not read yet"))
}

//! MPEG-TS.

use bytes::Bytes;

use super::{Content, Damage, Ticks};

pub(super) fn inspect(_segment: &[u8]) -> Result<Content, Damage> {
    Err(Damage::Malformed("MPEG-TS is not read yet"))
}

pub(super) fn cut(_segment: &Bytes, _pts: Ticks) -> Result<Bytes, Damage> {
    Err(Damage::Malformed("MPEG-TS is not read yet"))
}

//! What a request says of the viewer who makes it.

use core::net::IpAddr;

use crate::model::names::{LaneId, StreamKey};

/// A request for a playlist of a lane. Borrowed: it is made for each of them.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// The stream.
    pub stream: &'a StreamKey,
    /// The lane.
    pub lane: &'a LaneId,
    /// EXT-X-TARGETDURATION of the lane, seconds.
    pub target_seconds: u32,
    /// The viewer whom the token names.
    pub viewer: Option<&'a str>,
    /// The session id that the player sends (CMCD).
    pub sid: Option<&'a str>,
    /// The viewer's address; none where it is not known, as behind a CDN.
    pub client: Option<IpAddr>,
    /// `User-Agent`, as it was sent; empty for none.
    pub user_agent: &'a [u8],
}

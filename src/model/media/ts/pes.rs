//! PES packets, in the pieces that the packets of a transport stream hold of them.

use mpeg2ts_reader::packet::Packet;
use mpeg2ts_reader::pes::{
    PesContents, PesHeader, PesLength, PesParsedContents, PtsDts, Timestamp,
};

use super::super::Damage;

/// The header of a PES packet, times as they are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) stream_id: u8,
    pub(super) pts: Option<u64>,
    pub(super) dts: Option<u64>,
    /// It says how long its PES packet is.
    pub(super) is_bounded: bool,
}

/// What one packet holds of a PES packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// Of the PES packet that begins here.
    pub(super) begins: Option<Header>,
    pub(super) bytes: &'a [u8],
}

/// Takes the packets of one stream.
#[derive(Debug, Default)]
pub(super) struct Assembler<'a> {
    /// The last packet that counted: one may be sent twice.
    last: Option<(u8, &'a [u8])>,
    /// What the open PES packet still lacks.
    left: Option<Left>,
    /// A picture with a hole in it cannot be told by its length: packets are counted.
    counts: bool,
}

#[derive(Clone, Copy, Debug)]
enum Left {
    Bytes(usize),
    /// It does not say.
    Unknown,
}

impl<'a> Assembler<'a> {
    pub(super) fn new(counts: bool) -> Self {
        Self { counts, ..Self::default() }
    }

    /// None: nothing in it, a repetition, or a rest of what began before the segment.
    pub(super) fn push(&mut self, packet: &Packet<'a>) -> Result<Option<Piece<'a>>, Damage> {
        let Some(payload) = packet.payload() else { return Ok(None) };
        let this = (packet.continuity_counter().count(), payload);
        let before = self.last.replace(this);
        if before == Some(this) {
            return Ok(None);
        }
        let jumps = before.is_some_and(|(number, _)| (number + 1) & 15 != this.0);
        if jumps && self.counts && self.left.is_some() && !may_jump(packet) {
            return Err(Damage::Malformed("packets of a picture are lost"));
        }
        if !packet.payload_unit_start_indicator() {
            return Ok(self.left.map(|_| Piece { begins: None, bytes: self.take(payload) }));
        }
        if self.lacks() > 0 {
            return Err(Damage::Malformed("a PES packet lacks bytes"));
        }
        let (header, length, body) = header(payload)?;
        self.left = Some(length);
        Ok(Some(Piece { begins: Some(header), bytes: self.take(body) }))
    }

    /// How many bytes the open PES packet still lacks, as far as it says.
    pub(super) fn lacks(&self) -> usize {
        match self.left {
            Some(Left::Bytes(left)) => left,
            Some(Left::Unknown) | None => 0,
        }
    }

    /// What stands after the end of a PES packet is nothing.
    fn take(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(Left::Bytes(left)) = &mut self.left else { return bytes };
        let bytes = bytes.get(..*left).unwrap_or(bytes);
        *left -= bytes.len();
        bytes
    }
}

/// The multiplexer says so.
fn may_jump(packet: &Packet<'_>) -> bool {
    packet.adaptation_field().is_some_and(|field| field.discontinuity_indicator())
}

/// A header, how much of the PES packet follows it, and what of that is here. A header that does not
/// fit into its packet is not believed: none is that long.
fn header(payload: &[u8]) -> Result<(Header, Left, &[u8]), Damage> {
    const UNREADABLE: Damage = Damage::Malformed("a PES packet begins without its header");
    let header = PesHeader::from_bytes(payload).ok_or(UNREADABLE)?;
    let [_, _, _, stream_id, _, _, ref rest @ ..] = *payload else { return Err(UNREADABLE) };
    let mut read = Header { stream_id, pts: None, dts: None, is_bounded: true };
    let body = match header.contents() {
        PesContents::Payload(body) => body,
        PesContents::Parsed(None) => return Err(UNREADABLE),
        PesContents::Parsed(Some(_)) if rest.first().is_some_and(|flags| flags & 0x30 != 0) => {
            return Err(Damage::Encrypted);
        }
        PesContents::Parsed(Some(parsed)) => {
            (read.pts, read.dts) = times(&parsed);
            parsed.payload()
        }
    };
    let length = match header.pes_packet_length() {
        PesLength::Unbounded => {
            read.is_bounded = false;
            Left::Unknown
        }
        PesLength::Bounded(length) => {
            let before = rest.len() - body.len();
            Left::Bytes(usize::from(length.get()).checked_sub(before).ok_or(UNREADABLE)?)
        }
    };
    Ok((read, length, body))
}

fn times(parsed: &PesParsedContents<'_>) -> (Option<u64>, Option<u64>) {
    let pts = |pts: Result<Timestamp, _>| pts.ok().map(Timestamp::value);
    match parsed.pts_dts() {
        Ok(PtsDts::PtsOnly(time)) => (pts(time), None),
        Ok(PtsDts::Both { pts: shown, dts: decoded }) => (pts(shown), pts(decoded)),
        _ => (None, None),
    }
}

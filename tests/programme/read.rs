//! A segment of the programme taken apart again, a cut of one too: which pictures and which sound it
//! has, told by what is coded and not by times. Anything that was not written so is an error.

use std::collections::BTreeMap;

use super::coded::{SOUND_BYTES, heard, said, samples};
use super::packets::{AUDIO, PACKET, VIDEO};
use super::{PICTURE_TICKS, SOUND_TICKS};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub number: u64,
    pub encoder: u8,
    /// Of the segment that it was written in.
    pub text: String,
    /// Where the programme begins on this timeline, by its time.
    pub base: i64,
    pub is_key: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    pub number: u64,
    pub encoder: u8,
    pub base: i64,
}

/// What is in a segment, in the order in which it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub pictures: Vec<Picture>,
    pub sounds: Vec<Sound>,
}

struct Pes {
    pts: i64,
    data: Vec<u8>,
}

pub fn read(segment: &[u8]) -> Result<Seen, String> {
    let mut streams = streams(segment)?;
    let mut seen = Seen::default();
    for pes in streams.remove(&VIDEO).unwrap_or_default() {
        seen.pictures.push(shown(&pes)?);
    }
    for pes in streams.remove(&AUDIO).unwrap_or_default() {
        for (nth, frame) in pes.data.chunks(SOUND_BYTES).enumerate() {
            let (number, encoder) = heard(frame)?;
            let base = pes.pts + SOUND_TICKS * (nth as i64 - number as i64);
            seen.sounds.push(Sound { number, encoder, base: wrapped(base) });
        }
    }
    seen.pictures.sort_by_key(|picture| picture.number);
    Ok(seen)
}

fn shown(pes: &Pes) -> Result<Picture, String> {
    let [(number, encoder, text)] = &said(&pes.data)?[..] else {
        return Err("a PES packet that does not hold one picture".to_owned());
    };
    let has = |bytes: &[u8]| memchr::memmem::find(&pes.data, bytes).is_some();
    let is_key = has(&[0, 0, 1, 0x65]);
    if is_key && !(has(&samples(*encoder, *number)) && has(&[0, 0, 1, 0x67])) {
        return Err(format!("keyframe {number} shows something else, or has no parameter sets"));
    }
    let base = wrapped(pes.pts - PICTURE_TICKS * *number as i64);
    Ok(Picture { number: *number, encoder: *encoder, text: text.clone(), base, is_key })
}

/// As it is within 33 bits.
fn wrapped(ticks: i64) -> i64 {
    ticks.rem_euclid(1 << 33)
}

/// The PES packets of each PID; counters must go on.
fn streams(segment: &[u8]) -> Result<BTreeMap<u16, Vec<Pes>>, String> {
    let (mut streams, mut counters) = (BTreeMap::<u16, Vec<Pes>>::new(), BTreeMap::new());
    for packet in segment.chunks(PACKET) {
        if packet.len() < PACKET || packet[0] != 0x47 {
            return Err(format!("no packet of a transport stream: {:02x?}", packet.get(..4)));
        }
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let adapts = packet[3] & 0x20 != 0;
        let begin = if adapts { 5 + usize::from(packet[4]) } else { 4 };
        if packet[3] & 0x10 == 0 || ![VIDEO, AUDIO].contains(&pid) {
            continue;
        }
        let counter = packet[3] & 15;
        let before = counters.insert(pid, counter);
        if before.is_some_and(|before: u8| (before + 1) & 15 != counter) {
            return Err(format!("packets of {pid} are lost: {before:?}, then {counter}"));
        }
        let payload = packet.get(begin..).ok_or("an adaptation field that is too long")?;
        if packet[1] & 0x40 != 0 {
            let pes = begun(payload).ok_or("a PES packet without a time")?;
            streams.entry(pid).or_default().push(pes);
        } else {
            let open = streams.get_mut(&pid).and_then(|all| all.last_mut());
            open.ok_or("it begins in the middle of a PES packet")?.data.extend(payload);
        }
    }
    Ok(streams)
}

fn begun(payload: &[u8]) -> Option<Pes> {
    let header = usize::from(*payload.get(8)?);
    let byte = |at: usize| payload.get(at).map(|byte| i64::from(*byte));
    let high = (byte(9)? >> 1 & 7) << 30 | byte(10)? << 22 | byte(11)? >> 1 << 15;
    let pts = high | byte(12)? << 7 | byte(13)? >> 1;
    (payload[7] & 0x80 != 0).then(|| Pes { pts, data: payload[9 + header..].to_vec() })
}

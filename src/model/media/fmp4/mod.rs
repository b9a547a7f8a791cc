//! fMP4: an init segment, and segments of fragments that it is read with.
//!
//! Own reader of the few boxes that count: crates hand boxes out as values of their own, and a cut needs
//! to know where each byte lies and to keep what it does not understand.
//!
//! Times are those of tfdt and trun with what the edit list of the init segment adds, as ffmpeg and mpv
//! show them. Chromium takes no notice of an empty edit; where ffmpeg's muxer wrote one its viewers
//! see all tracks from 0, and a cut looks the same to them.

mod atoms;
mod coding;
mod cut;
mod fragment;
mod init;
mod seen;
mod segment;
mod write;

use super::{Content, Damage};

use fragment::Fragment;
use init::{Init, Kind};
use seen::Seen;
use segment::{Budget, Part, parts};

pub(super) use cut::cut;

/// What is in a segment.
pub(super) fn inspect(init: &[u8], segment: &[u8]) -> Result<Content, Damage> {
    // What cannot be read itself says nothing of the segment.
    let init = Init::read(init).map_err(|damage| match damage {
        Damage::Encrypted => Damage::Encrypted,
        _ => Damage::Unreadable,
    })?;
    let (content, _) = read(&init, segment, &parts(segment)?)?;
    Ok(content)
}

/// What is in a segment, and which of its pictures are keyframes, from 1.
fn read(init: &Init, segment: &[u8], parts: &[Part<'_>]) -> Result<(Content, Vec<u32>), Damage> {
    let mut seen: Vec<Seen<'_>> = init.tracks.iter().map(Seen::of).collect();
    let mut budget = Budget::of(segment);
    for part in parts.iter().filter(|part| part.is_fragment()) {
        let fragment = Fragment::read(part, init, &mut budget)?;
        for traf in &fragment.trafs {
            let (Some(track), Some(seen)) = (init.tracks.get(traf.track), seen.get_mut(traf.track))
            else {
                continue;
            };
            let coding = track.coding(traf.defaults.coding)?;
            for sample in traf.samples(track) {
                seen.sample(&sample, coding);
                if track.kind == Kind::Pictures {
                    let end = sample.at.saturating_add(sample.size);
                    let bytes = segment.get(sample.at..end).unwrap_or_default();
                    seen.picture(&sample, bytes, coding)?;
                }
            }
        }
    }
    if seen.iter().all(Seen::is_empty) {
        return Err(Damage::Empty);
    }
    let mut content = Content { video: None, audio: Vec::new(), pcr: None };
    let mut keys = Vec::new();
    for (track, seen) in init.tracks.iter().zip(seen) {
        match track.kind {
            Kind::Pictures if seen.is_empty() => return Err(Damage::NoPicture),
            Kind::Pictures => {
                let (video, numbers) = seen.video()?;
                content.video = Some(video);
                keys = numbers;
            }
            Kind::Sound if !seen.is_empty() => content.audio.push(seen.audio()?),
            Kind::Sound | Kind::Other => {}
        }
    }
    Ok((content, keys))
}

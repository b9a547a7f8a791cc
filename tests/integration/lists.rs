//! The playlists that scripted packagers write.

use crate::packager::Source;
use crate::script::{Kind, Ranges, Rendition, State, Window, iso};

impl State {
    /// The playlist of that file name; none if there is none, or nothing in it yet.
    pub fn playlist(&self, source: &Source, file: &str) -> Option<String> {
        let name = file.strip_suffix(".m3u8")?;
        if name == "playlist" && !self.renditions.is_empty() {
            return Some(self.multivariant());
        }
        let rendition = self.all().into_iter().find(|r| r.file == name)?;
        (self.made(&rendition) > 0).then(|| self.media(source, &rendition))
    }

    fn multivariant(&self) -> String {
        let mut text = "#EXTM3U\n#EXT-X-VERSION:6\n".to_owned();
        let mut groups = String::new();
        for Rendition { kind, file, what, .. } in &self.renditions {
            let (kind, group) = match kind {
                Kind::Audio => ("AUDIO", "aud"),
                Kind::Subtitles => ("SUBTITLES", "sub"),
                _ => continue,
            };
            text += &format!(
                "#EXT-X-MEDIA:TYPE={kind},GROUP-ID=\"{group}\",NAME=\"{what}\",LANGUAGE=\"{what}\",\
                 AUTOSELECT=YES,URI=\"{file}.m3u8\"\n"
            );
            let reference = format!(",{kind}=\"{group}\"");
            if !groups.contains(&reference) {
                groups += &reference;
            }
        }
        for Rendition { kind, file, what, bandwidth, .. } in &self.renditions {
            text += &match kind {
                Kind::Video => format!(
                    "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},RESOLUTION={what}{groups}\n{file}.m3u8\n"
                ),
                Kind::IFrames => format!(
                    "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={bandwidth},RESOLUTION={what},\
                     URI=\"{file}.m3u8\"\n"
                ),
                _ => continue,
            };
        }
        text
    }

    fn media(&self, source: &Source, rendition: &Rendition) -> String {
        let (first, made) = (self.first_listed(rendition), self.made(rendition));
        let per_segment = if rendition.kind == Kind::IFrames { self.style.frames } else { 1 };
        let mut text = self.head(rendition, (self.first_number + first) * per_segment);
        let mut before = None;
        for k in first..made {
            self.segment_lines(source, rendition, k, before, &mut text);
            before = Some(k);
        }
        if self.ended || matches!(self.style.window, Window::Vod(_)) {
            text += "#EXT-X-ENDLIST\n";
        } else if let Some(parts) = self.style.parts {
            self.growing(rendition, made, parts, &mut text);
        }
        text
    }

    fn head(&self, rendition: &Rendition, msn: u64) -> String {
        let of_six =
            !self.renditions.is_empty() || self.style.ranges.is_some() || rendition.has_init();
        let of_three = self.style.other_keys.is_empty();
        let version = if of_six {
            6
        } else if of_three {
            3
        } else {
            5
        };
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{msn}\n",
            self.target()
        );
        match self.style.window {
            Window::Live => {}
            Window::Event(_) => text += "#EXT-X-PLAYLIST-TYPE:EVENT\n",
            Window::Vod(_) => text += "#EXT-X-PLAYLIST-TYPE:VOD\n",
        }
        if let Some(offset) = self.style.start_offset {
            text += &format!("#EXT-X-START:TIME-OFFSET={offset}\n");
        }
        if rendition.kind == Kind::IFrames {
            text += "#EXT-X-I-FRAMES-ONLY\n";
        }
        if let Some(parts) = self.style.parts {
            let part = part_seconds(rendition, parts);
            text += &format!(
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,\
                 PART-HOLD-BACK={:.3}\n#EXT-X-PART-INF:PART-TARGET={part:.3}\n",
                part * 3.0
            );
        }
        if rendition.has_init() {
            // Before any key: it is in the clear.
            text += &format!("#EXT-X-MAP:URI=\"{}-init.mp4\"\n", rendition.file);
        }
        text
    }

    fn segment_lines(
        &self,
        source: &Source,
        rendition: &Rendition,
        k: u64,
        before: Option<u64>,
        text: &mut String,
    ) {
        let number = self.first_number + k;
        let start_ms = self.start_of(rendition, k);
        self.daterange(source, rendition, k, start_ms, text);
        self.keys(start_ms, before.map(|b| self.start_of(rendition, b)), text);
        if let Some(date) = self.date_ms(start_ms) {
            *text += &format!("#EXT-X-PROGRAM-DATE-TIME:{}\n", iso(date));
        }
        if self.style.unknown_tags {
            *text += &format!("#EXT-X-SCRIPTED:NUMBER={number},OF=\"{}\"\n", rendition.what);
        }
        if rendition.kind == Kind::IFrames {
            return self.frames(rendition, k, text);
        }
        if self.is_gap(number) {
            *text += "#EXT-X-GAP\n";
        }
        if let Some(parts) = self.style.parts
            && k + 2 >= self.made(rendition)
        {
            part_lines(rendition, number, parts, parts, text);
        }
        *text += &format!("#EXTINF:{:.3},\n", seconds(rendition.ms));
        let ending = rendition.container.ending();
        let Some(ranges) = self.ranges(rendition) else {
            *text += &format!("{}-{number}.{ending}\n", rendition.file);
            return;
        };
        let (offset, length) = self.range(source, rendition, k);
        // Its predecessor in the same resource says where it begins.
        let follows = before.is_some() && offset > 0;
        *text += &match ranges {
            Ranges::Short if follows => format!("#EXT-X-BYTERANGE:{length}\n"),
            _ => format!("#EXT-X-BYTERANGE:{length}@{offset}\n"),
        };
        *text += &format!("{}-all-{}.{ending}\n", rendition.file, number / IN_ONE);
    }

    /// Written where another begins to be in force, and at the head of the list.
    fn keys(&self, start_ms: u64, before_ms: Option<u64>, text: &mut String) {
        let period = self.key_period(start_ms);
        match before_ms.map(|ms| self.key_period(ms)) {
            Some(before) if before == period => return,
            None if period.is_none() => return,
            _ => {}
        }
        let Some(period) = period else {
            *text += "#EXT-X-KEY:METHOD=NONE\n";
            return;
        };
        *text += &format!("#EXT-X-KEY:METHOD=AES-128,URI=\"key-{period}.bin\"\n");
        for line in &self.style.other_keys {
            *text += &format!("{line}\n");
        }
    }

    /// A break of a second, with a splice command of the packager's and the life's own. Each counts
    /// them in its way, so that an ID soon means another break elsewhere.
    fn daterange(
        &self,
        source: &Source,
        rendition: &Rendition,
        k: u64,
        start_ms: u64,
        text: &mut String,
    ) {
        let Some(every) = self.style.daterange_every else { return };
        if rendition.kind != Kind::Video || !(start_ms / rendition.ms).is_multiple_of(every) {
            return;
        }
        let behind = 2 * u64::from(source.id.bytes().last().unwrap_or_default() - b'a');
        let id = start_ms / rendition.ms / every - behind - u64::from(self.life);
        let date = iso(self.date_ms(start_ms).unwrap_or_default());
        let command = hex(&format!("{}{}-{k}", source.id, self.life));
        *text += &format!(
            "#EXT-X-DATERANGE:ID=\"break-{id}\",START-DATE=\"{date}\",PLANNED-DURATION=1.0,\
             SCTE35-OUT=0xFC{command}\n"
        );
    }

    /// Entries of the frames of one segment of the video, at which they point.
    fn frames(&self, rendition: &Rendition, k: u64, text: &mut String) {
        let number = self.first_number + k;
        let all = self.all();
        let video = all.iter().find(|r| r.kind == Kind::Video && r.what == rendition.what).unwrap();
        for frame in 0..self.style.frames {
            if frame > 0
                && let Some(date) = self.date_ms(self.start_of(rendition, k))
            {
                let date = date + frame * rendition.ms / self.style.frames;
                *text += &format!("#EXT-X-PROGRAM-DATE-TIME:{}\n", iso(date));
            }
            let (offset, length) = self.frame(frame);
            *text += &format!(
                "#EXTINF:{:.3},\n#EXT-X-BYTERANGE:{length}@{offset}\n{}-{number}.ts\n",
                seconds(rendition.ms) / self.style.frames as f64,
                video.file
            );
        }
    }

    /// The segment that still grows: its parts, the next one's name, and the other playlists' edges.
    fn growing(&self, rendition: &Rendition, made: u64, parts: u64, text: &mut String) {
        let number = self.first_number + made;
        part_lines(rendition, number, parts / 2, parts, text);
        *text += &format!(
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}-{number}.{}.ts\"\n",
            rendition.file,
            parts / 2
        );
        for other in self.all().iter().filter(|r| r.file != rendition.file) {
            let last = self.first_number + self.made(other) - 1;
            *text += &format!(
                "#EXT-X-RENDITION-REPORT:URI=\"{}.m3u8\",LAST-MSN={last},LAST-PART=0\n",
                other.file
            );
        }
    }
}

/// The bytes of `text`, as a hexadecimal value of an attribute has them (RFC 8216, 4.2).
pub fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02X}"))
}

/// Segments in one resource, where they are byte ranges.
pub const IN_ONE: u64 = 10;

fn part_lines(rendition: &Rendition, number: u64, count: u64, parts: u64, text: &mut String) {
    for part in 0..count {
        *text += &format!(
            "#EXT-X-PART:DURATION={:.3},INDEPENDENT=YES,URI=\"{}-{number}.{part}.ts\"\n",
            part_seconds(rendition, parts),
            rendition.file
        );
    }
}

fn part_seconds(rendition: &Rendition, parts: u64) -> f64 {
    seconds(rendition.ms) / parts as f64
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

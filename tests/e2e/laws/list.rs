//! A media playlist as a player reads it: each segment with all that it needs.

/// One segment and what is in force for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its own lines but the URI, without those that hold for many.
    pub lines: Vec<String>,
    pub uri: String,
    /// First byte and length.
    pub range: Option<(u64, u64)>,
    /// The EXT-X-KEY lines in force.
    pub keys: Vec<String>,
    pub map: Option<Map>,
}

/// An EXT-X-MAP line and the EXT-X-KEY lines that were in force where it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    pub line: String,
    pub keys: Vec<String>,
}

impl Segment {
    pub fn has(&self, tag: &str) -> bool {
        self.lines.iter().any(|l| l == tag)
    }

    /// Nobody is to ask for it.
    pub fn is_gap(&self) -> bool {
        self.has("#EXT-X-GAP")
    }

    /// EXTINF, seconds.
    pub fn seconds(&self) -> f64 {
        let inf = self.lines.iter().find_map(|l| l.strip_prefix("#EXTINF:"));
        inf.and_then(|v| v.split(',').next()?.trim().parse().ok()).unwrap_or(0.0)
    }
}

impl Map {
    pub fn uri(&self) -> &str {
        attribute(&self.line, "URI").unwrap_or_default()
    }

    pub fn range(&self) -> Option<(u64, u64)> {
        attribute(&self.line, "BYTERANGE").and_then(|r| range(r, 0))
    }
}

/// A media playlist, as far as the laws need it.
pub struct List {
    pub target: u64,
    pub first: u64,
    pub discontinuity_sequence: u64,
    pub segments: Vec<Segment>,
}

/// What stands for the playlist, and not for the segment that comes next.
const HEAD: [&str; 10] = [
    "#EXTM3U",
    "##",
    "#EXT-X-VERSION",
    "#EXT-X-TARGETDURATION",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-DISCONTINUITY-SEQUENCE",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    "#EXT-X-ALLOW-CACHE",
    "#EXT-X-I-FRAMES-ONLY",
    "#EXT-X-START",
];

impl List {
    pub fn read(text: &str) -> Self {
        let number = |tag: &str| {
            let value = text.lines().find_map(|l| l.strip_prefix(tag));
            value.and_then(|v| v.trim().parse().ok()).unwrap_or(0)
        };
        let mut segments: Vec<Segment> = Vec::new();
        let (mut lines, mut keys) = (Vec::new(), Vec::new());
        let (mut map, mut asked) = (None, None);
        for line in text.lines().filter(|l| !l.is_empty()) {
            if line.starts_with("#EXT-X-KEY:") {
                put_in_force(&mut keys, line);
            } else if line.starts_with("#EXT-X-MAP:") {
                map = Some(Map { line: line.to_owned(), keys: keys.clone() });
            } else if let Some(value) = line.strip_prefix("#EXT-X-BYTERANGE:") {
                asked = Some(value);
            } else if !line.starts_with('#') {
                let end = |s: &Segment| s.range.filter(|_| s.uri == line).map(|(from, n)| from + n);
                let next = segments.last().and_then(end).unwrap_or(0);
                segments.push(Segment {
                    lines: std::mem::take(&mut lines),
                    uri: line.to_owned(),
                    range: asked.take().and_then(|r| range(r, next)),
                    keys: keys.clone(),
                    map: map.clone(),
                });
            } else if !HEAD.iter().any(|h| line.starts_with(h)) {
                lines.push(line.to_owned());
            }
        }
        Self {
            target: number("#EXT-X-TARGETDURATION:"),
            first: number("#EXT-X-MEDIA-SEQUENCE:"),
            discontinuity_sequence: number("#EXT-X-DISCONTINUITY-SEQUENCE:"),
            segments,
        }
    }
}

/// RFC 8216, 4.3.2.4: a key holds until the next of the same KEYFORMAT; METHOD=NONE ends all.
fn put_in_force(keys: &mut Vec<String>, line: &str) {
    if attribute(line, "METHOD") == Some("NONE") {
        return keys.clear();
    }
    keys.retain(|k| attribute(k, "KEYFORMAT") != attribute(line, "KEYFORMAT"));
    keys.push(line.to_owned());
}

/// `n@o`, or `n` where it begins at `next`.
fn range(text: &str, next: u64) -> Option<(u64, u64)> {
    let (length, from) = text.trim().split_once('@').map_or((text, None), |(n, o)| (n, Some(o)));
    let from = from.map_or(Some(next), |o| o.parse().ok())?;
    Some((from, length.trim().parse().ok()?))
}

/// An attribute's value, without its quotes.
pub fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = line.split_once(':')?.1;
    loop {
        let (key, value) = rest.split_once('=')?;
        let quoted = value.strip_prefix('"').and_then(|v| v.split_once('"'));
        let (value, after) = quoted.unwrap_or_else(|| {
            let end = value.find(',').unwrap_or(value.len());
            value.split_at(end)
        });
        if key.trim() == name {
            return Some(value);
        }
        rest = after.strip_prefix(',')?;
    }
}

#[test]
fn each_segment_knows_what_is_in_force() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"i.mp4\"\n\
        #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"a,b\",KEYFORMAT=\"x\"\n\
        #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"c\"\n#EXTINF:4,\n#EXT-X-BYTERANGE:10@5\nm.mp4\n\
        #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"d\"\n#EXTINF:4,\n#EXT-X-BYTERANGE:20\nm.mp4\n\
        #EXT-X-KEY:METHOD=NONE\n#EXT-X-DISCONTINUITY\n#EXTINF:4,\nn.mp4\n";
    let list = List::read(text);
    assert_eq!((list.target, list.first), (4, 7));
    let [a, b, c] = &list.segments[..] else { panic!("{:?}", list.segments) };
    assert_eq!(a.keys.len(), 2);
    assert_eq!(attribute(&a.keys[0], "URI"), Some("a,b"));
    assert_eq!((a.range, b.range, c.range), (Some((5, 10)), Some((15, 20)), None));
    assert_eq!(b.keys.iter().filter_map(|k| attribute(k, "URI")).collect::<Vec<_>>(), ["a,b", "d"]);
    assert!(c.keys.is_empty() && c.has("#EXT-X-DISCONTINUITY"));
    let map = c.map.as_ref().unwrap();
    assert!(map.keys.is_empty(), "the init segment came before the keys");
    assert_eq!(map.uri(), "i.mp4");
}

//! Two more judges of every playlist that a viewer gets, beside the rules of `segue watch`: m3u8-rs, and
//! hls-parser in strict mode. That one runs in one Node for all tests, which ends when this process does,
//! since its input ends then.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use parking_lot::Mutex;

/// What is wrong with a playlist.
pub fn judge(text: &str) -> Result<(), String> {
    static HLS_PARSER: OnceLock<Mutex<HlsParser>> = OnceLock::new();
    m3u8_rs::parse_playlist_res(text.as_bytes()).map_err(|e| format!("m3u8-rs: {e:?}"))?;
    let parser = HLS_PARSER.get_or_init(|| Mutex::new(HlsParser::start()));
    parser.lock().judge(text)
}

struct HlsParser {
    _node: Child,
    playlists: ChildStdin,
    verdicts: BufReader<ChildStdout>,
}

impl HlsParser {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/players");
        assert!(folder.join("node_modules/hls-parser").exists(), "no hls-parser: make players");
        let mut node = Command::new("node");
        node.args(["lint.mjs", "-"]).current_dir(folder);
        let child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("node runs: make players");
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _node: child, playlists: stdin, verdicts: BufReader::new(stdout) }
    }

    fn judge(&mut self, text: &str) -> Result<(), String> {
        let text = serde_json::to_string(&with_version_of_gaps(text)).unwrap();
        writeln!(self.playlists, "{text}").unwrap();
        let mut verdict = String::new();
        self.verdicts.read_line(&mut verdict).unwrap();
        match serde_json::from_str::<Option<String>>(&verdict) {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(format!("hls-parser: {error}")),
            Err(e) => panic!("lint.mjs: {e}: {verdict:?}"),
        }
    }
}

/// hls-parser asks for version 8 where a segment is a gap; the standard does not.
fn with_version_of_gaps(text: &str) -> String {
    let raised = |line: &str| {
        let version = line.strip_prefix("#EXT-X-VERSION:").and_then(|v| v.parse::<u64>().ok());
        version.map_or_else(|| line.to_owned(), |v| format!("#EXT-X-VERSION:{}", v.max(8)))
    };
    if !text.contains("#EXT-X-GAP") {
        return text.to_owned();
    }
    text.lines().map(|line| raised(line) + "\n").collect()
}

#[test]
fn they_find_what_is_wrong() {
    let text = |tag: &str| {
        format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n{tag}\n#EXTINF:2.0,\na.ts\n")
    };
    assert_eq!(judge(&text("#EXT-X-UNKNOWN:1")), Ok(()));
    for tag in ["#EXTINF:5.0,\nb.ts", "#EXT-X-BYTERANGE:5@1", "#EXT-X-KEY:METHOD=NOTHING"] {
        let wrong = judge(&text(tag)).unwrap_err();
        assert!(wrong.starts_with("hls-parser:"), "{tag}: {wrong}");
    }
    assert!(judge("nothing").unwrap_err().starts_with("m3u8-rs"));
}

//! Keys for ffmpeg's HLS muxer, served beside its segments: a new one every two segments, under a
//! new name, until the packager dies. A new run begins with the first name again and other bytes.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::muxer::Iv;

/// A little more than one segment, so that the key changes with every second one.
const EACH: Duration = Duration::from_secs(6);

/// Ends with the value.
pub struct Rotation {
    end: Option<Sender<()>>,
    changing: Option<JoinHandle<()>>,
}

impl Rotation {
    /// Writes the first key to `hls` and tells of it in `key_file`, then the next again and again.
    pub fn start(hls: &Path, key_file: &Path, iv: Iv) -> Self {
        let (hls, key_file) = (hls.to_owned(), key_file.to_owned());
        write_key(&hls, &key_file, iv, 0);
        let (end, ended) = channel();
        let changing = thread::spawn(move || {
            for n in 1.. {
                if !matches!(ended.recv_timeout(EACH), Err(RecvTimeoutError::Timeout)) {
                    return;
                }
                write_key(&hls, &key_file, iv, n);
            }
        });
        Self { end: Some(end), changing: Some(changing) }
    }
}

impl Drop for Rotation {
    fn drop(&mut self) {
        self.end = None;
        if let Some(changing) = self.changing.take() {
            let _ = changing.join();
        }
    }
}

/// The key first, then the file that names it, each whole under its name.
fn write_key(hls: &Path, key_file: &Path, iv: Iv, n: u32) {
    let name = format!("key{n}.bin");
    let path = hls.join(&name);
    put(&path, &rand::random::<[u8; 16]>());
    let mut text = format!("{name}\n{}\n", path.display());
    if iv == Iv::Explicit {
        text.push_str(&hex(rand::random()));
    }
    put(key_file, text.as_bytes());
}

fn put(path: &Path, bytes: &[u8]) {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// As ffmpeg and Shaka Packager read bytes.
pub fn hex(bytes: [u8; 16]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

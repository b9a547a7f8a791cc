//! The listing delay: from the moment a packager's new segment and the playlist that lists it are
//! on its disk, to the moment a viewer who asks all the time sees it listed by Segue.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::client::Client;
use crate::load::median;
use crate::packager::{Packager, SEGMENT};
use crate::servers::{Server, Target, last_uri};

/// Between two looks: the measure is that coarse.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Milliseconds.
pub struct Delays {
    pub median: f64,
    pub longest: f64,
}

pub fn measure(segue: &Server, packager: &Packager, count: usize) -> Result<Delays> {
    let path = segue.path(Target::Playlist)?;
    let mut client = Client::connect(segue.port)?;
    let mut delays = Vec::new();
    for _ in 0..count {
        // Between two segments of the packager, all that it had should have been listed.
        let mut look = || -> Result<String> {
            let listed = client.get(&path)?;
            Ok(last_uri(listed.text()?)?.to_owned())
        };
        let before = look()?;
        let (_, written) = packager.next();
        while look()? == before {
            if written.elapsed() > SEGMENT * 3 {
                bail!("a new segment was not listed within three segment durations");
            }
            thread::sleep(LOOK_EVERY);
        }
        delays.push(Instant::now().duration_since(written).as_secs_f64() * 1e3);
        // Past the chance that the next is written before the last was seen.
        thread::sleep(SEGMENT / 4);
    }
    let longest = delays.iter().copied().fold(0.0, f64::max);
    Ok(Delays { median: median(delays), longest })
}

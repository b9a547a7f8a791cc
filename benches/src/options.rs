//! What the bench is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

const HELP: &str = "benches/run [--rounds N] [--seconds S] [--delays N] [--viewers N] [--long S]
            [--only-long] [--only-media] [--only-cases] [--only-appends] [--appends N]
  --rounds N    rounds over all servers, of which the median counts (15)
  --seconds S   length of one run of wrk (2)
  --delays N    segments whose listing delay is measured (20)
  --viewers N   idle connections (5000)
  --long S      seconds of a stream for which a window of hours is carried (20; 0 leaves it out)
  --only-long   nothing but that, and what looking into a segment costs
  --only-media  nothing but what looking into a segment costs
  --only-cases  nothing but what settings cost, and choosing among packagers
  --only-appends  nothing but what appends to the store cost
  --appends N   steps that are appended for each row of that (5000)";

/// The command line.
pub struct Options {
    pub rounds: usize,
    pub run: Duration,
    pub delays: usize,
    pub viewers: usize,
    pub long: Duration,
    pub only_long: bool,
    pub only_media: bool,
    pub only_cases: bool,
    pub only_appends: bool,
    pub appends: u64,
    /// This process is to be the bare Pingora service: its port and the folder of its answers.
    pub bare: Option<(u16, PathBuf)>,
}

impl Options {
    /// None: help was asked for, and given.
    pub fn read() -> Result<Option<Self>> {
        let mut options = Self {
            rounds: 15,
            run: Duration::from_secs(2),
            delays: 20,
            viewers: 5000,
            long: Duration::from_secs(20),
            only_long: false,
            only_media: false,
            only_cases: false,
            only_appends: false,
            appends: 5000,
            bare: None,
        };
        let mut args = std::env::args().skip(1);
        while let Some(name) = args.next() {
            let mut value = || args.next().with_context(|| format!("{name} needs a value"));
            match name.as_str() {
                "--rounds" => options.rounds = value()?.parse()?,
                "--seconds" => options.run = Duration::from_secs(value()?.parse()?),
                "--delays" => options.delays = value()?.parse()?,
                "--viewers" => options.viewers = value()?.parse()?,
                "--long" => options.long = Duration::from_secs(value()?.parse()?),
                "--only-long" => options.only_long = true,
                "--only-media" => options.only_media = true,
                "--only-cases" => options.only_cases = true,
                "--only-appends" => options.only_appends = true,
                "--appends" => options.appends = value()?.parse()?,
                "--bare" => options.bare = Some((value()?.parse()?, value()?.into())),
                "--help" | "-h" => {
                    println!("{HELP}");
                    return Ok(None);
                }
                _ => bail!("unknown option {name}\n{HELP}"),
            }
        }
        if options.rounds == 0 || options.delays == 0 || options.run.is_zero() {
            bail!("nothing to measure");
        }
        Ok(Some(options))
    }
}

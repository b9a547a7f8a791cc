//! `segue probe A B`: looks into two packagers of one stream, and says what a failover between them
//! would be like.
//!
//! `follow` asks one packager for its lists and its newest segments, `report` prints. What is made of
//! it stands in `model::probe`.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

mod follow;
mod report;

use crate::model::names::UnixMs;
use crate::model::probe::{Class, Findings, Probe, Which};
use crate::outside::asked_to_stop;
use crate::outside::client::{Client, Url};
use report::Report;

/// On a terminal it is drawn again so often.
const TICK: Duration = Duration::from_secs(1);
/// Arrivals are told apart by one clock, wherever it begins.
const BEGINNING: UnixMs = UnixMs(1 << 40);

const AFTER_HELP: &str = "\
The offset is found by the coded pictures of keyframes where both packagers carry the same, else by
EXT-X-PROGRAM-DATE-TIME, else by when segments are listed. Fetched are the playlists of one rendition, and
of each side its newest segment whenever there is a new one. Let it run for a minute: a packager that lags
behind shows only then what the other has shown before.

Verdicts:
  exact       the same pictures on both: a failover loses and repeats nothing
  near        both clocks agree, or pictures can not be cut at every border: at most a GOP
  unaligned   nothing but arrival is known, or segments are encrypted: at most a segment
  impossible  another container or codec, or no rendition that stands for another

Exit code: 0 exact, 1 near, 2 unaligned, impossible, or not known when it ended.

With --json each line is an object: `event` (`update`, at the end `summary`), `at_ms`, `time`, and
  verdict, why, gap_max_ms, advice        as above; `looking` until it is known
  rendition, renditions                   {a, b, exact}: which is which; null where one has none
  offset_ms, offset_ticks                 what A shows at t of its media time B shows at t + offset
  method, within_ms                       keyframe, pts, program_date_time or arrival, and how sure
  drift_ppm                               how fast B's clock runs; null for two minutes
  keyframes_compared, keyframes_equal     keyframes at the same moment, and those that are the same
  border_phase_ms, _spread_ms, _constant  how far B's segment borders lie after A's, in content
  msn_difference, _constant               B's EXT-X-MEDIA-SEQUENCE less A's for the same content
  lag_ms, lag_spread_ms                   how much later B lists the same content
  parameter_sets_equal                    SPS, PPS, VPS
  a, b                                    url, error, error_ms, reached, ended, listed, looked_into,
                                          restarts, newest_msn, target_duration, segment_ms_min,
                                          segment_ms_max, container (ts, fmp4), video, audio,
                                          keyframe_ms, closed, dates, encrypted, damage
What is not known is null.";

/// What to compare, and how to tell.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Options {
    /// One packager's multivariant or media playlist (http or https).
    #[arg(value_name = "A")]
    pub a: String,
    /// The other packager's, of the same stream.
    #[arg(value_name = "B")]
    pub b: String,
    /// Stop after this many seconds (default: at the stream's end or at Ctrl-C).
    #[arg(long = "for", value_name = "SECONDS")]
    pub seconds: Option<u64>,
    /// One JSON object per line, whenever more is known; the fields stand below.
    #[arg(long)]
    pub json: bool,
    /// A's rendition to look into, such as v1, 1280x720 or 720p (default: the highest that both have).
    #[arg(long, value_name = "NAME")]
    pub rendition: Option<String>,
}

/// Where to print, and what that can show.
pub struct Output {
    /// Where.
    pub to: Box<dyn Write + Send>,
    /// It is a terminal, which can be drawn on again.
    pub screen: bool,
    /// It shows colours.
    pub colors: bool,
}

impl Output {
    /// The process's own.
    #[must_use]
    pub fn stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        let screen = std::io::stdout().is_terminal() && !dumb;
        let colors = screen && set("NO_COLOR").is_none();
        Self { to: Box::new(std::io::stdout()), screen, colors }
    }
}

/// The process's exit code.
#[must_use]
pub const fn exit_code(class: Class) -> u8 {
    match class {
        Class::Exact => 0,
        Class::Near => 1,
        Class::Unaligned | Class::Impossible | Class::Looking => 2,
    }
}

/// What both packagers' tasks share.
struct Context {
    client: Client,
    began: Instant,
    known: Mutex<(Probe, Report)>,
}

impl Context {
    fn now(&self) -> UnixMs {
        BEGINNING.plus(self.began.elapsed())
    }

    /// Takes note of something, and tells what that makes of it.
    fn note<T>(&self, change: impl FnOnce(&mut Probe) -> T) -> T {
        let (probe, report) = &mut *self.known.lock();
        let changed = change(probe);
        report.update(self.began.elapsed(), &probe.findings(self.now()));
        changed
    }

    /// Asks for something that changes nothing.
    fn ask<T>(&self, question: impl FnOnce(&Probe) -> T) -> T {
        question(&self.known.lock().0)
    }

    fn finish(&self) -> Findings {
        let (probe, report) = &mut *self.known.lock();
        let findings = probe.findings(self.now());
        report.finish(self.began.elapsed(), &findings);
        findings
    }
}

/// Compares until both streams end, the time is over or the process is asked to stop, and says how it
/// stood at the end.
pub async fn run(options: &Options, output: Output) -> Class {
    let mut report = Report::new(output, options.json);
    let mut urls = Vec::new();
    for (which, text) in [("a", &options.a), ("b", &options.b)] {
        match Url::parse(text) {
            Ok(url) => urls.push(url),
            Err(why) => {
                report.sorry(&format!("{which} cannot be probed: {text:?} is {why}"));
                return Class::Looking;
            }
        }
    }
    let known = Probe::new(&options.a, &options.b, options.rendition.clone());
    let client = Client::new("segue-probe");
    let known = Mutex::new((known, report));
    let context = Arc::new(Context { client, began: Instant::now(), known });
    context.note(|_| ());
    let mut tasks = tokio::task::JoinSet::new();
    for (which, url) in [Which::A, Which::B].into_iter().zip(urls) {
        tasks.spawn(follow::packager(Arc::clone(&context), which, url));
    }
    let limit = options.seconds.map_or(Duration::MAX, Duration::from_secs);
    tokio::select! {
        () = over(&context) => {}
        () = tokio::time::sleep(limit.min(Duration::from_secs(u64::from(u32::MAX)))) => {}
        () = asked_to_stop() => {}
    }
    tasks.shutdown().await;
    context.finish().verdict
}

/// Until nothing more can be learnt; what waits is told how long it has waited.
async fn over(context: &Context) {
    while !context.note(|probe| probe.is_over()) {
        tokio::time::sleep(TICK).await;
    }
}

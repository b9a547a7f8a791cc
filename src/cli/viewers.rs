//! `segue viewers`: how many watch, as a running proxy counts them or as a CDN's log says.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use segue::model::viewers::log::{LineError, Minutes, Reader, StreamCount};
use segue::model::viewers::{moment, people};
use serde_json::{Value, json};

use super::admin::Admin;
use super::check::{row, table};

/// How often it is told what is new while a log is followed.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How often a file is looked at for more.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A longer line is no log's, and is not waited for.
const LINE_BYTES_MAX: u64 = 1 << 17;

/// From where, and what becomes of it.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Count from a CloudFront log (standard, legacy or v2, or real-time) instead of asking the proxy; `-` is
    /// standard input.
    #[arg(long, value_name = "FILE")]
    from_log: Option<PathBuf>,
    /// Go on with what is appended to the log, and tell every few seconds.
    #[arg(long, requires = "from_log")]
    follow: bool,
    /// The names of the log's fields in their order, for lines without a `#Fields:` header.
    #[arg(long, value_name = "NAMES", requires = "from_log")]
    fields: Option<String>,
    /// Viewers are those who asked within a stretch of so many seconds.
    #[arg(long, value_name = "N", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    window_seconds: u64,
    /// Send the counts to the proxy of --conf, which shows them with its own.
    #[arg(long, requires_all = ["from_log", "conf"])]
    send: bool,
    /// The configuration that the proxy runs with: says where it is asked, and the admin token.
    #[arg(long, value_name = "FILE", required_unless_present = "from_log")]
    conf: Option<PathBuf>,
    /// People before one screen, for what a log says.
    #[arg(long, value_name = "N", default_value = "1.7", value_parser = hundredths)]
    people_per_stream: u32,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

fn hundredths(text: &str) -> Result<u32, String> {
    let wrong = || "wants a number from 1 to 100, such as 1.7".to_owned();
    let number: f64 = text.parse().map_err(|_| wrong())?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // within the bounds beside it
    (1.0..=100.0).contains(&number).then_some((number * 100.0).round() as u32).ok_or_else(wrong)
}

/// Tells.
pub fn viewers(options: &Options) -> anyhow::Result<()> {
    let admin = options.conf.as_deref().map(Admin::of).transpose()?;
    match (&options.from_log, admin) {
        (Some(log), admin) => from_log(options, log, admin.filter(|_| options.send).as_ref()),
        (None, Some(admin)) => from_proxy(options, &admin),
        (None, None) => bail!("--conf or --from-log is missing"),
    }
}

fn from_proxy(options: &Options, admin: &Admin) -> anyhow::Result<()> {
    let answer = admin.get("/status.json")?;
    let status: Value = serde_json::from_str(&answer.body).context("no Segue answers there")?;
    let viewers = status.get("viewers").context("the proxy is too old to count viewers")?;
    if options.json {
        println!("{viewers}");
        return Ok(());
    }
    let text = |of: &Value, key: &str| match of.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => "-".to_owned(),
    };
    let mut rows = vec![row(["STREAM", "POOL", "VIEWERS", "PEOPLE", "PEAK", "AT"])];
    let streams = viewers.get("streams").and_then(Value::as_array);
    let all = [("all", viewers)].into_iter();
    let streams = streams.into_iter().flatten().map(|of| ("", of));
    for (name, of) in streams.chain(all) {
        let name = if name.is_empty() { text(of, "stream") } else { name.to_owned() };
        let at = of.get("peak_at").and_then(Value::as_u64);
        let at = at.map_or("-".to_owned(), |ms| moment(segue::model::names::UnixMs(ms)));
        rows.push(vec![
            name,
            text(of, "pool"),
            text(of, "now"),
            text(of, "people"),
            text(of, "peak"),
            at,
        ]);
    }
    print_rows(&rows);
    Ok(())
}

fn print_rows(rows: &[Vec<String>]) {
    let mut text = String::new();
    table(&mut text, rows);
    print!("{text}");
}

/// What was read so far, and what is told of it.
struct Told<'a> {
    options: &'a Options,
    admin: Option<&'a Admin>,
    minutes: Minutes,
    /// Lines that could not be read, and why the first could not.
    bad: u64,
    why: Option<LineError>,
    sent: Option<u64>,
}

fn from_log(options: &Options, log: &Path, admin: Option<&Admin>) -> anyhow::Result<()> {
    let mut told = Told {
        options,
        admin,
        minutes: Minutes::new(Duration::from_secs(options.window_seconds)),
        bad: 0,
        why: None,
        sent: None,
    };
    if log == Path::new("-") {
        told.read(&mut BufReader::new(std::io::stdin()), || None)
    } else {
        let open = || File::open(log).with_context(|| format!("{}", log.display()));
        let file = open()?;
        let length = || std::fs::metadata(log).ok().map(|of| of.len());
        told.read(&mut BufReader::new(file), length)
    }
}

impl Told<'_> {
    /// Reads to the end, or with --follow for ever. `length`: of the file; none where it is no file.
    #[allow(clippy::disallowed_methods)] // nobody waits for this process but whoever told it to
    fn read(
        &mut self,
        log: &mut BufReader<impl Read + MaybeSeek>,
        length: impl Fn() -> Option<u64>,
    ) -> anyhow::Result<()> {
        let mut reader = Reader::new(self.options.fields.as_deref());
        let (mut line, mut position) = (Vec::new(), 0_u64);
        let mut last = Instant::now();
        loop {
            let most = LINE_BYTES_MAX.saturating_sub(line.len() as u64);
            let read = log.by_ref().take(most).read_until(b'\n', &mut line);
            let read = read.context("the log cannot be read")?;
            position += read as u64;
            let whole = line.ends_with(b"\n") || line.len() as u64 >= LINE_BYTES_MAX;
            if whole || (read == 0 && !self.options.follow && !line.is_empty()) {
                self.take(&mut reader, &String::from_utf8_lossy(&line));
                line.clear();
            }
            if read == 0 {
                if !self.options.follow || length().is_none() {
                    return self.tell(true);
                }
                if length().is_some_and(|length| length < position) {
                    // Cut back in place, as by a rotation: all that it has now is new.
                    log.get_mut().to_start().context("the log cannot be read")?;
                    position = 0;
                    line.clear();
                }
                sleep(LOOK_EVERY);
            }
            if self.options.follow && last.elapsed() >= TELL_EVERY {
                last = Instant::now();
                self.tell(false)?;
            }
        }
    }

    fn take(&mut self, reader: &mut Reader, line: &str) {
        match reader.line(line) {
            Ok(Some(request)) => self.minutes.take(request),
            Ok(None) => {}
            Err(why) => {
                self.bad += 1;
                self.why.get_or_insert(why);
            }
        }
    }

    fn tell(&mut self, end: bool) -> anyhow::Result<()> {
        let counts = self.minutes.counts();
        if let Some(admin) = self.admin {
            self.send(admin)?;
        } else if self.options.json {
            println!("{}", self.as_json(&counts));
        } else {
            self.print(&counts);
        }
        if end {
            self.tell_lost();
        }
        Ok(())
    }

    /// A stretch is sent once, and again while it is followed so that it stays news.
    fn send(&mut self, admin: &Admin) -> anyhow::Result<()> {
        let Some(report) = self.minutes.report() else { return Ok(()) };
        let answer = match admin.post_json("/viewers/log", &serde_json::to_string(&report)?) {
            Ok(answer) => answer,
            // A proxy that is restarted meanwhile is told the next time.
            Err(error) if self.options.follow => {
                eprintln!("segue: {error:#}");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if answer.status != 200 {
            bail!("{} ({})", answer.body.trim(), answer.status);
        }
        if self.sent.replace(report.at.0) != Some(report.at.0) {
            let viewers: u64 = report.streams.iter().map(|one| one.viewers).sum();
            let answer: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let taken = answer.get("taken").and_then(Value::as_u64).unwrap_or(0);
            let (at, lanes) = (moment(report.at), report.streams.len());
            println!("{at}: {viewers} viewers on {lanes} lanes sent, {taken} of them known there");
        }
        Ok(())
    }

    fn as_json(&self, counts: &[StreamCount]) -> Value {
        let one = |of: &StreamCount| {
            json!({
                "host": of.host, "stream": of.stream, "viewers": of.viewers,
                "people": people(of.viewers, self.options.people_per_stream),
                "peak": of.peak.viewers, "peak_at": of.peak.at,
            })
        };
        let (late, beyond) = self.minutes.lost();
        json!({
            "window_seconds": self.options.window_seconds,
            "streams": counts.iter().map(one).collect::<Vec<_>>(),
            "lines_not_read": self.bad, "requests_late": late, "requests_beyond": beyond,
        })
    }

    fn print(&self, counts: &[StreamCount]) {
        let mut rows = vec![row(["STREAM", "HOST", "VIEWERS", "PEOPLE", "PEAK", "AT"])];
        for of in counts {
            rows.push(vec![
                of.stream.clone(),
                if of.host.is_empty() { "-".to_owned() } else { of.host.clone() },
                of.viewers.to_string(),
                people(of.viewers, self.options.people_per_stream).to_string(),
                of.peak.viewers.to_string(),
                moment(of.peak.at),
            ]);
        }
        print_rows(&rows);
    }

    fn tell_lost(&self) {
        let (late, beyond) = self.minutes.lost();
        if let Some(why) = self.why {
            eprintln!("segue: {} lines could not be read; of the first: {why}", self.bad);
        }
        if late > 0 {
            eprintln!("segue: {late} requests came too late to be counted");
        }
        if beyond > 0 {
            eprintln!("segue: {beyond} requests were too much to be counted");
        }
    }
}

/// What may be read again from its start.
trait MaybeSeek {
    fn to_start(&mut self) -> std::io::Result<()>;
}

impl MaybeSeek for File {
    fn to_start(&mut self) -> std::io::Result<()> {
        self.rewind()
    }
}

impl MaybeSeek for std::io::Stdin {
    fn to_start(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

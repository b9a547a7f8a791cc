//! What packagers say of themselves, each asked in a loop of its own: how much they carry, and
//! whether they are well. A packager that does not answer, or not in time, is not known, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::State;
use super::login::{Asker, Login, LoginError};
use crate::model::health::{Gauge, Health, Thresholds};
use crate::model::load::{Bound, Counts, Kind, LoadError, Reported, Stats, WowzaLoad};
use crate::origin::{AdminPlace, Client, OriginError, PageAsk};

/// Bytes of a report. A thousand streams of a Wowza are about half a megabyte.
const BYTES_MAX: u64 = 4 << 20;

/// Which program a packager is, and how it is asked what it carries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KindSpec {
    /// Which.
    pub kind: Kind,
    /// How it is asked; never, where none.
    pub report: Option<ReportSpec>,
    /// The first request for a stream may take so long before that counts as a failure.
    pub warm_up: Duration,
}

/// How a packager is asked what it carries.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportSpec {
    /// Where.
    pub place: AdminPlace,
    /// Path and query.
    pub path: String,
    /// User and password, where it wants them.
    pub login: Option<Login>,
    /// What of the answer counts.
    pub reads: Reads,
    /// From the end of one report to the next, give or take a tenth.
    pub interval: Duration,
    /// For one report, authentication included.
    pub timeout: Duration,
    /// Reports in a row that change the verdict.
    pub thresholds: Thresholds,
    /// Without a report it is down.
    pub must_answer: bool,
}

/// What of a report counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Reads {
    /// Of a Wowza's connection counts.
    Wowza(WowzaLoad),
    /// Of a Web Call Server's statistics: the key of its load, and the bounds beyond which it is down.
    Wcs(String, Vec<Bound>),
}

/// What is known of a packager by its own word.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its last good report, and when that came.
    pub last: Option<(Instant, Arc<Reported>)>,
    /// How much it carries, by that; none where it is not known (any more).
    pub load: Option<u64>,
    /// Why the load is not known, or the newest report is of no use. Empty where all is well.
    pub trouble: String,
}

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum ReportError {
    #[error("{0}")]
    Asked(#[from] LoginError),
    #[error("answered {0}")]
    Status(u16),
    #[error("its report {0}")]
    Read(#[from] LoadError),
}

/// Asks one packager.
pub(super) struct Reporter {
    state: Arc<State>,
    spec: ReportSpec,
    client: Arc<Client>,
    asker: Asker,
    answers: Gauge,
    bounds: Gauge,
    /// It counted something at some time, so that 0 means nobody.
    counted: bool,
    last: Option<(Instant, Arc<Reported>)>,
}

impl Reporter {
    pub(super) fn new(state: Arc<State>, spec: ReportSpec, client: Arc<Client>) -> Self {
        Self {
            state,
            spec,
            client,
            asker: Asker::default(),
            answers: Gauge::default(),
            bounds: Gauge::default(),
            counted: false,
            last: None,
        }
    }

    /// Runs until dropped.
    pub(super) async fn run(mut self) {
        loop {
            let deadline = self.spec.timeout;
            let result = timeout(deadline, self.ask()).await;
            let late = LoginError::from(OriginError::Timeout(deadline));
            self.take(result.unwrap_or(Err(late.into())));
            // Apart by a tenth either way, so that a fleet does not knock at the same moment.
            tokio::time::sleep(self.spec.interval.mul_f64(rand::random_range(0.9..1.1))).await;
        }
    }

    async fn ask(&mut self) -> Result<Reported, ReportError> {
        let ask = PageAsk {
            path: &self.spec.path,
            authorization: None,
            bytes_max: BYTES_MAX,
            deadline: self.spec.timeout,
        };
        let login = self.spec.login.as_ref();
        let page =
            self.asker.ask(&self.client, &self.state.id, &self.spec.place, login, ask).await?;
        if page.status != 200 {
            return Err(ReportError::Status(page.status));
        }
        Ok(match &self.spec.reads {
            Reads::Wowza(_) => Reported::Wowza(Counts::read(&page.body)?),
            Reads::Wcs(..) => Reported::Wcs(Stats::read(&page.body)?),
        })
    }

    /// One report came, or did not.
    fn take(&mut self, result: Result<Reported, ReportError>) {
        self.answers.observe(result.is_ok(), self.spec.thresholds);
        let (load, trouble) = match result {
            Ok(reported) => {
                let read = self.read(&reported);
                self.last = Some((Instant::now(), Arc::new(reported)));
                read
            }
            // One that is lost now and then changes nothing.
            Err(_) if self.answers.health() != Health::Down && self.last.is_some() => return,
            Err(error) => (None, error.to_string()),
        };
        let silent = self.spec.must_answer && self.answers.health() == Health::Down;
        let down = (silent || self.bounds.health() == Health::Down).then(|| trouble.clone());
        let last = self.last.clone();
        self.state.reports(Report { last, load, trouble }, down);
    }

    /// The load that a report tells, and what is wrong by it.
    fn read(&mut self, reported: &Reported) -> (Option<u64>, String) {
        match (&self.spec.reads, reported) {
            (Reads::Wowza(which), Reported::Wowza(counts)) => {
                self.counted |= counts.counts();
                let load = counts.load(*which, self.counted);
                let trouble = if load.is_none() { NOTHING_COUNTED } else { "" };
                (load, trouble.to_owned())
            }
            (Reads::Wcs(key, bounds), Reported::Wcs(stats)) => {
                let broken: Vec<String> =
                    bounds.iter().filter_map(|b| b.broken_by(stats)).collect();
                self.bounds.observe(broken.is_empty(), self.spec.thresholds);
                let load = stats.count(key);
                let trouble = match load {
                    _ if !broken.is_empty() => broken.join(", "),
                    None => format!("its report has no number {key}"),
                    Some(_) => String::new(),
                };
                (load, trouble)
            }
            _ => (None, String::new()),
        }
    }
}

/// A server in `httpOriginMode` switches its counts off, and so looks like one without viewers.
const NOTHING_COUNTED: &str = "it has counted nothing yet: nobody watches, or httpOriginMode is on";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::PackagerId;
    use crate::packagers::Membership;

    fn reporter(reads: Reads, must_answer: bool) -> Reporter {
        let state = State::new(
            PackagerId::new("a"),
            tokio::sync::watch::Sender::new(0),
            Membership::default(),
        );
        let spec = ReportSpec {
            place: AdminPlace { tls: false, host: None, port: 1 },
            path: "/".to_owned(),
            login: None,
            reads,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            thresholds: Thresholds { rise: 2, fall: 2 },
            must_answer,
        };
        Reporter::new(Arc::new(state), spec, Arc::new(Client::new([]).unwrap()))
    }

    fn stats(text: &str) -> Result<Reported, ReportError> {
        Stats::read(text.as_bytes()).map(Reported::Wcs).map_err(ReportError::from)
    }

    /// Health, load and trouble after each of these.
    fn after(reporter: &mut Reporter, all: &[Result<Reported, ReportError>]) -> Vec<String> {
        let shown = all.iter().map(|result| {
            reporter.take(result.clone());
            let inner = reporter.state.inner.lock();
            let report = inner.report.clone().unwrap();
            format!(
                "{:?} {:?} {} {}",
                inner.health,
                inner.load.map(|l| l.reported),
                report.trouble,
                inner.cause
            )
        });
        shown.collect()
    }

    #[test]
    fn a_report_that_is_lost_now_and_then_changes_nothing() {
        let wcs = || Reads::Wcs("connections_hls".to_owned(), Vec::new());
        let bad = || Err(ReportError::Status(500));
        let all = [stats("connections_hls=4"), bad(), bad(), stats("connections_hls=5"), bad()];
        for (must_answer, want) in [
            (
                false,
                [
                    "Unknown Some(4)  ",
                    "Unknown Some(4)  ",
                    "Unknown None answered 500 ",
                    "Unknown Some(5)  ",
                    "Unknown None answered 500 ",
                ],
            ),
            (
                true,
                [
                    "Unknown Some(4)  ",
                    "Unknown Some(4)  ",
                    "Down None answered 500 answered 500",
                    "Down Some(5)  answered 500",
                    "Down None answered 500 answered 500",
                ],
            ),
        ] {
            let got = after(&mut reporter(wcs(), must_answer), &all);
            assert_eq!(got, want, "{must_answer}");
        }
    }

    #[test]
    fn a_broken_bound_is_down_until_it_holds_again() {
        let bound = Bound::AtMost("degraded_streams_percent".to_owned(), 20.0);
        let mut reporter = reporter(Reads::Wcs("n".to_owned(), vec![bound]), false);
        let at = |percent: u32| stats(&format!("n=1\ndegraded_streams_percent={percent}"));
        let got = after(&mut reporter, &[at(20), at(50), at(51), at(0), at(0)]);
        let cause = |percent| format!("degraded_streams_percent is {percent}, over 20");
        assert_eq!(got[0], "Unknown Some(1)  ");
        assert_eq!(got[1], format!("Unknown Some(1) {} ", cause(50)));
        assert_eq!(got[2], format!("Down Some(1) {0} {0}", cause(51)));
        assert_eq!(got[3], format!("Down Some(1)  {}", cause(51)));
        assert_eq!(got[4], "Unknown Some(1)  ");
    }

    #[test]
    fn a_wowza_that_counts_nothing_is_not_idle() {
        let wowza = |current: u64| {
            let text = format!(
                "<WowzaMediaServer><ConnectionsCurrent>{current}</ConnectionsCurrent></WowzaMediaServer>"
            );
            Ok(Reported::Wowza(Counts::read(text.as_bytes()).unwrap()))
        };
        let mut reporter = reporter(Reads::Wowza(WowzaLoad::Connections), false);
        let got = after(&mut reporter, &[wowza(0), wowza(3), wowza(0)]);
        assert_eq!(got[0], format!("Unknown None {NOTHING_COUNTED} "));
        assert_eq!(got[1..], ["Unknown Some(3)  ", "Unknown Some(0)  "]);
    }
}

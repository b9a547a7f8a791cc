//! `segue watch URL...`: polls a live HLS stream like a player would and says what it breaks.
//!
//! `poll` runs one loop per media playlist, `fetch` gets what it lists, `report`
//! prints. What counts as a breach stands in `model::watch`.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

mod fetch;
mod poll;
mod report;

use crate::model::watch::multivariant::{Variant, variants};
use crate::model::watch::{Place, Variables, read_with};
use crate::outside::asked_to_stop;
use crate::outside::client::{Client, Url};
use poll::{Context, Judge};
use report::Report;

/// A URL that could not be watched while others could is asked again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Which segments are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Segments {
    /// Each once, and the sample again and again; of a long list that was there before, a sample.
    #[default]
    All,
    /// The newest and the oldest listed.
    Sample,
    /// None: only playlists are judged.
    None,
}

/// What to watch, and how to tell.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Multivariant or media playlists of one live stream, such as the same through several proxies.
    #[arg(required = true, value_name = "URL")]
    pub urls: Vec<String>,
    /// Stop after this many seconds (default: at the stream's end or at Ctrl-C).
    #[arg(long = "for", value_name = "SECONDS")]
    pub seconds: Option<u64>,
    /// One JSON object per line.
    #[arg(long)]
    pub json: bool,
    /// Which segments are fetched.
    #[arg(long, value_enum, default_value_t = Segments::All)]
    pub segments: Segments,
    /// The URLs lead to a load balancer before several proxies, so that one answer is of this proxy and the next
    /// of that: a list that begins elsewhere, or whose edge is a segment behind, is told once and is no breach.
    #[arg(long)]
    pub balanced: bool,
}

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No breach.
    Clean,
    /// At least one.
    Breached,
    /// No breach, but one of the URLs could never be watched.
    Unwatchable,
}

impl Outcome {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Breached => 1,
            Self::Unwatchable => 2,
        }
    }
}

/// Watches until the stream ends, the time is over or the process is asked to stop, and writes
/// what happens to `out`.
pub async fn run(options: &Options, out: Box<dyn Write + Send>) -> Outcome {
    let judge = Judge::new(Report::new(out, options.json), options.balanced);
    let several = options.urls.len() > 1;
    let context =
        Arc::new(Context::new(Client::new("segue-watch"), judge, options.segments, several));
    let mut starts = tokio::task::JoinSet::new();
    for (number, text) in options.urls.iter().enumerate() {
        match Url::parse(text) {
            Ok(url) => {
                let context = Arc::clone(&context);
                starts.spawn(async move {
                    let found = playlists(&context.client, number, &url).await;
                    (number, url, found)
                });
            }
            Err(why) => {
                context.judge.lock().is_away(number, text, why);
                return Outcome::Unwatchable;
            }
        }
    }
    let mut loops = tokio::task::JoinSet::new();
    let (mut began, mut away) = (None, Vec::new());
    while let Some(Ok((number, url, found))) = starts.join_next().await {
        match found {
            Ok(found) => {
                began.get_or_insert_with(|| context.now());
                loops.spawn(watch(Arc::clone(&context), found));
            }
            Err(why) => {
                context.judge.lock().is_away(number, &url.to_string(), why);
                away.push((number, url));
            }
        }
    }
    let Some(began) = began else { return Outcome::Unwatchable };
    for (number, url) in away {
        loops.spawn(watch_later(Arc::clone(&context), number, url));
    }
    let all_ended = async { while loops.join_next().await.is_some() {} };
    let limit = options.seconds.map_or(Duration::MAX, Duration::from_secs);
    let limit = limit.min(Duration::from_secs(u64::from(u32::MAX)));
    tokio::select! {
        () = all_ended => {}
        () = tokio::time::sleep(limit.saturating_sub(context.now().saturating_sub(began))) => {}
        () = asked_to_stop() => {}
    }
    loops.shutdown().await;
    let watched = context.now().saturating_sub(began);
    context.judge.lock().finish(watched)
}

/// A media playlist: which, where, what it is called, and the variables that it may import.
type Found = (Place, Url, String, Variables);

/// Watches the playlists of one URL until all have ended.
async fn watch(context: Arc<Context>, found: Vec<Found>) {
    let mut polls = Vec::new();
    for (place, url, title, mut variables) in found {
        variables.set_query(url.query());
        let mut judge = context.judge.lock();
        judge.observer.import(&place, variables);
        judge.begins(&place, &title, &url);
        drop(judge);
        polls.push(poll::playlist(Arc::clone(&context), place, url));
    }
    futures_util::future::join_all(polls).await;
}

/// The same of a URL that could not be watched when the others could: it is asked until it can.
async fn watch_later(context: Arc<Context>, number: usize, url: Url) {
    loop {
        tokio::time::sleep(AGAIN_AFTER).await;
        match playlists(&context.client, number, &url).await {
            Ok(found) => return watch(context, found).await,
            Err(why) => context.judge.lock().is_away(number, &url.to_string(), why),
        }
    }
}

/// The media playlists behind `url`: itself, or those that its multivariant playlist lists.
async fn playlists(client: &Client, number: usize, url: &Url) -> Result<Vec<Found>, String> {
    let (landed, body) = client.whole(url).await?;
    let text = String::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
    let place = |rendition: &str| Place { url: number, rendition: rendition.to_owned() };
    let mut variables = Variables::of_query(landed.query());
    let listed = variants(&text, &mut variables);
    if listed.is_empty() {
        let variables = Variables::of_query(landed.query());
        read_with(&text, &variables).map_err(|e| e.to_string())?;
        return Ok(vec![(place(""), url.clone(), "media playlist".to_owned(), variables)]);
    }
    let resolve =
        |v: Variant| Ok((place(&v.name), landed.join(&v.uri)?, v.title, variables.clone()));
    listed.into_iter().map(resolve).collect()
}

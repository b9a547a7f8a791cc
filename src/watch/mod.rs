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
}

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No breach.
    Clean,
    /// At least one.
    Breached,
    /// Nothing could be watched.
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
    let judge = Judge::new(Report::new(out, options.json));
    let several = options.urls.len() > 1;
    let context =
        Arc::new(Context::new(Client::new("segue-watch"), judge, options.segments, several));
    let mut loops = tokio::task::JoinSet::new();
    for (number, url) in options.urls.iter().enumerate() {
        match playlists(&context.client, number, url).await {
            Ok(found) => {
                for (place, url, title, mut variables) in found {
                    variables.set_query(url.query());
                    context.judge.lock().observer.import(&place, variables);
                    context.judge.lock().note(&place, &format!("watching {title} {url}"));
                    loops.spawn(poll::playlist(Arc::clone(&context), place, url));
                }
            }
            Err(why) => {
                let place = Place { url: number, rendition: String::new() };
                context.judge.lock().note(&place, &format!("cannot watch {url}: {why}"));
                return Outcome::Unwatchable;
            }
        }
    }
    let all_ended = async { while loops.join_next().await.is_some() {} };
    let limit = options.seconds.map_or(Duration::MAX, Duration::from_secs);
    tokio::select! {
        () = all_ended => {}
        () = tokio::time::sleep(limit.min(Duration::from_secs(u64::from(u32::MAX)))) => {}
        () = asked_to_stop() => {}
    }
    loops.shutdown().await;
    context.judge.lock().finish()
}

/// The media playlists behind `url`: itself, or those that its multivariant playlist lists.
async fn playlists(
    client: &Client,
    number: usize,
    url: &str,
) -> Result<Vec<(Place, Url, String, Variables)>, String> {
    let url = Url::parse(url)?;
    let (landed, body) = client.whole(&url).await?;
    let text = String::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
    let place = |rendition: &str| Place { url: number, rendition: rendition.to_owned() };
    let mut variables = Variables::of_query(landed.query());
    let listed = variants(&text, &mut variables);
    if listed.is_empty() {
        let variables = Variables::of_query(landed.query());
        read_with(&text, &variables).map_err(|e| e.to_string())?;
        return Ok(vec![(place(""), url, "media playlist".to_owned(), variables)]);
    }
    let resolve =
        |v: Variant| Ok((place(&v.name), landed.join(&v.uri)?, v.title, variables.clone()));
    listed.into_iter().map(resolve).collect()
}

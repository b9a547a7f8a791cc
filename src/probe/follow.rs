//! The task of one packager: what it has, then its list again and again, and its newest segment whenever
//! there is a new one.

use std::sync::Arc;
use std::time::Duration;

use super::Context;
use crate::model::lane::ByteRange;
use crate::model::media::{Container, Damage, inspect};
use crate::model::multivariant::{Asked, Multivariant};
use crate::model::names::UnixMs;
use crate::model::playlist::{Context as Around, Limits, MediaPlaylist, Shape, Variables};
use crate::model::playlist::{parse_with, shape};
use crate::model::probe::{Arrival, Inside, Probe, Seen, Wanted, Which};
use crate::outside::client::Url;

/// Before a packager that failed is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// Between looks at whether the other one has answered.
const WAITS: Duration = Duration::from_millis(100);
/// Failures in a row after which its multivariant playlist may say where the list is now.
const LOST: u32 = 3;
/// Segments kept of a list: borders and lengths are judged by its end.
const KEPT: usize = 64;
/// A segment is never larger, nor an init segment.
const SEGMENT_MAX: usize = 64 << 20;
const INIT_MAX: usize = 1 << 20;
/// Hosts that a multivariant playlist's URIs may lead to.
const HOSTS_MAX: usize = 16;

/// What a packager's URL led to.
struct Entry {
    landed: Url,
    variables: Variables,
}

/// An init segment, and what it was listed as.
type Init = (String, Option<ByteRange>, Vec<u8>);

/// Follows a packager until its stream ends.
pub async fn packager(context: Arc<Context>, which: Which, url: Url) {
    loop {
        match entry(&context, which, &url).await {
            Ok(entry) => list(&context, which, &url, &entry).await,
            Err(why) => {
                let now = context.now();
                context.note(|probe| probe.failed(which, now, &why));
            }
        }
        if context.ask(|probe| probe.has_ended(which)) {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Asks what it has.
async fn entry(context: &Context, which: Which, url: &Url) -> Result<Entry, String> {
    let (landed, body) = context.client.whole(url).await?;
    let shape = shape(&body).map_err(|why| why.to_string())?;
    if shape == Shape::Media {
        context.note(|probe| probe.reached(which, Probe::lone()));
        return Ok(Entry { landed, variables: Variables::default() });
    }
    let own_hosts = hosts(&landed, &body);
    let asked = Asked { path: landed.path(), own_hosts: &own_hosts };
    let multivariant = Multivariant::read(&body, &Limits::default(), &asked);
    let multivariant = multivariant.map_err(|why| why.to_string())?;
    let variables = multivariant.variables().clone();
    context.note(|probe| probe.reached(which, multivariant.found));
    Ok(Entry { landed, variables })
}

/// All that its URIs lead to: media may lie on other hosts than lists.
fn hosts(landed: &Url, body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    let ends = |c: char| matches!(c, '/' | '?' | '"' | ',') || c.is_whitespace();
    let named = text.split("://").skip(1).filter_map(|rest| rest.split(ends).next());
    let mut hosts = vec![landed.host().to_owned()];
    for host in named.map(str::to_owned) {
        if !hosts.contains(&host) && hosts.len() < HOSTS_MAX {
            hosts.push(host);
        }
    }
    hosts
}

/// Follows the list that was chosen, until it ends or cannot be had any more.
async fn list(context: &Context, which: Which, url: &Url, entry: &Entry) {
    let mut failures = 0;
    let mut asked_before: Option<UnixMs> = None;
    let mut init: Option<Init> = None;
    while failures < LOST && !context.ask(|probe| probe.has_ended(which)) {
        let chosen = context.ask(|probe| probe.chosen(which).map(|found| found.uri.clone()));
        let Some(uri) = chosen else {
            tokio::time::sleep(WAITS).await;
            continue;
        };
        let asked = context.now();
        match media(context, url, entry, &uri).await {
            Ok((landed, list)) => {
                failures = 0;
                let at = Arrival { after: asked_before.replace(asked), before: context.now() };
                let wanted = context.note(|probe| probe.listed(which, &list, at));
                if let Some(wanted) = wanted {
                    let inside = look(context, &landed, &wanted, &mut init).await;
                    context.note(|probe| probe.looked(which, Seen { wanted, inside }));
                }
                let now = context.now();
                let pause = context.ask(|probe| probe.pause(which, now));
                tokio::time::sleep(pause).await;
            }
            Err(why) => {
                failures += 1;
                asked_before = None;
                context.note(|probe| probe.failed(which, asked, &why));
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

async fn media(
    context: &Context,
    url: &Url,
    entry: &Entry,
    uri: &str,
) -> Result<(Url, MediaPlaylist), String> {
    let url = if uri.is_empty() { url.clone() } else { entry.landed.join(uri)? };
    let (landed, body) = context.client.whole(&url).await?;
    let query = Some(landed.query()).filter(|query| !query.is_empty());
    let around = Around { imports: &entry.variables, query };
    let limits = Limits { kept: KEPT, ..Limits::default() };
    let list = parse_with(&body, &limits, &around).map_err(|why| why.to_string())?;
    Ok((landed, list))
}

/// Fetches a segment, and its init segment where that is another one, and looks into it.
async fn look(context: &Context, list: &Url, wanted: &Wanted, init: &mut Option<Init>) -> Inside {
    if wanted.encrypted {
        return Inside::Encrypted;
    }
    match fetch(context, list, wanted, init).await {
        Err(why) => Inside::Damaged(why),
        Ok(bytes) => {
            let container = match init {
                Some((_, _, init)) => Container::Fmp4 { init },
                None => Container::Ts,
            };
            match inspect(container, &bytes) {
                Ok(content) => Inside::Content(content),
                Err(Damage::Encrypted) => Inside::Encrypted,
                Err(damage) => Inside::Damaged(damage.to_string()),
            }
        }
    }
}

async fn fetch(
    context: &Context,
    list: &Url,
    wanted: &Wanted,
    init: &mut Option<Init>,
) -> Result<Vec<u8>, String> {
    let part = |range: Option<ByteRange>| range.map(|range| (range.length, range.offset));
    let get = async |max, uri: &str, range| {
        let (_, bytes) = context.client.up_to(max, &list.join(uri)?, part(range)).await?;
        Ok::<_, String>(bytes)
    };
    match wanted.segment.map.as_deref() {
        None => *init = None,
        Some(map) => {
            let known =
                init.as_ref().is_some_and(|(uri, range, _)| (uri, range) == (&map.uri, &map.range));
            if !known {
                let bytes = get(INIT_MAX, &map.uri, map.range).await;
                let bytes =
                    bytes.map_err(|why| format!("its init segment could not be had: {why}"))?;
                *init = Some((map.uri.clone(), map.range, bytes));
            }
        }
    }
    let segment = &wanted.segment;
    let bytes = get(SEGMENT_MAX, &segment.uri, segment.range).await;
    bytes.map_err(|why| format!("it could not be had: {why}"))
}

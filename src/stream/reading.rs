//! A packager's media playlist as it came, to a snapshot with resolved resources.

use crate::model::lane::{Listed, Resource, Snapshot};
use crate::model::playlist::{self, Limits};
use crate::model::uri;

/// Reads a media playlist that was fetched from `base`. The error is one line for the log.
pub fn snapshot(
    body: &[u8],
    base: &str,
    hosts: &[String],
    limits: &Limits,
) -> Result<Snapshot, String> {
    let list = playlist::parse(body, limits).map_err(|e| e.to_string())?;
    let resolve = |uri: &str| uri::resolve(base, uri, hosts).map_err(|e| e.to_string());
    let segments = list
        .segments
        .into_iter()
        .map(|segment| {
            let path = resolve(&segment.uri)?;
            let map = segment
                .map
                .as_ref()
                .map(|m| Ok::<_, String>(Resource { path: resolve(&m.uri)?, range: m.range }));
            Ok(Listed {
                resource: Resource { path, range: segment.range },
                map: map.transpose()?,
                segment,
            })
        })
        .collect::<Result<Vec<_>, String>>()?;
    Ok(Snapshot { target_duration: list.target_duration, ended: list.ended, segments })
}

//! Hosts that pin to a zone, as set-ups do that have a host name for each.

use super::super::hosts;
use super::super::section::Section;
use super::Packager;
use crate::model::url_base::UrlBase;

/// Reads `zone_hosts`: each host with its zone, in the order of the file. They lead to this pool; that
/// `hosts` names one of them as well is harmless.
pub(super) fn read(section: &Section<'_>, pool_hosts: &[String]) -> Vec<(String, String)> {
    let mut read: Vec<(String, String)> = Vec::new();
    for (path, host, zone) in section.names("zone_hosts") {
        let result = hosts::host_pattern(&host).and_then(|host| {
            if host.contains('*') {
                return Err("wants an exact name: `hosts` takes patterns, this does not".to_owned());
            }
            let zone = hosts::id(zone)?;
            if read.iter().any(|(other, _)| *other == host) {
                return Err("stands twice: names of hosts do not differ by case".to_owned());
            }
            if !pool_hosts.contains(&host) {
                section.report.claim("host", &host, &path)?;
            }
            Ok((host, zone))
        });
        match result {
            Ok(pair) => read.push(pair),
            Err(why) => section.report.error(&path, why),
        }
    }
    read
}

/// What must hold between them and the rest of the pool.
pub(super) fn check(
    section: &Section<'_>,
    zone_hosts: &[(String, String)],
    url_base: Option<&UrlBase>,
    packagers: &[Packager],
) {
    let mut zones: Vec<&str> =
        packagers.iter().map(|p| p.zone.as_str()).filter(|zone| !zone.is_empty()).collect();
    zones.sort_unstable();
    zones.dedup();
    for (host, zone) in zone_hosts {
        let path = section.path.key("zone_hosts").key(host);
        if !zones.contains(&zone.as_str()) {
            let there = if zones.is_empty() { "none".to_owned() } else { zones.join(", ") };
            let text = format!(
                "no packager of this pool is configured in zone {zone}, so its viewers get those of other zones; zones here: {there}"
            );
            section.report.warning(&path, text);
        }
        let sent = url_base.map(|base| base.host(zone));
        let other = zone_hosts.iter().find(|(h, z)| sent.as_ref() == Some(h) && z != zone);
        if let Some((elsewhere, other)) = other {
            let text = format!(
                "sends viewers of zone {zone} to {elsewhere}, which zone_hosts says is {other}; let {{zone}} stand in it where the zone does in the host names"
            );
            section.error("url_base", text);
        }
    }
}

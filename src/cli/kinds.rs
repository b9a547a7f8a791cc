//! How each packager is asked: the second table of `segue check`.

use segue::config::{HealthChecks, Packager, PackagerKind, Pool};
use segue::model::load::WowzaLoad;

/// One row a packager: id, kind, health check, report.
pub fn rows(pools: &[Pool]) -> Vec<Vec<String>> {
    let head = ["PACKAGER", "KIND", "HEALTH CHECK", "REPORT"].map(str::to_owned).to_vec();
    let all = pools.iter().flat_map(|pool| pool.packagers.iter().map(move |p| (pool, p)));
    let row = |(pool, p): (&Pool, &Packager)| {
        vec![p.id.to_string(), p.kind.kind().as_str().to_owned(), health(&pool.health), report(p)]
    };
    std::iter::once(head).chain(all.map(row)).collect()
}

fn health(health: &HealthChecks) -> String {
    let mut text = match &health.path {
        Some(path) => format!("{path} answers {}", health.expect_status),
        None => "connects".to_owned(),
    };
    if let Some(playlist) = &health.playlist {
        text += &format!(", {playlist} moves within {} s", health.playlist_stands.as_secs());
    }
    format!("{text}, every {} s", health.interval.as_secs())
}

fn report(packager: &Packager) -> String {
    let Some(report) = packager.kind.report() else { return "-".to_owned() };
    let place = match &report.admin {
        Some(admin) => admin.to_string(),
        None => {
            let url = &packager.url;
            let host =
                if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
            format!("http://{host}:{}", packager.kind.kind().admin_port().unwrap_or(80))
        }
    };
    let login = report.login.as_ref().map_or(String::new(), |(user, _)| format!(" as {user}"));
    let load = match &packager.kind {
        PackagerKind::Wcs { load, .. } => load.as_str(),
        PackagerKind::Wowza { load: WowzaLoad::Sessions, .. } => "sessions",
        PackagerKind::Wowza { load: WowzaLoad::HlsSessions, .. } => "hls_sessions",
        PackagerKind::Wowza { .. } | PackagerKind::Generic => "connections",
    };
    let must = if report.must_answer { ", must answer" } else { "" };
    let every = report.interval.as_secs();
    format!("{place}{}{login}, every {every} s, load: {load}{must}", report.path)
}

//! How each packager is asked: the second table of `segue check`.

use segue::config::{HealthChecks, Packager, PackagerKind, PackagerUrl, Pool};
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
    let every = health.interval.as_secs();
    let answers = match &health.path {
        Some(path) => format!("{path} answers {}", health.expect_status),
        None => "connects".to_owned(),
    };
    match &health.playlist {
        None => format!("{answers}, every {every} s"),
        Some(playlist) => {
            let stands = health.playlist_stands.as_secs();
            format!("{answers}, {playlist} moves within {stands} s, every {every} s")
        }
    }
}

fn report(packager: &Packager) -> String {
    let Some(report) = packager.kind.report() else { return "-".to_owned() };
    let own = || PackagerUrl {
        tls: false,
        host: packager.url.host.clone(),
        port: packager.kind.kind().admin_port().unwrap_or(80),
    };
    let place = report.admin.clone().unwrap_or_else(own);
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

#[cfg(test)]
mod tests {
    use segue::config::Config;

    #[test]
    fn how_each_is_asked() {
        let text = "pools: [{ name: live, health: { path: /, playlist: /x.m3u8 }, packagers: [\
            { id: a, url: \"http://[::1]:1935\", wowza: { user: u, password: secret } },\
            { id: b, url: \"http://b:8082\", wcs: { admin: \"https://adm\", load: connections, must_answer: true } },\
            { id: c, url: \"http://c\" }] }]";
        let config = Config::parse("f", text, &|_| None).unwrap();
        let rows = super::rows(&config.pools);
        let reports: Vec<&str> = rows.iter().map(|row| row[3].as_str()).collect();
        assert_eq!(
            reports,
            [
                "REPORT",
                "http://[::1]:8086/connectioncounts as u, every 5 s, load: connections",
                "https://adm/?action=stat, every 5 s, load: connections, must answer",
                "-",
            ]
        );
        assert_eq!(rows[1][1..3], ["wowza", "/ answers 200, /x.m3u8 moves within 30 s, every 2 s"]);
    }
}

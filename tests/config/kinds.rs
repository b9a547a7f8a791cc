//! Kinds of packagers: what a file says of them, and what is told of a wrong one.

use segue::config::PackagerKind;
use segue::model::load::{Bound, Kind, WowzaLoad};

use crate::{parse, said};

fn with(keys: &str) -> String {
    format!(
        "pools:\n- name: live\n  packagers:\n  - id: a\n    url: \"http://a:1935\"\n    {keys}\n"
    )
}

fn kind(keys: &str) -> PackagerKind {
    let config = parse(&with(keys)).unwrap_or_else(|why| panic!("{keys}: {why}"));
    config.pools[0].packagers[0].kind.clone()
}

#[test]
fn kinds() {
    for (keys, want) in [
        ("weight: 1", Kind::Generic),
        ("wowza: {}", Kind::Wowza),
        ("wowza:", Kind::Wowza),
        ("wcs: {}", Kind::Wcs),
    ] {
        let kind = kind(keys);
        assert_eq!(kind.kind(), want, "{keys}");
        let path = kind.report().map(|r| (r.path.as_str(), r.must_answer, r.fall));
        let own = want.admin_path().map(|path| (path, false, 3));
        assert_eq!(path, own, "{keys}");
    }
}

#[test]
fn what_is_set() {
    let keys = "wowza: { admin: \"https://w:8087\", path: \"/connectioncounts?flat\", user: u, password: \"${KEY}\", load: hls_sessions, must_answer: true }";
    let PackagerKind::Wowza { report, load } = kind(keys) else { panic!("no Wowza") };
    let admin = report.admin.unwrap();
    assert_eq!((admin.tls, admin.host.as_str(), admin.port), (true, "w", 8087));
    assert_eq!((load, report.must_answer), (WowzaLoad::HlsSessions, true));
    assert!(
        report
            .login
            .as_ref()
            .is_some_and(|(user, password)| user == "u" && password.reveal().starts_with("MDE"))
    );
    assert!(!format!("{:?}", report.login).contains("MDE"), "a password is never printed");

    let most = |key: &str, n| Bound::AtMost(key.to_owned(), n);
    let degraded = |n| most("degraded_streams_percent", n);
    let least = Bound::AtLeast("ports_media_free".to_owned(), 10.0);
    for (keys, want) in [
        ("wcs: {}", vec![degraded(20.0)]),
        ("wcs: { at_most: { degraded_streams_percent: 50.5 } }", vec![degraded(50.5)]),
        (
            "wcs: { at_most: { core_threads: \"900\" }, at_least: { ports_media_free: 10 } }",
            vec![degraded(20.0), most("core_threads", 900.0), least],
        ),
        (
            "wcs: { at_most: { connection_websocket: 5 } }",
            vec![degraded(20.0), most("connections_websocket", 5.0)],
        ),
    ] {
        let PackagerKind::Wcs { bounds, load, .. } = kind(keys) else { panic!("no WCS") };
        assert_eq!((bounds, load.as_str()), (want, "connections_hls"), "{keys}");
    }
}

#[test]
fn what_is_wrong() {
    for (keys, told) in [
        (
            "wowza: {}\n    wcs: {}",
            "f.yaml:7: pools[0].packagers[0].wcs: stands beside `wowza`: a packager is one of them",
        ),
        (
            "wowza: yes please",
            "f.yaml:6: pools[0].packagers[0].wowza: wants a map of keys, this is text",
        ),
        (
            "wowza: { user: u }",
            "f.yaml:6: pools[0].packagers[0].wowza.user: stands without `password`",
        ),
        (
            "wcs: { password: p }",
            "f.yaml:6: pools[0].packagers[0].wcs.password: stands without `user`",
        ),
        (
            "wowza: { load: viewers }",
            "f.yaml:6: pools[0].packagers[0].wowza.load: `viewers` is not one of connections, sessions, hls_sessions",
        ),
        (
            "wowza: { path: counts }",
            "f.yaml:6: pools[0].packagers[0].wowza.path: `counts` is no path; it begins with /",
        ),
        (
            "wcs: { load: a b }",
            "f.yaml:6: pools[0].packagers[0].wcs.load: `a b` is no key of its statistics, such as streams_viewers",
        ),
        (
            "wcs: { at_most: [1] }",
            "f.yaml:6: pools[0].packagers[0].wcs.at_most: wants a map of names to numbers; this is a list",
        ),
        (
            "wcs: { at_most: { core_threads: many } }",
            "f.yaml:6: pools[0].packagers[0].wcs.at_most.core_threads: wants a number; this is text",
        ),
        (
            "wcs: { must_answer: 1 }",
            "f.yaml:6: pools[0].packagers[0].wcs.must_answer: wants true or false; this is a number",
        ),
        (
            "wcs: { warm_up: 1 }",
            "f.yaml:6: pools[0].packagers[0].wcs.warm_up: unknown key; known here: load, at_most, at_least, admin, path, user, password, interval_seconds, timeout_seconds, rise, fall, must_answer, warm_up_seconds",
        ),
    ] {
        let said = said(&with(keys));
        assert_eq!(said, told, "{keys}");
    }
    let said = said(&with("wowza: { admin: \"http://u:secret@w:8086\" }"));
    assert!(
        said.contains("wowza.admin: is no URL of a server") && !said.contains("secret"),
        "{said}"
    );
}

#[test]
fn a_pool_takes_the_queries_of_its_kinds_unless_others_are_named() {
    let queries = |keys: &str, kinds: &str| {
        let text = format!("pools:\n- name: live\n  {keys}\n  packagers: [{kinds}]\n");
        let config = parse(&text).unwrap();
        let pool = &config.pools[0];
        (pool.identity_queries.join(" "), pool.auth.queries.join(" "))
    };
    let (wowza, wcs) =
        ("{ id: a, url: \"http://a\", wowza: {} }", "{ id: b, url: \"http://b\", wcs: {} }");
    let both = format!("{wowza}, {wcs}");
    let named = "auth: per_viewer\n  auth_queries: [token]\n  identity_queries: [cam]";
    for (keys, kinds, identity, authentication) in [
        ("auth: per_viewer", wowza, "DVR", "wowzatoken*"),
        ("auth: per_viewer", wcs, "", "aclAuth appKey"),
        ("auth: per_viewer", &both, "DVR", "aclAuth appKey wowzatoken*"),
        ("auth: per_viewer", "{ id: c, url: \"http://c\" }", "DVR", ""),
        ("auth: none", &both, "DVR", ""),
        (named, &both, "cam", "token"),
    ] {
        let want = (identity.to_owned(), authentication.to_owned());
        assert_eq!(queries(keys, kinds), want, "{keys} {kinds}");
    }
}

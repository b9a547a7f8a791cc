//! How many watch: by stream, packager and zone, from every source, kept over restarts.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::packager::Packager;
use crate::pollers::{Player, Pollers, join, media_path};
use crate::proxy::Proxy;
use crate::{http, wait_for};

const EVERY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

async fn stand(change: impl FnOnce(Proxy) -> Proxy) -> (Packager, Packager, Proxy) {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let b = Packager::fake("b").segments_of(2000, 2).shifted(700).live();
    let proxy = change(Proxy::over(&[&a, &b])).start().await;
    (a, b, proxy)
}

/// Each with a User-Agent of its own.
fn players(count: usize) -> Vec<Player> {
    (0..count).map(|n| Player::agent(&format!("player-{n}"))).collect()
}

async fn viewers(proxy: &Proxy) -> Value {
    proxy.status().await["viewers"].take()
}

/// What stands at `name` in the list `of`.
fn of(viewers: &Value, list: &str, name: (&str, &str)) -> Value {
    let found = viewers[list].as_array().unwrap().iter().find(|one| one[name.0] == name.1);
    found.cloned().unwrap_or_default()
}

async fn until(proxy: &Proxy, what: &str, met: impl Fn(&Value) -> bool) -> Value {
    let seen = parking_lot::Mutex::new(Value::Null);
    let looks = || async {
        let now = viewers(proxy).await;
        let met = met(&now);
        *seen.lock() = now;
        met
    };
    let waited = wait_for(what, PATIENCE, looks).await;
    let seen = seen.into_inner();
    waited.unwrap_or_else(|e| panic!("{e}: {seen:#}"));
    seen
}

#[tokio::test]
async fn fifty_behind_one_address_are_estimated_within_15_percent() {
    let (_a, _b, proxy) = stand(|proxy| proxy).await;
    let alike = vec![Player::agent("the same"); 50];
    let crowd = Pollers::join(proxy.port(), "cam", alike, EVERY).await;
    until(&proxy, "most to be seen", |v| v["now"].as_u64() > Some(30)).await;
    // A window later nothing is made up for any more; then a window's worth of looks.
    let mut seen = Vec::new();
    for asked_by_each in 9..14 {
        let goes_on = || async { crowd.asked() >= 50 * asked_by_each };
        wait_for("requests", PATIENCE, goes_on).await.unwrap();
        seen.push(viewers(&proxy).await["now"].as_u64().unwrap());
    }
    seen.sort_unstable();
    let median = seen[seen.len() / 2];
    assert!((43..=57).contains(&median), "50 are told as {median}: {seen:?}");
    let stream = of(&viewers(&proxy).await, "streams", ("stream", "/cam/playlist.m3u8"));
    assert_eq!(
        (&stream["sources"]["sessions"], &stream["sources"]["cmcd"]),
        (&0.into(), &0.into())
    );
    drop(crowd);
    until(&proxy, "all to be gone", |v| v["now"] == 0 && v["people"] == 0).await;
}

/// Behind a load balancer all have its address, some a User-Agent of their own.
#[tokio::test]
async fn behind_a_load_balancer_requests_alone_tell() {
    let (_a, _b, proxy) = stand(|proxy| proxy).await;
    let behind = |n| {
        let headers = format!("User-Agent: {}\r\nX-Forwarded-For: 192.0.2.1\r\n", n % 10);
        Player { headers, query: String::new() }
    };
    let crowd = Pollers::join(proxy.port(), "cam", (0..20).map(behind).collect(), EVERY).await;
    wait_for("requests", PATIENCE, || async { crowd.asked() >= 20 * 9 }).await.unwrap();
    let now = viewers(&proxy).await["now"].as_u64().unwrap();
    assert!((17..=23).contains(&now), "20 are told as {now}");
}

#[tokio::test]
async fn counts_follow_their_lane_over_a_splice_and_peaks_outlive_a_kill() {
    let (a, _b, mut proxy) = stand(|proxy| proxy.pool_setting("people_per_stream: 1.5")).await;
    let crowd = Pollers::join(proxy.port(), "cam", players(6), EVERY).await;
    let more = Pollers::join(proxy.port(), "other", players(2), EVERY).await;
    let here = until(&proxy, "eight on a", |v| {
        of(v, "packagers", ("packager", "a"))["now"] == 8 && v["now"] == 8
    })
    .await;
    assert_eq!(here["people"], 12);
    assert_eq!(of(&here, "pools", ("pool", "live"))["now"], 8);
    assert_eq!(of(&here, "zones", ("zone", "here"))["now"], 8);
    assert_eq!(of(&here, "streams", ("stream", "/cam/playlist.m3u8"))["now"], 6);
    assert_eq!(of(&here, "streams", ("stream", "/other/playlist.m3u8"))["now"], 2);
    a.kill().await;
    let there =
        until(&proxy, "all eight on b", |v| of(v, "packagers", ("packager", "b"))["now"] == 8)
            .await;
    let left = of(&there, "packagers", ("packager", "a"));
    assert_eq!((&left["now"], &left["peak"]), (&0.into(), &8.into()), "{there:#}");
    assert_eq!(of(&there, "zones", ("zone", "there"))["now"], 8);
    assert_eq!(there["now"], 8, "nobody is counted twice for it");
    assert_eq!(proxy.metric("segue_packager_viewers{packager=\"b\"}").await.to_string(), "8");
    let stream = "{pool=\"live\",stream=\"/cam/playlist.m3u8\"}";
    assert_eq!(proxy.metric(&format!("segue_viewers{stream}")).await.to_string(), "6");
    assert_eq!(proxy.metric("segue_people{pool=\"live\"}").await.to_string(), "12");
    let event = of(&there, "streams", ("stream", "/cam/playlist.m3u8"))["event"].clone();
    drop(more);
    until(&proxy, "two to be gone", |v| v["now"] == 6).await;

    // Seconds are lost at the most, and these are older.
    proxy.kill();
    proxy.start_again().await;
    let back = until(&proxy, "six again", |v| v["now"] == 6).await;
    assert_eq!((&back["peak"], &back["peak_at"]), (&here["peak"], &here["peak_at"]));
    assert_eq!(of(&back, "packagers", ("packager", "a"))["peak"], 8);
    let again = of(&back, "streams", ("stream", "/cam/playlist.m3u8"))["event"].clone();
    assert_eq!((&again["began"], &again["peak"]), (&event["began"], &6.into()), "the same event");
    drop(crowd);
}

#[tokio::test]
async fn an_event_is_over_when_nobody_has_watched_for_a_while() {
    let (_a, _b, proxy) = stand(|proxy| proxy.pool_setting("event_gap_seconds: 10")).await;
    let crowd = Pollers::join(proxy.port(), "cam", players(3), EVERY).await;
    until(&proxy, "three", |v| v["now"] == 3).await;
    drop(crowd);
    let over =
        until(&proxy, "the event to end", |v| !v["events"].as_array().unwrap().is_empty()).await;
    let event = &over["events"][0];
    assert_eq!((&event["stream"], &event["peak"]), (&"/cam/playlist.m3u8".into(), &3.into()));
    assert!(event["began"].as_u64() < event["ended"].as_u64(), "{event}");
    assert_eq!(over["streams"][0]["event"], Value::Null);
    let _crowd = Pollers::join(proxy.port(), "cam", players(1), EVERY).await;
    let next = until(&proxy, "the next event", |v| v["now"] == 1).await;
    let began = &next["streams"][0]["event"]["began"];
    assert!(began.as_u64() > event["ended"].as_u64(), "{next:#}");
    assert_eq!((&next["streams"][0]["event"]["peak"], &next["peak"]), (&1.into(), &3.into()));
}

#[tokio::test]
async fn sessions_are_counted_exactly() {
    let (_a, _b, proxy) = stand(|proxy| proxy.pool_setting("sessions: viewer")).await;
    let alike = Player::agent("the same");
    let (one, two) =
        (join(proxy.port(), "cam", &alike).await, join(proxy.port(), "cam", &alike).await);
    assert_eq!(one.header("cache-control"), Some("private, no-store"));
    assert_ne!(media_path("cam", &one), media_path("cam", &two), "each has URLs of his own");
    // These two came and asked for nothing more: they do not watch.
    let crowd = Pollers::join(proxy.port(), "cam", vec![alike; 30], EVERY).await;
    until(&proxy, "thirty", |v| v["now"] == 30).await;
    let asked = crowd.asked();
    wait_for("everybody to ask three times more", PATIENCE, || async {
        crowd.asked() >= asked + 90
    })
    .await
    .unwrap();
    let now = viewers(&proxy).await;
    let stream = of(&now, "streams", ("stream", "/cam/playlist.m3u8"));
    assert_eq!((&now["now"], &stream["sources"]["sessions"]), (&30.into(), &30.into()), "{now:#}");
    assert_eq!((&now["peak"], &stream["sources"]["estimated"]), (&30.into(), &0.into()), "{now:#}");
}

#[tokio::test]
async fn players_that_send_a_session_id_are_counted_by_it() {
    let (_a, _b, proxy) = stand(|proxy| proxy).await;
    let mut players = vec![];
    for n in 0..8 {
        let query = format!("?CMCD=bl%3D2000%2Csid%3D%22query-{n}%22%2Csf%3Dh");
        players.push(Player { query, ..Player::agent("the same") });
    }
    for n in 0..3 {
        let headers =
            format!("User-Agent: the same\r\nCMCD-Session: cid=\"x\",sid=\"header-{n}\"\r\n");
        players.push(Player { headers, query: String::new() });
    }
    // Two screens of one session.
    players.push(players[0].clone());
    // And some who send none.
    players.extend([Player::agent("another"), Player::agent("a third")]);
    let _crowd = Pollers::join(proxy.port(), "cam", players, EVERY).await;
    let now = until(&proxy, "thirteen", |v| v["now"] == 13).await;
    let stream = of(&now, "streams", ("stream", "/cam/playlist.m3u8"));
    assert_eq!(now["streams"].as_array().unwrap().len(), 1, "the query names no other stream");
    assert_eq!(
        (&stream["sources"]["cmcd"], &stream["sources"]["estimated"]),
        (&11.into(), &2.into())
    );
}

#[tokio::test]
async fn beyond_the_limit_newcomers_are_refused_and_nobody_else() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let c = Packager::fake("c").segments_of(2000, 2).live();
    let mut proxy = Proxy::over(&[&a])
        .pool_setting("hosts: [localhost]")
        .pool_setting("sessions: viewer")
        .pool_setting("limits: { viewers: 3 }");
    proxy.write();
    let other = format!(
        "  - name: other\n    hosts: [other.example]\n    packagers:\n      - {{ id: c, url: \"http://127.0.0.1:{}\" }}\n",
        c.port()
    );
    let text = std::fs::read_to_string(proxy.file()).unwrap() + &other;
    std::fs::write(proxy.file(), text).unwrap();
    proxy.start_again().await;
    let crowd = Pollers::join(proxy.port(), "cam", players(3), EVERY).await;
    for stream in ["cam", "another"] {
        let refused = join(proxy.port(), stream, &Player::agent("late")).await;
        assert_eq!((refused.status, refused.text().as_str()), (503, "at capacity\n"));
        assert!(refused.header("retry-after").is_some());
        assert_eq!(refused.header("cache-control"), Some("no-store"));
    }
    // Also once they were counted, and they go on.
    until(&proxy, "three", |v| v["now"] == 3).await;
    assert_eq!(join(proxy.port(), "cam", &Player::default()).await.status, 503);
    let asked = crowd.asked();
    wait_for("them to go on", PATIENCE, || async { crowd.asked() >= asked + 6 }).await.unwrap();
    let unharmed = http::get_from(proxy.port(), "/cam/playlist.m3u8", "Host: other.example\r\n");
    assert_eq!(unharmed.await.unwrap().status, 200);
    assert_eq!(proxy.metric("segue_viewers_refused_total{pool=\"live\"}").await.to_string(), "3");
    assert_eq!(viewers(&proxy).await["refused"], 3);
    drop(crowd);
    until(&proxy, "room", |v| v["now"] == 0).await;
    assert_eq!(join(proxy.port(), "cam", &Player::default()).await.status, 200);
}

#[tokio::test]
async fn a_cdn_s_log_counts_where_it_saw_more() {
    let (_a, _b, proxy) = stand(Proxy::with_admin_token).await;
    let entry = join(proxy.port(), "cam", &Player::default()).await;
    let path = media_path("cam", &entry);
    assert_eq!(proxy.get(&path).await.unwrap().status, 200);
    // Forty viewers of the lane that somebody asked for through the CDN.
    let mut log = "#Version: 1.0\n#Fields: date time c-ip cs-method cs(Host) cs-uri-stem sc-status cs(User-Agent)\n".to_owned();
    for n in 0..80 {
        let address = n % 40;
        log += &format!(
            "2026-03-01\t12:00:{:02}\t192.0.2.{address}\tGET\tlocalhost\t{path}\t200\tX\n",
            n % 60
        );
    }
    let file = proxy.dir().join("cdn.log");
    std::fs::write(&file, log).unwrap();
    let sent = Command::new(env!("CARGO_BIN_EXE_segue"))
        .args(["viewers", "--send", "--from-log"])
        .arg(&file)
        .arg("--conf")
        .arg(proxy.file())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&sent.stdout).into_owned();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    assert_eq!(said, "2026-03-01 12:00:00: 40 viewers on 1 lanes sent, 1 of them known there\n");
    let now = until(&proxy, "forty", |v| v["now"] == 40).await;
    let stream = of(&now, "streams", ("stream", "/cam/playlist.m3u8"));
    assert_eq!((&stream["sources"]["log"], &stream["now"]), (&40.into(), &40.into()));
    assert_eq!(of(&now, "packagers", ("packager", "a"))["now"], 40, "{now:#}");
    // It wants the token, and a report.
    assert_eq!(proxy.post("/viewers/log", "").await.status, 401);
    let right = format!("Authorization: Bearer {}\r\n", crate::proxy::ADMIN_TOKEN);
    assert_eq!(proxy.post("/viewers/log", &right).await.status, 400);
    let told = Command::new(env!("CARGO_BIN_EXE_segue"))
        .args(["viewers", "--conf"])
        .arg(proxy.file())
        .output();
    let told = String::from_utf8(told.unwrap().stdout).unwrap();
    let line = told.lines().find(|l| l.starts_with("/cam/playlist.m3u8")).unwrap();
    assert_eq!(
        line.split_whitespace().take(5).collect::<Vec<_>>(),
        ["/cam/playlist.m3u8", "live", "40", "68", "40"]
    );
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let (_a, _b, proxy) = stand(|proxy| proxy).await;
    for path in ["/", "/viewers"] {
        let page = proxy.admin(path).await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        let text = page.text();
        assert!(text.contains("status.json") && text.contains("viewport"));
        for foreign in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!text.contains(foreign), "{foreign}");
        }
    }
    let full = proxy.metric("segue_proxy_utilisation").await;
    assert!((0.0..1.0).contains(&full), "{full}");
    let status = proxy.status().await;
    assert!(status["utilisation"]["proxy"].is_number(), "{}", status["utilisation"]);
}

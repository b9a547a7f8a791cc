//! What a proxy gives to others: what it holds, and nothing to whom is not of the fleet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use segue::model::fleet::FleetKeys;
use segue::model::names::ProxyId;
use serde_json::json;

use crate::fleet::{Asking, TOKEN_KEYS, ask, keys, newest, question, sees, unix_s};
use crate::packager::Packager;
use crate::proxy::Proxy;

async fn a_pair(a: &Packager) -> [Proxy; 2] {
    let [one, two] = [(); 2].map(|()| Proxy::over(&[a]).setting(TOKEN_KEYS));
    let peers = format!("peers: [\"{}\", \"{}\"]", one.fleet(), two.fleet());
    let start = |proxy: Proxy, id| proxy.in_fleet(&format!("id: {id}, {peers}")).start();
    let pair = [start(one, "p-1").await, start(two, "p-2").await];
    sees(&pair[0], &["p-2"]).await;
    sees(&pair[1], &["p-1"]).await;
    pair
}

#[tokio::test]
async fn bytes_are_given_by_hash_from_what_is_held_alone() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let [one, two] = a_pair(&a).await;
    let mut viewer = one.viewer("cam").await;
    viewer.more(1).await;
    let (held, bytes) = newest(&one, &viewer).await;
    let reply = ask(&one, &held).await;
    assert_eq!((reply.status, reply.body == bytes), (200, true));
    assert_eq!(reply.header("content-length"), Some(bytes.len().to_string().as_str()));
    let asked_of_one = async || {
        let text = one.admin("/metrics").await.text();
        let lines = text.lines().filter(|line| line.contains("fleet_answers_total{kind=\"bytes\""));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = asked_of_one().await;
    let of_two = [ask(&two, &held).await.status, ask(&two, &question(b"of nobody")).await.status];
    assert_eq!(of_two, [404, 404], "the other one does not hold it, and gets it from nobody");
    assert_eq!(asked_of_one().await, before, "it has asked the other proxy");
    let metrics = two.admin("/metrics").await.text();
    assert!(!metrics.contains("segue_origin_fetches_total{"), "it has asked a packager");
    assert!(!metrics.contains("segue_fleet_requests_total{kind=\"bytes\""), "it has asked a proxy");
    let longer = held.replace("length=", "length=1");
    for (what, status) in [
        (longer.as_str(), 404),
        ("bytes/", 404),
        ("bytes/00?length=1", 404),
        (held.split('?').next().unwrap(), 404),
        ("bytes/../hello", 404),
        ("hello/", 200),
        ("hello?x", 404),
        ("hello?at=nowhere", 404),
        ("hello?at=127.0.0.1:9", 200),
        ("", 404),
        ("packagers", 404),
    ] {
        assert_eq!(ask(&one, what).await.status, status, "{what}");
    }
    let sent = one.metric("segue_fleet_bytes_total{direction=\"out\"}").await;
    assert!((sent - bytes.len() as f64).abs() < 0.5, "{sent}");
    assert_eq!(two.metric("segue_streams").await, 0.0);
}

#[tokio::test]
async fn who_does_not_show_the_key_gets_nothing() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let [one, _two] = a_pair(&a).await;
    let mut viewer = one.viewer("cam").await;
    viewer.more(1).await;
    let (held, bytes) = newest(&one, &viewer).await;
    let other = FleetKeys::new([[7; 32]]);
    let now = unix_s();
    let cases = [
        ("as it should be", Asking::default(), 200, ""),
        ("unsigned", Asking { unsigned: true, ..Asking::default() }, 401, "not signed"),
        (
            "shown again",
            Asking { unix_s: now - 400, ..Asking::default() },
            401,
            "look at the clocks",
        ),
        ("ahead", Asking { unix_s: now + 400, ..Asking::default() }, 401, "look at the clocks"),
        ("another key", Asking { keys: other, ..Asking::default() }, 401, "another key"),
        (
            "another path",
            Asking { signs: Some("/.segue/fleet/1/hello".to_owned()), ..Asking::default() },
            401,
            "the signature is wrong",
        ),
        ("a change", Asking { method: "POST", ..Asking::default() }, 405, "GET alone"),
    ];
    for (name, asking, status, says) in cases {
        let (reply, _) = asking.ask(&one, &held).await.unwrap();
        assert_eq!(reply.status, status, "{name}: {}", reply.text());
        assert!(status == 200 || reply.text().contains(says), "{name}: {}", reply.text());
        assert_eq!(status == 200, reply.body == bytes, "{name}");
    }
}

#[tokio::test]
async fn a_lane_s_log_is_given_signed_by_who_carries_it() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let [one, two] = a_pair(&a).await;
    let mut viewer = one.viewer("cam").await;
    viewer.more(1).await;
    let status = one.status().await;
    let lane = status["streams"][0]["lanes"][0]["lane"].as_str().unwrap().to_owned();
    let stream = json!({ "pool": "live", "path": "/cam/playlist.m3u8" });
    let wanted = |lane: &str, stream: &serde_json::Value| {
        let text = json!({ "stream": stream, "lane": lane }).to_string();
        format!("lanes?of={}", URL_SAFE_NO_PAD.encode(text))
    };
    let right = wanted(&lane, &stream);
    let (reply, asked) = Asking::default().ask(&one, &right).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let signature = reply.header("x-segue-fleet");
    assert_eq!(keys().verify_answer(signature, &asked, &reply.body), Ok(ProxyId::new("p-1")));
    assert!(keys().verify_answer(signature, &asked, b"other").is_err());
    let log: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(log["header"]["lane"], lane.as_str());
    let steps = log["steps"].as_array().unwrap();
    assert!(steps.last().unwrap()["msn"].as_u64().unwrap() >= viewer.edge());
    let elsewhere = json!({ "pool": "live", "path": "/other/playlist.m3u8" });
    for (name, what) in [
        ("another lane", wanted("a-00000000", &stream)),
        ("another stream", wanted(&lane, &elsewhere)),
        ("nonsense", "lanes?of=!".to_owned()),
        ("nothing", "lanes".to_owned()),
    ] {
        assert_eq!(ask(&one, &what).await.status, 404, "{name}");
    }
    // Who does not carry it begins nothing for it.
    assert_eq!(ask(&two, &right).await.status, 404);
    assert_eq!(two.metric("segue_streams").await, 0.0);
}

//! What operators are told, and that it arrives.

use std::time::Duration;

use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::receiver::Receiver;
use crate::wait_for;

/// Health is known within a second.
const QUICK: &str = "health: { interval_seconds: 1, timeout_seconds: 1, rise: 1, fall: 1 }";
const LONG: Duration = Duration::from_secs(30);

async fn until(what: &str, met: impl Fn() -> bool) {
    let met = || async { met() };
    wait_for(what, LONG, met).await.unwrap();
}

fn hook(receiver: &Receiver, more: &str) -> String {
    format!("{{ url: \"{}\"{more} }}", receiver.url())
}

fn hooks(hooks: &[String]) -> String {
    format!("webhooks: [{}]", hooks.join(", "))
}

#[tokio::test]
async fn a_packager_s_death_and_return_are_told_once_each() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let b = Packager::fake("b").segments_of(2000, 2).shifted(500).live();
    let receiver = Receiver::start();
    let proxy = Proxy::over(&[&a, &b])
        .setting(&hooks(&[hook(&receiver, "")]))
        .pool_setting(QUICK)
        .start()
        .await;
    let mut viewers = [proxy.viewer("cam").await, proxy.viewer("two").await, proxy.viewer("three").await];
    for viewer in &mut viewers {
        viewer.more(1).await;
    }
    until("the streams to be told", || receiver.of("stream_started").len() == 3).await;
    a.kill().await;
    for viewer in &mut viewers {
        viewer.until_on("b").await;
    }
    until("the standby's loss", || !receiver.of("no_standby").is_empty()).await;
    a.start();
    until("the standby's return", || !receiver.of("standby_back").is_empty()).await;

    let down = receiver.of("packager_down");
    assert_eq!((down.len(), &down[0]["packager"]), (1, &"a".into()), "{down:#?}");
    assert_eq!((&down[0]["pool"], &down[0]["proxy"]["zone"]), (&"live".into(), &"here".into()));
    assert!(!down[0]["cause"].as_str().unwrap().is_empty(), "{down:#?}");
    let up = receiver.of("packager_up");
    assert_eq!((up.len(), &up[0]["packager"]), (1, &"a".into()), "{up:#?}");
    let splices = receiver.of("splice");
    assert_eq!(splices.len(), 1, "{splices:#?}");
    let splice = &splices[0];
    assert_eq!((&splice["count"], &splice["packager"]), (&3.into(), &"a".into()), "{splice:#}");
    let first = splice["first"].as_array().unwrap();
    let mut streams: Vec<_> = first.iter().map(|l| l["stream"].as_str().unwrap()).collect();
    streams.sort_unstable();
    assert_eq!(streams, ["/cam/playlist.m3u8", "/three/playlist.m3u8", "/two/playlist.m3u8"]);
    let status = proxy.status().await;
    for stream in status["streams"].as_array().unwrap() {
        let shown = &stream["lanes"][0]["splices"][0];
        let told = first.iter().find(|l| l["stream"] == stream["stream"]).unwrap();
        for key in ["msn", "from", "to", "reason", "method", "gap_ms", "at"] {
            assert_eq!(told[key], shown[key], "{key}: {told:#} {shown:#}");
        }
    }
    let alone = receiver.of("no_standby");
    assert_eq!(alone.iter().map(|n| n["count"].as_u64().unwrap()).sum::<u64>(), 3, "{alone:#?}");
    assert_eq!(alone[0]["cause"], "a is down", "{alone:#?}");
    assert_eq!(alone[0]["packager"], "b");
    assert_eq!(receiver.of("stream_ended").len(), 0);
    // Each has an id of its own, which its header says too.
    let mut ids: Vec<_> = receiver.taken().iter().map(|m| m.json()["id"].to_string()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), receiver.taken().len());
    for message in receiver.taken() {
        assert_eq!(message.header("idempotency-key").unwrap(), message.json()["id"]);
        assert_eq!(message.header("x-segue-event").unwrap(), message.event());
        assert_eq!(message.header("content-type"), Some("application/json"));
    }
}

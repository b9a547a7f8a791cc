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
    let mut viewers =
        [proxy.viewer("cam").await, proxy.viewer("two").await, proxy.viewer("three").await];
    for viewer in &mut viewers {
        viewer.more(1).await;
    }
    until("the streams to be told", || receiver.of("stream_started").len() == 3).await;
    a.kill().await;
    for viewer in &mut viewers {
        viewer.until_on("b").await;
    }
    let streams = |event: &str| -> u64 {
        receiver.of(event).iter().map(|n| n["count"].as_u64().unwrap()).sum()
    };
    until("the standbys' loss", || streams("no_standby") == 3).await;
    a.start();
    until("the standbys' return", || streams("standby_back") == 3).await;

    let down = receiver.of("packager_down");
    assert_eq!((down.len(), &down[0]["packager"]), (1, &"a".into()), "{down:#?}");
    assert_eq!((&down[0]["pool"], &down[0]["proxy"]["zone"]), (&"live".into(), &"here".into()));
    assert!(!down[0]["cause"].as_str().unwrap().is_empty(), "{down:#?}");
    let up = receiver.of("packager_up");
    assert_eq!((up.len(), &up[0]["packager"]), (1, &"a".into()), "{up:#?}");
    // They leave when they next ask, one soon after the other.
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
    assert!(alone.len() < 3, "{alone:#?}");
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

#[tokio::test]
async fn no_standby_is_told_when_the_other_packager_dies() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let b = Packager::fake("b").segments_of(2000, 2).live();
    let receiver = Receiver::start();
    let only = ", events: [no_standby, splice]";
    let proxy = Proxy::over(&[&a, &b]).setting(&hooks(&[hook(&receiver, only)]));
    let proxy = proxy.pool_setting(QUICK).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    b.kill().await;
    until("the standby's loss", || !receiver.of("no_standby").is_empty()).await;
    viewer.more(1).await;
    let told = receiver.of("no_standby");
    let lane = viewer.token().split('.').nth(2).unwrap();
    assert_eq!((&told[0]["packager"], &told[0]["cause"]), (&"a".into(), &"b is down".into()));
    assert_eq!(
        (&told[0]["stream"], &told[0]["lane"]),
        (&"/cam/playlist.m3u8".into(), &lane.into())
    );
    // Nothing else was asked for, and nothing was spliced.
    assert_eq!(receiver.events(), ["no_standby"]);
}

#[tokio::test]
async fn who_is_taken_out_is_told_of_neither_as_down_nor_as_no_standby() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let b = Packager::fake("b").segments_of(2000, 2).shifted(500).live();
    let receiver = Receiver::start();
    let proxy = Proxy::over(&[&a, &b])
        .setting(&hooks(&[hook(&receiver, "")]))
        .with_admin_token()
        .pool_setting(QUICK)
        .start()
        .await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    proxy.change("/packagers/a/drain").await;
    viewer.until_on("b").await;
    a.kill().await;
    let down = || async { proxy.metric("segue_packager_up{packager=\"a\"}").await == 0.0 };
    wait_for("a to be down", LONG, down).await.unwrap();
    // So long that what is told after some seconds would have been.
    viewer.more(8).await;
    assert_eq!(receiver.events(), ["stream_started"]);
    // Brought back while it is away, it is an alarm.
    proxy.change("/packagers/a/undrain").await;
    until("a to be told", || receiver.of("packager_down").len() == 1).await;
}

#[tokio::test]
async fn a_stream_s_end_is_told() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let b = Packager::fake("b").segments_of(2000, 2).live();
    let receiver = Receiver::start();
    let proxy = Proxy::over(&[&a, &b]).setting(&hooks(&[hook(&receiver, "")]));
    let proxy = proxy.pool_setting("end_after_seconds: 5").start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    a.end();
    b.end();
    let ended = || async {
        // A player polls until it sees the end.
        let _ = viewer.ask().await;
        !receiver.of("stream_ended").is_empty()
    };
    wait_for("the stream's end", LONG, ended).await.unwrap();
    let (started, ended) = (receiver.of("stream_started"), receiver.of("stream_ended"));
    assert_eq!((started.len(), ended.len()), (1, 1));
    assert_eq!(
        (&ended[0]["stream"], &ended[0]["cause"]),
        (&"/cam/playlist.m3u8".into(), &"over".into())
    );
}

/// Packagers that nobody watches, and how often `a` has died and come back.
async fn dies_and_comes_back(proxy: &Proxy, a: &Packager, times: usize) {
    let up = |wanted: bool| async move {
        let is =
            || async { (proxy.metric("segue_packager_up{packager=\"a\"}").await > 0.0) == wanted };
        wait_for("the checks of a", LONG, is).await.unwrap();
    };
    for _ in 0..times {
        a.kill().await;
        up(false).await;
        a.start();
        up(true).await;
    }
}

const DOWN_AND_UP: [&str; 2] = ["packager_down", "packager_up"];

#[tokio::test]
async fn a_message_is_sent_again_until_it_is_taken_and_order_is_kept() {
    let a = Packager::fake("a").live();
    let receiver = Receiver::start().answering(&[500, 503]);
    let refusing = Receiver::start().answering(&[404]);
    let given_up = Receiver::start().answering(&[500]);
    let all = hooks(&[
        hook(&receiver, ""),
        hook(&refusing, ", name: refusing"),
        hook(&given_up, ", name: given-up, retry_for_seconds: 0"),
    ]);
    let proxy = Proxy::over(&[&a]).setting(&all).pool_setting(QUICK).start().await;
    dies_and_comes_back(&proxy, &a, 2).await;
    until("all to be taken", || receiver.taken().len() >= 4).await;
    assert_eq!(receiver.events(), [DOWN_AND_UP, DOWN_AND_UP].concat());
    let came = receiver.came();
    let first: Vec<_> = came.iter().take(3).map(|m| (m.answered, m.body.as_str())).collect();
    let body = first[0].1;
    assert_eq!(first, [(500, body), (503, body), (200, body)], "the same message, to the letter");
    assert_eq!(came.len(), 6, "each is taken once");
    // What is refused is not sent again, and neither is what is too old.
    until("the rest to be taken", || refusing.came().len() >= 4).await;
    until("the others to be taken", || given_up.came().len() >= 4).await;
    assert_eq!(given_up.events(), ["packager_up", "packager_down", "packager_up"]);
    assert_eq!(refusing.events(), ["packager_up", "packager_down", "packager_up"]);
    for (hook, outcome, count) in [
        (receiver.host().as_str(), "sent", 4),
        ("refusing", "failed", 1),
        ("refusing", "sent", 3),
        ("given-up", "failed", 1),
    ] {
        counted(&proxy, hook, outcome, count).await;
    }
}

/// Waits until so many messages are counted: the receiver knows of each a little earlier.
async fn counted(proxy: &Proxy, hook: &str, outcome: &str, count: u32) {
    let name = format!("segue_webhook_messages_total{{hook=\"{hook}\",outcome=\"{outcome}\"}}");
    let is = || async { proxy.metric(&name).await.to_string() == count.to_string() };
    wait_for(&format!("{name} {count}"), LONG, is).await.unwrap();
}

#[tokio::test]
async fn one_that_hangs_harms_nobody_and_its_queue_has_an_end() {
    let a = Packager::fake("a").live();
    let (hanging, receiver) = (Receiver::start().hanging(), Receiver::start());
    let slow = ", name: slow, queue: 2, timeout_seconds: 60";
    let both = hooks(&[hook(&hanging, slow), hook(&receiver, "")]);
    let proxy = Proxy::over(&[&a]).setting(&both).pool_setting(QUICK).start().await;
    dies_and_comes_back(&proxy, &a, 3).await;
    until("the other's six", || receiver.taken().len() == 6).await;
    assert_eq!(receiver.events(), [DOWN_AND_UP, DOWN_AND_UP, DOWN_AND_UP].concat());
    // One is being sent, two wait, the three between are dropped.
    assert_eq!(hanging.came().len(), 1);
    let queued = proxy.metric("segue_webhook_messages_queued{hook=\"slow\"}").await;
    assert_eq!(queued.to_string(), "3");
    counted(&proxy, "slow", "dropped", 3).await;
    assert_eq!(proxy.get("/.segue/readyz").await.unwrap().status, 200);
    hanging.goes_on();
    until("the newest two", || hanging.taken().len() == 3).await;
    assert_eq!(hanging.events(), ["packager_down", "packager_down", "packager_up"]);
}

#[tokio::test]
async fn messages_are_signed_and_no_secret_is_shown() {
    let a = Packager::fake("a").live();
    let receiver = Receiver::start().answering(&[500, 401]);
    let signed =
        ", secret: the-secret-of-the-hook, headers: { Authorization: \"Bearer header-secret\" }";
    let proxy = Proxy::over(&[&a]).setting(&hooks(&[hook(&receiver, signed)]));
    let proxy = proxy.setting("log: { level: debug }").pool_setting(QUICK).start().await;
    dies_and_comes_back(&proxy, &a, 1).await;
    until("a message to be taken", || !receiver.taken().is_empty()).await;
    for message in receiver.came() {
        let expected = hmac_sha256(b"the-secret-of-the-hook", message.body.as_bytes());
        assert_eq!(message.header("x-segue-signature").unwrap(), format!("sha256={expected}"));
        assert_eq!(message.header("authorization"), Some("Bearer header-secret"));
        assert_eq!(message.path, "/hook?key=url-secret");
    }
    let status = proxy.admin("/status.json").await.text() + &proxy.admin("/metrics").await.text();
    assert!(!proxy.logged(&["a webhook"]).is_empty(), "its failures are told");
    for secret in ["the-secret-of-the-hook", "header-secret", "url-secret"] {
        assert_eq!(proxy.logged(&[secret]), Vec::<String>::new());
        assert!(!status.contains(secret), "{secret}");
    }
}

/// As openssl computes it: none of our own code.
fn hmac_sha256(secret: &[u8], text: &[u8]) -> String {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let secret = std::str::from_utf8(secret).unwrap();
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", secret])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    openssl.stdin.take().unwrap().write_all(text).unwrap();
    let output = String::from_utf8(openssl.wait_with_output().unwrap().stdout).unwrap();
    output.trim().rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_changed_hook_is_taken_with_what_waits_for_it() {
    let a = Packager::fake("a").live();
    let (away, there) = (Receiver::start().answering(&[500; 100]), Receiver::start());
    let mut proxy = Proxy::over(&[&a])
        .setting(&hooks(&[hook(&away, ", name: on-call")]))
        .pool_setting(QUICK)
        .start()
        .await;
    dies_and_comes_back(&proxy, &a, 1).await;
    until("the first try", || !away.came().is_empty()).await;
    proxy.replace_setting("webhooks:", &hooks(&[hook(&there, ", name: on-call")]));
    proxy.signal("HUP");
    until("both to be taken", || there.taken().len() == 2).await;
    assert_eq!(there.events(), DOWN_AND_UP);
    // And none of it.
    proxy.replace_setting("webhooks:", "webhooks: []");
    proxy.signal("HUP");
    let gone =
        || async { !proxy.admin("/metrics").await.text().contains("webhook_messages_queued{") };
    wait_for("the hook to be gone", LONG, gone).await.unwrap();
    dies_and_comes_back(&proxy, &a, 1).await;
    assert_eq!(there.taken().len(), 2);
}

#[tokio::test]
async fn what_waits_at_the_end_is_given_a_moment() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let b = Packager::fake("b").segments_of(2000, 2).shifted(500).live();
    let (hanging, receiver) = (Receiver::start().hanging(), Receiver::start());
    let both =
        hooks(&[hook(&hanging, ", name: hanging, timeout_seconds: 60"), hook(&receiver, "")]);
    let mut proxy = Proxy::over(&[&a, &b]).setting(&both).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    until("the stream's start", || receiver.taken().len() == 1).await;
    a.kill().await;
    let spliced = || !proxy.logged(&["splice", "from=a"]).is_empty();
    until("the splice", spliced).await;
    // It waits for others to be told with it.
    proxy.signal("TERM");
    proxy.ends().await;
    assert_eq!(receiver.of("splice").len(), 1, "{:?}", receiver.events());
    let dropped = proxy.logged(&["dropped at its end", "hook=\"hanging\"", "dropped="]);
    assert_eq!(dropped.len(), 1, "{:?}", proxy.logged(&["webhook"]));
}

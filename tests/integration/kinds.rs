//! Wowza and Web Call Server: what they say of themselves, what it costs them, and edges that are cold.
//! Both are simulated, as the real programs answer.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use segue::demo::simulated::{Access, Act, Cold, Fault, PASSWORD, Simulated, USER, Wcs, Wowza};

use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::wait_for;

const PATIENCE: Duration = Duration::from_secs(30);
const WOWZA: &str = "/live/cam/playlist.m3u8";
const WCS: &str = "/cam/cam.m3u8";

fn wowza(id: &str, access: Access, begin: u64, clock: Instant) -> Simulated<Wowza> {
    Simulated::start(id, Wowza::new(access, false), begin, clock).unwrap()
}

fn wcs(id: &str, cold: Option<Cold>, begin: u64, clock: Instant) -> Simulated<Wcs> {
    Simulated::start(id, Wcs::new(Access::Open, cold), begin, clock).unwrap()
}

/// A packager as the file says it; reports come as often as can be set.
fn line<M>(simulated: &Simulated<M>, zone: &str, kind: &str, more: &str) -> String {
    let packager = &simulated.packager;
    format!(
        "{{ id: {}, url: \"{}\", zone: {zone}, {kind}: {{ admin: \"{}\", interval_seconds: 1, fall: 2, {more} }} }}",
        packager.id(),
        packager.url(),
        packager.admin_url()
    )
}

fn login() -> String {
    format!("user: {USER}, password: \"{PASSWORD}\"")
}

/// What `/status.json` says of a packager.
async fn told(proxy: &Proxy, id: &str) -> serde_json::Value {
    let status = proxy.status().await;
    let all = status["packagers"].as_array().unwrap();
    all.iter().find(|p| p["packager"] == id).unwrap().clone()
}

/// The state of the one stream on a packager; empty where it is not asked for it.
async fn state(proxy: &Proxy, id: &str) -> String {
    let status = proxy.status().await;
    let Some(all) = status["streams"][0]["packagers"].as_array() else { return String::new() };
    let one = all.iter().find(|p| p["packager"] == id);
    one.and_then(|p| p["state"].as_str()).unwrap_or_default().to_owned()
}

async fn until(proxy: &Proxy, id: &str, what: &str, met: impl Fn(&serde_json::Value) -> bool) {
    let seen = || async { met(&told(proxy, id).await) };
    if let Err(why) = wait_for(what, PATIENCE, seen).await {
        panic!("{why}: {:#}", told(proxy, id).await);
    }
}

/// A viewer who asks for the entry, then for the media playlist, then for its newest segment.
async fn watch(proxy: &Proxy, entry: &str) -> Result<String, String> {
    let first = proxy.get(entry).await?;
    if first.status != 200 {
        return Err(format!("{} {}", first.status, first.text()));
    }
    let text = first.text();
    let uri = text.lines().find(|l| !l.starts_with('#') && !l.is_empty()).unwrap().to_owned();
    let folder = |path: &str| path.rsplit_once('/').unwrap().0.to_owned();
    let media = format!("{}/{uri}", folder(entry));
    let list = proxy.get(&media).await?;
    assert_eq!(list.status, 200, "{}", list.text());
    let text = list.text();
    let newest = text.lines().rfind(|l| !l.starts_with('#') && !l.is_empty()).unwrap();
    let segment = proxy.get(&format!("{}/{newest}", folder(&media))).await?;
    assert_eq!((segment.status, segment.body.first()), (200, Some(&0x47)));
    Ok(text)
}

#[tokio::test]
async fn two_hundred_viewers_make_one_session_of_a_wowza() {
    let clock = Instant::now();
    let a = wowza("a", Access::Digest, 0, clock);
    let b = wowza("b", Access::Basic, 31, clock);
    let proxy = Proxy::over(&[])
        .entry(&line(&a, "here", "wowza", &login()))
        .entry(&line(&b, "there", "wowza", &login()))
        .start()
        .await;
    watch(&proxy, WOWZA).await.unwrap();
    let viewers = join_all((0..200).map(|_| watch(&proxy, WOWZA))).await;
    assert!(viewers.iter().all(Result::is_ok), "{viewers:?}");
    for one in [&a, &b] {
        let counted = (one.manner.entries(), one.manner.sessions_total());
        assert_eq!(counted, (1, 1), "{}", one.packager.id());
    }
    // It says so itself.
    let one_session = |p: &serde_json::Value| {
        let stream = &p["report"]["streams"][0];
        p["load"] == 1 && stream["stream"] == "live/cam" && stream["hls"] == 1
    };
    until(&proxy, "a", "a to tell of one session", one_session).await;
    assert_eq!(told(&proxy, "a").await["kind"], "wowza");
    for metric in [
        "segue_packager_load{packager=\"a\"}",
        "segue_packager_load_known{packager=\"a\"}",
        "segue_packager_connections{packager=\"a\"}",
        "segue_packager_sessions{packager=\"a\",stream=\"live/cam\"}",
    ] {
        assert!((proxy.metric(metric).await - 1.0).abs() < 0.1, "{metric}");
    }
    // Beside what Segue counts itself stands what the packager says.
    let beside = || async {
        watch(&proxy, WOWZA).await.unwrap();
        let status = proxy.status().await;
        let counted = status["viewers"]["packagers"].as_array().cloned().unwrap_or_default();
        let a = counted.iter().find(|p| p["packager"] == "a").cloned().unwrap_or_default();
        a["reported"] == 1 && a["now"].as_u64().is_some_and(|now| now > 0)
    };
    wait_for("both counts", PATIENCE, beside).await.unwrap();
    // What a challenge asked for is answered from then on.
    let often = || async { a.manner.door.let_in() >= 4 && b.manner.door.let_in() >= 4 };
    wait_for("four reports of each", PATIENCE, often).await.unwrap();
    assert_eq!((a.manner.door.challenges(), b.manner.door.challenges()), (1, 1));
}

#[tokio::test]
async fn a_report_that_fails_harms_nobody() {
    let clock = Instant::now();
    let a = wowza("a", Access::Digest, 0, clock);
    let b = wowza("b", Access::Digest, 31, clock);
    let strict = format!("{}, must_answer: true", login());
    let proxy = Proxy::over(&[])
        .entry(&line(&a, "here", "wowza", &format!("{}, timeout_seconds: 1", login())))
        .entry(&line(&b, "there", "wowza", &strict))
        .start()
        .await;
    watch(&proxy, WOWZA).await.unwrap();
    let known = |p: &serde_json::Value| p["load"] == 1 && p["report"]["trouble"] == "";
    for (fault, trouble) in [
        (Fault::Hang, "no whole answer in 1s"),
        (Fault::Unauthorized, "user or password is wrong (401)"),
        (Fault::Garbage, "its report is no connection counts"),
        (Fault::Cut, "cut off after"),
    ] {
        until(&proxy, "a", "a report", known).await;
        a.manner.door.set(Some(fault));
        let not_known = |p: &serde_json::Value| {
            let told = p["report"]["trouble"].as_str().unwrap_or_default();
            p["load"].is_null() && told.contains(trouble)
        };
        until(&proxy, "a", trouble, not_known).await;
        // Its health is what its check says, and the other is asked as ever.
        assert_eq!(told(&proxy, "a").await["health"], "up");
        assert!(known(&told(&proxy, "b").await), "{fault:?}");
        assert!((proxy.metric("segue_packager_load_known{packager=\"a\"}").await).abs() < 0.1);
        watch(&proxy, WOWZA).await.unwrap();
        a.manner.door.set(None);
    }
    until(&proxy, "a", "a report", known).await;

    // Where it must answer it is down without.
    b.manner.door.set(Some(Fault::Garbage));
    let down = |p: &serde_json::Value| {
        p["health"] == "down" && p["cause"] == "its report is no connection counts"
    };
    until(&proxy, "b", "b to be down", down).await;
    b.manner.door.set(None);
    until(&proxy, "b", "b to be up", |p| p["health"] == "up").await;
}

#[tokio::test]
async fn a_wowza_that_counts_nothing_has_no_load() {
    let a = Simulated::start("a", Wowza::new(Access::Open, true), 0, Instant::now()).unwrap();
    let flat = "path: \"/connectioncounts?flat\"";
    let proxy = Proxy::over(&[]).entry(&line(&a, "here", "wowza", flat)).start().await;
    watch(&proxy, WOWZA).await.unwrap();
    let told = |p: &serde_json::Value| {
        let trouble = p["report"]["trouble"].as_str().unwrap_or_default();
        p["load"].is_null() && trouble.contains("httpOriginMode") && p["health"] == "up"
    };
    until(&proxy, "a", "a to be told of", told).await;
    assert_eq!(a.manner.sessions_total(), 0);
}

#[tokio::test]
async fn a_wcs_beyond_a_bound_is_down_with_the_cause_told() {
    let clock = Instant::now();
    let (a, b) = (wcs("a", None, 0, clock), wcs("b", None, 31, clock));
    let proxy = Proxy::over(&[])
        .entry(&line(&a, "here", "wcs", "load: streams_viewers"))
        .entry(&line(&b, "there", "wcs", "load: streams_viewers"))
        .start()
        .await;
    watch(&proxy, WCS).await.unwrap();
    let known = |p: &serde_json::Value| p["load"] == 1 && p["health"] == "up";
    until(&proxy, "a", "the load of a", known).await;
    let report = told(&proxy, "a").await["report"].clone();
    assert_eq!(report["values"]["connections_websocket"], "1", "{report:#}");
    let metric = "segue_packager_reported{key=\"ports_media_free\",packager=\"a\"}";
    assert!((proxy.metric(metric).await - 998.0).abs() < 0.1);

    a.manner.degrade(50);
    let cause = "degraded_streams_percent is 50, over 20";
    until(&proxy, "a", "a to be down", |p| p["health"] == "down" && p["cause"] == cause).await;
    // That it is unwell is one thing, whether the stream moves there is another.
    assert_eq!(state(&proxy, "a").await, "moves");
    // Its lane leaves for the sibling.
    let left =
        || async { proxy.status().await["streams"][0]["lanes"][0]["splices"][0]["to"] == "b" };
    wait_for("the lane to leave a", PATIENCE, left).await.unwrap();
    assert!(!proxy.logged(&["packager is down", cause]).is_empty());
    a.manner.degrade(0);
    until(&proxy, "a", "a to be up", known).await;
    watch(&proxy, WCS).await.unwrap();
}

#[tokio::test]
async fn an_edge_that_keeps_its_first_subscriber_waiting_is_warmed_before_viewers_are_sent_there() {
    warmed_first(Cold::Waits(Duration::from_secs(600))).await;
}

#[tokio::test]
async fn an_edge_that_says_404_at_first_is_warmed_before_viewers_are_sent_there() {
    warmed_first(Cold::NotFound(Duration::from_secs(600))).await;
}

async fn warmed_first(cold: Cold) {
    let clock = Instant::now();
    // The cold one is nearest, and another would be next.
    let (a, b, c) =
        (wcs("a", Some(cold), 0, clock), wcs("b", None, 31, clock), wcs("c", None, 8, clock));
    let proxy = Proxy::over(&[])
        .entry(&line(&a, "here", "wcs", "warm_up_seconds: 300"))
        .entry(&line(&b, "there", "wcs", ""))
        .entry(&line(&c, "there", "wcs", ""))
        .start()
        .await;
    let lane = |status: serde_json::Value| status["streams"][0]["lanes"][0]["packager"].clone();
    watch(&proxy, WCS).await.unwrap();
    // However often it is asked.
    let asked = || async { a.manner.playlists() >= 3 };
    wait_for("a to be asked again", PATIENCE, asked).await.unwrap();
    watch(&proxy, WCS).await.unwrap();
    assert_eq!(state(&proxy, "a").await, "warming", "{cold:?}");
    assert_eq!(lane(proxy.status().await), "b", "{cold:?}");
    a.manner.arrive();
    let warm = || async { state(&proxy, "a").await == "moves" };
    wait_for("a to be warm", PATIENCE, warm).await.unwrap();
    // That it was cold was no failure, and nobody else was woken to stand by in its place.
    for word in ["state=\"failed\"", "state=\"ended\"", "state=\"stalled\""] {
        let told = proxy.logged(&["the stream on this packager", "packager=a", word]);
        assert!(told.is_empty(), "{told:?}");
    }
    assert_eq!(c.manner.playlists(), 0, "{cold:?}");
}

#[tokio::test]
async fn with_every_edge_cold_the_first_viewer_waits() {
    let clock = Instant::now();
    let cold = Some(Cold::NotFound(Duration::from_secs(1)));
    let (a, b) = (wcs("a", cold, 0, clock), wcs("b", cold, 31, clock));
    let proxy = Proxy::over(&[])
        .entry(&line(&a, "here", "wcs", ""))
        .entry(&line(&b, "there", "wcs", ""))
        .start()
        .await;
    watch(&proxy, WCS).await.unwrap();
}

#[tokio::test]
async fn a_cold_edge_that_stays_cold_has_failed() {
    let clock = Instant::now();
    let cold = Some(Cold::NotFound(Duration::from_secs(600)));
    let (a, b, c) = (wcs("a", cold, 0, clock), wcs("b", None, 31, clock), wcs("c", None, 8, clock));
    let proxy = Proxy::over(&[])
        .entry(&line(&a, "here", "wcs", "warm_up_seconds: 3"))
        .entry(&line(&b, "there", "wcs", ""))
        .entry(&line(&c, "there", "wcs", ""))
        .start()
        .await;
    watch(&proxy, WCS).await.unwrap();
    let another =
        || async { state(&proxy, "a").await == "ended" && state(&proxy, "c").await == "moves" };
    wait_for("another standby", PATIENCE, another).await.unwrap();
}

#[tokio::test]
async fn a_playlist_that_stands_still_is_bad_health() {
    let (a, b) = (
        Packager::fake("a").segments_of(2000, 2).live(),
        Packager::fake("b").segments_of(2000, 2).live(),
    );
    let health = "health: { playlist: \"/cam/playlist.m3u8\", playlist_stands_seconds: 5, interval_seconds: 1, fall: 1, rise: 1 }";
    let proxy = Proxy::over(&[&a, &b]).pool_setting(health).start().await;
    until(&proxy, "a", "a to be up", |p| p["health"] == "up").await;
    a.freeze();
    let down = |p: &serde_json::Value| {
        let cause = p["cause"].as_str().unwrap_or_default();
        p["health"] == "down" && cause.starts_with("/cam/playlist.m3u8 has stood still for ")
    };
    until(&proxy, "a", "a to be down", down).await;
    assert_eq!(told(&proxy, "b").await["health"], "up");
    a.thaw();
    until(&proxy, "a", "a to be up", |p| p["health"] == "up").await;
}

#[tokio::test]
async fn a_stream_that_stands_still_is_no_packager_that_is_down() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let b = Packager::fake("b").segments_of(2000, 2).shifted(700).live();
    let proxy = Proxy::over(&[&a, &b]).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    a.freeze();
    let stalled = || async { state(&proxy, "a").await == "stalled" };
    wait_for("the stream to stand still on a", PATIENCE, stalled).await.unwrap();
    assert_eq!(told(&proxy, "a").await["health"], "up");
    viewer.until_on("b").await;
}

/// `segue demo --packager`, ended by its id.
struct Demo(std::process::Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_demo_shows_each_kind() {
    for (kind, entry) in [("wowza", WOWZA), ("wcs", WCS)] {
        let held = [0, 1].map(|_| crate::packager::socket(0));
        let [page, listen] = held.each_ref().map(|s| s.local_addr().unwrap().port());
        let demo = std::process::Command::new(env!("CARGO_BIN_EXE_segue"))
            .args(["demo", "--packager", kind])
            .args([
                "--page",
                &format!("127.0.0.1:{page}"),
                "--listen",
                &format!("127.0.0.1:{listen}"),
            ])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        let _demo = Demo(demo.unwrap());
        let plays = || async {
            let entry = crate::http::get(listen, entry).await;
            entry.is_ok_and(|reply| reply.status == 200 && reply.text().contains("index.m3u8"))
        };
        wait_for(kind, PATIENCE, plays).await.unwrap();
        let state = crate::http::get(page, "/state.json").await.unwrap();
        let state: serde_json::Value = serde_json::from_slice(&state.body).unwrap();
        assert!(
            state["stream"].as_str().is_some_and(|stream| stream.ends_with(entry)),
            "{state:#}"
        );
        assert_eq!(state["packagers"].as_array().map(Vec::len), Some(2));
    }
}

/// Its segments have other names in another session: `media_w12345_7.ts`.
#[tokio::test]
async fn another_session_of_a_wowza_is_the_same_run() {
    let a = wowza("a", Access::Open, 0, Instant::now());
    let mut proxy = Proxy::over(&[]).entry(&line(&a, "here", "wowza", "")).start().await;
    watch(&proxy, WOWZA).await.unwrap();
    let edge = |status: &serde_json::Value| {
        let lane = &status["streams"][0]["lanes"][0];
        (lane["lane"].as_str().map(str::to_owned), lane["edge"].as_u64())
    };
    let first = edge(&proxy.status().await);
    let goes_on = async |proxy: &Proxy, beyond: Option<u64>, sessions: u64| {
        let more = || async {
            watch(proxy, WOWZA).await.is_ok()
                && edge(&proxy.status().await).1 > beyond.map(|edge| edge + 1)
                && a.manner.entries() >= sessions
        };
        wait_for("the lane to go on", PATIENCE, more).await.unwrap();
        let list = watch(proxy, WOWZA).await.unwrap();
        assert!(!list.contains("EXT-X-DISCONTINUITY\n"), "{list}");
        let now = edge(&proxy.status().await);
        assert_eq!(now.0, first.0, "the same lane");
        now.1
    };
    proxy.kill();
    proxy.start_again().await;
    let after = goes_on(&proxy, first.1, 2).await;

    // The same where the server was away and its entry playlist is asked for again.
    a.packager.act(Act::Freeze);
    let failed = || async { state(&proxy, "a").await == "failed" };
    wait_for("a to fail", PATIENCE, failed).await.unwrap();
    let asked_again = || async {
        proxy.status().await["streams"][0]["packagers"][0]["failures"].as_u64() >= Some(3)
    };
    wait_for("the entry to be asked for", PATIENCE, asked_again).await.unwrap();
    a.packager.act(Act::Thaw);
    goes_on(&proxy, after, 3).await;
}

//! Groups of packagers that come and go while viewers play.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::dns::{Leads, Mood, NameServer};
use crate::faults::Fault;
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::wait_for;

/// Health is known within a second; who is new must be well twice.
const QUICK: &str = "health: { path: \"/health\", expect_status: 404, interval_seconds: 1, timeout_seconds: 1, rise: 2, fall: 1 }";

/// Long enough for three answers and a drain on a busy machine.
const SOON: Duration = Duration::from_secs(40);

/// `one` on 127.0.0.2, `two` on 127.0.0.3 and so on, all on one port, each half a second later.
fn packagers(names: &[&str]) -> Vec<Packager> {
    let mut port = 0;
    let each = names.iter().zip(2..).map(|(name, host)| {
        let packager = Packager::fake_at(name, host, port).segments_of(2000, 2);
        port = packager.port();
        packager.shifted(u64::from(host) * 500).numbered_from(u64::from(host) * 100)
    });
    each.collect()
}

fn dns(names: &NameServer) -> String {
    format!("dns: {{ servers: [\"{}\"] }}", names.address())
}

fn group(port: u16, more: &str) -> String {
    format!(
        "{{ id: az1, url: \"http://edges.test:{port}\", addresses: packagers, zone: here{more} }}"
    )
}

/// A proxy whose packagers all belong to the group `az1`, the addresses of `edges.test`.
async fn over(names: &NameServer, port: u16) -> Proxy {
    let proxy = Proxy::over(&[]).setting(&dns(names)).pool_setting(QUICK);
    proxy.entry(&group(port, "")).start().await
}

/// Ids of the packagers that there are, with their health.
async fn there(proxy: &Proxy) -> BTreeSet<String> {
    let status = proxy.status().await;
    let one = |p: &serde_json::Value| {
        let id = p["packager"].as_str().unwrap();
        let out = if p["drained"] == true { " leaving" } else { "" };
        format!("{id} {}{out}", p["health"].as_str().unwrap())
    };
    status["packagers"].as_array().unwrap().iter().map(one).collect()
}

async fn becomes(proxy: &Proxy, want: &[&str]) {
    let want: BTreeSet<String> = want.iter().map(|w| (*w).to_owned()).collect();
    let met = || async { there(proxy).await == want };
    if let Err(error) = wait_for(&format!("{want:?}"), SOON, met).await {
        panic!("{error}: {:?}", there(proxy).await);
    }
}

async fn asked_again(names: &NameServer) {
    let before = names.asked();
    let again = || async { names.asked() >= before + 8 };
    wait_for("the name to be looked up again", SOON, again).await.unwrap();
}

/// From one to three and back, as an autoscaling group does it.
#[tokio::test]
async fn a_group_grows_and_shrinks_while_viewers_play() {
    let names = NameServer::start(1).await;
    let group = packagers(&["one", "two", "three"]);
    group[0].start();
    names.addresses("edges.test", &[2]);
    let proxy = over(&names, group[0].port()).await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    becomes(&proxy, &["az1-127-0-0-2 up"]).await;
    group.iter().skip(1).for_each(Packager::start);
    names.addresses("edges.test", &[2, 3, 4]);
    becomes(&proxy, &["az1-127-0-0-2 up", "az1-127-0-0-3 up", "az1-127-0-0-4 up"]).await;
    assert_eq!(proxy.logged(&["packager joined", "packager=\"az1-127-0-0-3\""]).len(), 1);
    assert_eq!(proxy.logged(&["packager is proven"]).len(), 3);
    viewer.more(1).await;
    assert_eq!((viewer.lane_packager(), viewer.borders().len()), ("one", 0));
    assert!(proxy.metric("segue_group_packagers{group=\"az1\",state=\"there\"}").await > 2.5);
    // The one that serves leaves. It lives until its lane is elsewhere.
    names.addresses("edges.test", &[3]);
    viewer.until("the lane to leave", |v| v.lane_packager() != "one").await;
    becomes(&proxy, &["az1-127-0-0-3 up"]).await;
    group[0].kill().await;
    group[2].kill().await;
    viewer.until_on("two").await;
    viewer.more(2).await;
    viewer.check_all_listed().await;
    let drained = proxy.logged(&["splice", "from=az1-127-0-0-2", "reason=\"drained\""]);
    assert_eq!(drained.len(), 1, "{:?}", proxy.logged(&["splice"]));
    for id in ["az1-127-0-0-2", "az1-127-0-0-4"] {
        let packager = format!("packager=\"{id}\"");
        assert_eq!(proxy.logged(&["packager left", &packager]).len(), 1, "{id}");
        assert_eq!(proxy.logged(&["that left is forgotten", &packager]).len(), 1, "{id}");
    }
    // That it is away was meant.
    assert_eq!(proxy.logged(&["WARN"]), Vec::<String>::new());
}

/// One answer that lacks it, or parts of the group in turns, take nobody out. Back before it is gone it
/// goes on.
#[tokio::test]
async fn answers_that_vary_make_nobody_come_and_go() {
    let names = NameServer::start(1).await;
    let group = packagers(&["one", "two", "three"]);
    group.iter().for_each(Packager::start);
    names.addresses("edges.test", &[2, 3, 4]);
    let proxy = over(&names, group[0].port()).await;
    let mut viewer = proxy.viewer("cam").await;
    let all = ["az1-127-0-0-2 up", "az1-127-0-0-3 up", "az1-127-0-0-4 up"];
    becomes(&proxy, &all).await;
    for part in [[2, 3], [3, 4], [2, 4], [2, 3], [3, 4], [2, 4], [3, 4]] {
        names.addresses("edges.test", &part);
        let before = names.asked();
        let again = || async { names.asked() >= before + 2 };
        wait_for("an answer", SOON, again).await.unwrap();
    }
    viewer.more(1).await;
    becomes(&proxy, &all).await;
    assert_eq!(proxy.logged(&["packager left"]), Vec::<String>::new());
    assert_eq!(viewer.borders().len(), 0);
}

/// Whatever is wrong with the name server, also while the proxy is started anew.
#[tokio::test]
async fn a_name_server_that_dies_changes_nothing_not_even_over_a_restart() {
    let mut names = NameServer::start(1).await;
    let group = packagers(&["one", "two"]);
    group.iter().for_each(Packager::start);
    names.addresses("edges.test", &[2, 3]);
    let mut proxy = over(&names, group[0].port()).await;
    let mut viewer = proxy.viewer("cam").await;
    let both = ["az1-127-0-0-2 up", "az1-127-0-0-3 up"];
    becomes(&proxy, &both).await;
    let lookups = |outcome: &str| {
        let name = format!("segue_group_lookups_total{{group=\"az1\",outcome=\"{outcome}\"}}");
        let proxy = &proxy;
        async move { proxy.metric(&name).await }
    };
    for (mood, outcome) in [(Mood::Fails, "failed"), (Mood::Silent, "timeout")] {
        names.be(mood);
        let told = || async { lookups(outcome).await >= 1.0 };
        wait_for(outcome, SOON, told).await.unwrap();
    }
    names.be(Mood::Well);
    for (leads, outcome) in [(Some(Leads::To(vec![])), "empty"), (None, "no_such_name")] {
        match leads {
            Some(leads) => names.lead("edges.test", leads),
            None => names.forget("edges.test"),
        }
        let told = || async { lookups(outcome).await >= 1.0 };
        wait_for(outcome, SOON, told).await.unwrap();
    }
    names.die().await;
    viewer.more(2).await;
    becomes(&proxy, &both).await;
    assert_eq!(viewer.borders().len(), 0, "{viewer}");
    assert!(proxy.metric("segue_group_answer_age_milliseconds{group=\"az1\"}").await > 0.0);
    assert!(!proxy.logged(&["WARN", "cannot be looked up", "known=2"]).is_empty());
    proxy.kill();
    proxy.start_again().await;
    viewer.more(2).await;
    becomes(&proxy, &both).await;
    assert_eq!(proxy.logged(&["a group is as it was known last", "packagers=2"]).len(), 1);
    group[0].kill().await;
    viewer.until_on("two").await;
    viewer.more(1).await;
    viewer.check_all_listed().await;
}

/// A new process takes over while viewers play and nobody can be asked: it knows the group, goes on with
/// its lane, and follows who comes and goes from then on.
#[tokio::test]
async fn a_new_process_that_takes_over_knows_the_group() {
    let names = NameServer::start(1).await;
    let group = packagers(&["one", "two", "three"]);
    group.iter().for_each(Packager::start);
    names.addresses("edges.test", &[2, 3]);
    let proxy = Proxy::over(&[]).setting(&dns(&names)).pool_setting(QUICK);
    let proxy = proxy.pool_setting("lanes_per_stream: 1").entry(&self::group(group[0].port(), ""));
    let mut proxy = proxy.start().await;
    let mut viewer = proxy.viewer("cam").await;
    let both = ["az1-127-0-0-2 up", "az1-127-0-0-3 up"];
    becomes(&proxy, &both).await;
    viewer.more(1).await;
    let on = viewer.lane_packager().to_owned();
    names.be(Mood::Fails);
    proxy.upgrade().await;
    viewer.more(2).await;
    becomes(&proxy, &both).await;
    assert_eq!(proxy.logged(&["a group is as it was known last", "packagers=2"]).len(), 1);
    assert_eq!((viewer.lane_packager(), viewer.borders().len()), (on.as_str(), 0), "{viewer}");
    assert_eq!(proxy.viewer("cam").await.token(), viewer.token(), "the lane is still open");
    names.be(Mood::Well);
    let at = usize::from(on != "one");
    let stays = if at == 0 { 3 } else { 2 };
    names.addresses("edges.test", &[stays, 4]);
    viewer.until("the lane to leave", |v| v.lane_packager() != on).await;
    becomes(&proxy, &[&format!("az1-127-0-0-{stays} up"), "az1-127-0-0-4 up"]).await;
    group[at].kill().await;
    viewer.more(1).await;
    viewer.check_all_listed().await;
    assert_eq!(viewer.borders().len(), 1, "{viewer}");
}

/// It stands nearest and carries the stream, but does not pass its checks: it gets no lane until it does.
#[tokio::test]
async fn who_is_new_and_not_well_gets_no_lane() {
    let names = NameServer::start(1).await;
    let group = packagers(&["one", "two"]);
    group.iter().for_each(Packager::start);
    let port = group[0].port();
    // Health checks ask for a stream; they may fail for long before they say that it is down.
    let checks = QUICK.replace("/health", "/health/playlist.m3u8").replace("404", "200");
    let checks = checks.replace("fall: 1", "fall: 100");
    group[1].break_playlists("health", Fault::Status(500));
    names.lead("edges.test", Leads::To(vec![]));
    let alone = format!("{{ id: a, url: \"http://127.0.0.2:{port}\", zone: there }}");
    let proxy = Proxy::over(&[]).setting(&dns(&names)).pool_setting(&checks);
    let proxy = proxy.entry(&alone).entry(&self::group(port, "")).start().await;
    let mut viewer = proxy.viewer("cam").await;
    becomes(&proxy, &["a up"]).await;
    names.addresses("edges.test", &[3]);
    becomes(&proxy, &["a up", "az1-127-0-0-3 new"]).await;
    for stream in ["cam", "other", "third"] {
        let mut new = proxy.viewer(stream).await;
        new.refresh().await;
        assert_eq!(new.lane_packager(), "one", "{stream}");
    }
    viewer.more(2).await;
    becomes(&proxy, &["a up", "az1-127-0-0-3 new"]).await;
    group[1].mend("health");
    becomes(&proxy, &["a up", "az1-127-0-0-3 up"]).await;
    let mut new = proxy.viewer("fourth").await;
    new.refresh().await;
    assert_eq!(new.lane_packager(), "two");
    viewer.more(1).await;
    assert_eq!(viewer.borders().len(), 0, "{viewer}");
}

/// As in EC2, where a name is a CNAME of one that leads to the inner address: it leads elsewhere one
/// day, for a packager of its own as for a group.
#[tokio::test]
async fn the_address_behind_a_cname_moves() {
    let names = NameServer::start(1).await;
    let all = packagers(&["one", "two", "three"]);
    all.iter().take(2).for_each(Packager::start);
    names.lead("a.test", Leads::Cname("ec2.test"));
    names.lead("edges.test", Leads::BareCname("asg.test"));
    names.addresses("ec2.test", &[2]);
    names.addresses("asg.test", &[3]);
    let port = all[0].port();
    let alone = format!("{{ id: a, url: \"http://a.test:{port}\", zone: here }}");
    let grouped = group(port, "").replace("zone: here", "zone: there");
    let proxy = Proxy::over(&[]).setting(&dns(&names)).pool_setting(QUICK);
    let proxy = proxy.entry(&alone).entry(&grouped).start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    assert_eq!(viewer.lane_packager(), "one");
    becomes(&proxy, &["a up", "az1-127-0-0-3 up"]).await;
    // Another machine is `a` now: a new run, or the sibling, carries on.
    all[2].start();
    names.addresses("ec2.test", &[4]);
    let moved =
        || async { !proxy.logged(&["a packager's name leads elsewhere", "a.test"]).is_empty() };
    wait_for("the new address", SOON, moved).await.unwrap();
    all[0].kill().await;
    viewer.more(2).await;
    // The group's as well.
    names.addresses("asg.test", &[2]);
    all[0].start();
    becomes(&proxy, &["a up", "az1-127-0-0-2 up"]).await;
    all[1].kill().await;
    viewer.more(2).await;
    let asked = |n: usize| !all[n].requests().is_empty();
    assert!(asked(2), "a is asked where it is now");
    names.be(Mood::Fails);
    let told =
        || async { proxy.logged(&["WARN", "a packager's name cannot", "a.test"]).len() == 1 };
    wait_for("the log to tell", SOON, told).await.unwrap();
    viewer.more(1).await;
    becomes(&proxy, &["a up", "az1-127-0-0-2 up"]).await;
    viewer.check_all_listed().await;
}

/// A file says who belongs to the group; one that is broken changes nothing, and is told with its line.
#[tokio::test]
async fn a_file_lists_the_group() {
    let group = packagers(&["one", "two", "three"]);
    group.iter().for_each(Packager::start);
    let port = group[0].port();
    let entry = "{ id: listed, file: packagers.yaml, zone: here, leave_within_seconds: 60 }";
    let proxy = Proxy::over(&[]).pool_setting(QUICK).entry(entry);
    let file = proxy.dir().join("packagers.yaml");
    let list = |items: &[(&str, u8)]| {
        let item = |(id, host): &(&str, u8)| {
            format!("- {{ id: {id}, url: \"http://127.0.0.{host}:{port}\" }}\n")
        };
        items.iter().map(item).collect::<String>()
    };
    std::fs::write(&file, list(&[("x", 2)])).unwrap();
    let proxy = proxy.start().await;
    let mut viewer = proxy.viewer("cam").await;
    viewer.more(1).await;
    becomes(&proxy, &["x up"]).await;
    // JSON will do, and an id is made of where it is.
    let json = format!(
        "[{{\"id\": \"x\", \"url\": \"http://127.0.0.2:{port}\"}}, {{\"url\": \"http://127.0.0.3:{port}\", \"zone\": \"there\"}}]"
    );
    std::fs::write(&file, json).unwrap();
    let two = format!("listed-127-0-0-3-{port} up");
    becomes(&proxy, &["x up", &two]).await;
    std::fs::write(&file, list(&[("x", 2)]) + "- { id: y, ulr: \"http://127.0.0.4\" }\n").unwrap();
    let told = || async { proxy.logged(&["WARN", "packagers.yaml:2:", "ulr"]).len() == 1 };
    wait_for("the log to tell", SOON, told).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    let told = || async { proxy.logged(&["WARN", "packagers.yaml: cannot be read"]).len() == 1 };
    wait_for("the log to tell", SOON, told).await.unwrap();
    viewer.more(1).await;
    becomes(&proxy, &["x up", &two]).await;
    assert_eq!(viewer.lane_packager(), "one");
    std::fs::write(&file, list(&[("y", 3), ("z", 4)])).unwrap();
    viewer.until("the lane to leave", |v| v.lane_packager() != "one").await;
    becomes(&proxy, &["y up", "z up"]).await;
    group[0].kill().await;
    viewer.more(2).await;
    viewer.check_all_listed().await;
    let groups = &proxy.status().await["groups"];
    assert_eq!(groups[0]["packagers"].as_array().unwrap().len(), 2, "{groups:#}");
    assert_eq!((&groups[0]["group"], &groups[0]["cause"]), (&"listed".into(), &"".into()));
}

/// A reload keeps who is known of a group that is looked up as before, though nobody can be asked; and
/// the most that a group may have holds.
#[tokio::test]
async fn a_reload_keeps_the_group_and_its_limit_holds() {
    let mut names = NameServer::start(1).await;
    let group = packagers(&["one", "two", "three"]);
    group.iter().for_each(Packager::start);
    names.addresses("edges.test", &[2, 3, 4]);
    let port = group[0].port();
    let proxy = Proxy::over(&[]).setting(&dns(&names)).pool_setting(QUICK);
    let proxy = proxy.entry(&self::group(port, ", packagers_max: 2")).start().await;
    let mut viewer = proxy.viewer("cam").await;
    becomes(&proxy, &["az1-127-0-0-2 up", "az1-127-0-0-3 up"]).await;
    asked_again(&names).await;
    assert_eq!(proxy.logged(&["WARN", "more packagers than the group may have"]).len(), 1);
    assert!(proxy.metric("segue_group_packagers{group=\"az1\",state=\"refused\"}").await > 0.5);
    names.die().await;
    let text = std::fs::read_to_string(proxy.file()).unwrap();
    std::fs::write(proxy.file(), text.replace(", packagers_max: 2", ", weight: 7")).unwrap();
    proxy.signal("HUP");
    let taken = || async { !proxy.logged(&["configuration reloaded"]).is_empty() };
    wait_for("the reload", SOON, taken).await.unwrap();
    becomes(&proxy, &["az1-127-0-0-2 up", "az1-127-0-0-3 up"]).await;
    let status = proxy.status().await;
    assert_eq!(status["packagers"][0]["weight"], 7, "{status:#}");
    viewer.more(2).await;
    assert_eq!(viewer.borders().len(), 0, "{viewer}");
}

/// The list leads to the wrong place: whoever serves is taken out, and serves on, since nobody else works.
/// Named again it is simply back.
#[tokio::test]
async fn a_list_that_is_wrong_ends_no_lane() {
    let group = packagers(&["one"]);
    group[0].start();
    let port = group[0].port();
    let entry = "{ id: listed, file: packagers.yaml, zone: here, leave_within_seconds: 1 }";
    let proxy = Proxy::over(&[]).pool_setting(QUICK).entry(entry);
    let file = proxy.dir().join("packagers.yaml");
    let list = |id: &str, host: u8| {
        std::fs::write(&file, format!("- {{ id: {id}, url: \"http://127.0.0.{host}:{port}\" }}\n"))
    };
    list("x", 2).unwrap();
    let proxy = proxy.start().await;
    let mut viewer = proxy.viewer("cam").await;
    becomes(&proxy, &["x up"]).await;
    // Nobody listens there.
    list("y", 9).unwrap();
    becomes(&proxy, &["x up leaving", "y down"]).await;
    viewer.more(3).await;
    let mut new = proxy.viewer("other").await;
    new.more(1).await;
    becomes(&proxy, &["x up leaving", "y down"]).await;
    list("x", 2).unwrap();
    becomes(&proxy, &["x up"]).await;
    assert_eq!(proxy.logged(&["packager is back", "packager=\"x\""]).len(), 1);
    assert_eq!(proxy.logged(&["packager left", "packager=\"y\""]).len(), 1);
    viewer.more(1).await;
    assert_eq!(viewer.borders().len(), 0, "{viewer}");
}

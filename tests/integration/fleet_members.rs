//! Who is of a fleet: found by a list, by DNS and through the store; who comes and goes; who is left out.

use std::process::Command;
use std::time::Duration;

use crate::dns::NameServer;
use crate::fleet::{SOON, TOKEN_KEYS, sees};
use crate::http;
use crate::packager::Packager;
use crate::proxy::Proxy;
use crate::redis::Redis;
use crate::wait_for;

fn a_proxy(packager: &Packager) -> Proxy {
    Proxy::over(&[packager]).setting(TOKEN_KEYS)
}

/// `peers` for these, and for each of them.
fn list(of: &[&Proxy]) -> String {
    let all: Vec<String> = of.iter().map(|p| format!("\"{}\"", p.fleet())).collect();
    format!("peers: [{}]", all.join(", "))
}

#[tokio::test]
async fn proxies_of_one_list_know_each_other_and_notice_who_dies() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let [one, two, three] = [(); 3].map(|()| a_proxy(&a));
    // Each stands in its own list.
    let peers = list(&[&one, &two, &three]);
    let in_fleet = |proxy: Proxy, id| proxy.in_fleet(&format!("id: {id}, {peers}")).start();
    let one = in_fleet(one.setting("zone: az1"), "p-1").await;
    sees(&one, &[]).await;
    let mut two = in_fleet(two.setting("zone: az1"), "p-2").await;
    let three = in_fleet(three.setting("zone: az2"), "p-3").await;
    sees(&one, &["p-2", "p-3"]).await;
    sees(&two, &["p-1", "p-3"]).await;
    sees(&three, &["p-1", "p-2"]).await;
    let status = one.status().await["fleet"].clone();
    assert_eq!((&status["id"], &status["zone"]), (&"p-1".into(), &"az1".into()));
    let proxies = status["proxies"].as_array().unwrap();
    assert_eq!(proxies.len(), 2, "it leaves itself out: {status}");
    let third = proxies.iter().find(|p| p["id"] == "p-3").unwrap();
    assert_eq!(third["zone"], "az2");
    assert_eq!(third["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(third["at"], three.fleet().to_string());
    assert!(one.metric("segue_fleet_proxies{zone=\"az1\"}").await > 0.5);
    assert!(one.metric("segue_fleet_proxies{zone=\"az2\"}").await > 0.5);
    two.kill();
    sees(&one, &["p-3"]).await;
    sees(&three, &["p-1"]).await;
    assert!(one.metric("segue_fleet_proxies{zone=\"az1\"}").await < 0.5);
    assert_eq!(one.logged(&["another proxy answers", "proxy=p-2"]).len(), 1);
    assert_eq!(one.logged(&["does not answer any more", "proxy=p-2"]).len(), 1);
    let told = Command::new(env!("CARGO_BIN_EXE_segue"))
        .args(["fleet", "--conf"])
        .arg(one.file())
        .output()
        .unwrap();
    let table = String::from_utf8(told.stdout).unwrap();
    for words in [&["p-1", "this one"][..], &["p-3", "az2", "answers for"], &["p-2", "refuses"]] {
        let shown = table.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(shown, "{words:?}: {table}");
    }
    // Viewers do not depend on other proxies.
    assert_eq!(one.get("/.segue/readyz").await.unwrap().status, 200);
    two.start_again().await;
    sees(&one, &["p-2", "p-3"]).await;
    assert_eq!(one.logged(&["another proxy answers", "proxy=p-2"]).len(), 2);
}

#[tokio::test]
async fn proxies_find_each_other_by_dns() {
    let names = NameServer::start(1).await;
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let dns = format!("dns: {{ servers: [\"{}\"] }}", names.address());
    let one = a_proxy(&a).asked_at(2, 0);
    let port = one.fleet().port();
    let [two, three] = [3, 4].map(|host| a_proxy(&a).asked_at(host, port));
    let in_fleet = |proxy: Proxy, id| {
        let keys = format!("id: {id}, peers_name: \"proxies.test:{port}\"");
        proxy.setting(&dns).in_fleet(&keys).start()
    };
    names.addresses("proxies.test", &[2, 3]);
    let (one, two) = (in_fleet(one, "p-1").await, in_fleet(two, "p-2").await);
    sees(&one, &["p-2"]).await;
    let mut three = in_fleet(three, "p-3").await;
    names.addresses("proxies.test", &[2, 3, 4]);
    sees(&one, &["p-2", "p-3"]).await;
    sees(&two, &["p-1", "p-3"]).await;
    // Who answers is there, whatever the name says now; who has died is forgotten.
    names.forget("proxies.test");
    let asked = names.asked();
    wait_for("the name to be asked for", SOON, || async { names.asked() > asked + 4 })
        .await
        .unwrap();
    sees(&one, &["p-2", "p-3"]).await;
    names.addresses("proxies.test", &[2, 3]);
    let asked = names.asked();
    wait_for("the name to be asked for", SOON, || async { names.asked() > asked + 4 })
        .await
        .unwrap();
    sees(&one, &["p-2", "p-3"]).await;
    three.kill();
    let gone = || async { one.status().await["fleet"]["proxies"].as_array().unwrap().len() == 1 };
    wait_for("the third to be forgotten", SOON, gone).await.unwrap();
}

#[tokio::test]
async fn proxies_find_each_other_through_the_store() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let dir = tempfile::tempdir().unwrap();
    let store = format!("store: \"sqlite:{}\"", dir.path().join("shared.db").display());
    let started = |zone: &str| {
        // The token key is the store's.
        let proxy = Proxy::over(&[&a]).setting(&store).setting(&format!("zone: {zone}"));
        proxy.in_fleet("").start()
    };
    let (one, mut two) = (started("az1").await, started("az2").await);
    let id = async |proxy: &Proxy| proxy.status().await["fleet"]["id"].as_str().unwrap().to_owned();
    let (first, second) = (id(&one).await, id(&two).await);
    assert!(first.starts_with("az1-") && second.starts_with("az2-"), "{first} {second}");
    sees(&one, &[&second]).await;
    sees(&two, &[&first]).await;
    // It is the same one after a restart.
    two.kill();
    sees(&one, &[]).await;
    two.start_again().await;
    assert_eq!(id(&two).await, second);
    sees(&one, &[&second]).await;
}

/// In Redis, which tells each its own address as well.
#[tokio::test]
async fn proxies_find_each_other_through_redis() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let redis = Redis::start();
    let store = format!("store: \"redis://127.0.0.1:{}\"", redis.port);
    let started = |zone: &str| {
        let proxy = Proxy::over(&[&a]).setting(&store).setting(&format!("zone: {zone}"));
        proxy.in_fleet_on_all_addresses().start()
    };
    let (one, two) = (started("az1").await, started("az2").await);
    let id = async |proxy: &Proxy| proxy.status().await["fleet"]["id"].as_str().unwrap().to_owned();
    let (first, second) = (id(&one).await, id(&two).await);
    sees(&one, &[&second]).await;
    sees(&two, &[&first]).await;
    let at = one.status().await["fleet"]["proxies"][0]["at"].as_str().unwrap().to_owned();
    assert_eq!(at, format!("127.0.0.1:{}", two.fleet().port()));
    // Without the store those that know each other go on asking each other.
    drop(redis);
    let asked = "segue_fleet_requests_total{kind=\"hello\",outcome=\"ok\"}";
    let before = one.metric(asked).await;
    let goes_on = || async { one.metric(asked).await > before + 6.0 };
    wait_for("hellos without the store", SOON, goes_on).await.unwrap();
    sees(&one, &[&second]).await;
    assert_eq!(one.logged(&["other proxies are not looked for"]).len(), 1);
}

#[tokio::test]
async fn one_with_another_key_is_told_of_and_left_out() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let [one, two] = [(); 2].map(|()| a_proxy(&a));
    let peers = list(&[&one, &two]);
    let other = "key: \"HwABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4=\"";
    let one = one.in_fleet(&format!("id: p-1, {peers}")).start().await;
    let two = two.in_fleet(&format!("id: p-2, {other}, {peers}")).start().await;
    let told = || async {
        let cause = one.status().await["fleet"]["proxies"][0]["cause"].to_string();
        cause.contains("answers 401: signed with another key")
    };
    wait_for("the cause", SOON, told).await.unwrap();
    sees(&one, &[]).await;
    sees(&two, &[]).await;
    let refused = || async {
        one.metric("segue_fleet_answers_total{kind=\"no\",status=\"401\"}").await > 0.5
    };
    wait_for("the other to be refused", SOON, refused).await.unwrap();
}

/// While keys are exchanged one proxy signs with the new one before another does, and both know both.
#[tokio::test]
async fn keys_are_exchanged_one_proxy_after_the_other() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let (old, new) = (
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "HwABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4=",
    );
    let [one, two] = [(); 2].map(|()| Proxy::over(&[&a]));
    let peers = list(&[&one, &two]);
    let keys = |all: &str| format!("token_keys: [{all}]");
    let one = one.setting(&keys(&format!("\"{new}\", \"{old}\"")));
    let two = two.setting(&keys(&format!("\"{old}\"")));
    let one = one.in_fleet(&format!("id: p-1, {peers}")).start().await;
    let two = two.in_fleet(&format!("id: p-2, {peers}")).start().await;
    sees(&one, &["p-2"]).await;
    sees(&two, &["p-1"]).await;
}

/// Whoever listens there, is no proxy, or never answers.
#[tokio::test]
async fn what_is_no_proxy_harms_nobody() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let [one, two] = [(); 2].map(|()| a_proxy(&a));
    let strangers = [silent.local_addr().unwrap().port(), a.port(), one.port()];
    let all = strangers.map(|port| format!("\"127.0.0.1:{port}\"")).join(", ");
    let peers = format!("peers: [{all}, \"{}\", \"{}\"]", one.fleet(), two.fleet());
    let one = one.in_fleet(&format!("id: p-1, {peers}")).start().await;
    let _two = two.in_fleet(&format!("id: p-2, {peers}")).start().await;
    sees(&one, &["p-2"]).await;
    let mut viewer = one.viewer("cam").await;
    viewer.more(2).await;
    sees(&one, &["p-2"]).await;
    // A viewer's port gives nothing of the fleet.
    let reply = http::get(one.port(), "/.segue/fleet/1/hello").await.unwrap();
    assert_eq!(reply.status, 404);
    let silent = one.metric("segue_fleet_requests_total{kind=\"hello\",outcome=\"timeout\"}").await;
    assert!(silent > 0.5, "{silent}");
    tokio::time::timeout(Duration::from_secs(1), silent_is_left(&one)).await.unwrap();
}

async fn silent_is_left(proxy: &Proxy) {
    let status = proxy.status().await["fleet"].clone();
    let answering = status["proxies"].as_array().unwrap().iter().filter(|p| p["answers"] == true);
    assert_eq!(answering.count(), 1, "{status}");
}

#[tokio::test]
async fn an_upgrade_in_place_is_the_same_proxy() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let [one, two] = [(); 2].map(|()| a_proxy(&a));
    let peers = list(&[&one, &two]);
    let mut one = one.in_fleet(&peers).start().await;
    let two = two.in_fleet(&format!("id: p-2, {peers}")).start().await;
    let id = one.status().await["fleet"]["id"].as_str().unwrap().to_owned();
    sees(&two, &[&id]).await;
    sees(&one, &["p-2"]).await;
    one.upgrade().await;
    sees(&one, &["p-2"]).await;
    sees(&two, &[&id]).await;
    assert_eq!(one.status().await["fleet"]["id"], id.as_str());
    assert_eq!(two.logged(&["does not answer any more"]), Vec::<String>::new());
    assert_eq!(one.logged(&["has this proxy's id"]), Vec::<String>::new());
}

#[tokio::test]
async fn one_that_is_told_to_end_says_so_and_goes() {
    let a = Packager::fake("a").segments_of(2000, 2).live();
    let server =
        "server: { threads: 2, upgrade_sock: \"run/upgrade.sock\", drain_delay_seconds: 4 }";
    let [one, two] = [a_proxy(&a).setting(server), a_proxy(&a)];
    let peers = list(&[&one, &two]);
    let mut one = one.in_fleet(&format!("id: p-1, {peers}")).start().await;
    let two = two.in_fleet(&format!("id: p-2, {peers}")).start().await;
    sees(&two, &["p-1"]).await;
    one.signal("TERM");
    let leaves = || async { two.status().await["fleet"]["proxies"][0]["leaving"] == true };
    wait_for("it to say that it leaves", SOON, leaves).await.unwrap();
    sees(&two, &["p-1"]).await;
    one.ends().await;
    sees(&two, &[]).await;
}

//! Edges that come and go as in an autoscaling group, known to Segue by a file that somebody keeps.

use std::path::Path;
use std::time::Duration;

use super::{alone, other};
use crate::expect::Splice;
use crate::player::ALL;
use crate::process::wait_until;
use crate::proxy::{Proxy, Shape, Which};
use crate::run::{Run, Seats};
use crate::stage::Stage;

/// The file is read twice a second, and who is new must pass its checks twice.
const SOON: Duration = Duration::from_secs(30);

/// Writes the group's file as a whole at once, as whoever keeps it should.
fn list(file: &Path, stage: &Stage, ids: &[&str]) {
    let named = stage.packagers.iter().filter(|p| ids.contains(&p.id.as_str()));
    let items: String =
        named.map(|p| format!("- {{ id: {}, url: \"{}\" }}\n", p.id, p.url())).collect();
    let partial = file.with_extension("partial");
    std::fs::write(&partial, items).unwrap();
    std::fs::rename(partial, file).unwrap();
}

/// Waits until the proxy knows these packagers and no others, all of them up.
fn known(proxy: &Proxy, ids: &[&str]) {
    wait_until(&format!("the group is {ids:?}"), SOON, || {
        let status = proxy.status().unwrap_or_default();
        let mut known: Vec<_> = status["packagers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|p| p["health"] == "up" && p["drained"] != true)
            .filter_map(|p| p["packager"].as_str())
            .collect();
        known.sort_unstable();
        known == ids && status["packagers"].as_array().map(Vec::len) == Some(ids.len())
    });
}

/// A group of two grows to three; the one that carries the lane is taken out of the file, and ends
/// once its lane is elsewhere; then the next one dies unasked, and the newcomer carries on.
#[test]
#[ignore = "make e2e"]
fn an_edge_joins_and_one_leaves_while_players_play() {
    let _alone = alone();
    if Which::chosen() != Which::Segue {
        return;
    }
    let stage = Stage::three_nginx_rtmp(3);
    let file = stage.folder().join("edges.yaml");
    list(&file, &stage, &["a", "b"]);
    let proxy = Proxy::shaped(
        stage.folder(),
        &Shape {
            name: "proxy".to_owned(),
            store: None,
            zone: "az1".to_owned(),
            top: String::new(),
            // Else each of the two carries a lane.
            pool: "    hosts: [\"*\"]\n    lanes_per_stream: 1\n".to_owned(),
            packagers: format!(
                "      - {{ id: edges, file: \"{}\", zone: az1 }}\n",
                file.display()
            ),
        },
    );
    known(&proxy, &["a", "b"]);
    let seats = Seats::at(&proxy.url(), &ALL);
    let name = "an_edge_joins_and_one_leaves_while_players_play";
    let mut run = Run::begin_before(name, stage, proxy, &seats, &[]);
    run.expect(Some(Splice::Exact));
    run.control();
    let first = run.serving("a");
    let second = other(&first);
    run.fault("c joins the group", |run| {
        list(&file, &run.stage, &["a", "b", "c"]);
        known(&run.proxy, &["a", "b", "c"]);
    });
    assert_eq!((run.serving("c"), run.last_cost()), (first.clone(), (0, 0)));
    run.fault("the one that serves leaves", |run| {
        list(&file, &run.stage, &[second, "c"]);
        known(&run.proxy, &[second, "c"]);
    });
    assert_eq!((run.last_cost(), run.last_reason()), ((1, 0), "drained"));
    let next = run.serving(&first);
    assert_ne!(next, first, "the lane has left");
    run.fault("it has left: kill -9", |run| run.stage.packager(&first).kill());
    assert_eq!((run.serving(&first), run.last_cost()), (next.clone(), (0, 0)));
    run.fault("the next: kill -9", |run| run.stage.packager(&next).kill());
    assert_eq!(run.last_cost(), (1, 0));
    run.finish();
}

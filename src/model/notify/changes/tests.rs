//! What is told of what stands, second by second.

use super::*;

/// A pool of `a` and `b`, and one stream of it. Letters: `a` and `b` up, `A` and `B` down, `(a)` drained.
fn shown(packagers: &str, stream: Option<StreamShown>) -> Shown {
    let mut all = Vec::new();
    let mut drained = false;
    for c in packagers.chars() {
        match c {
            '(' => drained = true,
            ')' => drained = false,
            c => all.push(PackagerShown {
                id: PackagerId::new(c.to_ascii_lowercase().to_string()),
                pool: PoolName::new("live"),
                health: if c.is_ascii_uppercase() { Health::Down } else { Health::Up },
                cause: if c.is_ascii_uppercase() { "refused".into() } else { String::new() },
                drained,
            }),
        }
    }
    Shown {
        packagers: all,
        streams: stream.into_iter().collect(),
        without_standbys: BTreeSet::new(),
    }
}

/// The stream on a lane of `a`, with `b` in this state.
fn on_a(b: &'static str) -> StreamShown {
    let packagers = vec![(PackagerId::new("a"), "moves"), (PackagerId::new("b"), b)];
    StreamShown { packagers, ..stream_on("a", false) }
}

fn stream_on(packager: &str, ended: bool) -> StreamShown {
    StreamShown {
        pool: PoolName::new("live"),
        stream: "/cam".into(),
        packagers: Vec::new(),
        lanes: vec![LaneShown {
            lane: LaneId::new("a-1"),
            packager: PackagerId::new(packager),
            opened_at: UnixMs(1000),
            ended,
        }],
    }
}

/// The names of what is told, with the cause: `packager_down a refused`.
fn told(news: &[News]) -> String {
    let line = |n: &News| {
        let packager = n.packager.as_ref().map(|p| format!(" {p}")).unwrap_or_default();
        let cause = if n.cause.is_empty() { String::new() } else { format!(" {}", n.cause) };
        format!("{}{packager}{cause}", n.kind.as_str())
    };
    news.iter().map(line).collect::<Vec<_>>().join("; ")
}

#[test]
fn packagers() {
    for (name, looks, want) in [
        ("up from the beginning", vec!["ab", "ab"], ""),
        ("down once", vec!["ab", "Ab", "Ab"], "packager_down a refused"),
        ("and up", vec!["ab", "Ab", "ab", "ab"], "packager_down a refused; packager_up a"),
        ("down from the beginning", vec!["Ab"], "packager_down a refused"),
        ("taken out first", vec!["(a)b", "(A)b", "(a)b", "ab"], ""),
        ("taken out, then brought back while down", vec!["(A)b", "Ab"], "packager_down a refused"),
        (
            "down, then taken out and mended",
            vec!["Ab", "(A)b", "(a)b"],
            "packager_down a refused; packager_up a",
        ),
        (
            "gone from the configuration",
            vec!["Ab", "b", "ab", "Ab"],
            "packager_down a refused; packager_down a refused",
        ),
    ] {
        let mut changes = Changes::new(UnixMs(0));
        let looks = looks.iter().zip(0..);
        let all: Vec<News> =
            looks.flat_map(|(p, n)| changes.look(UnixMs(n * 1000), &shown(p, None))).collect();
        assert_eq!(told(&all), want, "{name}");
    }
}

/// Looks once a second at each of these; what was told from second to second.
fn seconds(looks: &[(u64, &str, Option<StreamShown>)]) -> String {
    let mut changes = Changes::new(UnixMs(0));
    let mut all = Vec::new();
    let mut now = UnixMs(1000);
    for (times, packagers, stream) in looks {
        for _ in 0..*times {
            all.extend(changes.look(now, &shown(packagers, stream.clone())));
            now = now.plus(Duration::from_secs(1));
        }
    }
    all.retain(|n| n.kind != Kind::PackagerDown && n.kind != Kind::PackagerUp);
    told(&all)
}

#[test]
fn standbys() {
    for (name, looks, want) in [
        ("there all the time", vec![(9, "ab", on_a("moves"))], ""),
        ("not known at first", vec![(4, "ab", on_a("unknown")), (9, "ab", on_a("moves"))], ""),
        (
            "gone for good",
            vec![(2, "ab", on_a("moves")), (9, "ab", on_a("failed"))],
            "no_standby a b failed",
        ),
        ("gone for a moment", vec![(4, "ab", on_a("failed")), (9, "ab", on_a("moves"))], ""),
        (
            "again and again for a moment",
            vec![
                (4, "ab", on_a("failed")),
                (1, "ab", on_a("moves")),
                (4, "ab", on_a("failed")),
                (1, "ab", on_a("moves")),
            ],
            "",
        ),
        ("its checks fail", vec![(9, "aB", on_a("moves"))], "no_standby a b is down"),
        (
            "and back",
            vec![(9, "aB", on_a("failed")), (9, "ab", on_a("moves"))],
            "no_standby a b is down; standby_back a",
        ),
        (
            "back for a moment",
            vec![(9, "aB", on_a("failed")), (4, "ab", on_a("moves")), (9, "aB", on_a("failed"))],
            "no_standby a b is down",
        ),
        ("taken out", vec![(9, "a(B)", on_a("failed"))], ""),
        (
            "another is there",
            vec![(9, "a(B)C", on_a("failed"))],
            "no_standby a b is drained, c is down",
        ),
        ("nobody expects one", vec![(9, "a", on_a("unknown"))], ""),
        (
            "the group has shrunk to one",
            vec![(2, "ab", on_a("moves")), (9, "a", stream_on("a", false))],
            "no_standby a no other packager is left",
        ),
        ("over", vec![(9, "aB", stream_on("a", true))], ""),
    ] {
        let looks: Vec<_> = looks.into_iter().map(|(n, p, stream)| (n, p, Some(stream))).collect();
        let told = seconds(&looks);
        let told = told.strip_prefix("stream_started").unwrap_or(&told);
        assert_eq!(told.strip_prefix("; ").unwrap_or(told), want, "{name}");
    }
}

#[test]
fn a_pool_without_standbys_is_told_of_none() {
    let mut changes = Changes::new(UnixMs(0));
    let mut shown = shown("aB", Some(on_a("failed")));
    shown.without_standbys.insert(PoolName::new("live"));
    let looks = (1..20).flat_map(|s| changes.look(UnixMs(s * 1000), &shown));
    let all: Vec<News> = looks.collect();
    assert_eq!(told(&all), "packager_down b refused; stream_started");
}

#[test]
fn streams_start_and_end() {
    let live = || Some(stream_on("a", false));
    let over = || Some(stream_on("a", true));
    for (name, looks, want) in [
        ("once", vec![(9, "a", live())], "stream_started"),
        ("opened and nothing listed yet", vec![(9, "a", None)], ""),
        ("over", vec![(2, "a", live()), (9, "a", over())], "stream_started; stream_ended over"),
        (
            "over and gone from here",
            vec![(2, "a", live()), (2, "a", over()), (700, "a", None)],
            "stream_started; stream_ended over",
        ),
        (
            "and again",
            vec![(2, "a", live()), (2, "a", over()), (2, "a", live())],
            "stream_started; stream_ended over; stream_started",
        ),
        (
            "nobody asks for some minutes",
            vec![(2, "a", live()), (500, "a", None), (2, "a", live())],
            "stream_started",
        ),
        (
            "nobody asks any more",
            vec![(2, "a", live()), (700, "a", None), (2, "a", live())],
            "stream_started; stream_ended unwatched; stream_started",
        ),
        ("a recording", vec![(9, "a", over())], ""),
    ] {
        assert_eq!(seconds(&looks), want, "{name}");
    }
}

#[test]
fn a_lane_of_before_the_restart_is_no_news() {
    let mut changes = Changes::new(UnixMs(1001));
    let live = shown("a", Some(stream_on("a", false)));
    assert_eq!(told(&changes.look(UnixMs(5000), &live)), "");
    let over = shown("a", Some(stream_on("a", true)));
    assert_eq!(told(&changes.look(UnixMs(6000), &over)), "stream_ended over");
}

//! Gates let in as many as may be, and what is counted adds up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::model::viewers::log::Reported;

fn stream(pool: &str, name: &str) -> StreamKey {
    let path = format!("/{name}.m3u8").into();
    StreamKey { pool: PoolName::new(pool), path, query: "".into() }
}

fn audience(change: impl FnOnce(&mut PoolSettings)) -> Audience {
    let mut live = PoolSettings::default();
    change(&mut live);
    let settings = HashMap::from([
        (PoolName::new("live"), live),
        (PoolName::new("other"), PoolSettings::default()),
    ]);
    Audience::new(settings, Ledger::default())
}

fn nowhere(_: &LaneId) -> Option<Whereabouts> {
    None
}

struct One<'a> {
    stream: &'a StreamKey,
    lane: &'a LaneId,
}

impl One<'_> {
    fn visit<'b>(&'b self, viewer: Option<&'b str>, sid: Option<&'b str>) -> Visit<'b> {
        Visit {
            stream: self.stream,
            lane: self.lane,
            target_seconds: 2,
            viewer,
            sid,
            client: Some(IpAddr::from([192, 0, 2, 1])),
            user_agent: b"player",
        }
    }
}

#[test]
fn a_crowd_that_comes_at_once_does_not_slip_in() {
    let audience = audience(|live| (live.limit, live.sessions) = (Some(10), true));
    let (cam, lane) = (stream("live", "cam"), LaneId::new("a-1"));
    let let_in = parking_lot::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..20_u64 {
                    let Ok(admitted) = audience.admit(&cam, None) else { continue };
                    let one = One { stream: &cam, lane: &lane };
                    audience.arrived(&one.visit(admitted.viewer.as_deref(), None), UnixMs(n));
                    let_in.lock().push(admitted.viewer);
                    if n % 3 == 0 {
                        audience.count(&nowhere, UnixMs(n));
                    }
                }
            });
        }
    });
    let mut let_in = let_in.into_inner();
    assert!(let_in.len() <= 10, "{}", let_in.len());
    // Whoever comes while is counted may count twice until the next time: what that kept out comes now.
    audience.count(&nowhere, UnixMs(20));
    while let Ok(admitted) = audience.admit(&cam, None) {
        let one = One { stream: &cam, lane: &lane };
        audience.arrived(&one.visit(admitted.viewer.as_deref(), None), UnixMs(20));
        let_in.push(admitted.viewer);
    }
    assert_eq!(let_in.len(), 10);
    assert_eq!(audience.picture.load().viewers.now, 0, "nobody has asked for a media playlist");
    // Those who watch go on, and another tenant is not harmed.
    for viewer in &let_in {
        let one = One { stream: &cam, lane: &lane };
        audience.asked(&one.visit(viewer.as_deref(), None), true, UnixMs(100));
    }
    audience.count(&nowhere, UnixMs(100));
    assert_eq!(audience.picture().viewers.now, 10);
    assert_eq!(audience.admit(&cam, None).unwrap_err(), AtCapacity);
    assert!(audience.admit(&stream("other", "cam"), None).is_ok());
    assert_eq!(audience.picture().pools[0].limit, Some(10));
    // They leave, and there is room.
    audience.count(&nowhere, UnixMs(60_000));
    assert!(audience.admit(&cam, None).is_ok());
}

#[test]
fn whoever_gets_no_lane_takes_no_place() {
    let audience = audience(|live| live.limit = Some(1));
    let cam = stream("live", "cam");
    for _ in 0..5 {
        let admitted = audience.admit(&cam, None).unwrap();
        assert!(audience.admit(&cam, None).is_err(), "while he is given one he counts");
        drop(admitted);
    }
    audience.count(&nowhere, UnixMs(0));
    let refused =
        |pools: &[crate::model::viewers::PoolShown]| pools.iter().map(|p| p.refused).sum::<u64>();
    assert_eq!((audience.picture().refused, refused(&audience.picture().pools)), (5, 5));
}

#[test]
fn a_player_that_watches_may_ask_for_the_entry_again() {
    let audience = audience(|live| live.limit = Some(1));
    let (cam, lane) = (stream("live", "cam"), LaneId::new("a-1"));
    let one = One { stream: &cam, lane: &lane };
    drop(audience.admit(&cam, Some("s1")).unwrap());
    audience.arrived(&one.visit(None, Some("s1")), UnixMs(0));
    assert!(audience.admit(&cam, Some("s2")).is_err());
    assert!(audience.admit(&cam, None).is_err());
    assert!(audience.admit(&cam, Some("s1")).is_ok());
}

#[test]
fn a_log_counts_instead_of_what_was_seen_here_where_it_is_more_and_news() {
    let audience = audience(|_| {});
    let (cam, lane) = (stream("live", "cam"), LaneId::new("a-1"));
    let one = One { stream: &cam, lane: &lane };
    for sid in ["1", "2", "3"] {
        audience.asked(&one.visit(None, Some(sid)), true, UnixMs(0));
    }
    let report = |viewers| Report {
        window_seconds: 60,
        at: UnixMs(0),
        streams: vec![
            Reported {
                host: "h".into(),
                stream: "/other.m3u8".into(),
                lane: "b-1".into(),
                viewers: 5,
            },
            Reported {
                host: "x".into(),
                stream: "/nobody.m3u8".into(),
                lane: "c-1".into(),
                viewers: 9,
            },
            // Known by its lane, whatever its host leads to.
            Reported { host: "x".into(), stream: "/cam.m3u8".into(), lane: "a-1".into(), viewers },
        ],
    };
    let pool_of = |host: &str| (host == "h").then(|| PoolName::new("live"));
    let on_a = |lane: &LaneId| {
        let packager = PackagerId::new(lane.as_str().get(..1)?);
        Some(Whereabouts { packager, zone: "az1".into() })
    };
    for (viewers, cam_now) in [(2, 3), (40, 40)] {
        assert_eq!(audience.hear(report(viewers), &pool_of, UnixMs(0)), 2);
        audience.count(&on_a, UnixMs(1000));
        let picture = audience.picture();
        let now: BTreeMap<_, _> = picture
            .streams
            .iter()
            .map(|one| (one.stream.as_str(), (one.viewers.now, one.sources.log)))
            .collect();
        assert_eq!(now["/cam.m3u8"], (cam_now, Some(viewers)));
        assert_eq!(now["/other.m3u8"], (5, Some(5)));
        assert_eq!(picture.viewers.now, cam_now + 5);
        assert_eq!(picture.zones[0].viewers.now, cam_now + 5);
        assert_eq!(
            picture.packagers.iter().map(|p| p.viewers.now).collect::<Vec<_>>(),
            [cam_now, 5]
        );
    }
    audience.count(&on_a, UnixMs(0).plus(Duration::from_secs(121)));
    assert_eq!(audience.picture().viewers.now, 0, "that was two minutes ago");
}

#[test]
fn what_is_kept_is_read_again() {
    let audience = audience(|_| {});
    let (cam, lane) = (stream("live", "cam"), LaneId::new("a-1"));
    audience.asked(&One { stream: &cam, lane: &lane }.visit(Some("v"), None), true, UnixMs(5));
    audience.count(&nowhere, UnixMs(7));
    let records = to_records(&audience.changed());
    assert_eq!(records.len(), 3, "{records:?}");
    let mut texts: Vec<String> = records.into_iter().filter_map(|(_, text)| text).collect();
    texts.push("{\"of a later version\":1}".to_owned());
    let again = Audience::new(HashMap::new(), from_records(&texts));
    again.count(&nowhere, UnixMs(9));
    let picture = again.picture();
    assert_eq!((picture.viewers.now, picture.viewers.peak), (0, 1));
    assert_eq!(picture.streams[0].event.as_ref().unwrap().began, UnixMs(7));
}

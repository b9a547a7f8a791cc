//! What packagers report of themselves: no panic, and never more kept than the limits allow.

#![no_main]

use libfuzzer_sys::fuzz_target;
use segue_fuzz::model::load::{Bound, Counts, Stats, WowzaLoad};

fuzz_target!(|input: &[u8]| {
    if let Ok(counts) = Counts::read(input) {
        assert!(counts.streams.len() <= 1000);
        for stream in &counts.streams {
            // What is not UTF-8 grows to three bytes each.
            let names = [&stream.vhost, &stream.application, &stream.instance, &stream.name];
            assert!(names.iter().all(|name| name.len() <= 3 * 512));
        }
        for which in [WowzaLoad::Connections, WowzaLoad::Sessions, WowzaLoad::HlsSessions] {
            assert!(counts.load(which, true).is_some());
            assert_eq!(counts.load(which, false).is_some(), counts.counts());
        }
    }
    if let Ok(stats) = Stats::read(input) {
        assert!(!stats.values().is_empty() && stats.values().len() <= 256);
        for (key, value) in stats.values() {
            assert!(key.len() <= 128 && value.len() <= 3 * 128 && key != "connection_websocket");
            if let Some(count) = stats.count(key) {
                assert!(stats.number(key).is_some_and(|number| number >= count as f64 * 0.999));
            }
            let bound = Bound::AtMost(key.clone(), 20.0);
            let over = stats.number(key).is_some_and(|number| number > 20.0);
            assert_eq!(bound.broken_by(&stats).is_some(), over);
        }
    }
});

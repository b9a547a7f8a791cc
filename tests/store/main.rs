//! One conformance suite for every `LaneStore`; what only the SQLite store promises: two processes on one
//! file, `kill -9`, old formats, damage; and what only the one in Redis does: a server that fails.
//!
//! `laws` the suite; `fixture` lanes and steps to fill stores with; `file` the SQLite file; `redis` and
//! `outages` a real redis-server, which `server` runs.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::format_push_string,
    clippy::too_many_lines,
    clippy::type_complexity,
    clippy::needless_pass_by_value,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::format_collect,
    clippy::needless_for_each,
    clippy::semicolon_if_nothing_returned,
    clippy::case_sensitive_file_extension_comparisons,
    clippy::large_stack_arrays,
    clippy::manual_is_multiple_of,
    reason = "a test may"
)]

use segue::store::{MemoryStore, SqliteStore};

use server::Redis;

mod file;
mod fixture;
mod laws;
mod outages;
mod redis;
#[path = "../redis/mod.rs"]
mod server;

/// Runs each function of `laws` over each store.
macro_rules! every_store_keeps {
    ($($law:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $law() {
                let store = std::sync::Arc::new(super::MemoryStore::new());
                super::laws::$law(store.clone(), store).await;
            })+
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("segue.db");
                let store = std::sync::Arc::new(super::SqliteStore::open(&path).unwrap());
                super::laws::$law(store.clone(), store).await;
            })+
        }
        mod two_sqlite_stores_on_one_file {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("segue.db");
                let one = std::sync::Arc::new(super::SqliteStore::open(&path).unwrap());
                let two = std::sync::Arc::new(super::SqliteStore::open(&path).unwrap());
                super::laws::$law(one, two).await;
            })+
        }
        mod over_redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                let server = super::Redis::start();
                let store = server.store().await;
                super::laws::$law(store.clone(), store).await;
            })+
        }
        mod two_redis_stores_on_one_server {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                let server = super::Redis::start();
                super::laws::$law(server.store().await, server.store().await).await;
            })+
        }
    };
}

every_store_keeps!(
    the_first_to_create_a_lane_wins,
    what_was_appended_is_loaded,
    a_retry_is_harmless,
    a_loser_gets_the_steps_it_missed,
    holes_are_refused,
    an_unknown_lane_is_told_apart,
    a_log_begins_anew_behind_the_tail_that_was_seen,
    many_writers_have_one_winner_per_number,
    lanes_come_in_the_order_of_taking,
    trimming_keeps_the_tail,
    idle_lanes_expire,
    what_is_wanted_is_known_to_all,
    the_first_secret_stays,
    the_target_duration_never_falls,
    who_is_drained_is_known_to_all,
    records_are_kept_by_name,
    changes_are_told_to_all,
    an_expired_lane_is_told_to_all,
);

//! The configuration as an operator meets it: `conf/segue.yaml` against the code, and what is said
//! of files that are wrong.

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

mod authorisation;
mod broken;
mod commands;
mod docker;
mod documented;
mod draining;
mod fleet;
mod golden;
mod groups;
mod kinds;
mod pages;
mod tenants;
mod viewers;
mod webhooks;
mod zone_hosts;

use std::path::PathBuf;

use segue::config::{Config, ConfigErrors};

/// A file of this repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Checks `text` as `f.yaml`; the environment holds KEY, SHORT and THREADS only.
fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse("f.yaml", text, &|name| {
        let value = match name {
            "KEY" => "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            "SHORT" => "c2hvcnQ=",
            "THREADS" => "7",
            _ => return None,
        };
        Some(value.to_owned())
    })
}

/// The least that a file must hold; one line.
const POOLS: &str = "pools: [{ name: live, packagers: [{ id: a, url: \"http://a\" }] }]\n";

/// The file's problems as they are printed.
fn said(text: &str) -> String {
    parse(text).map_or_else(|errors| errors.to_string(), |config| format!("taken: {config:?}"))
}

//! Labels that a pool's metrics carry: whose it is, as the operator calls it.

use std::collections::BTreeMap;

use super::super::section::Section;

/// Labels at most, and bytes of a value.
const LABELS_MAX: usize = 16;
const VALUE_BYTES_MAX: usize = 128;

/// Reads `labels`: names and values.
pub(super) fn labels(section: &Section<'_>) -> BTreeMap<String, String> {
    let names = section.names("labels");
    if names.len() > LABELS_MAX {
        section.error("labels", format!("has {} and may have {LABELS_MAX}", names.len()));
    }
    let mut labels = BTreeMap::new();
    for (path, name, value) in names {
        match label(&name, value) {
            Ok(()) => {
                labels.insert(name, value.to_owned());
            }
            Err(why) => section.report.error(&path, why),
        }
    }
    labels
}

/// A label as Prometheus takes it: https://prometheus.io/docs/concepts/data_model.
fn label(name: &str, value: &str) -> Result<(), String> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !begins || name.len() > 64 || !name.bytes().all(plain) {
        return Err(format!(
            "`{name}` is no name of a label; write letters, digits and _, no digit first"
        ));
    }
    if name.starts_with("__") {
        return Err("begins with __, which Prometheus keeps for itself".to_owned());
    }
    if name == "pool" {
        return Err("is taken: it holds the pool's name".to_owned());
    }
    if value.len() > VALUE_BYTES_MAX || value.chars().any(char::is_control) {
        return Err(format!("has {VALUE_BYTES_MAX} bytes at most and no control characters"));
    }
    Ok(())
}

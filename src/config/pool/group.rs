//! An entry of `packagers` that stands for a group: packagers that come and go.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::super::section::Section;
use super::super::values::PackagerUrl;

/// An entry that stands for packagers which are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What says who belongs to it.
    pub source: GroupSource,
    /// Packagers at the most.
    pub packagers_max: usize,
    /// One that has left is forgotten after so long, whatever lanes are on it.
    pub leave_within: Duration,
}

/// What says who belongs to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupSource {
    /// Each address of this name.
    Name(String),
    /// The list in this file.
    File(PathBuf),
}

impl Group {
    /// Reads what an entry says of its group. None: it is one packager.
    pub(super) fn read(section: &Section<'_>, url: Option<&PackagerUrl>) -> Option<Self> {
        let each = section.parsed("addresses", |text| match text {
            "one" => Ok(false),
            "packagers" => Ok(true),
            _ => Err(format!("`{text}` is neither one nor packagers")),
        });
        let file = section.text("file").map(PathBuf::from);
        let packagers_max = section.count("packagers_max", 64, 1..=1000);
        let leave_within = section.seconds("leave_within_seconds", 300, 1..=86_400);
        let source = match (each, file) {
            (None | Some(false), None) => return None,
            (each, Some(file)) => {
                for (key, set) in [("url", section.has("url")), ("addresses", each.is_some())] {
                    if set {
                        section
                            .error(key, "cannot stand beside `file`, whose items have a url each");
                    }
                }
                if let Err(why) = std::fs::File::open(&file) {
                    let text =
                        format!("cannot be read now: {why}; the group is empty until it can");
                    section.report.warning(&section.path.key("file"), text);
                }
                GroupSource::File(file)
            }
            (Some(true), None) => {
                let host = url.map(|url| url.host.clone()).unwrap_or_default();
                if host.parse::<IpAddr>().is_ok() {
                    section.error(
                        "addresses",
                        "wants a url with a name: that of this one is an address",
                    );
                }
                GroupSource::Name(host)
            }
        };
        Some(Self { source, packagers_max, leave_within })
    }
}

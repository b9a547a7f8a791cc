//! The groups as they were known last, in a small file: a process that is started while the name server is
//! down knows its packagers all the same.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{GroupSpec, GroupState, Place, Source};
use crate::model::names::PackagerId;

/// A longer file is not ours.
const BYTES_MAX: u64 = 4 << 20;
const VERSION: u32 = 1;

/// What stands in the file.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Kept {
    version: u32,
    groups: BTreeMap<PackagerId, KeptGroup>,
}

#[derive(Serialize, Deserialize)]
struct KeptGroup {
    source: Source,
    members: BTreeMap<PackagerId, Place>,
}

/// What the file says; nothing where there is none. One that is not understood is told, and is written
/// anew with the next answer.
pub(super) fn read(file: &Path) -> Kept {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|f| f.take(BYTES_MAX).read_to_end(&mut bytes));
    if read.is_err() {
        return Kept::default();
    }
    match serde_json::from_slice::<Kept>(&bytes) {
        Ok(kept) if kept.version == VERSION => kept,
        Ok(_) => Kept::default(),
        Err(error) => {
            tracing::warn!(target: "segue::packagers", file = %file.display(), %error, "remembered groups are not understood");
            Kept::default()
        }
    }
}

/// Whom the file remembers of a group that is looked up as it was then.
pub(super) fn members_of(kept: &Kept, spec: &GroupSpec) -> Vec<(PackagerId, Place)> {
    let group = kept.groups.get(&spec.group).filter(|group| group.source == spec.source);
    let members = group.into_iter().flat_map(|group| &group.members);
    members.map(|(id, place)| (id.clone(), place.clone())).take(spec.members_max).collect()
}

/// What to write: who has left is not remembered.
pub(super) fn text<'a>(states: impl Iterator<Item = &'a GroupState>) -> Vec<u8> {
    let group = |state: &GroupState| {
        let there = state.group.members().iter().filter(|(_, m)| m.leaving.is_none());
        let members = there.map(|(id, m)| (id.clone(), m.place.clone())).collect();
        (state.spec.group.clone(), KeptGroup { source: state.spec.source.clone(), members })
    };
    let kept = Kept { version: VERSION, groups: states.map(group).collect() };
    serde_json::to_vec_pretty(&kept).unwrap_or_default()
}

/// All of it or nothing, whatever happens meanwhile.
pub(super) fn write(file: &Path, text: &[u8]) -> std::io::Result<()> {
    // Two processes write during an upgrade.
    let part = file.with_extension(format!("groups.{}", std::process::id()));
    let mut new = std::fs::File::create(&part)?;
    new.write_all(text)?;
    new.sync_all()?;
    std::fs::rename(&part, file)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::discovery::Group;
    use crate::model::names::UnixMs;

    fn spec(source: Source) -> GroupSpec {
        let group = PackagerId::new("edges");
        GroupSpec { group, source, members_max: 64, leave_within: Duration::from_secs(60) }
    }

    #[test]
    fn written_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("segue.groups");
        assert!(read(&file).groups.is_empty());
        let dns = spec(Source::Dns("edges.example".to_owned()));
        let member = |id: &str, last| {
            (PackagerId::new(id), Place::Address(std::net::IpAddr::from([10, 0, 0, last])))
        };
        let item = Place::Item { url: "http://c".to_owned(), zone: None, weight: Some(2) };
        let members = vec![member("a", 1), member("b", 2), (PackagerId::new("c"), item)];
        let group = Group::remembered(members.clone(), UnixMs(0));
        let state = GroupState { spec: dns.clone(), group, cause: String::new() };
        write(&file, &text([&state].into_iter())).unwrap();
        assert_eq!(members_of(&read(&file), &dns), members);
        let two = GroupSpec { members_max: 2, ..dns };
        assert_eq!(members_of(&read(&file), &two).len(), 2);
        // Another name: others stand behind it.
        assert!(members_of(&read(&file), &spec(Source::Dns("x".to_owned()))).is_empty());
        std::fs::write(&file, "{").unwrap();
        assert!(members_of(&read(&file), &two).is_empty());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left behind");
    }
}

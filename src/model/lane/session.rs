//! Names that differ only by a session. A Wowza puts the id of the session into the name of each segment
//! (`media_w4135965_2140.ts`, older ones `?wowzasessionid=`), and gives another id whenever the entry
//! playlist is fetched. Such names may be one segment's; that they are is for its bytes to prove.

use super::{Listed, Resource, Seen};

/// The name without its session, in parts that must be equal.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let name_at = path.rfind('/').map_or(0, |at| at + 1);
    let (folder, name) = path.split_at_checked(name_at).unwrap_or(("", path));
    let (before, after) = without_id(name);
    let queries = query.split('&').filter(|q| !q.starts_with("wowzasessionid="));
    [folder, before, after].into_iter().chain(queries)
}

/// What stands before and after `_w` and digits.
fn without_id(name: &str) -> (&str, &str) {
    for (at, _) in name.match_indices("_w") {
        let Some((before, rest)) = name.split_at_checked(at + 2) else { continue };
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let ends = after.is_empty() || after.starts_with(['_', '.']);
        if after.len() < rest.len() && ends {
            return (before, after);
        }
    }
    (name, "")
}

/// These are one path, or may be one in two sessions.
pub(super) fn alike(a: &str, b: &str) -> bool {
    a == b || parts(a).eq(parts(b))
}

/// The same of resources.
pub(super) fn may_be_one(a: &Resource, b: &Resource) -> bool {
    a.range == b.range && alike(&a.path, &b.path)
}

/// A segment is listed under another session's name: that is what it is fetched by from now on.
pub(super) fn rename(seen: &mut Seen, listed: Listed) {
    if seen.listed.resource != listed.resource {
        (seen.listed.resource, seen.listed.map) = (listed.resource, listed.map);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_two_sessions() {
        for (a, b, want) in [
            ("/l/c/media_w1_7.ts", "/l/c/media_w1_7.ts", true),
            ("/l/c/media_w1_7.ts", "/l/c/media_w22_7.ts", true),
            ("/l/c/media_w1_b500_7.ts", "/l/c/media_w2_b500_7.ts", true),
            ("/l/c/media_w1_7.ts?isPrimary=true", "/l/c/media_w2_7.ts?isPrimary=true", true),
            ("/l/c/media_7.ts?wowzasessionid=1", "/l/c/media_7.ts?wowzasessionid=2", true),
            ("/l/c/media_7.ts?a=1&wowzasessionid=1", "/l/c/media_7.ts?a=2&wowzasessionid=2", false),
            ("/l/c/media_w1_7.ts", "/l/c/media_w2_8.ts", false),
            ("/l/c/media_w1_b500_7.ts", "/l/c/media_w1_b900_7.ts", false),
            ("/l/c/media_w1_7.ts", "/l/d/media_w1_7.ts", false),
            ("/l/a_w1_c/media_7.ts", "/l/a_w2_c/media_7.ts", false),
            ("/l/c/media_7.ts", "/l/c/media_8.ts", false),
            ("/l/c/media_wide_7.ts", "/l/c/media_wild_7.ts", false),
            ("/l/c/x_w_w3_7.ts", "/l/c/x_w_w4_7.ts", true),
            ("media_w1", "media_w2", true),
            ("/l/c/media_w1_7.ts", "/l/c/media_7.ts", false),
            ("", "", true),
        ] {
            assert_eq!(alike(a, b), want, "{a} {b}");
            assert_eq!(alike(b, a), want, "{b} {a}");
        }
    }
}

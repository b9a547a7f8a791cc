//! What a date range names beside the stream: interstitials (RFC 8216bis, appendix D.2).

use super::attributes::{Edit, edited};

const RANGE: &str = "#EXT-X-DATERANGE:";

/// `line` with its assets as viewers of this proxy find them; none where it needs no change.
/// `on_packager` gives the absolute path of a URI that leads to the packager. A playlist there is
/// another stream of this proxy, found from a media playlist of ours by going up `up` folders. A
/// list of assets there is left out: what it names would lead nowhere. Whatever leads to another
/// host stays.
pub fn reached(
    line: &str,
    up: usize,
    on_packager: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let list = line.strip_prefix(RANGE).filter(|list| list.contains("X-ASSET-"))?;
    let list = edited(list, |a| match (a.name, on_packager(a.value)) {
        ("X-ASSET-URI", Some(path)) => {
            Edit::Replace(format!("{}{}", "../".repeat(up), path.trim_start_matches('/')))
        }
        ("X-ASSET-LIST", Some(_)) => Edit::Drop,
        _ => Edit::Keep,
    });
    Some(format!("{RANGE}{list}"))
}

#[cfg(test)]
mod tests {
    use super::reached;

    #[test]
    fn assets_on_the_packager_are_streams_of_ours() {
        let ours = |uri: &str| uri.strip_prefix("../").map(|rest| format!("/live/{rest}"));
        let line = |a: &str| format!("#EXT-X-DATERANGE:ID=\"x\",{a},X-RESTRICT=\"SKIP\"");
        let cases = [
            ("X-ASSET-URI=\"../ad.m3u8\"", "X-ASSET-URI=\"../../../../live/ad.m3u8\""),
            ("X-ASSET-URI=\"https://cdn/ad.m3u8\"", "X-ASSET-URI=\"https://cdn/ad.m3u8\""),
            ("X-ASSET-LIST=\"https://cdn/ad.json\"", "X-ASSET-LIST=\"https://cdn/ad.json\""),
        ];
        for (was, is) in cases {
            assert_eq!(reached(&line(was), 4, ours), Some(line(is)), "{was}");
        }
        let list = reached(&line("X-ASSET-LIST=\"../ad.json\""), 4, ours).unwrap();
        assert_eq!(list, "#EXT-X-DATERANGE:ID=\"x\",X-RESTRICT=\"SKIP\"");
        assert_eq!(reached(&line("CLASS=\"c\""), 4, ours), None);
    }
}

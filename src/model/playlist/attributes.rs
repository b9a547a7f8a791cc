//! Attribute lists (RFC 8216, 4.2), with the place of each value, so that one value can be
//! replaced and the rest of the line stays as it was written.

/// One `NAME=value` of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) struct Attribute<'a> {
    /// The name.
    pub name: &'a str,
    /// The value, without its quotes.
    pub value: &'a str,
    /// It stood in quotes.
    pub quoted: bool,
    /// Where `value` begins in the list, bytes.
    pub at: usize,
    /// Where `name` begins in the list, bytes.
    pub begins: usize,
}

/// What becomes of an attribute's value.
pub(in crate::model) enum Edit {
    /// It stays.
    Keep,
    /// This stands in its place.
    Replace(String),
    /// The attribute goes.
    Drop,
}

/// The list with its values edited; all else of it stays as it was written.
pub(in crate::model) fn edited(list: &str, edit: impl Fn(&Attribute) -> Edit) -> String {
    let mut out = String::with_capacity(list.len() + 16);
    let mut copied = 0;
    for a in attributes(list) {
        let end = a.at + a.value.len();
        match edit(&a) {
            Edit::Keep => {}
            Edit::Replace(value) => {
                out.push_str(list.get(copied..a.at).unwrap_or_default());
                out.push_str(&value);
                copied = end;
            }
            Edit::Drop => {
                let before = list.get(copied..a.begins).unwrap_or_default();
                out.push_str(before.trim_end().trim_end_matches(','));
                copied = end + usize::from(a.quoted);
                // The first of the list takes its comma along.
                if out.is_empty() {
                    let rest = list.get(copied..).unwrap_or_default();
                    copied += rest.len() - rest.trim_start_matches([' ', ',']).len();
                }
            }
        }
    }
    out.push_str(list.get(copied..).unwrap_or_default());
    out
}

/// Walks a list. What is not `NAME=value` is passed over; a quote that never closes reaches to
/// the end.
#[derive(Clone, Debug)]
pub(in crate::model) struct Attributes<'a> {
    list: &'a str,
    at: usize,
}

/// The attributes of `list`: what stands after the tag's colon.
pub(in crate::model) const fn attributes(list: &str) -> Attributes<'_> {
    Attributes { list, at: 0 }
}

/// The first attribute of that name.
pub(in crate::model) fn attribute<'a>(list: &'a str, name: &str) -> Option<Attribute<'a>> {
    attributes(list).find(|a| a.name == name)
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.list.get(self.at..)?;
            let item = rest.trim_start_matches([',', ' ', '\t']);
            self.at += rest.len() - item.len();
            let begins = self.at;
            let mark = item.find(['=', ','])?;
            let (name, after) = item.split_at_checked(mark)?;
            self.at += mark + 1;
            let Some(after) = after.strip_prefix('=') else {
                continue;
            };
            let value = after.trim_start_matches([' ', '\t']);
            self.at += after.len() - value.len();
            let name = name.trim_end();
            if let Some(quoted) = value.strip_prefix('"') {
                let at = self.at + 1;
                let value = quoted.split('"').next().unwrap_or(quoted);
                self.at = at + value.len() + 1;
                return Some(Attribute { name, value, quoted: true, at, begins });
            }
            let whole = value.split(',').next().unwrap_or(value);
            let at = self.at;
            self.at += whole.len();
            return Some(Attribute { name, value: whole.trim_end(), quoted: false, at, begins });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_as_packagers_write_them() {
        #[allow(clippy::type_complexity)] // a table
        let cases: [(&str, &[(&str, &str, bool)]); 7] = [
            ("BANDWIDTH=250000", &[("BANDWIDTH", "250000", false)]),
            (
                r#"PROGRAM-ID=1, CODECS="avc1.4d, mp4a" , RESOLUTION = 640x360 "#,
                &[
                    ("PROGRAM-ID", "1", false),
                    ("CODECS", "avc1.4d, mp4a", true),
                    ("RESOLUTION", "640x360", false),
                ],
            ),
            (r#"LANGUAGE="",NAME="a=b""#, &[("LANGUAGE", "", true), ("NAME", "a=b", true)]),
            ("junk,A=1,,B=2,", &[("A", "1", false), ("B", "2", false)]),
            (r#"URI="never closed,A=1"#, &[("URI", "never closed,A=1", true)]),
            (r#"A="x"junk,B=2"#, &[("A", "x", true), ("B", "2", false)]),
            ("", &[]),
        ];
        for (list, wanted) in cases {
            let got: Vec<_> = attributes(list).map(|a| (a.name, a.value, a.quoted)).collect();
            assert_eq!(got, wanted, "{list}");
        }
    }

    #[test]
    fn values_are_edited_and_the_rest_stays() {
        let list = r#"A=1, B = "x" ,C="y",D=2"#;
        let with = |name: &'static str, to: Option<&str>| {
            edited(list, |a| match to {
                Some(to) if a.name == name => Edit::Replace(to.to_owned()),
                None if a.name == name => Edit::Drop,
                _ => Edit::Keep,
            })
        };
        assert_eq!(with("B", Some("long")), r#"A=1, B = "long" ,C="y",D=2"#);
        assert_eq!(with("A", None), r#"B = "x" ,C="y",D=2"#);
        assert_eq!(with("C", None), r#"A=1, B = "x" ,D=2"#);
        assert_eq!(with("D", None), r#"A=1, B = "x" ,C="y""#);
    }

    #[test]
    fn the_place_of_a_value_is_exact() {
        let list = r#"A=1, URI = "x/ü.m3u8" ,B=2"#;
        let uri = attribute(list, "URI").unwrap();
        assert_eq!(list.get(uri.at..uri.at + uri.value.len()), Some("x/ü.m3u8"));
        let b = attribute(list, "B").unwrap();
        assert_eq!(list.get(b.at..), Some("2"));
    }
}

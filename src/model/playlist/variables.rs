//! EXT-X-DEFINE: variables are resolved here, since a viewer sees other URLs than the packager
//! (RFC 8216bis, 4.4.2.3).

use std::borrow::Cow;

use super::PlaylistError;
use super::attributes::attribute;

/// More than any packager writes; keeps the search short.
const COUNT_MAX: usize = 64;

/// Where a playlist's variables take their values from, besides the playlist.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// IMPORT: what the multivariant playlist defined; nothing where there is none.
    pub imports: &'a Variables,
    /// QUERYPARAM: the query that the playlist was asked for with, not decoded.
    pub query: Option<&'a str>,
}

/// The variables that a playlist defined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    defined: Vec<(String, String)>,
}

impl Variables {
    fn value(&self, name: &str) -> Option<&str> {
        self.defined.iter().find(|(defined, _)| defined == name).map(|(_, value)| value.as_str())
    }

    /// Takes one EXT-X-DEFINE.
    ///
    /// A name that is defined again must be given the same value: a packager that repeats itself
    /// does no harm, while of two values neither is sure.
    pub(in crate::model) fn define(
        &mut self,
        list: &str,
        line: usize,
        context: &Context<'_>,
    ) -> Result<(), PlaylistError> {
        let bad = PlaylistError::BadTag { line, tag: "EXT-X-DEFINE" };
        let of = |name| attribute(list, name).map(|a| a.value);
        let (name, value) = match (of("NAME"), of("IMPORT"), of("QUERYPARAM")) {
            (Some(name), None, None) => (name, of("VALUE").map(Cow::Borrowed)),
            (None, Some(name), None) => (name, context.imports.value(name).map(Cow::Borrowed)),
            (None, None, Some(name)) => {
                (name, context.query.and_then(|query| parameter(query, name)).map(Cow::Owned))
            }
            _ => return Err(bad),
        };
        let value = value.ok_or(PlaylistError::Variable { line })?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        // A quote or the end of a line would break what the value is put into.
        let breaks = |c: char| c == '"' || c.is_control();
        if name.is_empty() || !name.chars().all(plain) || value.contains(breaks) {
            return Err(bad);
        }
        match self.value(name) {
            Some(known) if known == value => Ok(()),
            None if self.defined.len() < COUNT_MAX => {
                self.defined.push((name.to_owned(), value.into_owned()));
                Ok(())
            }
            _ => Err(bad),
        }
    }

    /// `text` with its `{$name}` replaced; of a tag only what stands after its colon. Untouched
    /// while nothing is defined: then braces mean nothing. At most `bytes_max` long.
    pub(in crate::model) fn resolve<'a>(
        &self,
        text: &'a str,
        line: usize,
        bytes_max: usize,
    ) -> Result<Cow<'a, str>, PlaylistError> {
        if self.defined.is_empty() || !text.contains("{$") {
            return Ok(Cow::Borrowed(text));
        }
        let mut resolved = String::with_capacity(text.len());
        let mut rest = text;
        if text.starts_with('#') {
            let Some((tag, value)) = text.split_once(':') else {
                return Ok(Cow::Borrowed(text));
            };
            resolved.push_str(tag);
            resolved.push(':');
            rest = value;
        }
        while let Some((before, after)) = rest.split_once("{$") {
            let (name, tail) = after.split_once('}').ok_or(PlaylistError::Variable { line })?;
            let value = self.value(name).ok_or(PlaylistError::Variable { line })?;
            resolved.push_str(before);
            resolved.push_str(value);
            rest = tail;
            if resolved.len() + rest.len() > bytes_max {
                return Err(PlaylistError::LineTooLong { line, limit: bytes_max });
            }
        }
        resolved.push_str(rest);
        Ok(Cow::Owned(resolved))
    }
}

/// The value of a query's parameter, percent-decoded. A parameter without `=` has none.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(known, _)| *known == name)?;
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let digit = |at: usize| tail.get(at).and_then(|&b| char::from(b).to_digit(16));
        // A `%` that begins no encoded byte stands for itself.
        let code = digit(0).zip(digit(1)).filter(|_| byte == b'%');
        let code = code.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        decoded.push(code.unwrap_or(byte));
        rest = if code.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defined(lines: &[&str], context: &Context<'_>) -> Result<Variables, PlaylistError> {
        let mut variables = Variables::default();
        for (line, list) in (1..).zip(lines) {
            variables.define(list, line, context)?;
        }
        Ok(variables)
    }

    fn bad(line: usize) -> PlaylistError {
        PlaylistError::BadTag { line, tag: "EXT-X-DEFINE" }
    }

    #[test]
    fn values_come_from_three_places() {
        let none = Variables::default();
        let nothing = Context { imports: &none, query: None };
        let imports = defined(&[r#"NAME="host",VALUE="cdn""#], &nothing).unwrap();
        let query = Some("DVR&token=a%2Fb%20%C3%BC%zz%&x=&token=2");
        let context = Context { imports: &imports, query };
        let cases = [
            (r#"NAME="v",VALUE="1""#, Ok("1")),
            (r#"NAME="v",VALUE="""#, Ok("")),
            (r#"IMPORT="host""#, Ok("cdn")),
            (r#"QUERYPARAM="token""#, Ok("a/b ü%zz%")),
            (r#"QUERYPARAM="x""#, Ok("")),
            // Missing, or there but without a value.
            (r#"NAME="v""#, Err(PlaylistError::Variable { line: 1 })),
            (r#"IMPORT="other""#, Err(PlaylistError::Variable { line: 1 })),
            (r#"QUERYPARAM="other""#, Err(PlaylistError::Variable { line: 1 })),
            (r#"QUERYPARAM="DVR""#, Err(PlaylistError::Variable { line: 1 })),
            // One of the three, and a name.
            (r#"VALUE="1""#, Err(bad(1))),
            (r#"NAME="host",VALUE="1",IMPORT="host""#, Err(bad(1))),
            (r#"NAME="",VALUE="1""#, Err(bad(1))),
            (r#"NAME="a b",VALUE="1""#, Err(bad(1))),
            (r#"NAME="v",VALUE=a"b"#, Err(bad(1))),
        ];
        for (list, wanted) in cases {
            let got = defined(&[list], &context);
            let got = got.map(|v| v.defined.into_iter().map(|(_, value)| value).next());
            assert_eq!(got, wanted.map(|value| Some(value.to_owned())), "{list}");
        }
        for list in [r#"IMPORT="host""#, r#"QUERYPARAM="token""#] {
            assert_eq!(defined(&[list], &nothing), Err(PlaylistError::Variable { line: 1 }));
        }
    }

    #[test]
    fn a_query_cannot_break_a_line() {
        let none = Variables::default();
        for value in ["a%0Ab", "a%22b", "a%00b", "%ff"] {
            let query = format!("t={value}");
            let context = Context { imports: &none, query: Some(&query) };
            assert!(defined(&[r#"QUERYPARAM="t""#], &context).is_err(), "{value}");
        }
    }

    #[test]
    fn a_name_is_defined_once() {
        let none = Variables::default();
        let context = Context { imports: &none, query: Some("v=1&w=2") };
        let first = r#"NAME="v",VALUE="1""#;
        let repeated = defined(&[first, first, r#"QUERYPARAM="v""#], &context).unwrap();
        assert_eq!(repeated, defined(&[first], &context).unwrap());
        assert_eq!(defined(&[first, r#"NAME="v",VALUE="2""#], &context), Err(bad(2)));
        let many: Vec<_> = (0..=COUNT_MAX).map(|n| format!("NAME=\"v{n}\",VALUE=\"1\"")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(defined(&many, &context), Err(bad(COUNT_MAX + 1)));
    }
}

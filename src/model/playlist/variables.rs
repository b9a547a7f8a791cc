//! EXT-X-DEFINE: variables are resolved here, since a viewer sees other URLs than the packager
//! (RFC 8216bis, 4.4.2.3).

use std::borrow::Cow;

use super::PlaylistError;
use super::attributes::attribute;

/// More than any packager writes; keeps the search short.
const COUNT_MAX: usize = 64;

/// The variables defined so far.
#[derive(Clone, Debug, Default)]
pub(in crate::model) struct Variables {
    defined: Vec<(String, String)>,
}

impl Variables {
    /// Takes one EXT-X-DEFINE. IMPORT and QUERYPARAM take their values from elsewhere and are
    /// refused.
    pub fn define(&mut self, list: &str, line: usize) -> Result<(), PlaylistError> {
        let bad = PlaylistError::BadTag { line, tag: "EXT-X-DEFINE" };
        let (Some(name), Some(value)) = (attribute(list, "NAME"), attribute(list, "VALUE")) else {
            return Err(PlaylistError::Variable { line });
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.value.is_empty()
            || !name.value.chars().all(plain)
            || self.defined.len() >= COUNT_MAX
        {
            return Err(bad);
        }
        self.defined.push((name.value.to_owned(), value.value.to_owned()));
        Ok(())
    }

    /// `text` with its `{$name}` replaced; of a tag only what stands after its colon. Untouched
    /// while nothing is defined: then braces mean nothing. At most `bytes_max` long.
    pub fn resolve<'a>(
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
            let (_, value) = self
                .defined
                .iter()
                .find(|(defined, _)| defined == name)
                .ok_or(PlaylistError::Variable { line })?;
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

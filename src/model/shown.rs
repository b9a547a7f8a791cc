//! What a viewer shows to be let in. It is passed on to a packager once, with one request, and kept
//! nowhere.

use std::fmt;

/// What one entry request shows of its viewer. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The queries for authorisation as they were written, `&`-joined; empty for none.
    pub query: String,
    /// The headers for authorisation.
    pub headers: Vec<(String, String)>,
    /// The viewer's address, for tokens that are bound to it; none where it is not known for certain.
    pub address: Option<String>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shown({} bytes of query, {} headers)", self.query.len(), self.headers.len())
    }
}

impl Shown {
    /// `path` (with the queries of the stream's identity) as it is asked for in the viewer's name.
    #[must_use]
    pub fn on(&self, path: &str) -> String {
        let separator = match (self.query.is_empty(), path.contains('?')) {
            (true, _) => "",
            (false, true) => "&",
            (false, false) => "?",
        };
        format!("{path}{separator}{}", self.query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for() {
        for (path, query, wanted) in [
            ("/cam.m3u8", "", "/cam.m3u8"),
            ("/cam.m3u8", "t=1", "/cam.m3u8?t=1"),
            ("/cam.m3u8?DVR", "t=1&u", "/cam.m3u8?DVR&t=1&u"),
            ("/cam.m3u8?DVR", "", "/cam.m3u8?DVR"),
        ] {
            let shown = Shown { query: query.to_owned(), ..Shown::default() };
            assert_eq!(shown.on(path), wanted);
        }
    }

    #[test]
    fn it_is_not_printed() {
        let headers = vec![("authorization".to_owned(), "Bearer hush".to_owned())];
        let shown = Shown { query: "t=hush".to_owned(), headers, address: None };
        assert!(!format!("{shown:?}").contains("hush"));
    }
}

//! A packager that lets in only who shows something: viewers by a token of their own, on entry playlists,
//! and the proxy by the credentials of its pool, on everything.

use std::collections::HashSet;

use crate::packager::Packager;

/// What the proxy shows as a query.
pub const OWN_QUERY: (&str, &str) = ("pass", "own-query-8c1f/5%3D");
/// What the proxy shows as a header.
pub const OWN_HEADER: (&str, &str) = ("X-Pass", "own-header-77ab");

/// The configuration that belongs to it.
pub const CREDENTIALS: &str = "credentials: { queries: { pass: \"own-query-8c1f/5%3D\" }, headers: { X-Pass: \"own-header-77ab\" } }";

/// What it does with a viewer's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Lets in who has a token.
    Decides,
    /// Never answers.
    Hangs,
    /// Answers with this status, whatever he shows.
    Answers(u16),
}

/// One request that it got.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    headers: Vec<String>,
}

impl Asked {
    /// The values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.iter().filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).collect()
    }

    /// How often the query `name` stands in it.
    pub fn count_of(&self, name: &str) -> usize {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        query.split('&').filter(|pair| pair.split('=').next() == Some(name)).count()
    }

    /// In the proxy's own name.
    pub fn is_own(&self) -> bool {
        let pair = format!("{}={}", OWN_QUERY.0, OWN_QUERY.1);
        self.path.contains(&pair) && self.all(OWN_HEADER.0) == [OWN_HEADER.1]
    }
}

/// What guards a packager.
#[derive(Clone, Debug)]
pub struct Guard {
    pub mood: Mood,
    /// The values of `token`, or of `Authorization`, that let a viewer in.
    pub tokens: HashSet<String>,
    pub asked: Vec<Asked>,
}

/// Whether a request may go on.
pub enum Ruling {
    Go,
    Status(u16),
    Never,
}

impl Guard {
    pub fn rule(&mut self, path: &str, headers: Vec<String>) -> Ruling {
        let asked = Asked { path: path.to_owned(), headers };
        let ruling = self.ruling(&asked);
        self.asked.push(asked);
        ruling
    }

    fn ruling(&self, asked: &Asked) -> Ruling {
        if asked.is_own() {
            return Ruling::Go;
        }
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        match self.mood {
            Mood::Hangs => return Ruling::Never,
            Mood::Answers(status) => return Ruling::Status(status),
            Mood::Decides => {}
        }
        let mut shown = query.split('&').filter_map(|pair| pair.strip_prefix("token="));
        let mut shown_as_header = asked.all("authorization").into_iter();
        let valid = shown.any(|token| self.tokens.contains(token))
            || shown_as_header.any(|token| self.tokens.contains(token));
        if valid && path.ends_with("/playlist.m3u8") { Ruling::Go } else { Ruling::Status(403) }
    }
}

impl Packager {
    /// Lets in who has one of these.
    pub fn guarded<'a>(self, tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let tokens = tokens.into_iter().map(str::to_owned).collect();
        self.with(|s| s.guard = Some(Guard { mood: Mood::Decides, tokens, asked: Vec::new() }))
    }

    /// From now on it does that.
    pub fn guards(&self, mood: Mood) {
        self.with_guard(|guard| guard.mood = mood);
    }

    /// Copies the query of an entry playlist to all that it lists, as Wowza does.
    pub fn copying_queries(self) -> Self {
        self.with(|s| s.copies_queries = true)
    }

    /// The requests in viewers' names.
    pub fn asked_for_viewers(&self) -> Vec<Asked> {
        self.with_guard(|g| g.asked.iter().filter(|a| !a.is_own()).cloned().collect())
    }

    /// The requests in the proxy's own name.
    pub fn asked_by_itself(&self) -> Vec<Asked> {
        self.with_guard(|g| g.asked.iter().filter(|a| a.is_own()).cloned().collect())
    }
}

/// The text of a playlist with `query` behind each URI.
pub fn with_query(text: &str, query: &str) -> String {
    let line = |line: &str| match line {
        "" => String::new(),
        tag if tag.starts_with("#EXT-X-MEDIA:") || tag.starts_with("#EXT-X-MAP:") => {
            let (before, rest) = tag.split_once("URI=\"").unwrap_or((tag, ""));
            let (uri, after) = rest.split_once('"').unwrap_or((rest, ""));
            if uri.is_empty() {
                tag.to_owned()
            } else {
                format!("{before}URI=\"{uri}?{query}\"{after}")
            }
        }
        tag if tag.starts_with('#') => tag.to_owned(),
        uri => format!("{uri}?{query}"),
    };
    text.lines().map(|l| line(l) + "\n").collect()
}

//! What is wrong with a configuration: every problem at once, each with its line and its key.

use std::fmt;

/// One problem: where it stands, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1; none where the whole file is meant.
    pub line: Option<usize>,
    /// Key path such as `pools[0].packagers[1].url`; empty where no key is meant.
    pub key: String,
    /// What is wrong and what would be right, in one sentence.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "{line}: ")?;
        } else {
            f.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

/// All that is wrong with a file; prints one line for each problem: `FILE:LINE: KEY: TEXT`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(|p| format!("{}:{p}", .file)).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors {
    /// The file as it was named.
    pub file: String,
    /// The problems by line. Never empty.
    pub problems: Vec<Problem>,
}

impl ConfigErrors {
    /// The whole file has one problem, such as not being there.
    pub(super) fn whole(file: &str, line: Option<usize>, text: impl Into<String>) -> Self {
        let problem = Problem { line, key: String::new(), text: text.into() };
        Self { file: file.to_owned(), problems: vec![problem] }
    }
}

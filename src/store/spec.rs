//! Which store: the value of the configuration's `store` key.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A store as the configuration names it: `memory` or `sqlite:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSpec {
    /// Gone with the process: tests and demonstrations.
    Memory,
    /// A SQLite file on a local disk. Its write-ahead log does not work on a network file system.
    Sqlite(PathBuf),
}

/// Why a text names no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// `redis://` and its like.
    #[error("redis stores come in a later version; use sqlite:PATH")]
    Later,
    /// `sqlite:` without a path.
    #[error("sqlite: needs the path of a file, as in sqlite:segue.db")]
    NoPath,
    /// Anything else.
    #[error("{0:?} is no store; known are memory and sqlite:PATH")]
    Unknown(String),
}

impl FromStr for StoreSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        if text == "memory" {
            return Ok(Self::Memory);
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            // SQLite's own special names would give every connection a file of its own.
            if path.is_empty() || path == ":memory:" {
                return Err(SpecError::NoPath);
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        let later = ["redis:", "rediss:", "redis+unix:", "valkey:", "valkeys:"];
        if later.iter().any(|scheme| text.starts_with(scheme)) {
            return Err(SpecError::Later);
        }
        Err(SpecError::Unknown(text.to_owned()))
    }
}

impl fmt::Display for StoreSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_configuration_may_say() {
        let cases: [(&str, Result<StoreSpec, SpecError>); 8] = [
            ("memory", Ok(StoreSpec::Memory)),
            ("sqlite:segue.db", Ok(StoreSpec::Sqlite("segue.db".into()))),
            ("sqlite:/var/lib/segue.db", Ok(StoreSpec::Sqlite("/var/lib/segue.db".into()))),
            ("sqlite:", Err(SpecError::NoPath)),
            ("sqlite::memory:", Err(SpecError::NoPath)),
            ("redis://cache:6379/0", Err(SpecError::Later)),
            ("valkey://cache", Err(SpecError::Later)),
            ("postgres://x", Err(SpecError::Unknown("postgres://x".into()))),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<StoreSpec>(), expected, "{text}");
            if let Ok(spec) = expected {
                assert_eq!(spec.to_string(), text);
            }
        }
    }
}

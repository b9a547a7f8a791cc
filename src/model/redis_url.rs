//! `redis://user:password@host:6379/0`: where a Redis or Valkey answers, and who asks.

use std::fmt;

/// The port where none is written.
const PORT: u16 = 6379;
/// Databases that a server may have, at the most.
const DATABASE_MAX: u32 = 65_535;

/// A server of the store. Neither `Debug` nor `Display` shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// `rediss://` or `valkeys://`.
    pub tls: bool,
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The user of the server's ACL; none: its default user.
    pub user: Option<String>,
    /// His password, as the server wants it.
    pub password: Option<String>,
    /// The number of the database.
    pub database: u32,
}

/// Why a text is no such URL. Never holds a part of it that may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// Another beginning.
    #[error("begins with none of redis://, rediss://, valkey:// and valkeys://")]
    Scheme,
    /// Nothing between `//` or `@` and the port.
    #[error("has no host; write such as redis://cache.internal:6379")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("has a bad port; ports go from 1 to 65535")]
    Port,
    /// Something else than a number behind the host.
    #[error(
        "has a path that is no number of a database; write such as redis://cache.internal:6379/0"
    )]
    Database,
    /// `?…`
    #[error("wants no query; what else can be set stands under `redis:`")]
    Query,
    /// `user@host`
    #[error("names a user without a password; write redis://user:password@host")]
    NoPassword,
}

impl RedisUrl {
    /// It begins as one: whatever else is wrong with it, it was meant as one.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        let schemes = ["redis", "valkey"];
        schemes.iter().any(|scheme| text.starts_with(scheme))
    }

    /// Reads it. What stands before the last `@` is user and password, so that a password may hold any character;
    /// `%40` and its like stand for one character, and `%25` for `%`.
    ///
    /// # Errors
    /// What is wrong with it, for an operator.
    pub fn parse(text: &str) -> Result<Self, RedisUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(RedisUrlError::Scheme)?;
        let tls = match scheme {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(RedisUrlError::Scheme),
        };
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        if place.contains(['?', '#']) {
            return Err(RedisUrlError::Query);
        }
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        let (host, port) = host_and_port(authority)?;
        let (user, password) = login.map_or(Ok((None, None)), user_and_password)?;
        Ok(Self { tls, host, port, user, password, database: database_of(database)? })
    }

    /// `HOST:PORT`: what the log and errors say.
    #[must_use]
    pub fn place(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn host_and_port(authority: &str) -> Result<(String, u16), RedisUrlError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(RedisUrlError::Host)?;
            (host, port.strip_prefix(':').or_else(|| port.is_empty().then_some("")))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port).filter(|port| !port.is_empty())),
            None => (authority, Some("")),
        },
    };
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(letters) {
        return Err(RedisUrlError::Host);
    }
    let port = match port {
        Some("") => PORT,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(RedisUrlError::Port)?,
        None => return Err(RedisUrlError::Port),
    };
    Ok((host.to_ascii_lowercase(), port))
}

type Login = (Option<String>, Option<String>);

fn user_and_password(login: &str) -> Result<Login, RedisUrlError> {
    let (user, password) = login.split_once(':').ok_or(RedisUrlError::NoPassword)?;
    if password.is_empty() {
        return Err(RedisUrlError::NoPassword);
    }
    Ok((Some(user).filter(|u| !u.is_empty()).map(decoded), Some(decoded(password))))
}

fn database_of(text: &str) -> Result<u32, RedisUrlError> {
    if text.is_empty() {
        return Ok(0);
    }
    let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number.filter(|n| *n <= DATABASE_MAX).ok_or(RedisUrlError::Database)
}

/// `%` and two hex digits are one byte; any other `%` is itself.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        match (first, after) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        write!(f, "{scheme}://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}/{}", self.place(), self.database)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_urls_say() {
        let cases = [
            ("redis://cache", (false, "cache", 6379, None, None, 0)),
            ("redis://cache:7000/3", (false, "cache", 7000, None, None, 3)),
            ("redis://cache/", (false, "cache", 6379, None, None, 0)),
            ("rediss://:pw@Cache.internal", (true, "cache.internal", 6379, None, Some("pw"), 0)),
            ("valkey://u:p@h:1", (false, "h", 1, Some("u"), Some("p"), 0)),
            ("valkeys://u:p:q@[::1]:7/15", (true, "::1", 7, Some("u"), Some("p:q"), 15)),
            ("redis://u:p/@?#w@h", (false, "h", 6379, Some("u"), Some("p/@?#w"), 0)),
            ("redis://u:a%40b%25c%zz%@h", (false, "h", 6379, Some("u"), Some("a@b%c%zz%"), 0)),
            ("redis://[::1]", (false, "::1", 6379, None, None, 0)),
        ];
        for (text, (tls, host, port, user, password, database)) in cases {
            let url = RedisUrl::parse(text).unwrap();
            assert_eq!((url.tls, url.host.as_str(), url.port), (tls, host, port), "{text}");
            assert_eq!((url.user.as_deref(), url.password.as_deref()), (user, password), "{text}");
            assert_eq!(url.database, database, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let cases = [
            ("http://cache", RedisUrlError::Scheme),
            ("redis:cache", RedisUrlError::Scheme),
            ("redis+unix:///run/redis.sock", RedisUrlError::Scheme),
            ("redis://", RedisUrlError::Host),
            ("redis://:pw@:6379", RedisUrlError::Host),
            ("redis://a b", RedisUrlError::Host),
            ("redis://[::1", RedisUrlError::Host),
            ("redis://h:0", RedisUrlError::Port),
            ("redis://h:", RedisUrlError::Port),
            ("redis://h:70000", RedisUrlError::Port),
            ("redis://[::1]x", RedisUrlError::Port),
            ("redis://h/live", RedisUrlError::Database),
            ("redis://h/+1", RedisUrlError::Database),
            ("redis://h/99999", RedisUrlError::Database),
            ("redis://h/0?tls=1", RedisUrlError::Query),
            ("redis://user@h", RedisUrlError::NoPassword),
            ("redis://user:@h", RedisUrlError::NoPassword),
        ];
        for (text, expected) in cases {
            assert_eq!(RedisUrl::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let url = RedisUrl::parse("rediss://us%25er:hush@cache/2").unwrap();
        assert_eq!(url.to_string(), "rediss://us%er@cache:6379/2");
        assert!(!format!("{url:?} {url:#?} {url}").contains("hush"));
    }
}

//! When a message is sent again, and when it is given up.

use std::time::Duration;

/// Before the second try.
const FIRST: Duration = Duration::from_secs(1);
/// Between two tries at the most.
const MAX: Duration = Duration::from_secs(60);

/// What a receiver's answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has it.
    Delivered,
    /// It may take it later.
    Again,
    /// It will never take it: sending it again is of no use.
    Refused,
}

/// What this status means. A redirect is not followed: it would carry the message to whom nobody named.
#[must_use]
pub const fn verdict(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Delivered,
        // Request Timeout, Too Early, Too Many Requests (RFC 9110, RFC 8470, RFC 6585).
        408 | 425 | 429 => Verdict::Again,
        300..=499 => Verdict::Refused,
        _ => Verdict::Again,
    }
}

/// How long to wait after `failures` in a row, 1 or more: doubled each time up to a minute, of which
/// `random`, from 0 to 1, takes up to a half away, so that a fleet does not knock at the same moment.
#[must_use]
pub fn delay(failures: u32, random: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(MAX).mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_minute() {
        for (failures, random, ms) in [
            (0, 0.0, 1000),
            (1, 0.0, 1000),
            (1, 1.0, 500),
            (2, 0.0, 2000),
            (3, 0.5, 3000),
            (6, 0.0, 32_000),
            (7, 0.0, 60_000),
            (u32::MAX, 1.0, 30_000),
            (1, 7.0, 500),
        ] {
            let expected = Duration::from_millis(ms);
            assert_eq!(delay(failures, random), expected, "{failures} {random}");
        }
    }

    #[test]
    fn what_answers_mean() {
        for (status, want) in [
            (200, Verdict::Delivered),
            (204, Verdict::Delivered),
            (301, Verdict::Refused),
            (400, Verdict::Refused),
            (404, Verdict::Refused),
            (408, Verdict::Again),
            (429, Verdict::Again),
            (500, Verdict::Again),
            (503, Verdict::Again),
            (0, Verdict::Again),
        ] {
            assert_eq!(verdict(status), want, "{status}");
        }
    }
}

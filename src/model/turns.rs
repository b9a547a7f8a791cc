//! Whose turn it is on a line that carries so many bytes a second: each piece that is to be sent is
//! told how long it waits. What is asked for first is sent first, so many viewers share the line
//! evenly, piece by piece.

use std::time::Duration;

/// A piece waits behind so much at the most; who comes then is refused.
pub const BACKLOG_MAX: Duration = Duration::from_secs(5);
/// What was not used of the line is made up for by so much.
const BURST: Duration = Duration::from_millis(200);
/// A piece takes the line for about a hundredth of a second.
const PIECES_PER_SECOND: u64 = 100;
const PIECE_BYTES_MIN: u64 = 16 * 1024;

/// A line: until when it is taken. Moments count from any that stays the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    free_at: Duration,
}

impl Line {
    /// Takes the line for `bytes` and returns how long to wait before they are sent.
    pub fn take(&mut self, bytes: u64, bytes_per_second: u64, now: Duration) -> Duration {
        let at = self.free_at.max(now.saturating_sub(BURST));
        self.free_at = at.saturating_add(time_for(bytes, bytes_per_second));
        at.saturating_sub(now)
    }

    /// Counts `bytes` that are sent at once, whatever else waits. They delay others by no more than
    /// the longest wait.
    pub fn pass(&mut self, bytes: u64, bytes_per_second: u64, now: Duration) {
        let before = self.free_at;
        self.take(bytes, bytes_per_second, now);
        self.free_at = self.free_at.min(now.saturating_add(BACKLOG_MAX)).max(before);
    }

    /// No more is let in: what waits takes the line for the longest wait.
    #[must_use]
    pub fn is_full(&self, now: Duration) -> bool {
        self.free_at.saturating_sub(now) >= BACKLOG_MAX
    }
}

/// In how large pieces a body is sent over a line, bytes.
#[must_use]
pub fn piece_bytes(bytes_per_second: u64) -> u64 {
    (bytes_per_second / PIECES_PER_SECOND).max(PIECE_BYTES_MIN)
}

fn time_for(bytes: u64, bytes_per_second: u64) -> Duration {
    let micros = u128::from(bytes) * 1_000_000 / u128::from(bytes_per_second.max(1));
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// Seconds that are remembered, and over which a rate is told.
const CELLS: usize = 8;
const MEASURED_SECONDS: u64 = 5;

/// How much was sent of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// A second, and the bytes of it.
    cells: [(u64, u64); CELLS],
}

impl Meter {
    /// `bytes` were sent at `now`.
    pub fn add(&mut self, bytes: u64, now: Duration) {
        let second = now.as_secs();
        let at = usize::try_from(second % CELLS as u64).unwrap_or_default();
        if let Some(cell) = self.cells.get_mut(at) {
            if cell.0 != second {
                *cell = (second, 0);
            }
            cell.1 = cell.1.saturating_add(bytes);
        }
    }

    /// Bytes per second over the last five whole seconds.
    #[must_use]
    pub fn bytes_per_second(&self, now: Duration) -> u64 {
        let now = now.as_secs();
        let of_late = |second: u64| second < now && second + MEASURED_SECONDS >= now;
        let cells = self.cells.iter().filter(|(second, _)| of_late(*second));
        cells.map(|(_, bytes)| bytes).fold(0, |sum: u64, bytes| sum.saturating_add(*bytes))
            / MEASURED_SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    /// 1 MB/s.
    const RATE: u64 = 1_000_000;

    #[test]
    fn pieces_wait_for_those_before_them() {
        let mut line = Line::default();
        let now = MS(10_000);
        // Unused for long: 200 ms of it are made up for, then each waits for all before it.
        for (bytes, wait) in [(100_000, 0), (100_000, 0), (50_000, 0), (50_000, 50), (1, 100)] {
            assert_eq!(line.take(bytes, RATE, now), MS(wait), "{bytes}");
        }
        assert_eq!(line.take(1, RATE, MS(10_200)), Duration::ZERO);
    }

    #[test]
    fn over_a_long_time_it_carries_its_rate() {
        let (mut line, mut now, mut sent) = (Line::default(), MS(60_000), 0);
        let began = now;
        while now < began + Duration::from_secs(100) {
            now += line.take(16_384, RATE, now);
            sent += 16_384;
        }
        let most = 100 * RATE + RATE / 5 + 2 * 16_384;
        assert!((100 * RATE..=most).contains(&sent), "{sent}");
    }

    #[test]
    fn what_waits_has_a_limit() {
        let mut line = Line::default();
        let now = MS(10_000);
        let mut pieces = 0;
        while !line.is_full(now) {
            line.take(16_384, RATE, now);
            pieces += 1;
        }
        assert_eq!(pieces, 318, "5.2 s of the line");
        // Playlists pass, and do not keep others out for longer.
        for _ in 0..10_000 {
            line.pass(16_384, RATE, now);
        }
        assert!(!line.is_full(now + MS(300)));
        assert!(line.take(1, RATE, now) <= BACKLOG_MAX + MS(17));
        // No rate at all, which no configuration gives, overflows nothing.
        line.take(u64::MAX, 0, now);
        line.take(u64::MAX, 0, now);
    }

    #[test]
    fn pieces_are_small() {
        for (rate, piece) in [(125_000, 16_384), (12_500_000, 125_000), (0, 16_384)] {
            assert_eq!(piece_bytes(rate), piece, "{rate}");
        }
    }

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let mut meter = Meter::default();
        for second in 100..110 {
            meter.add(500, MS(second * 1000));
            meter.add(500, MS(second * 1000 + 999));
        }
        assert_eq!(meter.bytes_per_second(MS(110_000)), 1000);
        assert_eq!(meter.bytes_per_second(MS(112_500)), 600);
        assert_eq!(meter.bytes_per_second(MS(115_000)), 0);
        assert_eq!(Meter::default().bytes_per_second(MS(0)), 0);
    }
}

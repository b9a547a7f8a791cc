//! EXT-X-PROGRAM-DATE-TIME to Unix milliseconds (RFC 8216, 4.3.2.6: ISO 8601), as packagers
//! write it: with and without fraction, `Z`, `+01:00`, `+0100`, `+01` or no zone at all (UTC).

const MS_PER_DAY: i64 = 86_400_000;

/// Unix milliseconds of `text`; none if it is no date from 1970 to 9999.
pub(in crate::model) fn unix_ms(text: &str) -> Option<u64> {
    let (year, rest) = number(text, 4)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2)?;
    let (hour, rest) = number(rest.strip_prefix(['T', 't', ' '])?, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (ms, zone) = fraction_ms(rest)?;
    // Second 60 is a leap second: the first of the next minute.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_since_epoch(year, month, day)?;
    let time = ((hour * 60 + minute) * 60 + second) * 1000 + ms;
    u64::try_from(days * MS_PER_DAY + time - zone_ms(zone)?).ok()
}

/// Unix milliseconds as ISO 8601 in UTC, with milliseconds.
pub(in crate::model) fn text(ms: u64) -> String {
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, ms) = (in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar.
const fn civil(days: u64) -> (u64, u64, u64) {
    // Counting from March of year 0 puts the leap day at a year's end; 400 years have 146097 days.
    let day = days.saturating_add(719_468);
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + (month <= 2) as u64, month, day)
}

/// Reads exactly `digits` decimal digits.
fn number(text: &str, digits: usize) -> Option<(i64, &str)> {
    let (head, rest) = text.split_at_checked(digits)?;
    if !head.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((head.parse().ok()?, rest))
}

/// A fraction of a second, cut to milliseconds; 0 if there is none.
fn fraction_ms(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix(['.', ',']) else {
        return Some((0, text));
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, zone) = rest.split_at_checked(digits)?;
    let ms = fraction.bytes().chain(*b"000").take(3).fold(0, |ms, b| ms * 10 + i64::from(b - b'0'));
    (digits > 0).then_some((ms, zone))
}

/// A zone's distance from UTC, milliseconds.
fn zone_ms(zone: &str) -> Option<i64> {
    let (sign, text) = match zone.chars().next() {
        None => return Some(0),
        Some('Z' | 'z') if zone.len() == 1 => return Some(0),
        Some('+') => (1, zone.strip_prefix('+')?),
        Some('-') => (-1, zone.strip_prefix('-')?),
        Some(_) => return None,
    };
    let (hours, rest) = number(text, 2)?;
    let minutes = match rest.strip_prefix(':').unwrap_or(rest) {
        "" => 0,
        rest => number(rest, 2).filter(|(_, end)| end.is_empty())?.0,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60_000)
}

/// Days from 1970-01-01 in the Gregorian calendar.
fn days_since_epoch(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1970 || !(1..=length).contains(&day) {
        return None;
    }
    // Counting years from March puts the leap day at a year's end.
    let from_march = (month + 9) % 12;
    let years = if month > 2 { year } else { year - 1 };
    let leap_days = years / 4 - years / 100 + years / 400;
    let in_year = (from_march * 153 + 2) / 5 + day - 1;
    Some(years * 365 + leap_days + in_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::{text, unix_ms};

    #[test]
    fn what_is_written_reads_the_same() {
        let days = [0, 58, 59, 60, 364, 365, 789, 11_016, 19_782, 20_000, 47_540, 2_932_896];
        for ms in days.map(|day| day * 86_400_000 + 43_199_999) {
            assert_eq!(unix_ms(&text(ms)), Some(ms), "{}", text(ms));
        }
        assert_eq!(text(1_709_251_199_500), "2024-02-29T23:59:59.500Z");
    }

    #[test]
    fn dates_as_packagers_write_them() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2010-02-19T14:54:23.031+08:00", Some(1_266_562_463_031)),
            ("2010-02-19T14:54:23.031+0800", Some(1_266_562_463_031)),
            ("2010-02-19T14:54:23.0319+08", Some(1_266_562_463_031)),
            ("2024-02-29T23:59:59.5Z", Some(1_709_251_199_500)),
            ("2000-02-29 12:00:00", Some(951_825_600_000)),
            ("2024-12-31T23:59:60Z", Some(1_735_689_600_000)),
            ("2026-03-01T00:00:00-05:30", Some(1_772_343_000_000)),
            ("9999-12-31T23:59:59.999Z", Some(253_402_300_799_999)),
            ("2023-02-29T00:00:00Z", None),
            ("2100-02-29T00:00:00Z", None),
            ("2023-13-01T00:00:00Z", None),
            ("2023-00-01T00:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("1970-01-01T00:00:00+01:00", None),
            ("2023-01-01T24:00:00Z", None),
            ("2023-01-01T00:00:00.Z", None),
            ("2023-01-01T00:00:00+1", None),
            ("2023-01-01T00:00:00+01:00x", None),
            ("2023-01-01", None),
            ("yesterday", None),
            ("２０２３-01-01T00:00:00Z", None),
            ("", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(unix_ms(text), wanted, "{text}");
        }
    }
}

//! The `Range` of a request (RFC 9110, 14.2): one range of bytes, or the whole.

/// What is to be sent of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it: no range, several, or one that is not understood (RFC 9110, 14.2).
    Whole,
    /// From the first to the last byte, both included.
    Bytes(u64, u64),
    /// The range lies outside: 416.
    Unsatisfiable,
}

/// Reads a `Range` header for a representation of `length` bytes.
#[must_use]
pub fn part(range: &str, length: u64) -> Part {
    let Some(spec) = range.trim().strip_prefix("bytes=") else {
        return Part::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Part::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    match (number(first), number(last)) {
        // Several ranges: the comma is no digit.
        (Digits::Other, _) | (_, Digits::Other) | (Digits::None, Digits::None) => Part::Whole,
        (Digits::None, Digits::Number(suffix)) => {
            if suffix == 0 || length == 0 {
                Part::Unsatisfiable
            } else {
                Part::Bytes(length.saturating_sub(suffix), length - 1)
            }
        }
        (Digits::Number(first), _) if first >= length => Part::Unsatisfiable,
        (Digits::Number(first), Digits::None) => Part::Bytes(first, length - 1),
        (Digits::Number(first), Digits::Number(last)) if last < first => Part::Whole,
        (Digits::Number(first), Digits::Number(last)) => Part::Bytes(first, last.min(length - 1)),
    }
}

enum Digits {
    None,
    Number(u64),
    Other,
}

fn number(text: &str) -> Digits {
    if text.is_empty() {
        return Digits::None;
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Digits::Other;
    }
    // Beyond 64 bits it lies outside of any representation.
    Digits::Number(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let cases = [
            ("bytes=0-0", 10, Part::Bytes(0, 0)),
            ("bytes=0-9", 10, Part::Bytes(0, 9)),
            ("bytes=0-99", 10, Part::Bytes(0, 9)),
            ("bytes=4-", 10, Part::Bytes(4, 9)),
            ("bytes=-3", 10, Part::Bytes(7, 9)),
            ("bytes=-30", 10, Part::Bytes(0, 9)),
            ("bytes=-0", 10, Part::Unsatisfiable),
            ("bytes=10-", 10, Part::Unsatisfiable),
            ("bytes=0-", 0, Part::Unsatisfiable),
            ("bytes=-1", 0, Part::Unsatisfiable),
            ("bytes=99999999999999999999-", 10, Part::Unsatisfiable),
            ("bytes=5-4", 10, Part::Whole),
            ("bytes=0-1,4-5", 10, Part::Whole),
            ("bytes=-", 10, Part::Whole),
            ("bytes=+1-2", 10, Part::Whole),
            ("items=0-1", 10, Part::Whole),
            ("", 10, Part::Whole),
        ];
        for (header, length, expected) in cases {
            assert_eq!(part(header, length), expected, "{header} of {length}");
        }
    }
}

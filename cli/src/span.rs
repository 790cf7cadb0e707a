//! Spans of time as people type and read them.

use std::time::Duration;

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a number with its unit: `500ms`, `10s`, `15m`, `12h`, `90d`. Zero is refused.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = UNITS.iter().find_map(|(name, factor)| (*name == unit).then_some(*factor));
    match (number.parse::<u64>(), factor) {
        (Ok(number @ 1..), Some(factor)) => number
            .checked_mul(factor)
            .filter(|millis| *millis <= i64::MAX.unsigned_abs())
            .map(Duration::from_millis)
            .ok_or_else(|| "too long".to_owned()),
        _ => Err("expected a number above zero and its unit, such as 500ms, 10s, 15m, 12h or 90d".to_owned()),
    }
}

/// Milliseconds as the contract counts them.
pub(crate) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// In words, by its two largest units: `9 min 58 s`.
pub(crate) fn in_words(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds == 0 {
        return format!("{} ms", span.subsec_millis());
    }
    let parts = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(parts.len() - 1);
    let words: Vec<String> = parts[first..]
        .iter()
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    words.join(" ")
}

/// Milliseconds of the contract, in words.
pub(crate) fn millis_in_words(millis: i64) -> String {
    in_words(Duration::from_millis(millis.max(0).unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_needs_its_unit() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("90d"), Ok(Duration::from_hours(90 * 24)));
        for bad in ["", "10", "s", "0s", "-1s", "1.5s", "10 s", "1w", "99999999999999999999d", "9999999999999999d"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_use_the_two_largest_units() {
        for (seconds, words) in [(1, "1 s"), (598, "9 min 58 s"), (3_600, "1 h"), (90_061, "1 d 1 h")] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
        assert_eq!(in_words(Duration::from_millis(250)), "250 ms");
    }
}

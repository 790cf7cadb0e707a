//! Points in time as people type them: `2026-07-01T12:00:00Z`, or how long ago: `24h`.

use portcullis_types::{Clock, SystemClock, Timestamp};
use prost_types::Timestamp as Wire;

use crate::span;

/// A point in time, as the contract says it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Instant(pub(crate) Wire);

/// Reads one.
pub(crate) fn parse(text: &str) -> Result<Instant, String> {
    at(text, SystemClock.now())
}

fn at(text: &str, now: Timestamp) -> Result<Instant, String> {
    if let Ok(ago) = span::parse(text) {
        let at = now.saturating_sub(ago).as_micros();
        let nanos = i32::try_from(at.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
        return Ok(Instant(Wire { seconds: at.div_euclid(1_000_000), nanos }));
    }
    let expected = "expected a time such as 2026-07-01T12:00:00Z, or how long ago, such as 24h";
    text.parse().map(Instant).map_err(|_| expected.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_absolute_or_so_long_ago() {
        let now = Timestamp::from_unix_seconds(1_700_000_000);
        let seconds = |text| at(text, now).map(|instant| instant.0.seconds);
        assert_eq!(seconds("2023-11-14T22:13:20Z"), Ok(1_700_000_000));
        assert_eq!(seconds("1h"), Ok(1_700_000_000 - 3_600));
        for bad in ["", "yesterday", "1", "0s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}

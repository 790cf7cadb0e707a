//! A histogram as the programs export it, between two moments.

/// Cumulative counts by upper bound, the last one without a bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histogram(Vec<(f64, u64)>);

impl Histogram {
    /// Reads `name` from the text of `/metrics`.
    pub(crate) fn read(text: &str, name: &str) -> Self {
        let prefix = format!("{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&prefix)?.split_once("\"}")?;
            Some((bound.parse().ok()?, count.split_whitespace().next()?.parse().ok()?))
        };
        Self(text.lines().filter_map(bucket).collect())
    }

    /// What was added since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let earlier = |index: usize| before.0.get(index).map_or(0, |(_, count)| *count);
        Self(self.0.iter().enumerate().map(|(i, (bound, count))| (*bound, count.saturating_sub(earlier(i)))).collect())
    }

    /// Both together; they have the same bounds.
    pub(crate) fn and(&self, other: &Self) -> Self {
        if self.0.is_empty() {
            return other.clone();
        }
        Self(self.0.iter().zip(&other.0).map(|((bound, a), (_, b))| (*bound, a + b)).collect())
    }

    /// How many observations.
    pub(crate) fn count(&self) -> u64 {
        self.0.last().map_or(0, |(_, count)| *count)
    }

    /// The upper bound of the bucket in which so many of 100 observations have been seen: no more is known.
    pub(crate) fn at_most(&self, percent: u64) -> Option<f64> {
        let rank = (self.count() * percent).div_ceil(100).max(1);
        self.0.iter().find(|(_, count)| *count >= rank).map(|(bound, _)| *bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE x_fence_seconds histogram\nx_fence_seconds_sum 1.0\n\
        x_fence_seconds_bucket{le=\"0.001\"} 90\nx_fence_seconds_bucket{le=\"0.01\"} 99\n\
        x_fence_seconds_bucket{le=\"+Inf\"} 100\n";

    #[test]
    fn a_percentile_is_the_bound_of_its_bucket() {
        let histogram = Histogram::read(TEXT, "x_fence_seconds");
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.at_most(50), Some(0.001));
        assert_eq!(histogram.at_most(99), Some(0.01));
        assert_eq!(histogram.at_most(100), Some(f64::INFINITY));
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let histogram = Histogram::read(TEXT, "x_fence_seconds");
        assert_eq!(histogram.since(&histogram).count(), 0);
        assert_eq!(histogram.and(&histogram).count(), 200);
        assert_eq!(Histogram::default().and(&histogram), histogram);
    }
}

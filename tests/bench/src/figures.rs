//! What was measured: samples, what they are compared with, the table, the JSON.

use serde::Serialize;

/// Samples of one quantity, summed up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// How many samples.
    pub(crate) samples: usize,
    /// Half of them are at most this.
    pub(crate) p50: f64,
    /// 99 of 100 are at most this.
    pub(crate) p99: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Spread {
    /// Of at least one sample.
    pub(crate) fn of(samples: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (max, samples) = (*sorted.last()?, sorted.len());
        // Nearest rank: a percentile is a value that was measured.
        let rank = |percent: usize| sorted[(samples * percent).div_ceil(100).max(1) - 1];
        Some(Self { samples, p50: rank(50), p99: rank(99), max })
    }
}

/// What a figure is compared with, measured in the same run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Peer {
    /// Whose figure.
    pub(crate) name: &'static str,
    /// In the unit of the figure.
    pub(crate) value: f64,
    /// The figure's p50 (or value) divided by it.
    pub(crate) ratio: f64,
}

/// A measured value.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    /// Of many samples.
    Spread(Spread),
    /// One number.
    Single {
        /// It.
        value: f64,
    },
}

impl Value {
    const fn middle(self) -> f64 {
        match self {
            Self::Spread(spread) => spread.p50,
            Self::Single { value } => value,
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// The row it belongs to.
    pub(crate) row: &'static str,
    /// What was measured.
    pub(crate) what: String,
    /// In which unit.
    pub(crate) unit: &'static str,
    /// How much.
    #[serde(flatten)]
    pub(crate) value: Value,
    /// Beside what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<Peer>,
}

impl Figure {
    /// From samples; none when there are none.
    pub(crate) fn spread(
        row: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        samples: impl IntoIterator<Item = f64>,
    ) -> Option<Self> {
        let value = Value::Spread(Spread::of(samples)?);
        Some(Self { row, what: what.into(), unit, value, peer: None })
    }

    /// One number.
    pub(crate) fn single(row: &'static str, what: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { row, what: what.into(), unit, value: Value::Single { value }, peer: None }
    }

    /// Beside a peer or a floor.
    pub(crate) fn beside(mut self, name: &'static str, value: f64) -> Self {
        self.peer = Some(Peer { name, value, ratio: self.value.middle() / value });
        self
    }

    /// The middle of what was measured.
    pub(crate) const fn middle(&self) -> f64 {
        self.value.middle()
    }
}

/// The table for people.
pub(crate) fn table(figures: &[Figure]) -> String {
    let head = ["row", "figure", "n", "p50", "p99", "max", "unit", "beside", "its figure", "ratio"].map(str::to_owned);
    let lines: Vec<_> = std::iter::once(head).chain(figures.iter().map(line)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..10).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        for (column, cell) in line.iter().enumerate() {
            let gap = " ".repeat(widths[column] - cell.chars().count());
            // Words to the left, numbers to the right.
            let words = matches!(column, 0 | 1 | 6 | 7);
            text += &if words { format!("{cell}{gap}  ") } else { format!("{gap}{cell}  ") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn line(figure: &Figure) -> [String; 10] {
    let (samples, [p50, p99, max]) = match figure.value {
        Value::Spread(Spread { samples, p50, p99, max }) => (samples.to_string(), [p50, p99, max].map(number)),
        Value::Single { value } => (String::new(), [number(value), String::new(), String::new()]),
    };
    let (name, value, ratio) = figure
        .peer
        .as_ref()
        .map_or_else(Default::default, |peer| (peer.name.to_owned(), number(peer.value), format!("{:.2}", peer.ratio)));
    [figure.row.to_owned(), figure.what.clone(), samples, p50, p99, max, figure.unit.to_owned(), name, value, ratio]
}

/// Three digits that matter, and no more than that after the point.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 100.0 {
        format!("{value:.0}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let spread = Spread::of((1..=200).map(f64::from)).expect("samples");
        assert_eq!(spread, Spread { samples: 200, p50: 100.0, p99: 198.0, max: 200.0 });
        let one = Spread::of([7.0]).expect("a sample");
        assert_eq!((one.p50, one.p99, one.max), (7.0, 7.0, 7.0));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn the_ratio_is_of_the_middle() {
        let figure = Figure::spread("row", "what", "ms", [4.0, 2.0, 9.0]).expect("samples").beside("floor", 2.0);
        assert!(figure.peer.as_ref().is_some_and(|peer| (peer.ratio - 2.0).abs() < f64::EPSILON));
        let text = table(&[figure]);
        let words: Vec<_> = text.lines().nth(1).unwrap_or_default().split_whitespace().collect();
        assert_eq!(words, ["row", "what", "3", "4.00", "9.00", "9.00", "ms", "floor", "2.00", "2.00"]);
    }
}

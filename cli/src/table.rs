//! Tables and lists of fields for a terminal.
//!
//! Guarantees that a value from elsewhere (a device's name, a label) cannot move the cursor, change colours or fake a
//! line: control characters are shown escaped.

/// What a person reads.
#[derive(Debug)]
pub(crate) enum View {
    /// One thing, a field a line.
    Fields(Vec<(&'static str, String)>),
    /// Many things, one a line.
    Rows {
        /// The heads of the columns.
        columns: &'static [&'static str],
        /// As many cells as there are columns.
        rows: Vec<Vec<String>>,
        /// Said instead when there are no rows.
        empty: &'static str,
    },
}

impl View {
    /// The text, with a line feed at its end.
    pub(crate) fn render(&self) -> String {
        match self {
            Self::Fields(fields) => render_fields(fields),
            Self::Rows { empty, rows, .. } if rows.is_empty() => format!("{empty}\n"),
            Self::Rows { columns, rows, .. } => render_rows(columns, rows),
        }
    }
}

fn render_fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines = fields.iter().map(|(name, value)| format!("{name:<width$}  {}\n", visible(value)));
    lines.collect()
}

fn render_rows(columns: &[&str], rows: &[Vec<String>]) -> String {
    let heads = columns.iter().map(|head| head.to_ascii_uppercase()).collect();
    let lines: Vec<Vec<String>> =
        std::iter::once(heads).chain(rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect())).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The text with its control characters, and those that turn the direction of writing, escaped.
pub(crate) fn visible(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[[&str; 2]]) -> View {
        let rows = rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        View::Rows { columns: &["name", "state"], rows, empty: "There are none." }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_without_spaces() {
        let text = rows(&[["alice", "active"], ["bob", ""]]).render();
        assert_eq!(text, "NAME   STATE\nalice  active\nbob\n");
    }

    #[test]
    fn no_rows_are_said_in_words() {
        assert_eq!(rows(&[]).render(), "There are none.\n");
    }

    #[test]
    fn fields_line_up() {
        let view = View::Fields(vec![("id", "1".to_owned()), ("longer", "2".to_owned())]);
        assert_eq!(view.render(), "id      1\nlonger  2\n");
    }

    #[test]
    fn a_value_cannot_write_control_sequences_to_the_terminal() {
        let text = rows(&[["a\u{1b}[31m\nb\u{202e}", "x"]]).render();
        assert!(text.contains("a\\u{1b}[31m\\nb\\u{202e}"), "{text}");
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn letters_beyond_ascii_keep_columns_straight() {
        assert_eq!(rows(&[["é", "x"], ["ab", "y"]]).render(), "NAME  STATE\né     x\nab    y\n");
    }
}

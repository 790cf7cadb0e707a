//! What goes to the two outputs: answers to standard output, everything else to standard error.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::args::Output;
use crate::failure::Failure;
use crate::table::{View, visible};

/// An answer, for programs and for people.
#[derive(Debug)]
pub(crate) struct Report {
    /// For programs; the contract's message with words for numbers.
    pub(crate) json: Value,
    /// For people.
    pub(crate) view: View,
}

/// Prints in the one way that was asked for.
pub(crate) struct Printer {
    out: Mutex<Box<dyn Write + Send>>,
    output: Output,
    only: Option<String>,
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Printer").field("output", &self.output).field("only", &self.only).finish_non_exhaustive()
    }
}

impl Printer {
    /// Prints answers there and so; with `only`, one field and nothing else.
    pub(crate) fn new(out: impl Write + Send + 'static, output: Output, only: Option<String>) -> Self {
        Self { out: Mutex::new(Box::new(out)), output, only }
    }

    /// Prints one answer.
    pub(crate) fn report(&self, report: &Report) -> Result<(), Failure> {
        let text = match (&self.only, self.output) {
            (Some(path), _) => field(&report.json, path)?,
            (None, Output::Json) => format!("{:#}\n", report.json),
            (None, Output::Table) => report.view.render(),
        };
        self.write(&text)
    }

    /// Prints one event of many: one line in JSON.
    pub(crate) fn event(&self, json: &Value, line: impl FnOnce() -> String) -> Result<(), Failure> {
        let text = match (&self.only, self.output) {
            (Some(path), _) => field(json, path)?,
            (None, Output::Json) => format!("{json}\n"),
            (None, Output::Table) => line(),
        };
        self.write(&text)
    }

    /// Says something beside the answer, to people only.
    pub(crate) fn note(&self, text: &str) {
        if self.output == Output::Table && self.only.is_none() {
            eprintln!("{text}");
        }
    }

    /// Says what went wrong and what to do next.
    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        match self.output {
            Output::Json => eprintln!("{}", failure.json()),
            Output::Table => {
                eprintln!("error: {}", visible(&failure.to_string()));
                if let Some(next) = failure.next_step() {
                    eprintln!("  next: {next}");
                }
            }
        }
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
    }
}

/// The value at a dotted path: a text as it is, anything else as JSON.
fn field(json: &Value, path: &str) -> Result<String, Failure> {
    let mut here = json;
    for name in path.split('.') {
        let next = match here {
            Value::Array(items) => name.parse().ok().and_then(|index: usize| items.get(index)),
            Value::Object(fields) => fields.get(name),
            _ => None,
        };
        here = next.ok_or_else(|| Failure::usage(format!("the answer has no field at --only: {}", names(here))))?;
    }
    Ok(here.as_str().map_or_else(|| format!("{here}\n"), |text| format!("{text}\n")))
}

fn names(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            format!("there are {}", fields.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("there are items 0 to {}", items.len().saturating_sub(1)),
        _ => "the path goes beyond a value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_prints_one_field_by_its_path() {
        let answer = json!({"tokens": {"access_token": "eyJ", "left": 5}, "list": [{"id": "a"}]});
        assert_eq!(field(&answer, "tokens.access_token").expect("exists"), "eyJ\n");
        assert_eq!(field(&answer, "tokens.left").expect("exists"), "5\n");
        assert_eq!(field(&answer, "list.0.id").expect("exists"), "a\n");
    }

    #[test]
    fn a_path_to_nowhere_names_the_fields_and_no_values() {
        let answer = json!({"tokens": {"access_token": "eyJ", "left": 5}});
        let error = field(&answer, "tokens.refresh").expect_err("no such field").to_string();
        assert!(error.contains("access_token, left") && !error.contains("eyJ"), "{error}");
    }
}

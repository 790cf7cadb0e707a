//! What was done, more closely than the action says it: a small JSON object.
//!
//! Guarantees: never more than [`MAX_DETAIL_BYTES`]. A list that is too long is told by its length and digest, and so is
//! what is too long altogether.
//! Refuses: secrets. It takes what can be shown, and a secret cannot.

use std::fmt::Display;

use data_encoding::HEXLOWER;
use portcullis_types::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::Grant;

/// The longest that it is as text.
pub const MAX_DETAIL_BYTES: usize = 4_096;

/// The longest list that is told item by item.
const MAX_LIST_BYTES: usize = 1_536;

/// Names and what they stand for, in the order of the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail(Map<String, Value>);

impl Detail {
    /// Says one more thing.
    #[must_use]
    pub fn and(mut self, name: &'static str, value: impl Display) -> Self {
        self.0.insert(name.to_owned(), value.to_string().into());
        self
    }

    /// Says it where it is known.
    #[must_use]
    pub fn and_maybe(self, name: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.and(name, value),
            None => self,
        }
    }

    /// Says how many.
    #[must_use]
    pub fn and_count(mut self, name: &'static str, count: usize) -> Self {
        self.0.insert(name.to_owned(), count.into());
        self
    }

    /// Says when, in seconds since 1970, where that is known.
    #[must_use]
    pub fn and_time(mut self, name: &'static str, at: Option<Timestamp>) -> Self {
        if let Some(at) = at {
            self.0.insert(name.to_owned(), at.as_unix_seconds().into());
        }
        self
    }

    /// Says a list.
    #[must_use]
    pub fn and_list(mut self, name: &'static str, items: impl IntoIterator<Item: Display>) -> Self {
        let items: Vec<Value> = items.into_iter().map(|item| item.to_string().into()).collect();
        let (count, list) = (items.len(), Value::from(items));
        let text = list.to_string();
        let told = if text.len() > MAX_LIST_BYTES { json!({ "count": count, "sha256": hex(&text) }) } else { list };
        self.0.insert(name.to_owned(), told);
        self
    }

    /// Says grants: how many, and a digest that is the same for the same ones in any order.
    #[must_use]
    pub fn and_grants(mut self, name: &'static str, grants: &[Grant]) -> Self {
        let mut lines: Vec<_> =
            grants.iter().map(|g| format!("{} {}\n", g.action.name(), g.pattern.as_str())).collect();
        lines.sort_unstable();
        self.0.insert(name.to_owned(), json!({ "count": lines.len(), "sha256": hex(&lines.concat()) }));
        self
    }

    /// As rows have it; none when nothing was said.
    pub fn text(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let text = Value::Object(self.0.clone()).to_string();
        let fits = text.len() <= MAX_DETAIL_BYTES;
        Some(if fits { text } else { json!({ "bytes": text.len(), "sha256": hex(&text) }).to_string() })
    }
}

fn hex(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Pattern};

    #[test]
    fn what_is_said_is_an_object_and_nothing_said_is_nothing() {
        let detail = Detail::default().and("method", "pwd").and_maybe("client", None::<&str>).and_count("sessions", 2);
        let detail = detail.and_list("roles", ["admin", "reader"]);
        assert_eq!(detail.text().as_deref(), Some(r#"{"method":"pwd","roles":["admin","reader"],"sessions":2}"#));
        assert_eq!(Detail::default().text(), None);
    }

    #[test]
    fn however_much_is_said_it_stays_small_and_another_thing_is_another_text() {
        let long = |first: &str| [first.to_owned()].into_iter().chain((0..63).map(|n| format!("{n:063}")));
        let of = |first: &str| Detail::default().and_list("roles", long(first)).and_list("removed", long(first));
        let text = of("a").text().expect("something was said");
        assert!(text.len() <= MAX_DETAIL_BYTES && text.contains(r#""count":64"#), "{text}");
        assert_ne!(of("a"), of("b"));
        let wide = |fill: &str| Detail::default().and("name", fill.repeat(MAX_DETAIL_BYTES)).text();
        assert!(wide("a").is_some_and(|text| text.len() <= MAX_DETAIL_BYTES));
        assert_ne!(wide("a"), wide("b"));
    }

    #[test]
    fn grants_have_one_digest_in_any_order() {
        let grant = |action, pattern: &str| Grant { action, pattern: Pattern::try_from(pattern).expect("valid") };
        let (one, other) = (grant(Action::Subscribe, "room.a"), grant(Action::Publish, "room.b"));
        let of = |grants: &[Grant]| Detail::default().and_grants("grants", grants);
        assert_eq!(of(&[one.clone(), other.clone()]), of(&[other.clone(), one.clone()]));
        assert_ne!(of(std::slice::from_ref(&one)), of(&[other]));
        assert_ne!(of(&[]), of(&[one]));
    }
}

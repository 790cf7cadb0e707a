//! A configuration that cannot be read, said without any value of it: a value may be a secret in the wrong place.

use std::fmt;

use figment::error::Kind;

/// Which key, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misread {
    key: String,
    rule: String,
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => f.write_str(&self.rule),
            key => write!(f, "`{key}` {}", self.rule),
        }
    }
}

impl From<figment::Error> for Misread {
    fn from(error: figment::Error) -> Self {
        let mut path = error.path.clone();
        let rule = match &error.kind {
            Kind::UnknownField(field, known) => {
                end_with(&mut path, field);
                format!("is not a key; beside it there are: {}", known.join(", "))
            }
            Kind::MissingField(field) => {
                end_with(&mut path, field);
                "is needed".to_owned()
            }
            Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) | Kind::InvalidLength(_, expected) => {
                format!("must be {expected}")
            }
            Kind::UnknownVariant(_, expected) => format!("must be one of: {}", expected.join(", ")),
            Kind::DuplicateField(_) => "is there twice".to_owned(),
            Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => "is out of range".to_owned(),
            Kind::Message(message) => position_of(message).unwrap_or_else(|| "cannot be read".to_owned()),
            Kind::Unsupported(_) | Kind::UnsupportedKey(..) => "cannot be read".to_owned(),
        };
        Self { key: path.join("."), rule }
    }
}

/// The path of an error ends with its field, or before it.
fn end_with(path: &mut Vec<String>, field: &str) {
    if path.last().is_none_or(|last| last != field) {
        path.push(field.to_owned());
    }
}

/// Where a TOML parser stopped. It shows the line itself too, which is left out.
fn position_of(message: &str) -> Option<String> {
    let position = message.lines().next()?.strip_prefix("TOML parse error at ")?;
    let safe = position.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b','));
    safe.then(|| format!("the file is not TOML at {position}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use figment::Figment;
    use figment::providers::{Format as _, Toml};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the reading of it is tested")]
    struct Sample {
        number: Option<u8>,
        address: Option<SocketAddr>,
        word: Option<Word>,
        list: Option<[u8; 2]>,
        deep: Option<BTreeMap<String, bool>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Text,
        Json,
    }

    #[test]
    fn a_configuration_that_cannot_be_read_names_its_key_and_never_shows_a_value() {
        for (toml, said) in [
            ("number = 'hunter2'", "`number` must be u8"),
            ("number = 77777", "`number` must be"),
            ("address = 'hunter2'", "`address` "),
            ("word = 'hunter2'", "`word` must be one of: text, json"),
            ("deep.inner = 'hunter2'", "`deep.inner` must be a boolean"),
            ("colour = 'hunter2'", "`colour` is not a key; beside it there are: number, address, word, list, deep"),
            ("key = hunter2", "the file is not TOML at line 1, column "),
            ("[number]\nhunter2 = 1", "`number` must be"),
        ] {
            let read: Result<Sample, _> = Figment::new().merge(Toml::string(toml)).extract();
            let misread = Misread::from(read.expect_err("it is refused"));
            let shown = format!("{misread} {misread:?}");
            assert!(shown.starts_with(said), "{toml}: {shown}");
            assert!(!shown.contains("hunter2") && !shown.contains("77777"), "{toml}: {shown}");
        }
    }
}

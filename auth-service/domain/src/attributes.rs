//! What a tenant notes about an identity: short texts by name, for its own programs and screens. No rule reads them.

use std::collections::BTreeMap;

use portcullis_types::InvalidName;

/// The most attributes of an identity.
pub const MAX_ATTRIBUTES: usize = 32;

/// The most bytes of an identity's attributes, names and values together.
pub const MAX_ATTRIBUTE_BYTES: usize = 2_048;

const INVALID: InvalidName = InvalidName {
    what: "attributes",
    rule: "at most 32 and 2048 bytes; names are 1 to 63 of a-z, 0-9, '_', '.' and '-'; values have no control characters",
};

/// Texts by name, within their bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(BTreeMap<String, String>);

impl Attributes {
    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What they take in an answer, without their framing.
    pub fn bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// As a map.
    pub fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}

impl TryFrom<BTreeMap<String, String>> for Attributes {
    type Error = InvalidName;

    fn try_from(map: BTreeMap<String, String>) -> Result<Self, InvalidName> {
        let attributes = Self(map);
        let fits = attributes.0.len() <= MAX_ATTRIBUTES && attributes.bytes() <= MAX_ATTRIBUTE_BYTES;
        let well_formed = |(name, value): (&str, &str)| is_name(name) && !value.chars().any(char::is_control);
        if fits && attributes.iter().all(well_formed) { Ok(attributes) } else { Err(INVALID) }
    }
}

fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Attributes, InvalidName> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>()
            .try_into()
    }

    #[test]
    fn attributes_are_few_short_and_printable() {
        assert!(of(&[("team", "Zoë's"), ("cost-centre.id", "")]).is_ok());
        for bad in [("", "x"), ("Team", "x"), ("a b", "x"), ("a", "\u{1b}[2J"), ("a", "line\nbreak")] {
            assert!(of(&[bad]).is_err(), "{bad:?}");
        }
        assert!(of(&[(&"a".repeat(64), "x")]).is_err());
    }

    #[test]
    fn attributes_are_bounded_in_number_and_bytes() {
        let many = |count: usize| (0..count).map(|n| (format!("a{n:02}"), "x".to_owned())).collect::<BTreeMap<_, _>>();
        assert!(Attributes::try_from(many(MAX_ATTRIBUTES)).is_ok());
        assert!(Attributes::try_from(many(MAX_ATTRIBUTES + 1)).is_err());
        let long = |bytes: usize| "x".repeat(bytes - 1);
        assert!(of(&[("a", &long(MAX_ATTRIBUTE_BYTES))]).is_ok());
        assert!(of(&[("a", &long(MAX_ATTRIBUTE_BYTES + 1))]).is_err());
    }
}

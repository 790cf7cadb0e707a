//! What a role allows: an action on the channels or methods that match a pattern.

use std::fmt;

use portcullis_types::InvalidName;

/// The most grants that one role has.
pub const MAX_GRANTS: usize = 256;

/// What a grant allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// To receive what is published.
    Subscribe,
    /// To publish.
    Publish,
    /// To see who is there.
    Presence,
    /// To read what was published.
    History,
    /// To call a method.
    Call,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 5] = [Self::Subscribe, Self::Publish, Self::Presence, Self::History, Self::Call];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Presence => "presence",
            Self::History => "history",
            Self::Call => "call",
        }
    }
}

impl TryFrom<&str> for Action {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        Self::ALL
            .into_iter()
            .find(|action| action.name() == text)
            .ok_or(InvalidName { what: "action", rule: "subscribe, publish, presence, history or call" })
    }
}

/// A channel or method name; a `*` at its end stands for any rest.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it matches everything that the other matches.
    pub fn covers(&self, other: &Self) -> bool {
        match self.0.strip_suffix('*') {
            Some(stem) => other.0.starts_with(stem),
            None => self == other,
        }
    }
}

impl TryFrom<&str> for Pattern {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        let stem = text.strip_suffix('*').unwrap_or(text);
        let visible = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if visible && !stem.contains('*') {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName { what: "pattern", rule: "1 to 255 visible ASCII characters, '*' only at the end" })
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An action on the channels or methods that match a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grant {
    /// What is allowed.
    pub action: Action,
    /// On what.
    pub pattern: Pattern,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_only_at_the_end() {
        for good in ["*", "room:*", "room:1"] {
            assert!(Pattern::try_from(good).is_ok(), "{good}");
        }
        for bad in ["", "*:room", "a**", "a b", "é"] {
            assert!(Pattern::try_from(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_action_has_one_name() {
        for action in Action::ALL {
            assert_eq!(Action::try_from(action.name()), Ok(action));
        }
    }
}

//! Where a credential may be presented, and what people call it: short texts, checked once.
//!
//! Refuses: anything longer than 255 bytes, and characters that could break a header or a screen.

use std::fmt;

use portcullis_types::InvalidName;

macro_rules! short_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidName;

            fn try_from(text: &str) -> Result<Self, InvalidName> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.into())) } else { Err(InvalidName { what: $what, rule: $rule }) }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

fn is_visible(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

short_text!(
    /// Who asks to be satisfied by a credential: the audience of a route.
    Audience, "audience", "1 to 255 visible ASCII characters", is_visible
);
short_text!(
    /// The `Origin` header of a handshake, compared byte for byte.
    Origin, "origin", "1 to 255 visible ASCII characters", is_visible
);
short_text!(
    /// What a person calls a device or a key; for display only.
    Label, "label", "1 to 128 bytes without control characters",
    |text| (1..=128).contains(&text.len()) && !text.chars().any(char::is_control)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_could_break_a_header_or_a_screen_are_refused() {
        for bad in ["", "a b", "a\r\nb", "é", &"a".repeat(256)] {
            assert!(Origin::try_from(bad).is_err(), "{bad:?}");
        }
        assert!(Label::try_from("Zoë's phone").is_ok());
        assert!(Label::try_from("a\u{1b}[2J").is_err());
        assert!(Label::try_from(&*"a".repeat(129)).is_err());
    }
}

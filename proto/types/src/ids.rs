//! Names, checked once and trusted afterwards.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::{Clock, Entropy};

/// Why a text is not a name of the wanted kind. It never repeats the text: what was typed there may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what}: {rule}")]
pub struct InvalidName {
    /// Which kind of name was wanted.
    pub what: &'static str,
    /// What such a name looks like.
    pub rule: &'static str,
}

/// Makes identifiers from a clock and an entropy source: UUID version 7 (RFC 9562), in order of time.
#[derive(Clone, Copy, Debug)]
pub struct UuidSource<'a> {
    clock: &'a dyn Clock,
    entropy: &'a dyn Entropy,
}

impl<'a> UuidSource<'a> {
    /// From these two.
    pub const fn new(clock: &'a dyn Clock, entropy: &'a dyn Entropy) -> Self {
        Self { clock, entropy }
    }

    fn next(self) -> Uuid {
        let millis = self.clock.now().as_micros().max(0).unsigned_abs() / 1_000;
        Builder::from_unix_timestamp_millis(millis, &self.entropy.array()).into_uuid()
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A new one.
            pub fn new(source: UuidSource<'_>) -> Self {
                Self(source.next())
            }

            /// From its 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Its 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidName;

            fn try_from(text: &str) -> Result<Self, InvalidName> {
                let invalid = InvalidName { what: $what, rule: "a UUID in lower case with hyphens" };
                let id = Uuid::try_parse(text).map_err(|_| invalid)?;
                let mut canonical = [0; 36];
                // One text for one id, so that two texts never name the same thing.
                if id.hyphenated().encode_lower(&mut canonical) == text { Ok(Self(id)) } else { Err(invalid) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::try_from(text.as_str()).map_err(serde::de::Error::custom)
            }
        }
    };
}

uuid_id!(
    /// An identity, for ever.
    IdentityId, "identity id"
);
uuid_id!(
    /// One login of an identity.
    SessionId, "session id"
);
uuid_id!(
    /// A credential; of an access token its `jti`.
    CredentialId, "credential id"
);
uuid_id!(
    /// A signing key; the `kid` of what it signs.
    SigningKeyId, "signing key id"
);
uuid_id!(
    /// A trusted external issuer.
    IssuerId, "issuer id"
);
uuid_id!(
    /// One start of a gateway process.
    BootId, "boot id"
);
uuid_id!(
    /// One handshake that redeems a ticket: the same id may ask again when the answer was lost.
    RedemptionId, "redemption id"
);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
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

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::try_from(text.as_str()).map_err(serde::de::Error::custom)
            }
        }
    };
}

fn is_label(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_visible(text: &str, most: usize) -> bool {
    !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_graphic())
}

text_id!(
    /// The customer whose world is apart from all others.
    TenantId, "tenant", "1 to 63 of a-z, 0-9 and '-', beginning with a letter", is_label
);
text_id!(
    /// A role in a tenant.
    RoleName, "role", "1 to 63 of a-z, 0-9 and '-', beginning with a letter", is_label
);
text_id!(
    /// What a tenant calls an external issuer.
    IssuerName, "issuer name", "1 to 63 of a-z, 0-9 and '-', beginning with a letter", is_label
);
text_id!(
    /// A gateway, stable over restarts.
    GatewayId, "gateway id", "1 to 63 of a-z, 0-9 and '-', beginning with a letter", is_label
);
text_id!(
    /// A client application.
    ClientId, "client id", "1 to 63 visible ASCII characters", |text| is_visible(text, 63)
);
text_id!(
    /// What an identity logs in with.
    IdentityName, "identity name", "1 to 128 visible ASCII characters", |text| is_visible(text, 128)
);
text_id!(
    /// A channel in a tenant.
    ChannelName, "channel", "1 to 255 visible ASCII characters", |text| is_visible(text, 255)
);

impl TenantId {
    /// The tenant of administrators and gateways, whose callers may act on other tenants.
    pub fn system() -> Self {
        Self("system".into())
    }

    /// Whether this is [`TenantId::system`].
    pub fn is_system(&self) -> bool {
        self.as_str() == "system"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ManualClock, SeededEntropy, Timestamp};

    #[test]
    fn a_uuid_has_exactly_one_text() {
        let text = "0192f0c1-2345-7abc-8def-0123456789ab";
        assert_eq!(SessionId::try_from(text).map(|id| id.to_string()).as_deref(), Ok(text));
        for other in ["0192F0C1-2345-7ABC-8DEF-0123456789AB", "0192f0c123457abc8def0123456789ab", "{}", "", "x"] {
            assert!(SessionId::try_from(other).is_err(), "{other}");
        }
    }

    #[test]
    fn new_ids_are_version_7_and_in_order_of_time() {
        let (clock, entropy) = (ManualClock::starting_at(Timestamp::from_unix_seconds(1)), SeededEntropy::new(1));
        let first = SessionId::new(UuidSource::new(&clock, &entropy));
        clock.advance(std::time::Duration::from_millis(1));
        let second = SessionId::new(UuidSource::new(&clock, &entropy));
        assert!(first < second);
        assert_eq!(first.to_string().as_bytes()[14], b'7');
    }

    #[test]
    fn names_refuse_what_could_be_mistaken_or_injected() {
        for bad in ["", "A", "1a", "-a", "a.b", "a b", "a\n", "ä", &"a".repeat(64)] {
            assert!(TenantId::try_from(bad).is_err(), "{bad:?}");
        }
        assert!(TenantId::try_from(&*"a".repeat(63)).is_ok());
        for bad in ["", "a b", "a\u{7f}", "é", &"c".repeat(256)] {
            assert!(ChannelName::try_from(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_what_was_typed() {
        let error = TenantId::try_from("Secret!").expect_err("capitals are refused");
        assert!(!error.to_string().contains("Secret"));
    }
}

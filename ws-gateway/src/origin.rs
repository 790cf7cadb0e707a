//! Which web origins may open sockets.
//!
//! Owns: the exact comparison of RFC 6454 origins. A browser sends its page's origin and cannot change it; anything
//! else may send what it likes, so an allowed origin proves nothing and a foreign one is always refused.

use serde::Deserialize;

/// One entry of the allow-list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// `*`: every page.
    Any,
    /// Exactly this: `scheme://host` or `scheme://host:port`.
    Exact(Box<str>),
}

impl AllowedOrigin {
    /// Whether a page of this origin may come in.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact.eq_ignore_ascii_case(origin),
        }
    }
}

/// Not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is \"*\" or scheme://host[:port], without a path")]
pub struct InvalidOrigin;

impl TryFrom<&str> for AllowedOrigin {
    type Error = InvalidOrigin;

    fn try_from(text: &str) -> Result<Self, InvalidOrigin> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (scheme, host) = text.split_once("://").ok_or(InvalidOrigin)?;
        let plain =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b'*');
        if plain(scheme) && plain(host) { Ok(Self::Exact(text.into())) } else { Err(InvalidOrigin) }
    }
}

impl<'de> Deserialize<'de> for AllowedOrigin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::try_from(text.as_str()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_origin_is_allowed() {
        let allowed = AllowedOrigin::try_from("https://app.example:8443").expect("an origin");
        assert!(allowed.allows("https://app.example:8443"));
        for other in
            ["https://app.example", "http://app.example:8443", "https://app.example:8443.evil.test", "null", ""]
        {
            assert!(!allowed.allows(other), "{other}");
        }
    }

    #[test]
    fn what_is_not_an_origin_cannot_be_listed() {
        for bad in ["", "app.example", "https://", "https://app.example/", "https://*.example", "null"] {
            assert_eq!(AllowedOrigin::try_from(bad), Err(InvalidOrigin), "{bad}");
        }
    }
}

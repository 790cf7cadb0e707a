//! Opaque credentials: `pk_`, `rt_`, `tk_`, `sc_`, `lc_`, `pr_` and `dv_` tokens.
//!
//! Owns their one text form, `<prefix>_<22 characters of id>_<43 of secret><6 of checksum>`, so that garbage is refused
//! by its form alone, without a look-up and without a round trip. The checksum guards against typing and truncation,
//! not against forgery.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::{CredentialId, Entropy, Secret};

/// What an opaque credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpaqueKind {
    /// An API key, `pk_`.
    ApiKey,
    /// A refresh token, `rt_`.
    RefreshToken,
    /// A one-time connection ticket, `tk_`.
    Ticket,
    /// The value of a session cookie, `sc_`.
    SessionCookie,
    /// What goes on with a login that was asked for more, `lc_`.
    LoginContinuation,
    /// A one-time token for a new password, `pr_`.
    PasswordReset,
    /// What a device is known by at the next login, `dv_`.
    Device,
}

impl OpaqueKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::ApiKey,
        Self::RefreshToken,
        Self::Ticket,
        Self::SessionCookie,
        Self::LoginContinuation,
        Self::PasswordReset,
        Self::Device,
    ];

    const fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "pk_",
            Self::RefreshToken => "rt_",
            Self::Ticket => "tk_",
            Self::SessionCookie => "sc_",
            Self::LoginContinuation => "lc_",
            Self::PasswordReset => "pr_",
            Self::Device => "dv_",
        }
    }

    /// The kind that a text claims to be by its prefix.
    pub fn claimed_by(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))
    }
}

/// Not an opaque credential by its form. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a credential by its form")]
pub struct InvalidOpaque;

const ID_CHARS: usize = 22;
const SECRET_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;

/// The length of every opaque credential, in bytes.
pub const OPAQUE_LEN: usize = 3 + ID_CHARS + 1 + SECRET_CHARS + CHECKSUM_CHARS;

/// An opaque credential in the clear.
#[derive(Clone, PartialEq, Eq)]
pub struct OpaqueToken {
    /// What it is for.
    pub kind: OpaqueKind,
    /// Its id, by which its row is found.
    pub id: CredentialId,
    secret: Secret,
}

impl OpaqueToken {
    /// A new one with 32 random bytes of secret.
    pub fn generate(kind: OpaqueKind, id: CredentialId, entropy: &dyn Entropy) -> Self {
        Self::from_secret(kind, id, entropy.array())
    }

    /// One with this secret: for tokens that are derived and not drawn.
    pub fn from_secret(kind: OpaqueKind, id: CredentialId, secret: [u8; 32]) -> Self {
        Self { kind, id, secret: Secret::new(secret) }
    }

    /// Reads the one text form.
    pub fn parse(text: &str) -> Result<Self, InvalidOpaque> {
        let kind = OpaqueKind::claimed_by(text).ok_or(InvalidOpaque)?;
        if text.len() != OPAQUE_LEN || !text.is_ascii() {
            return Err(InvalidOpaque);
        }
        let (body, checksum) = text.split_at(OPAQUE_LEN - CHECKSUM_CHARS);
        if checksum_of(body) != checksum {
            return Err(InvalidOpaque);
        }
        let (id, secret) = body[kind.prefix().len()..].split_at(ID_CHARS);
        let secret = secret.strip_prefix('_').ok_or(InvalidOpaque)?;
        let secret: [u8; 32] = decode(secret)?;
        Ok(Self { kind, id: CredentialId::from_bytes(decode(id)?), secret: Secret::new(secret) })
    }

    /// The text to hand out, once.
    pub fn reveal(&self) -> Secret {
        let secret = URL_SAFE_NO_PAD.encode(self.secret.expose_bytes());
        let body = format!("{}{}_{secret}", self.kind.prefix(), URL_SAFE_NO_PAD.encode(self.id.as_bytes()));
        let checksum = checksum_of(&body);
        Secret::from(format!("{body}{checksum}"))
    }

    /// What a store may see: SHA-256 over the kind, the id and the secret. The secret has 256 random bits, so a fast
    /// digest is enough.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.kind.prefix())
            .chain_update(self.id.as_bytes())
            .chain_update(self.secret.expose_bytes())
            .finalize()
            .into()
    }
}

impl fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpaqueToken").field("kind", &self.kind).field("id", &self.id).finish_non_exhaustive()
    }
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N], InvalidOpaque> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidOpaque)?.try_into().map_err(|_| InvalidOpaque)
}

fn checksum_of(body: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..4])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededEntropy;

    fn token(kind: OpaqueKind) -> OpaqueToken {
        OpaqueToken::generate(kind, CredentialId::from_bytes([7; 16]), &SeededEntropy::new(1))
    }

    #[test]
    fn every_kind_reads_back_what_it_reveals() {
        for kind in OpaqueKind::ALL {
            let token = token(kind);
            let text = token.reveal();
            let text = text.expose_str().expect("the form is ASCII");
            assert_eq!(text.len(), OPAQUE_LEN);
            assert_eq!(OpaqueToken::parse(text), Ok(token));
        }
    }

    #[test]
    fn any_change_of_one_character_is_refused_by_form() {
        let text = token(OpaqueKind::ApiKey).reveal();
        let text = text.expose_str().expect("the form is ASCII");
        for position in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("still ASCII");
            assert_eq!(OpaqueToken::parse(&changed), Err(InvalidOpaque), "at {position}");
        }
        assert_eq!(OpaqueToken::parse(&text[..text.len() - 1]), Err(InvalidOpaque));
        assert_eq!(OpaqueToken::parse(&"é".repeat(OPAQUE_LEN / 2)), Err(InvalidOpaque));
    }

    #[test]
    fn the_digest_separates_kinds() {
        assert_ne!(token(OpaqueKind::ApiKey).digest(), token(OpaqueKind::Ticket).digest());
    }

    #[test]
    fn debug_shows_the_id_and_not_the_secret() {
        let token = token(OpaqueKind::Ticket);
        let shown = format!("{token:?}");
        let text = token.reveal();
        let secret = &text.expose_str().expect("the form is ASCII")[26..];
        assert!(shown.contains(&token.id.to_string()) && !shown.contains(secret));
    }
}

//! Bring your own issuer: tokens that others sign, mapped to a tenant's identities and roles by rule.
//!
//! Owns whom a tenant trusts ([`Issuer`]), how a token of theirs is read (`token`), which of their keys are known
//! ([`KeyBook`]), and what becomes of a token that is seen for the first time (`arrival`).
//! Guarantees: an issuer's URL and audience together belong to one issuer of one tenant, and a key is looked for only
//! among those that this URL publishes; a token's subject is one identity for ever; what was seen has a row, and so is
//! judged, listed and revoked like anything that was issued here. An issuer that is no longer trusted keeps its row, so
//! that trusting it again does not bring back what died.
//! Refuses: symmetric algorithms, issuers for the tenant `system`, and identities that are services.

mod arrival;
mod key_book;
mod key_set;
mod mapping;
mod subjects;
mod token;
mod trust;

use std::fmt;

use portcullis_types::{InvalidName, IssuerId, IssuerName, TenantId, Timestamp};

pub use self::key_book::{IssuerKeys, IssuerSilent, KeyAnswer, KeyBook, KeyRules};
pub use self::key_set::{Discovery, InvalidDocument, IssuerKey, KeySet, MAX_DOCUMENT_BYTES};
pub use self::mapping::{ClaimName, MAX_RULES, Mapping, NameTemplate, RoleRule};
pub use self::subjects::{IssuerSubject, ListSubjectsError, UnlinkError, WhichSubjects};
pub(crate) use self::token::{ExternalToken, MAX_AGE, claims_another_issuer};
pub use self::trust::{ChangeIssuerError, MAX_ISSUERS, NewIssuer, PutIssuerError};

use crate::{Audience, Etag};

/// Where an issuer is, exactly as its tokens say it in `iss`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerUrl(Box<str>);

impl IssuerUrl {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is spoken to in the clear, which only an issuer on this machine may be.
    pub fn is_plaintext(&self) -> bool {
        self.0.starts_with("http://")
    }
}

impl TryFrom<&str> for IssuerUrl {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let plain = (1..=255).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !text.contains(['?', '#', '@', '\\', '"', '<', '>', '{', '}', '|', '^', '`']);
        if plain && !host.is_empty() {
            Ok(Self(text.into()))
        } else {
            let rule = "https://, a host and perhaps a path, at most 255 bytes, without query, fragment and user";
            Err(InvalidName { what: "issuer", rule })
        }
    }
}

impl fmt::Debug for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How an issuer may sign: asymmetric algorithms only, because whoever can check a symmetric signature can make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names of RFC 7518 and RFC 8037 say it")]
pub enum IssuerAlgorithm {
    Es256,
    Es384,
    EdDsa,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
}

impl IssuerAlgorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
    ];

    /// Its name in JOSE, and in rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
        }
    }

    pub(crate) const fn jose(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Rs384 => jsonwebtoken::Algorithm::RS384,
            Self::Rs512 => jsonwebtoken::Algorithm::RS512,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Ps384 => jsonwebtoken::Algorithm::PS384,
            Self::Ps512 => jsonwebtoken::Algorithm::PS512,
        }
    }
}

impl TryFrom<&str> for IssuerAlgorithm {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        let known = Self::ALL.into_iter().find(|algorithm| algorithm.name() == text);
        known.ok_or(InvalidName {
            what: "algorithm",
            rule: "ES256, ES384, EdDSA, RS256, RS384, RS512, PS256, PS384 or PS512",
        })
    }
}

/// Somebody whose tokens a tenant takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Its id, for ever.
    pub id: IssuerId,
    /// The tenant that trusts it.
    pub tenant: TenantId,
    /// What the tenant calls it.
    pub name: IssuerName,
    /// Its `iss`.
    pub url: IssuerUrl,
    /// What `aud` must name.
    pub audience: Audience,
    /// How its tokens may be signed.
    pub algorithms: Vec<IssuerAlgorithm>,
    /// Whose its tokens are, and which roles they bring.
    pub mapping: Mapping,
    /// When it was first trusted.
    pub created_at: Timestamp,
    /// When it ceased to be trusted; absent: it is.
    pub removed_at: Option<Timestamp>,
    /// The newest entry that killed what rests on it; kept for ever.
    pub revoked_seq: Option<u64>,
}

impl Issuer {
    /// What it is called and how it is mapped, in short.
    pub fn etag(&self) -> Etag {
        let Mapping { name, roles, create_identities, link_identities } = &self.mapping;
        let flags = [u8::from(*create_identities), u8::from(*link_identities)];
        let algorithms = self.algorithms.iter().map(|algorithm| algorithm.name());
        let rules = roles.iter().flat_map(|rule| [rule.claim.as_str(), &*rule.value, rule.role.as_str()]);
        // How many there are, so that an algorithm is never taken for a claim.
        let count = self.algorithms.len().to_be_bytes();
        let texts = [self.name.as_str(), name.as_str()].into_iter().chain(algorithms).chain(rules);
        Etag::of([&flags[..], &count[..]].into_iter().chain(texts.map(str::as_bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_a_plain_url() {
        for good in ["https://id.example", "https://id.example:8443/realms/a", "http://127.0.0.1:1", "https://[::1]/"] {
            assert!(IssuerUrl::try_from(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "id.example",
            "https://",
            "https:///path",
            "ftp://id.example",
            "https://a@id.example",
            "https://id.example?x=1",
            "https://id.example#x",
            "https://id.example/a b",
            "HTTPS://id.example",
        ] {
            assert!(IssuerUrl::try_from(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_symmetric_algorithm_and_no_missing_one_has_a_name() {
        for bad in ["none", "HS256", "HS384", "HS512", "es256", ""] {
            assert!(IssuerAlgorithm::try_from(bad).is_err(), "{bad}");
        }
        for algorithm in IssuerAlgorithm::ALL {
            assert_eq!(IssuerAlgorithm::try_from(algorithm.name()), Ok(algorithm));
        }
    }
}

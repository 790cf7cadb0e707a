//! Reading a token that an external issuer signed (RFC 7519, RFC 9068, OpenID Connect Core).
//!
//! Guarantees: what is read was signed by a key that the token's own issuer publishes, with an algorithm that the tenant
//! allows, for the tenant's audience; it has `exp`, `iat` and `sub` of their types; the issuer was chosen by `iss` and
//! `aud` together, which belong to one issuer of one tenant.
//! Refuses: every way in which a token could say how it is to be verified (`jku`, `jwk`, `x5u` are not looked at, `crit`
//! is refused), other types than access and ID tokens, and tokens that live longer than a day.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Validation;
use portcullis_types::{ClientId, CredentialId, IdentityName, RoleName, TenantId, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{Issuer, IssuerAlgorithm, IssuerKey, IssuerUrl};
use crate::access_token::looks_like_jwt;
use crate::standing::Denial;
use crate::verification::VerifyError;
use crate::{Authority, DenyReason};

/// How far the clock of an issuer may be ahead of ours.
pub(crate) const SKEW: Duration = Duration::from_secs(60);
/// The longest that a token may live, and the oldest that one may be: entries of the log are kept at least as long.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);

/// A token that is good in itself.
#[derive(Debug)]
pub(crate) struct ExternalToken {
    pub(crate) issuer: Issuer,
    /// SHA-256 over what was signed. Not over the signature: of some algorithms it can be written in two ways.
    pub(crate) digest: [u8; 32],
    /// SHA-256 over `sub`.
    pub(crate) subject: [u8; 32],
    /// SHA-256 over `sid`, or over the token where it has none: then each token is a session of its own.
    pub(crate) sid: [u8; 32],
    /// What the mapping calls the subject, if its claims suffice.
    pub(crate) name: Option<IdentityName>,
    pub(crate) roles: Vec<RoleName>,
    pub(crate) client: Option<ClientId>,
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    typ: Option<String>,
    crit: Option<Value>,
}

/// Whether a text has the form of a JWT of another issuer than this one. What it says is not believed yet.
pub(crate) fn claims_another_issuer(text: &str, ours: &str) -> bool {
    #[derive(Deserialize)]
    struct Peek {
        iss: String,
    }
    let claims = looks_like_jwt(text).then(|| part::<Peek>(text, 1)).flatten();
    claims.is_some_and(|claims| claims.iss != ours)
}

impl Authority {
    /// Reads a token and checks everything that needs no row of its own. Within a tenant, of other tenants' issuers
    /// nothing is known.
    pub(crate) async fn read_external(
        &self,
        text: &str,
        within: Option<&TenantId>,
    ) -> Result<Result<ExternalToken, Denial>, VerifyError> {
        let invalid = Ok(Err(Denial::permanent(DenyReason::Invalid)));
        let Some((header, unverified)) = part::<Header>(text, 0).zip(part::<Map<String, Value>>(text, 1)) else {
            return invalid;
        };
        if header.crit.is_some() || !is_token_type(header.typ.as_deref()) {
            return invalid;
        }
        let issuer = match self.trusted(&unverified, within).await? {
            Ok(issuer) => issuer,
            Err(denial) => return Ok(Err(denial)),
        };
        let algorithm = IssuerAlgorithm::try_from(&*header.alg).ok();
        let Some(algorithm) = algorithm.filter(|algorithm| issuer.algorithms.contains(algorithm)) else {
            return invalid;
        };
        // Only now: a token that nobody here could take costs its issuer no question.
        let Some(key) = self.issuer_keys().key(&issuer.url, &header.kid).await? else {
            return Ok(Err(Denial::transient(DenyReason::Unknown)));
        };
        match signed_claims(text, &key, algorithm) {
            Some(claims) => Ok(read_claims(text, issuer, &claims, self.now())),
            None => invalid,
        }
    }

    /// The row of a token that was seen, by what was signed, byte for byte.
    pub(crate) async fn seen_external(
        &self,
        text: &str,
        within: &TenantId,
    ) -> Result<Option<CredentialId>, VerifyError> {
        let Some(unverified) = part::<Map<String, Value>>(text, 1) else { return Ok(None) };
        let Ok(issuer) = self.trusted(&unverified, Some(within)).await? else { return Ok(None) };
        Ok(self.store().read().await?.external_token_by(issuer.id, &digest_of(text)).await?)
    }

    /// The one issuer that these claims name, by `iss` and `aud`.
    async fn trusted(
        &self,
        claims: &Map<String, Value>,
        within: Option<&TenantId>,
    ) -> Result<Result<Issuer, Denial>, VerifyError> {
        let Some(url) = claims.get("iss").and_then(Value::as_str).and_then(|iss| IssuerUrl::try_from(iss).ok()) else {
            return Ok(Err(Denial::permanent(DenyReason::Invalid)));
        };
        let known = self.store().read().await?.issuers_at(&url).await?;
        let is_known = |issuer: &Issuer| within.is_none_or(|tenant| issuer.tenant == *tenant);
        if !known.iter().any(is_known) {
            return Ok(Err(Denial::transient(DenyReason::Unknown)));
        }
        let mut meant = known.into_iter().filter(|issuer| is_for(claims, issuer));
        Ok(match (meant.next(), meant.next()) {
            (Some(issuer), None) if is_known(&issuer) => Ok(issuer),
            (Some(_) | None, None) | (None, Some(_)) => Err(Denial::transient(DenyReason::WrongAudience)),
            // It would be good for two tenants: neither can know whose it is.
            (Some(_), Some(_)) => Err(Denial::permanent(DenyReason::Invalid)),
        })
    }
}

fn is_for(claims: &Map<String, Value>, issuer: &Issuer) -> bool {
    match claims.get("aud") {
        Some(Value::String(audience)) => audience == issuer.audience.as_str(),
        Some(Value::Array(audiences)) => audiences.iter().any(|one| one.as_str() == Some(issuer.audience.as_str())),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
    }
}

/// Access tokens and ID tokens. What has another type of its own, such as a logout token, is not for logging in.
fn is_token_type(typ: Option<&str>) -> bool {
    typ.is_none_or(|typ| {
        let typ = typ.to_ascii_lowercase();
        matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
    })
}

fn signed_claims(text: &str, key: &Arc<IssuerKey>, algorithm: IssuerAlgorithm) -> Option<Map<String, Value>> {
    let mut validation = Validation::new(algorithm.jose());
    // Times and names are checked here, with our clock and our rows.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = key.for_algorithm(algorithm)?;
    Some(jsonwebtoken::decode::<Map<String, Value>>(text, key, &validation).ok()?.claims)
}

fn read_claims(
    text: &str,
    issuer: Issuer,
    claims: &Map<String, Value>,
    now: Timestamp,
) -> Result<ExternalToken, Denial> {
    let invalid = Denial::permanent(DenyReason::Invalid);
    let time = |name: &str| claims.get(name).map(|value| value.as_i64().filter(|seconds| *seconds >= 0));
    let required = |name| time(name).flatten().map(Timestamp::from_unix_seconds).ok_or(invalid);
    // The claims that chose the issuer were the signed ones.
    if claims.get("iss").and_then(Value::as_str) != Some(issuer.url.as_str()) || !is_for(claims, &issuer) {
        return Err(invalid);
    }
    let (expires_at, issued_at) = (required("exp")?, required("iat")?);
    let not_before = match time("nbf") {
        Some(seconds) => Timestamp::from_unix_seconds(seconds.ok_or(invalid)?),
        None => issued_at,
    };
    if expires_at <= issued_at || expires_at > issued_at + MAX_AGE {
        return Err(invalid);
    }
    if now >= expires_at {
        return Err(Denial::permanent(DenyReason::Expired));
    }
    if issued_at > now + SKEW || not_before > now + SKEW {
        return Err(Denial::transient(DenyReason::Invalid));
    }
    let text_of = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let subject = text_of("sub").filter(|subject| subject.len() <= 255).ok_or(invalid)?;
    let digest = digest_of(text);
    let client = text_of("client_id").or_else(|| text_of("azp"));
    Ok(ExternalToken {
        digest,
        subject: Sha256::digest(subject).into(),
        sid: text_of("sid").map_or(digest, |sid| Sha256::digest(sid).into()),
        name: issuer.mapping.name.name(claims),
        roles: issuer.mapping.roles(claims),
        client: client.and_then(|client| ClientId::try_from(client).ok()),
        issued_at,
        expires_at,
        issuer,
    })
}

/// SHA-256 over what was signed.
fn digest_of(text: &str) -> [u8; 32] {
    Sha256::digest(text.rsplit_once('.').map_or(text, |(signed, _)| signed)).into()
}

/// A part of a JWT that is JSON.
fn part<T: serde::de::DeserializeOwned>(text: &str, index: usize) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text.split('.').nth(index)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_access_and_id_tokens_are_for_logging_in() {
        for good in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/at+jwt")] {
            assert!(is_token_type(good), "{good:?}");
        }
        for bad in ["", "logout+jwt", "dpop+jwt", "secevent+jwt", "application/", "application/application/jwt"] {
            assert!(!is_token_type(Some(bad)), "{bad}");
        }
    }

    #[test]
    fn only_a_jwt_that_names_somebody_else_is_another_issuers() {
        let jwt = |claims: &str| format!("eyJhbGciOiJFUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        assert!(claims_another_issuer(&jwt(r#"{"iss":"https://id.example"}"#), "https://ours.example"));
        for ours in [r#"{"iss":"https://ours.example"}"#, "{}", r#"{"iss":7}"#, "[]"] {
            assert!(!claims_another_issuer(&jwt(ours), "https://ours.example"), "{ours}");
        }
    }
}

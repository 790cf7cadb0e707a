//! Access tokens: JWT (RFC 7519) in the profile of RFC 9068, signed with ES256 or EdDSA.
//!
//! Guarantees: what is read was signed by a key that has a row, with that key's algorithm, as an access token, for this
//! issuer. It says nothing about whether the token is still good: its row decides.
//! Refuses: every header parameter that would let the token say how it is to be verified (`jku`, `jwk`, `x5u`, `x5c`,
//! `crit`, and any that is not known), and everything longer than 4 KiB.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Header, Validation};
use portcullis_types::{CredentialId, IdentityId, Revision, Secret, SessionId, SigningKeyId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::keyring::{Algorithm, Signer};
use crate::{Authority, Credential, DenyReason, Session, StoreError};

/// The longest token that is looked at.
const MAX_LEN: usize = 4_096;
const TYP: &str = "at+jwt";

/// What a token says. Unknown claims are ignored, known ones have exactly their type.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: IdentityId,
    pub(crate) aud: String,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) jti: CredentialId,
    /// Always said (RFC 9068, 2.2), and said to others: nothing here rests on it. Tokens of the releases before have none
    /// where no client application was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    pub(crate) tenant: TenantId,
    /// Absent from a service token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<SessionId>,
    /// What a service token may do (RFC 9068, 2.2.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    pub(crate) rev: Revision,
    /// When somebody proved who they are (RFC 9068, 2.2.1); absent where nobody did here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_time: Option<i64>,
    /// How. Said to others: nothing here rests on it.
    #[serde(skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    pub(crate) amr: Vec<&'static str>,
}

/// Exactly what our tokens have: a parameter more and it is not ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    typ: String,
    alg: String,
    kid: SigningKeyId,
}

/// A token that was signed by one of our keys.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) claims: Claims,
    pub(crate) key: SigningKeyId,
}

impl Signed {
    /// Whether it says what its row says.
    pub(crate) fn agrees_with(&self, row: &Credential) -> bool {
        let claims = &self.claims;
        row.tenant == claims.tenant
            && row.identity == claims.sub
            && row.session == claims.sid
            && scope_of(row) == claims.scope
            && row.signing_key == Some(self.key)
            && row.issued == claims.rev
            && row.audiences.iter().any(|audience| audience.as_str() == claims.aud)
            && row.expires_at.is_some_and(|end| end == Timestamp::from_unix_seconds(claims.exp))
    }
}

/// Whether a text has the outer form of a JWT.
pub(crate) fn looks_like_jwt(text: &str) -> bool {
    text.len() <= MAX_LEN && text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl Authority {
    /// Signs a token for a credential, under a session unless it is a service token.
    pub(crate) fn sign_access_token(&self, signer: &Signer, row: &Credential, session: Option<&Session>) -> Secret {
        let mut header = Header::new(signer.algorithm.jose());
        header.typ = Some(TYP.to_owned());
        header.kid = Some(signer.id.to_string());
        let authentication = session.and_then(|session| session.authentication);
        let claims = Claims {
            iss: self.settings().issuer.clone(),
            sub: row.identity,
            aud: row.audiences.first().unwrap_or(&self.settings().audience).as_str().to_owned(),
            exp: row.expires_at.unwrap_or_default().as_unix_seconds(),
            iat: row.created_at.as_unix_seconds(),
            jti: row.id,
            client_id: Some(self.client_of(row, session)),
            tenant: row.tenant.clone(),
            sid: session.map(|session| session.id),
            scope: scope_of(row),
            rev: row.issued,
            auth_time: authentication.map(|how| how.at.as_unix_seconds()),
            amr: authentication.map(|how| how.methods.amr()).unwrap_or_default(),
        };
        let token = jsonwebtoken::encode(&header, &claims, &signer.key)
            .expect("a key that was made or decrypted here signs by its own algorithm; the claims are plain JSON");
        Secret::from(token)
    }

    /// Which client a token was issued to: of a session its client application, or the default audience where none was named
    /// at login, because then it is the resource's own pages that ask; of a service the id of the key or the certificate that
    /// it showed, which is its client id at the token endpoint too.
    fn client_of(&self, row: &Credential, session: Option<&Session>) -> String {
        let client = session.and_then(|session| session.client.as_ref()).map(ToString::to_string);
        let key = || row.parent.filter(|_| session.is_none()).map(|key| key.to_string());
        client.or_else(key).unwrap_or_else(|| self.settings().audience.as_str().to_owned())
    }

    /// Reads a token and checks everything that needs no row; the outer result is the store's.
    pub(crate) async fn read_access_token(&self, text: &str) -> Result<Result<Signed, DenyReason>, StoreError> {
        let Some((kid, algorithm)) = strict_header(text) else { return Ok(Err(DenyReason::Invalid)) };
        let Some(known) = self.keyring().public(&**self.store(), kid).await? else {
            return Ok(Err(DenyReason::Invalid));
        };
        if known.algorithm != algorithm {
            return Ok(Err(DenyReason::Invalid));
        }
        let Ok(token) = jsonwebtoken::decode::<Claims>(text, &known.key, &signature_only(algorithm)) else {
            return Ok(Err(DenyReason::Invalid));
        };
        let signed = Signed { claims: token.claims, key: kid };
        Ok(if signed.claims.iss == self.settings().issuer { Ok(signed) } else { Err(DenyReason::Invalid) })
    }
}

/// Of a service token, what it may do, separated by spaces.
fn scope_of(row: &Credential) -> Option<String> {
    row.is_service_token().then(|| row.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" "))
}

/// Times and names are checked here with our clock and our settings, so the library checks the signature alone.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm.jose());
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}

/// The `kid` and `alg` of a header that says exactly what ours say.
fn strict_header(text: &str) -> Option<(SigningKeyId, Algorithm)> {
    if !looks_like_jwt(text) {
        return None;
    }
    let header = URL_SAFE_NO_PAD.decode(text.split('.').next()?).ok()?;
    let header: StrictHeader = serde_json::from_slice(&header).ok()?;
    let algorithm = Algorithm::try_from(header.alg.as_str()).ok()?;
    (header.typ == TYP).then_some((header.kid, algorithm))
}

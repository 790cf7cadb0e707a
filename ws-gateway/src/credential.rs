//! Credentials as they are presented.
//!
//! A raw credential exists here and in the verifier, nowhere else; it is zeroed when it is dropped and cannot be printed.
//! Guarantees that what leaves this module as [`Presented`] has the form of a credential that this carrier may carry:
//! garbage is refused without a question to the authority (PROTOCOL 0.1.18).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_core::{CredentialForm, Denial, Refusal};
use portcullis_types::{OpaqueKind, OpaqueToken, Secret};

/// How a credential came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// `Authorization: Bearer`.
    Header,
    /// `?ticket=`.
    Query,
    /// The token of `connect` or `refresh`.
    Command,
}

/// What kind of credential it is, by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresentedKind {
    /// A signed token.
    AccessToken,
    /// An API key.
    ApiKey,
    /// A one-time ticket.
    Ticket,
}

impl PresentedKind {
    /// As far as it changes the advice to a refused client.
    pub const fn form(self) -> CredentialForm {
        match self {
            Self::Ticket => CredentialForm::Ticket,
            Self::AccessToken | Self::ApiKey => CredentialForm::Other,
        }
    }
}

/// A credential of the right form.
#[derive(Debug)]
pub struct Presented {
    /// What it is.
    pub kind: PresentedKind,
    /// How it came.
    pub carrier: Carrier,
    secret: Secret,
}

/// What a route takes.
#[derive(Clone, Copy, Debug)]
pub struct CredentialRules {
    /// The longest credential, in bytes.
    pub most_bytes: usize,
    /// Whether API keys may open sockets.
    pub allow_api_keys: bool,
}

impl Presented {
    /// Checks the form of what a carrier brought.
    pub fn read(text: &str, carrier: Carrier, rules: CredentialRules) -> Result<Self, Refusal> {
        let refuse = |denial| Refusal::new(denial, CredentialForm::of(text));
        let kind = Self::kind_of(text, rules.most_bytes).map_err(refuse)?;
        let carried = match (carrier, kind) {
            (Carrier::Query, PresentedKind::Ticket) | (Carrier::Command, PresentedKind::Ticket) => true,
            (Carrier::Header | Carrier::Command, PresentedKind::AccessToken) => true,
            (Carrier::Header | Carrier::Command, PresentedKind::ApiKey) => rules.allow_api_keys,
            (Carrier::Header, PresentedKind::Ticket) => false,
            (Carrier::Query, PresentedKind::AccessToken | PresentedKind::ApiKey) => {
                return Err(refuse(Denial::CredentialInUrl));
            }
        };
        if carried { Ok(Self { kind, carrier, secret: Secret::from(text) }) } else { Err(refuse(Denial::WrongKind)) }
    }

    fn kind_of(text: &str, most_bytes: usize) -> Result<PresentedKind, Denial> {
        if text.is_empty() || text.len() > most_bytes {
            return Err(Denial::Malformed);
        }
        if OpaqueKind::claimed_by(text).is_none() {
            return if is_jwt(text) { Ok(PresentedKind::AccessToken) } else { Err(Denial::Malformed) };
        }
        match OpaqueToken::parse(text).map_err(|_| Denial::Malformed)?.kind {
            OpaqueKind::ApiKey => Ok(PresentedKind::ApiKey),
            OpaqueKind::Ticket => Ok(PresentedKind::Ticket),
            OpaqueKind::RefreshToken
            | OpaqueKind::SessionCookie
            | OpaqueKind::LoginContinuation
            | OpaqueKind::PasswordReset
            | OpaqueKind::Device => Err(Denial::WrongKind),
        }
    }

    /// The credential itself, for digesting and for the question to the authority.
    pub(crate) const fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// Whether a text that stands where no credential may stand holds one, alone or after something else.
pub fn looks_like_a_credential(text: &str) -> bool {
    let within = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.split(|c| !within(c))
        .any(|part| OpaqueKind::claimed_by(part).is_some() || (is_object(part) && part.matches('.').count() >= 2))
}

/// The first byte of what base64url stands for, and no more: issuers write JSON each in its own way.
fn is_object(part: &str) -> bool {
    let head = part.get(..4).and_then(|head| URL_SAFE_NO_PAD.decode(head).ok());
    head.is_some_and(|head| head.first() == Some(&b'{'))
}

/// Three parts of base64url, the first two of them JSON objects by their first byte (RFC 7519). Nothing more: what it
/// says is for the authority to judge.
fn is_jwt(text: &str) -> bool {
    let mut parts = text.split('.');
    let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let base64url = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let object = |part: &str| base64url(part) && is_object(part);
    object(header) && object(claims) && base64url(signature)
}

#[cfg(test)]
mod tests {
    use portcullis_types::{CredentialId, SeededEntropy};

    use super::*;

    const RULES: CredentialRules = CredentialRules { most_bytes: 200, allow_api_keys: true };

    fn opaque(kind: OpaqueKind) -> String {
        let token = OpaqueToken::generate(kind, CredentialId::from_bytes([7; 16]), &SeededEntropy::new(1));
        token.reveal().expose_str().expect("ASCII").to_owned()
    }

    fn jwt() -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#), URL_SAFE_NO_PAD.encode(r#"{"sub":"x"}"#))
    }

    fn outcome(text: &str, carrier: Carrier, rules: CredentialRules) -> Result<PresentedKind, Denial> {
        Presented::read(text, carrier, rules).map(|presented| presented.kind).map_err(|refusal| refusal.denial())
    }

    #[test]
    fn every_carrier_takes_its_kinds_and_no_other() {
        use Carrier::{Command, Header, Query};
        let (key, ticket) = (opaque(OpaqueKind::ApiKey), opaque(OpaqueKind::Ticket));
        for (carrier, text, expected) in [
            (Header, jwt(), Ok(PresentedKind::AccessToken)),
            (Header, key.clone(), Ok(PresentedKind::ApiKey)),
            (Header, ticket.clone(), Err(Denial::WrongKind)),
            (Query, jwt(), Err(Denial::CredentialInUrl)),
            (Query, key.clone(), Err(Denial::CredentialInUrl)),
            (Query, ticket.clone(), Ok(PresentedKind::Ticket)),
            (Command, jwt(), Ok(PresentedKind::AccessToken)),
            (Command, key, Ok(PresentedKind::ApiKey)),
            (Command, ticket, Ok(PresentedKind::Ticket)),
        ] {
            assert_eq!(outcome(&text, carrier, RULES), expected, "{carrier:?}");
        }
        for carrier in [Header, Query, Command] {
            for kind in [OpaqueKind::RefreshToken, OpaqueKind::SessionCookie] {
                assert_eq!(outcome(&opaque(kind), carrier, RULES), Err(Denial::WrongKind), "{carrier:?} {kind:?}");
            }
        }
    }

    #[test]
    fn a_credential_is_found_wherever_it_stands_in_a_text() {
        for (before, after) in [("", ""), ("Bearer ", ""), (" ", ""), ("a=1;token=", ";b"), ("[\"", "\"]")] {
            let pretty = jwt().replacen("eyJ", "ewogICJ", 1);
            for credential in [jwt(), pretty, opaque(OpaqueKind::ApiKey), opaque(OpaqueKind::Ticket)] {
                assert!(looks_like_a_credential(&format!("{before}{credential}{after}")), "{before:?}");
            }
        }
        for harmless in ["", "room:lobby", "eyJ", "a.b.c", "sdk-5.8.0", "pk"] {
            assert!(!looks_like_a_credential(harmless), "{harmless}");
        }
    }

    #[test]
    fn a_route_may_refuse_api_keys() {
        let rules = CredentialRules { allow_api_keys: false, ..RULES };
        assert_eq!(outcome(&opaque(OpaqueKind::ApiKey), Carrier::Header, rules), Err(Denial::WrongKind));
    }

    #[test]
    fn garbage_is_malformed_without_a_question() {
        let mut mistyped = opaque(OpaqueKind::Ticket);
        mistyped.pop();
        let long = jwt() + &"a".repeat(RULES.most_bytes);
        for text in ["", "a", "a.b.c", "e30.e30", "..", "eyJ.eyJ.", "é", &mistyped, &long] {
            assert_eq!(outcome(text, Carrier::Command, RULES), Err(Denial::Malformed), "{text:?}");
        }
    }

    #[test]
    fn a_flawed_ticket_is_refused_as_a_ticket() {
        let refusal = Presented::read("tk_x", Carrier::Query, RULES).expect_err("no ticket");
        assert_eq!(refusal, Refusal::new(Denial::Malformed, CredentialForm::Ticket));
    }

    #[test]
    fn debug_shows_no_credential() {
        let presented = Presented::read(&jwt(), Carrier::Header, RULES).expect("a token");
        assert!(!format!("{presented:?}").contains("eyJ"));
    }
}

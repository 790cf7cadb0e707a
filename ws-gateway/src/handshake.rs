//! The opening handshake: RFC 6455, the origin, and at most one credential.
//!
//! Guarantees (PROTOCOL 0.1.9): a credential comes by `Authorization: Bearer`, by `?ticket=` or later by `connect`; two
//! are refused, one that is bad is never replaced by another carrier, and one in any other query parameter is refused
//! whatever it is worth. The query string is read here and goes nowhere else, least of all to a log. Whatever else a
//! client says about who it is, is not looked at.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_core::{CredentialForm, Denial, Refusal};
use http::header::{
    AUTHORIZATION, CONNECTION, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, Method, StatusCode, Version, request};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::credential::{Carrier, CredentialRules, Presented, looks_like_a_credential};
use crate::origin::AllowedOrigin;

/// The only subprotocol there is; clients that offer none speak it too.
const SUBPROTOCOL: &str = "centrifuge-json";

/// A carrier that is reserved and not taken yet: a token among the subprotocols.
const BEARER_SUBPROTOCOL: &str = "base64url.bearer.";

/// Query parameters that suggest a credential, in lower case and without `-` and `_`. `cf_connect` holds a whole
/// `connect` command.
const SUSPECT_NAMES: [&str; 27] = [
    "token",
    "accesstoken",
    "idtoken",
    "refreshtoken",
    "authtoken",
    "sessiontoken",
    "connectiontoken",
    "jwt",
    "auth",
    "authorization",
    "authentication",
    "apikey",
    "key",
    "bearer",
    "password",
    "passwd",
    "pwd",
    "secret",
    "clientsecret",
    "credential",
    "credentials",
    "session",
    "sessionid",
    "sid",
    "apitoken",
    "cfconnect",
    "code",
];

/// What a handshake asks for.
#[derive(Debug)]
pub struct Handshake {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: String,
    /// The subprotocol to echo, if it was offered.
    pub protocol: Option<&'static str>,
    /// The page's origin; absent when it is no browser.
    pub origin: Option<Box<str>>,
    /// Where it comes from.
    pub remote: IpAddr,
    /// The credential it brought, none, or why it is refused.
    pub credential: Result<Option<Presented>, Refusal>,
}

/// Not a WebSocket handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWebSocket {
    /// Not a GET.
    Method,
    /// Not an upgrade to WebSocket over HTTP/1.1.
    NoUpgrade,
    /// Another version than 13.
    Version,
    /// No key of 16 bytes.
    Key,
}

impl NotWebSocket {
    /// The HTTP status that says so.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key => StatusCode::BAD_REQUEST,
        }
    }

    /// One word for the problem document.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Method => "method_not_allowed",
            Self::NoUpgrade => "upgrade_required",
            Self::Version => "websocket_version",
            Self::Key => "websocket_key",
        }
    }
}

/// Reads a request for the hub's path.
pub fn read(
    request: &request::Parts,
    remote: IpAddr,
    origins: &[AllowedOrigin],
    rules: CredentialRules,
) -> Result<Handshake, NotWebSocket> {
    let accept = upgrade_key(request)?;
    let (origin, allowed) = origin(&request.headers, origins);
    let credential = match allowed {
        Ok(()) => credential(request, rules),
        Err(denial) => Err(denial.into()),
    };
    Ok(Handshake { accept, protocol: subprotocol(&request.headers), origin, remote, credential })
}

fn upgrade_key(request: &request::Parts) -> Result<String, NotWebSocket> {
    if request.method != Method::GET {
        return Err(NotWebSocket::Method);
    }
    let headers = &request.headers;
    if request.version != Version::HTTP_11
        || !lists(headers, &CONNECTION, "upgrade")
        || !lists(headers, &UPGRADE, "websocket")
    {
        return Err(NotWebSocket::NoUpgrade);
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(NotWebSocket::Version);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or(NotWebSocket::Key)?;
    let is_key = STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    if is_key { Ok(derive_accept_key(key.as_bytes())) } else { Err(NotWebSocket::Key) }
}

fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    words(headers, name).any(|word| word.eq_ignore_ascii_case(wanted))
}

fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn origin(headers: &HeaderMap, allowed: &[AllowedOrigin]) -> (Option<Box<str>>, Result<(), Denial>) {
    let mut values = headers.get_all(ORIGIN).iter();
    let (Some(value), second) = (values.next(), values.next()) else { return (None, Ok(())) };
    let Ok(origin) = value.to_str() else { return (None, Err(Denial::OriginNotAllowed)) };
    let may_come = second.is_none() && allowed.iter().any(|allowed| allowed.allows(origin));
    (Some(origin.into()), if may_come { Ok(()) } else { Err(Denial::OriginNotAllowed) })
}

fn subprotocol(headers: &HeaderMap) -> Option<&'static str> {
    lists(headers, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL).then_some(SUBPROTOCOL)
}

fn credential(request: &request::Parts, rules: CredentialRules) -> Result<Option<Presented>, Refusal> {
    let tickets = tickets(request.uri.query().unwrap_or_default())?;
    let headers: Vec<_> = request.headers.get_all(AUTHORIZATION).iter().collect();
    if tickets.len() + headers.len() > 1 {
        return Err(Denial::TwoCredentials.into());
    }
    if words(&request.headers, &SEC_WEBSOCKET_PROTOCOL).any(|word| word.starts_with(BEARER_SUBPROTOCOL)) {
        return Err(Denial::WrongKind.into());
    }
    if let Some(ticket) = tickets.first() {
        return Presented::read(ticket, Carrier::Query, rules).map(Some);
    }
    let Some(header) = headers.first() else { return Ok(None) };
    let text = header.to_str().map_err(|_| Denial::Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(Denial::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Denial::WrongKind.into());
    }
    Presented::read(token.trim(), Carrier::Header, rules).map(Some)
}

/// The values of `ticket`; any other parameter that could hold a credential is an error.
fn tickets(query: &str) -> Result<Vec<Cow<'_, str>>, Refusal> {
    let mut tickets = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name == "ticket" {
            tickets.push(value);
        } else if is_suspect(&name) || looks_like_a_credential(&value) || looks_like_a_credential(&name) {
            return Err(Refusal::new(Denial::CredentialInUrl, CredentialForm::Other));
        }
    }
    Ok(tickets)
}

fn is_suspect(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| !matches!(c, '-' | '_')).collect::<String>().to_ascii_lowercase();
    plain == "ticket" || SUSPECT_NAMES.contains(&plain.as_str())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use http::Request;
    use portcullis_types::{CredentialId, OpaqueKind, OpaqueToken, SeededEntropy};

    use super::*;
    use crate::credential::PresentedKind;

    const RULES: CredentialRules = CredentialRules { most_bytes: 1_000, allow_api_keys: true };

    fn request(query: &str, headers: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::get(format!("/connection/websocket{query}"))
            .header("host", "gateway.test")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a valid request").into_parts().0
    }

    fn handshake(query: &str, headers: &[(&str, &str)]) -> Handshake {
        let origins = [AllowedOrigin::try_from("https://app.test").expect("an origin")];
        read(&request(query, headers), IpAddr::V4(Ipv4Addr::LOCALHOST), &origins, RULES).expect("a handshake")
    }

    fn outcome(query: &str, headers: &[(&str, &str)]) -> Result<Option<PresentedKind>, Denial> {
        let credential = handshake(query, headers).credential;
        credential.map(|presented| presented.map(|p| p.kind)).map_err(|refusal| refusal.denial())
    }

    fn opaque(kind: OpaqueKind) -> String {
        let token = OpaqueToken::generate(kind, CredentialId::from_bytes([7; 16]), &SeededEntropy::new(1));
        token.reveal().expose_str().expect("ASCII").to_owned()
    }

    fn jwt() -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#), URL_SAFE_NO_PAD.encode(r#"{"sub":"x"}"#))
    }

    #[test]
    fn the_accept_key_is_that_of_the_standard() {
        assert_eq!(handshake("", &[]).accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_not_a_websocket_handshake_is_told_how() {
        let read = |parts: &request::Parts| {
            read(parts, IpAddr::V4(Ipv4Addr::LOCALHOST), &[], RULES).map(|_| ()).expect_err("refused")
        };
        let mut parts = request("", &[]);
        parts.method = Method::POST;
        assert_eq!(read(&parts), NotWebSocket::Method);
        for (name, wrong, expected) in [
            ("upgrade", "h2c", NotWebSocket::NoUpgrade),
            ("connection", "close", NotWebSocket::NoUpgrade),
            ("sec-websocket-version", "8", NotWebSocket::Version),
            ("sec-websocket-key", "c2hvcnQ=", NotWebSocket::Key),
        ] {
            let mut parts = request("", &[]);
            parts.headers.insert(name, wrong.parse().expect("a value"));
            assert_eq!(read(&parts), expected, "{name}");
            parts.headers.remove(name);
            assert!(read(&parts) == expected, "{name} absent");
        }
    }

    #[test]
    fn each_carrier_is_read() {
        let (jwt, ticket) = (jwt(), opaque(OpaqueKind::Ticket));
        assert_eq!(outcome("", &[]), Ok(None));
        assert_eq!(outcome("", &[("authorization", &format!("Bearer {jwt}"))]), Ok(Some(PresentedKind::AccessToken)));
        assert_eq!(outcome("", &[("authorization", &format!("bearer {jwt}"))]), Ok(Some(PresentedKind::AccessToken)));
        let key = opaque(OpaqueKind::ApiKey);
        assert_eq!(outcome("", &[("authorization", &format!("Bearer {key}"))]), Ok(Some(PresentedKind::ApiKey)));
        assert_eq!(outcome(&format!("?ticket={ticket}"), &[]), Ok(Some(PresentedKind::Ticket)));
        assert_eq!(outcome(&format!("?v=2&ticket={ticket}&lang=de"), &[]), Ok(Some(PresentedKind::Ticket)));
    }

    #[test]
    fn two_credentials_are_refused_even_when_they_agree() {
        let (jwt, ticket) = (format!("Bearer {}", jwt()), opaque(OpaqueKind::Ticket));
        for (query, headers) in [
            (format!("?ticket={ticket}"), vec![("authorization", jwt.as_str())]),
            (format!("?ticket={ticket}&ticket={ticket}"), vec![]),
            (String::new(), vec![("authorization", jwt.as_str()), ("authorization", jwt.as_str())]),
        ] {
            assert_eq!(outcome(&query, &headers), Err(Denial::TwoCredentials), "{headers:?}");
        }
    }

    #[test]
    fn a_credential_in_any_other_parameter_is_refused() {
        let (jwt, ticket) = (jwt(), opaque(OpaqueKind::Ticket));
        let mut queries: Vec<String> =
            ["token", "access_token", "Access-Token", "JWT", "auth", "authorization", "api_key"]
                .into_iter()
                .chain([
                    "apikey",
                    "key",
                    "bearer",
                    "password",
                    "secret",
                    "session",
                    "sid",
                    "TICKET",
                    "%74oken",
                    "cf_connect",
                ])
                .map(|name| format!("?{name}=x"))
                .collect();
        queries.push("?token".to_owned());
        queries.push(format!("?x={jwt}"));
        queries.push(format!("?x={}", jwt.replace('.', "%2E")));
        queries.push(format!("?x={ticket}"));
        queries.push(format!("?{ticket}"));
        queries.push(format!("?ticket={ticket}&token=x"));
        for kind in OpaqueKind::ALL {
            queries.push(format!("?user={}", opaque(kind)));
        }
        for query in queries {
            assert_eq!(outcome(&query, &[]), Err(Denial::CredentialInUrl), "{query}");
        }
    }

    #[test]
    fn who_a_client_claims_to_be_is_not_looked_at() {
        for query in
            ["?user=alice", "?identity=0192f0c1-2345-7abc-8def-0123456789ab&tenant=demo", "?format=json", "?a=b%00"]
        {
            assert_eq!(outcome(query, &[("x-identity", "alice"), ("cookie", "user=alice")]), Ok(None), "{query}");
        }
    }

    #[test]
    fn a_bad_credential_is_refused_and_never_skipped() {
        for (header, denial) in [
            ("Bearer", Denial::Malformed),
            ("Bearer ", Denial::Malformed),
            ("Bearer garbage", Denial::Malformed),
            ("Basic YTpi", Denial::WrongKind),
            ("Bearer tk_x", Denial::Malformed),
        ] {
            assert_eq!(outcome("", &[("authorization", header)]), Err(denial), "{header}");
        }
        assert_eq!(outcome("?ticket=", &[]), Err(Denial::Malformed));
        assert_eq!(outcome(&format!("?ticket={}", jwt()), &[]), Err(Denial::CredentialInUrl));
        let offered = "centrifuge-json, base64url.bearer.portcullis.eA";
        assert_eq!(outcome("", &[("sec-websocket-protocol", offered)]), Err(Denial::WrongKind));
    }

    #[test]
    fn a_foreign_page_is_refused_before_its_credential_is_read() {
        let ticket = format!("?ticket={}", opaque(OpaqueKind::Ticket));
        assert_eq!(outcome(&ticket, &[("origin", "https://app.test")]), Ok(Some(PresentedKind::Ticket)));
        for origin in ["https://evil.test", "null", "http://app.test"] {
            assert_eq!(outcome(&ticket, &[("origin", origin)]), Err(Denial::OriginNotAllowed), "{origin}");
        }
        let twice = [("origin", "https://app.test"), ("origin", "https://app.test")];
        assert_eq!(outcome(&ticket, &twice), Err(Denial::OriginNotAllowed));
    }

    #[test]
    fn only_the_real_subprotocol_is_echoed() {
        assert_eq!(handshake("", &[("sec-websocket-protocol", "a, centrifuge-json")]).protocol, Some(SUBPROTOCOL));
        assert_eq!(handshake("", &[("sec-websocket-protocol", "centrifuge-protobuf")]).protocol, None);
    }
}

//! `portcullis explain`: what a credential's form says, decoded here and verified by no one.
//!
//! Guarantees that the secret part of what it reads (a signature, a key's secret) is never printed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use portcullis_types::{Clock, OpaqueKind, OpaqueToken, Secret, SystemClock, Timestamp};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::print::{Printer, Report};
use crate::table::View;
use crate::{input, span, words};

const HELP: &str = "\
The credential comes from standard input or PORTCULLIS_CREDENTIAL. Nothing is asked and nothing is verified:
`portcullis verify` asks the authority.

Example:
  portcullis token issue --tenant demo --name alice --only tokens.access_token | portcullis explain";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ExplainArgs {}

pub(crate) fn run(ExplainArgs {}: &ExplainArgs, printer: &Printer) -> Result<(), Failure> {
    let report = explain(&input::credential("credential")?, &SystemClock)?;
    printer.report(&report)?;
    printer.note("Only the form was read; nothing was verified. `portcullis verify` asks the authority.");
    Ok(())
}

fn explain(credential: &Secret, clock: &dyn Clock) -> Result<Report, Failure> {
    let unknown = || {
        Failure::usage(
            "by its form this is no credential of Portcullis: neither a signed token nor pk_…, rt_…, tk_… or sc_…",
        )
    };
    let form = credential.expose_str().ok_or_else(unknown)?;
    match OpaqueKind::claimed_by(form) {
        Some(kind) => opaque(kind, form),
        None => signed(form, clock).ok_or_else(unknown),
    }
}

fn opaque(kind: OpaqueKind, form: &str) -> Result<Report, Failure> {
    let (word, name, use_of_it) = match kind {
        OpaqueKind::ApiKey => ("api_key", "API key", "for programs, and for sockets where a route allows it"),
        OpaqueKind::RefreshToken => ("refresh_token", "refresh token", "used once, for the next pair of tokens"),
        OpaqueKind::Ticket => ("ticket", "one-time connection ticket", "opens one socket; may stand in a URL"),
        OpaqueKind::SessionCookie => ("session_cookie", "session cookie's value", "for browsers, on their own host"),
        OpaqueKind::LoginContinuation => {
            ("login_continuation", "login that goes on", "used once, with what the login asks for")
        }
        OpaqueKind::Device => {
            ("device", "what a device is known by", "spares a login there the delays that others cause; opens nothing")
        }
        OpaqueKind::PasswordReset => {
            ("password_reset", "one-time token for a password", "used once, to set a new password")
        }
    };
    let token = OpaqueToken::parse(form).map_err(|_| {
        Failure::usage(format!("it begins like a {name}, and its length or checksum is wrong: it was cut or mistyped"))
    })?;
    let view = View::Fields(vec![
        ("form", name.to_owned()),
        ("use", use_of_it.to_owned()),
        ("id", token.id.to_string()),
        ("checksum", "right".to_owned()),
        ("secret", "present, not shown".to_owned()),
    ]);
    Ok(Report { json: json!({ "form": word, "id": token.id, "checksum": "right" }), view })
}

/// A JWT in its compact form: two JSON objects and a signature.
fn signed(form: &str, clock: &dyn Clock) -> Option<Report> {
    let mut parts = form.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !signature.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return None;
    }
    let (header, claims) = (object(header)?, object(claims)?);
    header.get("alg")?;
    let view = View::Fields(signed_fields(&header, &claims, clock));
    Some(Report { json: json!({ "form": "access_token", "header": header, "claims": claims }), view })
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

const HEADER: [(&str, &str); 3] = [("typ", "type"), ("alg", "algorithm"), ("kid", "signing key")];
const CLAIMS: [(&str, &str); 8] = [
    ("iss", "issuer"),
    ("aud", "audience"),
    ("tenant", "tenant"),
    ("sub", "identity"),
    ("sid", "session"),
    ("jti", "credential"),
    ("client_id", "client"),
    ("rev", "issued at revision"),
];

fn signed_fields(
    header: &Map<String, Value>,
    claims: &Map<String, Value>,
    clock: &dyn Clock,
) -> Vec<(&'static str, String)> {
    let mut fields = vec![("form", "signed token (JWT)".to_owned())];
    fields.extend(HEADER.iter().filter_map(|(key, name)| Some((*name, plain(header.get(*key)?)))));
    fields.extend(CLAIMS.iter().filter_map(|(key, name)| Some((*name, plain(claims.get(*key)?)))));
    let at = |claim: &str| claims.get(claim).and_then(Value::as_i64).map(Timestamp::from_unix_seconds);
    fields.extend(at("iat").map(|issued| ("issued", words::timestamp(issued))));
    fields.extend(at("exp").map(|expires| ("expires", expiry(expires, clock.now()))));
    let known = |name: &str| CLAIMS.iter().any(|(key, _)| *key == name) || ["iat", "exp"].contains(&name);
    let others: Vec<&str> = claims.keys().map(String::as_str).filter(|name| !known(name)).collect();
    if !others.is_empty() {
        fields.push(("other claims", format!("{} (--output json shows them)", others.join(" "))));
    }
    fields.push(("signature", "present, not shown".to_owned()));
    fields
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn expiry(expires: Timestamp, now: Timestamp) -> String {
    let at = words::timestamp(expires);
    if now < expires {
        format!("{at} (in {} by this machine's clock)", span::in_words(expires.saturating_since(now)))
    } else {
        format!("{at} ({} ago by this machine's clock: it is over)", span::in_words(now.saturating_since(expires)))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_types::{CredentialId, ManualClock, SeededEntropy};

    use super::*;

    const SIGNATURE: &str = "c2lnbmF0dXJlLXNpZ25hdHVyZQ";

    fn jwt(claims: &Value) -> Secret {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": "k1" });
        Secret::from(format!("{}.{}.{SIGNATURE}", part(&header), part(claims)))
    }

    fn at(seconds: i64) -> ManualClock {
        ManualClock::starting_at(Timestamp::from_unix_seconds(seconds))
    }

    #[test]
    fn a_token_tells_its_claims_and_not_its_signature() {
        let token = jwt(&json!({ "sub": "i1", "tenant": "demo", "exp": 1_060, "rev": "3-00000000000000ab", "x": 1 }));
        let report = explain(&token, &at(1_000)).expect("a token");
        let (table, json) = (report.view.render(), report.json.to_string());
        for part in ["at+jwt", "ES256", "demo", "i1", "3-00000000000000ab", "in 1 min", "other claims", "k1"] {
            assert!(table.contains(part), "{part}: {table}");
        }
        assert!(!table.contains(SIGNATURE) && !json.contains(SIGNATURE));
        assert_eq!(report.json["claims"]["sub"], "i1");
    }

    #[test]
    fn an_expired_token_is_said_to_be_over() {
        let report = explain(&jwt(&json!({ "exp": 1_000 })), &at(1_000)).expect("a token");
        assert!(report.view.render().contains("it is over"));
    }

    #[test]
    fn an_opaque_credential_tells_its_id_and_not_its_secret() {
        for kind in OpaqueKind::ALL {
            let token = OpaqueToken::generate(kind, CredentialId::from_bytes([9; 16]), &SeededEntropy::new(5));
            let form = token.reveal();
            let report = explain(&form, &at(0)).expect("our own form");
            let shown = format!("{}{}", report.view.render(), report.json);
            let secret = &form.expose_str().expect("ASCII")[26..];
            assert!(shown.contains(&token.id.to_string()) && !shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn a_cut_off_key_says_so_without_repeating_it() {
        let error = explain(&Secret::from("pk_abcdefghijkl"), &at(0)).expect_err("cut off").to_string();
        assert!(error.contains("API key") && !error.contains("abcdef"), "{error}");
    }

    #[test]
    fn what_is_no_credential_is_refused_without_repeating_it() {
        let part = URL_SAFE_NO_PAD.encode("{}");
        for form in ["hunter2", "a.b.c", "", "a.b", &format!("{part}.{part}.c"), &format!("{part}.{part}.c.d.e")] {
            let error = explain(&Secret::from(form), &at(0)).expect_err("no credential").to_string();
            assert!(form.is_empty() || !error.contains(form), "{error}");
        }
    }
}

//! What no log, ready file or metrics page may hold, and the search for it.
//!
//! Owns one registry for the test program: every way in of this harness puts there what it made, sent or was given. At the
//! end of every [`Process`](crate::Process) its outputs are searched for all of it, and the test whose process it was
//! fails. Guarantees besides that anything of the *form* of a credential of ours is found, whoever made it: the published
//! SDK and the browser tell the registry nothing.
//! Refuses to remember what is shorter than eight bytes: such a word may stand in any line.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use portcullis_types::{OPAQUE_LEN, OpaqueToken};
use serde_json::Value;

const SHORTEST: usize = 8;
/// JSON members, form fields and query parameters whose values are secrets wherever they stand.
const SECRET_NAMES: [&str; 10] = [
    "access_token",
    "refresh_token",
    "ticket",
    "password",
    "new_password",
    "secret",
    "token",
    "client_secret",
    "id_token",
    "otpauth",
];

/// Every form of every secret, by the bytes it begins with, so that a log is read once however many there are.
static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

type Known = HashMap<[u8; SHORTEST], Vec<(Vec<u8>, &'static str)>>;

/// Remembers a secret under what it is.
pub fn remember(what: &'static str, secret: impl AsRef<[u8]>) {
    let secret = secret.as_ref();
    if secret.len() < SHORTEST {
        return;
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    for form in forms(secret) {
        let first = *form.first_chunk().expect("no form is shorter than the secret");
        let alike = known.entry(first).or_default();
        if alike.iter().all(|(other, _)| *other != form) {
            alike.push((form, what));
        }
    }
}

/// Remembers a credential of a header: `Bearer …`, `Basic …`, `name=value; …`.
pub(crate) fn remember_header(name: &str, value: &str) {
    match name.to_ascii_lowercase().as_str() {
        "authorization" => remember("an Authorization header", value.split_once(' ').map_or(value, |(_, rest)| rest)),
        "cookie" => value.split("; ").for_each(remember_pair),
        // What follows the first pair are attributes.
        "set-cookie" => value.split(';').take(1).for_each(remember_pair),
        "sec-websocket-protocol" => {
            for offered in value.split(',') {
                let credential = offered.trim().strip_prefix("base64url.bearer.portcullis.");
                remember("a credential among the protocols", credential.unwrap_or_default());
            }
        }
        _ => {}
    }
}

fn remember_pair(pair: &str) {
    remember("a cookie", pair.split_once('=').map_or("", |(_, value)| value));
}

/// Remembers what stands under the name of a secret, however deep.
pub(crate) fn remember_json(value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(remember_json),
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(text) if SECRET_NAMES.contains(&name.as_str()) => remember("a secret of a message", text),
                    _ => remember_json(value),
                }
            }
        }
        _ => {}
    }
}

/// As [`remember_json`], when it is JSON at all; otherwise as a form or a query.
pub(crate) fn remember_text(text: &str) {
    if let Ok(json) = serde_json::from_str(text) {
        return remember_json(&json);
    }
    for pair in text.split('&') {
        if let Some((name, value)) = pair.split_once('=')
            && SECRET_NAMES.contains(&name)
        {
            remember("a secret of a form or URL", value);
        }
    }
}

/// Remembers the secrets in the query of a URL.
pub(crate) fn remember_url(url: &str) {
    remember_text(url.split_once('?').map_or("", |(_, query)| query));
}

/// Fails when `content` of `place` holds a secret.
///
/// # Panics
/// When it does; the message says which and where, and not the secret.
pub fn assert_none_in(place: &str, content: &[u8]) {
    if let Some(found) = find(content) {
        panic!("{} is in {place}, line {}", found.what, found.line);
    }
}

/// As [`assert_none_in`] for a file; one that is not there holds nothing.
pub(crate) fn assert_none_in_file(file: &Path) {
    assert_none_in(&file.display().to_string(), &std::fs::read(file).unwrap_or_default());
}

#[derive(Debug, PartialEq, Eq)]
struct Found {
    what: &'static str,
    line: usize,
}

fn find(content: &[u8]) -> Option<Found> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    for at in 0..content.len().saturating_sub(SHORTEST - 1) {
        let rest = &content[at..];
        if let Some(what) = known_at(rest, known.as_ref()).or_else(|| credential_at(rest)) {
            let line = content[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            return Some(Found { what, line });
        }
    }
    None
}

fn known_at(rest: &[u8], known: Option<&Known>) -> Option<&'static str> {
    let alike = known?.get(rest.first_chunk()?)?;
    alike.iter().find(|(form, _)| rest.starts_with(form)).map(|(_, what)| *what)
}

/// What begins here has the form of a credential that works.
fn credential_at(rest: &[u8]) -> Option<&'static str> {
    if rest.starts_with(b"eyJ") {
        let in_token = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let token: Vec<u8> = rest.iter().take_while(in_token).copied().collect();
        let signature = token.split(|byte| *byte == b'.').nth(2)?;
        return (signature.len() >= 64).then_some("a signed token");
    }
    // Its third byte, so that most places cost one comparison.
    let text = rest.get(..OPAQUE_LEN).filter(|text| text[2] == b'_')?;
    let text = std::str::from_utf8(text).ok()?;
    OpaqueToken::parse(text).ok().map(|_| "an opaque credential")
}

/// How a value shows itself in a log: as it is, encoded for a URL or a header, and as `{:?}` of its bytes.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let decimal: Vec<_> = secret.iter().map(u8::to_string).collect();
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let encoded = secret.iter().flat_map(|&byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => vec![byte],
        other => format!("%{other:02X}").into_bytes(),
    });
    vec![
        secret.to_vec(),
        encoded.collect(),
        URL_SAFE_NO_PAD.encode(secret).into_bytes(),
        STANDARD_NO_PAD.encode(secret).into_bytes(),
        decimal.join(", ").into_bytes(),
        hex.into_bytes(),
    ]
}

#[cfg(test)]
mod tests {
    use portcullis_types::{CredentialId, OpaqueKind, SystemEntropy};

    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_it_may_be_printed_in() {
        remember("a password", "hunter2 & hunter3");
        for leak in [
            "password=hunter2 & hunter3",
            "/login?password=hunter2%20%26%20hunter3",
            &format!("Basic {}", STANDARD_NO_PAD.encode("hunter2 & hunter3")),
            &format!("{:?}", b"hunter2 & hunter3"),
        ] {
            let content = format!("one line\n{{\"message\":\"{leak}\"}}\n");
            assert_eq!(find(content.as_bytes()), Some(Found { what: "a password", line: 2 }), "{leak}");
        }
        assert_eq!(find(b"hunter2 and hunter3"), None);
    }

    #[test]
    fn a_credential_is_found_by_its_form_whoever_made_it() {
        let token = OpaqueToken::generate(OpaqueKind::Ticket, CredentialId::from_bytes([9; 16]), &SystemEntropy);
        let text = token.reveal().expose_str().expect("text").to_owned();
        assert!(find(format!("?ticket={text}&x").as_bytes()).is_some());
        assert_eq!(find(format!("?ticket={}&x", &text[..40]).as_bytes()), None, "an id and half a secret open nothing");
        let signed = format!("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.{}", "A".repeat(86));
        assert!(find(signed.as_bytes()).is_some());
        assert_eq!(find(b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0."), None, "without a signature it opens nothing");
    }

    #[test]
    fn messages_headers_and_urls_give_away_what_is_secret_in_them() {
        remember_text(r#"{"outer":[{"refresh_token":"a-refresh-token-of-the-test"}],"name":"a-name-of-the-test"}"#);
        remember_header("Cookie", "theme=dark; session=a-cookie-of-the-test");
        remember_url("ws://x/y?ticket=a-ticket-of-the-test");
        for secret in ["a-refresh-token-of-the-test", "a-cookie-of-the-test", "a-ticket-of-the-test"] {
            assert!(find(secret.as_bytes()).is_some(), "{secret}");
        }
        assert_eq!(find(b"a-name-of-the-test"), None);
    }
}

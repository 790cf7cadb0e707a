//! What no log, ready file or metrics page may hold, and the search for it.
//!
//! Owns one registry for the test program: every way in of this harness puts there what it made, sent or was given. At the
//! end of every [`Process`](crate::Process) its outputs are searched for all of it, and the test whose process it was
//! fails. Guarantees besides that anything of the *form* of a credential of ours is found, whoever made it: the published
//! SDK and the browser tell the registry nothing.
//! Refuses to remember what is shorter than eight bytes: such a word may stand in any line. A code of six digits is
//! looked for between quotation marks, as a log in JSON writes a text.

mod forms;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_types::{OPAQUE_LEN, OpaqueToken};
use serde_json::Value;

use forms::{PRIVATE_KEYS, forms};

const SHORTEST: usize = 8;
/// What a store keeps as it is, and nothing else may show.
const HASH: &str = "the hash of a password";
/// How the hashes begin that can be imported.
const HASHES: [&[u8]; 4] = [b"$2a$", b"$2b$", b"$argon2", b"$scrypt$"];
/// JSON members, form fields and query parameters whose values are secrets wherever they stand.
const SECRET_NAMES: [&str; 19] = [
    "access_token",
    "refresh_token",
    "ticket",
    "password",
    "new_password",
    "current_password",
    "secret",
    "token",
    "client_secret",
    "id_token",
    "otpauth",
    "uri",
    "reset_token",
    "totp_code",
    "recovery_code",
    "recovery_codes",
    "continuation",
    "device_token",
    "temporary_password",
];

/// Every form of every secret, by the bytes it begins with, so that a log is read once however many there are.
static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

type Known = HashMap<[u8; SHORTEST], Vec<(Vec<u8>, &'static str)>>;

/// Remembers a secret under what it is. The hash of a password is one, whatever it came as.
pub fn remember(what: &'static str, secret: impl AsRef<[u8]>) {
    let secret = secret.as_ref();
    let is_hash = HASHES.iter().any(|beginning| secret.starts_with(beginning));
    let what = if is_hash { HASH } else { what };
    if secret.len() < SHORTEST {
        return;
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_with(|| {
        let mut known = Known::new();
        for beginning in PRIVATE_KEYS {
            add(&mut known, "a private key", beginning);
        }
        known
    });
    add(known, what, secret);
}

fn add(known: &mut Known, what: &'static str, secret: &[u8]) {
    for form in forms(secret) {
        let first = *form.first_chunk().expect("no form of eight bytes is shorter than eight bytes");
        let alike = known.entry(first).or_default();
        if alike.iter().all(|(other, _)| *other != form) {
            alike.push((form, what));
        }
    }
}

/// Remembers a code of an authenticator app, and a recovery code in both ways in which people write it.
pub fn remember_code(code: &str) {
    for quoted in [format!("\"{code}\""), format!("\"{code}\\\"")] {
        remember("a code", quoted);
    }
    remember("a code", code);
    remember("a code", code.replace('-', ""));
}

/// Remembers a hash that another program made of a password.
pub fn remember_hash(hash: &str) {
    remember(HASH, hash);
}

/// Remembers the address of a database and the password in it.
pub(crate) fn remember_database(url: &str) {
    remember("the address of a database", url);
    let user = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).map_or("", |(user, _)| user);
    remember("the password of a database", user.split_once(':').map_or("", |(_, password)| password));
}

/// Remembers a private key in PEM: its lines, its content, and the number that is the secret.
///
/// # Panics
/// When it is not PEM.
pub fn remember_pem(what: &'static str, pem: &str) {
    let lines: Vec<_> = pem.lines().filter(|line| !line.is_empty() && !line.starts_with("-----")).collect();
    lines.iter().for_each(|line| remember(what, line));
    remember_pkcs8(what, &STANDARD.decode(lines.concat()).expect("what is between the lines of PEM is base64"));
}

/// Remembers a private key in PKCS#8, and the number that is the secret.
pub fn remember_pkcs8(what: &'static str, der: &[u8]) {
    remember(what, der);
    // Of P-256 and of Ed25519 alike: an octet string of 32 bytes, the first that there is.
    if let Some(at) = der.windows(2).position(|pair| pair == [0x04, 0x20]) {
        remember(what, der.get(at + 2..at + 34).unwrap_or_default());
    }
}

/// Remembers a credential of a header: `Bearer …`, `Basic …`, `name=value; …`.
pub(crate) fn remember_header(name: &str, value: &str) {
    match name.to_ascii_lowercase().as_str() {
        "authorization" => {
            let credential = value.split_once(' ').map_or(value, |(_, rest)| rest);
            remember("an Authorization header", credential);
            let basic = STANDARD.decode(credential).ok().and_then(|pair| String::from_utf8(pair).ok());
            if let Some((_, secret)) = basic.as_deref().and_then(|pair| pair.split_once(':')) {
                remember("a client's secret", secret);
            }
        }
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
                let is_secret = SECRET_NAMES.contains(&name.as_str());
                match value {
                    Value::String(text) if is_secret => remember_named(name, text),
                    Value::Array(items) if is_secret => {
                        items.iter().filter_map(Value::as_str).for_each(|text| remember_named(name, text));
                    }
                    _ => remember_json(value),
                }
            }
        }
        _ => {}
    }
}

fn remember_named(name: &str, text: &str) {
    match name {
        "totp_code" | "recovery_code" | "recovery_codes" => remember_code(text),
        _ => remember("a secret of a message", text),
    }
}

/// Remembers what stands at this path of a message, `tokens.access_token`, if it is the name of a secret.
pub(crate) fn remember_at(path: &str, text: &str) {
    let name = path.split('.').find(|name| SECRET_NAMES.contains(name));
    name.iter().for_each(|name| remember_named(name, text));
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
    refuse(place, find(content, Search::default()));
}

/// As [`assert_none_in`] for what a store writes, which keeps the hashes of passwords.
///
/// # Panics
/// When it holds anything else.
pub fn assert_none_in_store(place: &str, content: &[u8]) {
    refuse(place, find(content, Search { hashes: false, ..Search::default() }));
}

/// As [`assert_none_in`] for the output of a program that was asked for a secret: none that was known before is in it.
///
/// # Panics
/// When one is.
pub(crate) fn assert_none_known_in(place: &str, content: &[u8]) {
    refuse(place, find(content, Search { unknown: false, ..Search::default() }));
}

fn refuse(place: &str, found: Option<Found>) {
    if let Some(found) = found {
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

/// What is looked for beside the secrets that are known.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// The hashes of passwords.
    hashes: bool,
    /// Whatever has the form of a credential.
    unknown: bool,
}

impl Default for Search {
    fn default() -> Self {
        Self { hashes: true, unknown: true }
    }
}

fn find(content: &[u8], search: Search) -> Option<Found> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    for at in 0..content.len().saturating_sub(SHORTEST - 1) {
        let rest = &content[at..];
        let what = known_at(rest, known.as_ref(), search);
        if let Some(what) = what.or_else(|| search.unknown.then(|| credential_at(rest)).flatten()) {
            let line = content[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            return Some(Found { what, line });
        }
    }
    None
}

fn known_at(rest: &[u8], known: Option<&Known>, search: Search) -> Option<&'static str> {
    let alike = known?.get(rest.first_chunk()?)?;
    let asked = |what: &str| search.hashes || what != HASH;
    alike.iter().find(|(form, what)| asked(what) && rest.starts_with(form)).map(|(_, what)| *what)
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

#[cfg(test)]
mod tests;

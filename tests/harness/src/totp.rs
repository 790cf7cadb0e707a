//! The code that an authenticator app would show now.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use portcullis_types::{Clock as _, SystemClock};

use crate::{remember, remember_code};

/// The code of now for a secret as an app is given it (RFC 6238: SHA-1, six digits, thirty seconds).
///
/// # Panics
/// When the secret is not base32.
pub fn code_now(secret: &str) -> String {
    let bytes = BASE32_NOPAD.decode(secret.as_bytes()).expect("an app is given base32");
    remember("the secret of an app", secret);
    remember("the secret of an app", &bytes);
    let step = SystemClock.now().as_unix_seconds().div_euclid(30);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[tag.len() - 1] & 0x0f);
    let word = tag[offset..].first_chunk().expect("the last four bits say a place with four bytes after it");
    let code = format!("{:06}", (u32::from_be_bytes(*word) & 0x7fff_ffff) % 1_000_000);
    remember_code(&code);
    code
}

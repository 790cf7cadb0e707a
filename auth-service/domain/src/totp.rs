//! Time-based one-time passwords (RFC 6238 over RFC 4226): HMAC-SHA-1, six digits, thirty seconds, which is what
//! authenticator apps agree on.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use portcullis_types::{Secret, Timestamp};
use subtle::ConstantTimeEq as _;

/// How many bytes a secret has: as many as the hash (RFC 4226, 4).
pub(crate) const SECRET_BYTES: usize = 20;
const DIGITS: usize = 6;
const PERIOD_SECONDS: i64 = 30;
/// How far the clock of a telephone may be off, in time steps.
const DRIFT: u64 = 1;

/// The time step of an instant.
pub(crate) fn step_at(now: Timestamp) -> u64 {
    now.as_unix_seconds().div_euclid(PERIOD_SECONDS).max(0).unsigned_abs()
}

/// The time step whose code this is, of those near now; all are compared whatever matches.
pub(crate) fn step_of(secret: &Secret, code: &Secret, now: Timestamp) -> Option<u64> {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose_bytes());
    let here = step_at(now);
    let near = here.saturating_sub(DRIFT)..=here + DRIFT;
    let is_code = |step| bool::from(code_at(&key, step).as_bytes().ct_eq(code.expose_bytes()));
    near.fold(None, |found, step| if is_code(step) { Some(step) } else { found })
}

fn code_at(key: &hmac::Key, step: u64) -> String {
    let tag = hmac::sign(key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[tag.len() - 1] & 0x0f);
    let mut word = [0; 4];
    word.copy_from_slice(&tag[offset..offset + 4]);
    format!("{:0DIGITS$}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000)
}

/// A secret as people type it into an app.
pub(crate) fn text_of(secret: &Secret) -> Secret {
    Secret::from(BASE32_NOPAD.encode(secret.expose_bytes()))
}

/// What an app reads from a picture.
pub(crate) fn uri_of(secret: &Secret, issuer: &str, account: &str) -> Secret {
    let (issuer, account) = (escape(issuer), escape(account));
    let text = text_of(secret);
    let text = text.expose_str().unwrap_or_default();
    Secret::from(format!(
        "otpauth://totp/{issuer}:{account}?secret={text}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={PERIOD_SECONDS}"
    ))
}

/// Everything but what RFC 3986 leaves as it is.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::from("12345678901234567890")
    }

    /// RFC 4226, appendix D.
    #[test]
    fn the_vectors_of_rfc_4226_hold() {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret().expose_bytes());
        let codes: Vec<_> = (0..10).map(|step| code_at(&key, step)).collect();
        let expected =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        assert_eq!(codes, expected);
    }

    /// RFC 6238, appendix B: the last six of its eight digits.
    #[test]
    fn the_vectors_of_rfc_6238_hold() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let now = Timestamp::from_unix_seconds(seconds);
            assert_eq!(step_of(&secret(), &Secret::from(code), now), Some(step_at(now)), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_taken_one_step_early_or_late_and_no_further() {
        let code = Secret::from("081804");
        let step = step_at(Timestamp::from_unix_seconds(1_111_111_109));
        for (seconds, found) in [(-60, None), (-30, Some(step)), (0, Some(step)), (30, Some(step)), (60, None)] {
            let now = Timestamp::from_unix_seconds(1_111_111_109 + seconds);
            assert_eq!(step_of(&secret(), &code, now), found, "{seconds}");
        }
    }

    #[test]
    fn what_is_no_code_matches_nothing() {
        let now = Timestamp::from_unix_seconds(1_111_111_109);
        for code in ["", "81804", "0818040", "08180x", "081805", "０８１８０４"] {
            assert_eq!(step_of(&secret(), &Secret::from(code), now), None, "{code}");
        }
    }

    #[test]
    fn an_app_reads_the_secret_and_whose_it_is() {
        let uri = uri_of(&secret(), "Port & Co", "zoë@example.com");
        assert_eq!(
            uri.expose_str(),
            Some(
                "otpauth://totp/Port%20%26%20Co:zo%C3%AB%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&\
                 issuer=Port%20%26%20Co&algorithm=SHA1&digits=6&period=30"
            )
        );
    }
}

//! How a secret shows itself in a log.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What private keys begin with, by which any is known: PEM; PKCS#8 of P-256 and of Ed25519 (of both versions).
pub(super) const PRIVATE_KEYS: [&[u8]; 4] = [
    b"PRIVATE KEY-----",
    b"\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04",
    b"\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
    b"\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
];

/// As it is, encoded for a URL or a header, alone or behind something else, and as `{:?}` of its bytes. Of eight bytes or
/// more, none is shorter than eight.
pub(super) fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let decimal: Vec<_> = secret.iter().map(u8::to_string).collect();
    let encoded = secret.iter().flat_map(|&byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => vec![byte],
        other => format!("%{other:02X}").into_bytes(),
    });
    let mut forms = vec![secret.to_vec(), encoded.collect(), decimal.join(", ").into_bytes()];
    forms.push(secret.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
    forms.push(secret.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()).collect());
    for behind in 0..3 {
        forms.push(base64_behind(behind, secret, |bytes| URL_SAFE_NO_PAD.encode(bytes)));
        forms.push(base64_behind(behind, secret, |bytes| STANDARD_NO_PAD.encode(bytes)));
    }
    forms
}

/// The characters of base64 that depend on nothing but `secret` when so many bytes, or three more, are before it and any
/// number are after it.
fn base64_behind(before: usize, secret: &[u8], encode: impl Fn(&[u8]) -> String) -> Vec<u8> {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret);
    let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    encode(&bytes).into_bytes()[first..end].to_vec()
}

//! The name in a client certificate: a SPIFFE ID or a DNS name.
//!
//! Guarantees: a name has one text, so that equal names are equal bytes. A DNS name never begins with `spiffe://`, so the
//! text says which it is.
//! Refuses: wildcards, and whatever the SPIFFE ID standard does: ports, queries, percent encodings, empty and dotted
//! segments, a trailing slash, and a trust domain without a path, which names no workload.

use std::fmt;

use portcullis_types::InvalidName;

const SCHEME: &str = "spiffe://";
/// What the SPIFFE ID standard allows at most.
const SPIFFE_BYTES: usize = 2_048;
const TRUST_DOMAIN_BYTES: usize = 255;
const DNS_BYTES: usize = 253;
const DNS_LABEL_BYTES: usize = 63;

/// Who a certificate says its holder is: `spiffe://trust-domain/path`, or a DNS name in lower case.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CertificateName(Box<str>);

impl CertificateName {
    /// A SPIFFE ID, and nothing else.
    pub fn spiffe_id(text: &str) -> Result<Self, InvalidName> {
        if is_spiffe_id(text) { Ok(Self(text.into())) } else { Err(INVALID) }
    }

    /// A DNS name, and nothing else.
    pub fn dns_name(text: &str) -> Result<Self, InvalidName> {
        let lower = text.to_ascii_lowercase();
        if is_dns_name(&lower) { Ok(Self(lower.into())) } else { Err(INVALID) }
    }

    /// Which of the two it is.
    pub fn is_spiffe_id(&self) -> bool {
        self.0.starts_with(SCHEME)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const INVALID: InvalidName = InvalidName {
    what: "certificate name",
    rule: "spiffe://trust-domain/path, or a whole DNS name without a wildcard",
};

impl TryFrom<&str> for CertificateName {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        if text.starts_with(SCHEME) { Self::spiffe_id(text) } else { Self::dns_name(text) }
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_spiffe_id(text: &str) -> bool {
    let Some((domain, path)) = text.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/')) else { return false };
    text.len() <= SPIFFE_BYTES
        && (1..=TRUST_DOMAIN_BYTES).contains(&domain.len())
        && domain.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'))
        && path.split('/').all(is_segment)
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// In lower case. A name of digits and dots alone would be an address.
fn is_dns_name(text: &str) -> bool {
    (1..=DNS_BYTES).contains(&text.len())
        && text.split('.').all(is_label)
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
}

fn is_label(label: &str) -> bool {
    (1..=DNS_LABEL_BYTES).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spiffe_id_and_a_dns_name_are_names() {
        for good in [
            "spiffe://corp.example/ns/edge/sa/gateway",
            "spiffe://corp_1/Gateway-1.a_b",
            "gateway-1.internal",
            "localhost",
            "a.b.c.d.e",
        ] {
            let name = CertificateName::try_from(good).expect(good);
            assert_eq!((name.as_str(), name.is_spiffe_id()), (good, good.contains(':')));
            assert_eq!(CertificateName::spiffe_id(good).is_ok(), good.contains(':'));
            assert_eq!(CertificateName::dns_name(good).is_err(), good.contains(':'));
        }
        assert_eq!(CertificateName::try_from("Gateway.Internal").expect("a name").as_str(), "gateway.internal");
    }

    #[test]
    fn what_could_be_taken_for_another_name_is_none() {
        let long = format!("spiffe://d/{}", "a".repeat(2_048));
        for bad in [
            "",
            "*.internal",
            "gateway.*",
            "gateway..internal",
            "gateway.internal.",
            ".internal",
            "-a.internal",
            "10.0.0.1",
            "a b",
            "g\u{e4}teway",
            "gateway\0.internal",
            "spiffe://",
            "spiffe://corp",
            "spiffe://corp/",
            "spiffe:///path",
            "spiffe://Corp/path",
            "spiffe://corp:443/path",
            "spiffe://user@corp/path",
            "spiffe://corp/a//b",
            "spiffe://corp/a/../b",
            "spiffe://corp/./b",
            "spiffe://corp/a/",
            "spiffe://corp/a?b",
            "spiffe://corp/a#b",
            "spiffe://corp/a%2fb",
            "spiffe://corp/*",
            "SPIFFE://corp/a",
            "https://corp/a",
            &long,
            &"a".repeat(64),
            &"abc.".repeat(64),
        ] {
            assert!(CertificateName::try_from(bad).is_err(), "{bad:?}");
        }
    }
}

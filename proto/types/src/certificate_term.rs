//! From when until when a certificate is good, as its file says.
//!
//! Guarantees that of a chain the shortest term counts: whoever checks it checks every link. One that vouches for itself is
//! no link, because nobody looks at it. Says nothing of who vouches for it, and does not repeat what is in the file.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::Timestamp;

/// Before this it is soon enough, however long it is good for.
const SOON: Duration = Duration::from_secs(14 * 86_400);
/// A part of its life: certificates that live for hours are exchanged late.
const SOON_PART: u32 = 5;

/// The file holds something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("does not hold a certificate in PEM")]
pub struct NotACertificate;

/// The time in which a certificate is good. Both ends are whole seconds, and belong to it (RFC 5280, 4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateTerm {
    not_before: i64,
    not_after: i64,
}

/// How a certificate stands at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateStanding {
    /// Nobody takes it before this has passed.
    NotYet(Duration),
    /// It is good for so long.
    Good(Duration),
    /// It is good, and for so short a time that it should have been exchanged.
    EndsSoon(Duration),
    /// Nobody takes it, for so long.
    Over(Duration),
}

impl CertificateTerm {
    /// Of a certificate and those that vouch for it.
    pub fn of_pem(pem: &[u8]) -> Result<Self, NotACertificate> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        Self::of_chain(&chain.map_err(|_| NotACertificate)?)
    }

    /// Of a certificate and those that vouch for it.
    pub fn of_chain(chain: &[CertificateDer<'_>]) -> Result<Self, NotACertificate> {
        let mut whole: Option<Self> = None;
        for certificate in chain {
            let (_, read) = X509Certificate::from_der(certificate).map_err(|_| NotACertificate)?;
            let is_own = whole.is_none();
            if !is_own && read.subject().as_raw() == read.issuer().as_raw() {
                continue;
            }
            let validity = read.validity();
            let found = Self { not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp() };
            whole = Some(whole.map_or(found, |whole| whole.and(found)));
        }
        whole.ok_or(NotACertificate)
    }

    fn and(self, other: Self) -> Self {
        Self { not_before: self.not_before.max(other.not_before), not_after: self.not_after.min(other.not_after) }
    }

    /// How it stands.
    pub fn standing(self, now: Timestamp) -> CertificateStanding {
        let (from, until) =
            (Timestamp::from_unix_seconds(self.not_before), Timestamp::from_unix_seconds(self.not_after));
        let seconds = now.as_unix_seconds();
        if seconds > self.not_after {
            return CertificateStanding::Over(now.saturating_since(until));
        }
        if seconds < self.not_before {
            return CertificateStanding::NotYet(from.saturating_since(now));
        }
        let left = until.saturating_since(now);
        if left < SOON.min(until.saturating_since(from) / SOON_PART) {
            CertificateStanding::EndsSoon(left)
        } else {
            CertificateStanding::Good(left)
        }
    }

    /// For how many seconds it is still good: below 0 when it is over.
    #[expect(clippy::cast_precision_loss, reason = "a figure for a gauge: milliseconds are beside the point")]
    pub fn seconds_left(self, now: Timestamp) -> f64 {
        Timestamp::from_unix_seconds(self.not_after).as_micros().saturating_sub(now.as_micros()) as f64 / 1e6
    }
}

impl std::fmt::Display for CertificateStanding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::NotYet(until) => write!(f, "it is not good before {} from now", Roughly(until)),
            Self::Good(left) => write!(f, "it is good for {}", Roughly(left)),
            Self::EndsSoon(left) => write!(f, "it ends in {}", Roughly(left)),
            Self::Over(since) => write!(f, "it is over since {}", Roughly(since)),
        }
    }
}

/// A length of time in one unit, as people say it.
struct Roughly(Duration);

impl std::fmt::Display for Roughly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0.as_secs();
        let (count, unit) = match seconds {
            0..120 => (seconds, "second"),
            120..7_200 => (seconds / 60, "minute"),
            7_200..172_800 => (seconds / 3_600, "hour"),
            _ => (seconds / 86_400, "day"),
        };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

    use super::*;

    /// 1 January 2030.
    const START: i64 = 1_893_456_000;
    const DAY: i64 = 86_400;

    fn lasting(name: &str, from: (i32, u8, u8), until: (i32, u8, u8)) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a valid name");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn of_a_year() -> CertificateTerm {
        let params = lasting("a.test", (2030, 1, 1), (2031, 1, 1));
        let key = KeyPair::generate().expect("makes a key");
        CertificateTerm::of_pem(params.self_signed(&key).expect("is signed").pem().as_bytes()).expect("it is one")
    }

    #[test]
    fn a_certificate_is_good_from_its_first_second_to_its_last() {
        let (term, end) = (of_a_year(), START + 365 * DAY);
        let day = Duration::from_secs(86_400);
        assert_eq!(term.standing(at(START - DAY)), CertificateStanding::NotYet(day));
        assert_eq!(term.standing(at(START)), CertificateStanding::Good(365 * day));
        assert_eq!(term.standing(at(end - 14 * DAY)), CertificateStanding::Good(14 * day));
        assert_eq!(term.standing(at(end - 13 * DAY)), CertificateStanding::EndsSoon(13 * day));
        assert_eq!(term.standing(at(end)), CertificateStanding::EndsSoon(Duration::ZERO));
        assert_eq!(term.standing(at(end + 30 * DAY)), CertificateStanding::Over(30 * day));
        assert_eq!(term.standing(at(end + 30 * DAY)).to_string(), "it is over since 30 days");
        assert!((term.seconds_left(at(end + DAY)) + 86_400.0).abs() < 1e-6);
    }

    #[test]
    fn one_that_lives_for_hours_ends_soon_in_its_last_fifth() {
        let term = CertificateTerm { not_before: START, not_after: START + 3_600 };
        assert!(matches!(term.standing(at(START + 2_880)), CertificateStanding::Good(_)));
        assert!(matches!(term.standing(at(START + 2_881)), CertificateStanding::EndsSoon(_)));
    }

    #[test]
    fn of_a_chain_the_shortest_term_counts_and_a_root_does_not() {
        let key = || KeyPair::generate().expect("makes a key");
        let mut root = lasting("root.test", (2020, 1, 1), (2030, 2, 1));
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, key()).expect("signs itself");
        let mut middle = lasting("middle.test", (2029, 1, 1), (2030, 7, 1));
        middle.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let middle = CertifiedIssuer::signed_by(middle, key(), &root).expect("is signed");
        let own = lasting("a.test", (2030, 1, 1), (2031, 1, 1)).signed_by(&key(), &middle).expect("is signed");
        let term = |pem: String| CertificateTerm::of_pem(pem.as_bytes()).expect("they are certificates");
        let expected = CertificateTerm { not_before: START, not_after: START + 181 * DAY };
        assert_eq!(term(format!("{}{}{}", own.pem(), middle.pem(), root.pem())), expected);
        assert_eq!(term(own.pem()).not_after, START + 365 * DAY);
    }

    #[test]
    fn what_is_no_certificate_has_no_term() {
        for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(CertificateTerm::of_pem(pem.as_bytes()), Err(NotACertificate), "{pem}");
        }
    }

    #[test]
    fn lengths_of_time_are_said_in_one_unit() {
        let said = |seconds| Roughly(Duration::from_secs(seconds)).to_string();
        assert_eq!(
            [1, 119, 120, 7_200, 172_800].map(said),
            ["1 second", "119 seconds", "2 minutes", "2 hours", "2 days"]
        );
    }
}

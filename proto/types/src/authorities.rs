//! Certificate authorities, as the content of a file in PEM names them.
//!
//! Guarantees that there is one at least that may vouch for others: a transport would take an empty or half written file
//! too, and then trust nobody. How strict to be with the rest is for whoever asks: a bundle for servers may hold odd ones,
//! of one for callers each must be usable.
//! Refuses to repeat what is in the file.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Why nobody, or not everybody, could vouch for others.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAuthorities {
    /// No certificates, or not in PEM, or cut off.
    #[error("does not hold certificate authorities in PEM")]
    NotPem,
    /// Certificates, of which none may vouch for others.
    #[error("holds no certificate that may vouch for others")]
    NoneVouches,
    /// One of them may not.
    #[error("certificate {number} cannot vouch for others")]
    CannotVouch {
        /// Which of them, from 1.
        number: usize,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// Those that may vouch for others among these, if the rest is certificates in PEM too.
pub fn usable_authorities(pem: &[u8]) -> Result<RootCertStore, InvalidAuthorities> {
    let mut roots = RootCertStore::empty();
    let (usable, _odd) = roots.add_parsable_certificates(certificates(pem)?);
    if usable == 0 { Err(InvalidAuthorities::NoneVouches) } else { Ok(roots) }
}

/// All of these, each of which must be one that may vouch for others.
pub fn all_authorities(pem: &[u8]) -> Result<RootCertStore, InvalidAuthorities> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates(pem)?.into_iter().enumerate() {
        let cannot = |source| InvalidAuthorities::CannotVouch { number: index + 1, source };
        roots.add(certificate).map_err(cannot)?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidAuthorities> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or(InvalidAuthorities::NotPem)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    const ODD: &str = "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n";

    fn authority() -> String {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("makes a key"));
        ca.expect("signs itself").pem()
    }

    #[test]
    fn what_is_empty_cut_off_or_something_else_names_nobody() {
        let whole = authority();
        for pem in ["", "no certificate", &whole[..whole.len() / 2], &format!("{whole}{}", &whole[..whole.len() / 2])] {
            assert!(matches!(usable_authorities(pem.as_bytes()), Err(InvalidAuthorities::NotPem)), "{pem}");
            assert!(matches!(all_authorities(pem.as_bytes()), Err(InvalidAuthorities::NotPem)), "{pem}");
        }
        assert!(matches!(usable_authorities(ODD.as_bytes()), Err(InvalidAuthorities::NoneVouches)));
    }

    #[test]
    fn an_odd_one_among_them_is_passed_over_or_named_as_was_asked() {
        let bundle = format!("{}{ODD}{}", authority(), authority());
        assert_eq!(usable_authorities(bundle.as_bytes()).expect("two are good").len(), 2);
        let refused = all_authorities(bundle.as_bytes());
        assert!(matches!(refused, Err(InvalidAuthorities::CannotVouch { number: 2, .. })), "{refused:?}");
        let good = format!("{}{}", authority(), authority());
        assert_eq!(all_authorities(good.as_bytes()).expect("both are good").len(), 2);
    }
}

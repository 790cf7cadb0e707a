//! Who is at the other end of a connection: its address, and the certificate that it showed.
//!
//! Guarantees: a certificate is read once and judged at every use: by its dates each time, and by the authorities that
//! vouch for it again as soon as those are exchanged. So neither an end of the certificate nor the removal of an authority
//! waits for the connection to close; whoever holds a stream open is told of the latter.
//! Refuses: a certificate of a certificate authority as a caller's, and one that does not say exactly one name: a single
//! URI, which is a SPIFFE ID, or without a URI a single DNS name. Its subject is never looked at.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use auth_domain::{CertificateName, ShownCertificate};
use portcullis_types::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::{Shown, unix_time};
use crate::listen::Admission;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Where it is; none when it is gone already.
    pub(crate) address: Option<IpAddr>,
    /// What keeps the connection open, once somebody called over it who may.
    pub(crate) admission: Admission,
    /// What it showed.
    pub(crate) certificate: Option<Arc<CallerCertificate>>,
}

/// Why a certificate that somebody vouches for is no caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// It cannot be read.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// It vouches for others.
    #[error("the certificate is a certificate authority's")]
    Authority,
    /// It is not for signatures.
    #[error("the certificate is not for digital signatures")]
    Usage,
    /// It says no name, or more than one.
    #[error("the certificate does not say exactly one name: one SPIFFE ID, or without any URI one DNS name")]
    Names,
    /// Nobody vouches for it any more.
    #[error("no authority vouches for the certificate")]
    NotVouchedFor,
}

/// The certificate of a connection.
pub(crate) struct CallerCertificate {
    chain: Vec<CertificateDer<'static>>,
    says: Result<ShownCertificate, Unfit>,
    listener: Arc<Shown>,
    /// Who vouched for it last.
    vouched_by: Mutex<Arc<dyn ClientCertVerifier>>,
}

impl CallerCertificate {
    /// What a handshake was made with; these vouched for it.
    pub(super) fn new(
        chain: &[CertificateDer<'_>],
        vouched_by: Arc<dyn ClientCertVerifier>,
        listener: Arc<Shown>,
    ) -> Self {
        let chain: Vec<_> = chain.iter().map(|one| one.clone().into_owned()).collect();
        let says = chain.first().ok_or(Unfit::Unreadable).and_then(read);
        Self { chain, says, listener, vouched_by: Mutex::new(vouched_by) }
    }

    /// What it says, as long as somebody vouches for it. Its dates are for whoever asks to judge.
    pub(crate) fn says(&self) -> Result<&ShownCertificate, Unfit> {
        let says = self.says.as_ref().map_err(|unfit| *unfit)?;
        let now = self.listener.good().callers.ok_or(Unfit::NotVouchedFor)?;
        let mut vouched_by = self.vouched_by.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&*vouched_by, &now) {
            let (leaf, others) = self.chain.split_first().ok_or(Unfit::Unreadable)?;
            let vouched = now.verify_client_cert(leaf, others, unix_time(&*self.listener.clock));
            vouched.map_err(|_| Unfit::NotVouchedFor)?;
            *vouched_by = now;
        }
        Ok(says)
    }

    /// Resolves when nobody vouches for it any more, which may be at once.
    pub(crate) async fn disowned(&self) {
        // From before it is judged: an exchange that comes meanwhile is seen.
        let mut exchanges = self.listener.exchanges();
        while self.says().is_ok() {
            if exchanges.changed().await.is_err() {
                return;
            }
        }
    }

    /// When it is over.
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        self.says.as_ref().ok().map(|says| says.not_after)
    }
}

impl fmt::Debug for CallerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerCertificate").field("says", &self.says).finish_non_exhaustive()
    }
}

fn read(leaf: &CertificateDer<'_>) -> Result<ShownCertificate, Unfit> {
    let (rest, certificate) = X509Certificate::from_der(leaf).map_err(|_| Unfit::Unreadable)?;
    if !rest.is_empty() {
        return Err(Unfit::Unreadable);
    }
    let name = name_in(&certificate)?;
    judge_usage(&certificate, &name)?;
    let dates = certificate.validity();
    Ok(ShownCertificate {
        name,
        not_before: Timestamp::from_unix_seconds(dates.not_before.timestamp()),
        not_after: Timestamp::from_unix_seconds(dates.not_after.timestamp()),
    })
}

/// Whoever may sign certificates could name itself as it likes. A SPIFFE ID stands only in a certificate that says that
/// it is for signatures (X.509-SVID 4.3); without a SPIFFE ID, it may say nothing about that.
fn judge_usage(certificate: &X509Certificate<'_>, name: &CertificateName) -> Result<(), Unfit> {
    let constraints = certificate.basic_constraints().map_err(|_| Unfit::Unreadable)?;
    let usage = certificate.key_usage().map_err(|_| Unfit::Unreadable)?;
    let signs_others = usage.as_ref().is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign());
    if signs_others || constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(Unfit::Authority);
    }
    match usage {
        Some(usage) if usage.value.digital_signature() => Ok(()),
        None if !name.is_spiffe_id() => Ok(()),
        Some(_) | None => Err(Unfit::Usage),
    }
}

fn name_in(certificate: &X509Certificate<'_>) -> Result<CertificateName, Unfit> {
    let names = certificate.subject_alternative_name().map_err(|_| Unfit::Unreadable)?.ok_or(Unfit::Names)?;
    let (mut uris, mut hosts) = (Vec::new(), Vec::new());
    for name in &names.value.general_names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            GeneralName::DNSName(host) => hosts.push(*host),
            GeneralName::Invalid(..) => return Err(Unfit::Unreadable),
            _ => {}
        }
    }
    let name = match (&*uris, &*hosts) {
        ([uri], _) => CertificateName::spiffe_id(uri),
        ([], [host]) => CertificateName::dns_name(host),
        _ => return Err(Unfit::Names),
    };
    name.map_err(|_| Unfit::Names)
}

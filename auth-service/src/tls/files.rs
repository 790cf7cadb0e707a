//! The files of the gRPC listener's TLS, read as what they should be.
//!
//! Guarantees that what was read can be used together: a certificate and its key, and authorities that can vouch. Whether
//! the certificate is good at this time is told and not required of a start, which is no better without it; it is of
//! `check-config`, with a key that not everybody on the machine may read.
//! Refuses to repeat what is in them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use portcullis_types::{CertificateStanding, CertificateTerm, Clock, InvalidAuthorities, all_authorities};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;

use super::unix_time;
use crate::config::Tls;

/// Files that cannot be used. What is in them is not repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read as what it should be.
    #[error("`{key}` {} does not hold {what} in PEM", .path.display())]
    File {
        /// Which key of the configuration.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The certificate cannot be shown at this time.
    #[error("`grpc.tls.cert_file` {}: {standing}", .path.display())]
    Term {
        /// Which file.
        path: PathBuf,
        /// Why.
        standing: CertificateStanding,
    },
    /// Others than the owner and its group may read the key.
    #[error("`grpc.tls.key_file` {} may be read by everybody on this machine, or exchanged by others than its owner; set its mode to 0600", .path.display())]
    OpenToAll {
        /// Which file.
        path: PathBuf,
    },
    /// The key is not the certificate's.
    #[error("`grpc.tls`: the certificate and the key do not belong together")]
    Mismatch(#[source] rustls::Error),
    /// A certificate in the bundle is none that could vouch for others.
    #[error("`grpc.tls.client_ca_file` {}", .path.display())]
    ClientAuthority {
        /// Which file.
        path: PathBuf,
        /// Which of its certificates, and why.
        #[source]
        source: InvalidAuthorities,
    },
    /// Nobody could be vouched for.
    #[error("`grpc.tls.client_ca_file` {} cannot be used", .path.display())]
    ClientAuthorities {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: VerifierBuilderError,
    },
}

/// When the files were changed last, as far as can be seen.
pub(super) type Changed = [Option<SystemTime>; 3];

/// What the files hold, when all of them can be used.
#[derive(Clone, Debug)]
pub(super) struct Good {
    pub(super) config: Arc<ServerConfig>,
    /// Who vouches for callers; absent: they show no certificates.
    pub(super) callers: Option<Arc<dyn ClientCertVerifier>>,
    /// When the certificate is good.
    pub(super) term: CertificateTerm,
}

/// The time that certificates are judged by is the same that everything else is judged by.
#[derive(Debug)]
struct Wall(Arc<dyn Clock>);

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(&*self.0))
    }
}

/// When they were changed last.
pub(super) fn changed(files: &Tls) -> Changed {
    let at = |path: &PathBuf| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    [at(&files.cert_file), at(&files.key_file), files.client_ca_file.as_ref().and_then(at)]
}

/// Reads all of them.
pub(super) fn read(files: &Tls, clock: &Arc<dyn Clock>) -> Result<Good, TlsError> {
    let not = |key, path: &PathBuf, what| TlsError::File { key, path: path.clone(), what };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.cert_file)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|_| not("grpc.tls.cert_file", &files.cert_file, "a certificate chain"))?;
    let term = CertificateTerm::of_chain(&chain)
        .map_err(|_| not("grpc.tls.cert_file", &files.cert_file, "a certificate chain"))?;
    let key = PrivateKeyDer::from_pem_file(&files.key_file)
        .map_err(|_| not("grpc.tls.key_file", &files.key_file, "a private key"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let callers = files.client_ca_file.as_ref().map(|file| vouching(file, Arc::clone(&provider))).transpose()?;
    let config = ServerConfig::builder_with_details(provider, Arc::new(Wall(Arc::clone(clock))))
        .with_safe_default_protocol_versions()
        .expect("the provider speaks what rustls speaks by default");
    let config = match &callers {
        Some(callers) => config.with_client_cert_verifier(Arc::clone(callers)),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_single_cert(chain, key).map_err(TlsError::Mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Good { config: Arc::new(config), callers, term })
}

/// Who vouches for callers, of whom none need show a certificate.
fn vouching(file: &PathBuf, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let unreadable =
        || TlsError::File { key: "grpc.tls.client_ca_file", path: file.clone(), what: "certificate authorities" };
    let roots = all_authorities(&std::fs::read(file).map_err(|_| unreadable())?).map_err(|error| match error {
        InvalidAuthorities::NotPem => unreadable(),
        source => TlsError::ClientAuthority { path: file.clone(), source },
    })?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|source| TlsError::ClientAuthorities { path: file.clone(), source })
}

/// Whether everybody on this machine may read a key, or others than its owner exchange it. Its group may read it, as
/// services that share a certificate have it.
pub(super) fn is_too_open(key_file: &Path) -> bool {
    std::fs::metadata(key_file).is_ok_and(|found| found.permissions().mode() & 0o027 != 0)
}

/// Whether a listener can show what they hold, now.
pub(crate) fn check(files: &Tls, clock: &Arc<dyn Clock>) -> Result<CertificateStanding, TlsError> {
    let standing = read(files, clock)?.term.standing(clock.now());
    if is_too_open(&files.key_file) {
        return Err(TlsError::OpenToAll { path: files.key_file.clone() });
    }
    match standing {
        CertificateStanding::Good(_) | CertificateStanding::EndsSoon(_) => Ok(standing),
        CertificateStanding::NotYet(_) | CertificateStanding::Over(_) => {
            Err(TlsError::Term { path: files.cert_file.clone(), standing })
        }
    }
}

//! The channels to the authority's replicas, as the files that they are made of say.
//!
//! A channel connects when it is first used, and again whenever it broke, always with the certificate that it was made
//! with; so another certificate means other channels. There are none that nobody could vouch for: a file of authorities that
//! is empty or half written is refused here, because the transport would take it and trust nobody.

use std::path::Path;

use portcullis_types::{CertificateTerm, Secret, usable_authorities};
use sha2::{Digest as _, Sha256};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::{AuthorityError, CONNECT_TIMEOUT};
use crate::config::AuthorityConfig;

/// HTTP/2 pings, only to free what is dead: liveness is decided by probes.
const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(5);

/// How often the lines had been exchanged when something was opened on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation(u64);

/// One channel for each replica; at least one.
#[derive(Debug)]
pub(super) struct Lines {
    channels: Vec<Channel>,
    generation: Generation,
    /// The digest of the files that they are made of.
    made_of: [u8; 32],
    /// When the certificate is good that is shown, if one is.
    term: Option<CertificateTerm>,
}

impl Lines {
    /// Reads the files.
    pub(super) fn open(config: &AuthorityConfig) -> Result<Self, AuthorityError> {
        let Read { endpoints, term, made_of } = read(config)?;
        let channels = endpoints.iter().map(Endpoint::connect_lazy).collect();
        Ok(Self { channels, generation: Generation::default(), made_of, term })
    }

    /// When the certificate is good that is shown, if one is.
    pub(super) const fn term(&self) -> Option<CertificateTerm> {
        self.term
    }

    /// Gives way to what was read now, unless it is the same. Whether it was another.
    pub(super) fn exchange(&mut self, found: Self) -> bool {
        let is_new = found.made_of != self.made_of;
        if is_new {
            *self = Self { generation: Generation(self.generation.0 + 1), ..found };
        }
        is_new
    }

    /// Which these are.
    pub(super) const fn generation(&self) -> Generation {
        self.generation
    }

    /// The channel to a replica.
    pub(super) fn to(&self, replica: usize) -> Channel {
        self.channels[replica].clone()
    }
}

/// What the files and the configuration say; nobody is connected to.
pub(super) struct Read {
    endpoints: Vec<Endpoint>,
    pub(super) term: Option<CertificateTerm>,
    made_of: [u8; 32],
}

/// Reads the files.
pub(super) fn read(config: &AuthorityConfig) -> Result<Read, AuthorityError> {
    let (mut digest, mut term) = (Sha256::new(), None);
    let tls = config.ca_file.as_ref().map(|file| tls(file, config, &mut digest, &mut term)).transpose()?;
    let endpoints = config.all_endpoints().into_iter().map(|endpoint| endpoint_of(endpoint, tls.as_ref()));
    Ok(Read { endpoints: endpoints.collect::<Result<_, _>>()?, term, made_of: digest.finalize().into() })
}

/// Whoever these authorities vouch for, and nobody else; and the certificate to show, if there is one.
fn tls(
    ca_file: &Path,
    config: &AuthorityConfig,
    digest: &mut Sha256,
    term: &mut Option<CertificateTerm>,
) -> Result<ClientTlsConfig, AuthorityError> {
    let pem = std::fs::read(ca_file).map_err(|source| AuthorityError::CaFile { path: ca_file.to_owned(), source })?;
    digest.update(Sha256::digest(&pem));
    usable_authorities(&pem).map_err(|source| AuthorityError::Authorities { path: ca_file.to_owned(), source })?;
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    if let Some(name) = &config.server_name {
        tls = tls.domain_name(name);
    }
    if let (Some(cert_file), Some(key_file)) = (&config.client_cert_file, &config.client_key_file) {
        let read = |key, path: &Path| {
            let read = std::fs::read(path).map(Secret::new);
            read.map_err(|source| AuthorityError::CertificateFile { key, path: path.to_owned(), source })
        };
        let (cert, key) = (read("client_cert_file", cert_file)?, read("client_key_file", key_file)?);
        digest.update(Sha256::digest(cert.expose_bytes()));
        digest.update(Sha256::digest(key.expose_bytes()));
        *term = Some(CertificateTerm::of_pem(cert.expose_bytes()).map_err(AuthorityError::NotACertificate)?);
        tls = tls.identity(Identity::from_pem(cert.expose_bytes(), key.expose_bytes()));
    }
    Ok(tls)
}

fn endpoint_of(endpoint: String, tls: Option<&ClientTlsConfig>) -> Result<Endpoint, AuthorityError> {
    let endpoint = Endpoint::from_shared(endpoint)
        .map_err(AuthorityError::Endpoint)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true);
    match tls {
        Some(tls) => endpoint.tls_config(tls.clone()).map_err(AuthorityError::Tls),
        None => Ok(endpoint),
    }
}

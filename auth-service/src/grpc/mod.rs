//! The transport for programs: `portcullis.auth.v1` over gRPC.
//!
//! Owns the translation between the contract and the authority, and nothing else: it holds no rules.
//! Guarantees: every call passes the [`gate`]; messages are capped in both directions; keepalive finds dead peers.

mod api_keys;
mod asking;
mod audit;
mod authentication;
mod caller;
mod certificates;
mod credentials;
mod ended;
mod enforced;
mod errors;
mod gate;
mod health;
mod identities;
mod issuers;
mod keys;
mod listing;
mod passwords;
mod revocations;
mod roles;
mod scopes;
mod second_factors;
mod service_tokens;
mod signature_keys;
mod standing;
mod subjects;
mod tenants;
mod tickets;
mod verification;
mod watching;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use auth_domain::Authority;
use portcullis_proto::auth::v1::api_keys_service_server::ApiKeysServiceServer;
use portcullis_proto::auth::v1::audit_service_server::AuditServiceServer;
use portcullis_proto::auth::v1::authentication_service_server::AuthenticationServiceServer;
use portcullis_proto::auth::v1::certificates_service_server::CertificatesServiceServer;
use portcullis_proto::auth::v1::credentials_service_server::CredentialsServiceServer;
use portcullis_proto::auth::v1::identities_service_server::IdentitiesServiceServer;
use portcullis_proto::auth::v1::issuers_service_server::IssuersServiceServer;
use portcullis_proto::auth::v1::keys_service_server::KeysServiceServer;
use portcullis_proto::auth::v1::passwords_service_server::PasswordsServiceServer;
use portcullis_proto::auth::v1::revocations_service_server::RevocationsServiceServer;
use portcullis_proto::auth::v1::roles_service_server::RolesServiceServer;
use portcullis_proto::auth::v1::second_factors_service_server::SecondFactorsServiceServer;
use portcullis_proto::auth::v1::service_tokens_service_server::ServiceTokensServiceServer;
use portcullis_proto::auth::v1::signature_keys_service_server::SignatureKeysServiceServer;
use portcullis_proto::auth::v1::tenants_service_server::TenantsServiceServer;
use portcullis_proto::auth::v1::tickets_service_server::TicketsServiceServer;
use portcullis_proto::auth::v1::verification_service_server::VerificationServiceServer;
use portcullis_types::{Clock, LeaseTerms, Shutdown};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tonic::server::NamedService;
use tonic::service::{Routes, RoutesBuilder};
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

#[cfg(test)]
pub(crate) use self::scopes::METHODS;

use self::gate::Gate;
use self::health::BoundedHealth;
use crate::config::Config;
use crate::listen::Room;
use crate::metrics::Metrics;
use crate::receipts::Receipts;
use crate::revoker::Revoker;
use crate::tailer::LogTail;
use crate::tls::{self, Shown};

/// How many calls one connection may have open; HTTP/2 makes the client wait for one more.
const MOST_STREAMS: u32 = 256;
const MOST_HEADER_BYTES: u32 = 16 * 1024;
const KEEPALIVE: Duration = Duration::from_secs(5);
/// What a gateway accepts: 256 verdicts with the most grants and keys. A page of a long list needs no more than what gRPC
/// clients accept unless told otherwise, which is half of it.
const MOST_BYTES_OUT: usize = 8 << 20;

/// What health is told of: the process, and each service.
const SERVICES: &[&str] = &[
    "",
    <ApiKeysServiceServer<Api> as NamedService>::NAME,
    <AuditServiceServer<Api> as NamedService>::NAME,
    <AuthenticationServiceServer<Api> as NamedService>::NAME,
    <CertificatesServiceServer<Api> as NamedService>::NAME,
    <CredentialsServiceServer<Api> as NamedService>::NAME,
    <IdentitiesServiceServer<Api> as NamedService>::NAME,
    <IssuersServiceServer<Api> as NamedService>::NAME,
    <KeysServiceServer<Api> as NamedService>::NAME,
    <PasswordsServiceServer<Api> as NamedService>::NAME,
    <RevocationsServiceServer<Api> as NamedService>::NAME,
    <RolesServiceServer<Api> as NamedService>::NAME,
    <SecondFactorsServiceServer<Api> as NamedService>::NAME,
    <ServiceTokensServiceServer<Api> as NamedService>::NAME,
    <SignatureKeysServiceServer<Api> as NamedService>::NAME,
    <TenantsServiceServer<Api> as NamedService>::NAME,
    <TicketsServiceServer<Api> as NamedService>::NAME,
    <VerificationServiceServer<Api> as NamedService>::NAME,
];

/// What every service needs. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    authority: Arc<Authority>,
    revoker: Revoker,
    log: Arc<LogTail>,
    receipts: Arc<Receipts>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    watches: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    leases: LeaseTerms,
    probe_interval: Duration,
    max_deadline: Duration,
    max_message_bytes: usize,
    reflection: bool,
    shown: Option<Arc<Shown>>,
    room: Arc<Room>,
}

/// What the transport is made of.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// Who decides.
    pub(crate) authority: Arc<Authority>,
    /// Where revocations share entries.
    pub(crate) revoker: Revoker,
    /// What is new in the log.
    pub(crate) log: Arc<LogTail>,
    /// Who enforces what.
    pub(crate) receipts: Arc<Receipts>,
    /// Where calls are counted.
    pub(crate) metrics: Arc<Metrics>,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Who owns the tasks.
    pub(crate) shutdown: Shutdown,
}

/// A transport that cannot be built or broke.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrpcError {
    /// The contract's descriptors cannot be served.
    #[error("the contract cannot be reflected")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The server ended.
    #[error("the gRPC server failed")]
    Transport(#[from] tonic::transport::Error),
}

impl Api {
    /// With its bounds from the configuration.
    pub(crate) fn new(parts: Parts, shown: Option<Arc<Shown>>, config: &Config) -> Self {
        let leases = parts.authority.settings().leases;
        let limits = &config.grpc.limits;
        let room = Room::new(limits.caps(), parts.metrics.refused("grpc"));
        Self {
            authority: parts.authority,
            revoker: parts.revoker,
            log: parts.log,
            receipts: parts.receipts,
            metrics: parts.metrics,
            clock: parts.clock,
            shutdown: parts.shutdown,
            watches: Arc::new(Semaphore::new(limits.watches)),
            waiting: Arc::new(Semaphore::new(limits.receipts)),
            leases,
            probe_interval: Duration::from_millis(config.guarantee.probe_interval_ms),
            max_deadline: Duration::from_millis(config.grpc.max_deadline_ms),
            max_message_bytes: config.grpc.max_message_bytes,
            reflection: config.grpc.reflection,
            shown,
            room,
        }
    }

    /// B for what is committed now, as the contract counts it.
    fn enforced_within_ms(&self) -> i64 {
        wire::millis(self.receipts.bound())
    }

    /// Serves until shutdown is requested and the last call has ended.
    pub(crate) async fn serve(self, listener: TcpListener) -> Result<(), GrpcError> {
        let health = HealthReporter::new();
        report(&health, ServingStatus::Serving).await;
        let routes = self.routes(&health)?;
        let gate = Gate {
            authority: Arc::clone(&self.authority),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
            denials: Arc::default(),
            max_deadline: self.max_deadline,
        };
        let shutdown = self.shutdown.clone();
        Server::builder()
            .layer(gate)
            .max_concurrent_streams(MOST_STREAMS)
            .http2_max_header_list_size(MOST_HEADER_BYTES)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .add_routes(routes)
            .serve_with_incoming_shutdown(tls::connections(listener, self.room, self.shown), async move {
                shutdown.requested().await;
                report(&health, ServingStatus::NotServing).await;
            })
            .await?;
        Ok(())
    }

    fn routes(&self, health: &HealthReporter) -> Result<Routes, GrpcError> {
        let mut routes = Routes::builder();
        macro_rules! serve {
            ($($server:ident),* $(,)?) => {$(
                routes.add_service(
                    $server::new(self.clone())
                        .max_decoding_message_size(self.max_message_bytes)
                        .max_encoding_message_size(self.max_message_bytes.max(MOST_BYTES_OUT)),
                );
            )*};
        }
        serve!(
            ApiKeysServiceServer,
            AuditServiceServer,
            AuthenticationServiceServer,
            CertificatesServiceServer,
            CredentialsServiceServer,
            IdentitiesServiceServer,
            IssuersServiceServer,
            KeysServiceServer,
            PasswordsServiceServer,
            RevocationsServiceServer,
            RolesServiceServer,
            SecondFactorsServiceServer,
            ServiceTokensServiceServer,
            SignatureKeysServiceServer,
            TenantsServiceServer,
            TicketsServiceServer,
            VerificationServiceServer,
        );
        let health = BoundedHealth::of(health, self.shutdown.clone());
        routes.add_service(tonic_health::pb::health_server::HealthServer::new(health));
        if self.reflection {
            reflect(&mut routes)?;
        }
        Ok(routes.routes())
    }
}

fn reflect(routes: &mut RoutesBuilder) -> Result<(), GrpcError> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(portcullis_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    routes.add_service(reflection);
    Ok(())
}

/// Tells load balancers about every service of the contract.
async fn report(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES.iter().copied() {
        health.set_service_status(service, status).await;
    }
}

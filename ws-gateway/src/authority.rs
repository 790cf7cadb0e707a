//! The line to the authority.
//!
//! Owns the gRPC channel, the gateway's own credential for it, and the deadline and number of open questions.
//! Guarantees that a question ends by its deadline whatever the network does, and that the API key is only ever in the
//! call's metadata. Refuses nothing by itself: what an answer means is for others.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use portcullis_observe::{Kind, Span};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::revocations_service_client::RevocationsServiceClient;
use portcullis_proto::auth::v1::verification_service_client::VerificationServiceClient;
use portcullis_types::{OpaqueKind, OpaqueToken, Secret};
use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::config::AuthorityConfig;

/// How long a connection may take to stand, and a watch to be answered.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// HTTP/2 pings, only to free what is dead: liveness is decided by probes.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Nothing the authority says in one message is larger: 256 verdicts with their grants.
const MESSAGE_BYTES: usize = 8 << 20;

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The endpoint cannot be one.
    #[error("authority.endpoint: {0}")]
    Endpoint(#[source] tonic::transport::Error),
    /// The file of certificate authorities cannot be read.
    #[error("authority.ca_file {path}: {source}")]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key file cannot be read.
    #[error("authority.api_key_file {path}: {source}")]
    KeyFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key file holds something else. It is not repeated.
    #[error("authority.api_key_file {path}: does not hold an API key (pk_…)")]
    NotAKey {
        /// Which file.
        path: PathBuf,
    },
}

/// Why there is no answer. Never a verdict.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The deadline passed, in the queue or on the line.
    #[error("the authority did not answer in time")]
    Late,
    /// The call failed.
    #[error("the authority did not answer: {:?}", .0.code())]
    Failed(Box<Status>),
}

impl NoAnswer {
    /// Whether another call could be answered: this one is too large, or what it asks about cannot be told.
    pub fn is_about_the_call(&self) -> bool {
        use tonic::Code;
        match self {
            Self::Late => false,
            Self::Failed(status) => matches!(
                status.code(),
                Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument | Code::Internal | Code::DataLoss
            ),
        }
    }
}

/// The line to the authority.
#[derive(Debug)]
pub struct Authority {
    channel: Channel,
    key: RwLock<MetadataValue<Ascii>>,
    key_file: PathBuf,
    deadline: Duration,
    /// Full: further questions wait until their deadline, then there is no answer.
    questions: Semaphore,
}

impl Authority {
    /// A line that connects when it is first used, and again whenever it broke.
    pub fn new(config: &AuthorityConfig) -> Result<Self, AuthorityError> {
        let endpoint = Endpoint::from_shared(config.endpoint.clone())
            .map_err(AuthorityError::Endpoint)?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true);
        let endpoint = match &config.ca_file {
            Some(file) => endpoint.tls_config(trusting(file, config)?).map_err(AuthorityError::Endpoint)?,
            None => endpoint,
        };
        Ok(Self {
            channel: endpoint.connect_lazy(),
            key: RwLock::new(read_key(&config.api_key_file)?),
            key_file: config.api_key_file.clone(),
            deadline: Duration::from_millis(config.deadline_ms),
            questions: Semaphore::new(config.concurrency),
        })
    }

    /// Reads the key file again, so that a key can be replaced without a restart. The old key stays if that fails.
    pub async fn reload_key(&self) -> Result<(), AuthorityError> {
        let file = self.key_file.clone();
        let read = tokio::task::spawn_blocking(move || read_key(&file)).await;
        if let Ok(key) = read {
            *self.key.write().unwrap_or_else(PoisonError::into_inner) = key?;
        }
        Ok(())
    }

    /// Asks about one presented credential.
    pub async fn verify(&self, question: v1::VerifyRequest) -> Result<v1::VerifyResponse, NoAnswer> {
        let mut client = VerificationServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES);
        let mut request = self.request(question);
        let span = Span::within("Verify", Kind::Client);
        if let Some(parent) = span.traceparent().and_then(|parent| parent.parse().ok()) {
            request.metadata_mut().insert("traceparent", parent);
        }
        let answered = self.within_deadline(async move { client.verify(request).await }).await;
        if answered.is_err() {
            span.fail();
        }
        answered
    }

    /// Asks again about what was admitted.
    pub async fn batch_verify(&self, question: v1::BatchVerifyRequest) -> Result<v1::BatchVerifyResponse, NoAnswer> {
        let mut client = VerificationServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES);
        let request = self.request(question);
        // Not behind the questions of handshakes: whoever is admitted comes first, and there are few who ask this.
        let answered = tokio::time::timeout(self.deadline, client.batch_verify(request)).await;
        answered.map_err(|_| NoAnswer::Late)?.map(tonic::Response::into_inner).map_err(failed)
    }

    /// Opens a watch; `requests` must already hold its start.
    pub async fn watch(
        &self,
        requests: ReceiverStream<v1::WatchRequest>,
    ) -> Result<Streaming<v1::WatchResponse>, NoAnswer> {
        let mut client = RevocationsServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES);
        let mut request = Request::new(requests);
        self.identify(request.metadata_mut());
        let opened = tokio::time::timeout(2 * CONNECT_TIMEOUT, client.watch(request)).await;
        opened.map_err(|_| NoAnswer::Late)?.map(tonic::Response::into_inner).map_err(failed)
    }

    async fn within_deadline<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, NoAnswer> {
        let answered = tokio::time::timeout(self.deadline, async {
            // Never closed, so a permit always comes; not getting one is the same as being late.
            let _permit = self.questions.acquire().await.map_err(|_| NoAnswer::Late)?;
            call.await.map(tonic::Response::into_inner).map_err(failed)
        });
        answered.await.map_err(|_| NoAnswer::Late)?
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        self.identify(request.metadata_mut());
        request
    }

    fn identify(&self, metadata: &mut tonic::metadata::MetadataMap) {
        let key = self.key.read().unwrap_or_else(PoisonError::into_inner).clone();
        metadata.insert("authorization", key);
    }
}

/// Whoever these authorities vouch for, and nobody else.
fn trusting(file: &std::path::Path, config: &AuthorityConfig) -> Result<ClientTlsConfig, AuthorityError> {
    let pem = std::fs::read(file).map_err(|source| AuthorityError::CaFile { path: file.to_owned(), source })?;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    Ok(match &config.server_name {
        Some(name) => tls.domain_name(name),
        None => tls,
    })
}

fn failed(status: Status) -> NoAnswer {
    NoAnswer::Failed(Box::new(status))
}

fn read_key(path: &std::path::Path) -> Result<MetadataValue<Ascii>, AuthorityError> {
    let text = std::fs::read(path)
        .map(Secret::new)
        .map_err(|source| AuthorityError::KeyFile { path: path.to_owned(), source })?;
    let not_a_key = || AuthorityError::NotAKey { path: path.to_owned() };
    let text = text.expose_str().ok_or_else(not_a_key)?.trim();
    let key = OpaqueToken::parse(text).map_err(|_| not_a_key())?;
    if key.kind != OpaqueKind::ApiKey {
        return Err(not_a_key());
    }
    let mut value: MetadataValue<Ascii> = format!("Bearer {text}").parse().map_err(|_| not_a_key())?;
    value.set_sensitive(true);
    Ok(value)
}

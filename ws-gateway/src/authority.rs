//! The line to the authority.
//!
//! Owns a gRPC channel to each replica, the gateway's own credentials for them, and the deadline and number of open
//! questions. What one replica does not answer another is asked: a question changes nothing, and one about a ticket carries
//! the name of its redemption, so that it may be asked twice.
//! Guarantees that a question ends by its deadline whatever the network does, that the API key is only ever in the
//! call's metadata, and that a certificate whose files changed is shown from the next connection on, which comes within
//! seconds. Refuses nothing by itself: what an answer means is for others.

mod lines;

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use portcullis_observe::{CertificateWatch, Kind, Span};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::revocations_service_client::RevocationsServiceClient;
use portcullis_proto::auth::v1::verification_service_client::VerificationServiceClient;
use portcullis_types::{
    CertificateStanding, Clock, InvalidAuthorities, NotACertificate, OpaqueKind, OpaqueToken, Secret, Shutdown,
    Timestamp,
};
use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

pub use self::lines::Generation;
use self::lines::Lines;
use crate::config::AuthorityConfig;

/// How long a connection may take to stand, and a watch to be answered.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How often it is looked whether there is another certificate to show.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

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
    /// The file of certificate authorities does not hold any.
    #[error("authority.ca_file {path}: {source}")]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: InvalidAuthorities,
    },
    /// A file of the gateway's own certificate cannot be read.
    #[error("authority.{key} {path}: {source}")]
    CertificateFile {
        /// Which key of the configuration.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The gateway's own files for TLS do not hold what they should, or do not belong together.
    #[error("authority.client_cert_file, client_key_file: they do not hold PEM, or do not belong together")]
    Tls(#[source] tonic::transport::Error),
    /// The file of the gateway's own certificate holds something else.
    #[error("authority.client_cert_file {0}")]
    NotACertificate(#[source] NotACertificate),
    /// Nobody takes the gateway's own certificate at this time.
    #[error("authority.client_cert_file {path}: {standing}")]
    Term {
        /// Which file.
        path: PathBuf,
        /// Why.
        standing: CertificateStanding,
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
    /// Whether another replica may answer: this one was not reached, or did not say anything.
    fn is_about_the_line(&self) -> bool {
        use tonic::Code;
        match self {
            Self::Late => true,
            Self::Failed(status) => {
                was_made_here(status) || matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled)
            }
        }
    }

    /// Whether another call could be answered: this one is too large, or what it asks about cannot be told.
    pub fn is_about_the_call(&self) -> bool {
        use tonic::Code;
        match self {
            Self::Late => false,
            Self::Failed(status) => {
                !was_made_here(status)
                    && matches!(
                        status.code(),
                        Code::OutOfRange
                            | Code::ResourceExhausted
                            | Code::InvalidArgument
                            | Code::Internal
                            | Code::DataLoss
                    )
            }
        }
    }
}

/// A connection that broke, or an answer that is no gRPC, is a status of any code. It has a cause; one that was received has none.
fn was_made_here(status: &Status) -> bool {
    status.source().is_some()
}

/// The line to the authority.
#[derive(Debug)]
pub struct Authority {
    lines: RwLock<Lines>,
    config: AuthorityConfig,
    replicas: usize,
    /// Which answered last, and is asked first.
    preferred: AtomicUsize,
    /// None: the certificate says who calls.
    key: RwLock<Option<MetadataValue<Ascii>>>,
    deadline: Duration,
    /// Full: further questions wait until their deadline, then there is no answer.
    questions: Semaphore,
    /// How long the certificate is good that is shown, if one is.
    certificate: Option<CertificateWatch>,
}

/// Whether lines could be opened with the files that are named, without opening one.
pub fn check(config: &AuthorityConfig, now: Timestamp) -> Result<(), AuthorityError> {
    config.api_key_file.as_deref().map(read_key).transpose()?;
    let standing = lines::read(config)?.term.map(|term| term.standing(now));
    match (standing, &config.client_cert_file) {
        (Some(standing @ (CertificateStanding::NotYet(_) | CertificateStanding::Over(_))), Some(path)) => {
            Err(AuthorityError::Term { path: path.clone(), standing })
        }
        _ => Ok(()),
    }
}

impl Authority {
    /// Lines to all replicas.
    pub fn new(config: &AuthorityConfig, clock: Arc<dyn Clock>) -> Result<Self, AuthorityError> {
        let lines = Lines::open(config)?;
        let certificate = lines.term().map(|term| CertificateWatch::new("this gateway", clock, term));
        if let Some(certificate) = &certificate {
            certificate.look();
        }
        Ok(Self {
            certificate,
            lines: RwLock::new(lines),
            config: config.clone(),
            replicas: config.all_endpoints().len(),
            preferred: AtomicUsize::new(0),
            key: RwLock::new(config.api_key_file.as_deref().map(read_key).transpose()?),
            deadline: Duration::from_millis(config.deadline_ms),
            questions: Semaphore::new(config.concurrency),
        })
    }

    /// How many replicas there are.
    pub const fn replicas(&self) -> usize {
        self.replicas
    }

    /// Reads the files again, so that a key or a certificate can be replaced without a restart. What is good stays where
    /// that fails.
    pub async fn reload(self: &Arc<Self>) -> Result<(), AuthorityError> {
        let line = Arc::clone(self);
        // A panic there has been told; everything stays.
        tokio::task::spawn_blocking(move || {
            // The key first, and both whatever becomes of the other: a certificate that is broken does not keep an old
            // key in use, nor the other way round.
            let key = line.config.api_key_file.as_deref().map(read_key).transpose();
            let key = key.map(|key| *line.key.write().unwrap_or_else(PoisonError::into_inner) = key);
            line.look().and(key)
        })
        .await
        .unwrap_or(Ok(()))
    }

    /// Shows another certificate as soon as there is one, until shutdown is requested.
    pub async fn tend(self: Arc<Self>, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            let line = Arc::clone(&self);
            // A panic there has been told.
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || line.look()).await {
                tracing::warn!(%error, "the certificate cannot be read again; the old one stays");
            }
        }
    }

    /// For how many seconds the certificate is still good that is shown, if one is; below 0 when it is over.
    pub fn certificate_seconds_left(&self) -> Option<f64> {
        self.certificate.as_ref().map(CertificateWatch::seconds_left)
    }

    /// Which lines there are now: what stands on those of another generation should move.
    pub fn generation(&self) -> Generation {
        self.lines.read().unwrap_or_else(PoisonError::into_inner).generation()
    }

    /// Exchanges the lines if the files for them have changed.
    fn look(&self) -> Result<(), AuthorityError> {
        if self.config.client_cert_file.is_none() {
            return Ok(());
        }
        // First, because the old one goes on to its end where the files cannot be used.
        if let Some(certificate) = &self.certificate {
            certificate.look();
        }
        let found = Lines::open(&self.config)?;
        let term = found.term();
        if self.lines.write().unwrap_or_else(PoisonError::into_inner).exchange(found) {
            tracing::info!("another certificate is shown to the authority from now on");
            if let (Some(certificate), Some(term)) = (&self.certificate, term) {
                certificate.exchange(term);
            }
        }
        Ok(())
    }

    fn channel(&self, replica: usize) -> Channel {
        self.lines.read().unwrap_or_else(PoisonError::into_inner).to(replica)
    }

    /// Asks about one presented credential.
    pub async fn verify(&self, question: v1::VerifyRequest) -> Result<v1::VerifyResponse, NoAnswer> {
        let span = Span::within("Verify", Kind::Client);
        let trace: Option<MetadataValue<Ascii>> = span.traceparent().and_then(|parent| parent.parse().ok());
        let answered = tokio::time::timeout(self.deadline, async {
            // Never closed, so a permit always comes; not getting one is the same as being late.
            let _permit = self.questions.acquire().await.map_err(|_| NoAnswer::Late)?;
            self.ask(question, trace, async |channel, request| {
                let mut client = VerificationServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES);
                client.verify(request).await
            })
            .await
        });
        let answered = answered.await.map_err(|_| NoAnswer::Late).flatten();
        if answered.is_err() {
            span.fail();
        }
        answered
    }

    /// Asks again about what was admitted.
    pub async fn batch_verify(&self, question: v1::BatchVerifyRequest) -> Result<v1::BatchVerifyResponse, NoAnswer> {
        // Not behind the questions of handshakes: whoever is admitted comes first, and there are few who ask this.
        let asked = self.ask(question, None, async |channel, request| {
            let mut client = VerificationServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES);
            client.batch_verify(request).await
        });
        tokio::time::timeout(self.deadline, asked).await.map_err(|_| NoAnswer::Late)?
    }

    /// Asks one replica after the other, each for its share of the deadline, until one answers.
    async fn ask<Q: Clone, R>(
        &self,
        question: Q,
        trace: Option<MetadataValue<Ascii>>,
        call: impl AsyncFn(Channel, Request<Q>) -> Result<tonic::Response<R>, Status>,
    ) -> Result<R, NoAnswer> {
        let replicas = self.replicas;
        let first = self.preferred.load(Ordering::Relaxed);
        let share = self.deadline / u32::try_from(replicas).unwrap_or(u32::MAX);
        let mut last = NoAnswer::Late;
        for turn in 0..replicas {
            let replica = (first + turn) % replicas;
            let mut request = self.request(question.clone());
            if let Some(trace) = trace.clone() {
                request.metadata_mut().insert("traceparent", trace);
            }
            let called = tokio::time::timeout(share, call(self.channel(replica), request)).await;
            last = match called {
                Err(_late) => NoAnswer::Late,
                Ok(Err(status)) => failed(status),
                Ok(Ok(answer)) => {
                    self.preferred.store(replica, Ordering::Relaxed);
                    return Ok(answer.into_inner());
                }
            };
            if !last.is_about_the_line() {
                break;
            }
        }
        Err(last)
    }

    /// Opens a watch on this replica; `requests` must already hold its start. Says on which lines it stands.
    pub async fn watch(
        &self,
        replica: usize,
        requests: ReceiverStream<v1::WatchRequest>,
    ) -> Result<(Generation, Streaming<v1::WatchResponse>), NoAnswer> {
        let (generation, channel) = {
            let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
            (lines.generation(), lines.to(replica % self.replicas))
        };
        let mut client = RevocationsServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES);
        let mut request = Request::new(requests);
        self.identify(request.metadata_mut());
        let opened = tokio::time::timeout(2 * CONNECT_TIMEOUT, client.watch(request)).await;
        let opened = opened.map_err(|_| NoAnswer::Late)?.map_err(failed)?;
        Ok((generation, opened.into_inner()))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        self.identify(request.metadata_mut());
        request
    }

    fn identify(&self, metadata: &mut tonic::metadata::MetadataMap) {
        if let Some(key) = self.key.read().unwrap_or_else(PoisonError::into_inner).clone() {
            metadata.insert("authorization", key);
        }
    }
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

#[cfg(test)]
mod tests;

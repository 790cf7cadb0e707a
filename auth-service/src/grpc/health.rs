//! What load balancers ask, without a credential.
//!
//! Guarantees: watches of health end when shutdown is requested, and so many may be open; one more is refused.
//! A connection that only asks for health has no caller: it ends after `grpc.limits.admission_ms` and is counted as refused,
//! and a balancer connects again.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use portcullis_types::Shutdown;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::{HealthReporter, HealthService};

/// How many watches of health may be open.
const MOST_WATCHES: usize = 64;

/// Health as it is reported, with its bounds.
#[derive(Debug)]
pub(super) struct BoundedHealth {
    inner: HealthService,
    shutdown: Shutdown,
    watches: Arc<Semaphore>,
}

impl BoundedHealth {
    /// Tells what the reporter says.
    pub(super) fn of(reporter: &HealthReporter, shutdown: Shutdown) -> Self {
        let inner = HealthService::from_health_reporter(reporter.clone());
        Self { inner, shutdown, watches: Arc::new(Semaphore::new(MOST_WATCHES)) }
    }
}

#[tonic::async_trait]
impl Health for BoundedHealth {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.inner.check(request).await
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let place = Arc::clone(&self.watches)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("too many watches of health are open"))?;
        let told = self.inner.watch(request).await?.into_inner();
        let shutdown = self.shutdown.clone();
        let told = told.take_until(async move { shutdown.requested().await });
        // The place is given back with the stream.
        let held = told.map(move |message| {
            let _held = &place;
            message
        });
        Ok(Response::new(Box::pin(held)))
    }
}

//! A stand-in between a gateway and its authority that answers `Verify` late.
//!
//! Everything is the real authority's own answer; only the moment is ours.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_proto::auth::v1;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};
use v1::revocations_service_server::{RevocationsService, RevocationsServiceServer};
use v1::verification_service_server::{VerificationService, VerificationServiceServer};

use crate::{Api, within};

/// See the module.
#[derive(Debug)]
pub struct SlowAuthority {
    /// Where the gateway finds it.
    pub address: SocketAddr,
    held: tokio::sync::Mutex<mpsc::UnboundedReceiver<()>>,
    gate: Arc<Semaphore>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Front {
    real: Api,
    held: mpsc::UnboundedSender<()>,
    gate: Arc<Semaphore>,
}

impl SlowAuthority {
    /// Stands before `real`, whose key is the gateway's. Every answer to `Verify` is held until [`Self::release`].
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn before(real: Api) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (sender, held) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let front = Front { real, held: sender, gate: Arc::clone(&gate) };
        let server = tonic::transport::Server::builder()
            .add_service(VerificationServiceServer::new(front.clone()))
            .add_service(RevocationsServiceServer::new(front))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(async move { server.await.expect("the stand-in serves") });
        Self { address, held: tokio::sync::Mutex::new(held), gate, task }
    }

    /// Waits until the authority has made a verdict that is now held.
    pub async fn holds_a_verdict(&self) {
        within("a verdict to be held", async { self.held.lock().await.recv().await }).await.expect("it still serves");
    }

    /// Lets one held verdict go.
    pub fn release(&self) {
        self.gate.add_permits(1);
    }
}

impl Drop for SlowAuthority {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tonic::async_trait]
impl VerificationService for Front {
    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Result<Response<v1::VerifyResponse>, Status> {
        let verdict = self.real.verification().verify(request.into_inner()).await?;
        let _ = self.held.send(());
        self.gate.acquire().await.map_err(|_| Status::unavailable("ending"))?.forget();
        Ok(verdict)
    }

    async fn batch_verify(
        &self,
        request: Request<v1::BatchVerifyRequest>,
    ) -> Result<Response<v1::BatchVerifyResponse>, Status> {
        self.real.verification().batch_verify(request.into_inner()).await
    }
}

#[tonic::async_trait]
impl RevocationsService for Front {
    type WatchStream = Streaming<v1::WatchResponse>;
    type FetchRangeStream = Streaming<v1::FetchRangeResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<v1::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let upstream = request.into_inner().map_while(Result::ok);
        self.real.revocations().watch(upstream).await
    }

    async fn fetch_range(
        &self,
        request: Request<v1::FetchRangeRequest>,
    ) -> Result<Response<Self::FetchRangeStream>, Status> {
        self.real.revocations().fetch_range(request.into_inner()).await
    }

    async fn get_guarantee(
        &self,
        request: Request<v1::GetGuaranteeRequest>,
    ) -> Result<Response<v1::GetGuaranteeResponse>, Status> {
        self.real.revocations().get_guarantee(request.into_inner()).await
    }
}

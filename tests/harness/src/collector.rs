//! A stand-in for an OpenTelemetry collector: it keeps what it is sent.
//!
//! At its end that is searched for secrets, as a log is; what is found fails the test.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::{eventually, secrets};

/// See the module.
#[derive(Debug)]
pub struct Collector {
    /// Where it listens.
    pub address: SocketAddr,
    kept: Kept,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    spans: Arc<Mutex<Vec<(String, Span)>>>,
    /// All of it, as text.
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let kept = Kept::default();
        let service = TraceServiceServer::new(kept.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        let serving = server.serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(async move { serving.await.expect("the stand-in serves") });
        Self { address, kept, task }
    }

    /// The configuration that sends traces here, as a TOML table.
    pub fn config(&self) -> String {
        format!("[traces]\nendpoint = \"http://{}\"\n", self.address)
    }

    /// Waits for a span of this service with this name that `is` what is looked for.
    pub async fn span(&self, service: &str, name: &str, is: impl Fn(&Span) -> bool) -> Span {
        eventually(&format!("a span {name} of {service}"), || async {
            let kept = self.kept.spans.lock().unwrap_or_else(PoisonError::into_inner);
            let mut found = kept.iter().filter(|(of, span)| of == service && span.name == name).map(|(_, span)| span);
            found.find(|span| is(span)).cloned()
        })
        .await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
        if !std::thread::panicking() {
            let sent = self.kept.sent.lock().unwrap_or_else(PoisonError::into_inner);
            secrets::assert_none_in("the traces", &sent);
        }
    }
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let sent = request.into_inner();
        // A line each, so that what is found can be found.
        let text = format!("{sent:?}\n");
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(text.as_bytes());
        let mut kept = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        for of in sent.resource_spans {
            let service = format!("{:?}", of.resource);
            let service = ["auth-service", "ws-gateway"].into_iter().find(|name| service.contains(name));
            let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
            kept.extend(spans.map(|span| (service.unwrap_or_default().to_owned(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

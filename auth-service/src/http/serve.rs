//! Speaks HTTP/1.1 on accepted connections.
//!
//! Guarantees: headers have at most 16 KiB and 64 lines and must arrive within ten seconds; on shutdown each connection
//! finishes its request and closes.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::StreamExt as _;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use portcullis_types::Shutdown;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use super::client::Peer;
use crate::listen::{self, Accepted, Room};

const MOST_HEADER_BYTES: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
const HEADER_TIME: Duration = Duration::from_secs(10);

/// Serves until shutdown is requested, then stops accepting; each connection is a tracked task.
pub(crate) async fn serve(listener: TcpListener, room: Arc<Room>, router: Router, shutdown: Shutdown) {
    let mut connections = pin!(listen::connections(listener, room));
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            Some(Ok(accepted)) = connections.next() => {
                shutdown.track(converse(accepted, router.clone(), shutdown.clone()));
            }
        }
    }
}

async fn converse(accepted: Accepted, router: Router, shutdown: Shutdown) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MOST_HEADER_BYTES)
        .max_headers(MOST_HEADERS)
        .keep_alive(true);
    let peer = Peer(accepted.peer());
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(accepted), TowerToHyperService::new(service)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}

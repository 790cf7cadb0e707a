//! Accepting connections and speaking HTTP/1.1 on them until they become sockets or end.
//!
//! Guarantees: a request's head is bounded in bytes and in time, idle connections end, and the number of connections is
//! bounded: above it, whoever comes is told 503 with `Retry-After` before any work is done for them.
//! What the kernel may hold for a slow peer is capped, because it can no longer be taken back by a fence.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_types::{Entropy, Shutdown};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::LimitsConfig;
use crate::metrics::Metrics;
use crate::problem::retry_seconds;
use crate::routes::Routes;

/// How long a peer may take to send a request's head, and to send the next one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may speak HTTP, sockets aside: a peer that never reads an answer would keep its place for ever.
const HTTP_LIFETIME: Duration = Duration::from_secs(60);

/// What the kernel may hold for one slow peer, before the kernel's own doubling.
const SEND_BUFFER: u32 = 64 * 1024;

/// Connections that wait to be accepted; the kernel drops more.
const BACKLOG: u32 = 1_024;

/// Peers that are told 503 at one time; more are dropped without a word.
const REFUSALS: usize = 64;

/// How long telling one of them may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Until accepting is tried again after it failed, as it does when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why nobody listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else does.
    #[error("listen: {0} is taken by another program; stop it or set another address (port 0 takes any free one)")]
    Taken(SocketAddr),
    /// Something else.
    #[error("listen: {address}: {source}")]
    Failed {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Connections beside the sockets: handshakes under way, health checks, metrics. Sockets never take these places.
const OTHERS: usize = 256;

/// Binds the address.
pub fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    try_bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken(address),
        _ => ListenError::Failed { address, source },
    })
}

fn try_bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A place among the connections; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(metrics: Arc<Metrics>, permit: OwnedSemaphorePermit) -> Arc<Self> {
        metrics.connections.inc();
        Arc::new(Self { metrics, _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

/// Who came: what a request needs to know beside itself.
#[derive(Clone, Debug)]
pub struct Peer {
    /// From where.
    pub address: IpAddr,
    /// Its place, which a socket keeps.
    pub place: Arc<Place>,
}

/// Accepts until shutdown is requested. The connections are tasks of `tasks`.
#[derive(Debug)]
pub struct Acceptor {
    routes: Arc<Routes>,
    http: http1::Builder,
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    entropy: Arc<dyn Entropy>,
    tasks: Shutdown,
}

impl Acceptor {
    /// For these routes, within these limits.
    pub fn new(
        routes: Arc<Routes>,
        limits: &LimitsConfig,
        metrics: Arc<Metrics>,
        entropy: Arc<dyn Entropy>,
        tasks: Shutdown,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(limits.header_bytes.max(8_192))
            .half_close(false);
        let (places, refusals) = (Semaphore::new(limits.sockets + OTHERS), Semaphore::new(REFUSALS));
        Self { routes, http, places: Arc::new(places), refusals: Arc::new(refusals), metrics, entropy, tasks }
    }

    /// Accepts until shutdown is requested, then closes the listener.
    pub async fn run(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.tasks.requested() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.accepted(stream, address.ip()),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn accepted(&self, stream: TcpStream, address: IpAddr) {
        // A small frame must not wait for the acknowledgement of the one before it.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => {
                let place = Place::new(Arc::clone(&self.metrics), permit);
                self.serve(stream, Peer { address, place });
            }
            Err(_full) => self.refuse(stream),
        }
    }

    fn serve(&self, stream: TcpStream, peer: Peer) {
        let routes = Arc::clone(&self.routes);
        let service = service_fn(move |request: Request<Incoming>| {
            let (routes, peer) = (Arc::clone(&routes), peer.clone());
            async move { Ok::<_, Infallible>(routes.answer(request, peer).await) }
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let stopping = self.tasks.clone();
        self.tasks.track(async move {
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                biased;
                // What a peer did wrong is told to the peer; there is nobody else to tell.
                _ended = &mut connection => return,
                () = stopping.requested() => {}
                () = tokio::time::sleep(HTTP_LIFETIME) => {}
            }
            connection.as_mut().graceful_shutdown();
            // What was begun is finished in time or not at all.
            let _ended = tokio::time::timeout(HEADER_TIMEOUT, connection).await;
        });
    }

    fn refuse(&self, mut stream: TcpStream) {
        self.metrics.limit("sockets");
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        let retry = retry_seconds(&*self.entropy);
        self.tasks.track(async move {
            let _permit = permit;
            let told = async {
                let answer = format!(
                    "HTTP/1.1 503 Service Unavailable\r\nretry-after: {retry}\r\ncontent-length: 0\r\n\
                     connection: close\r\n\r\n"
                );
                // Reading what was sent first keeps the kernel from throwing the answer away with a reset.
                let mut head = Box::new([0; 2_048]);
                let _read = stream.read(&mut head[..]).await?;
                stream.write_all(answer.as_bytes()).await?;
                stream.shutdown().await
            };
            // A peer that does not listen is dropped; so is one that breaks off.
            let _told = tokio::time::timeout(REFUSAL_TIMEOUT, told).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_a_clear_message() {
        let first = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("any free port");
        let address = first.local_addr().expect("it is bound");
        let error = bind(address).expect_err("taken").to_string();
        assert!(error.contains(&address.to_string()) && error.contains("taken by another program"), "{error}");
    }
}

//! Listening sockets and the connections they accept, the same for both transports.
//!
//! Guarantees: `TCP_NODELAY` on every accepted connection (a checkpoint or an entry must not wait for an
//! acknowledgement), and at most so many connections at once: beyond that, new ones wait in the kernel's backlog.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, stream};
use portcullis_observe::MetricsListener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; change `{key}` or stop what uses it")]
pub(crate) struct ListenError {
    address: SocketAddr,
    key: &'static str,
    source: io::Error,
}

/// Binds the address that `key` configures.
pub(crate) async fn bind(address: SocketAddr, key: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError { address, key, source })
}

/// Binds the listener for metrics alone, if there is one.
pub(crate) fn bind_metrics(address: Option<SocketAddr>) -> Result<Option<MetricsListener>, ListenError> {
    let bind = |address| {
        MetricsListener::bind(address).map_err(|source| ListenError { address, key: "metrics.listen", source })
    };
    address.map(bind).transpose()
}

/// Connections as they come, never an end and never an error: an accept that fails is tried again after a pause.
pub(crate) fn connections(listener: TcpListener, most: usize) -> impl Stream<Item = io::Result<Accepted>> {
    let room = Arc::new(Semaphore::new(most));
    stream::unfold((listener, room), |(listener, room)| async {
        let accepted = accept(&listener, &room).await;
        Some((Ok(accepted), (listener, room)))
    })
}

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> Accepted {
    loop {
        let permit = Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, peer)) => match stream.set_nodelay(true) {
                Ok(()) => return Accepted { stream, _permit: permit },
                Err(error) => tracing::debug!(%peer, %error, "a connection was gone at once"),
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A connection, which holds its place until it is dropped.
#[derive(Debug)]
pub(crate) struct Accepted {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
}

impl Accepted {
    /// Who is at the other end; none when it is gone already.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.stream.peer_addr().ok().map(|address| address.ip())
    }
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt as _;

    async fn any_port() -> TcpListener {
        bind(SocketAddr::from(([127, 0, 0, 1], 0)), "grpc.listen").await.expect("some port is free")
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_the_key_to_change() {
        let holder = any_port().await;
        let address = holder.local_addr().expect("it is bound");
        let error = bind(address, "grpc.listen").await.expect_err("it is taken").to_string();
        assert!(error.contains(&address.to_string()) && error.contains("grpc.listen"), "{error}");
    }

    #[tokio::test]
    async fn every_accepted_connection_has_nodelay() {
        let listener = any_port().await;
        let address = listener.local_addr().expect("it is bound");
        let mut connections = std::pin::pin!(connections(listener, 1));
        let _client = TcpStream::connect(address).await.expect("it listens");
        let accepted = connections.next().await.expect("never ends").expect("never fails");
        assert!(accepted.stream.nodelay().expect("it is open"));
    }

    #[tokio::test]
    async fn a_connection_over_the_bound_waits_until_another_ends() {
        let listener = any_port().await;
        let address = listener.local_addr().expect("it is bound");
        let mut connections = std::pin::pin!(connections(listener, 1));
        let _first = TcpStream::connect(address).await.expect("it listens");
        let _second = TcpStream::connect(address).await.expect("the backlog takes it");
        let held = connections.next().await;
        assert!(futures_util::poll!(connections.next()).is_pending());
        drop(held);
        assert!(connections.next().await.is_some());
    }
}

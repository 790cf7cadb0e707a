//! Listening sockets and the connections they accept, the same for both transports.
//!
//! Guarantees: `TCP_NODELAY` on every accepted connection (a checkpoint or an entry must not wait for an
//! acknowledgement), and no more connections than [`Room`] has for all and for one address.

mod room;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Stream, stream};
use portcullis_observe::MetricsListener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

use self::room::Place;
pub(crate) use self::room::{Admission, Caps, Refused, Room, network_of};

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
pub(crate) fn connections(listener: TcpListener, room: Arc<Room>) -> impl Stream<Item = io::Result<Accepted>> {
    stream::unfold((listener, room), |(listener, room)| async {
        let accepted = accept(&listener, &room).await;
        Some((Ok(accepted), (listener, room)))
    })
}

async fn accept(listener: &TcpListener, room: &Arc<Room>) -> Accepted {
    loop {
        let permit = room.wait().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(place) = room.take(permit, peer.ip()) else {
                    tracing::debug!(%peer, "an address has its share of connections");
                    continue;
                };
                match stream.set_nodelay(true) {
                    Ok(()) => return Accepted::new(stream, place),
                    Err(error) => tracing::debug!(%peer, %error, "a connection was gone at once"),
                }
            }
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
    place: Place,
    admission: Admission,
    /// When it ends if nobody was admitted; none once somebody was.
    ends: Option<Pin<Box<Sleep>>>,
    has_ended: bool,
}

impl Accepted {
    fn new(stream: TcpStream, place: Place) -> Self {
        let ends = place.room().admission().map(|time| Box::pin(tokio::time::sleep(time)));
        Self { stream, place, admission: Admission::default(), ends, has_ended: false }
    }

    /// Who is at the other end; none when it is gone already.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.stream.peer_addr().ok().map(|address| address.ip())
    }

    /// What keeps it open.
    pub(crate) fn admission(&self) -> Admission {
        self.admission.clone()
    }

    /// Ready when it has been open for long enough without anybody who may call. Asked before all that waits for the
    /// peer: with one that reads nothing, only writes are polled.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.admission.is_given() {
            self.ends = None;
        }
        if !self.has_ended {
            let Some(ends) = &mut self.ends else { return Poll::Pending };
            ready!(ends.as_mut().poll(cx));
            self.has_ended = true;
            self.place.room().not_admitted();
        }
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "nobody who may call has called"))
    }
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(ended) = self.poll_end(cx) {
            return Poll::Ready(Err(ended));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(ended) = self.poll_end(cx) {
            return Poll::Ready(Err(ended));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(ended) = self.poll_end(cx) {
            return Poll::Ready(Err(ended));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(ended) = self.poll_end(cx) {
            return Poll::Ready(Err(ended));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use portcullis_config::TrustedProxies;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn room(most: usize) -> Arc<Room> {
        let caps = Caps { most, per_address: most, proxies: TrustedProxies::default(), admission: None };
        Room::new(caps, Refused::default())
    }

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
        let mut connections = std::pin::pin!(connections(listener, room(1)));
        let _client = TcpStream::connect(address).await.expect("it listens");
        let accepted = connections.next().await.expect("never ends").expect("never fails");
        assert!(accepted.stream.nodelay().expect("it is open"));
    }

    #[tokio::test]
    async fn a_connection_over_the_bound_waits_until_another_ends() {
        let listener = any_port().await;
        let address = listener.local_addr().expect("it is bound");
        let mut connections = std::pin::pin!(connections(listener, room(1)));
        let _first = TcpStream::connect(address).await.expect("it listens");
        let _second = TcpStream::connect(address).await.expect("the backlog takes it");
        let held = connections.next().await;
        assert!(futures_util::poll!(connections.next()).is_pending());
        drop(held);
        assert!(connections.next().await.is_some());
    }

    #[tokio::test]
    async fn a_connection_over_the_share_of_its_address_is_refused_and_keeps_nobody_waiting() {
        let listener = any_port().await;
        let address = listener.local_addr().expect("it is bound");
        let caps = Caps { most: 9, per_address: 1, proxies: TrustedProxies::default(), admission: None };
        let mut connections = std::pin::pin!(connections(listener, Room::new(caps, Refused::default())));
        let _first = TcpStream::connect(address).await.expect("it listens");
        let held = connections.next().await.expect("never ends").expect("never fails");
        let mut second = TcpStream::connect(address).await.expect("the backlog takes it");
        let mut byte = [0];
        tokio::select! {
            _ = connections.next() => panic!("it is one too many"),
            // Closed or reset: nothing was read of it.
            read = second.read(&mut byte) => assert!(!read.is_ok_and(|bytes| bytes > 0)),
        }
        drop(held);
        let _third = TcpStream::connect(address).await.expect("it listens");
        connections.next().await.expect("never ends").expect("there is a place again");
    }

    /// Connections of which one ends after a minute without anybody who may call.
    fn for_a_minute(listener: TcpListener, refused: &Refused) -> impl Stream<Item = io::Result<Accepted>> {
        let admission = Some(Duration::from_secs(60));
        let caps = Caps { most: 9, per_address: 9, proxies: TrustedProxies::default(), admission };
        connections(listener, Room::new(caps, refused.clone()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_unless_somebody_is_admitted_in_time() {
        let listener = any_port().await;
        let address = listener.local_addr().expect("it is bound");
        let refused = Refused::default();
        let mut connections = std::pin::pin!(for_a_minute(listener, &refused));
        let mut clients = Vec::new();
        let mut accepted = Vec::new();
        for _ in 0..2 {
            clients.push(TcpStream::connect(address).await.expect("it listens"));
            accepted.push(connections.next().await.expect("never ends").expect("never fails"));
        }
        accepted[0].admission().give();
        let ended = accepted[1].read(&mut [0]).await.expect_err("nobody was admitted");
        assert_eq!((ended.kind(), refused.unauthenticated.get()), (io::ErrorKind::TimedOut, 1));
        assert!(futures_util::poll!(std::pin::pin!(accepted[0].read(&mut [0]))).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_peer_reads_nothing_ends_too_and_is_counted_once() {
        let listener = any_port().await;
        let address = listener.local_addr().expect("it is bound");
        let refused = Refused::default();
        let mut connections = std::pin::pin!(for_a_minute(listener, &refused));
        let _reads_nothing = TcpStream::connect(address).await.expect("it listens");
        let mut accepted = connections.next().await.expect("never ends").expect("never fails");
        let ended = loop {
            // Until no more is taken, and then until the minute is over.
            if let Err(ended) = accepted.write(&[0; 65_536]).await {
                break ended;
            }
        };
        let flushed = accepted.flush().await.expect_err("it has ended");
        let read = accepted.read(&mut [0]).await.expect_err("it has ended");
        assert_eq!([ended.kind(), flushed.kind(), read.kind()], [io::ErrorKind::TimedOut; 3]);
        assert_eq!(refused.unauthenticated.get(), 1);
    }
}

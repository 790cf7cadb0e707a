//! What a name means, and the way there: the two questions of a fetch to the machine, so that a test can answer them.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::net::TcpStream;

/// See the module.
#[async_trait]
pub(super) trait Network: Send + Sync {
    /// Every address that a name has now, or the one that it is.
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// A connection to the first of them that answers.
    async fn connect(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream>;
}

/// The one that this process runs on.
pub(super) struct ThisMachine;

#[async_trait]
impl Network for ThisMachine {
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        TcpStream::connect(addresses).await
    }
}

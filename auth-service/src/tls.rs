//! TLS on the gRPC listener: handshakes, and certificates that are exchanged without a restart.
//!
//! Guarantees: a connection is handed on only after its handshake, which takes at most ten seconds and keeps no other
//! one waiting; new files are taken up within five seconds of their change, for connections that begin after that; files
//! that cannot be used are named in the log, and the last good ones stay.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures_util::{Stream, StreamExt as _};
use portcullis_types::Shutdown;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::config::Tls;
use crate::listen::{self, Accepted};
use crate::tailer::SourceText as _;

const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Files that cannot be used. What is in them is not repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read as what it should be.
    #[error("`{key}` {} does not hold {what} in PEM", .path.display())]
    File {
        /// Which key of the configuration.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The key is not the certificate's.
    #[error("`grpc.tls`: the certificate and the key do not belong together")]
    Mismatch(#[source] rustls::Error),
}

/// What the listener shows to whoever connects.
#[derive(Debug)]
pub(crate) struct Shown {
    files: Tls,
    now: RwLock<(Arc<ServerConfig>, [Option<SystemTime>; 2])>,
}

impl Shown {
    /// Reads the files.
    pub(crate) fn open(files: &Tls) -> Result<Arc<Self>, TlsError> {
        let now = RwLock::new((read(files)?, changed(files)));
        Ok(Arc::new(Self { files: files.clone(), now }))
    }

    /// Takes new files up until shutdown is requested.
    pub(crate) async fn tend(self: Arc<Self>, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            let shown = Arc::clone(&self);
            // The files may be on a slow disk. A panic there has been told; the certificate stays.
            drop(tokio::task::spawn_blocking(move || shown.look()).await);
        }
    }

    /// Takes new files up, when they have changed.
    pub(crate) fn look(&self) {
        let found = changed(&self.files);
        if self.now.read().unwrap_or_else(PoisonError::into_inner).1 == found {
            return;
        }
        match read(&self.files) {
            Ok(config) => {
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = (config, found);
                tracing::info!("the certificate of the gRPC listener was exchanged");
            }
            Err(error) => {
                tracing::error!(%error, cause = error.source_text(), "the certificate of the gRPC listener stays");
            }
        }
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner).0))
    }
}

/// When the files were changed last, as far as can be seen.
fn changed(files: &Tls) -> [Option<SystemTime>; 2] {
    [&files.cert_file, &files.key_file].map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn read(files: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let not = |key, path: &PathBuf, what| TlsError::File { key, path: path.clone(), what };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.cert_file)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|_| not("grpc.tls.cert_file", &files.cert_file, "a certificate chain"))?;
    let key = PrivateKeyDer::from_pem_file(&files.key_file)
        .map_err(|_| not("grpc.tls.key_file", &files.key_file, "a private key"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider speaks what rustls speaks by default")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Connections as they come: in the clear, or after their handshake when there is something to show.
pub(crate) fn connections(
    listener: TcpListener,
    most: usize,
    shown: Option<Arc<Shown>>,
) -> impl Stream<Item = io::Result<Line>> {
    let shaken = listen::connections(listener, most).map(move |accepted| {
        let shown = shown.clone();
        async move {
            let accepted = accepted.ok()?;
            let Some(shown) = shown else { return Some(Ok(Line::Plain(accepted))) };
            let shaken = tokio::time::timeout(HANDSHAKE_TIME, shown.acceptor().accept(accepted)).await;
            // Who speaks no TLS, or does not like the certificate, has been told by the handshake.
            shaken.ok()?.ok().map(|stream| Ok(Line::Tls(Box::new(stream))))
        }
    });
    // As many at once as there may be connections, so that slow ones keep nobody waiting.
    shaken.buffer_unordered(most).filter_map(std::future::ready)
}

/// A connection that gRPC is spoken on.
#[derive(Debug)]
pub(crate) enum Line {
    /// In the clear, on this machine.
    Plain(Accepted),
    /// After its handshake.
    Tls(Box<TlsStream<Accepted>>),
}

impl Connected for Line {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        match self {
            Self::Plain(accepted) => accepted.connect_info(),
            Self::Tls(stream) => stream.get_ref().0.connect_info(),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

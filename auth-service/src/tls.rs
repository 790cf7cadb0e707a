//! TLS on the gRPC listener: handshakes, certificates of callers, and files that are exchanged without a restart.
//!
//! Guarantees: a connection is handed on only after its handshake, which takes at most ten seconds and keeps no other
//! one waiting; new files are taken up within five seconds of their change, for connections that begin after that; files
//! that cannot be used are named in the log, and the last good ones stay. A caller may show a certificate where authorities
//! for them are configured; one that they do not vouch for ends the handshake, and is never taken for none.
//! Refuses: to resume a session, which would bring a certificate back that nobody vouches for any more.

mod caller;

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures_util::{Stream, StreamExt as _};
use portcullis_types::{Clock, InvalidAuthorities, Shutdown, all_authorities};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

pub(crate) use self::caller::{CallerCertificate, Peer};
use crate::config::Tls;
use crate::listen::{self, Accepted, Room};
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
    /// A certificate in the bundle is none that could vouch for others.
    #[error("`grpc.tls.client_ca_file` {}", .path.display())]
    ClientAuthority {
        /// Which file.
        path: PathBuf,
        /// Which of its certificates, and why.
        #[source]
        source: InvalidAuthorities,
    },
    /// Nobody could be vouched for.
    #[error("`grpc.tls.client_ca_file` {} cannot be used", .path.display())]
    ClientAuthorities {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: VerifierBuilderError,
    },
}

/// What the listener shows to whoever connects.
#[derive(Debug)]
pub(crate) struct Shown {
    files: Tls,
    clock: Arc<dyn Clock>,
    now: watch::Sender<(Good, Changed)>,
}

/// When the files were changed last, as far as can be seen.
type Changed = [Option<SystemTime>; 3];

/// What the files hold, when all of them can be used.
#[derive(Clone, Debug)]
struct Good {
    config: Arc<ServerConfig>,
    /// Who vouches for callers; absent: they show no certificates.
    callers: Option<Arc<dyn ClientCertVerifier>>,
}

/// The time that certificates are judged by is the same that everything else is judged by.
#[derive(Debug)]
struct Wall(Arc<dyn Clock>);

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(&*self.0))
    }
}

fn unix_time(clock: &dyn Clock) -> UnixTime {
    let seconds = u64::try_from(clock.now().as_unix_seconds()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

impl Shown {
    /// Reads the files.
    pub(crate) fn open(files: &Tls, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TlsError> {
        let changed = changed(files);
        let now = watch::Sender::new((read(files, &clock)?, changed));
        Ok(Arc::new(Self { files: files.clone(), clock, now }))
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
        if self.now.borrow().1 == found {
            return;
        }
        match read(&self.files, &self.clock) {
            Ok(good) => {
                self.now.send_replace((good, found));
                tracing::info!(
                    "the certificate of the gRPC listener, or the authorities of its callers, were exchanged"
                );
            }
            Err(error) => {
                tracing::error!(%error, cause = error.source_text(), "the certificate and the authorities of callers stay as they were");
            }
        }
    }

    fn good(&self) -> Good {
        self.now.borrow().0.clone()
    }

    /// Stirs whenever the files were exchanged.
    fn exchanges(&self) -> watch::Receiver<(Good, Changed)> {
        self.now.subscribe()
    }

    /// One handshake, and who is at the other end.
    async fn shake(self: &Arc<Self>, accepted: Accepted) -> Option<Line> {
        let (address, admission, good) = (accepted.peer(), accepted.admission(), self.good());
        let shaken = TlsAcceptor::from(Arc::clone(&good.config)).accept(accepted);
        let stream = match tokio::time::timeout(HANDSHAKE_TIME, shaken).await {
            Ok(Ok(stream)) => stream,
            // Who speaks no TLS, or does not like the certificate, or has one that is not liked, has been told by it.
            Ok(Err(error)) => {
                tracing::debug!(peer = ?address, %error, "a handshake failed");
                return None;
            }
            Err(_late) => return None,
        };
        let chain = stream.get_ref().1.peer_certificates();
        let shown = chain.zip(good.callers).map(|(chain, by)| CallerCertificate::new(chain, by, Arc::clone(self)));
        Some(Line::Tls(Box::new(stream), Peer { address, admission, certificate: shown.map(Arc::new) }))
    }
}

fn changed(files: &Tls) -> Changed {
    let at = |path: &PathBuf| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    [at(&files.cert_file), at(&files.key_file), files.client_ca_file.as_ref().and_then(at)]
}

fn read(files: &Tls, clock: &Arc<dyn Clock>) -> Result<Good, TlsError> {
    let not = |key, path: &PathBuf, what| TlsError::File { key, path: path.clone(), what };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.cert_file)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|_| not("grpc.tls.cert_file", &files.cert_file, "a certificate chain"))?;
    let key = PrivateKeyDer::from_pem_file(&files.key_file)
        .map_err(|_| not("grpc.tls.key_file", &files.key_file, "a private key"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let callers = files.client_ca_file.as_ref().map(|file| vouching(file, Arc::clone(&provider))).transpose()?;
    let config = ServerConfig::builder_with_details(provider, Arc::new(Wall(Arc::clone(clock))))
        .with_safe_default_protocol_versions()
        .expect("the provider speaks what rustls speaks by default");
    let config = match &callers {
        Some(callers) => config.with_client_cert_verifier(Arc::clone(callers)),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_single_cert(chain, key).map_err(TlsError::Mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Good { config: Arc::new(config), callers })
}

/// Who vouches for callers, of whom none need show a certificate.
fn vouching(file: &PathBuf, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let unreadable =
        || TlsError::File { key: "grpc.tls.client_ca_file", path: file.clone(), what: "certificate authorities" };
    let roots = all_authorities(&std::fs::read(file).map_err(|_| unreadable())?).map_err(|error| match error {
        InvalidAuthorities::NotPem => unreadable(),
        source => TlsError::ClientAuthority { path: file.clone(), source },
    })?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|source| TlsError::ClientAuthorities { path: file.clone(), source })
}

/// Connections as they come: in the clear, or after their handshake when there is something to show.
pub(crate) fn connections(
    listener: TcpListener,
    room: Arc<Room>,
    shown: Option<Arc<Shown>>,
) -> impl Stream<Item = io::Result<Line>> {
    let most = room.most();
    let shaken = listen::connections(listener, room).map(move |accepted| {
        let shown = shown.clone();
        async move {
            let accepted = accepted.ok()?;
            match shown {
                Some(shown) => shown.shake(accepted).await.map(Ok),
                None => Some(Ok(Line::Plain(accepted))),
            }
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
    /// After its handshake, with who is at the other end.
    Tls(Box<TlsStream<Accepted>>, Peer),
}

impl Connected for Line {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        match self {
            Self::Plain(accepted) => {
                Peer { address: accepted.peer(), admission: accepted.admission(), certificate: None }
            }
            Self::Tls(_, peer) => peer.clone(),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream, _) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream, _) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream, _) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream, _) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use portcullis_types::SystemClock;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    fn authority() -> String {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("makes a key"));
        ca.expect("signs itself").pem()
    }

    /// As if it had been changed so long after 1970: clocks of file systems are coarse.
    fn write(path: &Path, text: &str, at: u64) {
        std::fs::write(path, text).expect("it can be written");
        let file = std::fs::File::options().write(true).open(path).expect("it is there");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at)).expect("it can be dated");
    }

    #[test]
    fn a_bundle_or_a_pair_that_cannot_be_used_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = |name: &str| folder.path().join(name);
        let key = KeyPair::generate().expect("makes a key");
        let params = CertificateParams::new(vec!["authority.test".to_owned()]).expect("a valid name");
        let (bundle, pair) = (path("clients.pem"), path("cert.pem"));
        write(&pair, &params.self_signed(&key).expect("is signed").pem(), 1);
        write(&path("key.pem"), &key.serialize_pem(), 1);
        write(&bundle, &authority(), 1);
        let files = Tls { cert_file: pair.clone(), key_file: path("key.pem"), client_ca_file: Some(bundle.clone()) };
        let shown = Shown::open(&files, Arc::new(SystemClock)).expect("they are good");
        let callers = || shown.good().callers.expect("callers show certificates");
        let first = callers();
        let cut = authority();
        let (half, good) = (&cut[..cut.len() / 2], std::fs::read_to_string(&pair).expect("it is there"));
        for (at, broken) in (2..).zip(["", "no certificate", half]) {
            write(&bundle, broken, at);
            shown.look();
            assert!(Arc::ptr_eq(&first, &callers()), "{broken}");
        }
        write(&bundle, &format!("{}{}", authority(), authority()), 7);
        write(&pair, "no certificate", 7);
        shown.look();
        assert!(Arc::ptr_eq(&first, &callers()), "the bundle waits for a pair that can be used");
        write(&pair, &good, 8);
        shown.look();
        assert!(!Arc::ptr_eq(&first, &callers()), "all of them are good");
    }
}

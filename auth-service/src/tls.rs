//! TLS on the gRPC listener: handshakes, certificates of callers, and files that are exchanged without a restart.
//!
//! Guarantees: a connection is handed on only after its handshake, which takes at most ten seconds and keeps no other
//! one waiting; new files are taken up within five seconds of their change, for connections that begin after that; files
//! that cannot be used are named in the log, and the last good ones stay. A caller may show a certificate where authorities
//! for them are configured; one that they do not vouch for ends the handshake, and is never taken for none.
//! Refuses: to resume a session, which would bring a certificate back that nobody vouches for any more.

mod caller;
mod files;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use portcullis_observe::CertificateWatch;
use portcullis_types::{Clock, Shutdown};
use rustls::pki_types::UnixTime;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

pub(crate) use self::caller::{CallerCertificate, Peer};
use self::files::{Changed, Good, changed, read};
pub(crate) use self::files::{TlsError, check};
use crate::config::Tls;
use crate::listen::{self, Accepted, Room};
use crate::tailer::SourceText as _;

const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What the listener shows to whoever connects.
#[derive(Debug)]
pub(crate) struct Shown {
    files: Tls,
    clock: Arc<dyn Clock>,
    now: watch::Sender<(Good, Changed)>,
    certificate: Arc<CertificateWatch>,
}

fn unix_time(clock: &dyn Clock) -> UnixTime {
    let seconds = u64::try_from(clock.now().as_unix_seconds()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

impl Shown {
    /// Reads the files.
    pub(crate) fn open(files: &Tls, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TlsError> {
        let changed = changed(files);
        let good = read(files, &clock)?;
        let certificate = CertificateWatch::new("the gRPC listener", Arc::clone(&clock), good.term);
        let now = watch::Sender::new((good, changed));
        let this = Self { files: files.clone(), clock, now, certificate: Arc::new(certificate) };
        this.certificate.look();
        this.tell_open_key();
        Ok(Arc::new(this))
    }

    /// How long what is shown is good.
    pub(crate) const fn certificate(&self) -> &Arc<CertificateWatch> {
        &self.certificate
    }

    fn tell_open_key(&self) {
        let file = &self.files.key_file;
        if files::is_too_open(file) {
            tracing::warn!(file = %file.display(), "everybody on this machine may read the key of the gRPC listener: set its mode to 0600");
        }
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

    /// Takes new files up, when they have changed, and tells how the certificate stands, when that has.
    pub(crate) fn look(&self) {
        let found = changed(&self.files);
        if self.now.borrow().1 == found {
            self.certificate.look();
            return;
        }
        match read(&self.files, &self.clock) {
            Ok(good) => {
                let term = good.term;
                self.now.send_replace((good, found));
                tracing::info!(
                    "the certificate of the gRPC listener, or the authorities of its callers, were exchanged"
                );
                self.certificate.exchange(term);
                self.tell_open_key();
            }
            Err(error) => {
                self.certificate.look();
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
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::time::SystemTime;

    use portcullis_types::{CertificateStanding, ManualClock, SystemClock, Timestamp};
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

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
    /// 1 January 2030.
    const START: Timestamp = Timestamp::from_unix_seconds(1_893_456_000);
    const DAY: Duration = Duration::from_secs(86_400);

    /// Files of a certificate that is good in 2030.
    fn of_a_year(folder: &Path) -> Tls {
        let files = Tls { cert_file: folder.join("cert.pem"), key_file: folder.join("key.pem"), client_ca_file: None };
        let key = KeyPair::generate().expect("makes a key");
        let mut params = CertificateParams::new(vec!["authority.test".to_owned()]).expect("a valid name");
        (params.not_before, params.not_after) = (date_time_ymd(2030, 1, 1), date_time_ymd(2031, 1, 1));
        write(&files.cert_file, &params.self_signed(&key).expect("is signed").pem(), 1);
        write(&files.key_file, &key.serialize_pem(), 1);
        open_to(&files.key_file, 0o600);
        files
    }

    fn open_to(file: &Path, mode: u32) {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    #[test]
    fn a_certificate_that_nobody_takes_is_refused_before_a_start_and_told_at_one() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let files = of_a_year(folder.path());
        let manual = Arc::new(ManualClock::starting_at(START.saturating_sub(DAY)));
        let clock: Arc<dyn Clock> = manual.clone();
        let refused =
            |standing| matches!(check(&files, &clock), Err(TlsError::Term { standing: is, .. }) if is == standing);
        assert!(refused(CertificateStanding::NotYet(DAY)));
        manual.advance(2 * DAY);
        assert!(matches!(check(&files, &clock), Ok(CertificateStanding::Good(_))));
        let shown = Shown::open(&files, Arc::clone(&clock)).expect("it is good");
        assert_eq!(shown.certificate().look(), None, "there is nothing to tell");
        manual.advance(360 * DAY);
        assert!(matches!(check(&files, &clock), Ok(CertificateStanding::EndsSoon(_))));
        manual.advance(34 * DAY);
        assert!(refused(CertificateStanding::Over(30 * DAY)));
        let again = Shown::open(&files, Arc::clone(&clock)).expect("a start is no better without it");
        assert_eq!(again.certificate().look(), None, "the start told it");
        assert!((shown.certificate().seconds_left() + 30.0 * DAY.as_secs_f64()).abs() < 1e-6);
        let newer = of_a_year(folder.path());
        write(&newer.cert_file, &std::fs::read_to_string(&newer.cert_file).expect("it is there"), 2);
        shown.look();
        assert_eq!(shown.certificate().look(), None, "the exchange told it");
    }

    #[test]
    fn a_key_that_everybody_may_read_is_refused_before_a_start() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let files = of_a_year(folder.path());
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(START + DAY));
        for (mode, may) in [(0o600, true), (0o640, true), (0o644, false), (0o660, false), (0o602, false)] {
            open_to(&files.key_file, mode);
            let checked = check(&files, &clock);
            assert_eq!(checked.is_ok(), may, "{mode:o}: {checked:?}");
            assert!(may || matches!(checked, Err(TlsError::OpenToAll { .. })), "{mode:o}");
        }
        assert!(Shown::open(&files, clock).is_ok(), "it is told, and no reason not to serve");
    }
}

//! Fetching a document from an address that somebody else chose.
//!
//! Guarantees: every address that the name has is public, or one that the operator allows, and the connection goes to one
//! that was checked, so that a name that means something else a moment later leads nowhere; the certificate is checked
//! against the public roots and those that the operator adds; a redirect is not followed; time and bytes are bounded.
//! Refuses plain HTTP, except to this machine where the configuration says so.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use auth_domain::{InvalidDocument, MAX_DOCUMENT_BYTES};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use portcullis_types::usable_authorities;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::address::AllowedNetworks;
use super::network::{Network, ThisMachine};
use crate::config::Issuers;
use crate::http_client::answer_over;

/// Why a document was not fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The URL is not one.
    #[error("the URL is not one that can be fetched")]
    Url,
    /// The name is not known.
    #[error("the name has no address")]
    Name(#[source] io::Error),
    /// It would lead inside.
    #[error("the name has an address that is neither public nor in `issuers.allowed_networks`")]
    PrivateAddress,
    /// It would be in the clear.
    #[error("plain HTTP is spoken to this machine only, and only where `issuers.allow_loopback_http` says so")]
    Plaintext,
    /// Nothing answers there, or the certificate is not good.
    #[error("the connection failed")]
    Connection(#[source] io::Error),
    /// What answers there does not speak HTTP.
    #[error("the exchange failed")]
    Exchange(#[from] hyper::Error),
    /// Another answer than the document; a redirect is one.
    #[error("answered with status {0}; redirects are not followed")]
    Status(StatusCode),
    /// The document is too large, or did not come to its end.
    #[error("the document did not come whole, or has more than {MAX_DOCUMENT_BYTES} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no answer in time")]
    Late,
    /// The document means nothing.
    #[error(transparent)]
    Document(#[from] InvalidDocument),
}

impl FetchError {
    /// As it is counted.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Name(_) => "name",
            Self::PrivateAddress => "private_address",
            Self::Plaintext => "plaintext",
            Self::Connection(_) => "connection",
            Self::Exchange(_) => "exchange",
            Self::Status(_) => "status",
            Self::Body(_) => "body",
            Self::Late => "late",
            Self::Document(_) => "document",
        }
    }
}

/// The file of additional roots cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`issuers.ca_file` {} holds no certificate authorities in PEM", .0.display())]
pub(crate) struct RootsError(PathBuf);

/// See the module.
pub(super) struct Fetcher {
    network: Box<dyn Network>,
    tls: TlsConnector,
    patience: Duration,
    allow_loopback_http: bool,
    allowed: AllowedNetworks,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// With the roots that the operator adds.
    pub(super) fn new(config: &Issuers) -> Result<Self, RootsError> {
        let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(file) = &config.ca_file {
            let unusable = || RootsError(file.clone());
            let added = std::fs::read(file).ok().and_then(|pem| usable_authorities(&pem).ok());
            roots.extend(added.ok_or_else(unusable)?.roots);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider speaks what rustls speaks by default")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            network: Box::new(ThisMachine),
            tls: TlsConnector::from(Arc::new(tls)),
            patience: Duration::from_millis(config.fetch_timeout_ms),
            allow_loopback_http: config.allow_loopback_http,
            allowed: config.allowed_networks.clone(),
        })
    }

    /// Whether the host of a URL is an address, as it stands there, that is never fetched from.
    pub(super) fn is_out_of_reach(&self, url: &str) -> bool {
        let Ok(uri) = url.parse::<Uri>() else { return false };
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        host.parse::<IpAddr>().is_ok_and(|address| self.check(is_tls, &[(address, 0).into()]).is_err())
    }

    /// The document at a URL.
    pub(super) async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        tokio::time::timeout(self.patience, self.get_patiently(url)).await.unwrap_or(Err(FetchError::Late))
    }

    async fn get_patiently(&self, url: &str) -> Result<Bytes, FetchError> {
        let uri: Uri = url.parse().map_err(|_| FetchError::Url)?;
        let host = uri.host().ok_or(FetchError::Url)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let addresses = self.network.addresses(&host, port).await.map_err(FetchError::Name)?;
        self.check(is_tls, &addresses)?;
        // To what was checked: the name is not looked up again.
        let stream = self.network.connect(&addresses).await.map_err(FetchError::Connection)?;
        if !is_tls {
            return exchange(stream, &uri).await;
        }
        let name = ServerName::try_from(host).map_err(|_| FetchError::Url)?;
        exchange(self.tls.connect(name, stream).await.map_err(FetchError::Connection)?, &uri).await
    }

    /// One address that leads inside spoils the others: a name that has both is not to be trusted.
    fn check(&self, is_tls: bool, addresses: &[SocketAddr]) -> Result<(), FetchError> {
        let every = |check: &dyn Fn(IpAddr) -> bool| !addresses.is_empty() && addresses.iter().all(|at| check(at.ip()));
        match is_tls {
            true if every(&|address| self.allowed.may_reach(address)) => Ok(()),
            true => Err(FetchError::PrivateAddress),
            false if self.allow_loopback_http && every(&|address| address.is_loopback()) => Ok(()),
            false => Err(FetchError::Plaintext),
        }
    }
}

async fn exchange<S>(stream: S, uri: &Uri) -> Result<Bytes, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, uri.authority().ok_or(FetchError::Url)?.as_str())
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Url)?;
    let answer = async {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_DOCUMENT_BYTES).collect().await.map_err(FetchError::Body)?;
        Ok(body.to_bytes())
    };
    answer_over(connection, answer).await
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use tokio::net::TcpStream;

    use super::*;

    fn fetcher(allow_loopback_http: bool) -> Fetcher {
        Fetcher::new(&Issuers { allow_loopback_http, ..Issuers::default() }).expect("no file is named")
    }

    #[tokio::test]
    async fn this_machine_and_what_is_inside_are_not_fetched_from() {
        let fetcher = fetcher(true);
        for url in [
            "https://127.0.0.1/",
            "https://localhost/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00::1]/",
            "https://100.64.0.1/",
        ] {
            assert!(matches!(fetcher.get(url).await, Err(FetchError::PrivateAddress)), "{url}");
        }
    }

    /// A name that means a public address first and this machine ever after, and whom it led to.
    #[derive(Default)]
    struct Rebound {
        lookups: AtomicUsize,
        connections: Arc<Mutex<Vec<SocketAddr>>>,
    }

    const PUBLIC: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)), 443);

    #[async_trait]
    impl Network for Rebound {
        async fn addresses(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            let is_first = self.lookups.fetch_add(1, Ordering::Relaxed) == 0;
            Ok(vec![if is_first { PUBLIC } else { (Ipv4Addr::LOCALHOST, port).into() }])
        }

        async fn connect(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
            self.connections.lock().expect("nobody panics").extend(addresses);
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    }

    #[tokio::test]
    async fn a_name_that_means_another_address_a_moment_later_leads_nowhere_else() {
        let network = Rebound::default();
        let connections = Arc::clone(&network.connections);
        let fetcher = Fetcher { network: Box::new(network), ..fetcher(true) };
        let led_to = || std::mem::take(&mut *connections.lock().expect("nobody panics"));
        assert!(matches!(fetcher.get("https://id.example/").await, Err(FetchError::Connection(_))));
        assert_eq!(led_to(), [PUBLIC], "to the one that was checked");
        assert!(matches!(fetcher.get("https://id.example/").await, Err(FetchError::PrivateAddress)));
        assert_eq!(led_to(), [], "each fetch is checked");
    }

    #[tokio::test]
    async fn plain_http_goes_to_this_machine_only_and_only_when_allowed() {
        for url in ["http://10.0.0.1/", "http://1.1.1.1/"] {
            assert!(matches!(fetcher(true).get(url).await, Err(FetchError::Plaintext)), "{url}");
        }
        assert!(matches!(fetcher(false).get("http://127.0.0.1:1/").await, Err(FetchError::Plaintext)));
        assert!(matches!(fetcher(true).get("http://127.0.0.1:1/").await, Err(FetchError::Connection(_))));
    }

    #[tokio::test]
    async fn what_is_inside_is_spoken_to_over_tls_where_the_operator_allows_it() {
        let allowed = serde_json::from_str(r#"["127.0.0.1"]"#).expect("ranges");
        let config = Issuers { allow_loopback_http: true, allowed_networks: allowed, ..Issuers::default() };
        let fetcher = Fetcher::new(&config).expect("no file is named");
        // Nobody listens there: it was let through.
        assert!(matches!(fetcher.get("https://127.0.0.1:1/").await, Err(FetchError::Connection(_))));
        assert!(matches!(fetcher.get("https://127.0.0.2:1/").await, Err(FetchError::PrivateAddress)));
        for (url, is_out) in [
            ("https://127.0.0.1/", false),
            ("https://127.0.0.2/", true),
            ("https://[::ffff:127.0.0.1]/", false),
            ("https://[fd00::1]:8443/realm", true),
            ("https://10.0.0.1:8443/realm", true),
            ("https://1.1.1.1/", false),
            ("https://id.example/", false),
            ("http://127.0.0.2/", false),
            ("http://1.1.1.1/", true),
        ] {
            assert_eq!(fetcher.is_out_of_reach(url), is_out, "{url}");
        }
    }

    #[test]
    fn a_name_with_one_address_inside_is_refused_whole() {
        let addresses = ["1.1.1.1:443", "10.0.0.1:443"].map(|address| address.parse().expect("an address"));
        assert!(fetcher(false).check(true, &addresses[..1]).is_ok());
        assert!(fetcher(false).check(true, &addresses).is_err());
        assert!(fetcher(false).check(true, &[]).is_err());
    }
}

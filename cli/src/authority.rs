//! The connection to the authority: where it is, who calls, and one call at a time with a deadline.
//!
//! A caller is known by its key, or, where it has none, by the certificate that it shows.
//! Refuses to send a key in plaintext to any host but this one.

use std::future::Future;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use portcullis_types::{OpaqueKind, OpaqueToken, Secret, is_loopback_host, usable_authorities};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};
use tonic::{Request, Response, Status};

use crate::args::Globals;
use crate::failure::Failure;
use crate::input;

/// A key file is one line; what is longer is another file.
const KEY_FILE_BYTES: u64 = 4_096;
/// A watch on a dead connection ends after about twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The authority, with the caller's key.
pub(crate) struct Authority {
    endpoint: String,
    channel: Channel,
    /// None: the certificate says who calls.
    bearer: Option<AsciiMetadataValue>,
    timeout: Duration,
}

impl Authority {
    /// Reads the key and connects.
    pub(crate) async fn connect(globals: &Globals) -> Result<Self, Failure> {
        check_endpoint(&globals.endpoint)?;
        let bearer = api_key(globals)?.as_ref().map(bearer).transpose()?;
        let endpoint = Endpoint::from_shared(globals.endpoint.clone())
            .map_err(|_| Failure::usage("--endpoint is not a URL, such as http://127.0.0.1:7700"))?
            .connect_timeout(globals.timeout)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        let endpoint = with_tls(endpoint, globals)?;
        let unreachable = |why: String| Failure::Unreachable { endpoint: globals.endpoint.clone(), why };
        let channel = tokio::time::timeout(globals.timeout, endpoint.connect())
            .await
            .map_err(|_| unreachable("no answer in time".to_owned()))?
            .map_err(|error| unreachable(root_cause(&error)))?;
        Ok(Self { endpoint: globals.endpoint.clone(), channel, bearer, timeout: globals.timeout })
    }

    /// One call with one answer.
    pub(crate) async fn call<Q, A, F>(
        &self,
        message: Q,
        rpc: impl FnOnce(Channel, Request<Q>) -> F,
    ) -> Result<A, Failure>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut request = self.request(message);
        request.set_timeout(self.timeout);
        self.in_time(rpc(self.channel.clone(), request)).await
    }

    /// Opens a stream of answers; the deadline is for its opening only.
    pub(crate) async fn open<Q, A, F>(
        &self,
        message: Q,
        rpc: impl FnOnce(Channel, Request<Q>) -> F,
    ) -> Result<A, Failure>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.in_time(rpc(self.channel.clone(), self.request(message))).await
    }

    /// What a status of this authority means.
    pub(crate) fn failure(&self, status: &Status) -> Failure {
        Failure::from_status(&self.endpoint, status)
    }

    fn request<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }

    async fn in_time<A>(&self, call: impl Future<Output = Result<Response<A>, Status>>) -> Result<A, Failure> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.failure(&status)),
            Err(_) => {
                Err(Failure::Unreachable { endpoint: self.endpoint.clone(), why: "no answer in time".to_owned() })
            }
        }
    }
}

fn with_tls(endpoint: Endpoint, globals: &Globals) -> Result<Endpoint, Failure> {
    let is_tls = globals.endpoint.starts_with("https://");
    let file = match (&globals.ca_file, is_tls) {
        (Some(file), true) => file,
        (None, true) => {
            return Err(Failure::usage(
                "an https endpoint needs the certificate authorities that may vouch for it: --ca-file or \
                 PORTCULLIS_CA_FILE",
            ));
        }
        (_, false) if globals.client_cert.is_some() => {
            return Err(Failure::usage("a certificate is shown over https only: name such an --endpoint"));
        }
        (_, false) => return Ok(endpoint),
    };
    let pem = std::fs::read(file)
        .map_err(|error| Failure::usage(format!("cannot read the file {}: {error}", file.display())))?;
    usable_authorities(&pem).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    let tls = match &globals.server_name {
        Some(name) => tls.domain_name(name),
        None => tls,
    };
    let Some((cert_file, key_file)) = globals.client_cert.as_ref().zip(globals.client_key.as_ref()) else {
        let unusable = |_| Failure::usage("--server-name is not the name of a server");
        return endpoint.tls_config(tls).map_err(unusable);
    };
    let unusable = |_| {
        let (cert_file, key_file) = (cert_file.display(), key_file.display());
        Failure::usage(format!("{cert_file} and {key_file} are no certificate and its key in PEM"))
    };
    endpoint.tls_config(tls.identity(client_identity(cert_file, key_file)?)).map_err(unusable)
}

fn client_identity(cert_file: &Path, key_file: &Path) -> Result<Identity, Failure> {
    let read = |path: &Path| {
        let unreadable = |error| Failure::usage(format!("cannot read the file {}: {error}", path.display()));
        std::fs::read(path).map(Secret::new).map_err(unreadable)
    };
    let (cert, key) = (read(cert_file)?, read(key_file)?);
    Ok(Identity::from_pem(cert.expose_bytes(), key.expose_bytes()))
}

fn check_endpoint(endpoint: &str) -> Result<(), Failure> {
    let uri: Uri =
        endpoint.parse().map_err(|_| Failure::usage("--endpoint is not a URL, such as http://127.0.0.1:7700"))?;
    let host = uri.host().unwrap_or_default();
    match uri.scheme_str() {
        Some("https") if !host.is_empty() => Ok(()),
        Some("http") if is_loopback_host(host) => Ok(()),
        Some("http") => Err(Failure::usage(
            "the key would cross the network in plaintext: speak https, with --ca-file; or forward the authority's \
             port, such as with: ssh -L 7700:127.0.0.1:7700 HOST",
        )),
        _ => Err(Failure::usage(
            "--endpoint begins with https://, or http:// on this machine, such as http://127.0.0.1:7700",
        )),
    }
}

/// The caller's key; none where a certificate says who calls.
fn api_key(globals: &Globals) -> Result<Option<Secret>, Failure> {
    if let Some(path) = &globals.api_key_file {
        return read_key_file(path).map(Some);
    }
    match input::from_environment("PORTCULLIS_API_KEY")? {
        None if globals.client_cert.is_none() => Err(Failure::usage(
            "no API key: name its file with --api-key-file or PORTCULLIS_API_KEY_FILE; the authority wrote the \
             administrator's to admin.key in its data directory",
        )),
        key => Ok(key),
    }
}

fn read_key_file(path: &Path) -> Result<Secret, Failure> {
    let unreadable = |error| Failure::usage(format!("cannot read the key file {}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(KEY_FILE_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    let key = Secret::from(text.trim());
    input::wipe(text);
    Ok(key)
}

fn bearer(key: &Secret) -> Result<AsciiMetadataValue, Failure> {
    let wrong = || Failure::usage("the API key is not one by its form (pk_…): is it another file, or cut off?");
    let text = key.expose_str().ok_or_else(wrong)?;
    let is_key = OpaqueToken::parse(text).is_ok_and(|token| token.kind == OpaqueKind::ApiKey);
    // A service token stands in a key's place.
    let is_token = text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2;
    if !is_key && !is_token {
        return Err(wrong());
    }
    let mut value = AsciiMetadataValue::try_from(format!("Bearer {text}")).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The innermost cause: "Connection refused" says more than "transport error".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use portcullis_types::{CredentialId, SeededEntropy};

    use super::*;

    #[test]
    fn plaintext_goes_to_this_machine_only() {
        for good in ["http://127.0.0.1:7700", "http://localhost:1", "http://[::1]:7700", "https://auth.example:7700"] {
            assert!(check_endpoint(good).is_ok(), "{good}");
        }
        for bad in ["http://10.0.0.1:7700", "http://example.org", "ftp://localhost:1", "127.0.0.1:7700", "", "http://"]
        {
            assert!(check_endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_checked_by_its_form_and_marked_sensitive() {
        let token = |kind| OpaqueToken::generate(kind, CredentialId::from_bytes([1; 16]), &SeededEntropy::new(1));
        let value = bearer(&token(OpaqueKind::ApiKey).reveal()).expect("an API key");
        assert!(value.is_sensitive());
        for bad in [token(OpaqueKind::Ticket).reveal(), Secret::from("pk_short"), Secret::from("")] {
            assert!(bearer(&bad).is_err());
        }
    }
}

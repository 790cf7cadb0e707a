//! `[authority]`: how to reach it, and who this gateway is to it.
//!
//! Refuses to speak to it in the clear over a network, and to show a certificate there.

use std::path::PathBuf;

use portcullis_types::is_loopback_host;
use serde::Deserialize;

const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:7700";

/// How many replicas one gateway may know.
const MOST_ENDPOINTS: usize = 16;

const ENDPOINT_RULE: &str = "authority.endpoint and .endpoints: https://<host>:<port>, or http://<loopback address>:<port>; the clear is spoken on loopback only";

/// How to reach the authority.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityConfig {
    /// Its gRPC endpoint, where there is one; `http` on loopback only, `https` anywhere.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The endpoints of its replicas, instead: what one does not answer another is asked.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// Over `https`: the certificate authorities that may vouch for it, in PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Over `https`: the name that its certificate must have; absent: the endpoint's host.
    #[serde(default)]
    pub server_name: Option<String>,
    /// A file that holds the API key of this gateway's service account; read again at every new watch. Where there is
    /// one, it says who calls; absent: the certificate does.
    #[serde(default)]
    pub api_key_file: Option<PathBuf>,
    /// Over `https`: the certificate that this gateway shows, and those that vouch for it, in PEM; read again every few
    /// seconds, and at every new watch.
    #[serde(default)]
    pub client_cert_file: Option<PathBuf>,
    /// Its private key, in PEM.
    #[serde(default)]
    pub client_key_file: Option<PathBuf>,
    /// How long one question may take.
    #[serde(default = "default_deadline_ms")]
    pub deadline_ms: u64,
    /// How many questions may be open at once; more wait, at most for the deadline.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
}

impl AuthorityConfig {
    /// Where the authority is, one or more.
    pub fn all_endpoints(&self) -> Vec<String> {
        match &self.endpoint {
            Some(one) => vec![one.clone()],
            None if self.endpoints.is_empty() => vec![DEFAULT_ENDPOINT.to_owned()],
            None => self.endpoints.clone(),
        }
    }

    /// Says of each rule whether it holds.
    pub(super) fn broken_rules(&self, rule: &mut impl FnMut(bool, &str)) {
        let endpoints = self.all_endpoints();
        rule(endpoints.iter().all(|endpoint| is_good_endpoint(endpoint)), ENDPOINT_RULE);
        let named_once = self.endpoint.is_none() || self.endpoints.is_empty();
        rule(named_once, "authority: `endpoint` or `endpoints`, not both");
        let is_tls = endpoints.iter().all(|endpoint| endpoint.starts_with("https://"));
        let is_mixed = !is_tls && endpoints.iter().any(|endpoint| endpoint.starts_with("https://"));
        rule(!is_mixed, "authority.endpoints: all over https, or none");
        rule(
            is_tls == self.ca_file.is_some() && (is_tls || self.server_name.is_none()),
            "authority: ca_file is needed with an https endpoint, and neither it nor server_name is used with http",
        );
        self.credential_rules(is_tls, rule);
        let distinct: std::collections::BTreeSet<_> = endpoints.iter().collect();
        rule(
            distinct.len() == endpoints.len() && endpoints.len() <= MOST_ENDPOINTS,
            "authority.endpoints: at most 16, each once",
        );
        rule(
            (100..=30_000).contains(&self.deadline_ms) && self.concurrency > 0,
            "authority: deadline_ms is 100 to 30000, concurrency at least 1",
        );
    }

    fn credential_rules(&self, is_tls: bool, rule: &mut impl FnMut(bool, &str)) {
        let (has_cert, has_key) = (self.client_cert_file.is_some(), self.client_key_file.is_some());
        rule(has_cert == has_key, "authority: client_cert_file and client_key_file, both or neither");
        rule(is_tls || !has_cert, "authority.client_cert_file: is shown over https only");
        rule(
            self.api_key_file.is_some() || has_cert,
            "authority.api_key_file: is needed, unless client_cert_file and client_key_file say who this gateway is",
        );
    }
}

const fn default_deadline_ms() -> u64 {
    2_000
}

const fn default_concurrency() -> usize {
    256
}

fn is_good_endpoint(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    uri.port_u16().is_some()
        && match uri.scheme_str() {
            Some("http") => is_loopback_host(host),
            Some("https") => !host.is_empty(),
            Some(_) | None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    #[test]
    fn a_gateway_is_known_by_its_key_or_by_its_certificate() {
        let read = |authority: &str| read(&format!("gateway_id = \"gw-1\"\n[authority]\n{authority}"));
        assert!(read("").expect_err("by neither").to_string().contains("authority.api_key_file"));
        let https = "endpoint = \"https://auth.example:7700\"\nca_file = \"ca\"\n";
        let certificate = "client_cert_file = \"c\"\nclient_key_file = \"k\"\n";
        assert!(read(https).is_err());
        assert!(read(&format!("{https}{certificate}")).is_ok());
        assert!(read(&format!("{https}{certificate}api_key_file = \"k\"")).is_ok());
        let half = read(&format!("{https}client_cert_file = \"c\"")).expect_err("without its key").to_string();
        assert!(half.contains("both or neither"), "{half}");
        let clear = read(certificate).expect_err("in the clear").to_string();
        assert!(clear.contains("over https only"), "{clear}");
    }

    #[test]
    fn the_authority_is_spoken_to_in_the_clear_on_loopback_only() {
        for good in ["http://127.0.0.1:7700", "http://localhost:7700", "http://[::1]:7700", "https://auth.example:7700"]
        {
            assert!(is_good_endpoint(good), "{good}");
        }
        for bad in ["http://10.0.0.1:7700", "https://10.0.0.1", "http://127.0.0.1.evil.test:1", "127.0.0.1:1", ""] {
            assert!(!is_good_endpoint(bad), "{bad}");
        }
    }
}

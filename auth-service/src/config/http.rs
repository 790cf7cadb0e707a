//! `[http]`: the listener for people, browsers and standards.

use std::net::SocketAddr;

use serde::Deserialize;

use super::{HttpLimits, Rule};

/// `[http]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// A loopback address, or any behind a TLS proxy.
    pub(crate) listen: SocketAddr,
    /// That a proxy speaks TLS to the world in front of this listener.
    pub(crate) behind_tls_proxy: bool,
    /// That the proxy in front names the client last in `X-Forwarded-For`: attempts are counted by that address.
    pub(crate) forwarded_for: bool,
    /// The origins whose pages may use the session cookie, exactly as browsers write them.
    pub(crate) allowed_origins: Vec<String>,
    /// What a peer may ask of it.
    pub(crate) limits: HttpLimits,
}

impl Default for Http {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 7701));
        Self {
            listen,
            behind_tls_proxy: false,
            forwarded_for: false,
            allowed_origins: Vec::new(),
            limits: HttpLimits::default(),
        }
    }
}

impl Http {
    /// Which of its keys may not be used.
    pub(super) fn rules(&self) -> [Rule; 2] {
        [
            (
                self.listen.ip().is_loopback() || self.behind_tls_proxy,
                "http.listen",
                "must be a loopback address unless `http.behind_tls_proxy = true` says that a proxy speaks TLS in front",
            ),
            (
                self.allowed_origins.iter().all(|origin| is_origin(origin)),
                "http.allowed_origins",
                "must hold origins as browsers write them: scheme://host or scheme://host:port, in lower case",
            ),
        ]
    }
}

/// An origin as it is serialised (RFC 6454, 6.2): anything else would never equal what a browser sends.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else {
        return false;
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return false;
    };
    let default_port = matches!((scheme, authority.port_u16()), ("http", Some(80)) | ("https", Some(443)));
    text == format!("{scheme}://{authority}").to_ascii_lowercase() && !authority.as_str().contains('@') && !default_port
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, refused};

    #[test]
    fn http_leaves_loopback_only_behind_a_tls_proxy() {
        assert!(refused("[http]\nlisten = '0.0.0.0:80'").contains("http.behind_tls_proxy"));
        assert!(read("[http]\nlisten = '0.0.0.0:80'\nbehind_tls_proxy = true").is_ok());
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused() {
        for origin in [
            "*",
            "null",
            "example.org",
            "https://Example.org",
            "https://a.example/",
            "https://u@a.example",
            "https://a:443",
        ] {
            assert!(
                refused(&format!("[http]\nallowed_origins = ['{origin}']")).contains("allowed_origins"),
                "{origin}"
            );
        }
        assert!(
            read("[http]\nallowed_origins = ['https://a.example', 'http://127.0.0.1:7780', 'http://[::1]:1']").is_ok()
        );
    }
}

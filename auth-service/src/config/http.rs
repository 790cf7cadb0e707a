//! `[http]`: the listener for people, browsers and standards, and who stands in front of it.

use std::net::SocketAddr;

use portcullis_config::TrustedProxies;
use serde::Deserialize;

use super::{HttpLimits, Rule};
use crate::listen::Caps;

/// `[http]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// A loopback address, or any behind a TLS proxy.
    pub(crate) listen: SocketAddr,
    /// That a proxy speaks TLS to the world in front of this listener.
    pub(crate) behind_tls_proxy: bool,
    /// The proxies that are believed about whom they speak for, in `X-Forwarded-For`: all that a request passes.
    pub(crate) trusted_proxies: TrustedProxies,
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
            trusted_proxies: TrustedProxies::default(),
            allowed_origins: Vec::new(),
            limits: HttpLimits::default(),
        }
    }
}

impl Http {
    /// Whether others than programs of this machine reach the listener.
    pub(crate) const fn is_public(&self) -> bool {
        self.behind_tls_proxy || !self.listen.ip().is_loopback()
    }

    /// As the listener keeps them.
    pub(crate) fn caps(&self) -> Caps {
        let HttpLimits { connections: most, connections_per_address: per_address, .. } = self.limits;
        Caps { most, per_address, proxies: self.trusted_proxies.clone(), admission: None }
    }

    /// What this section must hold.
    pub(super) fn rules(&self) -> [Rule; 4] {
        [
            (
                self.listen.ip().is_loopback() || self.behind_tls_proxy,
                "http.listen",
                "must be a loopback address unless `http.behind_tls_proxy = true` says that a proxy speaks TLS in front",
            ),
            (
                !self.behind_tls_proxy || !self.trusted_proxies.is_empty(),
                "http.trusted_proxies",
                "must name the proxies in front, such as [\"10.0.0.0/8\"], because `http.behind_tls_proxy = true`: \
                 otherwise all clients would have the proxy's address, and whoever guesses would slow them all",
            ),
            (
                !self.trusted_proxies.has_everybody(),
                "http.trusted_proxies",
                "must hold no range wider than a /8 (IPv6: /16): then clients could choose the address that they are \
                 counted by",
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
    fn http_leaves_loopback_only_behind_a_tls_proxy_that_is_named() {
        assert!(refused("[http]\nlisten = '0.0.0.0:80'").contains("http.behind_tls_proxy"));
        let unnamed = refused("[http]\nlisten = '0.0.0.0:80'\nbehind_tls_proxy = true");
        assert!(unnamed.contains("`http.trusted_proxies` must name") && unnamed.contains("10.0.0.0/8"), "{unnamed}");
        let named = "[http]\nlisten = '0.0.0.0:80'\nbehind_tls_proxy = true\ntrusted_proxies = ['10.0.0.0/8', '::1']";
        assert!(read(named).expect("it may").http.is_public());
    }

    #[test]
    fn a_proxy_is_a_range_and_not_everybody() {
        assert!(refused("[http]\ntrusted_proxies = ['0.0.0.0/1', '128.0.0.0/1']").contains("wider than a /8"));
        assert!(refused("[http]\ntrusted_proxies = ['proxy.example']").contains("trusted_proxies"));
        let old = refused("[http]\nforwarded_for = true");
        assert!(old.contains("forwarded_for") && old.contains("trusted_proxies"), "it names the key to use: {old}");
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

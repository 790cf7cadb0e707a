//! From where a request comes: the peer, or whom the proxy in front names.
//!
//! Guarantees: `X-Forwarded-For` is believed only where the configuration says that a proxy writes it, and of it only the
//! last entry, which that proxy wrote: what comes before it came from the client.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName};

use super::Edge;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) Option<IpAddr>);

/// The address that attempts are counted by; none when it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientAddress(pub(super) Option<IpAddr>);

impl FromRequestParts<Edge> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Infallible> {
        Ok(Self(address_of(edge, &parts.extensions, &parts.headers)))
    }
}

/// From where a request comes.
pub(super) fn address_of(edge: &Edge, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
    let peer = extensions.get::<Peer>().and_then(|peer| peer.0);
    if edge.forwarded_for { forwarded(headers).or(peer) } else { peer }
}

fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim();
    let with_port = || last.parse().map(|address: SocketAddr| address.ip()).ok();
    last.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_what_the_proxy_wrote_last_is_read() {
        let read = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (FORWARDED_FOR, HeaderValue::from_static(line)));
            forwarded(&lines.collect()).map(|address| address.to_string())
        };
        for (lines, expected) in [
            (&["192.0.2.1"][..], Some("192.0.2.1")),
            (&["203.0.113.9, 192.0.2.1"], Some("192.0.2.1")),
            (&["203.0.113.9", "192.0.2.1"], Some("192.0.2.1")),
            (&["192.0.2.1:4711"], Some("192.0.2.1")),
            (&["[2001:db8::1]:4711"], Some("2001:db8::1")),
            (&["2001:db8::1"], Some("2001:db8::1")),
            (&["192.0.2.1, unknown"], None),
            (&[], None),
        ] {
            assert_eq!(read(lines).as_deref(), expected, "{lines:?}");
        }
    }
}

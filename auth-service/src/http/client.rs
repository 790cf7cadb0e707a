//! From where a request comes: the peer, or whom the proxies in front name.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Extensions, HeaderMap};

use super::Edge;

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
    let peer = extensions.get::<Peer>().and_then(|peer| peer.0)?;
    Some(edge.trusted_proxies.client(peer, headers))
}

//! Which address a request comes from, when proxies stand in front.
//!
//! Guarantees: what a client says about itself is never believed. `X-Forwarded-For` is read from its end, over all its
//! lines, and only past proxies that the configuration names; the first address that is not one of them is the client's.
//! Where an entry says no address, what stands before it cannot be known, and the last proxy that spoke is the client.
//! The listeners bound how much there can be to read.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName};
use portcullis_types::AddressRange;
use serde::Deserialize;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The whole of `10.0.0.0/8`, and not half of the world.
const WIDEST_IPV4: u8 = 8;
const WIDEST_IPV6: u8 = 16;

/// `trusted_proxies`: who is believed about the one that it speaks for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct TrustedProxies(Vec<AddressRange>);

impl TrustedProxies {
    /// These.
    pub const fn new(ranges: Vec<AddressRange>) -> Self {
        Self(ranges)
    }

    /// Whether nobody is.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this address is one of theirs.
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }

    /// Whether one of the ranges is wider than a network of proxies can be (a /8 of IPv4, a /16 of IPv6): then whoever
    /// comes names itself.
    pub fn has_everybody(&self) -> bool {
        self.0.iter().any(|range| range.is_wider_than(WIDEST_IPV4, WIDEST_IPV6))
    }

    /// The client of a request that came from `peer`.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        let hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops {
            let Some(address) = address_of(hop).filter(|_| self.has(client)) else { break };
            client = address.to_canonical();
        }
        client
    }
}

/// An address as proxies write it: alone, or with a port, which some add.
fn address_of(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let with_port = || text.parse().map(|address: SocketAddr| address.ip()).ok();
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    text.parse().ok().or_else(with_port).or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn trusted(ranges: &[&str]) -> TrustedProxies {
        TrustedProxies(ranges.iter().map(|text| AddressRange::try_from(*text).expect("a range")).collect())
    }

    fn client(peer: &str, lines: &[&[u8]], ranges: &[&str]) -> String {
        let value = |line: &&[u8]| HeaderValue::from_bytes(line).expect("a value");
        let headers = lines.iter().map(|line| (FORWARDED_FOR, value(line))).collect();
        trusted(ranges).client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn nobody_is_believed_about_itself() {
        assert_eq!(client("192.0.2.1", &[b"10.0.0.9"], &[]), "192.0.2.1");
        assert_eq!(client("192.0.2.1", &[b"10.0.0.9"], &["10.0.0.0/8"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[b"10.0.0.9, 192.0.2.1"], &["10.0.0.0/8"]), "192.0.2.1");
    }

    #[test]
    fn proxies_are_passed_from_the_end() {
        let trusted = ["10.0.0.0/8", "127.0.0.1"];
        assert_eq!(client("127.0.0.1", &[b"6.6.6.6, 192.0.2.7, 10.0.0.3"], &trusted), "192.0.2.7");
        assert_eq!(client("127.0.0.1", &[b"6.6.6.6", b"192.0.2.7", b"10.0.0.3"], &trusted), "192.0.2.7");
        assert_eq!(client("::ffff:127.0.0.1", &[b"2001:db8::1"], &trusted), "2001:db8::1");
        assert_eq!(client("127.0.0.1", &[b"10.0.0.4"], &trusted), "10.0.0.4", "the first proxy itself");
        assert_eq!(client("127.0.0.1", &[], &trusted), "127.0.0.1");
    }

    #[test]
    fn a_port_beside_an_address_is_left_out() {
        for line in ["192.0.2.1:4711", "[::ffff:192.0.2.1]:4711", " 192.0.2.1\t"] {
            assert_eq!(client("127.0.0.1", &[line.as_bytes()], &["127.0.0.1"]), "192.0.2.1", "{line}");
        }
        assert_eq!(client("127.0.0.1", &[b"[2001:db8::1]"], &["127.0.0.1"]), "2001:db8::1");
    }

    #[test]
    fn nonsense_ends_where_it_stands() {
        let long = [b"192.0.2.7, ".as_slice(), &[b'9'; 9_000]].concat();
        for line in [b"192.0.2.7, unknown".as_slice(), b"", b",", b"192.0.2.7, \xff", b"010.0.0.1", &long] {
            assert_eq!(client("127.0.0.1", &[line], &["127.0.0.1"]), "127.0.0.1");
            let behind = [line, b", 10.0.0.3"].concat();
            assert_eq!(client("127.0.0.1", &[&behind], &["127.0.0.1", "10.0.0.0/8"]), "10.0.0.3");
        }
    }

    #[test]
    fn everybody_is_no_proxy() {
        assert!(trusted(&["10.0.0.0/8", "::/0"]).has_everybody() && trusted(&["0.0.0.0/0"]).has_everybody());
        for wide in ["0.0.0.0/1", "128.0.0.0/1", "8000::/1", "10.0.0.0/7", "fd00::/15"] {
            assert!(trusted(&["127.0.0.1", wide]).has_everybody(), "{wide}");
        }
        assert!(!trusted(&["10.0.0.0/8", "fd00::/16", "127.0.0.1", "::1"]).has_everybody());
        assert!(!TrustedProxies::default().has_everybody());
    }
}

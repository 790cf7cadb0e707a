//! Which address a request comes from, when proxies stand in front.
//!
//! Guarantees: what a client says about itself is never believed. `X-Forwarded-For` is read from its end, and only past
//! proxies that the configuration names; the first address that is not one of them is the client's.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use portcullis_types::AddressRange;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[AddressRange]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut client = peer.to_canonical();
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
    let hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops {
        if !is_trusted(client) {
            break;
        }
        let said = std::str::from_utf8(hop).ok().and_then(|text| text.trim().parse::<IpAddr>().ok());
        // A proxy that is trusted and says nonsense: what stands before it cannot be known.
        let Some(address) = said else { break };
        client = address.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let trusted: Vec<_> = trusted.iter().map(|text| AddressRange::try_from(*text).expect("a range")).collect();
        let headers = lines.iter().map(|line| (FORWARDED_FOR, line.parse().expect("a value"))).collect();
        client_address(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    #[test]
    fn nobody_is_believed_about_itself() {
        assert_eq!(client("192.0.2.1", &["10.0.0.9"], &[]), "192.0.2.1");
        assert_eq!(client("192.0.2.1", &["10.0.0.9"], &["10.0.0.0/8"]), "192.0.2.1");
    }

    #[test]
    fn proxies_are_passed_from_the_end() {
        let trusted = ["10.0.0.0/8", "127.0.0.1"];
        assert_eq!(client("127.0.0.1", &["6.6.6.6, 192.0.2.7, 10.0.0.3"], &trusted), "192.0.2.7");
        assert_eq!(client("127.0.0.1", &["6.6.6.6", "192.0.2.7"], &trusted), "192.0.2.7");
        assert_eq!(client("::ffff:127.0.0.1", &["2001:db8::1"], &trusted), "2001:db8::1");
        assert_eq!(client("127.0.0.1", &["10.0.0.4"], &trusted), "10.0.0.4", "the first proxy itself");
    }

    #[test]
    fn nonsense_ends_where_it_stands() {
        assert_eq!(client("127.0.0.1", &["192.0.2.7, unknown"], &["127.0.0.1"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &[""], &["127.0.0.1"]), "127.0.0.1");
    }
}

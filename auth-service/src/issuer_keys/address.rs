//! Which addresses may be spoken to on somebody else's word: those that are reachable by everybody, and those inside that
//! the operator names.
//!
//! Refuses ranges that are no network of an operator's: wider than a /8 (IPv6: /16); and ranges, not single addresses, that
//! hold something of this machine or its link, where clouds hand out the machine's own credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_types::AddressRange;
use serde::Deserialize;

const WIDEST_IPV4: u8 = 8;
const WIDEST_IPV6: u8 = 16;
/// This machine and its link: named exactly or not at all.
const TOO_NEAR: [&str; 5] = ["127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/8", "::/127", "fe80::/10"];

/// `issuers.allowed_networks`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub(crate) struct AllowedNetworks(Vec<AddressRange>);

impl AllowedNetworks {
    /// Whether keys may be fetched from an address on somebody else's word.
    pub(super) fn may_reach(&self, address: IpAddr) -> bool {
        is_public(address) || self.0.iter().any(|range| range.contains(address))
    }

    /// Whether a range is wider than a network of an operator's is.
    pub(crate) fn has_everybody(&self) -> bool {
        self.0.iter().any(|range| range.is_wider_than(WIDEST_IPV4, WIDEST_IPV6))
    }

    /// Whether a range, which is not one address alone, holds what is this machine's or its link's.
    pub(crate) fn has_what_is_too_near(&self) -> bool {
        let near = TOO_NEAR.map(|text| AddressRange::try_from(text).expect("a range, tested below"));
        let is_near = |range: &AddressRange| near.iter().any(|near| range.is_within(near) || near.is_within(range));
        self.0.iter().any(|range| range.is_wider_than(32, 128) && is_near(range))
    }
}

/// Whether an address belongs to the public Internet. What is special by the registries of RFC 6890 does not, nor does
/// an IPv6 address that stands for an IPv4 address.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Global unicast, less protocol assignments (Teredo among them), documentation and 6to4.
    let global = (0x2000..=0x3fff).contains(&first);
    let special = match first {
        0x2001 => second < 0x0200 || second == 0x0db8,
        0x2002 => true,
        0x3fff => second < 0x1000,
        _ => false,
    };
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(ranges: &[&str]) -> AllowedNetworks {
        AllowedNetworks(ranges.iter().map(|text| AddressRange::try_from(*text).expect("a range")).collect())
    }

    #[test]
    fn what_is_inside_is_reached_where_the_operator_names_it() {
        let may = |ranges: &[&str], address: &str| allowed(ranges).may_reach(address.parse().expect("an address"));
        for address in ["10.1.2.3", "::ffff:10.1.2.3"] {
            assert!(
                may(&["10.0.0.0/8"], address) && !may(&[], address) && !may(&["10.2.0.0/16"], address),
                "{address}"
            );
        }
        assert!(may(&["10.0.0.0/8"], "1.1.1.1") && !may(&["10.0.0.0/8"], "192.168.0.1"));
        assert!(may(&["fd12:3456::/32"], "fd12:3456::1") && !may(&["fd12:3456::/32"], "fd13::1"));
        assert!(may(&["169.254.10.1"], "169.254.10.1") && !may(&["169.254.10.1"], "169.254.169.254"));
    }

    #[test]
    fn a_range_is_a_network_of_the_operators_and_nothing_of_this_machine() {
        for wide in ["0.0.0.0/0", "10.0.0.0/7", "::/0", "fc00::/7"] {
            assert!(allowed(&["10.0.0.0/8", wide]).has_everybody(), "{wide}");
        }
        for near in ["127.0.0.0/8", "127.0.0.0/31", "169.0.0.0/8", "169.254.169.254/31", "::/127", "fe80::/64"] {
            let networks = allowed(&["10.0.0.0/8", near]);
            assert!(networks.has_what_is_too_near() && !allowed(&["10.0.0.0/8"]).has_what_is_too_near(), "{near}");
        }
        let exact = allowed(&["127.0.0.1", "169.254.10.1/32", "::1", "10.0.0.0/8", "fd00::/16"]);
        assert!(!exact.has_what_is_too_near() && !exact.has_everybody());
    }

    #[test]
    fn only_the_public_internet_is_public() {
        let public = |text: &str| is_public(text.parse().expect("an address"));
        for good in ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "198.20.0.1", "223.255.255.1"]
        {
            assert!(public(good), "{good}");
        }
        for good in ["2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1"] {
            assert!(public(good), "{good}");
        }
        for bad in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!public(bad), "{bad}");
        }
    }
}

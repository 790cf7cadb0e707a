//! Ranges of network addresses, in the one text form that both programs read, and hosts that are this machine.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::InvalidName;

/// Whether a host, as it stands in a URL, is this machine by its very name: `localhost` or a loopback address. Nothing is
/// looked up.
pub fn is_loopback_host(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressRange(IpNet);

impl AddressRange {
    /// Whether the address is in it. An IPv4 address that is written as an IPv6 one is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether it has more addresses than a network of so many bits, of its version.
    pub fn is_wider_than(&self, ipv4: u8, ipv6: u8) -> bool {
        match self.0 {
            IpNet::V4(net) => net.prefix_len() < ipv4,
            IpNet::V6(net) => net.prefix_len() < ipv6,
        }
    }

    /// Whether every address in it is in the other.
    pub fn is_within(&self, other: &Self) -> bool {
        other.0.contains(&self.0)
    }
}

impl TryFrom<&str> for AddressRange {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        let net = match text.split_once('/') {
            None => text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical())),
            // The address by the standard library, which refuses the leading zeros that some read as octal.
            Some((address, prefix)) => address
                .parse()
                .ok()
                .zip(prefix.parse().ok())
                .and_then(|(address, prefix)| IpNet::new(address, prefix).ok()),
        };
        // Bits behind the prefix mean that something else was meant.
        net.filter(|net: &IpNet| *net == net.trunc()).map(Self).ok_or(InvalidName {
            what: "address range",
            rule: "an address, or the first address of a range and its prefix length, such as 10.0.0.0/8",
        })
    }
}

impl<'de> serde::Deserialize<'de> for AddressRange {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::try_from(text.as_str()).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        AddressRange::try_from(text).expect("a range")
    }

    #[test]
    fn a_range_is_within_itself_and_wider_ones() {
        for wider in ["10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"] {
            assert!(range("10.1.0.0/16").is_within(&range(wider)), "{wider}");
        }
        for other in ["10.1.0.0/17", "10.2.0.0/16", "::/0"] {
            assert!(!range("10.1.0.0/16").is_within(&range(other)), "{other}");
        }
    }

    #[test]
    fn an_address_is_in_its_range_in_either_notation() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("2001:db8::/32", "2001:db8::1", "2001:db9::1"),
            ("::ffff:192.0.2.7", "192.0.2.7", "::1"),
            ("0.0.0.0/0", "198.51.100.1", "::1"),
        ] {
            assert!(range(text).contains(inside.parse().expect("an address")), "{inside} in {text}");
            assert!(!range(text).contains(outside.parse().expect("an address")), "{outside} in {text}");
        }
    }

    #[test]
    fn a_host_is_this_machine_by_its_very_name_only() {
        for here in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "::1"] {
            assert!(is_loopback_host(here), "{here}");
        }
        for elsewhere in
            ["", "10.0.0.1", "127.0.0.1.example", "localhost.example", "[::2]", "example.org", "[127.0.0.1"]
        {
            assert!(!is_loopback_host(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn what_is_no_range_or_more_than_one_is_refused() {
        for bad in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0-10.0.0.9", "example.org", "10.0.0.0/8 ", "010.0.0.0/8"] {
            assert!(AddressRange::try_from(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_range_reads_back_what_it_says() {
        for text in ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32"] {
            assert_eq!(range(text).to_string(), text);
        }
    }
}

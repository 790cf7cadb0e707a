//! How many requests an address may make in a minute.
//!
//! Guarantees: bounded memory whatever comes: beyond [`MOST_ADDRESSES`] in one minute, all further ones share one count.
//! It bounds what a flood costs; guesses at passwords are counted elsewhere, in the store.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use portcullis_types::Boottime;

use crate::listen::network_of;

const MOST_ADDRESSES: usize = 65_536;
const WINDOW_NANOS: u64 = 60_000_000_000;

/// The counts of this minute.
#[derive(Debug)]
pub(super) struct Rate {
    most: u32,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    window: u64,
    by_network: HashMap<[u8; 8], u32>,
    of_the_rest: u32,
}

impl Rate {
    /// So many a minute.
    pub(super) fn new(most: u32) -> Self {
        Self { most, counts: Mutex::default() }
    }

    /// Counts a request. When it is one too many: for how many seconds.
    pub(super) fn count(&self, from: Option<IpAddr>, now: Boottime) -> Option<u64> {
        let key = network_of(from?);
        let window = now.as_nanos() / WINDOW_NANOS;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.window != window {
            *counts = Counts { window, ..Counts::default() };
        }
        let Counts { by_network, of_the_rest, .. } = &mut *counts;
        let full = by_network.len() >= MOST_ADDRESSES && !by_network.contains_key(&key);
        let count = if full { of_the_rest } else { by_network.entry(key).or_default() };
        *count = count.saturating_add(1);
        let left = (window + 1) * WINDOW_NANOS - now.as_nanos();
        (*count > self.most).then(|| left.div_ceil(1_000_000_000))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn an_address_has_so_many_requests_a_minute() {
        let (rate, now) = (Rate::new(3), Boottime::from_nanos(10 * WINDOW_NANOS));
        for _ in 0..3 {
            assert_eq!(rate.count(ip("192.0.2.1"), now), None);
        }
        assert_eq!(rate.count(ip("192.0.2.1"), now + Duration::from_secs(20)), Some(40));
        assert_eq!(rate.count(ip("192.0.2.2"), now), None, "another address");
        assert_eq!(rate.count(ip("192.0.2.1"), now + Duration::from_secs(60)), None, "another minute");
    }

    #[test]
    fn a_network_of_ipv6_counts_together() {
        let (rate, now) = (Rate::new(1), Boottime::from_nanos(0));
        assert_eq!(rate.count(ip("2001:db8::1"), now), None);
        assert_eq!(rate.count(ip("2001:db8::2"), now), Some(60));
        assert_eq!(rate.count(ip("2001:db8:0:1::1"), now), None);
    }

    #[test]
    fn a_flood_of_addresses_shares_one_count_and_takes_no_more_memory() {
        let (rate, now) = (Rate::new(1), Boottime::from_nanos(0));
        for n in 0..u32::try_from(MOST_ADDRESSES).expect("it is small") {
            assert_eq!(rate.count(Some(IpAddr::from(n.to_be_bytes())), now), None);
        }
        assert_eq!(rate.count(ip("255.0.0.1"), now), None);
        assert_eq!(rate.count(ip("255.0.0.2"), now), Some(60), "together with the one before");
        assert_eq!(rate.counts.lock().expect("not poisoned").by_network.len(), MOST_ADDRESSES);
    }
}

//! How many connections there may be, in all and of one address, and who still has to say who it is.
//!
//! Guarantees: beyond its share, an address is refused at once and takes no place of another's; whoever is not admitted
//! in time gives its place back, whatever it sends meanwhile. What is remembered is bounded by the number of places.
//! Refuses to count proxies that are trusted: they speak for many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_config::TrustedProxies;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many, and for whom that does not hold.
#[derive(Clone, Debug)]
pub(crate) struct Caps {
    /// In all; one more waits in the kernel's backlog.
    pub(crate) most: usize,
    /// Of one address; one more is refused.
    pub(crate) per_address: usize,
    /// Proxies, which are not counted by address.
    pub(crate) proxies: TrustedProxies,
    /// For how long one may be there that is not admitted; absent: it needs no admission.
    pub(crate) admission: Option<Duration>,
}

/// Connections that were refused or cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused {
    /// Of an address that had its share.
    pub(crate) too_many: Counter,
    /// Not admitted in time.
    pub(crate) unauthenticated: Counter,
}

/// The places of one listener.
#[derive(Debug)]
pub(crate) struct Room {
    caps: Caps,
    refused: Refused,
    free: Arc<Semaphore>,
    held: Mutex<HashMap<Network, usize>>,
}

/// What counts as one address.
type Network = [u8; 8];

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    network: Option<Network>,
    _permit: OwnedSemaphorePermit,
}

/// Whether somebody who may call has called over a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission(Arc<AtomicBool>);

impl Admission {
    /// Somebody has.
    pub(crate) fn give(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_given(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Room {
    /// All places are free.
    pub(crate) fn new(caps: Caps, refused: Refused) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(caps.most));
        Arc::new(Self { caps, refused, free, held: Mutex::default() })
    }

    /// How many places there are.
    pub(crate) fn most(&self) -> usize {
        self.caps.most
    }

    pub(super) const fn admission(&self) -> Option<Duration> {
        self.caps.admission
    }

    pub(super) fn not_admitted(&self) {
        self.refused.unauthenticated.inc();
    }

    /// Until there is a place for somebody.
    pub(super) async fn wait(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Gives it to this address, unless that has its share.
    pub(super) fn take(self: &Arc<Self>, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
        let network = (!self.caps.proxies.has(address)).then(|| network_of(address));
        if let Some(network) = network {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let count = held.entry(network).or_default();
            if *count >= self.caps.per_address {
                self.refused.too_many.inc();
                return None;
            }
            *count += 1;
        }
        Some(Place { room: Arc::clone(self), network, _permit: permit })
    }
}

impl Place {
    pub(super) const fn room(&self) -> &Arc<Room> {
        &self.room
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut held = self.room.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&network) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(held.remove(&network)),
        }
    }
}

/// Of IPv6 the network of 64 bits, because one customer has all of it.
pub(crate) fn network_of(address: IpAddr) -> Network {
    let mut key = [0; 8];
    match address.to_canonical() {
        // No network of IPv6 begins so.
        IpAddr::V4(address) => key[4..].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => key.copy_from_slice(&address.octets()[..8]),
    }
    key
}

#[cfg(test)]
mod tests {
    use portcullis_types::AddressRange;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn room(most: usize, per_address: usize) -> Arc<Room> {
        let proxies = TrustedProxies::new(vec![AddressRange::try_from("10.0.0.0/8").expect("a range")]);
        Room::new(Caps { most, per_address, proxies, admission: None }, Refused::default())
    }

    async fn take(room: &Arc<Room>, address: &str) -> Option<Place> {
        room.take(room.wait().await, ip(address))
    }

    #[tokio::test]
    async fn one_address_takes_its_share_and_leaves_the_places_of_others() {
        let room = room(5, 2);
        let first = take(&room, "192.0.2.1").await.expect("one of two");
        let _second = take(&room, "::ffff:192.0.2.1").await.expect("two of two");
        assert!(take(&room, "192.0.2.1").await.is_none());
        assert_eq!((room.refused.too_many.get(), room.free.available_permits()), (1, 3));
        let _network = (take(&room, "2001:db8::1").await, take(&room, "2001:db8::2").await);
        assert!(take(&room, "2001:db8::3").await.is_none(), "one network of IPv6");
        drop(first);
        let _again = take(&room, "192.0.2.1").await.expect("one was given back");
    }

    #[tokio::test]
    async fn a_proxy_speaks_for_many() {
        let room = room(5, 1);
        let mut taken = Vec::new();
        for _ in 0..5 {
            taken.push(take(&room, "10.0.0.1").await.expect("it is not counted"));
        }
        assert_eq!(room.free.available_permits(), 0, "but in all");
    }

    #[tokio::test]
    async fn nothing_is_remembered_of_whoever_is_gone() {
        let room = room(5, 1);
        for n in 0..100_u8 {
            drop(room.take(room.wait().await, IpAddr::from([192, 0, 2, n])));
        }
        assert!(room.held.lock().expect("not poisoned").is_empty());
    }
}

//! Who follows which channel in this process.
//!
//! Owns: `(tenant, channel)` → subscribers. The tenant is the outer key everywhere: no name reaches another tenant.
//! Guarantees: a publication is delivered without any lock held, to everyone who followed when it began; following and
//! leaving cost the same in a channel of 20,000 as in a small one; a channel without subscribers holds no memory.
//! Refuses: to decide who may follow (see [`crate::Session`]). Size is bounded by what bounds its callers: sockets a
//! process times subscriptions a socket.
//!
//! A channel is a list of small sorted blocks that a publication shares by counting references. A change copies one
//! block, and only when a publication in flight still holds it. Somebody who leaves while a publication is being
//! delivered may still receive that one.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use portcullis_types::{ChannelName, TenantId};

use crate::ConnectionId;

/// Takes frames for one connection. It must not wait: the publisher's thread calls it for each subscriber.
pub trait Receiver: Send + Sync {
    /// Queues the frame.
    fn deliver(&self, frame: Bytes);
}

/// How many locks the channels are spread over.
const SHARDS: usize = 16;

/// A block is cut in two at this many subscribers: what a change copies at most, 6 KiB.
const BLOCK: usize = 256;

/// All channels of the process.
pub struct Channels {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

type Shard = HashMap<TenantId, HashMap<ChannelName, Subscribers>>;

impl Default for Channels {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").finish_non_exhaustive()
    }
}

impl Channels {
    /// Without any channel.
    pub fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }

    /// Lets a connection follow a channel. False when it already does; then nothing changes.
    pub fn subscribe(
        &self,
        tenant: &TenantId,
        channel: &ChannelName,
        connection: ConnectionId,
        receiver: Arc<dyn Receiver>,
    ) -> bool {
        let mut shard = self.shard(tenant, channel);
        // Names are copied only for the first subscriber.
        if let Some(subscribers) = shard.get_mut(tenant).and_then(|channels| channels.get_mut(channel)) {
            return subscribers.insert(connection, receiver);
        }
        let subscribers = Subscribers::of_one(connection, receiver);
        shard.entry(tenant.clone()).or_default().insert(channel.clone(), subscribers);
        true
    }

    /// Ends that a connection follows a channel. False when it did not.
    pub fn unsubscribe(&self, tenant: &TenantId, channel: &ChannelName, connection: ConnectionId) -> bool {
        let mut shard = self.shard(tenant, channel);
        let Some(channels) = shard.get_mut(tenant) else { return false };
        let Some(subscribers) = channels.get_mut(channel) else { return false };
        let removed = subscribers.remove(connection);
        if subscribers.is_empty() {
            channels.remove(channel);
            if channels.is_empty() {
                shard.remove(tenant);
            }
        }
        removed
    }

    /// Ends that a closed connection follows anything: `followed` is what its session names
    /// ([`crate::Session::subscriptions`]).
    pub fn remove<'a>(
        &self,
        tenant: &TenantId,
        connection: ConnectionId,
        followed: impl IntoIterator<Item = &'a ChannelName>,
    ) {
        for channel in followed {
            self.unsubscribe(tenant, channel, connection);
        }
    }

    /// Delivers a frame to everyone who follows the channel now, and says to how many.
    pub fn publish(&self, tenant: &TenantId, channel: &ChannelName, frame: &Bytes) -> usize {
        let snapshot = self.shard(tenant, channel).get(tenant).and_then(|channels| channels.get(channel)).cloned();
        let Some(subscribers) = snapshot else { return 0 };
        for subscriber in subscribers.iter() {
            subscriber.receiver.deliver(frame.clone());
        }
        subscribers.len()
    }

    /// How many connections follow the channel.
    pub fn subscribers(&self, tenant: &TenantId, channel: &ChannelName) -> usize {
        let shard = self.shard(tenant, channel);
        shard.get(tenant).and_then(|channels| channels.get(channel)).map_or(0, Subscribers::len)
    }

    // Nothing under the lock runs foreign code, so a poisoned shard is still whole.
    fn shard(&self, tenant: &TenantId, channel: &ChannelName) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one((tenant, channel));
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone)]
struct Subscriber {
    connection: ConnectionId,
    receiver: Arc<dyn Receiver>,
}

/// Subscribers in order of their connection, in blocks that are never empty.
#[derive(Clone)]
struct Subscribers {
    blocks: Vec<Arc<Vec<Subscriber>>>,
}

impl Subscribers {
    fn of_one(connection: ConnectionId, receiver: Arc<dyn Receiver>) -> Self {
        // `vec!` makes room for exactly one: most channels are personal.
        Self { blocks: vec![Arc::new(vec![Subscriber { connection, receiver }])] }
    }

    fn insert(&mut self, connection: ConnectionId, receiver: Arc<dyn Receiver>) -> bool {
        let index = self.block_of(connection);
        let block = &mut self.blocks[index];
        let Err(place) = block.binary_search_by_key(&connection, |s| s.connection) else { return false };
        let entries = Arc::make_mut(block);
        entries.insert(place, Subscriber { connection, receiver });
        if entries.len() >= BLOCK {
            // Connections are numbered upwards: a full last block stays full, and the next ones fill a new block.
            let at = if place + 1 == entries.len() { place } else { BLOCK / 2 };
            let tail = entries.split_off(at);
            self.blocks.insert(index + 1, Arc::new(tail));
        }
        true
    }

    fn remove(&mut self, connection: ConnectionId) -> bool {
        let Some(index) = (!self.blocks.is_empty()).then(|| self.block_of(connection)) else { return false };
        let block = &mut self.blocks[index];
        let Ok(place) = block.binary_search_by_key(&connection, |s| s.connection) else { return false };
        if block.len() == 1 {
            self.blocks.remove(index);
            return true;
        }
        let entries = Arc::make_mut(block);
        entries.remove(place);
        if entries.len() <= entries.capacity() / 4 {
            entries.shrink_to_fit();
        }
        true
    }

    // The last block that begins at or before the connection; the first one for whoever comes before all.
    fn block_of(&self, connection: ConnectionId) -> usize {
        let after = self.blocks.partition_point(|block| block.first().is_some_and(|s| s.connection <= connection));
        after.saturating_sub(1)
    }

    fn iter(&self) -> impl Iterator<Item = &Subscriber> {
        self.blocks.iter().flat_map(|block| block.iter())
    }

    fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;

    #[derive(Default)]
    struct Inbox(Mutex<Vec<Bytes>>);

    impl Receiver for Inbox {
        fn deliver(&self, frame: Bytes) {
            self.0.lock().expect("no test panics inside").push(frame);
        }
    }

    impl Inbox {
        fn taken(&self) -> usize {
            self.0.lock().expect("no test panics inside").len()
        }
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::try_from(name).expect("a valid name")
    }

    fn channel(name: &str) -> ChannelName {
        ChannelName::try_from(name).expect("a valid name")
    }

    const FRAME: Bytes = Bytes::from_static(b"{}");

    #[test]
    fn a_publication_reaches_exactly_the_followers_of_its_tenant() {
        let channels = Channels::new();
        let (ours, theirs) = (Arc::new(Inbox::default()), Arc::new(Inbox::default()));
        assert!(channels.subscribe(&tenant("a"), &channel("news"), ConnectionId::new(1), ours.clone()));
        assert!(channels.subscribe(&tenant("b"), &channel("news"), ConnectionId::new(2), theirs.clone()));
        assert_eq!(channels.publish(&tenant("a"), &channel("news"), &FRAME), 1);
        assert_eq!(channels.publish(&tenant("a"), &channel("other"), &FRAME), 0);
        assert_eq!((ours.taken(), theirs.taken()), (1, 0));
    }

    #[test]
    fn following_twice_delivers_once() {
        let channels = Channels::new();
        let inbox = Arc::new(Inbox::default());
        assert!(channels.subscribe(&tenant("a"), &channel("news"), ConnectionId::new(1), inbox.clone()));
        assert!(!channels.subscribe(&tenant("a"), &channel("news"), ConnectionId::new(1), inbox.clone()));
        channels.publish(&tenant("a"), &channel("news"), &FRAME);
        assert_eq!(inbox.taken(), 1);
    }

    #[test]
    fn a_frame_is_stored_once_for_all_receivers() {
        let channels = Channels::new();
        let inboxes = [Arc::new(Inbox::default()), Arc::new(Inbox::default())];
        for (n, inbox) in (1..).zip(&inboxes) {
            channels.subscribe(&tenant("a"), &channel("news"), ConnectionId::new(n), inbox.clone());
        }
        let frame = Bytes::from(vec![b'x'; 100]);
        channels.publish(&tenant("a"), &channel("news"), &frame);
        for inbox in inboxes {
            assert_eq!(inbox.0.lock().expect("no test panics inside")[0].as_ptr(), frame.as_ptr());
        }
    }

    #[test]
    fn a_channel_nobody_follows_is_forgotten_with_its_receivers() {
        let channels = Channels::new();
        let inbox = Arc::new(Inbox::default());
        let watch: Weak<Inbox> = Arc::downgrade(&inbox);
        channels.subscribe(&tenant("a"), &channel("x"), ConnectionId::new(1), inbox.clone());
        channels.subscribe(&tenant("a"), &channel("y"), ConnectionId::new(1), inbox);
        channels.remove(&tenant("a"), ConnectionId::new(1), &[channel("x"), channel("y")]);
        assert!(watch.upgrade().is_none());
        assert!(channels.shards.iter().all(|shard| shard.lock().expect("no test panics inside").is_empty()));
        assert!(!channels.unsubscribe(&tenant("a"), &channel("x"), ConnectionId::new(1)));
    }

    #[test]
    fn a_receiver_may_change_the_channel_it_is_called_from() {
        struct Leaver(Arc<Channels>);
        impl Receiver for Leaver {
            fn deliver(&self, _: Bytes) {
                assert!(self.0.unsubscribe(&tenant("a"), &channel("news"), ConnectionId::new(1)));
            }
        }
        let channels = Arc::new(Channels::new());
        let leaver = Arc::new(Leaver(channels.clone()));
        channels.subscribe(&tenant("a"), &channel("news"), ConnectionId::new(1), leaver);
        assert_eq!(channels.publish(&tenant("a"), &channel("news"), &FRAME), 1);
        assert_eq!(channels.publish(&tenant("a"), &channel("news"), &FRAME), 0);
    }

    #[test]
    fn a_big_channel_keeps_its_blocks_small_full_and_in_order() {
        let receiver: Arc<dyn Receiver> = Arc::new(Inbox::default());
        let mut upwards = Subscribers::of_one(ConnectionId::new(0), receiver.clone());
        for n in 1..20_000 {
            assert!(upwards.insert(ConnectionId::new(n), receiver.clone()));
        }
        assert!(upwards.blocks.len() <= 20_000 / (BLOCK - 1) + 1, "{} blocks", upwards.blocks.len());
        let mut scattered = Subscribers::of_one(ConnectionId::new(7), receiver.clone());
        for n in 1..5_000_u64 {
            // 7919 is prime and no factor of 5,000: every number comes once.
            assert!(scattered.insert(ConnectionId::new((n * 7_919 + 7) % 5_000), receiver.clone()));
        }
        for subscribers in [&upwards, &scattered] {
            assert!(subscribers.blocks.iter().all(|block| (1..BLOCK).contains(&block.len())));
            let ids: Vec<_> = subscribers.iter().map(|s| s.connection).collect();
            assert!(ids.is_sorted());
        }
        assert_eq!(scattered.len(), 5_000);
        for n in (0..5_000).rev() {
            assert!(scattered.remove(ConnectionId::new(n)) && !scattered.remove(ConnectionId::new(n)));
        }
        assert!(scattered.is_empty());
    }
}

//! What slows those who guess, and not those whom they guess about.
//!
//! Owns: what an attempt is counted for, and the delay that follows from the count.
//! Guarantees: an attempt is counted as a failure, in a transaction of its own, before anything is hashed, so that
//! guesses made at once, on however many replicas, are each seen by the others; a good one takes its own count back. A
//! delay never exceeds [`GuardRules::longest`], and no guess prolongs a delay that runs. A place from which an account
//! was logged into before is counted alone: whatever others do about that account, from there it is not slowed. A device
//! that was logged in on is one more way in, counted alone too: whoever shows it is never slower than without it, so that
//! not even its thief slows its owner at a known place.
//! Refuses to know who exists: names that nobody has are counted like all others. Rows hold digests, no names.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_types::{CredentialId, IdentityId, IdentityName, TenantId, Timestamp};
use sha2::{Digest, Sha256};

use crate::passwords::HashQueue;
use crate::{Authority, ReadView, StoreError, WriteTx};

/// How long a place stays known after the last login from it.
pub(crate) const PLACE_KNOWN: Duration = Duration::from_secs(90 * 86_400);
/// How many places of an account are known; the one unused for longest goes first.
const MOST_PLACES: u32 = 32;
/// How many old counts each new one deletes.
const FORGOTTEN_AT_ONCE: u32 = 16;
/// The first delay; each further failure doubles it.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// How many attempts are free, and how slow it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardRules {
    /// Failures on one account from one place before the first delay.
    pub free_per_place: u32,
    /// Failures on one account from all unknown places before the first delay.
    pub free_per_account: u32,
    /// Failures from one address on all accounts before the first delay.
    pub free_per_address: u32,
    /// The longest delay.
    pub longest: Duration,
    /// How long after the last failure all are forgotten.
    pub forget_after: Duration,
}

/// What attempts are counted for, by digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey([u8; 16]);

impl AttemptKey {
    /// From its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    fn of(kind: &str, parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new_with_prefix(kind);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finalize()[..16]);
        Self(key)
    }

    /// An account, whether or not anybody has the name.
    pub(crate) fn account(tenant: &TenantId, name: &IdentityName) -> Self {
        // As it is spelled: names that differ in case are two people, and neither may vouch for the other's places.
        Self::of("account", &[tenant.as_str().as_bytes(), name.as_str().as_bytes()])
    }

    /// An address; of IPv6 the network of 64 bits, because one customer has all of it.
    pub(crate) fn address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::of("address", &[&address.octets()]),
            IpAddr::V6(address) => Self::of("address", &[&address.octets()[..8]]),
        }
    }

    fn of_both(account: &Self, address: &Self) -> Self {
        Self::of("place", &[&account.0, &address.0])
    }

    /// The second factor of an identity, as proofs from anywhere count.
    pub(crate) fn second_factor(tenant: &TenantId, identity: IdentityId) -> Self {
        Self::of("second factor", &[tenant.as_str().as_bytes(), identity.as_bytes()])
    }

    /// The same, as proofs from one known place or device count.
    pub(crate) fn second_factor_from(tenant: &TenantId, identity: IdentityId, known: Option<&Self>) -> Self {
        match known {
            Some(place) => Self::of("second factor at", &[tenant.as_str().as_bytes(), identity.as_bytes(), &place.0]),
            None => Self::second_factor(tenant, identity),
        }
    }

    /// An account, as the devices are kept by that it was logged into on.
    pub(crate) fn devices(&self) -> Self {
        Self::of("devices", &[&self.0])
    }

    /// A device of an account, and all that it is bound to.
    pub(crate) fn device(account: &Self, bond: &[&[u8]; 4]) -> Self {
        let [identity, password, ended, value] = bond;
        Self::of("device", &[&account.0, identity, password, ended, value])
    }

    /// A one-time token for a password.
    pub(crate) fn password_reset(id: CredentialId) -> Self {
        Self::of("password reset", &[id.as_bytes()])
    }

    /// A login that was asked for more.
    pub(crate) fn continuation(id: CredentialId) -> Self {
        Self::of("continuation", &[id.as_bytes()])
    }
}

/// What is counted for a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many failed, or are under way.
    pub failures: u32,
    /// Before this instant none is let in; the beginning of time where nothing is delayed, whatever the clocks say.
    pub next_at: Timestamp,
    /// When the last was let in.
    pub last_at: Timestamp,
}

impl Attempts {
    /// One more, let in now.
    fn and_one(self, free: u32, rules: &GuardRules, now: Timestamp) -> Self {
        let forgotten = now.saturating_since(self.last_at) >= rules.forget_after;
        let failures = if forgotten { 1 } else { self.failures.saturating_add(1) };
        Self { failures, next_at: rules.next_at(now, failures, free), last_at: now }
    }

    /// One less: it was good.
    fn less_one(self, free: u32, rules: &GuardRules) -> Self {
        let failures = self.failures.saturating_sub(1);
        let next_at = self.next_at.min(rules.next_at(self.last_at, failures, free));
        Self { failures, next_at, ..self }
    }

    /// How long until one is let in. What ends later than any delay could was written by a clock that was wrong: twice
    /// the longest, so that clocks of replicas which differ a little let nobody in early.
    fn wait(&self, rules: &GuardRules, now: Timestamp) -> Duration {
        let wait = self.next_at.saturating_since(now);
        if wait > rules.longest.saturating_mul(2) { Duration::ZERO } else { wait }
    }
}

impl GuardRules {
    fn next_at(&self, now: Timestamp, failures: u32, free: u32) -> Timestamp {
        match self.delay(failures, free) {
            Duration::ZERO => Timestamp::default(),
            delay => now + delay,
        }
    }

    fn delay(&self, failures: u32, free: u32) -> Duration {
        match failures.checked_sub(free) {
            None | Some(0) => Duration::ZERO,
            Some(beyond) => FIRST_DELAY.saturating_mul(1 << (beyond - 1).min(30)).min(self.longest),
        }
    }
}

/// Where an attempt comes from and what it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    pub(crate) account: AttemptKey,
    pub(crate) place: Option<AttemptKey>,
    address: Option<AttemptKey>,
}

/// What of an attempt is known from logins before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    pub(crate) place: Option<AttemptKey>,
    pub(crate) device: Option<AttemptKey>,
}

impl Known {
    /// What proofs of an identity's second factor count for, one after another.
    pub(crate) fn second_factor(&self, tenant: &TenantId, identity: IdentityId) -> Vec<AttemptKey> {
        let from = |known: Option<&AttemptKey>| AttemptKey::second_factor_from(tenant, identity, known);
        self.device.iter().map(|device| from(Some(device))).chain([from(self.place.as_ref())]).collect()
    }
}

impl Door {
    pub(crate) fn new(tenant: &TenantId, name: &IdentityName, from: Option<IpAddr>) -> Self {
        let account = AttemptKey::account(tenant, name);
        let address = from.map(AttemptKey::address);
        Self { account, place: address.as_ref().map(|address| AttemptKey::of_both(&account, address)), address }
    }

    /// What is known of where this comes from.
    pub(crate) async fn known(&self, view: &mut dyn ReadView, now: Timestamp) -> Result<Known, StoreError> {
        Ok(Known { place: known_place(view, &self.account, self.place.as_ref(), now).await?, device: None })
    }

    /// The ways in, one after another.
    fn ways(&self, known: &Known, rules: &GuardRules) -> Vec<Way> {
        let keys: Vec<_> = self.place.map(|place| (place, rules.free_per_place)).into_iter().collect();
        let mut without = Way { keys, queue: HashQueue::Known };
        if known.place.is_none() {
            without.queue = HashQueue::Unknown;
            without.keys.push((self.account, rules.free_per_account));
            without.keys.extend(self.address.map(|address| (address, rules.free_per_address)));
        }
        known.device.map(|device| Way::alone(device, rules)).into_iter().chain([without]).collect()
    }
}

/// A way in: what an attempt counts for on it, with what is free, and in which queue its hash is computed.
#[derive(Clone, Debug)]
struct Way {
    keys: Vec<(AttemptKey, u32)>,
    queue: HashQueue,
}

impl Way {
    /// Of one thing that was shown, which nobody else's attempts count for.
    fn alone(key: AttemptKey, rules: &GuardRules) -> Self {
        Self { keys: vec![(key, rules.free_per_place)], queue: HashQueue::Known }
    }
}

/// A place, if an account was logged into from there before.
pub(crate) async fn known_place(
    view: &mut dyn ReadView,
    account: &AttemptKey,
    place: Option<&AttemptKey>,
    now: Timestamp,
) -> Result<Option<AttemptKey>, StoreError> {
    let Some(place) = place else { return Ok(None) };
    Ok(is_known_place(view, account, place, now).await?.then_some(*place))
}

/// Whether an account was logged into from a place before.
pub(crate) async fn is_known_place(
    view: &mut dyn ReadView,
    account: &AttemptKey,
    place: &AttemptKey,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let seen = view.place_seen_at(account, place).await?;
    Ok(seen.is_some_and(|seen| now < seen + PLACE_KNOWN))
}

/// An attempt that was counted, or was not let in.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    /// It may look; if it fails, the next may after so long.
    Taken { keys: Vec<(AttemptKey, u32)>, retry_after: Duration, queue: HashQueue },
    /// It may not before so long.
    Delayed { retry_after: Duration },
}

impl Slot {
    pub(crate) const fn retry_after(&self) -> Duration {
        match self {
            Self::Taken { retry_after, .. } | Self::Delayed { retry_after } => *retry_after,
        }
    }

    /// In which queue its hash is computed.
    pub(crate) const fn queue(&self) -> HashQueue {
        match self {
            Self::Taken { queue, .. } => *queue,
            Self::Delayed { .. } => HashQueue::Refused,
        }
    }

    pub(crate) const fn is_taken(&self) -> bool {
        matches!(self, Self::Taken { .. })
    }
}

impl Authority {
    /// Counts an attempt to come in by a door.
    pub(crate) async fn knock(&self, door: &Door, known: &Known) -> Result<Slot, StoreError> {
        self.take_first(door.ways(known, &self.settings().guard)).await
    }

    /// Counts an attempt on one thing alone: the first of these that is not delayed.
    pub(crate) async fn knock_at(&self, keys: impl IntoIterator<Item = AttemptKey> + Send) -> Result<Slot, StoreError> {
        let rules = self.settings().guard;
        self.take_first(keys.into_iter().map(|key| Way::alone(key, &rules)).collect()).await
    }

    /// On the first way that is not delayed. Whoever has a second one showed what was given at a login before.
    async fn take_first(&self, ways: Vec<Way>) -> Result<Slot, StoreError> {
        let mut soonest = None;
        for way in ways {
            match self.take_slot(way).await? {
                Slot::Delayed { retry_after } => {
                    soonest = Some(soonest.map_or(retry_after, |other: Duration| other.min(retry_after)));
                }
                taken @ Slot::Taken { .. } => return Ok(taken),
            }
        }
        Ok(Slot::Delayed { retry_after: soonest.unwrap_or_default() })
    }

    async fn take_slot(&self, way: Way) -> Result<Slot, StoreError> {
        let mut keys = way.keys;
        // In one order everywhere, so that two attempts never wait for each other.
        keys.sort_unstable();
        let rules = self.settings().guard;
        let mut tx = self.store().write().await?;
        let now = self.now();
        let mut held = Vec::with_capacity(keys.len());
        for (key, free) in &keys {
            held.push((*key, *free, tx.lock_attempts(key).await?));
        }
        let wait = |attempts: &[(AttemptKey, u32, Attempts)]| {
            attempts.iter().map(|(_, _, row)| row.wait(&rules, now)).max().unwrap_or_default()
        };
        let retry_after = wait(&held);
        if !retry_after.is_zero() {
            return Ok(Slot::Delayed { retry_after });
        }
        for (key, free, row) in &mut held {
            *row = row.and_one(*free, &rules, now);
            tx.set_attempts(key, row).await?;
        }
        let forgotten = Timestamp::from_micros(now.as_micros().saturating_sub(micros(rules.forget_after)));
        tx.forget_attempts(forgotten, FORGOTTEN_AT_ONCE).await?;
        tx.commit().await?;
        Ok(Slot::Taken { keys, retry_after: wait(&held), queue: way.queue })
    }

    /// Takes a count back in the transaction that found the attempt good.
    pub(crate) async fn give_back(&self, tx: &mut dyn WriteTx, slot: &Slot) -> Result<(), StoreError> {
        let Slot::Taken { keys, .. } = slot else { return Ok(()) };
        for (key, free) in keys {
            let row = tx.lock_attempts(key).await?;
            tx.set_attempts(key, &row.less_one(*free, &self.settings().guard)).await?;
        }
        Ok(())
    }

    /// Takes a count back when nothing was looked at.
    pub(crate) async fn give_back_unused(&self, slot: &Slot) -> Result<(), StoreError> {
        let mut tx = self.store().write().await?;
        self.give_back(tx.as_mut(), slot).await?;
        tx.commit().await
    }

    /// Remembers from where an account was logged into, and forgets what failed there.
    pub(crate) async fn welcome_at(
        &self,
        tx: &mut dyn WriteTx,
        account: &AttemptKey,
        place: Option<&AttemptKey>,
    ) -> Result<(), StoreError> {
        let Some(place) = place else { return Ok(()) };
        let now = self.now();
        tx.lock_attempts(place).await?;
        tx.set_attempts(place, &Attempts { last_at: now, ..Attempts::default() }).await?;
        tx.note_place(account, place, now, MOST_PLACES).await
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: GuardRules = GuardRules {
        free_per_place: 3,
        free_per_account: 10,
        free_per_address: 20,
        longest: Duration::from_secs(60),
        forget_after: Duration::from_secs(900),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000_000 + seconds)
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let seconds: Vec<_> = (1..12).map(|failures| RULES.delay(failures, 3).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(RULES.delay(u32::MAX, 0), RULES.longest);
    }

    #[test]
    fn failures_are_forgotten_after_a_quiet_time_and_not_before() {
        let row = Attempts { failures: 9, next_at: at(30), last_at: at(0) };
        assert_eq!(row.and_one(3, &RULES, at(899)).failures, 10);
        let fresh = row.and_one(3, &RULES, at(900));
        assert_eq!((fresh.failures, fresh.next_at), (1, Timestamp::default()));
    }

    #[test]
    fn what_is_not_delayed_waits_for_no_clock() {
        let free = Attempts::default().and_one(3, &RULES, at(100));
        assert_eq!(free.wait(&RULES, at(40)), Duration::ZERO, "another replica is a minute behind");
        let delayed = Attempts { failures: 9, ..free }.and_one(3, &RULES, at(100));
        assert_eq!(delayed.wait(&RULES, at(100)), Duration::from_secs(60));
        assert_eq!(delayed.wait(&RULES, at(95)), Duration::from_secs(65), "five seconds behind is nobody's way in");
        assert_eq!(delayed.wait(&RULES, at(-3_600)), Duration::ZERO, "a clock was put back by an hour");
    }

    #[test]
    fn names_that_differ_in_case_are_two_accounts() {
        let tenant = TenantId::try_from("demo").expect("a tenant");
        let name = |name: &str| IdentityName::try_from(name).expect("a name");
        let account = |of: &str| AttemptKey::account(&tenant, &name(of));
        assert_ne!(account("alice"), account("Alice"));
        assert_eq!(account("alice"), account("alice"));
    }

    #[test]
    fn a_good_attempt_takes_its_own_count_back_and_no_other() {
        let row = Attempts { failures: 4, next_at: at(0), last_at: at(0) };
        let during = row.and_one(3, &RULES, at(10));
        assert_eq!((during.failures, during.next_at), (5, at(12)));
        let after = during.less_one(3, &RULES);
        assert_eq!((after.failures, after.next_at), (4, at(11)));
    }

    #[test]
    fn a_place_is_an_address_and_an_account() {
        let key = |text: &str| AttemptKey::address(text.parse().expect("an address"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    }
}

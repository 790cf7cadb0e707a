//! Refused logins, on their way to the audit trail.
//!
//! Guarantees: a refusal is only noted while somebody waits for it, and written down a moment later. A write of its own
//! would take longer than a refusal without one, and so tell who exists.
//! However many are refused, the trail and the other writers bear few rows: those that are alike (whose, why, by whom
//! asked and from where) share one, which says how many they were. The first is written at once; while more come, the next
//! row waits a minute, then two, and up to an hour. All together are [`MOST_ROWS`] a minute, the oldest first; what has to
//! wait is counted on meanwhile, and no count is lost by that.
//! Refuses to write names: where nobody has the name that was typed, the row is about the tenant, because people type
//! passwords where names belong.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_types::{Boottime, IdentityId, TenantId, Timestamp};

use crate::audit::{About, Actor, AuditEntry, AuditOutcome, Detail};
use crate::{Authority, StoreError};

/// How long the second row waits; each further one twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// The longest that a row waits.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// How many rows are written in [`FIRST_PAUSE`].
const MOST_ROWS: usize = 60;
/// How many rows are gathered for at once. What more are refused is counted by number alone.
const MOST_GATHERED: usize = 1_024;
/// How many of one account are told apart by where they come from; while more come, they share a row without an address.
const MOST_PLACES: usize = 8;

/// Why a login went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Because {
    /// It was not looked at: too many came before it.
    TooEarly,
    /// The password is another one.
    WrongPassword,
    /// There is no password.
    NoPassword,
    /// Nobody has the name.
    NobodysName,
    /// The password was right, and whose it is may not log in, or something it rested on changed meanwhile.
    NotAllowed,
    /// The password was right, and the code was not.
    WrongSecondFactor,
}

impl Because {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::TooEarly => "TOO_EARLY",
            Self::WrongPassword => "WRONG_PASSWORD",
            Self::NoPassword => "NO_PASSWORD",
            Self::NobodysName => "UNKNOWN_NAME",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::WrongSecondFactor => "WRONG_SECOND_FACTOR",
        }
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    /// Who asked.
    pub(crate) actor: Actor,
    /// Whose login it would have been; none where nobody has the name.
    pub(crate) whose: Option<IdentityId>,
    /// What was refused.
    pub(crate) action: &'static str,
    /// Why.
    pub(crate) because: Because,
}

impl Denied {
    /// From wherever.
    fn is_like(&self, other: &Self) -> bool {
        self.action == other.action && self.because == other.because && self.actor.as_str() == other.actor.as_str()
    }

    fn entry(self, tenant: &TenantId, at: Timestamp) -> AuditEntry {
        let Self { actor, whose, action, because } = self;
        AuditEntry {
            at,
            tenant: tenant.clone(),
            actor,
            action,
            about: whose.map_or_else(|| About::Tenant(tenant.clone()), About::Identity),
            outcome: AuditOutcome::Denied,
            reason: Some(because.text().to_owned()),
            detail: Detail::default(),
            // A name for a request is of what is done; nothing was.
            request: None,
        }
    }
}

/// Some that are alike and are not written down yet.
#[derive(Clone, Debug)]
struct Count {
    times: u64,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Debug)]
struct Gathered {
    denied: Denied,
    /// From more addresses than are told apart.
    is_scattered: bool,
    count: Option<Count>,
    /// Not written before.
    due: Boottime,
    pause: Duration,
}

/// What becomes a row.
#[derive(Debug)]
struct Row {
    tenant: TenantId,
    denied: Denied,
    is_scattered: bool,
    count: Count,
}

impl Row {
    fn entry(&self) -> AuditEntry {
        let mut detail = Detail::default().and_maybe("from", self.is_scattered.then_some("several addresses"));
        if self.count.times > 1 {
            let times = usize::try_from(self.count.times).unwrap_or(usize::MAX);
            detail = detail.and_count("times", times).and_time("last", Some(self.count.last));
        }
        self.denied.clone().entry(&self.tenant, self.count.first).telling(detail)
    }
}

/// What was noted and is not written down yet.
#[derive(Debug, Default)]
pub(crate) struct DeniedLogins(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    gathered: BTreeMap<(TenantId, Option<IdentityId>), Vec<Gathered>>,
    written_since: Option<Boottime>,
    written: usize,
    uncounted: u64,
}

impl DeniedLogins {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn note(&mut self, tenant: &TenantId, denied: Denied, count: Count, now: Boottime) {
        let key = (tenant.clone(), denied.whose);
        let of = self.gathered.get_mut(&key).map(Vec::as_mut_slice).unwrap_or_default();
        let is_scattered = of.len() >= MOST_PLACES;
        if let Some(found) = of.iter_mut().filter(|one| one.takes(&denied)).min_by_key(|one| one.is_scattered) {
            return found.add(count);
        }
        if self.all().count() >= MOST_GATHERED {
            self.uncounted = self.uncounted.saturating_add(count.times);
            return;
        }
        let denied = if is_scattered { Denied { actor: denied.actor.nowhere(), ..denied } } else { denied };
        let one = Gathered { denied, is_scattered, count: Some(count), due: now, pause: FIRST_PAUSE };
        self.gathered.entry(key).or_default().push(one);
    }

    /// The rows whose time has come, at most as many as may be written now.
    fn take_due(&mut self, now: Boottime) -> Vec<Row> {
        if self.written_since.is_none_or(|since| now.saturating_since(since) >= FIRST_PAUSE) {
            (self.written_since, self.written) = (Some(now), 0);
        }
        for of in self.gathered.values_mut() {
            of.retain(|one| one.count.is_some() || one.due > now);
        }
        self.gathered.retain(|_, of| !of.is_empty());
        let most = MOST_ROWS - self.written;
        let mut due: Vec<_> = self.all().filter(|(_, one)| one.due <= now && one.count.is_some()).collect();
        due.sort_by_key(|(_, one)| one.count.as_ref().map(|count| count.first));
        due.truncate(most);
        let rows: Vec<_> = due.into_iter().filter_map(|(tenant, one)| one.take(tenant, now)).collect();
        self.written += rows.len();
        rows
    }

    /// All rows, whether their time has come or not.
    fn take_all(&mut self, now: Boottime) -> Vec<Row> {
        self.all().filter_map(|(tenant, one)| one.take(tenant, now)).collect()
    }

    fn all(&mut self) -> impl Iterator<Item = (&TenantId, &mut Gathered)> {
        self.gathered.iter_mut().flat_map(|((tenant, _), of)| of.iter_mut().map(move |one| (tenant, one)))
    }
}

impl Gathered {
    fn takes(&self, denied: &Denied) -> bool {
        self.denied.is_like(denied) && (self.is_scattered || self.denied.actor.address() == denied.actor.address())
    }

    fn add(&mut self, count: Count) {
        let before = self.count.take();
        self.count = Some(match before {
            None => count,
            Some(before) => Count {
                times: before.times.saturating_add(count.times),
                first: before.first.min(count.first),
                last: before.last.max(count.last),
            },
        });
    }

    fn take(&mut self, tenant: &TenantId, now: Boottime) -> Option<Row> {
        let count = self.count.take()?;
        self.due = now + self.pause;
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
        Some(Row { tenant: tenant.clone(), denied: self.denied.clone(), is_scattered: self.is_scattered, count })
    }
}

impl Authority {
    /// Notes that a login or a password was refused.
    pub(crate) fn note_denied(&self, tenant: &TenantId, denied: Denied) {
        let (at, now) = (self.now(), self.clock().boottime());
        self.denied_logins().with(|state| state.note(tenant, denied, Count { times: 1, first: at, last: at }, now));
    }

    /// The row of one that is written with the step that it ends.
    pub(crate) fn denied_entry(&self, tenant: &TenantId, denied: Denied) -> AuditEntry {
        denied.entry(tenant, self.now())
    }

    /// Writes down which logins were refused, as far as it is time to. Answers how many were too many to be counted by
    /// what they were, since this was last asked.
    pub async fn write_down_denied_logins(&self) -> Result<u64, StoreError> {
        let now = self.clock().boottime();
        let rows = self.denied_logins().with(|state| state.take_due(now));
        self.write_denied(rows).await
    }

    /// The same of all that was noted, before it is forgotten.
    pub async fn write_down_all_denied_logins(&self) -> Result<u64, StoreError> {
        let now = self.clock().boottime();
        let rows = self.denied_logins().with(|state| state.take_all(now));
        self.write_denied(rows).await
    }

    /// What cannot be written waits for its next time. Where nobody knows whether it was, it is told twice and not never.
    async fn write_denied(&self, mut rows: Vec<Row>) -> Result<u64, StoreError> {
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(MOST_ROWS));
            if let Err(error) = self.insert_denied(&rows).await {
                let now = self.clock().boottime();
                self.denied_logins().with(|state| {
                    rows.into_iter().chain(rest).for_each(|row| state.note(&row.tenant, row.denied, row.count, now));
                });
                return Err(error);
            }
            rows = rest;
        }
        Ok(self.denied_logins().with(|state| std::mem::take(&mut state.uncounted)))
    }

    async fn insert_denied(&self, rows: &[Row]) -> Result<(), StoreError> {
        let entries: Vec<_> = rows.iter().map(Row::entry).collect();
        let mut tx = self.store().write().await?;
        tx.insert_audits(&entries).await?;
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::IpAddr;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// One account of as many as there are numbers, from one of many addresses.
    fn refused(state: &mut State, account: u8, address: u32, now: Boottime) {
        let actor = Actor::edge().at(Some(IpAddr::V4(address.into())));
        let whose = Some(IdentityId::from_bytes([account; 16]));
        let denied = Denied { actor, whose, action: "login.deny", because: Because::WrongPassword };
        let at = Timestamp::from_unix_seconds(0) + now.saturating_since(Boottime::ZERO);
        state.note(&TenantId::system(), denied, Count { times: 1, first: at, last: at }, now);
    }

    /// Refused once a second and written down each second, for so long.
    fn rows_in(seconds: u64, mut refuse: impl FnMut(&mut State, u64, Boottime)) -> (Vec<Row>, State) {
        let (mut state, mut rows) = (State::default(), Vec::new());
        for second in 0..seconds {
            let now = Boottime::ZERO + SECOND * u32::try_from(second).expect("a few");
            refuse(&mut state, second, now);
            rows.extend(state.take_due(now));
        }
        (rows, state)
    }

    fn times(rows: &[Row]) -> u64 {
        rows.iter().map(|row| row.count.times).sum()
    }

    #[test]
    fn guesses_that_go_on_are_a_row_ever_more_rarely_and_none_goes_untold() {
        let day = 86_400;
        let (mut rows, mut state) = rows_in(day, |state, _, now| refused(state, 1, 1, now));
        assert_eq!(rows[0].count.times, 1, "the first is told at once");
        assert_eq!((rows[1].count.times, rows[2].count.times), (60, 120));
        assert_eq!(rows.len(), 29, "one after 1, 2, 4, 8, 16, 32 minutes and then each hour");
        rows.extend(state.take_all(Boottime::ZERO));
        assert_eq!(times(&rows), day);
    }

    #[test]
    fn from_however_many_addresses_one_account_is_guessed_at_its_rows_are_few() {
        let (mut rows, mut state) = rows_in(3_600, |state, second, now| {
            (0..10).for_each(|n| refused(state, 1, 10 * u32::try_from(second).expect("a few") + n, now));
        });
        assert!(rows.len() <= 2 * MOST_PLACES, "{}", rows.len());
        rows.extend(state.take_all(Boottime::ZERO));
        assert_eq!(times(&rows), 36_000);
        let somewhere = rows.iter().filter(|row| row.is_scattered && row.denied.actor.address().is_none());
        assert!(somewhere.map(|row| row.count.times).sum::<u64>() > 35_000, "the rest is told without an address");
    }

    #[test]
    fn however_many_accounts_are_guessed_at_rows_are_bounded_by_the_minute_and_what_waits_by_number() {
        let minutes = 5;
        let (mut rows, mut state) = rows_in(60 * minutes, |state, second, now| {
            let network = u32::try_from(second).expect("a few") << 8;
            (0..=u8::MAX).for_each(|account| refused(state, account, network + u32::from(account), now));
        });
        assert_eq!(rows.len() as u64, MOST_ROWS as u64 * minutes);
        let whose: BTreeSet<_> = rows.iter().map(|row| row.denied.whose).collect();
        assert_eq!(whose.len(), 256, "the oldest first, so that each comes to its turn");
        assert!(state.all().count() <= MOST_GATHERED && state.gathered.len() <= 256);
        rows.extend(state.take_all(Boottime::ZERO));
        assert_eq!(times(&rows) + state.uncounted, 60 * minutes * 256, "each is told in a row or by number");
    }

    #[test]
    fn whoever_is_no_longer_guessed_about_is_forgotten_and_then_told_at_once() {
        let (rows, mut state) = rows_in(60, |state, second, now| {
            if second == 0 {
                refused(state, 1, 1, now);
            }
        });
        assert_eq!((rows.len(), state.all().count()), (1, 1));
        let later = Boottime::ZERO + FIRST_PAUSE;
        assert_eq!((state.take_due(later).len(), state.gathered.len()), (0, 0));
        refused(&mut state, 1, 1, later);
        assert_eq!(state.take_due(later).len(), 1);
    }
}

//! Where revocations wait for the one that commits, and become a group.
//!
//! Owns the queue, and the one task that empties it: what came while a group was committed is the next group of its tenant,
//! so the busier it is, the more share an entry, and whoever comes alone waits for nobody.
//! Guarantees: tenants take turns, so that however much one of them asks for, and however often the same, another one waits
//! for one group of it; a revocation that was taken is carried out even if its caller leaves, unless the process ends; a group that
//! panics ends no other, and one that the store keeps waiting holds the next one up for [`PATIENCE`] only. What a group
//! failed at is not known, so then each of it is carried out alone.
//! Bounded: [`MOST_WAITING`] wait here, of one tenant [`MOST_OF_ONE`], the others in their calls, which have deadlines.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auth_domain::{Actor, Asking, Authority, Group, MAX_GROUP, RevokeError, RevokeRequest, Revoked, StoreError};
use futures_util::future::join_all;
use portcullis_types::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::metrics::Metrics;

const MOST_WAITING: usize = 8 * MAX_GROUP;
/// As many as fit into its next group.
const MOST_OF_ONE: usize = MAX_GROUP;
/// How many tenants are remembered before those of whom nothing waits are forgotten.
const MANY_TENANTS: usize = 1_024;
/// For how long a group is waited for, so that the next one has what came meanwhile.
const PATIENCE: Duration = Duration::from_millis(500);

/// Nobody is left to say what became of it.
#[derive(Debug, thiserror::Error)]
#[error("the group that it was in ended without an answer")]
struct NoAnswer;

type Answer = oneshot::Sender<Revoked>;

struct Waiting {
    asking: Asking,
    answer: Answer,
    /// Its tenant's, until it is in a group.
    _place: OwnedSemaphorePermit,
}

/// How much of each tenant may wait here.
#[derive(Debug, Default)]
struct Places(Mutex<HashMap<TenantId, Arc<Semaphore>>>);

impl Places {
    /// A place for one, when there is one.
    async fn take(&self, tenant: &TenantId) -> Result<OwnedSemaphorePermit, RevokeError> {
        let of_tenant = {
            // Each step leaves the map whole.
            let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if !places.contains_key(tenant) && places.len() >= MANY_TENANTS {
                places.retain(|_, places| Arc::strong_count(places) > 1);
            }
            Arc::clone(places.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(MOST_OF_ONE))))
        };
        of_tenant.acquire_owned().await.map_err(|_| unknown())
    }
}

/// See the module. Ends with its last clone. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Revoker {
    authority: Arc<Authority>,
    queue: mpsc::Sender<Waiting>,
    places: Arc<Places>,
}

impl Revoker {
    /// Starts the task.
    pub(crate) fn start(authority: Arc<Authority>, metrics: Arc<Metrics>) -> Self {
        let (queue, waiting) = mpsc::channel(MOST_WAITING);
        let revoker = Arc::clone(&authority);
        tokio::spawn(serve(waiting, PATIENCE, move |group, answers| {
            metrics.revocation_group.observe(group.len() as f64);
            carry_out(Arc::clone(&revoker), group, answers)
        }));
        Self { authority, queue, places: Arc::default() }
    }

    /// As [`Authority::revoke`], by an entry that may be shared with others.
    pub(crate) async fn revoke(&self, actor: &Actor, request: RevokeRequest) -> Revoked {
        if !Group::takes(&request) {
            return self.authority.revoke(actor, request).await;
        }
        let place = self.places.take(&request.tenant).await?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { asking: Asking { actor: actor.clone(), request }, answer, _place: place };
        self.queue.send(waiting).await.map_err(|_| unknown())?;
        answered.await.map_err(|_| unknown())?
    }
}

fn unknown() -> RevokeError {
    StoreError::UnknownOutcome(Box::new(NoAnswer)).into()
}

async fn serve<F>(
    mut queue: mpsc::Receiver<Waiting>,
    patience: Duration,
    carry_out: impl Fn(Group, Vec<Answer>) -> F + Send,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let Some(first) = queue.recv().await else { return };
            waiting.push_back(first);
        }
        while waiting.len() < MOST_WAITING
            && let Ok(next) = queue.try_recv()
        {
            waiting.push_back(next);
        }
        let (group, answers) = gather(&mut waiting);
        // In a task of its own, which goes on when it is no longer waited for; what panics there answers nobody.
        let carried_out = tokio::spawn(carry_out(group, answers));
        let _ = tokio::time::timeout(patience, carried_out).await;
    }
}

/// The first, and whatever may share an entry with it. The others stay in their order, but what is left of the same tenant
/// comes after all of another.
fn gather(waiting: &mut VecDeque<Waiting>) -> (Group, Vec<Answer>) {
    let (mut group, mut answers, mut left) = (Group::default(), Vec::new(), VecDeque::new());
    let Some(turn) = waiting.front().map(|first| first.asking.request.tenant.clone()) else { return (group, answers) };
    for Waiting { asking, answer, _place } in std::mem::take(waiting) {
        if asking.request.tenant != turn {
            waiting.push_back(Waiting { asking, answer, _place });
            continue;
        }
        match group.add(asking) {
            Ok(()) => answers.push(answer),
            Err(asking) => left.push_back(Waiting { asking: *asking, answer, _place }),
        }
    }
    waiting.append(&mut left);
    (group, answers)
}

// Whoever left is told nothing.
async fn carry_out(authority: Arc<Authority>, group: Group, answers: Vec<Answer>) {
    if group.len() > 1 {
        match authority.revoke_together(&group).await {
            Ok(outcomes) => {
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    let _ = answer.send(outcome);
                }
                return;
            }
            // Nobody is answered: that says so.
            Err(StoreError::UnknownOutcome(_)) => return,
            // It left no trace, and it is not said at which it failed.
            Err(_) => {}
        }
    }
    let alone = group.into_asked().into_iter().zip(answers).map(|(Asking { actor, request }, answer)| {
        let authority = &authority;
        async move {
            let _ = answer.send(authority.revoke(&actor, request).await);
        }
    });
    join_all(alone).await;
}

#[cfg(test)]
mod tests {
    use auth_domain::{Committed, Reason, RevokeTarget};
    use portcullis_types::{Revision, SessionId, Timestamp};

    use super::*;

    fn waiting(tenant: &str, session: u8) -> (Waiting, oneshot::Receiver<Revoked>) {
        let (answer, answered) = oneshot::channel();
        let request = RevokeRequest {
            tenant: TenantId::try_from(tenant).expect("a name"),
            target: RevokeTarget::Session(SessionId::from_bytes([session; 16])),
            reason: Reason::Logout,
            pace: None,
            request_id: None,
        };
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("it is new");
        (Waiting { asking: Asking { actor: Actor::edge(), request }, answer, _place: place }, answered)
    }

    fn done(answers: Vec<Answer>) {
        let committed =
            Committed { revision: Revision { seq: 1, chain: 1 }, committed_at: Timestamp::from_unix_seconds(0) };
        answers.into_iter().for_each(|answer| drop(answer.send(Ok(committed))));
    }

    #[tokio::test]
    async fn what_comes_while_a_group_is_carried_out_is_the_next_one() {
        let (queue, waits) = mpsc::channel(9);
        let (seen, mut groups) = mpsc::unbounded_channel();
        let go = Arc::new(Semaphore::new(0));
        let may = Arc::clone(&go);
        tokio::spawn(serve(waits, Duration::MAX, move |group, answers| {
            seen.send(group.len()).expect("it is read");
            let may = Arc::clone(&may);
            async move {
                may.acquire().await.expect("it is open").forget();
                done(answers);
            }
        }));
        let (first, answered) = waiting("acme", 1);
        queue.send(first).await.expect("it is read");
        assert_eq!(groups.recv().await, Some(1));
        let mut others = Vec::new();
        for session in 2..5 {
            let (other, answered) = waiting("acme", session);
            queue.send(other).await.expect("it is read");
            others.push(answered);
        }
        // Whoever leaves is carried out all the same.
        drop(others.pop());
        go.add_permits(2);
        assert_eq!(groups.recv().await, Some(3));
        assert!(answered.await.expect("an answer").is_ok());
        for other in others {
            assert!(other.await.expect("an answer").is_ok());
        }
    }

    #[tokio::test]
    async fn a_group_that_panics_or_does_not_end_keeps_no_other() {
        let (queue, waits) = mpsc::channel(9);
        tokio::spawn(serve(waits, Duration::ZERO, |group, answers| async move {
            match group.into_asked()[0].request.target {
                RevokeTarget::Session(id) if id == SessionId::from_bytes([1; 16]) => panic!("as the test wants it"),
                RevokeTarget::Session(id) if id == SessionId::from_bytes([2; 16]) => std::future::pending().await,
                _ => done(answers),
            }
        }));
        let mut answers = Vec::new();
        for session in 1..4 {
            // Of three tenants, so that they are three groups.
            let (one, answered) = waiting(&format!("tenant-{session}"), session);
            queue.send(one).await.expect("it is read");
            answers.push(answered);
        }
        let third = answers.pop().expect("three were asked");
        assert!(third.await.expect("an answer").is_ok());
        assert!(answers.remove(0).await.is_err(), "what panicked answers nobody");
        assert!(answers.remove(0).try_recv().is_err(), "what does not end has not answered");
    }

    #[test]
    fn a_group_is_of_one_tenant_and_the_others_keep_their_order() {
        let asked = [("a", 1), ("b", 2), ("a", 3), ("b", 4), ("a", 1)];
        let mut queue: VecDeque<_> = asked.map(|(tenant, session)| waiting(tenant, session).0).into();
        let session_of = |asking: Asking| match asking.request.target {
            RevokeTarget::Session(id) => id.as_bytes()[0],
            _ => 0,
        };
        let mut next = || {
            let (group, answers) = gather(&mut queue);
            assert_eq!(group.len(), answers.len());
            group.into_asked().into_iter().map(session_of).collect::<Vec<_>>()
        };
        assert_eq!((next(), next(), next()), (vec![1, 3], vec![2, 4], vec![1]), "the same again comes after the first");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_tenant_that_asks_for_the_same_without_end_keeps_no_other() {
        let asked = [("a", 1), ("a", 1), ("a", 1), ("b", 2), ("b", 2), ("c", 3), ("a", 1)];
        let mut queue: VecDeque<_> = asked.map(|(tenant, session)| waiting(tenant, session).0).into();
        let mut turns = Vec::new();
        while !queue.is_empty() {
            let asked = gather(&mut queue).0.into_asked();
            turns.push(asked[0].request.tenant.to_string());
        }
        assert_eq!(turns, ["a", "b", "c", "a", "b", "a", "a"]);
    }

    #[tokio::test]
    async fn a_tenant_waits_for_a_place_of_its_own_and_takes_none_of_another() {
        let places = Places::default();
        let [acme, globex] = ["acme", "globex"].map(|name| TenantId::try_from(name).expect("a name"));
        let mut taken = Vec::new();
        for _ in 0..MOST_OF_ONE {
            taken.push(places.take(&acme).await.expect("there is room"));
        }
        let mut next = std::pin::pin!(places.take(&acme));
        assert!(futures_util::poll!(next.as_mut()).is_pending(), "it is one too many");
        taken.push(places.take(&globex).await.expect("another has its own"));
        drop(taken.remove(0));
        taken.push(next.await.expect("one is gone"));
        for n in 0..3 * MANY_TENANTS {
            let tenant = TenantId::try_from(format!("t{n}").as_str()).expect("a name");
            drop(places.take(&tenant).await.expect("it is the first"));
        }
        let remembered = places.0.lock().expect("not poisoned").len();
        assert!(remembered <= MANY_TENANTS, "{remembered}");
        let again = std::pin::pin!(places.take(&acme));
        assert!(futures_util::poll!(again).is_pending(), "whoever waits is not forgotten");
    }
}

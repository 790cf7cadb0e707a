//! Where credentials stand, for all who ask at the same time by one statement.
//!
//! A look costs a connection, the way to the database and back, and a snapshot, however little is looked up by it. So what
//! is asked while one is under way is gathered into the next one, each credential once: the busier it is, the more share
//! one, and whoever comes alone waits for nobody. Each lane of it keeps its connection from one look to the next, because
//! a pool tests what it is given back by another way to the database and back.
//!
//! Guarantees: a look begins after all whom it answers have asked, so nobody is answered with less than was committed
//! when they asked; its head is of the snapshot of its rows. A look that fails or panics fails for those whom it was for.
//! Bounded: [`MOST_WAITING`] wait in each lane, the others in their calls, which have deadlines.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use auth_domain::{Head, PoolUse, StandingRows, StoreError};
use futures_util::FutureExt as _;
use portcullis_types::CredentialId;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// How many look at once. More would leave less to share.
pub(crate) const LANES: u32 = 2;
/// The most that one look is for.
pub(crate) const MOST_AT_ONCE: usize = 16;
const MOST_WAITING: usize = 1_024;
/// After how long without a look a lane gives back what it holds.
const REST: Duration = Duration::from_secs(60);

/// A credential with everything above it, when there is one, and the head of the same snapshot.
pub(crate) type Found = (Head, Option<Arc<StandingRows>>);

/// What one look saw: the head, and each credential that is there.
pub(crate) type Seen = (Head, HashMap<CredentialId, Result<Arc<StandingRows>, Arc<StoreError>>>);

/// A way to look.
pub(crate) trait Sight: Send + 'static {
    /// Looks up these credentials in one snapshot; none of them twice, and at most [`MOST_AT_ONCE`]. Whoever gives up on
    /// it, or panics in it, leaves nothing that the next look would come upon.
    fn look(&mut self, credentials: &[CredentialId]) -> impl Future<Output = Result<Seen, StoreError>> + Send;

    /// Gives back what it keeps from one look to the next.
    fn rest(&mut self);
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Looks {
    lanes: Vec<Lane>,
    busy: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Lane {
    queue: mpsc::Sender<Asked>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Asked {
    credential: CredentialId,
    answer: oneshot::Sender<Result<Found, StoreError>>,
}

/// Nobody is left to answer.
#[derive(Debug, thiserror::Error)]
#[error("the look that it was in ended without an answer")]
struct NoAnswer;

/// What a look failed at, told to each whom it was for.
#[derive(Debug, thiserror::Error)]
#[error("the look that it was in failed")]
struct Failed(#[source] Arc<StoreError>);

impl Looks {
    /// Starts [`LANES`] tasks, which end with this.
    pub(crate) fn start<S: Sight>(sight: impl Fn() -> S) -> Self {
        let busy = Arc::new(AtomicUsize::new(0));
        let start = |_| {
            let (queue, asked) = mpsc::channel(MOST_WAITING);
            let task = tokio::spawn(serve(sight(), asked, Arc::clone(&busy)));
            Lane { queue, task: task.abort_handle() }
        };
        Self { lanes: (0..LANES).map(start).collect(), busy }
    }

    /// Looks a credential up.
    pub(crate) async fn find(&self, credential: CredentialId) -> Result<Found, StoreError> {
        let unavailable = || StoreError::Unavailable(Box::new(NoAnswer));
        let (answer, answered) = oneshot::channel();
        // By its id, so that all who ask for the same one at once may share it.
        let [.., byte] = *credential.as_bytes();
        let lane = &self.lanes[usize::from(byte) % self.lanes.len()];
        lane.queue.send(Asked { credential, answer }).await.map_err(|_| unavailable())?;
        answered.await.map_err(|_| unavailable())?
    }

    /// How it is used now.
    pub(crate) fn of(&self, pool: &'static str) -> PoolUse {
        let most = self.lanes.len();
        let busy = self.busy.load(Ordering::Relaxed).min(most);
        let waiting = self.lanes.iter().map(|lane| lane.queue.max_capacity() - lane.queue.capacity()).sum();
        PoolUse { pool, busy, idle: most - busy, most, waiting }
    }

    /// Ends it: who waits is answered with an error, and what the lanes hold is given back.
    pub(crate) fn stop(&self) {
        self.lanes.iter().for_each(|lane| lane.task.abort());
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(mut sight: impl Sight, mut queue: mpsc::Receiver<Asked>, busy: Arc<AtomicUsize>) {
    let mut asked = Vec::with_capacity(MOST_AT_ONCE);
    loop {
        match timeout(REST, queue.recv_many(&mut asked, MOST_AT_ONCE)).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(_) => {
                sight.rest();
                if queue.recv_many(&mut asked, MOST_AT_ONCE).await == 0 {
                    return;
                }
            }
        }
        // Whoever left needs no answer.
        asked.retain(|asked| !asked.answer.is_closed());
        asked.sort_unstable_by_key(|asked| asked.credential);
        let mut credentials: Vec<_> = asked.iter().map(|asked| asked.credential).collect();
        credentials.dedup();
        if credentials.is_empty() {
            continue;
        }
        busy.fetch_add(1, Ordering::Relaxed);
        let seen = AssertUnwindSafe(sight.look(&credentials)).catch_unwind().await;
        busy.fetch_sub(1, Ordering::Relaxed);
        match seen {
            Ok(seen) => answer(&mut asked, seen),
            // Nobody is answered: that says so. What panicked has been reported.
            Err(_) => asked.clear(),
        }
    }
}

fn answer(asked: &mut Vec<Asked>, seen: Result<Seen, StoreError>) {
    let seen = seen.map_err(Arc::new);
    for Asked { credential, answer } in asked.drain(..) {
        let found = match &seen {
            Ok((head, rows)) => match rows.get(&credential) {
                Some(Ok(rows)) => Ok((*head, Some(Arc::clone(rows)))),
                Some(Err(error)) => Err(shared(error)),
                None => Ok((*head, None)),
            },
            Err(error) => Err(shared(error)),
        };
        // Who left is told nothing.
        let _ = answer.send(found);
    }
}

fn shared(error: &Arc<StoreError>) -> StoreError {
    match **error {
        StoreError::Conflict => StoreError::Conflict,
        StoreError::Corrupt { what } => StoreError::Corrupt { what },
        StoreError::Unavailable(_) | StoreError::UnknownOutcome(_) | StoreError::Sealed(_) => {
            StoreError::Unavailable(Box::new(Failed(Arc::clone(error))))
        }
    }
}

#[cfg(test)]
mod tests;

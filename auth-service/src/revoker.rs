//! Where revocations wait for the one that commits, and become a group.
//!
//! Owns the queue, and the one task that empties it: what came while a group was committed is the next group, so the busier
//! it is, the more share an entry, and whoever comes alone waits for nobody.
//! Guarantees: a revocation that was taken is carried out even if its caller leaves; a group that panics ends no other.
//! Bounded: [`MOST_WAITING`] wait here, the others in their calls, which have deadlines.

use std::sync::Arc;

use auth_domain::{Actor, Asking, Authority, Committed, Group, MAX_GROUP, RevokeError, RevokeRequest, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::metrics::Metrics;

const MOST_WAITING: usize = 4 * MAX_GROUP;

/// Nobody is left to say what became of it.
#[derive(Debug, thiserror::Error)]
#[error("the group that it was in ended without an answer")]
struct NoAnswer;

struct Waiting {
    asking: Asking,
    answer: oneshot::Sender<Result<Committed, RevokeError>>,
}

/// See the module. Ends with its last clone. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Revoker {
    authority: Arc<Authority>,
    queue: mpsc::Sender<Waiting>,
}

impl Revoker {
    /// Starts the task.
    pub(crate) fn start(authority: Arc<Authority>, metrics: Arc<Metrics>) -> Self {
        let (queue, waiting) = mpsc::channel(MOST_WAITING);
        tokio::spawn(serve(Arc::clone(&authority), metrics, waiting));
        Self { authority, queue }
    }

    /// As [`Authority::revoke`], by an entry that may be shared with others.
    pub(crate) async fn revoke(&self, actor: &Actor, request: RevokeRequest) -> Result<Committed, RevokeError> {
        if !Group::takes(&request) {
            return self.authority.revoke(actor, request).await;
        }
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { asking: Asking { actor: actor.clone(), request }, answer };
        let unknown = || RevokeError::Store(StoreError::UnknownOutcome(Box::new(NoAnswer)));
        self.queue.send(waiting).await.map_err(|_| unknown())?;
        answered.await.map_err(|_| unknown())?
    }
}

async fn serve(authority: Arc<Authority>, metrics: Arc<Metrics>, mut queue: mpsc::Receiver<Waiting>) {
    let mut next = None;
    loop {
        let Some(first) = (match next.take() {
            Some(first) => Some(first),
            None => queue.recv().await,
        }) else {
            return;
        };
        let (mut group, mut answers) = (Group::default(), Vec::new());
        let mut waiting = Some(first);
        while let Some(Waiting { asking, answer }) = waiting.take() {
            match group.add(asking) {
                Ok(()) => {
                    answers.push(answer);
                    waiting = queue.try_recv().ok();
                }
                Err(asking) => next = Some(Waiting { asking: *asking, answer }),
            }
        }
        metrics.revocation_group.observe(group.len() as f64);
        let authority = Arc::clone(&authority);
        // In a task of its own: what panics there answers nobody, and the next group is carried out.
        let carried_out = tokio::spawn(async move { authority.revoke_together(group).await }).await;
        let Ok(outcomes) = carried_out else { continue };
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // Whoever left is told nothing.
            let _ = answer.send(outcome);
        }
    }
}

//! Closing at a stated pace what was fenced at once.
//!
//! Owns the connections that are fenced and have not been called to close: a queue for each fact that killed them, in an
//! order that has nothing to do with when they came. A connection waits in one queue at most, and those that have left by
//! themselves are forgotten once they are the half of all, so this is bounded by the registry.
//! Guarantees: waiting changes nothing about the fence. At most as many are called as the pace allows since its beginning;
//! whoever has left by itself takes nobody's turn. A later entry that sets no pace has whoever it covers closed at once.

use std::time::Duration;

use portcullis_types::Boottime;

use super::Enforcer;
use crate::connection_id::ConnectionId;
use crate::guard::Guard;

/// Fewer than these are not worth looking through.
const FEW: usize = 1_024;

#[derive(Debug)]
struct Queue {
    began: Boottime,
    per_second: u32,
    called: u64,
    /// The next one last.
    waiting: Vec<ConnectionId>,
}

impl Queue {
    /// When the next one may be called: the first at once, then one each so and so often.
    fn next_at(&self) -> Boottime {
        let nanos = u128::from(self.called) * 1_000_000_000 / u128::from(self.per_second);
        self.began + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Closing {
    queues: Vec<Queue>,
    /// How many in the queues have left, or were called by something else.
    gone: usize,
}

impl Closing {
    /// These were fenced at `now`, by something that draws their order.
    pub(super) fn wait(&mut self, mut waiting: Vec<ConnectionId>, per_second: u32, draw: u64, now: Boottime) {
        if !waiting.is_empty() {
            waiting.sort_unstable_by_key(|connection| super::scattered(connection.get() ^ draw));
            self.queues.push(Queue { began: now, per_second, called: 0, waiting });
        }
    }

    /// A connection is over.
    pub(super) fn left(&mut self, guard: &Guard) {
        self.gone += usize::from(guard.waits());
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.queues.iter().map(|queue| queue.waiting.len()).sum::<usize>().saturating_sub(self.gone)
    }

    /// When the next one may be called.
    pub(super) fn next_at(&self) -> Option<Boottime> {
        self.queues.iter().map(Queue::next_at).min()
    }
}

impl Enforcer {
    /// When the next connection that waits to be closed may be called; none when nobody waits.
    pub fn next_close(&self) -> Option<Boottime> {
        self.closing.next_at()
    }

    /// Calls those whose turn has come.
    pub(super) fn close_in_turn(&mut self, now: Boottime) {
        let Closing { queues, gone } = &mut self.closing;
        for queue in queues.iter_mut() {
            while queue.next_at() <= now
                && let Some(connection) = queue.waiting.pop()
            {
                match self.registry.get(connection) {
                    Some(member) if member.guard.release() => queue.called += 1,
                    Some(_) | None => *gone = gone.saturating_sub(1),
                }
            }
        }
        queues.retain(|queue| !queue.waiting.is_empty());
        self.forget_gone();
    }

    /// Has a connection that waits closed at once.
    pub(super) fn close_out_of_turn(&mut self, connection: ConnectionId) {
        let released = self.registry.get(connection).is_some_and(|member| member.guard.release());
        self.closing.gone += usize::from(released);
    }

    fn forget_gone(&mut self) {
        let Closing { queues, gone } = &mut self.closing;
        let all: usize = queues.iter().map(|queue| queue.waiting.len()).sum();
        if *gone < FEW.max(all / 2) {
            return;
        }
        for queue in queues.iter_mut() {
            let waits = |connection: &ConnectionId| self.registry.get(*connection).is_some_and(|it| it.guard.waits());
            queue.waiting.retain(waits);
        }
        *gone = 0;
    }
}

//! What waits to be written to one connection.
//!
//! Owns: the queue of encoded frames, and its budget in bytes. Frames are shared: a frame for a thousand receivers is
//! stored once.
//! Guarantees: order; pushing never waits; an idle outbox holds no memory of its own beyond the struct.
//! Refuses: to grow over its budget. What does not fit marks the outbox as overflowed for good and drops what it holds:
//! the connection is then closed as a slow consumer ([`crate::CloseReason::SlowConsumer`]), because a client that
//! missed one message must not believe that it missed none.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// What a queued frame costs beside its bytes, so that many small frames cannot outgrow the budget.
const FRAME_COST: usize = size_of::<Bytes>();

/// What became of a pushed frame, and whether the connection's task has to be woken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The queue was empty before: wake the task.
    Wake,
    /// The task has not yet taken what was queued before: it needs no second call.
    Queued,
    /// It did not fit; everything queued is gone. Wake the task, which must close the connection.
    Overflow,
    /// The outbox had overflowed or was shut before; the frame is gone and the task knows.
    Dropped,
}

impl Pushed {
    /// Whether the connection's task has to be woken.
    pub const fn must_wake(self) -> bool {
        match self {
            Self::Wake | Self::Overflow => true,
            Self::Queued | Self::Dropped => false,
        }
    }
}

/// The outgoing queue of one connection: many push, one pops.
#[derive(Debug)]
pub struct Outbox(Mutex<Queue>);

#[derive(Debug)]
struct Queue {
    frames: VecDeque<Bytes>,
    cost: u32,
    budget: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Overflowed,
    Shut,
}

impl Outbox {
    /// Empty, holding at most `budget` bytes, counting 32 more for each frame. Budgets over 4 GiB are cut to that.
    pub fn new(budget: usize) -> Self {
        let budget = u32::try_from(budget).unwrap_or(u32::MAX);
        Self(Mutex::new(Queue { frames: VecDeque::new(), cost: 0, budget, state: State::Open }))
    }

    /// Queues a frame behind the others. Never waits.
    pub fn push(&self, frame: Bytes) -> Pushed {
        let mut queue = self.lock();
        if queue.state != State::Open {
            return Pushed::Dropped;
        }
        let cost = u32::try_from(frame.len().saturating_add(FRAME_COST)).unwrap_or(u32::MAX);
        let total = queue.cost.saturating_add(cost);
        if total > queue.budget {
            queue.end(State::Overflowed);
            return Pushed::Overflow;
        }
        queue.cost = total;
        let was_empty = queue.frames.is_empty();
        queue.frames.push_back(frame);
        if was_empty { Pushed::Wake } else { Pushed::Queued }
    }

    /// Takes the oldest frame. `None`: nothing waits, or everything was dropped by an overflow.
    pub fn pop(&self) -> Option<Bytes> {
        let mut queue = self.lock();
        let frame = queue.frames.pop_front()?;
        if queue.frames.is_empty() {
            queue.cost = 0;
            queue.frames = VecDeque::new();
        } else {
            // Counted when it was pushed; only the sum of what is queued has to fit 32 bits.
            let cost = u32::try_from(frame.len().saturating_add(FRAME_COST)).unwrap_or(u32::MAX);
            queue.cost = queue.cost.saturating_sub(cost);
        }
        Some(frame)
    }

    /// Whether a frame did not fit. From then on nothing is queued and the connection must be closed.
    pub fn has_overflowed(&self) -> bool {
        self.lock().state == State::Overflowed
    }

    /// Drops what is queued and takes nothing more: for a connection that may pass no frame any more.
    pub fn shut(&self) {
        let mut queue = self.lock();
        if queue.state == State::Open {
            queue.end(State::Shut);
        }
    }

    /// What waits, in bytes, counting 32 more for each frame.
    pub fn queued_bytes(&self) -> usize {
        self.lock().cost as usize
    }

    // A panic while the lock is held leaves a queue that is still whole: each step changes it at its end only.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn end(&mut self, state: State) {
        self.frames = VecDeque::new();
        self.cost = 0;
        self.state = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: usize) -> Bytes {
        Bytes::from(vec![b'x'; len])
    }

    #[test]
    fn frames_come_out_in_order_and_only_the_first_wakes() {
        let outbox = Outbox::new(1_000);
        assert_eq!(outbox.push(Bytes::from_static(b"1")), Pushed::Wake);
        assert_eq!(outbox.push(Bytes::from_static(b"2")), Pushed::Queued);
        assert_eq!(outbox.pop().as_deref(), Some(&b"1"[..]));
        assert_eq!(outbox.push(Bytes::from_static(b"3")), Pushed::Queued);
        assert_eq!(outbox.pop().as_deref(), Some(&b"2"[..]));
        assert_eq!(outbox.pop().as_deref(), Some(&b"3"[..]));
        assert_eq!(outbox.pop(), None);
        assert_eq!(outbox.push(Bytes::from_static(b"4")), Pushed::Wake);
    }

    #[test]
    fn what_does_not_fit_overflows_for_good_and_drops_everything() {
        let outbox = Outbox::new(2 * (100 + FRAME_COST));
        assert_eq!(outbox.push(frame(100)), Pushed::Wake);
        assert_eq!(outbox.push(frame(100)), Pushed::Queued);
        assert_eq!(outbox.push(frame(0)), Pushed::Overflow);
        assert!(outbox.has_overflowed());
        assert_eq!((outbox.pop(), outbox.queued_bytes()), (None, 0));
        assert_eq!(outbox.push(frame(1)), Pushed::Dropped);
    }

    #[test]
    fn popping_makes_room_again() {
        let outbox = Outbox::new(2 * (100 + FRAME_COST));
        for _ in 0..10 {
            assert!(matches!(outbox.push(frame(100)), Pushed::Wake | Pushed::Queued));
            assert!(matches!(outbox.push(frame(100)), Pushed::Queued));
            assert!(outbox.pop().is_some() && outbox.pop().is_some());
        }
        assert_eq!(outbox.queued_bytes(), 0);
    }

    #[test]
    fn empty_frames_are_not_free() {
        let outbox = Outbox::new(10 * FRAME_COST);
        let taken = (0..100).take_while(|_| outbox.push(Bytes::new()) != Pushed::Overflow).count();
        assert_eq!(taken, 10);
    }

    #[test]
    fn an_idle_outbox_holds_no_memory() {
        let outbox = Outbox::new(1 << 20);
        assert_eq!(outbox.lock().frames.capacity(), 0);
        for _ in 0..100 {
            outbox.push(frame(10));
        }
        while outbox.pop().is_some() {}
        assert_eq!(outbox.lock().frames.capacity(), 0);
        assert!(size_of::<Outbox>() <= 64);
    }

    #[test]
    fn a_shut_outbox_takes_and_gives_nothing() {
        let outbox = Outbox::new(1_000);
        outbox.push(frame(1));
        outbox.shut();
        assert_eq!(outbox.pop(), None);
        assert_eq!(outbox.push(frame(1)), Pushed::Dropped);
        assert!(!outbox.has_overflowed());
    }
}

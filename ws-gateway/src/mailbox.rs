//! What others leave for a connection's task: frames, a wish that it ends, and the call to look.
//!
//! One allocation a connection, shared by its task, the channels it follows and its guard. Leaving something never
//! waits. Frames are bounded by the outbox's budget: above it the connection is closed as a slow consumer.

use std::sync::OnceLock;
use std::task::Waker;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use gateway_core::{CloseReason, Outbox, Receiver, Wake};

/// See the module.
#[derive(Debug)]
pub struct Mailbox {
    /// Frames to write, in order.
    pub outbox: Outbox,
    close: OnceLock<CloseReason>,
    waker: AtomicWaker,
}

impl Mailbox {
    /// Empty, for at most so many bytes.
    pub fn new(budget: usize) -> Self {
        Self { outbox: Outbox::new(budget), close: OnceLock::new(), waker: AtomicWaker::new() }
    }

    /// Asks the connection to end; the first reason stays.
    pub fn request_close(&self, reason: CloseReason) {
        if self.close.set(reason).is_ok() {
            self.waker.wake();
        }
    }

    /// Why the connection was asked to end, if it was.
    pub fn close_requested(&self) -> Option<CloseReason> {
        self.close.get().copied()
    }

    /// The task to call from now on. Look into the mailbox after this, or a call may be missed.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}

impl Receiver for Mailbox {
    fn deliver(&self, frame: Bytes) {
        if self.outbox.push(frame).must_wake() {
            self.waker.wake();
        }
    }
}

impl Wake for Mailbox {
    fn wake(&self) {
        self.waker.wake();
    }
}

//! The end of a connection: one close frame, within bounds.
//!
//! Guarantees that a peer that does not listen costs two seconds at most, and one that has half a frame nothing.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gateway_core::CloseReason;

use crate::connection::End;
use crate::wire::{Incoming, Wire};

/// For the close frame, and for the peer's answer to it, each.
const PATIENCE: Duration = Duration::from_secs(2);

/// Messages that are skipped before others get a turn.
const MESSAGES_A_TURN: usize = 16;

/// Ends the connection.
pub async fn farewell(mut wire: Wire, end: End) {
    match end {
        End::Abort(_) => wire.abort(),
        // With half a frame at the peer, nothing can be said to it; the kernel forgets the rest.
        End::Close(_) | End::Gone if wire.has_begun() => wire.abort(),
        End::Close(reason) => close(wire, reason).await,
        End::Gone => {
            wire.abandon();
            // The answer to the peer's close frame, if it sent one.
            let _answered = tokio::time::timeout(PATIENCE, poll_fn(|cx| wire.poll_control(cx))).await;
        }
    }
}

async fn close(mut wire: Wire, reason: CloseReason) {
    wire.begin_close(reason);
    let told = tokio::time::timeout(PATIENCE, poll_fn(|cx| wire.poll_control(cx))).await;
    if !matches!(told, Ok(Ok(()))) {
        return wire.abort();
    }
    // The close frame would be lost with a reset if the socket were dropped while something is unread.
    let answered = tokio::time::timeout(PATIENCE, async {
        let orderly = poll_fn(|cx| poll_answer(&mut wire, cx)).await;
        if !orderly && wire.shutdown().await.is_ok() {
            let _drained = poll_fn(|cx| wire.poll_drained(cx)).await;
        }
    });
    // A peer that does not answer in time is dropped all the same.
    let _answered = answered.await;
}

/// Waits for the peer's close frame; false when what it sends can no longer be read as frames.
fn poll_answer(wire: &mut Wire, cx: &mut Context<'_>) -> Poll<bool> {
    for _ in 0..MESSAGES_A_TURN {
        match ready!(wire.poll_read(cx)) {
            // Said too late: it goes nowhere.
            Incoming::Text(_) | Incoming::Control => {}
            Incoming::Closed => return Poll::Ready(true),
            Incoming::Refused(_) => return Poll::Ready(false),
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

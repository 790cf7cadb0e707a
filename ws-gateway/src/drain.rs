//! Leaving without a storm.
//!
//! Guarantees that sockets are closed with 1012 one after another, in random order, spread over the configured window, so
//! that their clients come back spread over it too; and that fences and expiry go on meanwhile.

use std::sync::Arc;
use std::time::Duration;

use gateway_core::CloseReason;
use portcullis_types::Entropy;

use crate::inventory::Inventory;
use crate::mailbox::Mailbox;

/// Closes in one go at most so often: shorter pauses than a timer can keep are put together.
const STEP: Duration = Duration::from_millis(5);

/// Asks every open socket to close, over `window`.
pub async fn drain(inventory: &Inventory, window: Duration, entropy: &dyn Entropy) {
    let mut mailboxes = inventory.mailboxes();
    shuffle(&mut mailboxes, entropy);
    let steps = (window.as_nanos() / STEP.as_nanos()).max(1);
    let steps = usize::try_from(steps).unwrap_or(usize::MAX);
    let in_one_go = mailboxes.len().div_ceil(steps).max(1);
    let pause = window / u32::try_from(mailboxes.len().div_ceil(in_one_go).max(1)).unwrap_or(u32::MAX);
    for batch in mailboxes.chunks(in_one_go) {
        for mailbox in batch {
            mailbox.request_close(CloseReason::Drain);
        }
        tokio::time::sleep(pause).await;
    }
    // Whoever shook hands while the others were closed.
    for mailbox in inventory.mailboxes() {
        mailbox.request_close(CloseReason::Drain);
    }
}

/// Fisher and Yates.
fn shuffle(mailboxes: &mut [Arc<Mailbox>], entropy: &dyn Entropy) {
    for last in (1..mailboxes.len()).rev() {
        let other = usize::try_from(entropy.u64() % (last as u64 + 1)).unwrap_or(0);
        mailboxes.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use portcullis_types::SeededEntropy;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_socket_is_asked_once_and_over_the_window() {
        let inventory = Inventory::holding(100);
        let mailboxes: Vec<_> = (0..100).map(|_| Arc::new(Mailbox::new(1_000))).collect();
        for mailbox in &mailboxes {
            inventory.enter(Arc::clone(mailbox));
        }
        let asked = |mailboxes: &[Arc<Mailbox>]| mailboxes.iter().filter(|m| m.close_requested().is_some()).count();
        let entropy = SeededEntropy::new(1);
        let draining = drain(&inventory, Duration::from_secs(10), &entropy);
        let mut draining = std::pin::pin!(draining);
        let half = tokio::time::timeout(Duration::from_secs(5), &mut draining).await;
        assert!(half.is_err() && (40..=60).contains(&asked(&mailboxes)), "{}", asked(&mailboxes));
        draining.await;
        assert!(mailboxes.iter().all(|mailbox| mailbox.close_requested() == Some(CloseReason::Drain)));
    }
}

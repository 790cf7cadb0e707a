//! Sentences about what a store removes: what goes goes whole, and nothing that lives goes with it.

use std::sync::Arc;

use auth_domain::{Committed, Store, check_log};

use crate::seed::write;
use crate::{Seed, Subject};

pub(crate) async fn append(store: &Arc<dyn Store>, seed: &Seed) -> Committed {
    write(store).await.commit_with(seed.kill(), seed.now()).await.expect("appends")
}

/// The log's first entry, or the one after its head.
async fn first_kept(store: &Arc<dyn Store>) -> u64 {
    store.log_after(0, 1).await.expect("reads").first().map_or(u64::MAX, |entry| entry.seq)
}

async fn move_horizon(store: &Arc<dyn Store>, from: u64, to: u64) -> bool {
    let mut tx = write(store).await;
    assert!(tx.take_turn().await.expect("reads"), "nobody else tidies");
    let moved = tx.move_horizon(from, to).await.expect("writes");
    tx.commit().await.expect("commits");
    moved
}

/// I17: whoever sees that an entry is gone can see that it was said to be.
pub async fn entries_that_are_forgotten_and_the_horizon_go_together(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut positions = vec![store.head().await.expect("reads").revision()];
    for _ in 0..5 {
        positions.push(append(&store, &seed).await.revision);
    }
    let mut dropped = write(&store).await;
    assert!(dropped.move_horizon(0, 3).await.expect("writes"));
    drop(dropped);
    // The next transaction begins when the one before has ended.
    drop(write(&store).await);
    assert_eq!((store.horizon().await.expect("reads"), first_kept(&store).await), (0, 1), "it left no trace");

    assert!(move_horizon(&store, 0, 3).await);
    assert_eq!((store.horizon().await.expect("reads"), first_kept(&store).await), (3, 4));
    for (seq, position) in (0..).zip(&positions) {
        let known = (seq >= 3).then_some(*position);
        assert_eq!(store.revision_at(seq).await.expect("reads"), known, "{seq}");
    }
    assert!(!move_horizon(&store, 0, 4).await, "it has moved since");
    assert_eq!((store.horizon().await.expect("reads"), first_kept(&store).await), (3, 4));
    let whole = check_log(&*store).await.expect("what is kept is whole");
    assert_eq!((whole.horizon, whole.head.seq), (3, 5));
}

/// The chain goes on over it, and over a restart.
pub async fn a_log_that_was_compacted_goes_on(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    for _ in 0..3 {
        append(&store, &seed).await;
    }
    assert!(move_horizon(&store, 0, 2).await);
    let head = store.head().await.expect("reads");
    drop(store);
    subject.close().await;
    let store = subject.open(2).await;
    assert_eq!(store.head().await.expect("reads"), head);
    assert_eq!(append(&store, &seed).await.revision.seq, 4);
    assert!(move_horizon(&store, 2, 3).await);
    let whole = check_log(&*store).await.expect("what is kept is whole");
    assert_eq!((whole.horizon, whole.head.seq), (3, 4));
    let session = store.read().await.expect("reads").session(&seed.tenant, seed.session).await.expect("reads");
    assert_eq!(session.expect("planted").revoked_seq, Some(4), "what killed a row stands on it");
}

/// A reader never finds a gap that it cannot explain, whenever it looks.
pub async fn readers_beside_a_compaction_see_it_whole_or_not_at_all(subject: &impl Subject) {
    const ENTRIES: u64 = 60;
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    for _ in 0..ENTRIES {
        append(&store, &seed).await;
    }
    let compacting = async {
        for to in 1..ENTRIES {
            assert!(move_horizon(&store, to - 1, to).await);
        }
    };
    let reading = async {
        let mut horizon = 0;
        while horizon < ENTRIES - 1 {
            // The horizon is read after what it explains.
            let first = first_kept(&store).await;
            let known = store.revision_at(horizon).await.expect("reads").is_some();
            let now = store.horizon().await.expect("reads");
            assert!(first <= now + 1, "entry {first} is the first, though those after {now} are kept");
            assert!(known || horizon < now, "position {horizon} is not known");
            check_log(&*store).await.expect("it is whole");
            horizon = now;
        }
    };
    futures_util::future::join(compacting, reading).await;
}

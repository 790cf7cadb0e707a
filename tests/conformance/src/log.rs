//! Sentences about the log.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use auth_domain::{Batch, Committed, Head, LogEntry, Reason, Store, Target};
use futures_util::future::{join, join_all};
use portcullis_types::{Chain, ClientId, IdentityId, RoleName, SessionId, TenantId};

use crate::seed::write;
use crate::{Seed, Subject};

const WRITERS: usize = 32;
const EACH: usize = 6;

async fn append(store: &Arc<dyn Store>, seed: &Seed) -> Committed {
    write(store).await.commit_with(seed.kill(), seed.now()).await.expect("appends")
}

async fn burst(store: &Arc<dyn Store>, seed: &Arc<Seed>) -> Vec<Committed> {
    let writers = (0..WRITERS).map(|_| {
        let (store, seed) = (Arc::clone(store), Arc::clone(seed));
        tokio::spawn(async move {
            let mut mine = Vec::new();
            for _ in 0..EACH {
                mine.push(append(&store, &seed).await);
                let head = store.head().await.expect("reads").seq;
                assert!(mine.last().is_some_and(|entry| entry.revision.seq <= head), "an entry beyond the head");
            }
            assert!(mine.is_sorted_by_key(|entry| entry.revision.seq), "a writer's entries are out of order");
            mine
        })
    });
    join_all(writers).await.into_iter().flat_map(|mine| mine.expect("no writer panics")).collect()
}

/// The wake-up, or a failure instead of a test that hangs.
async fn woken(store: &Arc<dyn Store>, known: u64) -> Head {
    let woken = tokio::time::timeout(Duration::from_secs(20), store.head_after(known)).await;
    woken.expect("the entry was not announced").expect("answers")
}

fn assert_contiguous(entries: &[LogEntry], mut seq: u64, mut chain: Chain) {
    for entry in entries {
        assert_eq!((entry.seq, entry.previous), (seq + 1, chain), "a gap or a fork before {}", entry.seq);
        assert_eq!(entry.chain, entry.previous.extended_by(&entry.payload), "a wrong chain at {}", entry.seq);
        (seq, chain) = (entry.seq, entry.chain);
    }
}

/// I1, I2.
pub async fn entries_are_gapless_and_in_commit_order_under_concurrent_writers(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Arc::new(Seed::plant(&store).await);
    let genesis = store.head().await.expect("reads").chain;
    let committed = burst(&store, &seed).await;

    let entries = store.log_after(0, u32::MAX).await.expect("reads");
    assert_eq!(entries.len(), WRITERS * EACH);
    assert_contiguous(&entries, 0, genesis);
    let acknowledged: HashSet<_> = committed.iter().map(|entry| entry.revision).collect();
    assert_eq!(acknowledged, entries.iter().map(LogEntry::revision).collect(), "what was acknowledged is the log");
}

/// I3, as a tailer sees it.
pub async fn a_tailing_reader_never_misses_an_entry(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Arc::new(Seed::plant(&store).await);
    let begin = store.head().await.expect("reads");
    let tailer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let (mut seq, mut chain) = (begin.seq, begin.chain);
            while seq < (WRITERS * EACH) as u64 {
                woken(&store, seq).await;
                let entries = store.log_after(seq, 7).await.expect("reads");
                assert!(!entries.is_empty(), "woken up for nothing at {seq}");
                assert_contiguous(&entries, seq, chain);
                let last = entries.last().expect("not empty");
                (seq, chain) = (last.seq, last.chain);
            }
        }
    });
    burst(&store, &seed).await;
    tailer.await.expect("the tailer saw every entry in order");
}

/// I3 and I6: a snapshot's rows are never ahead of or behind its head.
pub async fn every_snapshot_sees_a_prefix(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Arc::new(Seed::plant(&store).await);
    let reader = tokio::spawn({
        let (store, seed) = (Arc::clone(&store), Arc::clone(&seed));
        async move {
            let mut head = 0;
            while head < (WRITERS * EACH) as u64 {
                let mut view = store.read().await.expect("reads");
                head = view.head().seq;
                // Every entry marks the session, so the mark says which entries this snapshot holds.
                let session = view.session(&seed.tenant, seed.session).await.expect("reads").expect("was planted");
                assert_eq!(session.revoked_seq.unwrap_or(0), head, "the rows are not those of the head");
                assert_eq!(view.log_entry(head + 1).await.expect("reads"), None, "an entry beyond the head");
                assert_eq!(view.log_entry(head).await.expect("reads").is_some(), head > 0, "the head has no entry");
            }
        }
    });
    burst(&store, &seed).await;
    reader.await.expect("every snapshot saw a prefix");
}

/// I1.
pub async fn the_chain_is_the_running_hash_of_the_payloads(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let genesis = store.head().await.expect("reads").chain;
    let (kill, judge) = (seed.kill(), Batch::reauthorize(Target::Identity(seed.tenant.clone(), seed.identity)));
    let (first, second) = (kill.payload(), judge.payload());
    write(&store).await.commit_with(kill, seed.now()).await.expect("appends");
    let committed = write(&store).await.commit_with(judge, seed.now()).await.expect("appends");

    let chain = genesis.extended_by(&first).extended_by(&second);
    let head = store.head().await.expect("reads");
    assert_eq!((head.seq, head.chain), (2, chain));
    assert_eq!(committed.revision, head.revision());
    let entries = store.log_after(0, 10).await.expect("reads");
    assert_eq!(entries.iter().map(|entry| entry.payload.clone()).collect::<Vec<_>>(), [first, second]);
    assert!(entries.iter().all(|entry| entry.committed_at == seed.now()));
}

/// A transaction is all or nothing.
pub async fn a_transaction_that_is_dropped_leaves_no_trace(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let before = store.head().await.expect("reads");
    let bob = IdentityId::new(seed.ids());
    let mut tx = write(&store).await;
    assert!(tx.insert_identity(&seed.identity_row("bob", bob)).await.expect("writes"));
    drop(tx);

    let which = auth_domain::IdentityRef::Id(bob);
    assert_eq!(store.read().await.expect("reads").identity(&seed.tenant, &which).await.expect("reads"), None);
    assert_eq!(store.head().await.expect("reads"), before);
    append(&store, &seed).await;
    assert_eq!(store.head().await.expect("reads").seq, before.seq + 1, "the dropped transaction took a number");
}

/// A caller's deadline never leaves an entry that no watcher hears of, wherever in the commit it strikes.
pub async fn a_commit_whose_caller_leaves_is_announced(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    for patience in 1..=30 {
        let commit = write(&store).await.commit_with(seed.kill(), seed.now());
        Leaving { commit, patience }.await;
        // The next transaction begins when the one before has ended, whichever way.
        let head = write(&store).await.head();
        if head.seq > 0 {
            assert!(woken(&store, head.seq - 1).await.seq >= head.seq);
        }
    }
}

/// Polls a future so many times and then forgets it.
struct Leaving<F> {
    commit: F,
    patience: usize,
}

impl<F: Future + Unpin> Future for Leaving<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.patience -= 1;
        match Pin::new(&mut self.commit).poll(context) {
            Poll::Pending if self.patience > 0 => Poll::Pending,
            Poll::Pending | Poll::Ready(_) => Poll::Ready(()),
        }
    }
}

/// Cursors are judged by this.
pub async fn a_position_is_known_from_the_beginning_to_the_head_and_not_beyond(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let genesis = store.head().await.expect("reads").revision();
    let mut positions = vec![genesis];
    for _ in 0..3 {
        positions.push(append(&store, &seed).await.revision);
    }
    for position in positions {
        assert_eq!(store.revision_at(position.seq).await.expect("reads"), Some(position));
        let mut view = store.read().await.expect("reads");
        assert_eq!(view.revision_at(position.seq).await.expect("reads"), Some(position));
    }
    for beyond in [4, u64::MAX] {
        assert_eq!(store.revision_at(beyond).await.expect("reads"), None);
        assert!(store.log_after(beyond, 10).await.expect("reads").is_empty());
    }
    assert_eq!(store.horizon().await.expect("reads"), 0);
}

/// I18: nobody has to remember to.
pub async fn a_batch_marks_every_row_that_it_kills(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let row = seed.credential_row(auth_domain::CredentialKind::AccessToken);
    seed.insert(&store, &row).await;
    let client = ClientId::try_from("web").expect("a valid id");
    let tenant = || seed.tenant.clone();
    let targets = [
        Target::Tenant(tenant()),
        Target::Identity(tenant(), seed.identity),
        Target::Session(tenant(), seed.session),
        Target::Credential(tenant(), row.id),
        Target::Client(tenant(), client.clone()),
        Target::SigningKey(seed.signing_key),
    ];
    for target in targets.clone() {
        let tx = write(&store).await;
        tx.commit_with(Batch::kill(target, Reason::Administrative), seed.now()).await.expect("appends");
    }
    assert_eq!(marks(&store, &seed, &row.id, &client).await, [1, 2, 3, 4, 5, 6].map(Some));

    // Again: the newest entry is what counts.
    for target in targets {
        let tx = write(&store).await;
        tx.commit_with(Batch::kill(target, Reason::Administrative), seed.now()).await.expect("appends");
    }
    assert_eq!(marks(&store, &seed, &row.id, &client).await, [7, 8, 9, 10, 11, 12].map(Some));
}

async fn marks(
    store: &Arc<dyn Store>,
    seed: &Seed,
    credential: &portcullis_types::CredentialId,
    client: &ClientId,
) -> [Option<u64>; 6] {
    let mut view = store.read().await.expect("reads");
    let identity = auth_domain::IdentityRef::Id(seed.identity);
    [
        view.tenant(&seed.tenant).await.expect("reads").expect("planted").revoked_seq,
        view.identity(&seed.tenant, &identity).await.expect("reads").expect("planted").revoked_seq,
        view.session(&seed.tenant, seed.session).await.expect("reads").expect("planted").revoked_seq,
        view.credential(*credential).await.expect("reads").expect("inserted").revoked_seq,
        view.client_revoked_seq(&seed.tenant, client).await.expect("reads"),
        view.signing_key(seed.signing_key).await.expect("reads").expect("planted").revoked_seq,
    ]
}

/// REAUTHORIZE is no death.
pub async fn what_is_judged_again_is_not_marked(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let role = RoleName::try_from("speaker").expect("a valid name");
    for target in [Target::Identity(seed.tenant.clone(), seed.identity), Target::Role(seed.tenant.clone(), role)] {
        write(&store).await.commit_with(Batch::reauthorize(target), seed.now()).await.expect("appends");
    }
    let which = auth_domain::IdentityRef::Id(seed.identity);
    let identity = store.read().await.expect("reads").identity(&seed.tenant, &which).await.expect("reads");
    assert_eq!(identity.expect("planted").revoked_seq, None);
    assert_eq!(store.head().await.expect("reads").seq, 2);
}

/// A kill that marks nothing would be a promise that nothing keeps.
pub async fn a_batch_that_kills_what_has_no_row_is_refused_whole(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let batch = seed.kill().and(auth_domain::Fact {
        target: Target::Session(seed.tenant.clone(), SessionId::new(seed.ids())),
        effect: auth_domain::Effect::Kill,
        reason: Reason::Logout,
        pace: None,
    });
    assert!(write(&store).await.commit_with(batch, seed.now()).await.is_err());
    assert_eq!(store.head().await.expect("reads").seq, 0);
    let session = store.read().await.expect("reads").session(&seed.tenant, seed.session).await.expect("reads");
    assert_eq!(session.expect("planted").revoked_seq, None);

    // The same id in another tenant is another row.
    let other = Target::Session(TenantId::try_from("other").expect("a valid name"), seed.session);
    let batch = Batch::kill(other, Reason::Logout);
    assert!(write(&store).await.commit_with(batch, seed.now()).await.is_err());
}

/// A cursor of one store is a visible fork in another.
pub async fn two_stores_differ_from_their_first_entry(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let genesis = store.head().await.expect("reads");
    assert_eq!(genesis.seq, 0);
    assert_ne!(genesis.chain, Chain::from_bytes([0; 16]), "the beginning of the chain was not drawn");
    let first = append(&store, &seed).await;
    assert_ne!(first.revision.chain, Chain::from_bytes([0; 16]).extended_by(&seed.kill().payload()).short());
}

/// I4, short of a power cut.
pub async fn opening_again_keeps_the_log(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let genesis = store.head().await.expect("reads").revision();
    append(&store, &seed).await;
    let head = store.head().await.expect("reads");
    drop(store);
    subject.close().await;

    let store = subject.open(2).await;
    assert_eq!(store.head().await.expect("reads"), head);
    assert_eq!(store.revision_at(0).await.expect("reads"), Some(genesis));
    assert_eq!(woken(&store, 0).await, head, "a reader behind the head is woken at once");
    assert_eq!(append(&store, &seed).await.revision.seq, head.seq + 1);
}

/// Where one writer runs at a time: whoever revokes is not behind a queue of logins, but at most behind the writer that
/// runs and the one whose turn it is.
pub async fn an_urgent_writer_waits_for_at_most_two(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let running = write(&store).await;
    let done = Mutex::new(Vec::new());
    let ordinary = async || {
        drop(write(&store).await);
        done.lock().expect("not poisoned").push("ordinary");
    };
    let urgent = async || {
        let tx = store.write_urgently().await.expect("writes");
        tx.commit_with(seed.kill(), seed.now()).await.expect("appends");
        done.lock().expect("not poisoned").push("urgent");
    };
    // Each is asked in this order before the one that runs ends.
    let waiting = join_all((0..20).map(|_| ordinary()));
    join(join(waiting, urgent()), async { drop(running) }).await;
    let done = done.into_inner().expect("not poisoned");
    let place = done.iter().position(|who| *who == "urgent").expect("it was done");
    assert!(place <= 1, "{place} were before it");
}

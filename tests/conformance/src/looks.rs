//! Sentences about many who look at once: what they share must not be seen.

use std::sync::Arc;

use auth_domain::{Batch, Credential, CredentialKind, Reason, Store, Target};
use portcullis_types::CredentialId;
use tokio::task::JoinSet;

use crate::seed::write;
use crate::{Seed, Subject};

/// More than one look is for.
const CREDENTIALS: usize = 40;
const LOOKERS: usize = 5;

async fn plant(store: &Arc<dyn Store>) -> (Seed, Vec<Credential>) {
    let seed = Seed::plant(store).await;
    let rows: Vec<_> = (0..CREDENTIALS).map(|_| seed.credential_row(CredentialKind::AccessToken)).collect();
    let mut tx = write(store).await;
    for row in &rows {
        tx.insert_credential(row).await.expect("writes");
    }
    tx.commit().await.expect("commits");
    (seed, rows)
}

/// Each finds its own credential, and nobody finds one that is not there.
pub async fn of_many_who_look_at_once_each_finds_its_own(subject: &impl Subject) {
    let store = subject.open(1).await;
    let (seed, rows) = plant(&store).await;
    let unknown = CredentialId::new(seed.ids());
    let head = store.head().await.expect("reads");
    let mut looking = JoinSet::new();
    let asked = rows.iter().map(|row| (row.id, Some(row.clone()))).chain([(unknown, None)]);
    for (id, row) in (0..LOOKERS).flat_map(|_| asked.clone()) {
        let store = Arc::clone(&store);
        looking.spawn(async move {
            let (at, found) = store.standing(id).await.expect("reads");
            assert_eq!((at, found.map(|found| found.credential)), (head, row));
        });
    }
    while let Some(looked) = looking.join_next().await {
        looked.expect("each finds its own");
    }
}

/// A look is no older than its question, whoever else asks about the same credential.
pub async fn a_look_sees_what_was_committed_before_it_whoever_else_looks(subject: &impl Subject) {
    let store = subject.open(1).await;
    let (seed, rows) = plant(&store).await;
    let mut looking = JoinSet::new();
    for first in 0..LOOKERS {
        let (store, rows) = (Arc::clone(&store), rows.clone());
        looking.spawn(async move {
            loop {
                for row in &rows[first..] {
                    store.standing(row.id).await.expect("reads").1.expect("it is there");
                }
            }
        });
    }
    for row in &rows {
        let kill = Batch::kill(Target::Credential(seed.tenant.clone(), row.id), Reason::Administrative);
        let killed = write(&store).await.commit_with(kill, seed.now()).await.expect("appends");
        let (head, found) = store.standing(row.id).await.expect("reads");
        assert!(head.seq >= killed.revision.seq, "{head:?}, {killed:?}");
        assert_eq!(found.expect("it is there").credential.revoked_seq, Some(killed.revision.seq));
    }
    looking.shutdown().await;
}

//! Sentences about many who look at once, and about who looks again: what they share, and what a store may know already,
//! must not be seen.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    Action, Batch, Credential, CredentialKind, Grant, IdentityState, Pattern, Reason, Role, StandingRows, Store, Target,
};
use portcullis_types::{CredentialId, RoleName};
use tokio::task::JoinSet;

use crate::seed::write;
use crate::{Seed, Subject};

/// More than one look is for.
const CREDENTIALS: usize = 40;
const LOOKERS: usize = 5;

async fn plant(store: &Arc<dyn Store>) -> (Seed, Vec<Credential>) {
    let seed = Seed::plant(store).await;
    let kinds = [CredentialKind::AccessToken, CredentialKind::ApiKey].into_iter().cycle();
    let rows: Vec<_> = kinds.take(CREDENTIALS).map(|kind| seed.credential_row(kind)).collect();
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
            assert_eq!((at, found.map(|found| found.credential.clone())), (head, row));
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

/// A change is seen by the next look, whether or not it has an entry, and though the credential was looked up just before.
pub async fn a_look_sees_each_change_though_it_has_no_entry(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let key = seed.credential_row(CredentialKind::ApiKey);
    seed.insert(&store, &key).await;
    let again = async |what: &str, before: &mut Arc<StandingRows>| {
        let (head, found) = store.standing(key.id).await.expect("reads");
        let found = found.expect("it is there");
        assert_ne!(&found, before, "{what}");
        let mut view = store.read().await.expect("reads");
        assert_eq!(
            (view.head(), view.standing(key.id).await.expect("reads").as_ref()),
            (head, Some(&*found)),
            "{what}"
        );
        *before = found;
    };
    let mut known = store.standing(key.id).await.expect("reads").1.expect("it is there");
    for _ in 0..3 {
        assert_eq!(store.standing(key.id).await.expect("reads").1.as_ref(), Some(&known), "nothing was changed");
    }

    let mut tx = write(&store).await;
    tx.note_api_key_uses(&[(key.id, seed.now() + Duration::from_secs(1))]).await.expect("writes");
    tx.commit().await.expect("commits");
    again("when it was used", &mut known).await;
    let mut tx = write(&store).await;
    tx.set_identity_state(&seed.tenant, seed.identity, IdentityState::Disabled).await.expect("writes");
    drop(tx);
    assert_eq!(store.standing(key.id).await.expect("reads").1.as_ref(), Some(&known), "it was not committed");
    let mut tx = write(&store).await;
    tx.set_identity_state(&seed.tenant, seed.identity, IdentityState::Disabled).await.expect("writes");
    tx.commit().await.expect("commits");
    again("the state of its identity", &mut known).await;
    let speaker = RoleName::try_from("speaker").expect("a valid name");
    let grants =
        vec![Grant { action: Action::Publish, pattern: Pattern::try_from("room:*").expect("a valid pattern") }];
    let mut tx = write(&store).await;
    tx.put_role(&Role { tenant: seed.tenant.clone(), name: speaker.clone(), grants }).await.expect("writes");
    tx.set_identity_roles(&seed.tenant, seed.identity, &[speaker]).await.expect("writes");
    tx.commit().await.expect("commits");
    again("what it may do", &mut known).await;
    write(&store).await.commit_with(seed.kill(), seed.now()).await.expect("appends");
    again("its session", &mut known).await;
}

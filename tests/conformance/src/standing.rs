//! Sentences about where a credential stands.

use std::sync::Arc;

use auth_domain::{
    Action, Batch, CredentialKind, Grant, IdentityState, Pattern, Reason, Role, SigningKeyMark, StandingRows, Store,
    Target,
};
use portcullis_types::{ClientId, CredentialId, Revision, RoleName};

use crate::seed::write;
use crate::{Seed, Subject};

/// The standing in a snapshot of its own, which is the one that a transaction sees.
async fn standing(store: &Arc<dyn Store>, id: CredentialId) -> StandingRows {
    let (head, alone) = store.standing(id).await.expect("reads");
    assert_eq!(head, store.head().await.expect("reads"));
    let mut view = store.read().await.expect("reads");
    let within = view.standing(id).await.expect("reads");
    assert_eq!(alone.as_deref(), within.as_ref());
    within.expect("it has rows")
}

fn grant(action: Action, pattern: &str) -> Grant {
    Grant { action, pattern: Pattern::try_from(pattern).expect("a valid pattern") }
}

/// One look says what many would.
pub async fn a_standing_is_found_in_one_look(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let token = seed.credential_row(CredentialKind::AccessToken);
    let mut key = seed.credential_row(CredentialKind::ApiKey);
    (key.session, key.signing_key) = (None, None);
    let name = |name: &str| RoleName::try_from(name).expect("a valid name");
    let mut tx = write(&store).await;
    let both = grant(Action::Publish, "room:*");
    let speaker = Role { tenant: seed.tenant.clone(), name: name("speaker"), grants: vec![both.clone()] };
    let listener = vec![grant(Action::Subscribe, "a\"b*"), both.clone()];
    let listener = Role { tenant: seed.tenant.clone(), name: name("listener"), grants: listener };
    for role in [&speaker, &listener] {
        tx.put_role(role).await.expect("writes");
    }
    tx.set_identity_roles(&seed.tenant, seed.identity, &[name("listener"), name("speaker")]).await.expect("writes");
    for row in [&token, &key] {
        tx.insert_credential(row).await.expect("writes");
    }
    tx.commit().await.expect("commits");

    let mut expected = seed.identity_row("alice", seed.identity);
    (expected.roles, expected.version) = (vec![name("listener"), name("speaker")], 2);
    let found = standing(&store, token.id).await;
    assert_eq!(found.credential, token);
    assert_eq!(found.session, Some(seed.session_row(seed.session)));
    assert_eq!(found.identity, expected);
    assert_eq!(found.grants, [grant(Action::Subscribe, "a\"b*"), both], "in order, each once");
    assert_eq!(found.tenant.name, seed.tenant);
    assert_eq!((found.tenant.revoked_seq, found.client_revoked_seq), (None, None));
    assert_eq!(found.signing_key, Some(SigningKeyMark { state: auth_domain::KeyState::Signing, revoked_seq: None }));
    let found = standing(&store, key.id).await;
    assert_eq!((found.credential, found.session, found.signing_key), (key, None, None));

    let unknown = store.standing(CredentialId::new(seed.ids())).await.expect("reads");
    assert_eq!(unknown, (store.head().await.expect("reads"), None));
}

/// A ticket is found with what it was issued from, in one look.
pub async fn a_ticket_is_found_with_its_parent(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let parent = seed.credential_row(CredentialKind::AccessToken);
    let mut ticket = seed.credential_row(CredentialKind::Ticket);
    (ticket.parent, ticket.signing_key) = (Some(parent.id), None);
    let mut orphan = seed.credential_row(CredentialKind::Ticket);
    orphan.signing_key = None;
    let mut key = seed.credential_row(CredentialKind::ApiKey);
    (key.parent, key.session, key.signing_key) = (None, None, None);
    for row in [&parent, &ticket, &orphan, &key] {
        seed.insert(&store, row).await;
    }
    let mut view = store.read().await.expect("reads");
    let none = CredentialId::new(seed.ids());
    for (id, expected) in [
        (ticket.id, Some((ticket, Some(parent)))),
        (orphan.id, Some((orphan, None))),
        (key.id, Some((key, None))),
        (none, None),
    ] {
        let (head, alone) = store.standing_with_parent(id).await.expect("reads");
        assert_eq!((head, &alone), (view.head(), &view.standing_with_parent(id).await.expect("reads")));
        let found = alone.map(|(own, parent)| (own.credential, parent.map(|rows| rows.credential)));
        assert_eq!(found, expected);
    }
}

/// Everything above it is in it.
pub async fn a_standing_says_what_killed_it(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let token = seed.credential_row(CredentialKind::AccessToken);
    seed.insert(&store, &token).await;
    let client = ClientId::try_from("web").expect("a valid id");
    for target in [
        Target::Tenant(seed.tenant.clone()),
        Target::Identity(seed.tenant.clone(), seed.identity),
        Target::Session(seed.tenant.clone(), seed.session),
        Target::Credential(seed.tenant.clone(), token.id),
        Target::Client(seed.tenant.clone(), client),
        Target::SigningKey(seed.signing_key),
    ] {
        let tx = write(&store).await;
        tx.commit_with(Batch::kill(target, Reason::Administrative), seed.now()).await.expect("appends");
    }
    let found = standing(&store, token.id).await;
    let seqs = [
        found.tenant.revoked_seq,
        found.identity.revoked_seq,
        found.session.and_then(|session| session.revoked_seq),
        found.credential.revoked_seq,
        found.client_revoked_seq,
        found.signing_key.and_then(|key| key.revoked_seq),
    ];
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6].map(Some));

    let mut tx = write(&store).await;
    tx.set_identity_state(&seed.tenant, seed.identity, IdentityState::Disabled).await.expect("writes");
    tx.commit().await.expect("commits");
    assert_eq!(standing(&store, token.id).await.identity.state, IdentityState::Disabled);
}

/// What was issued on another branch of the log is seen to be.
pub async fn a_standing_knows_the_log_it_was_issued_on(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut positions = vec![store.head().await.expect("reads").revision()];
    for _ in 0..3 {
        let tx = write(&store).await;
        positions.push(tx.commit_with(seed.kill(), seed.now()).await.expect("appends").revision);
    }
    for known in positions {
        let mut row = seed.credential_row(CredentialKind::AccessToken);
        row.issued = Revision { seq: known.seq, chain: 7 };
        seed.insert(&store, &row).await;
        assert_eq!(standing(&store, row.id).await.issued_on, Some(known));
    }
    let mut row = seed.credential_row(CredentialKind::AccessToken);
    row.issued = Revision { seq: 4, chain: 7 };
    seed.insert(&store, &row).await;
    assert_eq!(standing(&store, row.id).await.issued_on, None, "beyond the head");
}

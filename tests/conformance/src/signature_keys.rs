//! Sentences about public signature keys.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    Batch, Credential, CredentialFilter, CredentialKind, Ended, HeldKey, KeyTerms, PublicKey, Reason, Scopes,
    SignatureKeyCount, SignatureKeyRow, Store, Target,
};
use portcullis_types::{CredentialId, SessionId, Timestamp};

use crate::seed::write;
use crate::{Seed, Subject};

/// Keys that are points on Ed25519 as far as their text tells.
fn key(n: u8) -> PublicKey {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUR";
    let last = char::from(b"AEIMQUYcgkosw048"[usize::from(n)]);
    PublicKey::from_jwk(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}{last}"}}"#)).expect("a key")
}

/// A key of the seed's session, or of its identity, as the rules make it.
pub(crate) fn row(seed: &Seed, n: u8, session: Option<SessionId>) -> SignatureKeyRow {
    let credential = Credential {
        session,
        digest: None,
        parent: None,
        scopes: Scopes::NONE,
        audiences: Vec::new(),
        origins: Vec::new(),
        signing_key: None,
        key_terms: Some(KeyTerms { replaces: Some(CredentialId::new(seed.ids())), ..KeyTerms::default() }),
        ..seed.credential_row(CredentialKind::SignatureKey)
    };
    SignatureKeyRow { credential, key: key(n) }
}

pub(crate) async fn insert(store: &Arc<dyn Store>, row: &SignatureKeyRow) -> bool {
    let mut tx = write(store).await;
    let inserted = tx.insert_signature_key(row).await.expect("writes");
    if inserted {
        tx.commit().await.expect("commits");
    }
    inserted
}

fn held(row: &SignatureKeyRow) -> HeldKey {
    HeldKey {
        id: row.credential.id,
        session: row.credential.session,
        issue_seq: row.credential.issued.seq,
        created_at: row.credential.created_at,
        expires_at: row.credential.expires_at,
        key: row.key.clone(),
    }
}

/// What stands beside a credential.
async fn beside(store: &Arc<dyn Store>, id: CredentialId) -> Vec<HeldKey> {
    in_order(store.standing(id).await.expect("reads").1.expect("it is there").held_keys.clone())
}

/// By their texts, of which the first is the seed's session's in each test here.
fn in_order(mut held: Vec<HeldKey>) -> Vec<HeldKey> {
    held.sort_unstable_by(|one, other| one.key.jwk().cmp(other.key.jwk()));
    held
}

async fn count(store: &Arc<dyn Store>, seed: &Seed, session: Option<SessionId>) -> (u64, u64) {
    let mut view = store.read().await.expect("reads");
    let count = view.count_signature_keys(&seed.tenant, seed.identity, session).await;
    let SignatureKeyCount { held, remembered } = count.expect("reads");
    (held, remembered)
}

async fn let_go(store: &Arc<dyn Store>, seed: &Seed, session: Option<SessionId>, at: Timestamp) {
    let mut tx = write(store).await;
    tx.let_go_of_signature_keys(&seed.tenant, seed.identity, session, at).await.expect("writes");
    tx.commit().await.expect("commits");
}

async fn kill(store: &Arc<dyn Store>, seed: &Seed, target: Target) {
    write(store).await.commit_with(Batch::kill(target, Reason::Administrative), seed.now()).await.expect("appends");
}

/// It is what was written wherever it is read, listed among credentials of its own kind, and no API key.
pub async fn a_signature_key_reads_back_as_what_it_is(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let (mut own, mut whole) = (row(&seed, 0, Some(seed.session)), row(&seed, 1, None));
    let mut api_key = seed.credential_row(CredentialKind::ApiKey);
    // In one moment ids are in no order.
    let mut ids = [own.credential.id, whole.credential.id, api_key.id];
    ids.sort_unstable();
    [own.credential.id, whole.credential.id, api_key.id] = ids;
    whole.credential.expires_at = None;
    assert!(insert(&store, &own).await && insert(&store, &whole).await);
    let mut view = store.read().await.expect("reads");
    for row in [&own, &whole] {
        assert_eq!(view.signature_key(row.credential.id).await.expect("reads").as_ref(), Some(row));
        assert_eq!(view.credential(row.credential.id).await.expect("reads").as_ref(), Some(&row.credential));
    }
    assert_eq!(view.signature_key(CredentialId::new(seed.ids())).await.expect("reads"), None);
    let (tenant, identity) = (&seed.tenant, seed.identity);
    let mut all = view.find_signature_keys(tenant, identity, None, None, 10).await.expect("reads");
    assert_eq!(all, [whole.clone(), own.clone()], "newest first");
    all = view.find_signature_keys(tenant, identity, None, None, 1).await.expect("reads");
    all.extend(view.find_signature_keys(tenant, identity, None, Some(all[0].credential.id), 9).await.expect("reads"));
    assert_eq!(all, [whole.clone(), own.clone()], "in pages");
    let of_session = view.find_signature_keys(tenant, identity, Some(seed.session), None, 10).await;
    assert_eq!(of_session.expect("reads"), [own.clone()]);
    assert_eq!(view.own_signature_keys(tenant, identity).await.expect("reads"), [whole.clone()]);
    assert_eq!(view.api_keys(tenant, identity, None, None, 10).await.expect("reads"), []);
    assert_eq!(view.count_live_api_keys(tenant, identity, seed.now()).await.expect("reads"), 0);
    drop(view);
    seed.insert(&store, &api_key).await;
    let mut view = store.read().await.expect("reads");
    for (kind, expected) in [
        (Some(CredentialKind::SignatureKey), vec![whole.credential.id, own.credential.id]),
        (Some(CredentialKind::ApiKey), vec![api_key.id]),
        (Some(CredentialKind::ClientCertificate), vec![]),
        (None, vec![api_key.id, whole.credential.id, own.credential.id]),
    ] {
        let filter = CredentialFilter { kind, session: None };
        let found = view.find_credentials(tenant, identity, &filter, None, 10).await.expect("reads");
        assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), expected, "{kind:?}");
    }
}

/// Once in a tenant, for whomever, and while it is remembered not again; in another tenant it is another one.
pub async fn a_signature_key_is_registered_once_while_it_is_remembered(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let first = row(&seed, 0, None);
    assert!(insert(&store, &first).await);
    let again = row(&seed, 0, Some(seed.session));
    assert!(!insert(&store, &again).await);
    kill(&store, &seed, Target::Credential(seed.tenant.clone(), first.credential.id)).await;
    assert!(!insert(&store, &again).await, "dead, and remembered");
    let mut view = store.read().await.expect("reads");
    assert!(view.is_signature_key_known(&seed.tenant, &key(0)).await.expect("reads"));
    assert!(!view.is_signature_key_known(&seed.tenant, &key(1)).await.expect("reads"));
    let other = "other".try_into().expect("a name");
    assert!(!view.is_signature_key_known(&other, &key(0)).await.expect("reads"));
}

/// Also where each of them reads that it is not known.
pub async fn of_many_that_register_a_key_at_once_one_has_it(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Arc::new(Seed::plant(&store).await);
    let running: Vec<_> = (0..8)
        .map(|_| {
            let (store, row) = (Arc::clone(&store), row(&seed, 0, None));
            tokio::spawn(async move { insert(&store, &row).await })
        })
        .collect();
    let mut registered = 0;
    for one in running {
        registered += usize::from(one.await.expect("no panic"));
    }
    assert_eq!(registered, 1);
}

/// Those of its session and of its identity, and of nobody else; none that was revoked by itself or let go.
pub async fn the_signature_keys_of_a_credential_stand_beside_it(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let other_session = SessionId::new(seed.ids());
    let mut tx = write(&store).await;
    tx.insert_session(&seed.session_row(other_session)).await.expect("writes");
    tx.commit().await.expect("commits");
    let api_key = Credential { session: None, signing_key: None, ..seed.credential_row(CredentialKind::ApiKey) };
    let (token, other) = (
        seed.credential_row(CredentialKind::AccessToken),
        Credential { session: Some(other_session), ..seed.credential_row(CredentialKind::AccessToken) },
    );
    for row in [&api_key, &token, &other] {
        seed.insert(&store, row).await;
        assert_eq!(beside(&store, row.id).await, []);
    }
    let rows = [row(&seed, 0, Some(seed.session)), row(&seed, 1, None), row(&seed, 2, Some(other_session))];
    for row in &rows {
        assert!(insert(&store, row).await);
    }
    let [own, whole, foreign] = rows.each_ref().map(held);
    assert_eq!(beside(&store, token.id).await, [own.clone(), whole.clone()]);
    assert_eq!(beside(&store, other.id).await, [whole.clone(), foreign]);
    assert_eq!(beside(&store, api_key.id).await, std::slice::from_ref(&whole));
    let mut view = store.read().await.expect("reads");
    let in_view = view.standing(token.id).await.expect("reads").expect("it is there").held_keys;
    assert_eq!(in_order(in_view), [own.clone(), whole], "one standing, however it is found");
    drop(view);

    kill(&store, &seed, Target::Credential(seed.tenant.clone(), rows[1].credential.id)).await;
    assert_eq!(beside(&store, token.id).await, [own]);
    let end = rows[0].credential.expires_at.expect("it ends");
    let_go(&store, &seed, Some(seed.session), end.saturating_sub(Duration::from_micros(1))).await;
    assert_eq!(count(&store, &seed, Some(seed.session)).await, (1, 1));
    let_go(&store, &seed, Some(seed.session), end).await;
    assert_eq!(beside(&store, token.id).await, []);
    assert_eq!(count(&store, &seed, Some(seed.session)).await, (0, 1));
    assert_eq!(count(&store, &seed, None).await, (0, 1));
}

/// What ended the sessions of its identity, or its tenant, ended an older key of the identity too.
pub async fn a_signature_key_older_than_what_ended_its_holder_is_let_go(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    for (n, target) in
        [(0, Target::Identity(seed.tenant.clone(), seed.identity)), (1, Target::Tenant(seed.tenant.clone()))]
    {
        let mut key = row(&seed, n, None);
        key.credential.expires_at = None;
        key.credential.issued = store.head().await.expect("reads").revision();
        assert!(insert(&store, &key).await);
        let_go(&store, &seed, None, seed.now()).await;
        assert_eq!(count(&store, &seed, None).await.0, 1, "{target:?}");
        kill(&store, &seed, target).await;
        let_go(&store, &seed, None, seed.now()).await;
        assert_eq!(count(&store, &seed, None).await, (0, u64::from(n) + 1));
    }
}

/// Its end only moves forward, and nothing that was revoked is exchanged.
pub async fn a_signature_key_has_one_successor(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let (old, mut endless) = (row(&seed, 0, Some(seed.session)), row(&seed, 1, None));
    endless.credential.expires_at = None;
    assert!(insert(&store, &old).await && insert(&store, &endless).await);
    let [one, two] = [(); 2].map(|()| CredentialId::new(seed.ids()));
    let end = old.credential.expires_at.expect("it ends");
    let second = Duration::from_secs(1);
    let api_key = seed.credential_row(CredentialKind::ApiKey);
    seed.insert(&store, &api_key).await;
    let mut tx = write(&store).await;
    assert!(!tx.replace_signature_key(api_key.id, None, one, end).await.expect("answers"), "another kind");
    assert!(!tx.replace_api_key(old.credential.id, None, one, None).await.expect("answers"), "another kind");
    assert!(tx.replace_signature_key(old.credential.id, None, one, end + second).await.expect("writes"));
    assert!(!tx.replace_signature_key(old.credential.id, None, two, end).await.expect("answers"), "it has one");
    let at = end.saturating_sub(second);
    assert!(tx.replace_signature_key(old.credential.id, Some(one), two, at).await.expect("writes"));
    assert!(tx.replace_signature_key(endless.credential.id, None, one, at).await.expect("writes"));
    tx.commit().await.expect("commits");
    let mut view = store.read().await.expect("reads");
    for (id, successor) in [(old.credential.id, two), (endless.credential.id, one)] {
        let found = view.signature_key(id).await.expect("reads").expect("it is there").credential;
        let next = found.key_terms.expect("it has terms").replaced_by;
        assert_eq!((found.expires_at, next), (Some(at), Some(successor)));
    }
    drop(view);
    kill(&store, &seed, Target::Credential(seed.tenant.clone(), old.credential.id)).await;
    let mut tx = write(&store).await;
    assert!(!tx.replace_signature_key(old.credential.id, Some(two), one, at).await.expect("answers"), "revoked");
}

async fn remove(store: &Arc<dyn Store>, what: Ended, before: Timestamp) -> u64 {
    let found = store.read().await.expect("reads").count_ended(what, before, 10).await.expect("reads");
    let mut tx = write(store).await;
    assert!(tx.take_turn().await.expect("answers"));
    let removed = tx.remove_ended(what, before, 10).await.expect("removes");
    tx.commit().await.expect("commits");
    assert_eq!(found, removed, "{what:?}");
    removed
}

/// A session's key goes after its session's end, revoked or not, and the session after it; an identity's goes as API keys do.
pub async fn a_signature_key_is_remembered_while_its_session_could_bring_it_back(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let (own, whole) = (row(&seed, 0, Some(seed.session)), row(&seed, 1, None));
    assert!(insert(&store, &own).await && insert(&store, &whole).await);
    kill(&store, &seed, Target::Credential(seed.tenant.clone(), own.credential.id)).await;
    let (key_ends, micro) = (own.credential.expires_at.expect("it ends"), Duration::from_micros(1));
    let session_ends = seed.now() + Duration::from_secs(3_600);
    assert!(key_ends < session_ends);
    let mut tx = write(&store).await;
    assert_eq!(tx.note_ended_api_keys(session_ends, 10).await.expect("writes"), 1, "the identity's");
    tx.commit().await.expect("commits");
    assert_eq!(remove(&store, Ended::SignatureKeys, key_ends + micro).await, 0, "its session goes on");
    assert_eq!(remove(&store, Ended::SignatureKeys, session_ends).await, 0, "it ends only now");
    let mut tx = write(&store).await;
    tx.remove_ended(Ended::Sessions, session_ends + micro, 10).await.expect("answers");
    tx.commit().await.expect("commits");
    let session = store.read().await.expect("reads").session(&seed.tenant, seed.session).await.expect("reads");
    assert!(session.is_some(), "a key of it is remembered");
    assert_eq!(remove(&store, Ended::SignatureKeys, session_ends + micro).await, 1);
    assert_eq!(remove(&store, Ended::Sessions, session_ends + micro).await, 1);
    assert_eq!(remove(&store, Ended::ApiKeys, key_ends).await, 0);
    assert_eq!(remove(&store, Ended::ApiKeys, key_ends + micro).await, 1);
    let mut view = store.read().await.expect("reads");
    for n in [0, 1] {
        assert!(!view.is_signature_key_known(&seed.tenant, &key(n)).await.expect("reads"));
    }
}

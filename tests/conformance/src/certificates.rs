//! Sentences about client certificates.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{Batch, CertificateName, Credential, CredentialFilter, CredentialKind, Reason, Scope, Store, Target};
use portcullis_types::{CredentialId, IdentityName};

use crate::seed::write;
use crate::{Seed, Subject};

fn name(text: &str) -> CertificateName {
    CertificateName::try_from(text).expect("a valid name")
}

/// The registration of a name, as the rules make it.
fn registration(seed: &Seed, text: &str) -> Credential {
    let row = seed.credential_row(CredentialKind::ClientCertificate);
    Credential { session: None, digest: None, signing_key: None, certificate: Some(name(text)), ..row }
}

async fn take(store: &Arc<dyn Store>, row: &Credential, at: portcullis_types::Timestamp) -> bool {
    let mut tx = write(store).await;
    let taken =
        tx.take_certificate_name(row.certificate.as_ref().expect("it has one"), row.id, row.expires_at, at).await;
    if taken.expect("answers") {
        tx.insert_credential(row).await.expect("writes");
        tx.commit().await.expect("commits");
        return true;
    }
    false
}

async fn holder(store: &Arc<dyn Store>, text: &str) -> Option<CredentialId> {
    store.certified(&name(text)).await.expect("reads").1.map(|rows| rows.credential.id)
}

/// The name, the kind and the limits are those that were written, wherever the row is read.
pub async fn a_certificate_reads_back_as_what_it_is(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let row = registration(&seed, "spiffe://corp.example/gateway");
    assert!(take(&store, &row, seed.now()).await);
    let (head, rows) = store.certified(&name("spiffe://corp.example/gateway")).await.expect("reads");
    assert_eq!(rows.as_ref().map(|rows| &rows.credential), Some(&row));
    assert_eq!((head, rows), store.standing(row.id).await.expect("reads"), "one standing, however it is found");
    let mut view = store.read().await.expect("reads");
    assert_eq!(view.credential(row.id).await.expect("reads"), Some(row.clone()));
    let listed = view.certificates(&seed.tenant, seed.identity, None, None, 10).await.expect("reads");
    assert_eq!(listed, std::slice::from_ref(&row));
    let live = view.count_live_certificates(&seed.tenant, seed.identity, seed.now()).await.expect("reads");
    assert_eq!(live, 1);
    let end = row.expires_at.expect("it ends");
    for (live_at, before, found) in [
        (Some(seed.now()), None, 1),
        (Some(end), None, 0),
        (None, Some(row.id), 0),
        (None, Some(CredentialId::from_bytes([0xff; 16])), 1),
    ] {
        let listed = view.certificates(&seed.tenant, seed.identity, live_at, before, 10).await.expect("reads");
        assert_eq!(listed.len(), found, "{live_at:?} {before:?}");
    }
    assert_eq!(view.count_live_certificates(&seed.tenant, seed.identity, end).await.expect("reads"), 0);
    assert_eq!(holder(&store, "spiffe://corp.example/another").await, None);
}

/// Revoked, over, or of an identity that is gone, it gives the name up, and not before.
pub async fn a_name_in_a_certificate_is_one_credentials_until_that_is_dead(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let [first, second, third, mut fourth] = [(); 4].map(|()| registration(&seed, "gateway.internal"));
    assert!(take(&store, &first, seed.now()).await);
    assert!(!take(&store, &second, seed.now()).await);
    assert_eq!(holder(&store, "gateway.internal").await, Some(first.id));

    let target = Target::Credential(seed.tenant.clone(), first.id);
    write(&store).await.commit_with(Batch::kill(target, Reason::Administrative), seed.now()).await.expect("appends");
    assert!(take(&store, &second, seed.now()).await, "the first is revoked");
    assert_eq!(holder(&store, "gateway.internal").await, Some(second.id));

    let end = second.expires_at.expect("it ends");
    assert!(!take(&store, &third, end.saturating_sub(Duration::from_micros(1))).await);
    assert!(take(&store, &third, end).await, "the second is over");
    assert_eq!(holder(&store, "gateway.internal").await, Some(third.id));

    let mut forever = registration(&seed, "other.internal");
    (forever.expires_at, fourth.certificate) = (None, forever.certificate.clone());
    let later = end + Duration::from_secs(1 << 30);
    assert!(take(&store, &forever, later).await && !take(&store, &fourth, later).await);
    let mut tx = write(&store).await;
    let tombstone = IdentityName::try_from("deleted").expect("a valid name");
    assert!(tx.bury_identity(&seed.tenant, seed.identity, &tombstone, later).await.expect("writes"));
    tx.commit().await.expect("commits");
    assert!(take(&store, &fourth, later).await, "whose it was is gone");
}

/// Also where each of them reads a free name.
pub async fn of_many_that_take_a_name_at_once_one_has_it(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Arc::new(Seed::plant(&store).await);
    let running: Vec<_> = (0..8)
        .map(|_| {
            let (store, row, now) = (Arc::clone(&store), registration(&seed, "gateway.internal"), seed.now());
            tokio::spawn(async move { take(&store, &row, now).await })
        })
        .collect();
    let mut taken = 0;
    for one in running {
        taken += usize::from(one.await.expect("no panic"));
    }
    assert_eq!(taken, 1);
}

/// Neither listed, counted nor exchanged as one, nor somebody who can administer.
pub async fn a_certificate_is_no_api_key(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let (row, key) = (registration(&seed, "gateway.internal"), seed.credential_row(CredentialKind::ApiKey));
    assert!(take(&store, &row, seed.now()).await);
    let mut tx = write(&store).await;
    assert!(!tx.replace_api_key(row.id, None, key.id, None).await.expect("answers"));
    drop(tx);
    let mut view = store.read().await.expect("reads");
    assert_eq!(view.api_keys(&seed.tenant, seed.identity, None, None, 10).await.expect("reads"), []);
    assert_eq!(view.count_live_api_keys(&seed.tenant, seed.identity, seed.now()).await.expect("reads"), 0);
    assert_eq!(view.live_holders(&seed.tenant, Scope::Verify, seed.now(), 10).await.expect("reads"), []);
    let held = view.is_held_without(&seed.tenant, Scope::Verify, seed.now(), key.id).await;
    assert!(!held.expect("reads"));
    drop(view);
    seed.insert(&store, &key).await;
    let mut view = store.read().await.expect("reads");
    for (kind, expected) in [
        (Some(CredentialKind::ApiKey), vec![key.id]),
        (Some(CredentialKind::ClientCertificate), vec![row.id]),
        (None, vec![key.id, row.id]),
    ] {
        let filter = CredentialFilter { kind, session: None };
        let found = view.find_credentials(&seed.tenant, seed.identity, &filter, None, 10).await.expect("reads");
        assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), expected, "{kind:?}");
    }
}

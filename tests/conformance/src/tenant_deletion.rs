//! Sentences about the end of tenants.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    Batch, CertificateName, CredentialKind, IdentityRef, Label, Reason, Role, Store, StoredPassword, Target, Tenant,
    TenantState,
};
use portcullis_types::{ClientId, CredentialId, IdentityId, RoleName, SessionId, TenantId, Timestamp};

use crate::issuers::issuer;
use crate::login::{continuation, factor, reset};
use crate::seed::write;
use crate::{Seed, Subject, signature_keys};

const FEW: u32 = 3;

async fn suspend(store: &Arc<dyn Store>, name: &TenantId, at: Timestamp) -> u64 {
    let mut tx = write(store).await;
    let mut tenant = tx.tenant(name).await.expect("reads").expect("planted");
    tenant.state = TenantState::Suspended;
    assert!(tx.update_tenant(&tenant, tenant.version, at).await.expect("writes"));
    tx.commit().await.expect("commits");
    tenant.version + 1
}

async fn bury(store: &Arc<dyn Store>, name: &TenantId, at: Timestamp) {
    let version = suspend(store, name, at).await;
    let mut tx = write(store).await;
    assert!(tx.bury_tenant(name, version, at).await.expect("writes"));
    let batch = Batch::kill(Target::Tenant(name.clone()), Reason::Disabled);
    tx.commit_with(batch, at).await.expect("appends");
}

/// Only one that is suspended, at its version, once; and nothing but its end is said of it then.
pub async fn a_buried_tenant_leaves_its_name_and_nothing_else(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let globex = TenantId::try_from("globex").expect("a valid name");
    let label = Label::try_from("Globex, Inc.").expect("a valid label");
    let tenant = Tenant { display_name: Some(label), ..Tenant::new(globex.clone(), seed.now()) };
    let mut tx = write(&store).await;
    assert!(tx.insert_tenant(&tenant).await.expect("writes"));
    let theirs = auth_domain::Issuer { tenant: globex.clone(), ..issuer(&seed, "one", "app") };
    assert!(tx.put_issuer(&theirs).await.expect("writes"));
    assert!(!tx.bury_tenant(&globex, 1, seed.now()).await.expect("answers"), "it is not suspended");
    tx.commit().await.expect("commits");
    let version = suspend(&store, &globex, seed.now()).await;
    let mut tx = write(&store).await;
    assert!(!tx.bury_tenant(&globex, version - 1, seed.now()).await.expect("answers"), "it was changed since");
    assert!(tx.bury_tenant(&globex, version, seed.now()).await.expect("writes"));
    assert!(!tx.bury_tenant(&globex, version + 1, seed.now()).await.expect("answers"), "once");
    let buried = tx.tenant(&globex).await.expect("reads").expect("it is kept");
    assert_eq!((buried.state, buried.display_name, buried.version), (TenantState::Deleted, None, version + 1));
    assert!(!tx.insert_tenant(&Tenant::new(globex.clone(), seed.now())).await.expect("answers"), "its name is taken");
    assert!(tx.put_issuer(&issuer(&seed, "one", "app")).await.expect("writes"), "whom it trusted another may trust");
    let batch = Batch::kill(Target::Tenant(globex.clone()), Reason::Disabled);
    let committed = tx.commit_with(batch, seed.now()).await.expect("appends");
    let kept = store.read().await.expect("reads").tenant(&globex).await.expect("reads").expect("it is kept");
    assert_eq!(kept.revoked_seq, Some(committed.revision.seq));
}

/// A row in every table that says whose tenant's it is.
async fn furnish(store: &Arc<dyn Store>, seed: &Seed) -> (IdentityId, CredentialId) {
    let role = RoleName::try_from("speaker").expect("a valid name");
    let trusted = issuer(seed, "one", "app");
    let password = StoredPassword {
        id: CredentialId::new(seed.ids()),
        phc: "$a$b".to_owned(),
        set_at: seed.now(),
        must_change: false,
    };
    for n in 0..4_u8 {
        let session = SessionId::new(seed.ids());
        let mut tx = write(store).await;
        tx.insert_session(&seed.session_row(session)).await.expect("writes");
        for kind in [CredentialKind::SessionCookie, CredentialKind::Ticket, CredentialKind::ApiKey] {
            tx.insert_credential(&seed.credential_row(kind)).await.expect("writes");
        }
        tx.insert_continuation(&continuation(seed), seed.now()).await.expect("writes");
        let another = seed.identity_row(&format!("another-{n}"), IdentityId::new(seed.ids()));
        assert!(tx.insert_identity(&another).await.expect("writes"));
        tx.commit().await.expect("commits");
        assert!(signature_keys::insert(store, &signature_keys::row(seed, n + 1, None)).await, "nobody has it");
    }
    let certificate = CertificateName::try_from("gateway.corp.example").expect("a valid name");
    let mut row = seed.credential_row(CredentialKind::ClientCertificate);
    (row.session, row.digest, row.signing_key, row.certificate) = (None, None, None, Some(certificate.clone()));
    let mut tx = write(store).await;
    assert!(tx.take_certificate_name(&certificate, row.id, None, seed.now()).await.expect("answers"));
    tx.insert_credential(&row).await.expect("writes");
    tx.put_role(&Role { tenant: seed.tenant.clone(), name: role.clone(), grants: Vec::new() }).await.expect("writes");
    tx.set_identity_roles(&seed.tenant, seed.identity, &[role]).await.expect("writes");
    tx.set_password(&seed.tenant, seed.identity, &password).await.expect("writes");
    assert!(tx.put_totp_factor(&factor(seed)).await.expect("writes"));
    tx.put_recovery_codes(&seed.tenant, seed.identity, &[[1; 32], [2; 32]]).await.expect("writes");
    tx.put_password_reset(&reset(seed)).await.expect("writes");
    assert!(tx.put_issuer(&trusted).await.expect("writes"));
    assert!(tx.bind_subject(trusted.id, &[7; 32], &seed.tenant, seed.identity).await.expect("writes"));
    let client = Target::Client(seed.tenant.clone(), ClientId::try_from("web").expect("a valid id"));
    tx.commit_with(Batch::kill(client, Reason::Administrative), seed.now()).await.expect("appends");
    (seed.identity, row.id)
}

/// A few at a time, what rests on something before it; nothing of another tenant, and not the tombstone.
pub async fn a_deleted_tenant_is_emptied_a_few_rows_at_a_time(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let (identity, certificate) = furnish(&store, &seed).await;
    let globex = TenantId::try_from("globex").expect("a valid name");
    let theirs =
        auth_domain::Identity { tenant: globex.clone(), ..seed.identity_row("bob", IdentityId::new(seed.ids())) };
    let mut tx = write(&store).await;
    assert!(tx.insert_tenant(&Tenant::new(globex.clone(), seed.now())).await.expect("writes"));
    assert!(tx.insert_identity(&theirs).await.expect("writes"));
    assert_eq!(tx.tenant_to_empty().await.expect("reads"), None, "nobody is deleted");
    assert_eq!(tx.remove_of_tenant(&seed.tenant, FEW).await.expect("answers"), 0, "nobody is deleted");
    tx.commit().await.expect("commits");
    bury(&store, &seed.tenant, seed.now()).await;

    let (mut pieces, later) = (0, seed.now() + Duration::from_secs(1));
    loop {
        let mut tx = write(&store).await;
        let Some(name) = tx.tenant_to_empty().await.expect("reads") else { break };
        assert_eq!(name, seed.tenant);
        assert_eq!(tx.count_emptied(later, 9).await.expect("reads"), 0, "something is left");
        let rows = tx.remove_of_tenant(&name, FEW).await.expect("removes");
        assert!((1..=u64::from(4 * FEW)).contains(&rows), "{rows} at once");
        tx.commit().await.expect("commits");
        pieces += 1;
    }
    assert!(pieces > 8, "in {pieces} pieces");
    let mut tx = write(&store).await;
    assert_eq!(tx.identity(&seed.tenant, &IdentityRef::Id(identity)).await.expect("reads"), None);
    assert_eq!(tx.credential(certificate).await.expect("reads"), None);
    assert!(tx.tenant(&seed.tenant).await.expect("reads").is_some_and(|row| row.revoked_seq.is_some()), "it is kept");
    assert!(tx.identity(&globex, &IdentityRef::Id(theirs.id)).await.expect("reads").is_some(), "another's stays");
    let name = CertificateName::try_from("gateway.corp.example").expect("a valid name");
    let id = CredentialId::new(seed.ids());
    assert!(tx.take_certificate_name(&name, id, None, seed.now()).await.expect("answers"), "it is given again");

    assert_eq!(tx.count_emptied(seed.now(), 9).await.expect("reads"), 0, "it was not deleted before then");
    assert_eq!(tx.count_emptied(later, 9).await.expect("reads"), 1);
    assert_eq!(tx.note_emptied(later, later, 9).await.expect("writes"), 1);
    assert_eq!(tx.count_emptied(later, 9).await.expect("reads"), 0, "it is looked after no more");
}

/// The name in a certificate is given again from the first moment.
pub async fn a_deleted_tenant_keeps_no_certificate_name(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    furnish(&store, &seed).await;
    let name = CertificateName::try_from("gateway.corp.example").expect("a valid name");
    let id = CredentialId::new(seed.ids());
    let mut tx = write(&store).await;
    assert!(!tx.take_certificate_name(&name, id, None, seed.now()).await.expect("answers"), "somebody has it");
    drop(tx);
    bury(&store, &seed.tenant, seed.now()).await;
    let mut tx = write(&store).await;
    assert!(tx.take_certificate_name(&name, id, None, seed.now()).await.expect("answers"));
}

//! Sentences about rows.

use std::collections::BTreeSet;
use std::time::Duration;

use auth_domain::{
    Action, CredentialKind, Grant, IdentityFilter, IdentityRef, IdentityState, Pattern, Role, SessionFilter,
    StoredPassword, Tenant,
};
use portcullis_types::{CredentialId, IdentityId, RoleName, SessionId, SigningKeyId, TenantId};

use crate::seed::write;
use crate::{Seed, Subject};

/// Nothing is lost or changed on the way.
pub async fn a_row_reads_back_as_it_was_written(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let (room, name) = (Pattern::try_from("room:*").expect("valid"), RoleName::try_from("speaker").expect("valid"));
    let grants = vec![Grant { action: Action::Publish, pattern: room.clone() }];
    let role = Role { tenant: seed.tenant.clone(), name: name.clone(), grants };
    let password = StoredPassword {
        id: CredentialId::new(seed.ids()),
        phc: "$a$b".to_owned(),
        set_at: seed.now(),
        must_change: true,
    };
    let mut keys: Vec<_> = [CredentialKind::AccessToken, CredentialKind::RefreshToken, CredentialKind::ApiKey]
        .into_iter()
        .map(|kind| seed.credential_row(kind))
        .collect();
    keys[2].session = None;
    keys[2].expires_at = None;
    keys[2].label = None;
    keys[2].audiences.clear();

    let mut tx = write(&store).await;
    tx.put_role(&role).await.expect("writes");
    tx.set_identity_roles(&seed.tenant, seed.identity, std::slice::from_ref(&name)).await.expect("writes");
    assert!(tx.set_identity_state(&seed.tenant, seed.identity, IdentityState::Disabled).await.expect("writes"));
    tx.set_password(&seed.tenant, seed.identity, &password).await.expect("writes");
    for row in &keys {
        tx.insert_credential(row).await.expect("writes");
    }
    tx.commit().await.expect("commits");

    let mut view = store.read().await.expect("reads");
    let identity = view.identity(&seed.tenant, &IdentityRef::Id(seed.identity)).await.expect("reads");
    let mut expected = seed.identity_row("alice", seed.identity);
    expected.state = IdentityState::Disabled;
    expected.roles = vec![name.clone()];
    expected.version = 3;
    assert_eq!(identity.as_ref(), Some(&expected));
    let by_name = IdentityRef::Name(expected.name.clone());
    assert_eq!(view.identity(&seed.tenant, &by_name).await.expect("reads"), identity);
    assert_eq!(view.role(&seed.tenant, &name).await.expect("reads"), Some(role.clone()));
    assert_eq!(view.roles(&seed.tenant).await.expect("reads"), [role]);
    assert_eq!(view.password(&seed.tenant, seed.identity).await.expect("reads"), Some(password));
    let session = view.session(&seed.tenant, seed.session).await.expect("reads");
    assert_eq!(session, Some(seed.session_row(seed.session)));
    let key = view.signing_key(seed.signing_key).await.expect("reads");
    assert_eq!(key, Some(seed.signing_key_row(seed.signing_key)));
    for row in &keys {
        assert_eq!(view.credential(row.id).await.expect("reads").as_ref(), Some(row));
    }
    assert_eq!(view.api_keys(&seed.tenant, seed.identity, None, None, 10).await.expect("reads"), [keys[2].clone()]);
    let other = TenantId::try_from("other").expect("valid");
    assert_eq!(view.identity(&other, &IdentityRef::Id(seed.identity)).await.expect("reads"), None);
}

/// Names are unique in their tenant, and the store says so without failing.
pub async fn a_name_is_taken_once(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut tx = write(&store).await;
    let again = Tenant::new(seed.tenant.clone(), seed.now());
    assert!(!tx.insert_tenant(&again).await.expect("answers"));
    let id = IdentityId::new(seed.ids());
    assert!(!tx.insert_identity(&seed.identity_row("alice", id)).await.expect("answers"));
    assert!(tx.insert_identity(&seed.identity_row("bob", id)).await.expect("answers"));
    tx.commit().await.expect("commits");
}

/// Two replicas that start together make one key.
pub async fn one_key_signs(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut tx = write(&store).await;
    let mut second = seed.signing_key_row(SigningKeyId::new(seed.ids()));
    assert!(!tx.insert_signing_key(&second).await.expect("answers"));
    second.state = auth_domain::KeyState::Published;
    assert!(tx.insert_signing_key(&second).await.expect("answers"));
    assert_eq!(tx.signing_keys().await.expect("reads").len(), 2);
}

/// Keyset paging: what is inserted meanwhile neither hides nor repeats a row.
pub async fn lists_come_in_pages_without_gap_or_repetition(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut tx = write(&store).await;
    let mut sessions = BTreeSet::from([seed.session]);
    for n in 0..9 {
        seed.clock.advance(Duration::from_millis(1));
        let row = seed.identity_row(&format!("user-{n}"), IdentityId::new(seed.ids()));
        assert!(tx.insert_identity(&row).await.expect("writes"));
        let session = SessionId::new(seed.ids());
        tx.insert_session(&seed.session_row(session)).await.expect("writes");
        sessions.insert(session);
    }
    tx.commit().await.expect("commits");

    let mut view = store.read().await.expect("reads");
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page =
            view.find_identities(&seed.tenant, &IdentityFilter::default(), after.as_deref(), 4).await.expect("reads");
        names.extend(page.iter().map(|identity| identity.name.to_string()));
        after = page.last().map(|identity| identity.name.to_string());
        if page.len() < 4 {
            break;
        }
    }
    let expected: Vec<_> = std::iter::once("alice".to_owned()).chain((0..9).map(|n| format!("user-{n}"))).collect();
    assert_eq!(names, expected);

    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page =
            view.find_sessions(&seed.tenant, seed.identity, &SessionFilter::default(), before, 3).await.expect("reads");
        found.extend(page.iter().map(|session| session.id));
        before = page.last().map(|session| session.id);
        if page.len() < 3 {
            break;
        }
    }
    assert_eq!(found, sessions.into_iter().rev().collect::<Vec<_>>(), "newest first, each once");
}

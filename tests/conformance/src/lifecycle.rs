//! Sentences about the life of tenants, identities, roles and sessions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    Actor, Answered, Attributes, Batch, Credential, CredentialFilter, CredentialKind, Identity, IdentityFilter,
    IdentityKind, IdentityRef, IdentityState, Label, Reason, Request, RequestId, Role, Scope, Session, SessionFilter,
    Store, StoreError, StoredPassword, Target, TenantState,
};
use futures_util::future::join_all;
use portcullis_types::{ClientId, CredentialId, IdentityId, IdentityName, RoleName, SessionId};

use crate::seed::write;
use crate::{Seed, Subject};

fn role(name: &str) -> RoleName {
    RoleName::try_from(name).expect("a valid name")
}

fn label(text: &str) -> Label {
    Label::try_from(text).expect("a valid label")
}

async fn put_role(store: &Arc<dyn Store>, seed: &Seed, name: &str, holders: &[IdentityId]) {
    let mut tx = write(store).await;
    tx.put_role(&Role { tenant: seed.tenant.clone(), name: role(name), grants: Vec::new() }).await.expect("writes");
    for holder in holders {
        tx.set_identity_roles(&seed.tenant, *holder, &[role(name)]).await.expect("writes");
    }
    tx.commit().await.expect("commits");
}

/// Filters join; paging goes on in what they leave.
pub async fn identities_are_found_by_what_they_are(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let ids: Vec<_> = (0..4).map(|_| IdentityId::new(seed.ids())).collect();
    let mut tx = write(&store).await;
    for (name, id) in ["Bob", "bob", "bobby", "carol"].into_iter().zip(&ids) {
        let mut row = seed.identity_row(name, *id);
        if name == "bobby" {
            row.kind = IdentityKind::Service;
        }
        assert!(tx.insert_identity(&row).await.expect("writes"));
    }
    tx.set_identity_state(&seed.tenant, ids[1], IdentityState::Disabled).await.expect("writes");
    tx.commit().await.expect("commits");
    put_role(&store, &seed, "speaker", &[ids[3], seed.identity]).await;

    let found = async |filter: IdentityFilter, after: Option<&str>, limit| {
        let mut view = store.read().await.expect("reads");
        let rows = view.find_identities(&seed.tenant, &filter, after, limit).await.expect("reads");
        rows.into_iter().map(|identity| identity.name.to_string()).collect::<Vec<_>>().join(" ")
    };
    let prefix = |text| IdentityFilter { name_prefix: IdentityName::try_from(text).ok(), ..IdentityFilter::default() };
    let all = IdentityFilter::default();
    assert_eq!(found(all.clone(), None, 9).await, "Bob alice bob bobby carol", "by the bytes of their names");
    assert_eq!(found(all.clone(), Some("alice"), 2).await, "bob bobby");
    assert_eq!(found(prefix("bob"), None, 9).await, "bob bobby");
    assert_eq!(found(prefix("bob"), Some("bob"), 9).await, "bobby");
    assert_eq!(found(prefix("b%"), None, 9).await, "");
    let disabled = IdentityFilter { state: Some(IdentityState::Disabled), ..all.clone() };
    assert_eq!(found(disabled.clone(), None, 9).await, "bob");
    let service = IdentityFilter { kind: Some(IdentityKind::Service), ..all.clone() };
    assert_eq!(found(service, None, 9).await, "bobby");
    let holds = IdentityFilter { role: Some(role("speaker")), ..all };
    assert_eq!(found(holds.clone(), None, 9).await, "alice carol");
    assert_eq!(found(IdentityFilter { role: holds.role, ..disabled }, None, 9).await, "");
}

/// An access token, a refresh token or a cookie, neither over, nor spent, nor revoked; and nothing else.
pub async fn a_session_is_usable_while_something_of_it_is(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let now = seed.now();
    let end = now + Duration::from_secs(30);
    let successor = CredentialId::new(seed.ids());
    let mut expected = Vec::new();
    let mut all = vec![seed.session];
    for (kind, spent, revoked, is_usable) in [
        (CredentialKind::AccessToken, false, false, true),
        (CredentialKind::RefreshToken, false, false, true),
        (CredentialKind::SessionCookie, false, false, true),
        (CredentialKind::RefreshToken, true, false, false),
        (CredentialKind::AccessToken, false, true, false),
        (CredentialKind::Ticket, false, false, false),
    ] {
        seed.clock.advance(Duration::from_millis(1));
        let session = seed.session_row(SessionId::new(seed.ids()));
        let row = Credential { session: Some(session.id), expires_at: Some(end), ..seed.credential_row(kind) };
        let mut tx = write(&store).await;
        tx.insert_session(&session).await.expect("writes");
        tx.insert_credential(&row).await.expect("writes");
        if spent {
            assert!(tx.spend_refresh_token(row.id, successor, now).await.expect("answers"));
        }
        if revoked {
            let batch = Batch::kill(Target::Credential(seed.tenant.clone(), row.id), Reason::Administrative);
            tx.commit_with(batch, now).await.expect("appends");
        } else {
            tx.commit().await.expect("commits");
        }
        all.push(session.id);
        expected.extend(is_usable.then_some(session.id));
    }
    let mut view = store.read().await.expect("reads");
    let mut found = view.usable_sessions(&all, now).await.expect("reads");
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(view.usable_sessions(&all[2..3], now).await.expect("reads"), all[2..3], "of those that are asked for");
    assert_eq!(view.usable_sessions(&all, end).await.expect("reads"), [], "over at its end");
    assert_eq!(view.usable_sessions(&[], now).await.expect("reads"), []);
    let filter = |usable, live_at| SessionFilter { live_at: Some(live_at), usable, ..SessionFilter::default() };
    for (filter, found) in [(filter(true, now), 3), (filter(true, end), 0), (filter(false, end), all.len())] {
        let rows = view.find_sessions(&seed.tenant, seed.identity, &filter, None, 99).await.expect("reads");
        assert_eq!(rows.len(), found, "{filter:?}");
    }
}

/// Live means: not over, and neither it nor anything above it was revoked since.
pub async fn sessions_are_found_by_where_they_live(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut planted = vec![seed.session_row(seed.session)];
    let mut add = async |change: &dyn Fn(&mut Session)| {
        seed.clock.advance(Duration::from_millis(1));
        let mut row = seed.session_row(SessionId::new(seed.ids()));
        change(&mut row);
        let mut tx = write(&store).await;
        tx.insert_session(&row).await.expect("writes");
        tx.commit().await.expect("commits");
        planted.push(row);
    };
    add(&|row| row.device = Some(label("desktop"))).await;
    add(&|row| row.client = Some(ClientId::try_from("app").expect("a valid id"))).await;
    add(&|row| row.expires_at = row.created_at).await;
    let found = async |filter: SessionFilter| {
        let mut view = store.read().await.expect("reads");
        let rows = view.find_sessions(&seed.tenant, seed.identity, &filter, None, 9).await.expect("reads");
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let [first, desktop, app, over] = [0, 1, 2, 3].map(|index: usize| planted[index].id);
    let all = SessionFilter::default();
    assert_eq!(found(all.clone()).await, [over, app, desktop, first]);
    assert_eq!(found(SessionFilter { device: Some(label("desktop")), ..all.clone() }).await, [desktop]);
    assert_eq!(found(SessionFilter { client: ClientId::try_from("app").ok(), ..all.clone() }).await, [app]);
    let before = SessionFilter { begun_before: Some(planted[2].created_at), ..all.clone() };
    assert_eq!(found(before).await, [desktop, first]);
    let live = SessionFilter { live_at: Some(seed.now()), ..all };
    assert_eq!(found(live.clone()).await, [app, desktop, first]);

    let kill = async |target| {
        let tx = write(&store).await;
        tx.commit_with(Batch::kill(target, Reason::Administrative), seed.now()).await.expect("appends");
    };
    kill(Target::Session(seed.tenant.clone(), desktop)).await;
    assert_eq!(found(live.clone()).await, [app, first]);
    kill(Target::Client(seed.tenant.clone(), ClientId::try_from("app").expect("a valid id"))).await;
    assert_eq!(found(live.clone()).await, [first]);
    kill(Target::Identity(seed.tenant.clone(), seed.identity)).await;
    assert_eq!(found(live.clone()).await, []);
    let mut row = seed.session_row(SessionId::new(seed.ids()));
    row.issued = store.head().await.expect("reads").revision();
    let mut tx = write(&store).await;
    tx.insert_session(&row).await.expect("writes");
    tx.commit().await.expect("commits");
    assert_eq!(found(live.clone()).await, [row.id], "newer than what killed the others");
    kill(Target::Tenant(seed.tenant.clone())).await;
    assert_eq!(found(live).await, []);
}

/// Whatever their kind, and of one identity only.
pub async fn credentials_of_an_identity_are_found_newest_first(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let bob = IdentityId::new(seed.ids());
    let mut tx = write(&store).await;
    assert!(tx.insert_identity(&seed.identity_row("bob", bob)).await.expect("writes"));
    let mut rows = Vec::new();
    for kind in [CredentialKind::AccessToken, CredentialKind::ApiKey, CredentialKind::Ticket, CredentialKind::ApiKey] {
        seed.clock.advance(Duration::from_millis(1));
        let mut row = seed.credential_row(kind);
        if kind == CredentialKind::ApiKey {
            row.session = None;
        }
        tx.insert_credential(&row).await.expect("writes");
        rows.push(row);
        let mut other = seed.credential_row(kind);
        (other.identity, other.session) = (bob, None);
        tx.insert_credential(&other).await.expect("writes");
    }
    rows.reverse();
    let mut find = async |filter: CredentialFilter, before: Option<CredentialId>, limit| {
        tx.find_credentials(&seed.tenant, seed.identity, &filter, before, limit).await.expect("reads")
    };
    let all = CredentialFilter::default();
    assert_eq!(find(all.clone(), None, 9).await, rows);
    assert_eq!(find(all.clone(), Some(rows[1].id), 1).await, rows[2..3]);
    let keys = CredentialFilter { kind: Some(CredentialKind::ApiKey), ..all.clone() };
    assert_eq!(find(keys, None, 9).await, [rows[0].clone(), rows[2].clone()]);
    let of_session = CredentialFilter { session: Some(seed.session), ..all };
    assert_eq!(find(of_session, None, 9).await, [rows[1].clone(), rows[3].clone()]);
}

/// Two who read the same version do not both write.
pub async fn a_change_from_an_older_version_does_not_take_place(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let which = IdentityRef::Id(seed.identity);
    let mut tx = write(&store).await;
    let mut alice = tx.identity(&seed.tenant, &which).await.expect("reads").expect("planted");
    alice.display_name = Some(label("Alice"));
    let attributes = BTreeMap::from([("team".to_owned(), "Zoë's \"red\" \\ team".to_owned())]);
    alice.attributes = Attributes::try_from(attributes).expect("they fit");
    assert!(!tx.update_identity(&alice, 2).await.expect("answers"));
    assert!(tx.update_identity(&alice, 1).await.expect("answers"));
    assert!(!tx.update_identity(&alice, 1).await.expect("answers"), "it is at version 2 now");
    alice.version = 2;
    assert_eq!(tx.identity(&seed.tenant, &which).await.expect("reads").as_ref(), Some(&alice));

    let mut tenant = tx.tenant(&seed.tenant).await.expect("reads").expect("planted");
    assert_eq!((tenant.version, tenant.state), (1, TenantState::Active));
    (tenant.display_name, tenant.state) = (Some(label("Acme, Inc.")), TenantState::Suspended);
    assert!(!tx.update_tenant(&tenant, 2, seed.now()).await.expect("answers"));
    assert!(tx.update_tenant(&tenant, 1, seed.now()).await.expect("answers"));
    tenant.version = 2;
    assert_eq!(tx.tenant(&seed.tenant).await.expect("reads").as_ref(), Some(&tenant));
    tenant.state = TenantState::Active;
    assert!(tx.update_tenant(&tenant, 2, seed.now()).await.expect("answers"));
    assert_eq!(tx.tenant(&seed.tenant).await.expect("reads").map(|row| row.state), Some(TenantState::Active));
}

/// Nothing that is said of a person stays, and nothing brings it back.
pub async fn a_buried_identity_leaves_its_id_and_nothing_else(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    put_role(&store, &seed, "speaker", &[seed.identity]).await;
    let which = IdentityRef::Id(seed.identity);
    let password = StoredPassword {
        id: CredentialId::new(seed.ids()),
        phc: "$a$b".to_owned(),
        set_at: seed.now(),
        must_change: false,
    };
    let name = IdentityName::try_from("deleted:alice").expect("a valid name");
    let mut tx = write(&store).await;
    tx.set_password(&seed.tenant, seed.identity, &password).await.expect("writes");
    let mut alice = tx.identity(&seed.tenant, &which).await.expect("reads").expect("planted");
    alice.display_name = Some(label("Alice"));
    assert!(tx.update_identity(&alice, alice.version).await.expect("writes"));
    assert!(tx.bury_identity(&seed.tenant, seed.identity, &name, seed.now()).await.expect("writes"));
    assert!(!tx.bury_identity(&seed.tenant, seed.identity, &name, seed.now()).await.expect("answers"), "once");
    let expected =
        Identity { state: IdentityState::Deleted, version: 4, ..seed.identity_row("deleted:alice", seed.identity) };
    assert_eq!(tx.identity(&seed.tenant, &which).await.expect("reads"), Some(expected));
    assert_eq!(tx.password(&seed.tenant, seed.identity).await.expect("reads"), None);
    let active = IdentityState::Active;
    assert!(!tx.set_identity_state(&seed.tenant, seed.identity, active).await.expect("answers"), "for ever");
    assert!(!tx.update_identity(&alice, 4).await.expect("answers"), "for ever");
    let roles = tx.set_identity_roles(&seed.tenant, seed.identity, &[role("speaker")]).await;
    assert!(matches!(roles, Err(StoreError::Conflict)), "for ever: {roles:?}");
    let another = seed.identity_row("alice", IdentityId::new(seed.ids()));
    assert!(tx.insert_identity(&another).await.expect("answers"), "the name is free again");
    let deleted = IdentityFilter { state: Some(IdentityState::Deleted), ..IdentityFilter::default() };
    let found = tx.find_identities(&seed.tenant, &deleted, None, 9).await.expect("reads");
    assert_eq!(found.into_iter().map(|row| row.id).collect::<Vec<_>>(), [seed.identity]);
}

/// The others see that it is taken, or are told that somebody was faster; nobody who has a name loses it.
pub async fn a_name_is_given_to_one_of_many_who_want_it(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let wanted = IdentityName::try_from("carol").expect("a valid name");
    let mut renaming = Vec::new();
    for n in 0..8 {
        let row = seed.identity_row(&format!("bob-{n}"), IdentityId::new(seed.ids()));
        let mut tx = write(&store).await;
        assert!(tx.insert_identity(&row).await.expect("writes"));
        tx.commit().await.expect("commits");
        let (store, wanted) = (Arc::clone(&store), wanted.clone());
        renaming.push(async move {
            let mut tx = write(&store).await;
            if tx.identity(&row.tenant, &IdentityRef::Name(wanted.clone())).await.expect("reads").is_some() {
                return false;
            }
            match tx.update_identity(&Identity { name: wanted, ..row }, 1).await {
                Ok(updated) => updated && tx.commit().await.is_ok(),
                Err(StoreError::Conflict) => false,
                Err(error) => panic!("{error}"),
            }
        });
    }
    let renamed = join_all(renaming.into_iter().map(tokio::spawn)).await;
    let renamed: Vec<_> = renamed.into_iter().map(|outcome| outcome.expect("nobody panics")).collect();
    assert_eq!(renamed.iter().filter(|done| **done).count(), 1);
    let mut view = store.read().await.expect("reads");
    let all = view.find_identities(&seed.tenant, &IdentityFilter::default(), None, 99).await.expect("reads");
    let names: Vec<_> = all.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), 9);
    assert_eq!(names.iter().filter(|name| name.starts_with("bob-")).count(), 7, "{names:?}");
    let carol = view.identity(&seed.tenant, &IdentityRef::Name(wanted)).await.expect("reads").expect("somebody has it");
    assert_eq!(carol.version, 2);
}

/// Whoever had it is at another version.
pub async fn a_deleted_role_is_held_by_nobody(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    put_role(&store, &seed, "speaker", &[seed.identity]).await;
    let mut tx = write(&store).await;
    assert!(!tx.delete_role(&seed.tenant, &role("ghost")).await.expect("answers"));
    assert!(tx.delete_role(&seed.tenant, &role("speaker")).await.expect("answers"));
    let alice = tx.identity(&seed.tenant, &IdentityRef::Id(seed.identity)).await.expect("reads").expect("planted");
    assert_eq!((alice.roles, alice.version), (Vec::new(), 3));
    assert_eq!(tx.role(&seed.tenant, &role("speaker")).await.expect("reads"), None);
}

/// Expired, revoked and disabled ones do not count, nor does the one that would go.
pub async fn a_scope_is_held_without_a_key_only_by_another_live_one(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let key = |scope: Scope| {
        let mut row = seed.credential_row(CredentialKind::ApiKey);
        (row.session, row.expires_at, row.scopes) = (None, None, [scope].into_iter().collect());
        row
    };
    let (one, mut other) = (key(Scope::Admin), key(Scope::Admin));
    other.expires_at = Some(seed.now() + Duration::from_secs(1));
    let mut tx = write(&store).await;
    for row in [&one, &key(Scope::Audit)] {
        tx.insert_credential(row).await.expect("writes");
    }
    tx.hold_tenant(&seed.tenant).await.expect("nobody else holds it");
    let without = |id| (seed.tenant.clone(), id);
    let (tenant, id) = without(one.id);
    assert!(!tx.is_held_without(&tenant, Scope::Admin, seed.now(), id).await.expect("answers"));
    tx.insert_credential(&other).await.expect("writes");
    assert!(tx.is_held_without(&tenant, Scope::Admin, seed.now(), id).await.expect("answers"));
    let later = seed.now() + Duration::from_secs(1);
    assert!(!tx.is_held_without(&tenant, Scope::Admin, later, id).await.expect("answers"), "expired");
    tx.set_identity_state(&tenant, seed.identity, IdentityState::Disabled).await.expect("writes");
    assert!(!tx.is_held_without(&tenant, Scope::Admin, seed.now(), id).await.expect("answers"), "disabled");
    tx.set_identity_state(&tenant, seed.identity, IdentityState::Active).await.expect("writes");
    let kill = Batch::kill(Target::Credential(tenant.clone(), other.id), Reason::Administrative);
    tx.commit_with(kill, seed.now()).await.expect("appends");
    let mut view = store.read().await.expect("reads");
    assert!(!view.is_held_without(&tenant, Scope::Admin, seed.now(), id).await.expect("answers"), "revoked");
}

/// What made no entry is answered again too, and an old answer is not kept.
pub async fn an_answer_without_an_entry_is_kept_and_forgotten(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let named = |id: &str| Request {
        tenant: seed.tenant.clone(),
        actor: Actor::edge(),
        id: RequestId::try_from(id).expect("a valid id"),
    };
    let answer = Answered { content: [7; 32], committed: None, subject: Some("alice".to_owned()) };
    let mut tx = write(&store).await;
    for id in ["first", "second"] {
        tx.insert_answer(&named(id), &answer, seed.now()).await.expect("writes");
    }
    tx.commit().await.expect("commits");
    let answered = async |id: &str| store.read().await.expect("reads").answered(&named(id)).await.expect("reads");
    assert_eq!(answered("first").await, Some(answer.clone()));

    let later = seed.now() + Duration::from_secs(1);
    let mut tx = write(&store).await;
    tx.insert_answer(&named("third"), &answer, later).await.expect("writes");
    assert_eq!(tx.forget_answers(seed.now(), 9).await.expect("answers"), 0, "not before");
    assert_eq!(tx.forget_answers(later, 1).await.expect("answers"), 1, "no more than asked");
    assert_eq!(tx.forget_answers(later, 9).await.expect("answers"), 1);
    tx.commit().await.expect("commits");
    assert_eq!((answered("first").await, answered("second").await), (None, None));
    assert_eq!(answered("third").await, Some(answer));
}

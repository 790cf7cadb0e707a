//! Logging in.

use std::sync::Arc;

use auth_domain::{
    Authority, ChangePassword, DenyReason, FirstPassword, IdentityKind, KeyEncryptionKey, LoginAttempt, LoginOutcome,
    NewIdentity, PasswordChange, RevokeTarget, SessionCredentials, SessionState,
};
use portcullis_types::{IdentityName, Secret, TenantId};

use super::password_changes::{BCRYPT, BCRYPTED};
use super::passwords::CountingHasher;
use super::world::{KEK, PASSWORD, World, actor, named, parts, tenant};

#[tokio::test]
async fn a_token_says_who_logged_in() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    let principal = world.allowed(&tokens.access).await.principal;
    assert_eq!((principal.tenant, principal.identity), (tenant(), world.alice.id));
    assert_eq!(principal.session, Some(opened.session.id));
    assert_eq!(principal.identity_name.as_str(), "alice");
}

#[tokio::test]
async fn a_cookie_stands_for_its_session() {
    let world = World::new().await;
    let (opened, cookie) = world.cookie().await;
    assert_eq!(world.allowed(&cookie).await.principal.session, Some(opened.session.id));
    world.revoke(RevokeTarget::Presented(cookie.clone())).await;
    assert_eq!(world.denied(&cookie).await, (DenyReason::SessionRevoked, true));
}

/// The right password, each time: disabled, and suspended, each with a hash of ours and with one that a good login
/// would replace.
async fn closed_accounts(world: &World) -> Vec<LoginAttempt> {
    let closed: TenantId = "closed".try_into().expect("valid");
    world.authority.create_tenant(&actor(), closed.clone(), None, None).await.expect("a new tenant");
    let mut attempts = Vec::new();
    for (tenant, name, hash) in
        [(tenant(), "carol", Some(BCRYPT)), (closed.clone(), "dora", None), (closed.clone(), "erin", Some(BCRYPT))]
    {
        let attempt = LoginAttempt { tenant: tenant.clone(), ..world.attempt(name, PASSWORD) };
        let password = hash.is_none().then(|| FirstPassword::Chosen(Secret::from(PASSWORD)));
        let new =
            NewIdentity { password, ..NewIdentity::plain(tenant.clone(), IdentityKind::User, attempt.name.clone()) };
        world.authority.create_identity(&actor(), new).await.expect("a new identity");
        match hash {
            Some(hash) => {
                world.authority.import_password(&actor(), &tenant, &named(name), hash).await.expect("imports");
                attempts.push(LoginAttempt { password: Secret::from(BCRYPTED), ..attempt });
            }
            None => attempts.push(attempt),
        }
    }
    world.authority.disable_identity(&actor(), &tenant(), &named("carol")).await.expect("disables");
    world.authority.suspend_tenant(&actor(), &closed).await.expect("suspends");
    attempts
}

#[tokio::test]
async fn a_tenant_that_is_suspended_while_a_password_is_checked_costs_no_second_evaluation() {
    let world = World::new().await;
    world.authority.import_password(&actor(), &tenant(), &named("alice"), BCRYPT).await.expect("imports");
    let (began, go_on) = world.hasher.hold_next();
    let authority = Arc::clone(&world.authority);
    let attempt = world.attempt("alice", BCRYPTED);
    let before = world.hasher.evaluations();
    let login = tokio::spawn(async move { authority.log_in(&actor(), attempt).await.expect("an outcome") });
    began.await.expect("the check begins");
    world.authority.suspend_tenant(&actor(), &tenant()).await.expect("suspends");
    go_on.send(()).expect("the login waits");
    assert!(matches!(login.await.expect("no panic"), LoginOutcome::Denied(_)));
    assert_eq!(world.hasher.evaluations(), before + 1);
}

#[tokio::test]
async fn a_suspended_tenant_changes_no_password_and_does_not_tell_which_is_right() {
    let world = World::new().await;
    world.authority.suspend_tenant(&actor(), &tenant()).await.expect("suspends");
    for current in [PASSWORD, "wrong horse battery"] {
        let before = world.hasher.evaluations();
        let change = ChangePassword {
            tenant: tenant(),
            identity: named("alice"),
            current: Secret::from(current),
            new: Secret::from("another horse battery"),
            from: None,
            device: None,
            goes_on: None,
        };
        let changed = world.authority.change_password(&actor(), change).await.expect("an outcome");
        assert!(matches!(changed, PasswordChange::Refused(_)), "{current}");
        assert_eq!(world.hasher.evaluations(), before + 1, "{current}");
    }
}

#[tokio::test]
async fn whatever_is_wrong_is_denied_after_one_evaluation_of_the_hash() {
    let world = World::new().await;
    let robot = NewIdentity::plain(tenant(), IdentityKind::Service, IdentityName::try_from("robot").expect("valid"));
    world.authority.create_identity(&actor(), robot).await.expect("a new identity");
    let mut disabled = world.attempt("bob", PASSWORD);
    disabled.name = IdentityName::try_from("bob").expect("valid");
    let bob = NewIdentity {
        password: Some(FirstPassword::Chosen(Secret::from(PASSWORD))),
        ..NewIdentity::plain(tenant(), IdentityKind::User, disabled.name.clone())
    };
    world.authority.create_identity(&actor(), bob).await.expect("a new identity");
    world.authority.disable_identity(&actor(), &tenant(), &named("bob")).await.expect("disables");

    let mut attempts = vec![
        world.attempt("nobody", PASSWORD),
        world.attempt("alice", "wrong horse battery"),
        world.attempt("robot", PASSWORD),
        LoginAttempt { tenant: "elsewhere".try_into().expect("valid"), ..world.attempt("alice", PASSWORD) },
        disabled,
    ];
    attempts.extend(closed_accounts(&world).await);
    for attempt in attempts {
        let (who, before) = (format!("{attempt:?}"), world.hasher.evaluations());
        let outcome = world.authority.log_in(&actor(), attempt).await.expect("an outcome");
        assert!(matches!(outcome, LoginOutcome::Denied(_)), "{who}");
        assert_eq!(world.hasher.evaluations(), before + 1, "{who}");
    }
    let before = world.hasher.evaluations();
    world.log_in().await;
    assert_eq!(world.hasher.evaluations(), before + 1, "a good login costs the same");
}

/// Begins to log in, and is held while the password is checked.
async fn held(world: &World) -> (tokio::task::JoinHandle<LoginOutcome>, tokio::sync::oneshot::Sender<()>) {
    let (began, go_on) = world.hasher.hold_next();
    let authority: Arc<Authority> = Arc::clone(&world.authority);
    let attempt = world.attempt("alice", PASSWORD);
    let login = tokio::spawn(async move { authority.log_in(&actor(), attempt).await.expect("an outcome") });
    began.await.expect("the check begins");
    (login, go_on)
}

/// I18: login reads revision R, everyone is logged out at R+1, the session is inserted with R.
#[tokio::test]
async fn a_session_that_began_before_log_out_everywhere_is_dead_though_it_was_inserted_after() {
    let world = World::new().await;
    let (login, go_on) = held(&world).await;
    let committed = world.revoke(RevokeTarget::Identity(named("alice"))).await;
    go_on.send(()).expect("the login waits");
    let LoginOutcome::Granted(opened) = login.await.expect("no panic") else { panic!("the password was right") };
    assert!(opened.session.issued.seq < committed.revision.seq);
    let SessionCredentials::Tokens(tokens) = opened.credentials else { panic!("tokens were asked for") };
    assert_eq!(world.denied(&tokens.access).await, (DenyReason::IdentityRevoked, true));
    let refreshed = world.authority.refresh_tokens(&actor(), &tokens.refresh).await.expect("an outcome");
    assert!(matches!(refreshed, auth_domain::RefreshOutcome::Denied(DenyReason::IdentityRevoked)));
    let listed = world
        .authority
        .sessions(&tenant(), &named("alice"), auth_domain::SessionFilter::default(), auth_domain::Page::default())
        .await;
    assert_eq!(listed.expect("reads").items[0].state, SessionState::Revoked);
}

#[tokio::test]
async fn a_password_that_changes_while_it_is_checked_logs_nobody_in() {
    let world = World::new().await;
    let (login, go_on) = held(&world).await;
    let new = Secret::from("another horse battery");
    world.authority.set_password(&actor(), &tenant(), &named("alice"), new).await.expect("sets");
    go_on.send(()).expect("the login waits");
    assert!(matches!(login.await.expect("no panic"), LoginOutcome::Denied(_)));
}

#[tokio::test]
async fn an_identity_that_is_disabled_while_its_password_is_checked_does_not_log_in() {
    let world = World::new().await;
    let (login, go_on) = held(&world).await;
    world.authority.disable_identity(&actor(), &tenant(), &named("alice")).await.expect("disables");
    go_on.send(()).expect("the login waits");
    assert!(matches!(login.await.expect("no panic"), LoginOutcome::Denied(_)));
}

#[tokio::test]
async fn logging_out_everywhere_ends_every_session_and_no_later_one() {
    let world = World::new().await;
    let (before, cookie) = (world.log_in().await.1, world.cookie().await.1);
    world.revoke(RevokeTarget::Identity(named("alice"))).await;
    for dead in [&before.access, &cookie] {
        assert_eq!(world.denied(dead).await, (DenyReason::IdentityRevoked, true));
    }
    let after = world.log_in().await.1;
    world.allowed(&after.access).await;
}

#[tokio::test]
async fn a_new_password_ends_every_session_and_is_the_only_one_that_logs_in() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let new = "another horse battery";
    world.authority.set_password(&actor(), &tenant(), &named("alice"), Secret::from(new)).await.expect("sets");
    assert_eq!(world.denied(&tokens.access).await, (DenyReason::IdentityRevoked, true));
    let old = world.authority.log_in(&actor(), world.attempt("alice", PASSWORD)).await.expect("an outcome");
    assert!(matches!(old, LoginOutcome::Denied(_)));
    let new = world.authority.log_in(&actor(), world.attempt("alice", new)).await.expect("an outcome");
    assert!(matches!(new, LoginOutcome::Granted(_)));
}

#[tokio::test]
async fn a_password_is_hashed_again_when_the_parameters_have_changed() {
    let world = World::new().await;
    let stronger = Arc::new(CountingHasher::with_memory(16));
    let parts = parts(Arc::clone(&world.store), &world.clock, &stronger, KeyEncryptionKey::new(&KEK));
    let authority = Authority::open(parts).await.expect("opens");
    let log_in = async |expected| {
        let before = stronger.evaluations();
        let outcome = authority.log_in(&actor(), world.attempt("alice", PASSWORD)).await.expect("an outcome");
        assert!(matches!(outcome, LoginOutcome::Granted(_)));
        assert_eq!(stronger.evaluations(), before + expected);
    };
    let head = world.store.head().await.expect("reads");
    log_in(2).await;
    log_in(1).await;
    assert_eq!(world.store.head().await.expect("reads"), head, "no session ends by it");
    let wrong = authority.log_in(&actor(), world.attempt("alice", "wrong horse battery")).await.expect("an outcome");
    assert!(matches!(wrong, LoginOutcome::Denied(_)));
}

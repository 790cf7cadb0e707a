//! Passwords that change.

use std::time::Duration;

use auth_domain::{
    Brought, Challenge, ChangePassword, ChangePasswordError, ContinueError, CreateIdentityError, DenyReason, EndBefore,
    FirstPassword, IdentityKind, InvalidPassword, LoginMode, LoginOutcome, NewIdentity, Page, PasswordChange,
    PasswordState, Proof, Reason, RemovePasswordError, Reset, RevokeTarget, SessionCredentials, SetPasswordError,
    UnfitHash,
};
use portcullis_types::{Clock as _, IdentityName, Secret};

use super::world::{GUARD, PASSWORD, SECOND, World, actor, named, tenant};

const NEW: &str = "another horse battery";
/// [`BCRYPTED`] by bcrypt, as other programs write it.
pub(crate) const BCRYPT: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
pub(crate) const BCRYPTED: &str = "U*U";

fn change(current: &str, new: &str) -> ChangePassword {
    ChangePassword {
        tenant: tenant(),
        identity: named("alice"),
        current: Secret::from(current),
        new: Secret::from(new),
        from: None,
        device: None,
        goes_on: None,
    }
}

async fn logs_in(world: &World, password: &str) -> bool {
    let outcome = world.authority.log_in(&actor(), world.attempt("alice", password)).await.expect("an outcome");
    matches!(outcome, LoginOutcome::Granted(_))
}

#[tokio::test]
async fn whoever_knows_a_password_changes_it_and_goes_on_alone() {
    let world = World::new().await;
    let (session, mine) = world.log_in().await;
    let (_, other) = world.log_in().await;
    let before = world.store.head().await.expect("reads").seq;
    let asked = ChangePassword { goes_on: Some((session.session.id, LoginMode::Tokens)), ..change(PASSWORD, NEW) };
    let changed = world.authority.change_password(&actor(), asked).await.expect("an outcome");
    let PasswordChange::Changed { committed, session } = changed else { panic!("the password is right") };
    assert_eq!(committed.revision.seq, before + 1, "one entry, one transaction");
    for dead in [&mine.access, &other.access] {
        assert_eq!(world.denied(dead).await, (DenyReason::IdentityRevoked, true));
    }
    let SessionCredentials::Tokens(tokens) = session.expect("it goes on").credentials else { panic!("tokens") };
    world.allowed(&tokens.access).await;
    assert!(!logs_in(&world, PASSWORD).await);
    assert!(logs_in(&world, NEW).await);
}

#[tokio::test]
async fn a_wrong_current_password_changes_nothing_and_is_counted_as_a_guess() {
    let world = World::new().await;
    for guess in 0..9 {
        let before = world.hasher.evaluations();
        let refused = world.authority.change_password(&actor(), change("wrong horse battery", NEW)).await;
        assert!(matches!(refused.expect("an outcome"), PasswordChange::Refused(_)));
        assert_eq!(world.hasher.evaluations(), before + 1, "guess {guess}");
    }
    assert!(!logs_in(&world, PASSWORD).await, "the next must wait, at the login too");
    world.clock.advance(SECOND);
    assert!(logs_in(&world, PASSWORD).await);
}

#[tokio::test]
async fn new_passwords_follow_the_rule_wherever_they_are_set() {
    let world = World::new().await;
    let short = InvalidPassword::Length { shortest: 8 };
    for (password, why) in
        [("short", short), ("Password1", InvalidPassword::Common), ("alice123", InvalidPassword::Name)]
    {
        let changed = world.authority.change_password(&actor(), change(PASSWORD, password)).await;
        assert!(matches!(changed, Err(ChangePasswordError::Password(refused)) if refused == why), "{password}");
        let set = world.authority.set_password(&actor(), &tenant(), &named("alice"), Secret::from(password)).await;
        assert!(matches!(set, Err(SetPasswordError::Password(refused)) if refused == why), "{password}");
        let reset = Reset::Temporary(Secret::from(password));
        let reset = world.authority.reset_password(&actor(), &tenant(), &named("alice"), reset).await;
        assert!(matches!(reset, Err(ChangePasswordError::Password(refused)) if refused == why), "{password}");
        let made = NewIdentity {
            tenant: tenant(),
            kind: IdentityKind::User,
            name: IdentityName::try_from("alice2").expect("valid"),
            password: Some(FirstPassword::Chosen(Secret::from(if password == "alice123" {
                "alice2.x"
            } else {
                password
            }))),
            roles: Vec::new(),
            display_name: None,
            attributes: Default::default(),
        };
        let made = world.authority.create_identity(&actor(), made).await;
        assert!(matches!(made, Err(CreateIdentityError::Password(refused)) if refused == why), "{password}");
    }
    let same = world.authority.change_password(&actor(), change(PASSWORD, PASSWORD)).await;
    assert!(matches!(same, Err(ChangePasswordError::Password(InvalidPassword::Unchanged))));
    assert!(logs_in(&world, PASSWORD).await);
}

#[tokio::test]
async fn a_temporary_password_logs_in_only_to_be_replaced() {
    let world = World::new().await;
    let (_, tokens) = world.log_in().await;
    let reset = Reset::Temporary(Secret::from("temporary horse"));
    world.authority.reset_password(&actor(), &tenant(), &named("alice"), reset).await.expect("resets");
    assert_eq!(world.denied(&tokens.access).await, (DenyReason::IdentityRevoked, true));
    let attempt = world.attempt("alice", "temporary horse");
    let LoginOutcome::Challenged(asked) = world.authority.log_in(&actor(), attempt).await.expect("an outcome") else {
        panic!("it must be replaced")
    };
    assert_eq!(asked.challenge, Challenge::NewPassword);
    let proof = Proof::NewPassword(Secret::from(NEW));
    let outcome = world.authority.continue_login(&actor(), &asked.continuation, proof, Brought::default()).await;
    let LoginOutcome::Granted(session) = outcome.expect("an outcome") else { panic!("it was replaced") };
    let SessionCredentials::Tokens(tokens) = session.credentials else { panic!("tokens were asked for") };
    world.allowed(&tokens.access).await;
    assert!(!logs_in(&world, "temporary horse").await);
    assert!(logs_in(&world, NEW).await);
}

/// The temporary password itself is refused for a new one, and the login may go on: but not hash after hash.
#[tokio::test]
async fn one_login_that_must_replace_a_password_does_not_buy_hashes_without_end() {
    let world = World::new().await;
    let reset = Reset::Temporary(Secret::from("temporary horse"));
    world.authority.reset_password(&actor(), &tenant(), &named("alice"), reset).await.expect("resets");
    let attempt = world.attempt("alice", "temporary horse");
    let LoginOutcome::Challenged(asked) = world.authority.log_in(&actor(), attempt).await.expect("an outcome") else {
        panic!("it must be replaced")
    };
    let before = world.hasher.evaluations();
    let mut late = 0;
    for _ in 0..20 {
        let proof = Proof::NewPassword(Secret::from("temporary horse"));
        match world.authority.continue_login(&actor(), &asked.continuation, proof, Brought::default()).await {
            Err(ContinueError::Password(InvalidPassword::Unchanged)) => {}
            Ok(LoginOutcome::Denied(refusal)) if refusal.retry_after == SECOND => late += 1,
            other => panic!("{other:?}"),
        }
    }
    let bought = GUARD.free_per_place + 1;
    assert_eq!((world.hasher.evaluations() - before, late), (bought.try_into().expect("few"), 20 - bought));
    world.clock.advance(SECOND);
    let proof = Proof::NewPassword(Secret::from(NEW));
    let outcome = world.authority.continue_login(&actor(), &asked.continuation, proof, Brought::default()).await;
    assert!(matches!(outcome, Ok(LoginOutcome::Granted(_))), "whoever waits goes on");
}

async fn reset_token(world: &World) -> Secret {
    let reset = world.authority.reset_password(&actor(), &tenant(), &named("alice"), Reset::Token).await;
    reset.expect("resets").token.expect("one was asked for").0
}

async fn redeem(world: &World, token: &Secret, password: &str) -> bool {
    let outcome = world.authority.redeem_reset(&actor(), token, Secret::from(password)).await.expect("an outcome");
    matches!(outcome, PasswordChange::Changed { .. })
}

#[tokio::test]
async fn a_one_time_token_sets_a_password_once() {
    let world = World::new().await;
    let (_, tokens) = world.log_in().await;
    let replaced = reset_token(&world).await;
    assert_eq!(world.denied(&tokens.access).await, (DenyReason::IdentityRevoked, true));
    assert!(!logs_in(&world, PASSWORD).await, "there is no password until the token is used");
    let token = reset_token(&world).await;
    assert!(!redeem(&world, &replaced, NEW).await, "another one was made since");
    let weak = world.authority.redeem_reset(&actor(), &token, Secret::from("alice123")).await;
    assert!(matches!(weak, Err(ChangePasswordError::Password(InvalidPassword::Name))), "and is not used up by it");
    assert!(redeem(&world, &token, NEW).await);
    assert!(!redeem(&world, &token, "a third horse battery").await);
    assert!(logs_in(&world, NEW).await);
}

#[tokio::test]
async fn a_one_time_token_ends_with_its_time_and_with_any_password_that_is_set() {
    let world = World::new().await;
    let token = reset_token(&world).await;
    world.authority.set_password(&actor(), &tenant(), &named("alice"), Secret::from(NEW)).await.expect("sets");
    assert!(!redeem(&world, &token, PASSWORD).await);
    let token = reset_token(&world).await;
    world.clock.advance(Duration::from_secs(3_600));
    assert!(!redeem(&world, &token, PASSWORD).await);
    let token = reset_token(&world).await;
    world.authority.disable_identity(&actor(), &tenant(), &named("alice")).await.expect("disables");
    assert!(!redeem(&world, &token, PASSWORD).await, "a disabled identity gets none");
}

/// And no end of them is undone by its being let in again.
#[tokio::test]
async fn a_one_time_token_ends_with_whatever_ends_the_sessions_of_its_identity_or_tenant() {
    let world = World::new().await;
    let (authority, by, alice) = (&world.authority, &actor(), &named("alice"));
    let token = reset_token(&world).await;
    world.revoke(RevokeTarget::Identity(named("alice"))).await;
    assert!(!redeem(&world, &token, NEW).await, "the identity was revoked");
    let token = reset_token(&world).await;
    world.revoke(RevokeTarget::Tenant).await;
    assert!(!redeem(&world, &token, NEW).await, "the tenant was revoked");
    let token = reset_token(&world).await;
    world.clock.advance(SECOND);
    let before = EndBefore { tenant: tenant(), client: None, before: world.clock.now(), reason: Reason::Compromised };
    authority.end_before(by, before).await.expect("ends");
    assert!(!redeem(&world, &token, NEW).await, "it is from before a time");

    let token = reset_token(&world).await;
    authority.disable_identity(by, &tenant(), alice).await.expect("disables");
    authority.enable_identity(by, &tenant(), alice).await.expect("enables");
    assert!(!redeem(&world, &token, NEW).await, "the identity was disabled meanwhile");

    let token = reset_token(&world).await;
    authority.suspend_tenant(by, &tenant()).await.expect("suspends");
    assert!(!redeem(&world, &token, NEW).await, "the tenant is suspended");
    let while_suspended = reset_token(&world).await;
    assert!(!redeem(&world, &while_suspended, NEW).await, "nobody sets a password there");
    authority.reinstate_tenant(by, &tenant()).await.expect("reinstates");
    assert!(!redeem(&world, &token, NEW).await, "the tenant was suspended meanwhile");

    let token = reset_token(&world).await;
    assert!(redeem(&world, &token, NEW).await, "what is made afterwards is good");
    assert!(logs_in(&world, NEW).await);
}

#[tokio::test]
async fn an_imported_hash_logs_in_and_is_replaced_by_ours() {
    let world = World::new().await;
    world.authority.import_password(&actor(), &tenant(), &named("alice"), BCRYPT).await.expect("imports");
    assert!(!logs_in(&world, PASSWORD).await);
    assert_eq!(world.hasher.last_checked(), BCRYPT);
    let before = world.hasher.evaluations();
    assert!(!logs_in(&world, "U*V").await);
    assert_eq!(world.hasher.evaluations(), before + 1, "one evaluation of a hash made elsewhere too");
    assert!(logs_in(&world, "U*U").await);
    let stored = world.store.read().await.expect("reads").password(&tenant(), world.alice.id).await.expect("reads");
    assert!(stored.expect("there is one").phc.starts_with("$argon2id$"));
    assert!(logs_in(&world, "U*U").await);
}

#[tokio::test]
async fn an_imported_hash_cannot_be_a_bomb() {
    let world = World::new().await;
    for (hash, why) in [
        (
            "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
            UnfitHash::TooCostly,
        ),
        ("$2a$07$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", UnfitHash::TooCostly),
        ("$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", UnfitHash::Unknown),
    ] {
        let before = world.hasher.evaluations();
        let refused = world.authority.import_password(&actor(), &tenant(), &named("alice"), hash).await;
        assert!(matches!(refused, Err(ChangePasswordError::Unfit(unfit)) if unfit == why), "{hash}");
        assert_eq!(world.hasher.evaluations(), before);
    }
    assert!(logs_in(&world, PASSWORD).await);
}

#[tokio::test]
async fn a_name_that_nobody_has_costs_what_some_name_of_its_tenant_costs() {
    let world = World::new().await;
    world.authority.import_password(&actor(), &tenant(), &named("alice"), BCRYPT).await.expect("imports");
    for name in ["nobody", "somebody"] {
        let outcome = world.authority.log_in(&actor(), world.attempt(name, "U*U")).await.expect("an outcome");
        assert!(matches!(outcome, LoginOutcome::Denied(_)), "the right password of another name opens nothing");
        assert_eq!(world.hasher.last_checked(), BCRYPT);
    }
}

#[tokio::test]
async fn an_identity_that_comes_with_another_programs_hash_logs_in_and_moves_no_log() {
    let world = World::new().await;
    let before = world.store.head().await.expect("reads").seq;
    let name = IdentityName::try_from("moved").expect("a valid name");
    let new = |hash: &str| NewIdentity {
        password: Some(FirstPassword::Imported(Secret::from(hash))),
        ..NewIdentity::plain(tenant(), IdentityKind::User, name.clone())
    };
    let refused = world.authority.create_identity(&actor(), new("$1$salt$hash")).await.expect_err("nobody knows it");
    assert!(matches!(refused, CreateIdentityError::Unfit(UnfitHash::Unknown)), "{refused:?}");
    world.authority.create_identity(&actor(), new(BCRYPT)).await.expect("it is made");
    assert_eq!(world.store.head().await.expect("reads").seq, before);
    let outcome = world.authority.log_in(&actor(), world.attempt("moved", "U*U")).await.expect("an outcome");
    assert!(matches!(outcome, LoginOutcome::Granted(_)), "{outcome:?}");
}

impl World {
    async fn password_state(&self) -> PasswordState {
        let state = self.authority.password_state(&tenant(), &named("alice")).await.expect("reads");
        let state = state.expect("alice exists");
        let page = self.authority.password_states(&tenant(), Page::default()).await.expect("reads");
        assert_eq!(page.items, std::slice::from_ref(&state), "listed as it is read");
        state
    }
}

#[tokio::test]
async fn where_a_password_stands_is_told_without_its_hash() {
    let world = World::new().await;
    let set = async || world.password_state().await.set.expect("there is one");
    assert!(!set().await.is_outdated && !set().await.must_change);
    world.authority.import_password(&actor(), &tenant(), &named("alice"), BCRYPT).await.expect("a good hash");
    assert_eq!((set().await.scheme, set().await.is_outdated), ("bcrypt", true));
    let temporary = Reset::Temporary(Secret::from(NEW));
    world.authority.reset_password(&actor(), &tenant(), &named("alice"), temporary).await.expect("an outcome");
    assert!(set().await.must_change);
    world.authority.reset_password(&actor(), &tenant(), &named("alice"), Reset::Token).await.expect("an outcome");
    let state = world.password_state().await;
    assert_eq!(state.set, None);
    assert!(state.reset_until.is_some());
    world.clock.advance(3_600 * SECOND);
    assert_eq!(world.password_state().await.reset_until, None, "it is over");
    for target in [RevokeTarget::Identity(named("alice")), RevokeTarget::Tenant] {
        reset_token(&world).await;
        assert!(world.password_state().await.reset_until.is_some());
        world.revoke(target.clone()).await;
        assert_eq!(world.password_state().await.reset_until, None, "{target:?} ended it");
    }
    reset_token(&world).await;
    world.clock.advance(SECOND);
    let before = EndBefore { tenant: tenant(), client: None, before: world.clock.now(), reason: Reason::Compromised };
    world.authority.end_before(&actor(), before).await.expect("ends");
    assert_eq!(world.password_state().await.reset_until, None, "it is from before a time");
    reset_token(&world).await;
    assert!(world.password_state().await.reset_until.is_some(), "one from afterwards");
    world.authority.suspend_tenant(&actor(), &tenant()).await.expect("suspends");
    reset_token(&world).await;
    assert_eq!(world.password_state().await.reset_until, None, "nobody sets a password there");
}

#[tokio::test]
async fn a_removed_password_ends_every_session_and_what_would_set_another() {
    let world = World::new().await;
    let (_, tokens) = world.log_in().await;
    let remove = async || world.authority.remove_password(&actor(), &tenant(), &named("alice")).await;
    remove().await.expect("there is one");
    assert_eq!(world.denied(&tokens.access).await, (DenyReason::IdentityRevoked, true));
    assert!(!logs_in(&world, PASSWORD).await);
    assert!(matches!(remove().await, Err(RemovePasswordError::NoPassword)));

    let reset = world.authority.reset_password(&actor(), &tenant(), &named("alice"), Reset::Token).await;
    let (token, _) = reset.expect("an outcome").token.expect("a token");
    remove().await.expect("there is a token");
    let used = world.authority.redeem_reset(&actor(), &token, Secret::from(NEW)).await.expect("an outcome");
    assert!(matches!(used, PasswordChange::Refused(_)), "{used:?}");
    assert!(matches!(remove().await, Err(RemovePasswordError::NoPassword)));
}

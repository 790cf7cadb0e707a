//! Session cookies in use.

use auth_domain::{
    Batch, Brought, CookieUse, DenyReason, LoginAttempt, LoginMode, LoginOutcome, NewSession, SessionCredentials,
    Target,
};
use portcullis_types::{OpaqueToken, Secret};

use super::world::{COOKIES, PASSWORD, World, actor, tenant};

async fn use_it(world: &World, cookie: &Secret) -> Result<Option<Secret>, DenyReason> {
    Ok(match world.authority.use_cookie(cookie).await.expect("an outcome")? {
        CookieUse::Kept => None,
        CookieUse::Exchanged { value, .. } => Some(value),
    })
}

async fn exchanged(world: &World, cookie: &Secret) -> Secret {
    use_it(world, cookie).await.expect("it is good").expect("it is due")
}

#[tokio::test]
async fn a_cookie_ends_when_it_is_not_used() {
    let world = World::new().await;
    let (_, cookie) = world.cookie().await;
    world.clock.advance(COOKIES.idle_after);
    assert_eq!(world.denied(&cookie).await, (DenyReason::Expired, true));
    assert_eq!(use_it(&world, &cookie).await, Err(DenyReason::Expired));
}

#[tokio::test]
async fn a_cookie_that_is_used_lasts_as_long_as_its_session_and_no_longer() {
    let world = World::new().await;
    let (opened, mut cookie) = world.cookie().await;
    let mut uses = 0;
    loop {
        world.clock.advance(COOKIES.idle_after / 2);
        match use_it(&world, &cookie).await {
            Ok(Some(next)) => cookie = next,
            Ok(None) => {}
            Err(DenyReason::Expired) => break,
            Err(other) => panic!("{other:?}"),
        }
        uses += 1;
    }
    let life = opened.session.expires_at.saturating_since(opened.session.created_at);
    assert_eq!(uses, life.as_secs() / (COOKIES.idle_after / 2).as_secs() - 1);
}

#[tokio::test]
async fn most_uses_write_nothing_down() {
    let world = World::new().await;
    let (_, cookie) = world.cookie().await;
    let until = |expires_in: Option<std::time::Duration>| expires_in.expect("it ends");
    world.clock.advance(COOKIES.idle_after / 16);
    assert_eq!(use_it(&world, &cookie).await, Ok(None));
    let left = until(world.allowed(&cookie).await.expires_in);
    assert_eq!(left, COOKIES.idle_after - COOKIES.idle_after / 16, "not moved");
}

#[tokio::test]
async fn a_cookie_is_exchanged_for_one_successor_whoever_asks() {
    let world = World::new().await;
    let (_, cookie) = world.cookie().await;
    world.clock.advance(COOKIES.exchange_after);
    let next = exchanged(&world, &cookie).await;
    assert_ne!(next, cookie);
    assert_eq!(exchanged(&world, &cookie).await, next, "a request under way at the same time");
    world.allowed(&cookie).await;
    world.allowed(&next).await;
}

#[tokio::test]
async fn an_old_cookie_is_good_until_the_new_one_was_used_and_a_grace_after() {
    let world = World::new().await;
    let (_, cookie) = world.cookie().await;
    world.clock.advance(COOKIES.exchange_after);
    let lost = exchanged(&world, &cookie).await;
    world.clock.advance(COOKIES.grace * 10);
    assert_eq!(exchanged(&world, &cookie).await, lost, "a lost answer logs nobody out");
    assert_eq!(use_it(&world, &lost).await, Ok(None));
    world.allowed(&cookie).await;
    world.clock.advance(COOKIES.grace);
    assert_eq!(world.denied(&cookie).await, (DenyReason::Expired, true));
    assert_eq!(use_it(&world, &cookie).await, Err(DenyReason::Expired));
    world.allowed(&lost).await;
}

/// Whoever trusts it until the end that it had must hear that it ends sooner.
#[tokio::test]
async fn what_was_opened_with_an_old_cookie_is_judged_again_when_the_new_one_is_used() {
    let world = World::new().await;
    let (_, cookie) = world.cookie().await;
    world.clock.advance(COOKIES.exchange_after);
    let next = exchanged(&world, &cookie).await;
    let before = world.store.head().await.expect("reads").seq;
    for _ in 0..2 {
        assert_eq!(use_it(&world, &next).await, Ok(None));
        world.clock.advance(COOKIES.grace / 4);
    }
    let id = OpaqueToken::parse(cookie.expose_str().expect("text")).expect("a cookie").id;
    let entries = world.store.log_after(before, 10).await.expect("reads");
    let payloads: Vec<_> = entries.iter().map(|entry| entry.payload.to_vec()).collect();
    assert_eq!(payloads, [Batch::reauthorize(Target::Credential(tenant(), id)).payload()], "once");
    world.allowed(&cookie).await;
}

async fn log_in_over(world: &World, planted: &Secret) -> (NewSession, Secret) {
    let attempt = world.attempt("alice", PASSWORD);
    let attempt = LoginAttempt {
        mode: LoginMode::Cookie,
        brought: Brought { replaces: Some(planted.clone()), ..Brought::default() },
        ..attempt
    };
    match world.authority.log_in(&actor(), attempt).await.expect("an outcome") {
        LoginOutcome::Granted(session) => match session.credentials.clone() {
            SessionCredentials::Cookie { value, .. } => (*session, value),
            SessionCredentials::Tokens(_) => panic!("a cookie was asked for"),
        },
        other => panic!("not logged in: {other:?}"),
    }
}

#[tokio::test]
async fn a_cookie_that_was_there_before_a_login_is_worth_nothing_after_it() {
    let world = World::new().await;
    let (before, planted) = world.cookie().await;
    let (opened, cookie) = log_in_over(&world, &planted).await;
    assert_ne!(cookie, planted);
    assert_ne!(opened.session.id, before.session.id);
    assert_eq!(world.denied(&planted).await, (DenyReason::SessionRevoked, true));
    world.allowed(&cookie).await;
    log_in_over(&world, &Secret::from("sc_nonsense")).await;
}

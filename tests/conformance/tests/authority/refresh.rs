//! Refresh tokens.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{DenyReason, Page, RefreshOutcome, RevokeTarget, SessionFilter, SessionState, TokenPair};
use futures_util::future::join_all;
use portcullis_types::{Clock as _, Secret};

use super::world::Shown as _;
use super::world::{COOKIES, SECOND, World, actor, named, tenant};

async fn refresh(world: &World, token: &Secret) -> Result<TokenPair, DenyReason> {
    match world.authority.refresh_tokens(&actor(), token).await.expect("an outcome") {
        RefreshOutcome::Granted(pair) => Ok(pair),
        RefreshOutcome::Denied(reason) => Err(reason),
    }
}

async fn head(world: &World) -> u64 {
    world.store.head().await.expect("reads").seq
}

#[tokio::test]
async fn a_refresh_token_is_used_once_and_answered_with_the_next_pair() {
    let world = World::new().await;
    let first = world.log_in().await.1;
    let second = refresh(&world, &first.refresh).await.expect("a new pair");
    assert_ne!(second.refresh, first.refresh);
    assert_ne!(second.access, first.access);
    world.allowed(&second.access).await;
    world.allowed(&first.access).await;
    refresh(&world, &second.refresh).await.expect("and so on");
}

#[tokio::test]
async fn a_lost_answer_is_answered_with_the_same_successor() {
    let world = World::new().await;
    let first = world.log_in().await.1;
    let second = refresh(&world, &first.refresh).await.expect("a new pair");
    world.clock.advance(29 * SECOND);
    let before = head(&world).await;
    let again = refresh(&world, &first.refresh).await.expect("the same successor");
    assert_eq!(again.refresh, second.refresh, "there is one live branch");
    assert_eq!(head(&world).await, before, "nothing was killed");
    world.allowed(&again.access).await;
    refresh(&world, &again.refresh).await.expect("the branch goes on");
}

#[tokio::test]
async fn a_lost_answer_is_given_once_more_and_not_again() {
    let world = World::new().await;
    let first = world.log_in().await.1;
    let second = refresh(&world, &first.refresh).await.expect("a new pair");
    refresh(&world, &first.refresh).await.expect("the same successor");
    let before = head(&world).await;
    assert_eq!(refresh(&world, &first.refresh).await.err(), Some(DenyReason::Spent));
    assert_eq!(head(&world).await, before, "nothing was killed");
    refresh(&world, &second.refresh).await.expect("the branch goes on");
}

#[tokio::test]
async fn a_spent_token_after_the_grace_ends_the_session() {
    let world = World::new().await;
    let first = world.log_in().await.1;
    let second = refresh(&world, &first.refresh).await.expect("a new pair");
    world.clock.advance(30 * SECOND);
    let before = head(&world).await;
    assert_eq!(refresh(&world, &first.refresh).await.err(), Some(DenyReason::Spent));
    assert_eq!(head(&world).await, before + 1, "the kill is in the log");
    assert_eq!(world.denied(&second.access).await, (DenyReason::SessionRevoked, true));
    assert_eq!(refresh(&world, &second.refresh).await.err(), Some(DenyReason::SessionRevoked));
    assert_eq!(refresh(&world, &first.refresh).await.err(), Some(DenyReason::SessionRevoked));
    assert_eq!(head(&world).await, before + 1, "what is dead is not killed again");
}

#[tokio::test]
async fn a_spent_token_whose_successor_was_used_ends_the_session() {
    let world = World::new().await;
    let first = world.log_in().await.1;
    let second = refresh(&world, &first.refresh).await.expect("a new pair");
    let third = refresh(&world, &second.refresh).await.expect("a new pair");
    assert_eq!(refresh(&world, &first.refresh).await.err(), Some(DenyReason::Spent));
    for dead in [&first.access, &second.access, &third.access] {
        assert_eq!(world.denied(dead).await, (DenyReason::SessionRevoked, true));
    }
    world.log_in().await;
}

#[tokio::test]
async fn a_refresh_token_ends_with_its_time_its_session_and_its_identity() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    world.revoke(RevokeTarget::Session(opened.session.id)).await;
    assert_eq!(refresh(&world, &tokens.refresh).await.err(), Some(DenyReason::SessionRevoked));
    let tokens = world.log_in().await.1;
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(refresh(&world, &tokens.refresh).await.err(), Some(DenyReason::Expired));
}

#[tokio::test]
async fn what_is_not_a_refresh_token_refreshes_nothing() {
    let world = World::new().await;
    let (tokens, key) = (world.log_in().await.1, world.api_key().await.shown());
    assert_eq!(refresh(&world, &key).await.err(), Some(DenyReason::WrongKind));
    assert_eq!(refresh(&world, &tokens.access).await.err(), Some(DenyReason::Malformed));
    assert_eq!(refresh(&world, &Secret::from("rt_x")).await.err(), Some(DenyReason::Malformed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_uses_at_once_leave_one_live_branch() {
    let world = Arc::new(World::new().await);
    let first = world.log_in().await.1;
    let uses = (0..100).map(|_| {
        let (world, token) = (Arc::clone(&world), first.refresh.clone());
        tokio::spawn(async move { refresh(&world, &token).await })
    });
    let answers = join_all(uses).await.into_iter().map(|answer| answer.expect("no use panics"));
    let (granted, denied): (Vec<_>, Vec<_>) = answers.partition(Result::is_ok);
    let granted: Vec<TokenPair> = granted.into_iter().filter_map(Result::ok).collect();
    assert!((1..=2).contains(&granted.len()), "the use, and at most one repetition for a lost answer");
    assert!(granted.iter().all(|pair| pair.refresh == granted[0].refresh), "one successor");
    assert!(denied.iter().all(|answer| matches!(answer, Err(DenyReason::Spent))), "{denied:?}");
    assert_eq!(head(&world).await, 0, "nothing was killed");
    refresh(&world, &granted[0].refresh).await.expect("the branch goes on");
    assert_eq!(refresh(&world, &first.refresh).await.err(), Some(DenyReason::Spent), "and is the only one");
    assert_eq!(head(&world).await, 1, "whoever comes back with what was spent ends the family");
}

/// A listed session says whether it can be used, long before its latest end.
#[tokio::test]
async fn a_session_that_nobody_refreshed_in_time_is_over() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    let (with_cookie, _) = world.cookie().await;
    let state = async |id| world.authority.session(&tenant(), id).await.expect("reads").expect("it is kept").state;
    let listed = async || {
        let page = Page::default();
        let filter = SessionFilter::default();
        let listed = world.authority.sessions(&tenant(), &named("alice"), filter, page).await.expect("reads").items;
        listed.into_iter().map(|item| item.state).collect::<Vec<_>>()
    };
    world.clock.advance(Duration::from_secs(86_399));
    assert_eq!(state(opened.session.id).await, SessionState::Active, "it can be refreshed");
    let refreshed = world.authority.refresh_tokens(&actor(), &tokens.refresh).await.expect("an outcome");
    assert!(matches!(refreshed, RefreshOutcome::Granted(_)));
    world.clock.advance(Duration::from_secs(86_399));
    assert_eq!(state(opened.session.id).await, SessionState::Active, "it was");
    world.clock.advance(SECOND);
    assert_eq!(state(opened.session.id).await, SessionState::Expired);
    world.clock.advance(COOKIES.idle_after);
    assert_eq!(state(with_cookie.session.id).await, SessionState::Expired, "idle for too long");
    assert!(with_cookie.session.expires_at > world.clock.now(), "before its latest end");
    assert_eq!(listed().await, [SessionState::Expired, SessionState::Expired]);
}

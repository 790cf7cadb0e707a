//! What slows those who guess, and whom it does not slow.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use auth_domain::{FirstPassword, HashQueue, IdentityKind, LoginAttempt, LoginOutcome, NewIdentity, Refusal};
use futures_util::future::join_all;
use portcullis_types::{IdentityName, Secret};

use super::world::{GUARD, PASSWORD, SECOND, World, actor, tenant};

const HOME: &str = "192.0.2.1";
const WRONG: &str = "wrong horse battery";

fn from(world: &World, address: &str, name: &str, password: &str) -> LoginAttempt {
    let address: IpAddr = address.parse().expect("an address");
    LoginAttempt { from: Some(address), ..world.attempt(name, password) }
}

async fn outcome(world: &World, attempt: LoginAttempt) -> LoginOutcome {
    world.authority.log_in(&actor(), attempt).await.expect("an outcome")
}

/// Seconds until the next attempt; none when it was let in.
async fn refused(world: &World, attempt: LoginAttempt) -> Option<u64> {
    match outcome(world, attempt).await {
        LoginOutcome::Granted(_) => None,
        LoginOutcome::Denied(Refusal { retry_after }) => Some(retry_after.as_secs()),
        LoginOutcome::Challenged(challenged) => panic!("nothing else was set up: {challenged:?}"),
    }
}

async fn create(world: &World, name: &str) {
    let identity = NewIdentity {
        tenant: tenant(),
        kind: IdentityKind::User,
        name: IdentityName::try_from(name).expect("valid"),
        password: Some(FirstPassword::Chosen(Secret::from(PASSWORD))),
        roles: Vec::new(),
        display_name: None,
        attributes: Default::default(),
    };
    world.authority.create_identity(&actor(), identity).await.expect("a new identity");
}

#[tokio::test]
async fn delays_grow_from_the_first_failure_that_is_not_free() {
    let world = World::new().await;
    let mut told = Vec::new();
    for _ in 0..9 {
        let wait = refused(&world, from(&world, HOME, "alice", WRONG)).await.expect("it is wrong");
        told.push(wait);
        world.clock.advance(Duration::from_secs(wait));
    }
    assert_eq!(told, [0, 0, 0, 0, 0, 1, 2, 4, 8]);
    world.clock.advance(GUARD.forget_after);
    assert_eq!(refused(&world, from(&world, HOME, "alice", WRONG)).await, Some(0), "all is forgotten");
}

#[tokio::test]
async fn whatever_comes_too_early_is_refused_alike_after_one_evaluation_and_prolongs_nothing() {
    let world = World::new().await;
    for name in ["alice", "nobody"] {
        for _ in 0..6 {
            refused(&world, from(&world, HOME, name, WRONG)).await;
        }
        let wrong = outcome(&world, from(&world, HOME, name, WRONG)).await;
        let before = world.hasher.evaluations();
        let right = outcome(&world, from(&world, HOME, name, PASSWORD)).await;
        assert_eq!(world.hasher.evaluations(), before + 1, "{name}");
        assert_eq!(format!("{wrong:?}"), format!("{right:?}"), "{name}");
    }
    world.clock.advance(SECOND);
    assert_eq!(refused(&world, from(&world, HOME, "alice", PASSWORD)).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_made_at_once_do_not_outrun_the_delay() {
    let world = Arc::new(World::new().await);
    let guesses = (0..50).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { refused(&world, from(&world, HOME, "alice", WRONG)).await })
    });
    let told = join_all(guesses).await;
    assert!(told.into_iter().all(|wait| wait.expect("no guess panics").is_some()));
    // Had more than one beyond the free ones been let in, the delay would be longer than the first one.
    world.clock.advance(SECOND);
    assert_eq!(refused(&world, from(&world, HOME, "alice", PASSWORD)).await, None);
}

#[tokio::test]
async fn the_guesses_of_others_do_not_slow_whoever_was_here_before() {
    let world = World::new().await;
    assert_eq!(refused(&world, from(&world, HOME, "alice", PASSWORD)).await, None);
    let mut longest = 0;
    for guess in 0..100 {
        let attacker = format!("198.51.100.{guess}");
        let wait = refused(&world, from(&world, &attacker, "alice", WRONG)).await.expect("it is wrong");
        longest = longest.max(wait);
        if guess % 2 == 0 {
            world.clock.advance(Duration::from_secs(wait));
        }
    }
    assert_eq!(longest, GUARD.longest.as_secs(), "as slow as it gets");
    assert_eq!(refused(&world, from(&world, HOME, "alice", PASSWORD)).await, None, "at home at once");
    let cafe = "203.0.113.5";
    let wait = refused(&world, from(&world, cafe, "alice", PASSWORD)).await.expect("not known here");
    assert!(wait <= GUARD.longest.as_secs());
    world.clock.advance(Duration::from_secs(wait));
    assert_eq!(refused(&world, from(&world, cafe, "alice", PASSWORD)).await, None, "elsewhere after the delay");
    assert_eq!(refused(&world, from(&world, cafe, "alice", PASSWORD)).await, None, "and known from now on");
}

#[tokio::test]
async fn one_address_that_tries_many_names_is_slowed_for_all_of_them() {
    let world = World::new().await;
    refused(&world, from(&world, HOME, "alice", PASSWORD)).await;
    create(&world, "bob").await;
    for n in 0..=GUARD.free_per_address {
        refused(&world, from(&world, HOME, &format!("name-{n}"), WRONG)).await;
    }
    assert_eq!(refused(&world, from(&world, HOME, "bob", PASSWORD)).await, Some(1), "never seen here");
    assert_eq!(refused(&world, from(&world, HOME, "alice", PASSWORD)).await, None, "seen here before");
    assert_eq!(refused(&world, from(&world, "192.0.2.2", "bob", PASSWORD)).await, None, "another address");
}

#[tokio::test]
async fn good_logins_at_any_rate_are_not_slowed() {
    let world = World::new().await;
    for _ in 0..40 {
        assert_eq!(refused(&world, from(&world, HOME, "alice", PASSWORD)).await, None);
    }
}

#[tokio::test]
async fn whose_name_differs_in_case_alone_vouches_for_nobody_else() {
    const ELSEWHERE: &str = "198.51.100.7";
    let world = World::new().await;
    create(&world, "ALICE").await;
    let mut told = Vec::new();
    for _ in 0..12 {
        told.push(refused(&world, from(&world, ELSEWHERE, "alice", WRONG)).await.expect("it is wrong"));
        assert_eq!(
            refused(&world, from(&world, ELSEWHERE, "ALICE", PASSWORD)).await,
            None,
            "the guesser's own account"
        );
    }
    assert_eq!(told[..5], [0; 5]);
    assert!(told[5..].iter().all(|wait| *wait > 0), "{told:?}");
}

#[tokio::test]
async fn who_is_known_who_is_a_stranger_and_who_must_wait_each_have_a_queue() {
    let world = World::new().await;
    for (address, name, password, queue) in [
        (HOME, "alice", PASSWORD, HashQueue::Unknown),
        (HOME, "alice", WRONG, HashQueue::Known),
        ("198.51.100.7", "alice", WRONG, HashQueue::Unknown),
        ("198.51.100.7", "nobody", WRONG, HashQueue::Unknown),
    ] {
        refused(&world, from(&world, address, name, password)).await;
        assert_eq!(world.hasher.last_queue(), Some(queue), "{address} {name}");
    }
    for _ in 0..=GUARD.free_per_address {
        refused(&world, from(&world, "198.51.100.7", "alice", WRONG)).await;
    }
    assert_eq!(world.hasher.last_queue(), Some(HashQueue::Refused));
    refused(&world, from(&world, HOME, "alice", PASSWORD)).await;
    assert_eq!(world.hasher.last_queue(), Some(HashQueue::Known), "whatever goes on elsewhere");
}

//! What is kept, and that nothing comes back with what is not.

use std::time::Duration;

use auth_domain::{CompactError, DenyReason, RetentionRules, RevokeTarget, Store as _, Tidied};

use crate::world::Shown as _;
use crate::world::{SECOND, World, named};

const HOUR: Duration = Duration::from_secs(3_600);

/// Compacts until there is nothing left to do; how many entries are gone.
async fn compact(world: &World) -> u64 {
    let mut gone = 0;
    loop {
        match world.authority.compact_log(&RetentionRules::default()).await.expect("compacts") {
            Tidied::Removed { rows, .. } => gone += rows,
            Tidied::Nothing => return gone,
            Tidied::Elsewhere => panic!("nobody else does"),
        }
    }
}

#[tokio::test]
async fn an_entry_is_kept_for_as_long_as_anything_needs_it_and_the_newest_for_ever() {
    let world = World::new().await;
    let before = world.store.head().await.expect("reads").seq;
    for _ in 0..600 {
        world.revoke(RevokeTarget::Identity(named("alice"))).await;
    }
    let kept = RetentionRules::default().log();
    assert!(kept >= 25 * HOUR, "external tokens may be a day old, and clocks differ");
    world.clock.advance(kept);
    assert_eq!(compact(&world).await, 0);
    world.clock.advance(SECOND);
    assert_eq!(compact(&world).await, before + 599);
    assert_eq!(world.store.horizon().await.expect("reads"), before + 599);
    let newest = world.revoke(RevokeTarget::Identity(named("alice"))).await;
    assert_eq!(compact(&world).await, 1, "it is followed by another now");
    assert_eq!(world.store.horizon().await.expect("reads") + 1, newest.revision.seq);
}

#[tokio::test]
async fn what_was_issued_at_a_forgotten_position_lives_and_what_was_revoked_there_stays_dead() {
    let world = World::new().await;
    let (alive, key) = (world.api_key().await, world.api_key().await);
    let bad = world.cookie().await;
    world.revoke(RevokeTarget::Session(bad.0.session.id)).await;
    let dead = world.cookie().await;
    world.revoke(RevokeTarget::Credential(key.key.id)).await;
    world.revoke(RevokeTarget::Identity(named("alice"))).await;
    world.clock.advance(26 * HOUR);
    // One that is younger, so that the others are not the newest.
    world.revoke(RevokeTarget::Identity(named("alice"))).await;
    let denied = async || {
        let (bad, dead) = (world.denied(&bad.1).await, world.denied(&dead.1).await);
        (bad, dead, world.denied(&key.shown()).await)
    };
    let permanent = |reason| (reason, true);
    let expected = (DenyReason::SessionRevoked, DenyReason::IdentityRevoked, DenyReason::CredentialRevoked);
    let expected = (permanent(expected.0), permanent(expected.1), permanent(expected.2));
    assert_eq!(denied().await, expected);
    assert!(compact(&world).await >= 3);
    assert!(world.store.revision_at(dead.0.session.issued.seq).await.expect("reads").is_none(), "it is forgotten");
    assert_eq!(denied().await, expected);
    world.allowed(&alive.shown()).await;
    world.log_in().await;
}

#[tokio::test]
async fn a_damaged_log_stays_for_whoever_looks_into_it() {
    let world = World::new().await;
    for _ in 0..4 {
        world.revoke(RevokeTarget::Identity(named("alice"))).await;
    }
    // As somebody with the file would remove what was done first.
    let mut tx = world.store.write().await.expect("writes");
    let first = world.store.horizon().await.expect("reads");
    assert!(tx.move_horizon(first, first + 2).await.expect("writes"));
    tx.commit().await.expect("commits");
    let mut tx = world.store.write().await.expect("writes");
    assert!(tx.move_horizon(first + 2, first).await.expect("writes"), "the horizon is set back, the entries are gone");
    tx.commit().await.expect("commits");
    world.clock.advance(48 * HOUR);
    let refused = world.authority.compact_log(&RetentionRules::default()).await.expect_err("it is damaged");
    assert!(matches!(refused, CompactError::Damaged(_)), "{refused:?}");
}

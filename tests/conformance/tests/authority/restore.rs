//! A restored backup: what was issued or revoked after it was taken is on another branch of history.

use auth_domain::{DenyReason, RefreshOutcome, RevokeTarget};

use super::data::Data;
use super::world::{World, actor, named, open, tenant};

/// The same world over other data.
async fn over(mut world: World, data: Box<dyn Data>, seed: u64) -> World {
    (world.store, world.authority) = open(&*data, &world.clock, &world.hasher, seed).await;
    world.data = data;
    world
}

#[tokio::test]
async fn credentials_of_the_lost_branch_are_denied() {
    let world = World::new().await;
    let kept = world.log_in().await.1;
    world.store.close().await;
    let (backup, aside) = (world.data.copy().await, world.data.copy().await);

    let world = over(world, aside, 2).await;
    world.revoke(RevokeTarget::Identity(named("alice"))).await;
    let lost = world.log_in().await.1;
    let lost_head = world.store.head().await.expect("reads");
    world.store.close().await;

    let world = over(world, backup, 3).await;
    world.allowed(&kept.access).await;
    let refused = world.denied(&lost.access).await.0;
    assert_eq!(refused, DenyReason::Unknown);
    let refreshed = world.authority.refresh_tokens(&actor(), &lost.refresh).await.expect("an outcome");
    assert!(matches!(refreshed, RefreshOutcome::Denied(DenyReason::Unknown)));

    // The same number with other content: whoever stood on the lost branch sees the fork.
    world.authority.disable_identity(&actor(), &tenant(), &named("alice")).await.expect("disables");
    let here = world.store.revision_at(lost_head.seq).await.expect("reads").expect("is there");
    assert_ne!(here, lost_head.revision());
}

/// Rows that came from elsewhere (a partial restore, a hand-made repair) do not outrun the log beside them.
#[tokio::test]
async fn a_credential_whose_revision_is_not_on_this_chain_is_denied() {
    let world = World::new().await;
    world.revoke(RevokeTarget::Identity(named("alice"))).await;
    let (opened, _) = world.log_in().await;
    for issued in [
        portcullis_types::Revision { chain: opened.session.issued.chain ^ 1, ..opened.session.issued },
        portcullis_types::Revision { seq: opened.session.issued.seq + 1, ..opened.session.issued },
    ] {
        let id = portcullis_types::CredentialId::from_bytes([issued.seq as u8 ^ issued.chain as u8; 16]);
        let token =
            portcullis_types::OpaqueToken::from_secret(portcullis_types::OpaqueKind::SessionCookie, id, [1; 32]);
        let (_, cookie) = world.cookie().await;
        let cookie = portcullis_types::OpaqueToken::parse(cookie.expose_str().expect("text")).expect("a cookie");
        let mut tx = world.store.write().await.expect("writes");
        let mut row = tx.credential(cookie.id).await.expect("reads").expect("inserted");
        (row.id, row.digest, row.issued) = (id, Some(token.digest()), issued);
        tx.insert_credential(&row).await.expect("writes");
        tx.commit().await.expect("commits");
        assert_eq!(world.denied(&token.reveal()).await, (DenyReason::Invalid, true), "{issued}");
    }
}

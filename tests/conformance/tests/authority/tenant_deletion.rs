//! The end of a tenant: everything of it is refused at once, goes a little at a time, and cannot come back.

use std::time::Duration;

use auth_domain::{
    ChangeTenantError, CreateTenantError, CredentialReference, DenyReason, IdentityKind, IdentityRef, Judgement,
    NewIdentity, Tidied,
};
use portcullis_types::IdentityName;

use super::world::Shown as _;
use super::world::{World, actor, named, tenant};

const DAY: Duration = Duration::from_secs(86_400);

async fn delete(world: &World) {
    world.authority.suspend_tenant(&actor(), &tenant()).await.expect("suspends");
    world.authority.delete_tenant(&actor(), &tenant(), None).await.expect("deletes");
}

/// Until nothing is left to do; how many rows are gone, or noted as empty.
async fn empty(world: &World) -> u64 {
    let mut gone = 0;
    loop {
        match world.authority.empty_deleted_tenants().await.expect("removes") {
            Tidied::Removed { rows, .. } => gone += rows,
            Tidied::Nothing => return gone,
            Tidied::Elsewhere => panic!("nobody else does"),
        }
    }
}

#[tokio::test]
async fn what_a_deleted_tenant_issued_is_refused_with_its_rows_and_without_them() {
    let world = World::new().await;
    let (_, tokens) = world.log_in().await;
    let (key, cookie) = (world.api_key().await, world.cookie().await.1);
    let reference = world.allowed(&key.shown()).await.reference;
    assert_eq!(empty(&world).await, 0, "nobody is deleted");
    delete(&world).await;
    for shown in [&tokens.access, &cookie] {
        assert_eq!(world.denied(shown).await, (DenyReason::TenantRevoked, true));
    }
    assert_eq!(world.denied(&key.shown()).await, (DenyReason::TenantRevoked, true), "a key for ever, too");
    assert!(empty(&world).await > 5);
    for shown in [&tokens.access, &cookie, &key.shown()] {
        assert_eq!(world.denied(shown).await.0, DenyReason::Unknown);
    }
    let reference = CredentialReference { tenant: tenant(), ..reference };
    let judged = world.authority.batch_verify(&[reference]).await.expect("answers").remove(0).judgement;
    assert!(matches!(judged, Judgement::Denied { .. }), "{judged:?}");
    let taken = world.authority.create_tenant(&actor(), tenant(), None, None).await;
    assert!(matches!(taken, Err(CreateTenantError::Exists)), "{taken:?}");
    let rows = world.trail_of(world.alice.id, "identity.create").await;
    assert_eq!(rows.len(), 1, "the trail stays");
}

#[tokio::test]
async fn what_was_on_its_way_into_a_deleted_tenant_goes_too_and_after_a_day_nobody_looks_any_more() {
    let world = World::new().await;
    delete(&world).await;
    empty(&world).await;
    // As a transaction that began before the tenant was deleted, and ended after it was emptied.
    let name = IdentityName::try_from("late").expect("a valid name");
    let late = NewIdentity::plain(tenant(), IdentityKind::User, name);
    let refused = world.authority.create_identity(&actor(), late).await;
    assert!(refused.is_err(), "whoever begins later finds none");
    let mut row = world.alice.clone();
    row.roles.clear();
    let mut tx = world.store.write().await.expect("writes");
    assert!(tx.insert_identity(&row).await.expect("writes"));
    tx.commit().await.expect("commits");
    assert_eq!(empty(&world).await, 1);
    let found = world.authority.identity(&tenant(), &IdentityRef::Id(row.id)).await.expect("reads");
    assert_eq!(found, None);
    world.clock.advance(DAY + Duration::from_secs(1));
    assert_eq!(empty(&world).await, 1, "it is noted as empty");
    assert_eq!(empty(&world).await, 0);
}

#[tokio::test]
async fn nothing_is_changed_about_a_deleted_tenant() {
    let world = World::new().await;
    let active = world.authority.delete_tenant(&actor(), &tenant(), None).await;
    assert!(matches!(active, Err(ChangeTenantError::NotSuspended)), "{active:?}");
    delete(&world).await;
    for again in [
        world.authority.delete_tenant(&actor(), &tenant(), None).await.map(|(tenant, _)| tenant),
        world.authority.suspend_tenant(&actor(), &tenant()).await.map(|(tenant, _)| tenant),
        world.authority.reinstate_tenant(&actor(), &tenant()).await,
        world.authority.update_tenant(&actor(), &tenant(), None, None).await,
    ] {
        assert!(matches!(again, Err(ChangeTenantError::NotFound)), "{again:?}");
    }
    let denied = world.authority.identity(&tenant(), &named("alice")).await.expect("reads");
    assert!(denied.is_some(), "rows go later, and what reads them asks first whether the tenant is there");
    assert!(world.authority.is_deleted(&tenant()).await.expect("reads"));
}

//! Which class of leases a tenant has, and how gateways learn of it.

use auth_domain::{CreateTenantError, SetLeaseClassError};
use portcullis_proto::auth::v1;
use portcullis_types::{LeaseClass, TenantId};
use prost::Message as _;

use super::world::{World, actor, tenant};

#[tokio::test]
async fn a_tenants_class_travels_in_its_verdicts() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    assert_eq!(world.allowed(&tokens.access).await.lease_class, None);
    for class in [Some(LeaseClass::Strict), Some(LeaseClass::Tolerant), None] {
        let (changed, _) = world.authority.set_lease_class(&actor(), &tenant(), class).await.expect("it is set");
        assert_eq!((changed.lease_class, world.allowed(&tokens.access).await.lease_class), (class, class));
    }
}

#[tokio::test]
async fn a_change_of_class_has_the_tenants_sockets_judged_again_and_kills_nothing() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let set = async |class| world.authority.set_lease_class(&actor(), &tenant(), Some(class)).await.expect("it is set");
    let (_, committed) = set(LeaseClass::Strict).await;
    let revision = committed.expect("it is an event").revision;
    let entry = world.store.log_after(revision.seq - 1, 1).await.expect("reads").remove(0);
    let batch = v1::RevocationBatch::decode(&*entry.payload).expect("a batch");
    let [fact] = &batch.revocations[..] else { panic!("one fact: {batch:?}") };
    assert_eq!((fact.effect(), fact.keys[0].kind()), (v1::Effect::Reauthorize, v1::KeyKind::Tenant));
    world.allowed(&tokens.access).await;
    let (_, again) = set(LeaseClass::Strict).await;
    assert_eq!(again, None, "nothing has changed");
}

#[tokio::test]
async fn a_class_that_lasts_longer_than_the_bound_is_refused() {
    let world = World::new().await;
    let hold = Some(LeaseClass::Hold);
    let set = world.authority.set_lease_class(&actor(), &tenant(), hold).await;
    assert!(matches!(set, Err(SetLeaseClassError::OverBound(over)) if over.class == LeaseClass::Hold), "{set:?}");
    let new = TenantId::try_from("new").expect("a valid name");
    let created = world.authority.create_tenant(&actor(), new, hold, None).await;
    assert!(matches!(created, Err(CreateTenantError::OverBound(_))), "{created:?}");
    let nobody = TenantId::try_from("nobody").expect("a valid name");
    let unknown = world.authority.set_lease_class(&actor(), &nobody, None).await;
    assert!(matches!(unknown, Err(SetLeaseClassError::TenantNotFound)), "{unknown:?}");
}

#[tokio::test]
async fn a_class_that_no_longer_fits_into_the_bound_is_told_as_standard() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    // As another configuration left it.
    let mut tx = world.store.write().await.expect("writes");
    assert!(tx.set_lease_class(&tenant(), Some(LeaseClass::Hold)).await.expect("writes"));
    tx.commit().await.expect("commits");
    assert_eq!(world.allowed(&tokens.access).await.lease_class, Some(LeaseClass::Standard));
    let over = world.authority.tenants_over_bound(10).await.expect("reads");
    assert_eq!(over.iter().map(|tenant| &tenant.name).collect::<Vec<_>>(), [&tenant()]);
}

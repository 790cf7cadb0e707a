//! The end of a tenant, over the real transport: nothing of it is answered any more.

use portcullis_proto::auth::v1;
use tonic::Code;

use super::calling::contract;
use super::guard::{Choices, Known, ask, fill};
use super::world::{World, by, named, reason};

async fn suspend(world: &World, name: &str) -> v1::Tenant {
    let request = v1::SuspendTenantRequest { name: name.to_owned(), ..Default::default() };
    let answer = world.tenants().suspend_tenant(by(&world.admin, request)).await.expect("the administrator may");
    answer.into_inner().tenant.expect("it is there")
}

fn delete(name: &str) -> v1::DeleteTenantRequest {
    v1::DeleteTenantRequest { name: name.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn a_tenant_is_deleted_once_it_is_suspended_and_its_name_stays_taken() {
    let world = World::new().await;
    let (key, _) = world.service_key("demo", "backend", &["verify", "identity.read"]).await;
    let (_, tokens) = world.issue().await;
    let refused = async |request| {
        let status = world.tenants().delete_tenant(by(&world.admin, request)).await.expect_err("it may not");
        (status.code(), reason(&status))
    };
    assert_eq!(refused(delete("demo")).await, (Code::FailedPrecondition, "TENANT_NOT_SUSPENDED".into()));
    assert_eq!(refused(delete("system")).await.1, "LAST_ADMINISTRATOR");
    assert_eq!(refused(delete("nowhere")).await, (Code::NotFound, "TENANT_NOT_FOUND".into()));
    let suspended = suspend(&world, "demo").await;
    let stale = v1::DeleteTenantRequest { etag: "1".into(), ..delete("demo") };
    assert_eq!(refused(stale).await, (Code::Aborted, "ETAG_STALE".into()));

    let request =
        || v1::DeleteTenantRequest { etag: suspended.etag.clone(), request_id: "away".into(), ..delete("demo") };
    let deleted = world.tenants().delete_tenant(by(&world.admin, request())).await.expect("it may").into_inner();
    assert!(deleted.revision.is_some(), "one event");
    let again = world.tenants().delete_tenant(by(&world.admin, request())).await.expect("it was done").into_inner();
    assert_eq!(again.revision, deleted.revision, "a request that is sent twice is done once");
    let tombstone = deleted.tenant.expect("something is left");
    assert_eq!((tombstone.state(), &*tombstone.name), (v1::TenantState::Deleted, "demo"));
    assert_eq!(refused(delete("demo")).await.1, "TENANT_NOT_FOUND");

    let verdict = world.verify(&world.admin, &tokens.access_token).await;
    assert_eq!(
        (verdict.outcome(), verdict.deny_reason()),
        (v1::Outcome::DeniedPermanent, v1::DenyReason::TenantRevoked)
    );
    let verdict = world.verify(&world.admin, &key).await;
    assert_eq!(verdict.outcome(), v1::Outcome::DeniedPermanent, "a key is refused for ever");
    let read = v1::GetIdentityRequest { identity: Some(named("demo", "ada")) };
    let status = world.identities().get_identity(by(&key, read)).await.expect_err("nobody knows it");
    assert_eq!(reason(&status), "CREDENTIAL_REFUSED");
    let create = v1::CreateTenantRequest { name: "demo".into(), ..Default::default() };
    let status =
        world.tenants().create_tenant(by(&world.admin, create)).await.expect_err("its name is not given again");
    assert_eq!((status.code(), &*reason(&status)), (Code::AlreadyExists, "TENANT_EXISTS"));
}

/// Every method that names a tenant, asked by an administrator about one that was just deleted and is not emptied yet.
#[tokio::test]
async fn a_deleted_tenant_is_answered_as_one_that_there_is_not() {
    let world = World::new().await;
    let (known, contract) = (Known::of(&world).await, contract());
    suspend(&world, "demo").await;
    world.tenants().delete_tenant(by(&world.admin, delete("demo"))).await.expect("it may");
    let (mut refused, mut answered) = (Vec::new(), Vec::new());
    for (name, method) in contract.into_iter().filter(|(_, method)| !method.is_client_streaming()) {
        let message = fill(&method.input(), "demo", &known, &Choices::new());
        if !super::guard::names_a_tenant(&message) {
            continue;
        }
        match ask(&world, &world.admin, &method, message).await {
            Ok(_) => answered.push(name),
            Err(status) => refused.push((name, reason(&status))),
        }
    }
    // A verdict on what it issued is a denial; of the tenant itself the tombstone and the trail are left.
    let expected = ["AuditService.ListAuditEntries", "TenantsService.GetTenant", "VerificationService.BatchVerify"];
    answered.sort();
    assert_eq!(answered, expected);
    assert!(refused.len() > 40, "{refused:?}");
    let others = refused.iter().filter(|(_, reason)| reason != "TENANT_NOT_FOUND");
    let others: Vec<_> = others.map(|(name, reason)| (&**name, &**reason)).collect();
    // Its name is taken; and what the test fills in is no issuer, which is seen first.
    assert_eq!(
        others,
        [("IssuersService.PutIssuer", "FIELD_INVALID"), ("TenantsService.CreateTenant", "TENANT_EXISTS")]
    );
}

//! Two who change the same thing, of whom the second did not see what the first did.

use auth_domain::{Action, NewIssuer, PutIssuerError, PutRoleError, Role};

use super::issuers::{corp, name};
use super::world::{World, actor, grant, role, tenant};

#[tokio::test]
async fn a_role_that_somebody_else_changed_is_not_put_by_an_old_etag() {
    let world = World::new().await;
    let put = async |action, from| {
        let role = Role { tenant: tenant(), name: role("speaker"), grants: vec![grant(action, "room:*")] };
        world.authority.put_role(&actor(), role, from).await
    };
    let read = world.authority.role(&tenant(), &role("speaker")).await.expect("reads").expect("it is there").etag();
    let (first, _) = put(Action::Publish, Some(read)).await.expect("nobody was faster");
    let late = put(Action::History, Some(read)).await;
    assert!(matches!(late, Err(PutRoleError::Stale)), "{late:?}");
    let kept = world.authority.role(&tenant(), &role("speaker")).await.expect("reads").expect("it is there");
    assert_eq!(kept, first);
    put(Action::History, Some(kept.etag())).await.expect("it was read again");
    put(Action::Call, None).await.expect("whoever says nothing overwrites");
    let new = Role { tenant: tenant(), name: role("nobody"), grants: Vec::new() };
    let gone = world.authority.put_role(&actor(), new, Some(read)).await;
    assert!(matches!(gone, Err(PutRoleError::Stale)), "{gone:?}");
}

#[tokio::test]
async fn an_issuer_that_somebody_else_changed_is_not_put_by_an_old_etag() {
    let (world, read) = World::trusting().await;
    let put = async |link, from| {
        let mut issuer = NewIssuer { from, ..corp() };
        issuer.mapping.link_identities = link;
        world.authority.put_issuer(&actor(), issuer).await
    };
    let first = put(true, Some(read.etag())).await.expect("nobody was faster");
    let late = put(false, Some(read.etag())).await;
    assert!(matches!(late, Err(PutIssuerError::Stale)), "{late:?}");
    assert_eq!(world.authority.issuers(&tenant()).await.expect("reads"), std::slice::from_ref(&first));
    world.authority.remove_issuer(&actor(), &tenant(), &name("corp")).await.expect("removes");
    let gone = put(true, Some(first.etag())).await;
    assert!(matches!(gone, Err(PutIssuerError::Stale)), "it is not trusted any more: {gone:?}");
    put(true, None).await.expect("it is trusted again");
}

//! How much there may be of something.

use std::time::Duration;

use auth_domain::{
    Action, CreateApiKeyError, CreateIdentityError, Credential, CredentialKind, Grant, IdentityKind, MAX_API_KEY_LIFE,
    MAX_GRANT_BYTES, MAX_GRANTS, MAX_ROLES_HELD, NewApiKey, NewIdentity, PutRoleError, Role, Scopes,
    UpdateIdentityError,
};
use portcullis_types::{CredentialId, IdentityName, Revision, RoleName, Timestamp};

use super::world::{World, actor, grant, named, role, tenant};

/// A role of exactly so many bytes.
fn of_bytes(name: &str, bytes: u64) -> Role {
    let mut role = Role { tenant: tenant(), name: role(name), grants: Vec::new() };
    while role.bytes() < bytes {
        let pattern = (bytes - role.bytes() - 8).min(192);
        let pattern = format!("{:x>1$}", role.grants.len(), usize::try_from(pattern).expect("small"));
        role.grants.push(grant(Action::Subscribe, &pattern));
    }
    role
}

async fn put(world: &World, role: Role) -> Result<(), PutRoleError> {
    world.authority.put_role(&actor(), role, None).await.map(drop)
}

async fn hold(world: &World, names: &[&str]) -> Result<(), UpdateIdentityError> {
    let roles: Vec<RoleName> = names.iter().map(|name| role(name)).collect();
    world.authority.set_identity_roles(&actor(), &tenant(), &named("alice"), roles).await.map(drop)
}

#[tokio::test]
async fn what_an_identity_may_do_is_never_too_much_for_an_answer() {
    let world = World::new().await;
    hold(&world, &[]).await.expect("none is few");
    assert!(matches!(put(&world, of_bytes("big", MAX_GRANT_BYTES + 9)).await, Err(PutRoleError::TooLarge)));
    put(&world, of_bytes("big", MAX_GRANT_BYTES - 100)).await.expect("it fits");
    put(&world, of_bytes("small", 100)).await.expect("it fits");
    put(&world, of_bytes("one-more", 9)).await.expect("it fits");
    hold(&world, &["big", "small"]).await.expect("exactly as much as may be");
    let more = hold(&world, &["big", "small", "one-more"]).await;
    assert!(matches!(more, Err(UpdateIdentityError::TooManyGrants)), "{more:?}");
    let bob = NewIdentity {
        roles: ["big", "small", "one-more"].map(role).to_vec(),
        ..NewIdentity::plain(tenant(), IdentityKind::User, IdentityName::try_from("bob").expect("valid"))
    };
    let bob = world.authority.create_identity(&actor(), bob).await;
    assert!(matches!(bob, Err(CreateIdentityError::TooManyGrants)), "{bob:?}");

    let grown = put(&world, of_bytes("small", 109)).await;
    assert!(matches!(grown, Err(PutRoleError::HolderTooLarge)), "{grown:?}");
    put(&world, of_bytes("small", 50)).await.expect("less is always possible");
    put(&world, of_bytes("one-more", 1_000)).await.expect("nobody holds it");
}

#[tokio::test]
async fn all_roles_of_a_tenant_fit_in_one_answer() {
    let world = World::new().await;
    let mut made: u64 = 0;
    let refused = loop {
        match put(&world, of_bytes(&format!("r{made}"), MAX_GRANT_BYTES)).await {
            Ok(()) => made += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, PutRoleError::TenantTooLarge), "{refused:?}");
    assert!((made + 1) * MAX_GRANT_BYTES <= 4 << 20, "{made} of the largest");
    put(&world, of_bytes("r0", MAX_GRANT_BYTES)).await.expect("one that is there may be put again");
}

#[tokio::test]
async fn the_most_roles_of_the_largest_size_fit_in_one_verdict() {
    assert!(MAX_ROLES_HELD as u64 * MAX_GRANT_BYTES < 4 << 20);
    let overhead = Grant { action: Action::Subscribe, pattern: "x".try_into().expect("valid") };
    let role = Role { tenant: tenant(), name: role("r"), grants: vec![overhead; MAX_GRANTS] };
    assert_eq!(role.bytes(), 9 * MAX_GRANTS as u64);
}

fn new_key() -> NewApiKey {
    NewApiKey {
        tenant: tenant(),
        identity: named("alice"),
        label: None,
        scopes: Scopes::NONE,
        expires_in: None,
        grants: None,
        addresses: Vec::new(),
    }
}

#[tokio::test]
async fn dead_keys_leave_room_for_live_ones() {
    let world = World::new().await;
    let now = portcullis_types::Clock::now(&*world.clock);
    let mut tx = world.store.write().await.expect("writes");
    for n in 0..1_000_u128 {
        tx.insert_credential(&expired(&world, n, now)).await.expect("writes");
    }
    tx.commit().await.expect("commits");
    for _ in 0..100 {
        world.authority.create_api_key(&world.admin, new_key()).await.expect("a new key");
    }
    let more = world.authority.create_api_key(&world.admin, new_key()).await;
    assert!(matches!(more, Err(CreateApiKeyError::TooMany)), "{more:?}");
    let one = world.listed_key().await;
    world.revoke(auth_domain::RevokeTarget::Credential(one.id)).await;
    world.authority.create_api_key(&world.admin, new_key()).await.expect("there is room again");
}

fn expired(world: &World, n: u128, now: Timestamp) -> Credential {
    Credential {
        id: CredentialId::from_bytes(n.to_be_bytes()),
        tenant: tenant(),
        identity: world.alice.id,
        session: None,
        kind: CredentialKind::ApiKey,
        digest: Some([0; 32]),
        parent: None,
        label: None,
        scopes: Scopes::NONE,
        audiences: Vec::new(),
        origins: Vec::new(),
        issued: Revision { seq: 0, chain: 0 },
        signing_key: None,
        created_at: now,
        expires_at: Some(now),
        spent: None,
        key_terms: Some(auth_domain::KeyTerms::default()),
        certificate: None,
        revoked_seq: None,
    }
}

#[tokio::test]
async fn a_key_that_ends_lives_at_most_ten_years() {
    let world = World::new().await;
    for (life, fits) in [(MAX_API_KEY_LIFE, true), (MAX_API_KEY_LIFE + Duration::from_millis(1), false)] {
        let new = NewApiKey { expires_in: Some(life), ..new_key() };
        let made = world.authority.create_api_key(&world.admin, new).await;
        assert_eq!(!matches!(made, Err(CreateApiKeyError::TooLong)), fits, "{made:?}");
    }
}

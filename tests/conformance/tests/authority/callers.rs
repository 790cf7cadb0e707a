//! Callers of the authority's own API, and the first start.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    Actor, BootstrapError, ChangeIdentityError, CreateApiKeyError, CreateIdentityError, CreateTenantError,
    FirstPassword, Forbidden, IdentityFilter, IdentityKind, ListError, NewApiKey, NewIdentity, Page, Scope, Scopes,
    TenantState,
};
use portcullis_types::{IdentityName, ManualClock, Secret, TenantId, Timestamp};

use super::passwords::CountingHasher;
use super::world::Shown as _;
use super::world::{World, actor, named, open, role, tenant};

pub(crate) async fn service(world: &World, name: &str) {
    let new = NewIdentity::plain(tenant(), IdentityKind::Service, IdentityName::try_from(name).expect("valid"));
    world.authority.create_identity(&actor(), new).await.expect("a new identity");
}

pub(crate) fn new_key(name: &str, scopes: Scopes) -> NewApiKey {
    NewApiKey {
        tenant: tenant(),
        identity: named(name),
        label: None,
        scopes,
        expires_in: None,
        grants: None,
        addresses: Vec::new(),
    }
}

#[tokio::test]
async fn the_first_start_shows_one_key_and_the_second_none() {
    let world = World::new().await;
    assert!(world.authority.bootstrap(|_| Ok(())).await.expect("starts").is_none());
    assert_eq!(world.admin.scopes, Scopes::all());
    assert!(world.admin.tenant.is_system());
}

#[tokio::test]
async fn a_first_start_whose_key_was_not_kept_leaves_no_trace_and_is_made_again() {
    let data = crate::data();
    let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_seconds(1_700_000_000)));
    let (_store, authority) = open(&*data, &clock, &Arc::new(CountingHasher::new()), 1).await;
    let mut lost = None;
    let refused = authority
        .bootstrap(|key| {
            lost = Some(key.clone());
            Err("the disk is full".into())
        })
        .await;
    assert!(matches!(refused, Err(BootstrapError::NotKept(_))));
    let lost = lost.expect("it was offered");
    assert!(authority.authenticate_caller(&lost, None).await.is_err(), "a key that was not kept opens nothing");
    let key = authority.bootstrap(|_| Ok(())).await.expect("starts").expect("still the first start");
    assert!(authority.authenticate_caller(&key.shown(), None).await.is_ok());
}

#[tokio::test]
async fn a_caller_acts_in_its_tenant_and_a_system_caller_everywhere() {
    let world = World::new().await;
    service(&world, "backend").await;
    let scopes = [Scope::Issue, Scope::Revoke].into_iter().collect();
    let key = world.authority.create_api_key(&world.admin, new_key("backend", scopes)).await.expect("a new key");
    let backend = world.authority.authenticate_caller(&key.shown(), None).await.expect("a service");
    assert_eq!(backend.require(Scope::Issue, &tenant()), Ok(()));
    assert_eq!(backend.require(Scope::Verify, &tenant()), Err(Forbidden::Scope(Scope::Verify)));
    assert_eq!(backend.require(Scope::Issue, &TenantId::system()), Err(Forbidden::Tenant));
    assert_eq!(backend.require_any_tenant(Scope::Issue), Err(Forbidden::Tenant));
    assert_eq!(world.admin.require(Scope::Issue, &tenant()), Ok(()));
    assert_eq!(world.admin.require_any_tenant(Scope::Watch), Ok(()));

    let beyond = world.authority.create_api_key(&backend, new_key("backend", Scopes::all())).await;
    assert!(matches!(beyond, Err(CreateApiKeyError::ScopesBeyondCaller)));
    let person = world.authority.create_api_key(&world.admin, new_key("alice", scopes)).await;
    assert!(matches!(person, Err(CreateApiKeyError::ScopesNeedService)));
}

#[tokio::test]
async fn a_key_that_a_key_makes_ends_with_its_maker_at_the_latest() {
    let world = World::new().await;
    service(&world, "backend").await;
    let mut short = new_key("backend", Scopes::all());
    short.expires_in = Some(Duration::from_secs(60));
    let short = world.authority.create_api_key(&world.admin, short).await.expect("a new key");
    let maker = world.authority.authenticate_caller(&short.shown(), None).await.expect("a service");
    world.clock.advance(Duration::from_secs(10));
    for (asked, lives) in [(None, 50), (Some(3_600), 50), (Some(20), 20)] {
        let mut new = new_key("backend", Scopes::all());
        new.expires_in = asked.map(Duration::from_secs);
        let made = world.authority.create_api_key(&maker, new).await.expect("a new key").key;
        let left = made.expires_at.expect("it ends").saturating_since(made.created_at);
        assert_eq!(left, Duration::from_secs(lives), "{asked:?}");
        let mut view = world.store.read().await.expect("reads");
        let row = view.credential(made.id).await.expect("reads").expect("it was made");
        assert_eq!(row.parent, Some(maker.credential));
    }
    assert!(Actor::caller(&maker).as_str().contains(&maker.credential.to_string()), "the trail names the key");
}

#[tokio::test]
async fn a_disabled_identity_gets_no_key() {
    let world = World::new().await;
    service(&world, "backend").await;
    world.authority.disable_identity(&actor(), &tenant(), &named("backend")).await.expect("disables");
    let made = world.authority.create_api_key(&world.admin, new_key("backend", Scopes::NONE)).await;
    assert!(matches!(made, Err(CreateApiKeyError::Disabled)), "{made:?}");
}

#[tokio::test]
async fn the_last_administrator_cannot_be_disabled() {
    let world = World::new().await;
    let system = TenantId::system();
    let disable = async |name: &str| world.authority.disable_identity(&actor(), &system, &named(name)).await;
    let alone = disable("admin").await;
    assert!(matches!(alone, Err(ChangeIdentityError::LastAdministrator)), "{alone:?}");

    let second =
        NewIdentity::plain(system.clone(), IdentityKind::Service, IdentityName::try_from("second").expect("valid"));
    world.authority.create_identity(&actor(), second).await.expect("a new identity");
    assert!(disable("admin").await.is_err(), "the second has no key");
    let key = |scopes| NewApiKey { tenant: system.clone(), ..new_key("second", scopes) };
    let weak = key([Scope::Verify].into_iter().collect());
    world.authority.create_api_key(&world.admin, weak).await.expect("a new key");
    assert!(disable("admin").await.is_err(), "the second's key cannot administer");
    let strong = key([Scope::Admin].into_iter().collect());
    world.authority.create_api_key(&world.admin, strong).await.expect("a new key");
    disable("admin").await.expect("the second remains");
    assert!(disable("second").await.is_err());
}

#[tokio::test]
async fn a_tenants_caller_sees_its_own_tenant() {
    let world = World::new().await;
    service(&world, "backend").await;
    let key = world.authority.create_api_key(&world.admin, new_key("backend", Scopes::all())).await;
    let backend = world.authority.authenticate_caller(&key.expect("a new key").shown(), None).await.expect("a service");
    let seen_in = async |caller, state| {
        let page = world.authority.tenants_seen_by(caller, state, Page::default()).await.expect("reads");
        page.items.into_iter().map(|tenant| tenant.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(seen_in(&backend, None).await, ["acme"]);
    assert_eq!(seen_in(&world.admin, None).await, ["acme", "system"]);
    let nobody: [&str; 0] = [];
    for (caller, active) in [(&backend, &["acme"][..]), (&world.admin, &["acme", "system"])] {
        assert_eq!(seen_in(caller, Some(TenantState::Active)).await, active);
        assert_eq!(seen_in(caller, Some(TenantState::Suspended)).await, nobody);
    }
    let gone = TenantId::try_from("gone").expect("a valid name");
    world.authority.create_tenant(&actor(), gone.clone(), None, None).await.expect("makes");
    world.authority.suspend_tenant(&actor(), &gone).await.expect("suspends");
    assert_eq!(seen_in(&world.admin, Some(TenantState::Suspended)).await, ["gone"]);
    world.authority.delete_tenant(&actor(), &gone, None).await.expect("deletes");
    assert_eq!(seen_in(&world.admin, Some(TenantState::Suspended)).await, nobody);
    assert_eq!(seen_in(&world.admin, Some(TenantState::Deleted)).await, ["gone"]);
    assert_eq!(seen_in(&world.admin, Some(TenantState::Active)).await, ["acme", "system"]);
    assert_eq!(seen_in(&world.admin, None).await, ["acme", "gone", "system"]);
}

#[tokio::test]
async fn only_a_living_key_of_an_active_service_is_a_caller() {
    let world = World::new().await;
    service(&world, "backend").await;
    let mut new = new_key("backend", Scopes::all());
    new.expires_in = Some(Duration::from_secs(60));
    let key = world.authority.create_api_key(&world.admin, new).await.expect("a new key").shown();
    let is_caller = async |secret: &Secret| world.authority.authenticate_caller(secret, None).await.is_ok();
    assert!(is_caller(&key).await);
    assert!(!is_caller(&world.api_key().await.shown()).await, "a person's key");
    assert!(!is_caller(&world.log_in().await.1.access).await, "a token");
    world.authority.disable_identity(&actor(), &tenant(), &named("backend")).await.expect("disables");
    assert!(!is_caller(&key).await, "disabled");
    world.authority.enable_identity(&actor(), &tenant(), &named("backend")).await.expect("enables");
    assert!(is_caller(&key).await);
    world.clock.advance(Duration::from_secs(60));
    assert!(!is_caller(&key).await, "expired");
}

#[tokio::test]
async fn names_and_roles_are_checked_before_anything_is_made() {
    let world = World::new().await;
    let taken = world.authority.create_tenant(&actor(), tenant(), None, None).await;
    assert!(matches!(taken, Err(CreateTenantError::Exists)));
    let new =
        |name: &str| NewIdentity::plain(tenant(), IdentityKind::User, IdentityName::try_from(name).expect("valid"));
    let create = async |new| world.authority.create_identity(&actor(), new).await;
    assert!(matches!(create(new("alice")).await, Err(CreateIdentityError::NameTaken)));
    let ghost = NewIdentity { roles: vec![role("ghost")], ..new("bob") };
    assert!(matches!(create(ghost).await, Err(CreateIdentityError::RoleNotFound(_))));
    let short = NewIdentity { password: Some(FirstPassword::Chosen(Secret::from("short"))), ..new("bob") };
    assert!(matches!(create(short).await, Err(CreateIdentityError::Password(_))));
    let elsewhere = NewIdentity { tenant: "elsewhere".try_into().expect("valid"), ..new("bob") };
    assert!(matches!(create(elsewhere).await, Err(CreateIdentityError::TenantNotFound)));
    assert!(world.authority.identity(&tenant(), &named("bob")).await.expect("reads").is_none());
}

#[tokio::test]
async fn a_page_token_of_one_list_is_refused_by_another() {
    let world = World::new().await;
    for name in ["bob", "carol"] {
        service(&world, name).await;
    }
    let page = world
        .authority
        .identities(&tenant(), &IdentityFilter::default(), Page::new(2, "").expect("small"))
        .await
        .expect("reads");
    let names: Vec<_> = page.items.iter().map(|identity| identity.name.as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
    let token = page.next.expect("there is more");
    let rest = world
        .authority
        .identities(&tenant(), &IdentityFilter::default(), Page::new(2, &token).expect("small"))
        .await
        .expect("reads");
    assert_eq!((rest.items[0].name.as_str(), rest.next), ("carol", None));
    let other = world.authority.tenants(None, Page::new(2, &token).expect("small")).await;
    assert!(matches!(other, Err(ListError::Page(_))));
}

//! Somebody can always administer, also when every key that ends has ended.

use std::time::Duration;

use auth_domain::{
    ApiKey, AuditFilter, CertificateName, ChangeIdentityError, CreateIdentityError, IdentityKind, IdentityState,
    IssuedApiKey, NewApiKey, NewCertificate, NewIdentity, NewKeyError, Page, Reason, RevokeError, RevokeRequest,
    RevokeTarget, RotateApiKey, RotateApiKeyError, Scope, Scopes, new_administrator_key,
};
use portcullis_types::{Clock as _, CredentialId, IdentityName, Secret, SeededEntropy, TenantId};

use super::world::{SECOND, Shown as _, World, actor, named};

const HOUR: Duration = Duration::from_secs(3_600);

impl World {
    async fn second_administrator(&self, expires_in: Option<Duration>) -> IssuedApiKey {
        self.key_of_second([Scope::Admin].into_iter().collect(), expires_in).await
    }

    async fn key_of_second(&self, scopes: Scopes, expires_in: Option<Duration>) -> IssuedApiKey {
        let name = IdentityName::try_from("second").expect("a valid name");
        let second = NewIdentity::plain(TenantId::system(), IdentityKind::Service, name);
        match self.authority.create_identity(&actor(), second).await {
            Ok(_) | Err(CreateIdentityError::NameTaken) => {}
            Err(error) => panic!("a service: {error}"),
        }
        let key = NewApiKey {
            tenant: TenantId::system(),
            identity: named("second"),
            label: None,
            scopes,
            expires_in,
            grants: None,
            addresses: Vec::new(),
        };
        self.authority.create_api_key(&self.admin, key).await.expect("a new key")
    }

    async fn rotate_in_system(
        &self,
        id: CredentialId,
        expires_in: Option<Duration>,
        old_ends_in: Duration,
    ) -> Result<ApiKey, RotateApiKeyError> {
        let asked = RotateApiKey { tenant: TenantId::system(), id, old_ends_in, expires_in };
        self.authority.rotate_api_key(&self.admin, asked).await.map(|rotated| rotated.issued.key)
    }

    async fn revoke_in_system(&self, key: CredentialId) -> Result<(), RevokeError> {
        let request = RevokeRequest {
            tenant: TenantId::system(),
            target: RevokeTarget::Credential(key),
            reason: Reason::Administrative,
            pace: None,
            request_id: None,
        };
        self.authority.revoke(&actor(), request).await.map(drop)
    }

    /// Another key of `admin`, made on the machine.
    async fn made_on_the_machine(&self) -> Result<(CredentialId, Secret), NewKeyError> {
        let mut kept = Secret::from("");
        let keep = |key: &Secret| {
            kept = key.clone();
            Ok(())
        };
        let entropy = SeededEntropy::new(9);
        let id = new_administrator_key(&*self.store, &*self.clock, &entropy, keep).await?;
        Ok((id, kept))
    }
}

#[tokio::test]
async fn the_last_key_without_an_end_is_not_exchanged_for_one_that_ends() {
    let world = World::new().await;
    let last = world.admin.credential;
    for old_ends_in in [Duration::ZERO, HOUR] {
        let refused = world.rotate_in_system(last, Some(HOUR), old_ends_in).await;
        assert!(matches!(refused, Err(RotateApiKeyError::LastAdministrator)), "{refused:?}");
    }
    world.second_administrator(Some(HOUR)).await;
    let refused = world.rotate_in_system(last, Some(HOUR), Duration::ZERO).await;
    assert!(matches!(refused, Err(RotateApiKeyError::LastAdministrator)), "the other one ends too: {refused:?}");
    let next = world.rotate_in_system(last, None, HOUR).await.expect("the successor has no end").id;
    world.clock.advance(HOUR + SECOND);
    assert!(matches!(world.revoke_in_system(next).await, Err(RevokeError::LastAdministrator)));
}

/// What a key makes ends when the key does.
#[tokio::test]
async fn whoever_has_a_key_that_ends_gives_the_last_one_no_end_by_exchanging_it() {
    let world = World::new().await;
    let ending = world.key_of_second(Scopes::all(), Some(HOUR)).await;
    let caller = world.authority.authenticate_caller(&ending.shown(), None).await.expect("its own key");
    let (tenant, id) = (TenantId::system(), world.admin.credential);
    let asked = RotateApiKey { tenant, id, old_ends_in: HOUR, expires_in: None };
    let refused = world.authority.rotate_api_key(&caller, asked).await.map(drop);
    assert!(matches!(refused, Err(RotateApiKeyError::LastAdministrator)), "{refused:?}");
}

#[tokio::test]
async fn an_administrator_whose_key_ends_is_none_that_could_remain() {
    let world = World::new().await;
    let system = TenantId::system();
    let ending = world.second_administrator(Some(HOUR)).await;
    let refused = world.revoke_in_system(world.admin.credential).await;
    assert!(matches!(refused, Err(RevokeError::LastAdministrator)), "{refused:?}");
    let disabled = world.authority.disable_identity(&actor(), &system, &named("admin")).await;
    assert!(matches!(disabled, Err(ChangeIdentityError::LastAdministrator)), "{disabled:?}");
    let deleted = world.authority.delete_identity(&actor(), &system, &named("admin")).await;
    assert!(matches!(deleted, Err(ChangeIdentityError::LastAdministrator)), "{deleted:?}");
    world.revoke_in_system(ending.key.id).await.expect("one that ends is no loss");

    let lasting = world.second_administrator(None).await;
    world.revoke_in_system(world.admin.credential).await.expect("the second remains");
    assert!(matches!(world.revoke_in_system(lasting.key.id).await, Err(RevokeError::LastAdministrator)));
}

/// No call gets there any more; what was stored before may be so.
#[tokio::test]
async fn an_administrators_certificate_can_be_revoked_when_nobody_administers_by_key() {
    let world = World::new().await;
    let ending = world.second_administrator(Some(HOUR)).await;
    let shown = NewCertificate {
        tenant: TenantId::system(),
        identity: named("second"),
        name: CertificateName::try_from("spiffe://corp.example/operator").expect("a valid name"),
        label: None,
        scopes: [Scope::Admin].into_iter().collect(),
        expires_in: None,
        addresses: Vec::new(),
    };
    let shown = world.authority.register_certificate(&world.admin, &actor(), shown).await.expect("it is registered");
    let mut tx = world.store.write().await.expect("writes");
    let end = Some(world.clock.now() + HOUR);
    assert!(tx.replace_api_key(world.admin.credential, None, ending.key.id, end).await.expect("writes"));
    tx.commit().await.expect("commits");

    world.revoke_in_system(ending.key.id).await.expect("the other one that ends remains");
    let refused = world.revoke_in_system(world.admin.credential).await;
    assert!(matches!(refused, Err(RevokeError::LastAdministrator)), "it is the last that is good now: {refused:?}");
    world.clock.advance(HOUR + SECOND);
    world.revoke_in_system(shown.id).await.expect("a certificate is no last administrator");
}

#[tokio::test]
async fn whoever_lost_every_key_makes_another_one_on_the_machine() {
    let world = World::new().await;
    let system = TenantId::system();
    world.second_administrator(None).await;
    world.authority.disable_identity(&actor(), &system, &named("admin")).await.expect("the second remains");
    let (id, secret) = world.made_on_the_machine().await.expect("it is made");
    let admin = world.authority.authenticate_caller(&secret, None).await.expect("it is enabled again");
    assert_eq!((admin.credential, admin.identity), (id, world.admin.identity));
    assert!(world.admin.scopes.is_within(admin.scopes), "with every scope");
    let page = Page::new(2, "").expect("a page");
    let rows = world.authority.audit_entries(&system, &AuditFilter::default(), page).await.expect("reads").items;
    let rows: Vec<_> = rows.iter().map(|row| (row.action.as_str(), row.actor.as_str(), &row.identity)).collect();
    let whose = world.admin.identity.to_string();
    assert_eq!(rows, [("authority.new_key", "authority", &whose), ("identity.enable", "authority", &whose)]);

    world.authority.delete_identity(&actor(), &system, &named("admin")).await.expect("the second remains");
    let (_, secret) = world.made_on_the_machine().await.expect("it is made");
    let admin = world.authority.authenticate_caller(&secret, None).await.expect("it is there again");
    assert_ne!(admin.identity, world.admin.identity, "authority rests on ids");
}

#[tokio::test]
async fn a_key_that_cannot_be_kept_is_not_made() {
    let world = World::new().await;
    let entropy = SeededEntropy::new(9);
    let made = new_administrator_key(&*world.store, &*world.clock, &entropy, |_| Err("no room".into())).await;
    assert!(matches!(made, Err(NewKeyError::NotKept(_))), "{made:?}");
    let keys = world.authority.api_keys(&TenantId::system(), &named("admin"), false, Page::default()).await;
    assert_eq!(keys.map(|keys| keys.items.len()).expect("reads"), 1);
    let admin = world.authority.identity(&TenantId::system(), &named("admin")).await.expect("reads");
    assert_eq!(admin.map(|admin| admin.state), Some(IdentityState::Active));
}

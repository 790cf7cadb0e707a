//! API keys: what they are limited to, how they are exchanged, and when they were used.

use std::net::IpAddr;
use std::time::Duration;

use auth_domain::{
    Action, ApiKey, Caller, CreateApiKeyError, DenyReason, IdentityKind, IdentityRef, IssuedApiKey, MAX_KEY_ADDRESSES,
    MAX_KEY_GRANTS, NewApiKey, NewIdentity, Page, PresentationContext, Presented, Reason, RevokeKeys, RevokeKeysError,
    Role, RotateApiKey, RotateApiKeyError, RotatedApiKey, Scope, Scopes, Verdict,
};
use portcullis_types::{AddressRange, Clock as _, CredentialId, IdentityName, Secret, TenantId, Timestamp};

use super::world::Shown as _;
use super::world::{SECOND, World, actor, allowed, denied, grant, named, role, tenant};

fn plain() -> NewApiKey {
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

fn ranges(texts: &[&str]) -> Vec<AddressRange> {
    texts.iter().map(|text| AddressRange::try_from(*text).expect("a range")).collect()
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().expect("an address"))
}

impl World {
    async fn key(&self, new: NewApiKey) -> IssuedApiKey {
        self.authority.create_api_key(&self.admin, new).await.expect("a new key")
    }

    async fn verify_from(&self, bearer: &Secret, address: Option<IpAddr>) -> Verdict {
        let context = PresentationContext { address, ..PresentationContext::default() };
        self.authority.verify(Presented::Bearer(bearer), &context).await.expect("a verdict")
    }

    async fn rotate_key(&self, id: CredentialId, old_ends_in: Duration) -> Result<RotatedApiKey, RotateApiKeyError> {
        let asked = RotateApiKey { tenant: tenant(), id, old_ends_in, expires_in: None };
        self.authority.rotate_api_key(&self.admin, asked).await
    }

    async fn service(&self, name: &str, scopes: Scopes) -> (IssuedApiKey, Caller) {
        let new = NewIdentity {
            tenant: tenant(),
            kind: IdentityKind::Service,
            name: IdentityName::try_from(name).expect("a valid name"),
            password: None,
            roles: Vec::new(),
            display_name: None,
            attributes: auth_domain::Attributes::default(),
        };
        self.authority.create_identity(&actor(), new).await.expect("a new identity");
        let key = self.key(NewApiKey { identity: named(name), scopes, ..plain() }).await;
        let caller = self.authority.authenticate_caller(&key.shown(), None).await.expect("a service");
        (key, caller)
    }
}

#[tokio::test]
async fn a_key_works_from_its_addresses_only_and_the_verdict_says_so() {
    let world = World::new().await;
    let key = world.key(NewApiKey { addresses: ranges(&["10.0.0.0/8", "2001:db8::/32"]), ..plain() }).await.shown();
    for inside in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"] {
        let good = allowed(world.verify_from(&key, address(inside)).await);
        assert_eq!(good.addresses, ranges(&["10.0.0.0/8", "2001:db8::/32"]), "so that it is judged at every use");
    }
    for outside in [address("192.0.2.1"), address("::1"), None] {
        assert_eq!(denied(world.verify_from(&key, outside).await), (DenyReason::WrongAddress, false), "{outside:?}");
    }
}

#[tokio::test]
async fn a_ticket_keeps_its_parents_addresses() {
    let world = World::new().await;
    let key = world.key(NewApiKey { addresses: ranges(&["10.0.0.0/8"]), ..plain() }).await.shown();
    let ticket = world.ticket(&key, None, None).await;
    let elsewhere = PresentationContext { address: address("192.0.2.1"), ..PresentationContext::default() };
    assert_eq!(denied(world.redeem(&ticket, 1, &elsewhere).await), (DenyReason::WrongAddress, false));
    let inside = PresentationContext { address: address("10.0.0.1"), ..PresentationContext::default() };
    assert_eq!(allowed(world.redeem(&ticket, 1, &inside).await).addresses, ranges(&["10.0.0.0/8"]));
}

#[tokio::test]
async fn a_caller_calls_from_its_addresses_only() {
    let world = World::new().await;
    world.service("backend", Scopes::NONE).await;
    let new = NewApiKey { identity: named("backend"), addresses: ranges(&["10.0.0.0/8"]), ..plain() };
    let key = world.key(new).await.shown();
    assert!(world.authority.authenticate_caller(&key, address("10.0.0.1")).await.is_ok());
    for outside in [address("127.0.0.1"), None] {
        assert!(world.authority.authenticate_caller(&key, outside).await.is_err(), "{outside:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_bound_to_addresses_makes_and_exchanges_none_that_is_good_elsewhere() {
    let world = World::new().await;
    let (free, _) = world.service("backend", Scopes::NONE).await;
    let new = |addresses: &[&str]| NewApiKey { identity: named("backend"), addresses: ranges(addresses), ..plain() };
    let bound = world.key(new(&["10.0.0.0/8", "192.0.2.1"])).await;
    let inside = address("10.0.0.1");
    let key = world.authority.authenticate_caller(&bound.shown(), inside).await.expect("a service");
    let token = world.authority.issue_service_token(&key, None, None).await.expect("a token").shown();
    let token = world.authority.authenticate_caller(&token, inside).await.expect("a service");
    for maker in [&key, &token] {
        for (asked, made) in [(&[][..], &["10.0.0.0/8", "192.0.2.1"][..]), (&["10.1.0.0/16"], &["10.1.0.0/16"])] {
            let issued = world.authority.create_api_key(maker, new(asked)).await.expect("a new key");
            assert_eq!(issued.key.terms.addresses, ranges(made));
        }
        for beyond in [&["0.0.0.0/0"][..], &["10.0.0.0/8", "192.0.2.2"], &["::/0"]] {
            let refused = world.authority.create_api_key(maker, new(beyond)).await;
            assert!(matches!(refused, Err(CreateApiKeyError::AddressesBeyondCaller)), "{beyond:?}: {refused:?}");
        }
        let asked = RotateApiKey { tenant: tenant(), id: free.key.id, old_ends_in: SECOND, expires_in: None };
        let refused = world.authority.rotate_api_key(maker, asked).await;
        assert!(matches!(refused, Err(RotateApiKeyError::AddressesBeyondCaller)), "{refused:?}");
    }
    let own = RotateApiKey { tenant: tenant(), id: bound.key.id, old_ends_in: SECOND, expires_in: None };
    let exchanged = world.authority.rotate_api_key(&key, own).await.expect("its own");
    assert_eq!(exchanged.issued.key.terms.addresses, bound.key.terms.addresses);
}

#[tokio::test]
async fn a_keys_own_grants_only_take_away_and_follow_the_roles() {
    let world = World::new().await;
    let own = vec![grant(Action::Subscribe, "room:1"), grant(Action::Call, "*")];
    let key = world.key(NewApiKey { grants: Some(own), ..plain() }).await.shown();
    assert_eq!(world.allowed(&key).await.principal.grants, [grant(Action::Subscribe, "room:1")]);
    let less = Role { tenant: tenant(), name: role("speaker"), grants: vec![grant(Action::Call, "sum")] };
    world.authority.put_role(&actor(), less, None).await.expect("changes");
    assert_eq!(world.allowed(&key).await.principal.grants, [grant(Action::Call, "sum")]);
}

#[tokio::test]
async fn what_limits_a_key_is_bounded() {
    let world = World::new().await;
    let many = |count| (0..count).map(|n| grant(Action::Call, &format!("m{n}"))).collect::<Vec<_>>();
    let long = vec![grant(Action::Call, &"x".repeat(255)); 8];
    for grants in [many(MAX_KEY_GRANTS + 1), long] {
        let new = NewApiKey { grants: Some(grants), ..plain() };
        let refused = world.authority.create_api_key(&world.admin, new).await;
        assert!(matches!(refused, Err(CreateApiKeyError::TooManyGrants)), "{refused:?}");
    }
    world.key(NewApiKey { grants: Some(many(MAX_KEY_GRANTS)), ..plain() }).await;
    let addresses = vec![ranges(&["10.0.0.0/8"])[0]; MAX_KEY_ADDRESSES + 1];
    let refused = world.authority.create_api_key(&world.admin, NewApiKey { addresses, ..plain() }).await;
    assert!(matches!(refused, Err(CreateApiKeyError::TooManyAddresses)), "{refused:?}");
}

#[tokio::test]
async fn an_exchanged_key_works_beside_its_successor_until_its_stated_end() {
    let world = World::new().await;
    let limits = NewApiKey { addresses: ranges(&["10.0.0.0/8"]), expires_in: Some(3_600 * SECOND), ..plain() };
    let old = world.key(limits).await;
    world.clock.advance(600 * SECOND);
    let rotated = world.rotate_key(old.key.id, 60 * SECOND).await.expect("rotates");
    assert_eq!(rotated.issued.key.terms.addresses, old.key.terms.addresses, "the successor has its limits");
    assert_eq!(rotated.issued.key.expires_at, Some(rotated.issued.key.created_at + 3_600 * SECOND), "and its life");
    assert_eq!(rotated.issued.key.terms.replaces, Some(old.key.id));
    assert_eq!(rotated.old.terms.replaced_by, Some(rotated.issued.key.id));
    assert_eq!(rotated.old.expires_at, Some(rotated.issued.key.created_at + 60 * SECOND));

    let from = address("10.0.0.1");
    world.clock.advance(59 * SECOND);
    for secret in [&old.shown(), &rotated.issued.shown()] {
        allowed(world.verify_from(secret, from).await);
    }
    world.clock.advance(SECOND);
    assert_eq!(denied(world.verify_from(&old.shown(), from).await), (DenyReason::Expired, true));
    allowed(world.verify_from(&rotated.issued.shown(), from).await);
}

#[tokio::test]
async fn a_key_exchanged_at_once_is_dead_at_once_by_the_log() {
    let world = World::new().await;
    let old = world.api_key().await;
    let rotated = world.rotate_key(old.key.id, Duration::ZERO).await.expect("rotates");
    assert!(rotated.old.revoked);
    assert_eq!(world.denied(&old.shown()).await, (DenyReason::CredentialRevoked, true));
    world.allowed(&rotated.issued.shown()).await;
    assert_eq!(world.store.head().await.expect("reads").revision(), rotated.committed.revision);
}

#[tokio::test]
async fn the_exchange_of_a_key_in_use_is_an_event_so_that_its_sockets_learn_their_end() {
    let world = World::new().await;
    let old = world.api_key().await;
    let before = world.store.head().await.expect("reads").seq;
    let rotated = world.rotate_key(old.key.id, 60 * SECOND).await.expect("rotates");
    assert_eq!(rotated.committed.revision.seq, before + 1);
    assert_eq!(world.allowed(&old.shown()).await.expires_in, Some(60 * SECOND));
}

#[tokio::test]
async fn a_key_is_exchanged_once_while_its_successor_lives() {
    let world = World::new().await;
    let old = world.api_key().await;
    let first = world.rotate_key(old.key.id, 3_600 * SECOND).await.expect("rotates").issued.key.id;
    let again = world.rotate_key(old.key.id, 3_600 * SECOND).await.expect_err("its successor lives");
    assert!(matches!(again, RotateApiKeyError::Replaced(id) if id == first), "{again:?}");
    world.revoke(auth_domain::RevokeTarget::Credential(first)).await;
    world.rotate_key(old.key.id, 3_600 * SECOND).await.expect("the successor is dead");
}

#[tokio::test]
async fn keys_that_are_dead_hide_no_live_one() {
    let world = World::new().await;
    let live = world.key(plain()).await.key.id;
    let mut expected = vec![live];
    for _ in 0..5 {
        world.clock.advance(SECOND);
        expected.insert(0, world.key(NewApiKey { expires_in: Some(SECOND), ..plain() }).await.key.id);
    }
    world.revoke(auth_domain::RevokeTarget::Credential(expected[1])).await;
    world.clock.advance(SECOND);
    let ids = |keys: &[ApiKey]| keys.iter().map(|key| key.id).collect::<Vec<_>>();
    let only = world.api_keys(true, Page::new(1, "").expect("a page")).await;
    assert_eq!((ids(&only.items), only.next), (vec![live], None));

    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = world.api_keys(false, Page::new(2, &token).expect("a page")).await;
        assert!(page.items.len() <= 2);
        found.extend(ids(&page.items));
        let Some(next) = page.next else { break };
        token = next;
    }
    assert_eq!(found, expected, "newest first, each once");
}

#[tokio::test]
async fn nobody_exchanges_a_key_that_may_do_more() {
    let world = World::new().await;
    let (strong, _) = world.service("strong", [Scope::Issue, Scope::Revoke].into_iter().collect()).await;
    let (_, weak) = world.service("weak", [Scope::Issue].into_iter().collect()).await;
    let asked = |id| RotateApiKey { tenant: tenant(), id, old_ends_in: SECOND, expires_in: None };
    let refused = world.authority.rotate_api_key(&weak, asked(strong.key.id)).await;
    assert!(matches!(refused, Err(RotateApiKeyError::ScopesBeyondCaller)), "{refused:?}");
    let unknown = world.authority.rotate_api_key(&weak, asked(CredentialId::from_bytes([9; 16]))).await;
    assert!(matches!(unknown, Err(RotateApiKeyError::NotFound)), "{unknown:?}");
}

#[tokio::test]
async fn a_key_that_ends_does_not_outlive_itself_by_exchanging_itself() {
    let world = World::new().await;
    world.service("robot", Scopes::NONE).await;
    let scopes = [Scope::Issue].into_iter().collect();
    let new = NewApiKey { identity: named("robot"), scopes, expires_in: Some(100 * SECOND), ..plain() };
    let key = world.key(new).await;
    let robot = world.authority.authenticate_caller(&key.shown(), None).await.expect("a service");
    world.clock.advance(50 * SECOND);
    let asked = RotateApiKey { tenant: tenant(), id: key.key.id, old_ends_in: SECOND, expires_in: Some(900 * SECOND) };
    let rotated = world.authority.rotate_api_key(&robot, asked).await.expect("rotates");
    assert_eq!(rotated.issued.key.expires_at, key.key.expires_at);
}

#[tokio::test]
async fn a_dead_key_is_not_exchanged() {
    let world = World::new().await;
    let key = world.key(NewApiKey { expires_in: Some(SECOND), ..plain() }).await.key.id;
    world.clock.advance(SECOND);
    assert!(matches!(world.rotate_key(key, SECOND).await, Err(RotateApiKeyError::NotGood)));
}

#[tokio::test]
async fn uses_are_written_down_now_and_then_and_not_each_time() {
    let world = World::new().await;
    let key = world.api_key().await;
    let used = async || {
        world.authority.write_down_key_uses().await.expect("writes");
        let found = world.authority.api_key(&tenant(), key.key.id).await.expect("reads").expect("is there");
        found.terms.last_used_at
    };
    assert_eq!(used().await, None);
    world.allowed(&key.shown()).await;
    let first = used().await.expect("it was used");
    world.clock.advance(599 * SECOND);
    world.allowed(&key.shown()).await;
    assert_eq!(used().await, Some(first), "not long ago");
    world.clock.advance(SECOND);
    world.allowed(&key.shown()).await;
    assert_eq!(used().await, Some(first + 600 * SECOND));
}

fn keys_of(name: &str, made_before: Option<Timestamp>) -> RevokeKeys {
    RevokeKeys { tenant: tenant(), which: named(name), made_before, reason: Reason::Compromised, pace: None }
}

#[tokio::test]
async fn all_keys_of_an_identity_end_by_one_event_or_those_from_before_a_time() {
    let world = World::new().await;
    let (_, bystander) = world.log_in().await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(world.key(plain()).await.shown());
        world.clock.advance(SECOND);
    }
    let ticket = world.ticket(&keys[0], None, None).await;
    let (theirs, _) = world.service("robot", Scopes::NONE).await;
    let before = world.store.head().await.expect("reads").seq;
    let time = world.clock.now().saturating_sub(SECOND);
    let ended = world.authority.revoke_keys(&actor(), keys_of("alice", Some(time))).await.expect("an outcome");
    assert_eq!((ended.keys, ended.committed.expect("an entry").revision.seq), (2, before + 1), "one entry");
    for dead in [&keys[0], &keys[1]] {
        assert_eq!(world.denied(dead).await, (DenyReason::CredentialRevoked, true));
    }
    let verdict = world.redeem(&ticket, 1, &PresentationContext::default()).await;
    assert_eq!(denied(verdict).0, DenyReason::CredentialRevoked, "what was issued from it");
    world.allowed(&keys[2]).await;
    let ended = world.authority.revoke_keys(&actor(), keys_of("alice", None)).await.expect("an outcome");
    assert_eq!(ended.keys, 1, "those that were dead are not counted");
    let ended = world.authority.revoke_keys(&actor(), keys_of("alice", None)).await.expect("an outcome");
    assert_eq!((ended.keys, ended.committed), (0, None));
    world.allowed(&bystander.access).await;
    world.allowed(&theirs.shown()).await;
    let nobody = world.authority.revoke_keys(&actor(), keys_of("nobody", None)).await;
    assert!(matches!(nobody, Err(RevokeKeysError::NotFound)));
}

#[tokio::test]
async fn the_last_administrators_keys_do_not_end_together() {
    let world = World::new().await;
    let system = TenantId::system();
    let which = IdentityRef::Id(world.admin.identity);
    let request = |made_before| RevokeKeys {
        tenant: system.clone(),
        which: which.clone(),
        made_before,
        reason: Reason::Compromised,
        pace: None,
    };
    let all = world.authority.revoke_keys(&actor(), request(None)).await;
    assert!(matches!(all, Err(RevokeKeysError::LastAdministrator)), "{all:?}");
    world.clock.advance(SECOND);
    let another = NewApiKey {
        tenant: system.clone(),
        identity: which.clone(),
        scopes: [Scope::Admin].into_iter().collect(),
        ..plain()
    };
    world.key(another).await;
    let old = request(Some(world.clock.now()));
    assert_eq!(world.authority.revoke_keys(&actor(), old).await.expect("the other administers").keys, 1);
}

//! Client credentials: short-lived tokens for an API key.

use std::net::IpAddr;
use std::time::Duration;

use auth_domain::{
    Actor, ApiKey, Brought, Caller, CallerError, DenyReason, IdentityKind, IssuedApiKey, KeyState, LoginOutcome,
    NewApiKey, NewIdentity, PresentationContext, Presented, Proof, Reason, Reset, RevokeTarget, Scope, Scopes,
    ServiceToken, ServiceTokenError,
};
use portcullis_types::{AddressRange, IdentityName, Secret};

use super::world::Shown as _;
use super::world::{SECOND, World, actor, audience, denied, named, tenant};

fn set(scopes: &[Scope]) -> Scopes {
    scopes.iter().copied().collect()
}

impl World {
    /// A key of the service `backend` that may issue and revoke.
    pub(crate) async fn backend_key(&self, expires_in: Option<Duration>, addresses: &[&str]) -> IssuedApiKey {
        let name = IdentityName::try_from("backend").expect("a valid name");
        let service = NewIdentity::plain(tenant(), IdentityKind::Service, name);
        let _there_already = self.authority.create_identity(&actor(), service).await;
        let new = NewApiKey {
            tenant: tenant(),
            identity: named("backend"),
            label: None,
            scopes: set(&[Scope::Issue, Scope::Revoke]),
            expires_in,
            grants: None,
            addresses: addresses.iter().map(|range| AddressRange::try_from(*range).expect("a range")).collect(),
        };
        self.authority.create_api_key(&self.admin, new).await.expect("a new key")
    }

    async fn caller(&self, bearer: &Secret) -> Result<Caller, CallerError> {
        self.authority.authenticate_caller(bearer, None).await
    }

    pub(crate) async fn service_token(&self, key: &Secret, scopes: Option<Scopes>) -> ServiceToken {
        let caller = self.caller(key).await.expect("a good key");
        self.authority.issue_service_token(&caller, scopes, None).await.expect("a token")
    }

    pub(crate) async fn is_refused(&self, bearer: &Secret) -> bool {
        matches!(self.caller(bearer).await, Err(CallerError::Unauthenticated))
    }
}

#[tokio::test]
async fn a_service_token_calls_in_its_keys_place_with_no_more_than_it_asked_for() {
    let world = World::new().await;
    let key = world.backend_key(None, &[]).await;
    let all = world.service_token(&key.shown(), None).await;
    assert_eq!((all.scopes, all.expires_in), (key.key.scopes, 600 * SECOND));
    let some = world.service_token(&key.shown(), Some(set(&[Scope::Revoke]))).await;
    let caller = world.caller(&some.shown()).await.expect("it is good");
    assert_eq!((caller.tenant, caller.identity, caller.credential), (tenant(), key.key.identity, some.id));
    assert_eq!(caller.scopes, set(&[Scope::Revoke]));
    let by_key = world.caller(&key.shown()).await.expect("a good key");
    let more = world.authority.issue_service_token(&by_key, Some(set(&[Scope::Admin])), None).await;
    assert!(matches!(more, Err(ServiceTokenError::ScopesBeyondKey)), "{more:?}");
    let longer = world.authority.issue_service_token(&by_key, None, Some(601 * SECOND)).await;
    assert!(matches!(longer, Err(ServiceTokenError::TooLong)), "{longer:?}");
}

#[tokio::test]
async fn a_service_token_ends_with_its_time_and_with_its_keys() {
    let world = World::new().await;
    let token = world.service_token(&world.backend_key(None, &[]).await.shown(), None).await.shown();
    world.clock.advance(599 * SECOND);
    assert!(world.caller(&token).await.is_ok());
    world.clock.advance(SECOND);
    assert!(world.is_refused(&token).await);
    let short = world.service_token(&world.backend_key(Some(60 * SECOND), &[]).await.shown(), None).await;
    assert_eq!(short.expires_in, 60 * SECOND);
}

#[tokio::test]
async fn a_service_token_dies_with_everything_it_rests_on() {
    for what in ["itself", "its key", "what signed it", "its identity"] {
        let world = World::new().await;
        let key = world.backend_key(None, &[]).await;
        let issued = world.service_token(&key.shown(), None).await;
        let caller = world.caller(&issued.shown()).await.expect("it is good");
        match what {
            "itself" => drop(world.revoke(RevokeTarget::Credential(issued.id)).await),
            "its key" => drop(world.revoke(RevokeTarget::Credential(key.key.id)).await),
            "its identity" => drop(world.revoke(RevokeTarget::Identity(named("backend"))).await),
            _ => {
                let keys = world.authority.signing_keys().await.expect("reads");
                let signing = keys.iter().find(|key| key.key.state == KeyState::Signing).expect("one signs").key.id;
                let revoked = world.authority.revoke_signing_key(&actor(), signing, Reason::Compromised, None).await;
                revoked.expect("revokes");
            }
        }
        assert!(world.is_refused(&issued.shown()).await, "{what}");
        let again = world.authority.issue_service_token(&caller, None, None).await;
        assert!(again.is_err(), "and so does what began with it: {what}");
        assert_eq!(world.caller(&key.shown()).await.is_ok(), what != "its key", "{what}");
    }
}

#[tokio::test]
async fn a_service_token_works_where_its_key_does() {
    let world = World::new().await;
    let key = world.backend_key(None, &["10.0.0.0/8"]).await;
    let inside: Option<IpAddr> = Some("10.0.0.1".parse().expect("an address"));
    let caller = world.authority.authenticate_caller(&key.shown(), inside).await.expect("a good key");
    let token = world.authority.issue_service_token(&caller, None, None).await.expect("a token").shown();
    assert!(world.authority.authenticate_caller(&token, inside).await.is_ok());
    assert!(world.is_refused(&token).await, "from nowhere that is known");
}

#[tokio::test]
async fn a_service_token_opens_no_socket_and_brings_forth_no_token_and_no_lasting_key() {
    let world = World::new().await;
    let token = world.service_token(&world.backend_key(None, &[]).await.shown(), None).await;
    for audience in [None, Some(audience("https://portcullis.test"))] {
        let context = PresentationContext { audience, ..PresentationContext::default() };
        let verdict = world.authority.verify(Presented::Bearer(&token.shown()), &context).await.expect("a verdict");
        assert_eq!(denied(verdict), (DenyReason::WrongKind, true));
    }
    let caller = world.caller(&token.shown()).await.expect("it is good");
    let another = world.authority.issue_service_token(&caller, None, None).await;
    assert!(matches!(another, Err(ServiceTokenError::NotByKey)), "{another:?}");
    let new = NewApiKey {
        tenant: tenant(),
        identity: named("backend"),
        label: None,
        scopes: Scopes::NONE,
        expires_in: None,
        grants: None,
        addresses: Vec::new(),
    };
    let ApiKey { expires_at, created_at, .. } =
        world.authority.create_api_key(&caller, new).await.expect("it may issue").key;
    assert!(expires_at.is_some_and(|end| end <= created_at + 600 * SECOND), "{expires_at:?}");
}

#[tokio::test]
async fn a_persons_access_token_calls_nothing() {
    let world = World::new().await;
    let (_, tokens) = world.log_in().await;
    assert!(world.is_refused(&tokens.access).await);
}

#[tokio::test]
async fn a_login_that_a_service_began_goes_on_with_its_next_token_and_for_nobody_else() {
    let world = World::new().await;
    let key = world.backend_key(None, &[]).await.shown();
    let backend = async || {
        let token = world.service_token(&key, None).await.shown();
        Actor::caller(&world.caller(&token).await.expect("it is good"))
    };
    let reset = Reset::Temporary(Secret::from("temporary horse"));
    world.authority.reset_password(&actor(), &tenant(), &named("alice"), reset).await.expect("resets");
    let outcome = world.authority.log_in(&backend().await, world.attempt("alice", "temporary horse")).await;
    let LoginOutcome::Challenged(asked) = outcome.expect("an outcome") else { panic!("a new password is asked for") };
    let go_on = async |actor: &Actor| {
        let proof = Proof::NewPassword(Secret::from("another horse"));
        world.authority.continue_login(actor, &asked.continuation, proof, Brought::default()).await.expect("an outcome")
    };
    for other in [actor(), Actor::caller(&world.admin)] {
        assert!(matches!(go_on(&other).await, LoginOutcome::Denied(_)), "{other:?}");
    }
    assert!(matches!(go_on(&backend().await).await, LoginOutcome::Granted(_)));
}

//! Calls that wait: for a hash, for other writers.

use std::sync::Arc;

use auth_domain::{
    Actor, BeginError, Caller, ChangeIdentityError, CreateApiKeyError, CreateIdentityError, CreateTenantError,
    CreateTicketError, IdentityKind, IssueError, IssueTokens, LoginError, NewApiKey, NewIdentity, NewTicket,
    PresentationContext, Presented, PutRoleError, Reason, RevokeError, RevokeRequest, RevokeTarget, Role, Scopes,
    SetPasswordError, TicketAsker, UpdateIdentityError, VerifyError,
};
use portcullis_types::{IdentityName, RedemptionId, Secret, TenantId};

use super::world::Shown as _;
use super::world::{PASSWORD, World, actor, allowed, named, role, tenant};

fn robot() -> NewIdentity {
    NewIdentity::plain(tenant(), IdentityKind::Service, IdentityName::try_from("robot").expect("valid"))
}

/// A service with every scope, as it was let in.
pub(crate) async fn let_in(world: &World) -> Caller {
    world.authority.create_identity(&actor(), robot()).await.expect("a new identity");
    let (scopes, identity) = (Scopes::all(), named("robot"));
    let new = NewApiKey {
        tenant: tenant(),
        identity,
        label: None,
        scopes,
        expires_in: None,
        grants: None,
        addresses: Vec::new(),
    };
    let key = world.authority.create_api_key(&world.admin, new).await.expect("a new key");
    world.authority.authenticate_caller(&key.shown(), None).await.expect("it is good")
}

macro_rules! refused {
    ($call:expr, $error:ident) => {
        let answer = $call.await;
        assert!(matches!(answer, Err($error::Begin(BeginError::CallerRefused))), "{answer:?}");
    };
}

async fn everything_is_refused(world: &World, caller: &Caller) {
    let (authority, by, alice) = (&world.authority, &Actor::caller(caller), &named("alice"));
    refused!(authority.create_tenant(by, TenantId::try_from("new").expect("valid"), None, None), CreateTenantError);
    let bob = NewIdentity { name: IdentityName::try_from("bob").expect("valid"), ..robot() };
    refused!(authority.create_identity(by, bob), CreateIdentityError);
    refused!(authority.disable_identity(by, &tenant(), alice), ChangeIdentityError);
    refused!(authority.enable_identity(by, &tenant(), alice), ChangeIdentityError);
    refused!(authority.set_password(by, &tenant(), alice, Secret::from(PASSWORD)), SetPasswordError);
    refused!(authority.set_identity_roles(by, &tenant(), alice, Vec::new()), UpdateIdentityError);
    let speaker = Role { tenant: tenant(), name: role("speaker"), grants: Vec::new() };
    refused!(authority.put_role(by, speaker, None), PutRoleError);
    let session = IssueTokens { tenant: tenant(), identity: alice.clone(), device: None, client: None };
    refused!(authority.issue_tokens(by, session), IssueError);
    refused!(authority.log_in(by, world.attempt("alice", PASSWORD)), LoginError);
    let (identity, scopes) = (alice.clone(), Scopes::NONE);
    let key = NewApiKey {
        tenant: tenant(),
        identity,
        label: None,
        scopes,
        expires_in: None,
        grants: None,
        addresses: Vec::new(),
    };
    refused!(authority.create_api_key(caller, key), CreateApiKeyError);
    let target = RevokeTarget::Identity(alice.clone());
    let revocation =
        RevokeRequest { tenant: tenant(), target, reason: Reason::Administrative, pace: None, request_id: None };
    refused!(authority.revoke(by, revocation), RevokeError);
}

#[tokio::test]
async fn a_call_that_waits_does_not_survive_its_key() {
    let world = World::new().await;
    let (caller, tokens) = (let_in(&world).await, world.log_in().await.1);
    world.revoke(RevokeTarget::Credential(caller.credential)).await;
    let before = world.store.head().await.expect("reads");
    everything_is_refused(&world, &caller).await;
    let ticket = NewTicket {
        parent: tokens.access.clone(),
        audience: None,
        origin: None,
        within: None,
        by: TicketAsker::Service,
    };
    refused!(world.authority.create_ticket(&Actor::caller(&caller), ticket), CreateTicketError);
    let answer = world.authority.refresh_tokens(&Actor::caller(&caller), &tokens.refresh).await;
    assert!(matches!(answer, Err(BeginError::CallerRefused)), "{answer:?}");
    let (ticket, redemption) = (world.ticket(&tokens.access, None, None).await, RedemptionId::from_bytes([1; 16]));
    let context = PresentationContext { asker: Some(Actor::caller(&caller)), ..PresentationContext::default() };
    let answer = world.authority.verify(Presented::Ticket { ticket: &ticket, redemption }, &context).await;
    assert!(matches!(answer, Err(VerifyError::Begin(BeginError::CallerRefused))), "{answer:?}");
    assert_eq!(world.store.head().await.expect("reads"), before, "nothing was done");
    allowed(world.redeem(&ticket, 2, &PresentationContext::default()).await);
    world.allowed(&tokens.access).await;
}

#[tokio::test]
async fn a_call_that_waits_does_not_survive_its_service() {
    let world = World::new().await;
    let caller = let_in(&world).await;
    world.authority.disable_identity(&actor(), &tenant(), &named("robot")).await.expect("disables");
    everything_is_refused(&world, &caller).await;
}

#[tokio::test]
async fn a_login_that_waits_for_the_hash_does_not_survive_the_key_that_asked_for_it() {
    let world = World::new().await;
    let caller = let_in(&world).await;
    let (began, go_on) = world.hasher.hold_next();
    let (authority, attempt) = (Arc::clone(&world.authority), world.attempt("alice", PASSWORD));
    let by = Actor::caller(&caller);
    let login = tokio::spawn(async move { authority.log_in(&by, attempt).await });
    began.await.expect("the check begins");
    world.revoke(RevokeTarget::Credential(caller.credential)).await;
    go_on.send(()).expect("the login waits");
    let answer = login.await.expect("no panic");
    assert!(matches!(answer, Err(LoginError::Begin(BeginError::CallerRefused))), "{answer:?}");
}

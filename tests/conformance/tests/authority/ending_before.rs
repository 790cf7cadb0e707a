//! Everything from before a time, in a tenant or of one client application.

use auth_domain::{
    CredentialState, DenyReason, EndBefore, EndBeforeError, IssueOutcome, IssueTokens, NewSession, Page, Reason,
    RefreshOutcome, SessionCredentials, SessionFilter, SessionState,
};
use portcullis_proto::auth::v1;
use portcullis_types::{ClientId, Clock as _, Secret, Timestamp};
use prost::Message as _;
use serde_json::json;

use super::signature_keys::Client;
use super::world::Shown as _;
use super::world::{SECOND, World, actor, named, tenant};

fn app(name: &str) -> ClientId {
    ClientId::try_from(name).expect("a valid id")
}

impl World {
    async fn opened_by(&self, client: &str) -> (NewSession, Secret) {
        let request =
            IssueTokens { tenant: tenant(), identity: named("alice"), device: None, client: Some(app(client)) };
        match self.authority.issue_tokens(&actor(), request).await.expect("issues") {
            IssueOutcome::Opened(opened) => {
                let SessionCredentials::Tokens(tokens) = &opened.credentials else { panic!("tokens were asked for") };
                let access = tokens.access.clone();
                (*opened, access)
            }
            IssueOutcome::Before(_) => panic!("it has no name"),
        }
    }

    async fn end_before(&self, client: Option<&str>, before: Timestamp) -> v1::Revocation {
        let request = EndBefore { tenant: tenant(), client: client.map(app), before, reason: Reason::Compromised };
        let revision = self.authority.end_before(&actor(), request).await.expect("ends").revision;
        let entry = self.store.log_after(revision.seq - 1, 1).await.expect("reads").remove(0);
        let batch = v1::RevocationBatch::decode(&*entry.payload).expect("a batch");
        let [fact] = <[v1::Revocation; 1]>::try_from(batch.revocations).expect("one fact");
        fact
    }
}

#[tokio::test]
async fn what_began_in_a_tenant_before_a_time_is_dead_and_what_began_later_goes_on() {
    let world = World::new().await;
    let (old, old_token) = world.opened_by("web").await;
    let old_key = world.backend_key(None, &[]).await;
    let old_service = world.service_token(&old_key.shown(), None).await;
    world.clock.advance(10 * SECOND);
    let at = world.clock.now();
    let (new, new_token) = world.opened_by("web").await;
    let reference = world.allowed(&old_token).await.reference;
    let fact = world.end_before(None, at).await;
    assert_eq!((fact.effect(), fact.keys[0].kind()), (v1::Effect::Reauthorize, v1::KeyKind::Tenant));

    assert_eq!(world.denied(&old_token).await, (DenyReason::TenantRevoked, true));
    let verdict = world.authority.batch_verify(&[reference]).await.expect("answers").remove(0);
    assert_eq!(super::world::denied(verdict), (DenyReason::TenantRevoked, true), "sockets are judged so");
    world.allowed(&new_token).await;
    world.service_token(&old_key.shown(), None).await;
    assert!(world.is_refused(&old_service.shown()).await, "a token of a service is from before");
    let states = world.authority.sessions(&tenant(), &named("alice"), SessionFilter::default(), Page::default()).await;
    let states: Vec<_> = states.expect("reads").items.into_iter().map(|item| (item.session.id, item.state)).collect();
    assert_eq!(states, [(new.session.id, SessionState::Active), (old.session.id, SessionState::Revoked)]);
    let session = world.authority.session(&tenant(), old.session.id).await.expect("reads").expect("it is kept");
    assert_eq!(session.state, SessionState::Revoked);
    let SessionCredentials::Tokens(tokens) = &old.credentials else { panic!("tokens were asked for") };
    let refreshed = world.authority.refresh_tokens(&actor(), &tokens.refresh).await.expect("answers");
    assert!(matches!(refreshed, RefreshOutcome::Denied(DenyReason::TenantRevoked)), "{refreshed:?}");
}

#[tokio::test]
async fn the_time_moves_only_forward_and_never_beyond_now() {
    let world = World::new().await;
    let began = world.clock.now();
    let (_, first) = world.opened_by("web").await;
    world.clock.advance(10 * SECOND);
    let (_, second) = world.opened_by("web").await;
    world.clock.advance(SECOND);
    world.end_before(None, began).await;
    world.allowed(&first).await;
    world.end_before(None, world.clock.now() + 3_600 * SECOND).await;
    let (_, third) = world.opened_by("web").await;
    world.end_before(None, began).await;
    for dead in [&first, &second] {
        assert_eq!(world.denied(dead).await, (DenyReason::TenantRevoked, true));
    }
    world.allowed(&third).await;
    world.log_in().await;
}

#[tokio::test]
async fn what_is_a_client_applications_from_before_a_time_is_dead_and_nothing_elses() {
    let world = World::new().await;
    let (old, others) = (world.opened_by("web").await.1, world.opened_by("other").await.1);
    world.clock.advance(SECOND);
    let at = world.clock.now();
    let new = world.opened_by("web").await.1;
    let fact = world.end_before(Some("web"), at).await;
    assert_eq!((fact.effect(), fact.keys[0].kind()), (v1::Effect::Reauthorize, v1::KeyKind::Client));
    assert_eq!(world.denied(&old).await, (DenyReason::CredentialRevoked, true));
    world.allowed(&others).await;
    world.allowed(&new).await;
    let nobodys = EndBefore { tenant: tenant(), client: Some(app("nobodys")), before: at, reason: Reason::Logout };
    let nobodys = world.authority.end_before(&actor(), nobodys).await;
    assert!(matches!(nobodys, Err(EndBeforeError::NotFound)), "{nobodys:?}");
}

#[tokio::test]
async fn signature_keys_that_identities_have_for_themselves_end_with_what_began_before() {
    let world = World::new().await;
    let old = world.register_key(&Client::ed25519(1), None).await;
    world.clock.advance(SECOND);
    let at = world.clock.now();
    let young = world.register_key(&Client::ed25519(2), None).await;
    let tokens = world.log_in().await.1;
    world.end_before(None, at).await;
    assert_eq!(world.carried(&tokens.access).await, [young.id]);
    assert_eq!(world.state(old.id).await, CredentialState::Revoked);
    assert_eq!(world.state(young.id).await, CredentialState::Active);
}

#[tokio::test]
async fn a_token_of_an_external_issuer_from_before_a_time_is_dead_whether_it_was_seen_or_not() {
    let (world, _) = World::trusting().await;
    let minute = 60 * SECOND;
    let (seen, unseen) = (world.token(json!({})), world.token(json!({"jti": "never presented"})));
    world.allowed(&seen).await;
    world.pass(SECOND);
    world.end_before(None, world.clock.now()).await;
    for token in [&seen, &unseen] {
        assert_eq!(world.denied(token).await, (DenyReason::TenantRevoked, true));
    }
    world.pass(minute + SECOND);
    let same_session = world.token(json!({}));
    assert_eq!(world.denied(&same_session).await.0, DenyReason::TenantRevoked, "its `sid` began before");
    world.allowed(&world.token(json!({"sid": "another"}))).await;
}

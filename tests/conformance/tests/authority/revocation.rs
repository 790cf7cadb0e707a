//! Revoking.

use auth_domain::{
    Actor, DenyReason, IdentityRef, Pace, Page, Reason, RequestId, RevokeError, RevokeRequest, RevokeTarget,
    SessionFilter, SessionState,
};
use portcullis_types::{CredentialId, IdentityId, Secret, SessionId, TenantId};

use super::world::{World, actor, named, tenant};

fn request(target: RevokeTarget, id: Option<&str>) -> RevokeRequest {
    let request_id = id.map(|id| RequestId::try_from(id).expect("a valid id"));
    RevokeRequest { tenant: tenant(), target, reason: Reason::Administrative, pace: None, request_id }
}

#[tokio::test]
async fn revoking_a_session_ends_it_and_no_other() {
    let world = World::new().await;
    let ((opened, dead), (_, alive)) = (world.log_in().await, world.log_in().await);
    world.revoke(RevokeTarget::Session(opened.session.id)).await;
    assert_eq!(world.denied(&dead.access).await, (DenyReason::SessionRevoked, true));
    world.allowed(&alive.access).await;
    let listed = world
        .authority
        .sessions(&tenant(), &named("alice"), SessionFilter::default(), Page::default())
        .await
        .expect("reads")
        .items;
    let state = |id| listed.iter().find(|item| item.session.id == id).expect("listed").state;
    assert_eq!(state(opened.session.id), SessionState::Revoked);
    assert_eq!(listed.iter().filter(|item| item.state == SessionState::Active).count(), 1);
}

#[tokio::test]
async fn revoking_an_access_token_leaves_its_session() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    world.revoke(RevokeTarget::Presented(tokens.access.clone())).await;
    assert_eq!(world.denied(&tokens.access).await, (DenyReason::CredentialRevoked, true));
    let next = world.authority.refresh_tokens(&actor(), &tokens.refresh).await.expect("an outcome");
    assert!(matches!(next, auth_domain::RefreshOutcome::Granted(_)));
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_its_session() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    world.revoke(RevokeTarget::Presented(tokens.refresh.clone())).await;
    assert_eq!(world.denied(&tokens.access).await, (DenyReason::SessionRevoked, true));
}

#[tokio::test]
async fn an_expired_token_can_still_be_named_by_presenting_it() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    world.clock.advance(std::time::Duration::from_secs(3_600));
    world.revoke(RevokeTarget::Presented(tokens.access)).await;
}

#[tokio::test]
async fn what_is_dead_is_answered_with_the_entry_that_killed_it() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    let first = world.revoke(RevokeTarget::Session(opened.session.id)).await;
    world.clock.advance(super::world::SECOND);
    assert_eq!(world.revoke(RevokeTarget::Session(opened.session.id)).await, first);
    assert_eq!(world.revoke(RevokeTarget::Presented(tokens.refresh)).await, first);
    let identity = RevokeTarget::Identity(named("alice"));
    let (again, more) = (world.revoke(identity.clone()).await, world.revoke(identity).await);
    assert_eq!((again.revision.seq, more.revision.seq), (first.revision.seq + 1, first.revision.seq + 2));
}

#[tokio::test]
async fn a_named_request_is_answered_once_and_refused_with_other_content() {
    let world = World::new().await;
    let identity = || RevokeTarget::Identity(named("alice"));
    let revoke = async |actor: &Actor, request| world.authority.revoke(actor, request).await;
    let first = revoke(&actor(), request(identity(), Some("r1"))).await.expect("revokes");
    let later = world.log_in().await.1;
    assert_eq!(revoke(&actor(), request(identity(), Some("r1"))).await.expect("answers"), first);
    world.allowed(&later.access).await;

    let session = later_session(&world).await;
    let other = revoke(&actor(), request(RevokeTarget::Session(session), Some("r1"))).await;
    assert!(matches!(other, Err(RevokeError::RequestIdReused)), "{other:?}");
    let paced = RevokeRequest { pace: Some(Pace::try_from(5).expect("a pace")), ..request(identity(), Some("r1")) };
    let other = revoke(&actor(), paced).await;
    assert!(matches!(other, Err(RevokeError::RequestIdReused)), "another pace is other content: {other:?}");
    world.allowed(&later.access).await;
    let another_caller = revoke(&Actor::caller(&world.admin), request(identity(), Some("r1"))).await;
    assert_eq!(another_caller.expect("its own name").revision.seq, first.revision.seq + 1);
}

#[tokio::test]
async fn a_request_that_found_its_target_dead_keeps_its_name() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    let first = world.revoke(RevokeTarget::Session(opened.session.id)).await;
    let named_request = request(RevokeTarget::Session(opened.session.id), Some("r1"));
    for _ in 0..2 {
        let answer = world.authority.revoke(&actor(), named_request.clone()).await;
        assert_eq!(answer.expect("answers"), first);
    }
    let other = request(RevokeTarget::Presented(tokens.access), Some("r1"));
    let other = world.authority.revoke(&actor(), other).await;
    assert!(matches!(other, Err(RevokeError::RequestIdReused)), "{other:?}");
}

async fn later_session(world: &World) -> SessionId {
    let listed = world
        .authority
        .sessions(&tenant(), &named("alice"), SessionFilter::default(), Page::default())
        .await
        .expect("reads");
    listed.items[0].session.id
}

#[tokio::test]
async fn what_is_not_there_is_not_revoked() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    let before = world.store.head().await.expect("reads");
    for target in [
        RevokeTarget::Credential(CredentialId::from_bytes([1; 16])),
        RevokeTarget::Session(SessionId::from_bytes([1; 16])),
        RevokeTarget::Identity(IdentityRef::Id(IdentityId::from_bytes([1; 16]))),
        RevokeTarget::Identity(named("nobody")),
    ] {
        let answer = world.authority.revoke(&actor(), request(target.clone(), None)).await;
        assert!(matches!(answer, Err(RevokeError::NotFound)), "{target:?}");
    }
    for target in [RevokeTarget::Session(opened.session.id), RevokeTarget::Presented(tokens.access)] {
        let elsewhere = RevokeRequest { tenant: TenantId::system(), ..request(target.clone(), None) };
        let answer = world.authority.revoke(&actor(), elsewhere).await;
        assert!(matches!(answer, Err(RevokeError::NotFound)), "{target:?} in another tenant");
    }
    assert_eq!(world.store.head().await.expect("reads"), before);
}

#[tokio::test]
async fn a_text_that_is_not_ours_names_nothing() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let mut forged = tokens.access.expose_str().expect("text").to_owned();
    forged.truncate(forged.len() - 8);
    forged.push_str("AAAAAAAA");
    for text in [Secret::from("hello"), Secret::from(forged), Secret::new([0xff])] {
        let answer = world.authority.revoke(&actor(), request(RevokeTarget::Presented(text), None)).await;
        assert!(matches!(answer, Err(RevokeError::Unverifiable)), "{answer:?}");
    }
    world.allowed(&tokens.access).await;
}

//! Revocations that share an entry.

use auth_domain::{
    Actor, Asking, AuditFilter, BeginError, Committed, DenyReason, Group, MAX_GROUP, NewSession, Reason, RequestId,
    RevokeError, RevokeRequest, RevokeTarget, StoreError, TokenPair,
};
use portcullis_types::{ClientId, SessionId};

use super::issuers::corp;
use super::waiting::let_in;
use super::world::{World, actor, named, tenant};

fn asking(actor: &Actor, target: RevokeTarget, name: Option<&str>) -> Asking {
    let request_id = name.map(|name| RequestId::try_from(name).expect("a valid id"));
    let request = RevokeRequest { tenant: tenant(), target, reason: Reason::Compromised, pace: None, request_id };
    Asking { actor: actor.clone(), request }
}

fn group(asked: impl IntoIterator<Item = Asking>) -> Group {
    let mut group = Group::default();
    for asking in asked {
        assert!(group.add(asking).is_ok(), "they can be told apart");
    }
    group
}

fn session(of: &(NewSession, TokenPair)) -> RevokeTarget {
    RevokeTarget::Session(of.0.session.id)
}

async fn head(world: &World) -> u64 {
    world.store.head().await.expect("reads").seq
}

/// The answers, where all are good.
async fn together(world: &World, asked: impl IntoIterator<Item = Asking>) -> Vec<Committed> {
    let answers = world.authority.revoke_together(&group(asked)).await.expect("nothing fails");
    answers.into_iter().map(|answer| answer.expect("it is revoked")).collect()
}

async fn audited(world: &World) -> Vec<String> {
    let page = auth_domain::Page::default();
    let records = world.authority.audit_entries(&tenant(), &AuditFilter::default(), page).await.expect("reads").items;
    let revoked = records.into_iter().filter(|record| record.action.ends_with(".revoke"));
    revoked.map(|record| format!("{} {}", record.action, record.target)).collect()
}

#[tokio::test]
async fn what_is_asked_together_dies_by_one_entry() {
    let world = World::new().await;
    let (one, two, alive) = (world.log_in().await, world.log_in().await, world.log_in().await);
    let key = world.api_key().await;
    let before = head(&world).await;
    let targets = [session(&one), session(&two), RevokeTarget::Credential(key.key.id)];
    let answers = together(&world, targets.map(|target| asking(&actor(), target, None))).await;
    assert_eq!(head(&world).await, before + 1);
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.revision.seq == before + 1), "{answers:?}");
    for (token, reason) in [
        (&one.1.access, DenyReason::SessionRevoked),
        (&two.1.access, DenyReason::SessionRevoked),
        (key.secret.as_ref().expect("it is shown once"), DenyReason::CredentialRevoked),
    ] {
        assert_eq!(world.denied(token).await, (reason, true));
    }
    world.allowed(&alive.1.access).await;
    let mut expected = [&one, &two].map(|of| format!("session.revoke session:{}", of.0.session.id)).to_vec();
    expected.push(format!("credential.revoke credential:{}", key.key.id));
    let (mut expected, mut audited) = (expected, audited(&world).await);
    expected.sort();
    audited.sort();
    assert_eq!(audited, expected, "each has a row of its own");
}

#[tokio::test]
async fn one_that_is_refused_or_was_done_before_keeps_no_other() {
    let world = World::new().await;
    let (dead, alive) = (world.log_in().await, world.log_in().await);
    let killed_by = world.revoke(session(&dead)).await;
    let nobody = RevokeTarget::Session(SessionId::from_bytes([9; 16]));
    let asked = [
        asking(&actor(), nobody, None),
        asking(&actor(), session(&dead), None),
        asking(&actor(), session(&alive), None),
    ];
    let answers = world.authority.revoke_together(&group(asked)).await.expect("nothing fails");
    assert!(matches!(answers[0], Err(RevokeError::NotFound)), "{answers:?}");
    assert_eq!(*answers[1].as_ref().expect("it is dead"), killed_by);
    assert_eq!(answers[2].as_ref().expect("it is revoked").revision.seq, killed_by.revision.seq + 1);
    world.denied(&alive.1.access).await;
}

#[tokio::test]
async fn a_caller_that_is_refused_keeps_no_other() {
    let world = World::new().await;
    let (one, two) = (world.log_in().await, world.log_in().await);
    let caller = let_in(&world).await;
    world.revoke(RevokeTarget::Credential(caller.credential)).await;
    let asked = [asking(&Actor::caller(&caller), session(&one), None), asking(&actor(), session(&two), None)];
    let answers = world.authority.revoke_together(&group(asked)).await.expect("nothing fails");
    assert!(matches!(answers[0], Err(RevokeError::Begin(BeginError::CallerRefused))), "{answers:?}");
    world.allowed(&one.1.access).await;
    world.denied(&two.1.access).await;
}

/// Somebody ended it while its logout waited.
#[tokio::test]
async fn a_session_that_is_over_ends_no_other_by_logging_out_and_is_told_when_itself_ended() {
    let world = World::new().await;
    let (one, two) = (world.log_in().await, world.log_in().await);
    let by = world.allowed(&one.1.access).await.principal.acting();
    let killed_by = world.revoke(session(&one)).await;
    let alice = RevokeTarget::Identity(named("alice"));
    let asked = [asking(&by, session(&one), None), asking(&by, session(&two), None), asking(&by, alice, None)];
    let answers = world.authority.revoke_together(&group(asked)).await.expect("nothing fails");
    assert_eq!(*answers[0].as_ref().expect("it is over"), killed_by);
    for refused in &answers[1..] {
        let Err(RevokeError::Begin(BeginError::HolderRefused(why))) = refused else { panic!("{refused:?}") };
        assert_eq!(*why, DenyReason::SessionRevoked);
    }
    world.allowed(&two.1.access).await;
}

#[tokio::test]
async fn each_name_is_answered_with_the_entry_they_share() {
    let world = World::new().await;
    let (one, two) = (world.log_in().await, world.log_in().await);
    let asked = || [asking(&actor(), session(&one), Some("r1")), asking(&actor(), session(&two), Some("r2"))];
    let answers = together(&world, asked()).await;
    world.clock.advance(super::world::SECOND);
    let again = together(&world, asked()).await;
    assert_eq!(again, answers);
    let [_, Asking { actor, request }] = asked();
    assert_eq!(world.authority.revoke(&actor, request).await.expect("alone too"), answers[1]);
    let other = asking(&actor, RevokeTarget::Identity(named("alice")), Some("r1"));
    let refused = world.authority.revoke(&other.actor, other.request).await;
    assert!(matches!(refused, Err(RevokeError::RequestIdReused)), "{refused:?}");
}

/// What the transaction fails at is not known, so nothing is done, and each can be done alone.
#[tokio::test]
async fn where_the_transaction_fails_at_one_nothing_is_done() {
    let world = World::new().await;
    let (one, cursed, two) = (world.log_in().await, world.log_in().await, world.log_in().await);
    world.data.damage(cursed.0.session.id).await;
    let before = head(&world).await;
    let asked = || [&one, &cursed, &two].map(|of| asking(&actor(), session(of), None));
    let failed = world.authority.revoke_together(&group(asked())).await;
    assert!(matches!(failed, Err(StoreError::Corrupt { .. })), "{failed:?}");
    assert_eq!(head(&world).await, before);
    world.allowed(&one.1.access).await;
    let mut outcomes = Vec::new();
    for Asking { actor, request } in asked() {
        outcomes.push(world.authority.revoke(&actor, request).await.is_ok());
    }
    assert_eq!((outcomes.as_slice(), head(&world).await), (&[true, false, true][..], before + 2));
}

#[tokio::test]
async fn the_largest_group_is_one_entry() {
    // Where others sign for the tenant, a client application need not have been seen.
    let (world, _) = World::trusting().await;
    let before = head(&world).await;
    let client = |n| RevokeTarget::Client(ClientId::try_from(format!("client-{n}").as_str()).expect("a valid name"));
    let answers = together(&world, (0..MAX_GROUP).map(|n| asking(&actor(), client(n), None))).await;
    assert_eq!((answers.len(), head(&world).await), (MAX_GROUP, before + 1));
    let entry = world.store.log_after(before, 1).await.expect("reads").remove(0);
    assert_eq!(entry.revision(), answers[0].revision);
}

#[tokio::test]
async fn a_client_that_nothing_was_issued_to_is_not_found_unless_others_may_have_signed_for_it() {
    let world = World::new().await;
    let revoke = async |client: &str| {
        let target = RevokeTarget::Client(ClientId::try_from(client).expect("a valid name"));
        let Asking { actor, request } = asking(&actor(), target, None);
        world.authority.revoke(&actor, request).await
    };
    let before = head(&world).await;
    for n in 0..3 {
        let refused = revoke(&format!("invented-{n}")).await;
        assert!(matches!(refused, Err(RevokeError::NotFound)), "{refused:?}");
    }
    assert_eq!(head(&world).await, before);
    world.authority.put_issuer(&actor(), corp()).await.expect("trusts");
    revoke("unseen").await.expect("its tokens may be on their way");
}

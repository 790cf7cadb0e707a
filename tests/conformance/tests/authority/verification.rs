//! Verdicts.

use std::time::Duration;

use auth_domain::{
    Action, CredentialReference, DenyReason, PresentationContext, Presented, RevokeTarget, Role, Target,
};
use portcullis_types::{ClientId, KeyDigest, KeyKind, OpaqueKind, OpaqueToken, Secret, SeededEntropy, TenantId};

use super::world::Shown as _;
use super::world::{SECOND, World, actor, allowed, audience, denied, grant, named, role, tenant};

fn key(kind: KeyKind, id: &str) -> KeyDigest {
    KeyDigest::of(&tenant(), kind, id)
}

#[tokio::test]
async fn a_verdict_names_everything_it_rests_on() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    let verdict = world.allowed(&tokens.access).await;
    let signing_key = world.store.read().await.expect("reads").signing_keys().await.expect("reads")[0].id;
    let mut expected = vec![
        key(KeyKind::Tenant, "acme"),
        key(KeyKind::Identity, &world.alice.id.to_string()),
        key(KeyKind::Session, &opened.session.id.to_string()),
        key(KeyKind::Credential, &verdict.principal.credential.to_string()),
        key(KeyKind::Client, "web"),
        key(KeyKind::Role, "speaker"),
        KeyDigest::of(&TenantId::system(), KeyKind::SigningKey, &signing_key.to_string()),
    ];
    expected.sort();
    assert_eq!(verdict.keys, expected);
    assert_eq!(verdict.expires_in, Some(Duration::from_secs(600)));
    assert_eq!(verdict.cache_ttl, Duration::from_secs(30));
    assert_eq!(verdict.audiences, [audience("portcullis")]);
}

#[tokio::test]
async fn a_verdict_carries_the_head_that_was_read_before_it() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let before = world.verify(&tokens.access).await.revision;
    let committed = world.revoke(RevokeTarget::Presented(tokens.access.clone())).await;
    let after = world.verify(&tokens.access).await.revision;
    assert_eq!((before.seq + 1, after), (after.seq, committed.revision));
}

#[tokio::test]
async fn a_verdict_is_never_reused_beyond_the_end_of_its_credential() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    world.clock.advance(Duration::from_secs(590));
    let verdict = world.allowed(&tokens.access).await;
    assert_eq!((verdict.expires_in, verdict.cache_ttl), (Some(10 * SECOND), 10 * SECOND));
    world.clock.advance(10 * SECOND);
    assert_eq!(world.denied(&tokens.access).await, (DenyReason::Expired, true));
}

#[tokio::test]
async fn a_session_bound_credential_dies_with_anything_above_it() {
    let world = World::new().await;
    let signing_key = world.store.read().await.expect("reads").signing_keys().await.expect("reads")[0].id;
    let client = ClientId::try_from("web").expect("valid");
    for (what, reason) in [
        ("credential", DenyReason::CredentialRevoked),
        ("session", DenyReason::SessionRevoked),
        ("identity", DenyReason::IdentityRevoked),
        ("tenant", DenyReason::TenantRevoked),
        ("client", DenyReason::CredentialRevoked),
        ("signing key", DenyReason::CredentialRevoked),
    ] {
        let (opened, tokens) = world.log_in().await;
        let credential = world.allowed(&tokens.access).await.principal.credential;
        world
            .kill(match what {
                "credential" => Target::Credential(tenant(), credential),
                "session" => Target::Session(tenant(), opened.session.id),
                "identity" => Target::Identity(tenant(), world.alice.id),
                "tenant" => Target::Tenant(tenant()),
                "client" => Target::Client(tenant(), client.clone()),
                _ => Target::SigningKey(signing_key),
            })
            .await;
        assert_eq!(world.denied(&tokens.access).await, (reason, true), "{what}");
        // An event kills what is older: what is issued afterwards lives.
        let later = world.log_in().await.1;
        world.allowed(&later.access).await;
    }
}

#[tokio::test]
async fn an_api_key_dies_only_by_its_own_key() {
    let world = World::new().await;
    let key = world.api_key().await;
    world.kill(Target::Identity(tenant(), world.alice.id)).await;
    world.kill(Target::Tenant(tenant())).await;
    let verdict = world.allowed(&key.shown()).await;
    assert_eq!((verdict.principal.session, verdict.expires_in), (None, None));
    assert!(!world.listed_key().await.revoked);
    world.revoke(RevokeTarget::Credential(key.key.id)).await;
    assert_eq!(world.denied(&key.shown()).await, (DenyReason::CredentialRevoked, true));
    assert!(world.listed_key().await.revoked);
}

#[tokio::test]
async fn disabling_refuses_keys_for_as_long_and_ends_sessions_for_ever() {
    let world = World::new().await;
    let (tokens, key) = (world.log_in().await.1, world.api_key().await.shown());
    let (identity, committed) =
        world.authority.disable_identity(&actor(), &tenant(), &named("alice")).await.expect("disables");
    assert_eq!(identity.revoked_seq, Some(committed.revision.seq));
    assert_eq!(world.denied(&key).await, (DenyReason::IdentityDisabled, false));
    assert_eq!(world.denied(&tokens.access).await, (DenyReason::IdentityRevoked, true));

    world.authority.enable_identity(&actor(), &tenant(), &named("alice")).await.expect("enables");
    world.allowed(&key).await;
    assert_eq!(world.denied(&tokens.access).await, (DenyReason::IdentityRevoked, true));
    let later = world.log_in().await.1;
    world.allowed(&later.access).await;
}

#[tokio::test]
async fn grants_are_the_union_of_the_roles_and_change_with_them() {
    let world = World::new().await;
    let key = world.api_key().await.shown();
    let reader = Role { tenant: tenant(), name: role("reader"), grants: vec![grant(Action::History, "room:*")] };
    let (_, none) = world.authority.put_role(&actor(), reader, None).await.expect("a new role");
    assert!(none.is_none(), "nobody holds a new role");
    let roles = vec![role("speaker"), role("reader"), role("reader")];
    let (identity, _) =
        world.authority.set_identity_roles(&actor(), &tenant(), &named("alice"), roles).await.expect("sets");
    assert_eq!(identity.roles, [role("reader"), role("speaker")]);
    let grants = world.allowed(&key).await.principal.grants;
    let expected =
        [grant(Action::Subscribe, "room:*"), grant(Action::Publish, "room:1"), grant(Action::History, "room:*")];
    assert_eq!(grants, expected);

    let speaker = Role { tenant: tenant(), name: role("speaker"), grants: Vec::new() };
    let (_, committed) = world.authority.put_role(&actor(), speaker, None).await.expect("puts");
    let verdict = world.verify(&key).await;
    assert_eq!(verdict.revision, committed.expect("its holders are judged again").revision);
    assert_eq!(allowed(verdict).principal.grants, [grant(Action::History, "room:*")]);

    let missing = world.authority.set_identity_roles(&actor(), &tenant(), &named("alice"), vec![role("ghost")]).await;
    assert!(matches!(missing, Err(auth_domain::UpdateIdentityError::RoleNotFound(name)) if name == role("ghost")));
}

#[tokio::test]
async fn a_token_for_one_audience_does_not_satisfy_another() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    for (asked, good) in [("portcullis", true), ("elsewhere", false)] {
        let context = PresentationContext { audience: Some(audience(asked)), ..PresentationContext::default() };
        let verdict = world.authority.verify(Presented::Bearer(&tokens.access), &context).await.expect("a verdict");
        if good {
            allowed(verdict);
        } else {
            assert_eq!(denied(verdict), (DenyReason::WrongAudience, false));
        }
    }
}

#[tokio::test]
async fn what_is_not_a_bearer_is_refused_by_its_kind() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let ticket = world.ticket(&tokens.access, None, None).await;
    for other in [&tokens.refresh, &ticket] {
        assert_eq!(world.denied(other).await, (DenyReason::WrongKind, true));
    }
    for garbage in ["", "hello", "pk_", "eyJ", "eyJ.a.b.c"] {
        assert_eq!(world.denied(&Secret::from(garbage)).await, (DenyReason::Malformed, true), "{garbage}");
    }
    assert_eq!(world.denied(&Secret::new([0xff, 0xfe])).await, (DenyReason::Malformed, true));
}

#[tokio::test]
async fn an_unknown_id_may_be_known_in_a_moment_and_a_wrong_secret_never() {
    let world = World::new().await;
    let key = world.api_key().await;
    let entropy = SeededEntropy::new(99);
    let unknown =
        OpaqueToken::generate(OpaqueKind::ApiKey, portcullis_types::CredentialId::from_bytes([1; 16]), &entropy);
    assert_eq!(world.denied(&unknown.reveal()).await, (DenyReason::Unknown, false));
    let forged = OpaqueToken::generate(OpaqueKind::ApiKey, key.key.id, &entropy);
    assert_eq!(world.denied(&forged.reveal()).await, (DenyReason::Invalid, true));
    let (_, cookie) = world.cookie().await;
    let cookie = OpaqueToken::parse(cookie.expose_str().expect("text")).expect("a cookie");
    let other_kind = OpaqueToken::generate(OpaqueKind::ApiKey, cookie.id, &entropy);
    assert_eq!(world.denied(&other_kind.reveal()).await, (DenyReason::Invalid, true));
}

#[tokio::test]
async fn what_was_admitted_is_judged_again_by_reference() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let token = world.allowed(&tokens.access).await;
    let ticket = world.ticket(&tokens.access, None, None).await;
    let unredeemed = OpaqueToken::parse(ticket.expose_str().expect("text")).expect("a ticket").id;
    let unredeemed = CredentialReference { tenant: tenant(), credential: unredeemed };
    let foreign = CredentialReference { tenant: TenantId::system(), ..token.reference.clone() };
    let asked = [token.reference.clone(), foreign, unredeemed.clone()];
    let mut verdicts = world.authority.batch_verify(&asked).await.expect("verdicts");
    assert_eq!(denied(verdicts.remove(2)), (DenyReason::WrongKind, true));
    assert_eq!(denied(verdicts.remove(1)), (DenyReason::Unknown, false));
    let again = allowed(verdicts.remove(0));
    assert_eq!((again.keys, again.principal), (token.keys, token.principal));

    // A ticket that opened a socket: its own end no longer matters, its parent's does.
    let admitted = allowed(world.redeem(&ticket, 1, &PresentationContext::default()).await);
    assert_eq!(admitted.reference, unredeemed);
    world.clock.advance(60 * SECOND);
    let again = world.authority.batch_verify(std::slice::from_ref(&unredeemed)).await.expect("verdicts").remove(0);
    assert_eq!(allowed(again).keys, admitted.keys);
    world.revoke(RevokeTarget::Presented(tokens.access)).await;
    let again = world.authority.batch_verify(&[unredeemed]).await.expect("verdicts").remove(0);
    assert_eq!(denied(again), (DenyReason::CredentialRevoked, true));
}

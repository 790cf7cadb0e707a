//! The main job, end to end: log in, present, revoke, and be dead everywhere.

use http::header;
use portcullis_proto::auth::v1;

use super::watches::Gateway;
use super::world::{PASSWORD, World, by, named};

#[tokio::test]
async fn a_revoked_session_is_dead_by_every_carrier_and_the_watch_says_so() {
    let world = World::new().await;
    let mut gateway = Gateway::start(&world, None).await;
    gateway.welcome().await;

    let body = format!(r#"{{"tenant":"demo","name":"ada","password":"{PASSWORD}","mode":"token"}}"#);
    let (_, login) = world.http("/v1/login", &[(header::CONTENT_TYPE, "application/json")], &body).await;
    let (token, session) =
        (login["access_token"].as_str().expect("a token"), login["session"].as_str().expect("an id"));
    let allowed = world.verify(&world.admin, token).await.allowed.expect("it is good");
    let principal = allowed.principal.expect("somebody");
    assert_eq!((&*principal.identity_id, &*principal.session_id), (&*world.ada, session));

    let bearer = format!("Bearer {token}");
    let (_, ticket) = world.http("/v1/ws-ticket", &[(header::AUTHORIZATION, &bearer)], "").await;
    let ticket = ticket["ticket"].as_str().expect("a ticket");

    let revoked = world.revoke(v1::revoke_request::Target::SessionId(session.to_owned())).await;
    assert_eq!(revoked.enforced_within_ms, 15_000);

    let entry = gateway.entry().await;
    assert_eq!(entry.revision, revoked.revision);
    let batch = <v1::RevocationBatch as prost::Message>::decode(entry.payload).expect("a batch");
    let killed = &batch.revocations[0];
    assert!(killed.keys.iter().all(|key| allowed.keys.contains(key)), "the verdict rests on what was killed");
    assert_eq!((killed.effect(), killed.close_code), (v1::Effect::Kill, 4511));

    let verdict = world.verify(&world.admin, token).await;
    assert_eq!(verdict.outcome(), v1::Outcome::DeniedPermanent);
    assert_eq!((verdict.deny_reason(), verdict.revision), (v1::DenyReason::SessionRevoked, revoked.revision));
    let presentation = v1::TicketPresentation { ticket: ticket.to_owned(), redemption_id: vec![1; 16] };
    let credential = Some(v1::verify_request::Credential::Ticket(presentation));
    let request = by(&world.admin, v1::VerifyRequest { credential, context: None });
    let verdict = world.verification().verify(request).await.expect("a denial is a verdict").into_inner();
    assert_eq!(verdict.outcome(), v1::Outcome::DeniedPermanent);
    let (response, _) = world.http("/v1/ws-ticket", &[(header::AUTHORIZATION, &bearer)], "").await;
    assert_eq!(response.status(), 401);
}

#[tokio::test]
async fn a_disabled_identity_cannot_log_in_and_can_again_when_enabled() {
    let world = World::new().await;
    let (_, tokens) = world.issue().await;
    let ada = || Some(named("demo", "ada"));
    let disable = by(&world.admin, v1::DisableIdentityRequest { identity: ada(), ..Default::default() });
    let disabled = world.identities().disable_identity(disable).await.expect("allowed").into_inner();
    assert_eq!(disabled.identity.expect("it has one").state(), v1::IdentityState::Disabled);
    let body = format!(r#"{{"tenant":"demo","name":"ada","password":"{PASSWORD}","mode":"token"}}"#);
    let json = [(header::CONTENT_TYPE, "application/json")];
    assert_eq!(world.http("/v1/login", &json, &body).await.0.status(), 401);
    let enable = by(&world.admin, v1::EnableIdentityRequest { identity: ada(), ..Default::default() });
    world.identities().enable_identity(enable).await.expect("allowed");
    assert_eq!(world.http("/v1/login", &json, &body).await.0.status(), 200);
    let old = world.verify(&world.admin, &tokens.access_token).await;
    assert_eq!(old.outcome(), v1::Outcome::DeniedPermanent, "what was revoked stays dead");
}

#[tokio::test]
async fn what_happened_can_be_measured_without_naming_anybody() {
    let world = World::new().await;
    let mut gateway = Gateway::start(&world, None).await;
    gateway.welcome().await;
    let (session, tokens) = world.issue().await;
    world.verify(&world.admin, &tokens.access_token).await;
    world.revoke(v1::revoke_request::Target::SessionId(session.clone())).await;
    gateway.entry().await;
    let text = world.get("/metrics").await;
    for line in [
        "portcullis_auth_log_head_seq 1",
        "portcullis_auth_watchers 1",
        "portcullis_auth_watch_entries_sent_total 1",
        r#"portcullis_auth_revocations_total{effect="kill"} 1"#,
        r#"portcullis_auth_verdicts_total{outcome="allowed",reason="none"} 1"#,
        r#"method="/portcullis.auth.v1.CredentialsService/Revoke",code="OK"} 1"#,
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    for name in [&session, &tokens.access_token, &world.ada, "ada", "demo"] {
        assert!(!text.contains(name), "{name} in\n{text}");
    }
}

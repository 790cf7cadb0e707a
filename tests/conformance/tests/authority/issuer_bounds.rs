//! Where what an issuer vouches for ends: at its tenant, at a client application, at a session that was ended.

use std::time::Duration;

use auth_domain::{
    Audience, DenyReason, IssuerUrl, NewIssuer, NewTicket, PresentationContext, Presented, Reason, RevokeError,
    RevokeRequest, RevokeSessions, RevokeTarget, SessionsBy, TicketAsker, TicketOutcome,
};
use portcullis_types::{ClientId, Clock as _, TenantId};
use serde_json::json;

use super::issuers::{MINUTE, SECOND, corp, name, sign};
use super::world::{World, actor, denied, named, tenant};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_token_of_another_tenants_issuer_is_unknown_and_leaves_no_trace_there() {
    let (world, _) = World::trusting().await;
    let globex = TenantId::try_from("globex").expect("a valid name");
    world.authority.create_tenant(&actor(), globex.clone(), None, None).await.expect("a new tenant");
    for url in ["https://other.example", "https://silent.example"] {
        let mut theirs = corp();
        theirs.tenant = globex.clone();
        theirs.name = name(url.trim_start_matches("https://").trim_end_matches(".example"));
        theirs.url = IssuerUrl::try_from(url).expect("a valid issuer");
        theirs.mapping.roles.clear();
        world.authority.put_issuer(&actor(), theirs).await.expect("trusts");
        let token = sign(1, |_| (), &world.claims(json!({"iss": url})));
        let within = PresentationContext { within: Some(tenant()), ..PresentationContext::default() };
        let verdict = world.authority.verify(Presented::Bearer(&token), &within).await.expect("asks no issuer");
        assert_eq!(denied(verdict), (DenyReason::Unknown, false), "{url}");
        let ticket = NewTicket {
            parent: token.clone(),
            audience: None,
            origin: None,
            within: Some(tenant()),
            by: TicketAsker::Service,
        };
        let outcome = world.authority.create_ticket(&actor(), ticket).await.expect("asks no issuer");
        assert!(matches!(outcome, TicketOutcome::Denied(DenyReason::Unknown)), "{outcome:?}");
        let request = RevokeRequest {
            tenant: tenant(),
            target: RevokeTarget::Presented(token),
            reason: Reason::Compromised,
            pace: None,
            request_id: None,
        };
        let refused = world.authority.revoke(&actor(), request).await;
        assert!(matches!(refused, Err(RevokeError::Unverifiable)), "{refused:?}");
    }
    let seen = world.authority.identity(&globex, &named("corp:u1")).await.expect("reads");
    assert!(seen.is_none(), "a caller of one tenant makes nobody in another");

    let mut same_url = corp();
    same_url.tenant = globex;
    same_url.audience = Audience::try_from("globex-app").expect("a valid audience");
    same_url.mapping.roles.clear();
    world.authority.put_issuer(&actor(), same_url).await.expect("trusts");
    let within = PresentationContext { within: Some(tenant()), ..PresentationContext::default() };
    for audience in ["globex-app", "nobodys-app"] {
        let token = world.token(json!({"aud": audience}));
        let verdict = world.authority.verify(Presented::Bearer(&token), &within).await.expect("a verdict");
        assert_eq!(
            denied(verdict),
            (DenyReason::WrongAudience, false),
            "{audience}: whether it is another's is not told"
        );
    }
}

#[tokio::test]
async fn two_clients_of_one_sid_have_a_session_each_and_are_revoked_each() {
    let (world, _) = World::trusting().await;
    let of = |client: &str| world.token(json!({"azp": client}));
    let (app, web) = (of("app"), of("web"));
    let (in_app, in_web) = (world.allowed(&app).await.principal.session, world.allowed(&web).await.principal.session);
    assert_ne!(in_app, in_web);
    world.revoke(RevokeTarget::Client(ClientId::try_from("web").expect("a valid id"))).await;
    assert_eq!(world.denied(&web).await.0, DenyReason::CredentialRevoked, "it came under the other's `sid`");
    world.allowed(&app).await;
    world.pass(2 * MINUTE);
    let next = world.allowed(&of("web")).await.principal.session;
    assert_ne!(next, in_web, "the old session stays dead");
    world.revoke(RevokeTarget::Session(in_app.expect("it has one"))).await;
    world.pass(SECOND);
    assert_eq!(world.denied(&of("other")).await.0, DenyReason::SessionRevoked, "the `sid` comes back for no client");
}

#[tokio::test]
async fn a_session_that_idles_past_its_end_is_revoked_with_the_others() {
    for by in [|_| SessionsBy::Device("corp".try_into().expect("a label")), SessionsBy::BegunBefore] {
        let (world, _) = World::trusting().await;
        world.allowed(&world.token(json!({}))).await;
        world.allowed(&world.token(json!({"sid": null}))).await;
        world.pass(2 * HOUR);
        let request = RevokeSessions {
            tenant: tenant(),
            which: named("corp:u1"),
            by: by(world.clock.now()),
            reason: Reason::Administrative,
            pace: None,
        };
        let ended = world.authority.revoke_sessions(&actor(), request.clone()).await.expect("revokes");
        assert_eq!(ended.sessions, 1, "no later token is of the session that had no `sid`");
        world.pass(2 * MINUTE);
        assert_eq!(world.denied(&world.token(json!({}))).await, (DenyReason::SessionRevoked, true));
        let again = world.authority.revoke_sessions(&actor(), request).await.expect("answers");
        assert_eq!(again.sessions, 0, "once");
    }
}

#[tokio::test]
async fn a_token_that_was_seen_is_revoked_while_its_issuer_is_silent() {
    let world = World::new().await;
    let once = NewIssuer { url: IssuerUrl::try_from("https://once.example").expect("a valid issuer"), ..corp() };
    world.authority.put_issuer(&actor(), once).await.expect("trusts");
    let signed = |id: &str| sign(1, |_| (), &world.claims(json!({"iss": "https://once.example", "jti": id})));
    let seen = signed("seen");
    let good = world.allowed(&seen).await;
    world.revoke(RevokeTarget::Presented(seen)).await;
    let verdict = world.authority.batch_verify(&[good.reference]).await.expect("verdicts").remove(0);
    assert_eq!(denied(verdict), (DenyReason::CredentialRevoked, true));
    let request = RevokeRequest {
        tenant: tenant(),
        target: RevokeTarget::Presented(signed("unseen")),
        reason: Reason::Compromised,
        pace: None,
        request_id: None,
    };
    let refused = world.authority.revoke(&actor(), request).await;
    assert!(matches!(refused, Err(RevokeError::Issuer(_))), "nothing proves it: {refused:?}");
}

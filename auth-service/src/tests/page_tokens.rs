//! A page token belongs to one question: whoever brings it to another is refused, for every list that there is.

use portcullis_proto::auth::v1;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use tonic::Status;

use super::calling::{call, contract};
use super::world::{World, by, named, reason};

/// Asks a list, one row a page.
async fn page(world: &World, method: &MethodDescriptor, question: &[u8], token: &str) -> Result<String, Status> {
    let mut message = DynamicMessage::decode(method.input(), question).expect("it is of this method");
    message.set_field_by_name("page_size", Value::U32(1));
    message.set_field_by_name("page_token", Value::String(token.to_owned()));
    let answer = call(world, method, by(&world.admin, message)).await?;
    let next = answer.get_field_by_name("next_page_token").expect("a list has pages");
    Ok(next.as_str().expect("it is a text").to_owned())
}

fn sessions() -> Vec<Vec<u8>> {
    let of = |name: &str| v1::ListSessionsRequest { identity: Some(named("demo", name)), ..Default::default() };
    let ada = || of("ada");
    let all = [
        ada(),
        of("bob"),
        v1::ListSessionsRequest { device: "phone".into(), ..ada() },
        v1::ListSessionsRequest { client_id: "app".into(), ..ada() },
        v1::ListSessionsRequest { only_active: true, ..ada() },
    ];
    all.map(|question| question.encode_to_vec()).into()
}

fn credentials(session: &str) -> Vec<Vec<u8>> {
    let of = |name: &str| v1::ListCredentialsRequest { identity: Some(named("demo", name)), ..Default::default() };
    let kind = v1::CredentialKind::AccessToken.into();
    let all = [
        of("ada"),
        of("bob"),
        v1::ListCredentialsRequest { kind, ..of("ada") },
        v1::ListCredentialsRequest { session_id: session.to_owned(), ..of("ada") },
    ];
    all.map(|question| question.encode_to_vec()).into()
}

fn signature_keys(session: &str) -> Vec<Vec<u8>> {
    let of = |name: &str| v1::ListSignatureKeysRequest { identity: Some(named("demo", name)), ..Default::default() };
    let of_session = v1::ListSignatureKeysRequest { session_id: session.to_owned(), ..of("ada") };
    [of("ada"), of("bob"), of_session].map(|question| question.encode_to_vec()).into()
}

fn api_keys() -> Vec<Vec<u8>> {
    let of = |name: &str| v1::ListApiKeysRequest { identity: Some(named("demo", name)), ..Default::default() };
    let live = v1::ListApiKeysRequest { only_active: true, ..of("backend") };
    [of("backend"), of("ada"), live].map(|question| question.encode_to_vec()).into()
}

fn passwords() -> Vec<Vec<u8>> {
    let of = |tenant: &str| v1::ListPasswordsRequest { tenant: tenant.to_owned(), ..Default::default() };
    [of("demo"), of("other")].map(|question| question.encode_to_vec()).into()
}

fn certificates() -> Vec<Vec<u8>> {
    let of = |name: &str| v1::ListCertificatesRequest { identity: Some(named("demo", name)), ..Default::default() };
    let live = v1::ListCertificatesRequest { only_active: true, ..of("backend") };
    [of("backend"), of("ada"), live].map(|question| question.encode_to_vec()).into()
}

fn subjects() -> Vec<Vec<u8>> {
    let of = |issuer: &str| v1::ListIssuerSubjectsRequest {
        tenant: "demo".to_owned(),
        issuer: issuer.to_owned(),
        ..Default::default()
    };
    let who = |name: &str| Some(named("demo", name));
    let all = [
        of("corp"),
        of("partner"),
        v1::ListIssuerSubjectsRequest { identity: who("ada"), ..of("corp") },
        v1::ListIssuerSubjectsRequest { identity: who("ada"), ..of("") },
        v1::ListIssuerSubjectsRequest { identity: who("bob"), ..of("") },
    ];
    all.map(|question| question.encode_to_vec()).into()
}

fn tenants() -> Vec<Vec<u8>> {
    let active = v1::ListTenantsRequest { state: v1::TenantState::Active.into(), ..Default::default() };
    [v1::ListTenantsRequest::default(), active].map(|question| question.encode_to_vec()).into()
}

fn identities() -> Vec<Vec<u8>> {
    let of = |tenant: &str| v1::ListIdentitiesRequest { tenant: tenant.to_owned(), ..Default::default() };
    let demo = || of("demo");
    let all = [
        demo(),
        of("other"),
        v1::ListIdentitiesRequest { state: v1::IdentityState::Active.into(), ..demo() },
        v1::ListIdentitiesRequest { kind: v1::IdentityKind::User.into(), ..demo() },
        v1::ListIdentitiesRequest { name_prefix: "a".into(), ..demo() },
        v1::ListIdentitiesRequest { role: "speaker".into(), ..demo() },
    ];
    all.map(|question| question.encode_to_vec()).into()
}

fn audit() -> Vec<Vec<u8>> {
    let of = |tenant: &str| v1::ListAuditEntriesRequest { tenant: tenant.to_owned(), ..Default::default() };
    let demo = || of("demo");
    let all = [
        demo(),
        of("other"),
        v1::ListAuditEntriesRequest { since: Some(prost_types::Timestamp::default()), ..demo() },
        v1::ListAuditEntriesRequest {
            until: Some(prost_types::Timestamp { seconds: 9_000_000_000, nanos: 0 }),
            ..demo()
        },
        v1::ListAuditEntriesRequest { actor: "identity:*".into(), ..demo() },
        v1::ListAuditEntriesRequest { action: "identity.*".into(), ..demo() },
        v1::ListAuditEntriesRequest { target: "identity:1".into(), ..demo() },
        v1::ListAuditEntriesRequest { identity: Some(named("demo", "ada")), ..demo() },
        v1::ListAuditEntriesRequest { outcome: v1::AuditOutcome::Denied.into(), ..demo() },
    ];
    all.map(|question| question.encode_to_vec()).into()
}

#[tokio::test]
async fn a_page_token_that_is_moved_to_another_question_is_refused() {
    let world = World::new().await;
    world.make_tenant("other").await;
    for name in ["bob", "carol"] {
        world.make_identity("demo", name, v1::IdentityKind::User).await;
        world.make_identity("other", name, v1::IdentityKind::User).await;
        world.issue().await;
    }
    let (session, _) = world.issue().await;
    for _ in 0..2 {
        world.register_key("ada", &session).await;
    }
    world.service_key("demo", "backend", &[]).await;
    for name in ["one.internal", "two.internal"] {
        let identity = Some(named("demo", "backend"));
        let request = v1::CreateApiKeyRequest { identity: identity.clone(), ..Default::default() };
        world.api_keys().create_api_key(by(&world.admin, request)).await.expect("the administrator may");
        let certificate_name = name.to_owned();
        let request = v1::RegisterCertificateRequest { identity, certificate_name, ..Default::default() };
        world.certificates().register_certificate(by(&world.admin, request)).await.expect("the administrator may");
    }
    for issuer in ["corp", "partner"] {
        world.trust(issuer).await;
        world.link(issuer, "ada", [1; 32]).await;
        world.link(issuer, "bob", [2; 32]).await;
    }
    let lists = [
        ("CredentialsService.ListSessions", sessions()),
        ("CredentialsService.ListCredentials", credentials(&session)),
        ("SignatureKeysService.ListSignatureKeys", signature_keys(&session)),
        ("ApiKeysService.ListApiKeys", api_keys()),
        ("CertificatesService.ListCertificates", certificates()),
        ("PasswordsService.ListPasswords", passwords()),
        ("IssuersService.ListIssuerSubjects", subjects()),
        ("IdentitiesService.ListIdentities", identities()),
        ("AuditService.ListAuditEntries", audit()),
        ("TenantsService.ListTenants", tenants()),
    ];
    let contract = contract();
    for (name, method) in &contract {
        let has_pages = method.input().get_field_by_name("page_token").is_some();
        assert_eq!(has_pages, lists.iter().any(|(list, _)| list == name), "{name}");
    }
    let questions = || lists.iter().flat_map(|(list, questions)| questions.iter().map(move |one| (*list, one)));
    let mut moved = 0;
    for (first, (list, question)) in questions().enumerate() {
        let token = page(&world, &contract[list], question, "").await.expect("the administrator may");
        if token.is_empty() {
            continue;
        }
        for (second, (other, to)) in questions().enumerate() {
            let answer = page(&world, &contract[other], to, &token).await;
            if first == second {
                answer.unwrap_or_else(|status| panic!("{list} number {first}: {status:?}"));
                continue;
            }
            let status = answer.expect_err(&format!("{list} number {first} to {other} number {second}"));
            assert_eq!(reason(&status), "PAGE_INVALID");
            moved += 1;
        }
    }
    // The first question of each list has more rows than one.
    assert!(moved >= lists.len() * (questions().count() - 1), "{moved}");
}

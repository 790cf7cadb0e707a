//! Requests that their callers name: every call of the contract that changes something, asked twice over the real
//! transport, the second time by the caller's next key.

use std::collections::BTreeMap;

use auth_domain::Scope;
use portcullis_proto::auth::v1;
use prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage as _, Value};
use tonic::{Code, Status};

use super::calling::{call, contract};
use super::linking::issuer;
use super::world::{PASSWORD, World, by, named, reason, totp_code};

const BCRYPT: &str = "$2b$12$GhvMmNVjRW29ulnudl.LbuAnUtN/LRfe1JsBm1Xu6LE3059z5Tr8m";

/// What changes something and takes no name, and why it needs none.
const WITHOUT_A_NAME: &[(&str, &str)] = &[
    (
        "AuthenticationService.BeginAuthentication",
        "an attempt is counted each time, and a session of its own each time",
    ),
    ("AuthenticationService.ContinueAuthentication", "a continuation is of one use"),
    ("CredentialsService.RefreshTokens", "the token that is spent names it: a lost answer is given once more"),
    ("VerificationService.Verify", "a ticket is redeemed under an id of its own"),
    ("SignatureKeysService.BeginSignatureKey", "it writes nothing, and each challenge is another"),
    ("KeysService.Reencrypt", "it does what is left to do: asked again, nothing"),
    ("RevocationsService.Watch", "a stream, which tells who it is in its first message"),
];

/// What is shown once, and absent when it is asked for again.
const SHOWN_ONCE: [&str; 6] = ["secret", "uri", "token", "reset_token", "recovery_codes", "tokens"];

fn only_reads(method: &MethodDescriptor) -> bool {
    let reads = ["Get", "List", "BatchGet", "BatchVerify", "Fetch", "Export", "AwaitEnforced", "WatchEnforced"];
    reads.iter().any(|word| method.name().starts_with(word))
}

fn takes_a_name(method: &MethodDescriptor) -> bool {
    method.input().get_field_by_name("request_id").is_some()
}

#[test]
fn what_changes_something_takes_a_name_or_says_why_it_needs_none() {
    let mut without: BTreeMap<_, _> = WITHOUT_A_NAME.iter().copied().collect();
    for (name, method) in contract() {
        let told = without.remove(&*name);
        assert!(!(told.is_some() && takes_a_name(&method)), "{name} takes a name");
        assert!(takes_a_name(&method) || told.is_some() || only_reads(&method), "{name} takes no name");
        assert!(!(only_reads(&method) && takes_a_name(&method)), "{name} only reads");
    }
    assert!(without.is_empty(), "of no method: {without:?}");
}

/// Calls any method with any message under a name, and reads whatever it answers.
async fn ask(
    world: &World,
    key: &str,
    method: &MethodDescriptor,
    name: &str,
    message: &[u8],
) -> Result<DynamicMessage, Status> {
    let mut message = DynamicMessage::decode(method.input(), message).expect("it is of this method");
    message.set_field_by_name("request_id", Value::String(name.to_owned()));
    call(world, method, by(key, message)).await
}

/// A caller, by two of its keys.
async fn two_keys(world: &World) -> (String, String) {
    let scopes: Vec<_> = Scope::ALL.into_iter().map(Scope::name).collect();
    let (first, _) = world.service_key("system", "backend", &scopes).await;
    let request = v1::CreateApiKeyRequest {
        identity: Some(named("system", "backend")),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        ..Default::default()
    };
    let second = world.api_keys().create_api_key(by(&world.admin, request)).await.expect("the administrator may");
    (first, second.into_inner().secret)
}

fn who(name: &str) -> Option<v1::IdentityReference> {
    Some(named("demo", name))
}

/// A request that is done when it is asked for the first time, with whatever it needs put there before.
async fn request(world: &World, method: &str, name: &str) -> Vec<u8> {
    let (service, method) = method.split_once('.').expect("a service and a method");
    match service {
        "TenantsService" => of_tenants(world, method, name).await,
        "IdentitiesService" | "RolesService" => of_identities(world, method, name).await,
        "PasswordsService" => of_passwords(world, method, name).await,
        "SecondFactorsService" => of_second_factors(world, method, name).await,
        "IssuersService" => of_issuers(world, method, name).await,
        "SignatureKeysService" => of_signature_keys(world, method).await,
        _ => of_credentials(world, method, name).await,
    }
}

async fn of_tenants(world: &World, method: &str, name: &str) -> Vec<u8> {
    let name = name.to_owned();
    if method != "CreateTenant" {
        world.make_tenant(&name).await;
    }
    match method {
        "CreateTenant" => v1::CreateTenantRequest { name, ..Default::default() }.encode_to_vec(),
        "UpdateTenant" => {
            v1::UpdateTenantRequest { name, display_name: "Demo".into(), ..Default::default() }.encode_to_vec()
        }
        "SuspendTenant" => v1::SuspendTenantRequest { name, ..Default::default() }.encode_to_vec(),
        "ReinstateTenant" => v1::ReinstateTenantRequest { name, ..Default::default() }.encode_to_vec(),
        "DeleteTenant" => {
            let suspend = v1::SuspendTenantRequest { name: name.clone(), ..Default::default() };
            world.tenants().suspend_tenant(by(&world.admin, suspend)).await.expect("the administrator may");
            v1::DeleteTenantRequest { name, ..Default::default() }.encode_to_vec()
        }
        "SetLeaseClass" => {
            let lease_class = v1::LeaseClass::Strict.into();
            v1::SetLeaseClassRequest { tenant: name, lease_class, ..Default::default() }.encode_to_vec()
        }
        _ => panic!("no request is known for {method}"),
    }
}

async fn of_identities(world: &World, method: &str, name: &str) -> Vec<u8> {
    let role = v1::PutRoleRequest {
        role: Some(v1::Role { tenant: "demo".into(), name: name.to_owned(), ..Default::default() }),
        ..Default::default()
    };
    if matches!(method, "DeleteRole" | "SetIdentityRoles") {
        world.roles().put_role(by(&world.admin, role.clone())).await.expect("the administrator may");
    }
    if method != "CreateIdentity" {
        world.make_identity("demo", name, v1::IdentityKind::User).await;
    }
    let identity = who(name);
    match method {
        "CreateIdentity" => v1::CreateIdentityRequest {
            tenant: "demo".into(),
            kind: v1::IdentityKind::User.into(),
            name: name.to_owned(),
            ..Default::default()
        }
        .encode_to_vec(),
        "UpdateIdentity" => {
            let read = v1::GetIdentityRequest { identity: identity.clone() };
            let read = world.identities().get_identity(by(&world.admin, read)).await.expect("it may").into_inner();
            let update_mask = Some(prost_types::FieldMask { paths: vec!["display_name".into()] });
            let etag = read.identity.expect("it is there").etag;
            let display_name = "Ada".into();
            v1::UpdateIdentityRequest { identity, update_mask, display_name, etag, ..Default::default() }
                .encode_to_vec()
        }
        "DisableIdentity" => v1::DisableIdentityRequest { identity, ..Default::default() }.encode_to_vec(),
        "EnableIdentity" => v1::EnableIdentityRequest { identity, ..Default::default() }.encode_to_vec(),
        "DeleteIdentity" => v1::DeleteIdentityRequest { identity, ..Default::default() }.encode_to_vec(),
        "SetPassword" => {
            v1::SetPasswordRequest { identity, password: "another horse".into(), ..Default::default() }.encode_to_vec()
        }
        "SetIdentityRoles" => {
            v1::SetIdentityRolesRequest { identity, roles: vec![name.to_owned()], ..Default::default() }.encode_to_vec()
        }
        "PutRole" => role.encode_to_vec(),
        "DeleteRole" => {
            v1::DeleteRoleRequest { tenant: "demo".into(), name: name.to_owned(), ..Default::default() }.encode_to_vec()
        }
        _ => panic!("no request is known for {method}"),
    }
}

async fn of_passwords(world: &World, method: &str, name: &str) -> Vec<u8> {
    world.make_identity("demo", name, v1::IdentityKind::User).await;
    let identity = who(name);
    match method {
        "ChangePassword" => v1::ChangePasswordRequest {
            identity,
            current_password: PASSWORD.into(),
            new_password: "another horse".into(),
            ..Default::default()
        }
        .encode_to_vec(),
        "ResetPassword" => v1::ResetPasswordRequest { identity, ..Default::default() }.encode_to_vec(),
        "RedeemPasswordReset" => {
            let reset = v1::ResetPasswordRequest { identity, ..Default::default() };
            let reset = world.passwords().reset_password(by(&world.admin, reset)).await.expect("it may").into_inner();
            let (reset_token, new_password) = (reset.reset_token, "another horse".into());
            v1::RedeemPasswordResetRequest { reset_token, new_password, ..Default::default() }.encode_to_vec()
        }
        "RemovePassword" => v1::RemovePasswordRequest { identity, ..Default::default() }.encode_to_vec(),
        "ImportPassword" => {
            v1::ImportPasswordRequest { identity, hash: BCRYPT.into(), ..Default::default() }.encode_to_vec()
        }
        _ => panic!("no request is known for {method}"),
    }
}

async fn of_second_factors(world: &World, method: &str, name: &str) -> Vec<u8> {
    world.make_identity("demo", name, v1::IdentityKind::User).await;
    let identity = || who(name);
    let mut client = world.second_factors();
    if method == "EnrolTotp" {
        return v1::EnrolTotpRequest { identity: identity(), ..Default::default() }.encode_to_vec();
    }
    let enrol = v1::EnrolTotpRequest { identity: identity(), ..Default::default() };
    let code = totp_code(&client.enrol_totp(by(&world.admin, enrol)).await.expect("it may").into_inner().secret);
    let confirm = v1::ConfirmTotpRequest { identity: identity(), code, ..Default::default() };
    if method == "ConfirmTotp" {
        return confirm.encode_to_vec();
    }
    client.confirm_totp(by(&world.admin, confirm)).await.expect("the administrator may");
    match method {
        "RemoveSecondFactor" => {
            v1::RemoveSecondFactorRequest { identity: identity(), ..Default::default() }.encode_to_vec()
        }
        "RenewRecoveryCodes" => {
            v1::RenewRecoveryCodesRequest { identity: identity(), ..Default::default() }.encode_to_vec()
        }
        _ => panic!("no request is known for {method}"),
    }
}

async fn of_issuers(world: &World, method: &str, name: &str) -> Vec<u8> {
    if method == "PutIssuer" {
        return v1::PutIssuerRequest { issuer: Some(issuer(name)), ..Default::default() }.encode_to_vec();
    }
    world.trust(name).await;
    let (tenant, name) = ("demo".into(), name.to_owned());
    match method {
        "RevokeIssuer" => v1::RevokeIssuerRequest { tenant, name, ..Default::default() }.encode_to_vec(),
        "RemoveIssuer" => v1::RemoveIssuerRequest { tenant, name, ..Default::default() }.encode_to_vec(),
        "UnlinkSubject" => {
            world.make_identity("demo", &name, v1::IdentityKind::User).await;
            world.link(&name, &name, [1; 32]).await;
            v1::UnlinkSubjectRequest { identity: who(&name), issuer: name, ..Default::default() }.encode_to_vec()
        }
        _ => panic!("no request is known for {method}"),
    }
}

async fn of_signature_keys(world: &World, method: &str) -> Vec<u8> {
    let (session, _) = world.issue().await;
    let tenant = || "demo".to_owned();
    match method {
        "RegisterSignatureKey" => world.wanted_key("ada", &session).await.encode_to_vec(),
        "RotateSignatureKey" => {
            let id = world.register_key("ada", &session).await.id;
            let v1::RegisterSignatureKeyRequest { jwk, proof, .. } = world.wanted_key("ada", &session).await;
            v1::RotateSignatureKeyRequest { tenant: tenant(), id, jwk, proof, ..Default::default() }.encode_to_vec()
        }
        "RevokeSignatureKey" => {
            let id = world.register_key("ada", &session).await.id;
            v1::RevokeSignatureKeyRequest { tenant: tenant(), id, ..Default::default() }.encode_to_vec()
        }
        _ => panic!("no request is known for {method}"),
    }
}

async fn of_credentials(world: &World, method: &str, name: &str) -> Vec<u8> {
    match method {
        "IssueTokens" => v1::IssueTokensRequest { identity: who("ada"), device: name.to_owned(), ..Default::default() }
            .encode_to_vec(),
        "Revoke" => {
            let target = Some(v1::revoke_request::Target::SessionId(world.issue().await.0));
            v1::RevokeRequest { tenant: "demo".into(), target, ..Default::default() }.encode_to_vec()
        }
        "CreateTicket" => {
            let parent_credential = world.issue().await.1.access_token;
            v1::CreateTicketRequest { parent_credential, ..Default::default() }.encode_to_vec()
        }
        "CreateApiKey" => {
            v1::CreateApiKeyRequest { identity: who("ada"), label: name.to_owned(), ..Default::default() }
                .encode_to_vec()
        }
        "RotateApiKey" => {
            let (_, id) = world.service_key("demo", name, &["verify"]).await;
            let old_ends_in_ms = 60_000;
            v1::RotateApiKeyRequest { tenant: "demo".into(), id, old_ends_in_ms, ..Default::default() }.encode_to_vec()
        }
        "IssueServiceToken" => {
            v1::IssueServiceTokenRequest { scopes: vec!["verify".into()], ..Default::default() }.encode_to_vec()
        }
        "RegisterCertificate" => {
            world.make_identity("demo", name, v1::IdentityKind::Service).await;
            let (identity, certificate_name) = (who(name), format!("{name}.example"));
            v1::RegisterCertificateRequest { identity, certificate_name, ..Default::default() }.encode_to_vec()
        }
        "RotateSigningKey" => v1::RotateSigningKeyRequest { at_once: true, ..Default::default() }.encode_to_vec(),
        "RevokeSigningKey" => {
            let mut client = v1::keys_service_client::KeysServiceClient::new(world.channel.clone());
            let keys = client.list_signing_keys(by(&world.admin, v1::ListSigningKeysRequest {})).await;
            let keys = keys.expect("the administrator may").into_inner().signing_keys;
            let signing_key_id = keys.last().expect("one signs").id.clone();
            v1::RevokeSigningKeyRequest { signing_key_id, ..Default::default() }.encode_to_vec()
        }
        _ => panic!("no request is known for {method}"),
    }
}

/// How often something was done, as the audit trail says it.
async fn deeds(world: &World) -> usize {
    let request = v1::ExportAuditRequest::default();
    let mut parts = world.audit().export_audit(by(&world.admin, request)).await.expect("it may").into_inner();
    let mut entries = std::collections::BTreeSet::new();
    while let Some(part) = parts.message().await.expect("the stream ends well") {
        entries.extend(part.entries.iter().map(|entry| entry.id));
    }
    entries.len()
}

/// The second answer is the first, without what is shown once, and says so.
fn is_told_again(first: &DynamicMessage, again: &DynamicMessage, told: &str) {
    let shown_before = first.descriptor().get_field_by_name("shown_before");
    for field in first.descriptor().fields() {
        let (one, other) = (first.get_field(&field), again.get_field(&field));
        match (&*one, &*other, field.name()) {
            (_, _, "enforced_within_ms" | "expires_in_ms") => {}
            (_, _, "shown_before") => assert_eq!((one.as_bool(), other.as_bool()), (Some(false), Some(true)), "{told}"),
            (_, _, name) if SHOWN_ONCE.contains(&name) && (shown_before.is_some() || name == "tokens") => {
                assert!(first.has_field(&field), "{told}: {name} is shown once");
                assert!(!again.has_field(&field), "{told}: {name} is shown again");
            }
            (Value::Message(one), Value::Message(other), _) => is_told_again(one, other, told),
            (one, other, name) => assert_eq!(one, other, "{told}: {name}"),
        }
    }
}

#[tokio::test]
async fn a_named_request_is_done_once_whichever_of_its_callers_keys_asks_again() {
    let world = World::new().await;
    let (first_key, second_key) = two_keys(&world).await;
    let named: Vec<_> = contract().into_iter().filter(|(_, method)| takes_a_name(method)).collect();
    assert!(named.len() > 30, "{}", named.len());
    for (number, (name, method)) in named.into_iter().enumerate() {
        let message = request(&world, &name, &format!("n{number}")).await;
        let before = deeds(&world).await;
        let first = ask(&world, &first_key, &method, &format!("r-{number}"), &message).await;
        let first = first.unwrap_or_else(|status| panic!("{name}: {status:?}"));
        let after = deeds(&world).await;
        assert!(after > before, "{name} is a deed");
        let again = ask(&world, &second_key, &method, &format!("r-{number}"), &message).await;
        let again = again.unwrap_or_else(|status| panic!("{name} again: {status:?}"));
        assert_eq!(deeds(&world).await, after, "{name} is done once");
        is_told_again(&first, &again, &name);
    }
}

#[tokio::test]
async fn a_name_with_other_content_is_refused_and_finds_nothing_out() {
    let world = World::with(|config| config.login_guard.free_per_account = 3).await;
    let (key, _) = two_keys(&world).await;
    let create = |label: &str| v1::CreateApiKeyRequest {
        identity: who("ada"),
        label: label.into(),
        request_id: "r-1".into(),
        ..Default::default()
    };
    world.api_keys().create_api_key(by(&key, create("one"))).await.expect("a new key");
    let status = world.api_keys().create_api_key(by(&key, create("two"))).await.expect_err("another content");
    assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "REQUEST_ID_REUSED"));
    let (others, _) = world.service_key("system", "other", &["issue"]).await;
    let made = world.api_keys().create_api_key(by(&others, create("two"))).await.expect("another caller's name");
    assert!(!made.into_inner().shown_before);

    let change = |current: &str| v1::ChangePasswordRequest {
        identity: who("ada"),
        current_password: current.into(),
        new_password: "another horse".into(),
        request_id: "r-2".into(),
        ..Default::default()
    };
    let ask = async |current: &str| world.passwords().change_password(by(&key, change(current))).await;
    let told = async |current: &str| ask(current).await.expect("an outcome").into_inner().outcome.expect("one of them");
    use v1::change_password_response::Outcome;
    assert!(matches!(told(PASSWORD).await, Outcome::Changed(_)));
    assert!(matches!(told(PASSWORD).await, Outcome::Changed(_)), "asked again");
    let mut waits = 0;
    for guess in 0..6 {
        let Outcome::Refused(refused) = told(&format!("no horse {guess}")).await else { panic!("it is wrong") };
        waits = refused.retry_after_ms;
    }
    assert!(waits > 0, "a guess under the same name counts as every other does");
}

#[tokio::test]
async fn a_named_ticket_is_the_same_ticket_and_admits_one() {
    let world = World::new().await;
    let (key, next) = two_keys(&world).await;
    let parent_credential = world.issue().await.1.access_token;
    let request = || v1::CreateTicketRequest {
        parent_credential: parent_credential.clone(),
        request_id: "r-1".into(),
        ..Default::default()
    };
    let client = || v1::tickets_service_client::TicketsServiceClient::new(world.channel.clone());
    let ticket = client().create_ticket(by(&key, request())).await.expect("a ticket").into_inner().ticket;
    let again = client().create_ticket(by(&next, request())).await.expect("the same").into_inner().ticket;
    assert_eq!(ticket, again);
    let unnamed = v1::CreateTicketRequest { request_id: String::new(), ..request() };
    assert_ne!(client().create_ticket(by(&key, unnamed)).await.expect("another").into_inner().ticket, ticket);
    let redeem = async |id: u8| {
        let presented = v1::TicketPresentation { ticket: ticket.clone(), redemption_id: vec![id; 16] };
        let credential = Some(v1::verify_request::Credential::Ticket(presented));
        let verdict = world.verification().verify(by(&key, v1::VerifyRequest { credential, context: None })).await;
        verdict.expect("a verdict").into_inner()
    };
    assert_eq!(redeem(1).await.outcome(), v1::Outcome::Allowed);
    assert_eq!(redeem(2).await.deny_reason(), v1::DenyReason::Spent);
}

#[tokio::test]
async fn a_credential_of_another_tenant_becomes_no_ticket() {
    let world = World::new().await;
    world.make_tenant("other").await;
    let (stranger, _) = world.service_key("other", "backend", &["issue"]).await;
    let (own, _) = world.service_key("demo", "backend", &["issue"]).await;
    let parent_credential = world.issue().await.1.access_token;
    let request = || v1::CreateTicketRequest { parent_credential: parent_credential.clone(), ..Default::default() };
    let mut client = v1::tickets_service_client::TicketsServiceClient::new(world.channel.clone());
    let status = client.create_ticket(by(&stranger, request())).await.expect_err("it is another's");
    assert_eq!(reason(&status), "PARENT_REFUSED");
    assert!(format!("{status:?}").contains("unknown"), "{status:?}");
    client.create_ticket(by(&own, request())).await.expect("it is its own");
}

//! Who may call what.

use auth_domain::Scope;
use portcullis_proto::auth::v1;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;

use super::world::{World, by, named, reason};
use crate::grpc::METHODS;

/// Calls a method with an empty message. A stream of one message looks the same on the wire.
async fn call(channel: &Channel, path: &'static str, request: Request<()>) -> Result<(), Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.expect("the service listens");
    client.unary(request, path.parse().expect("it is a path"), ProstCodec::<(), ()>::default()).await.map(drop)
}

#[tokio::test]
async fn every_method_is_refused_without_a_credential_and_without_its_scope() {
    let world = World::new().await;
    for scope in Scope::ALL {
        let others: Vec<_> = Scope::ALL.into_iter().filter(|other| *other != scope).map(Scope::name).collect();
        let (key, _) = world.service_key("system", &format!("all-but-{scope}"), &others).await;
        for method in METHODS.iter().copied().filter(|method| method.scope == Some(scope)) {
            let (path, refused) = (method.path, "the gate stands before it");
            let nobody = call(&world.channel, path, Request::new(())).await.expect_err(refused);
            assert_eq!((nobody.code(), &*reason(&nobody)), (Code::Unauthenticated, "CREDENTIAL_MISSING"), "{path}");
            let liar = call(&world.channel, path, by("pk_x", ())).await.expect_err(refused);
            assert_eq!((liar.code(), &*reason(&liar)), (Code::Unauthenticated, "CREDENTIAL_REFUSED"), "{path}");
            let weak = call(&world.channel, path, by(&key, ())).await.expect_err(refused);
            assert_eq!((weak.code(), &*reason(&weak)), (Code::PermissionDenied, "SCOPE_MISSING"), "{path}");
        }
    }
}

#[tokio::test]
async fn a_caller_acts_only_on_its_own_tenant() {
    let world = World::new().await;
    world.make_tenant("other").await;
    let scopes: Vec<_> = Scope::ALL.into_iter().map(Scope::name).collect();
    let (key, _) = world.service_key("other", "backend", &scopes).await;
    let ada = || Some(named("demo", "ada"));
    let forbidden = [
        world.identities().get_identity(by(&key, v1::GetIdentityRequest { identity: ada() })).await.map(drop),
        world.identities().disable_identity(by(&key, v1::DisableIdentityRequest { identity: ada() })).await.map(drop),
        world.tenants().create_tenant(by(&key, new_tenant("mine"))).await.map(drop),
        world.tenants().set_lease_class(by(&key, strict("demo"))).await.map(drop),
        world.revocations().fetch_range(by(&key, v1::FetchRangeRequest::default())).await.map(drop),
        call(&world.channel, "/portcullis.auth.v1.RevocationsService/Watch", by(&key, ())).await,
        world
            .passwords()
            .reset_password(by(&key, v1::ResetPasswordRequest { identity: ada(), ..Default::default() }))
            .await
            .map(drop),
        world
            .passwords()
            .change_password(by(&key, v1::ChangePasswordRequest { identity: ada(), ..Default::default() }))
            .await
            .map(drop),
        world
            .passwords()
            .import_password(by(&key, v1::ImportPasswordRequest { identity: ada(), ..Default::default() }))
            .await
            .map(drop),
        world.second_factors().enrol_totp(by(&key, v1::EnrolTotpRequest { identity: ada() })).await.map(drop),
        world
            .second_factors()
            .confirm_totp(by(&key, v1::ConfirmTotpRequest { identity: ada(), ..Default::default() }))
            .await
            .map(drop),
        world
            .second_factors()
            .remove_second_factor(by(&key, v1::RemoveSecondFactorRequest { identity: ada() }))
            .await
            .map(drop),
        world
            .second_factors()
            .renew_recovery_codes(by(&key, v1::RenewRecoveryCodesRequest { identity: ada() }))
            .await
            .map(drop),
        world
            .second_factors()
            .get_second_factors(by(&key, v1::GetSecondFactorsRequest { identity: ada() }))
            .await
            .map(drop),
        world
            .credentials()
            .issue_tokens(by(&key, v1::IssueTokensRequest { identity: ada(), ..Default::default() }))
            .await
            .map(drop),
        world
            .api_keys()
            .create_api_key(by(&key, v1::CreateApiKeyRequest { identity: ada(), ..Default::default() }))
            .await
            .map(drop),
        world
            .credentials()
            .revoke(by(
                &key,
                v1::RevokeRequest {
                    tenant: "demo".into(),
                    target: Some(v1::revoke_request::Target::Identity(named("demo", "ada"))),
                    ..Default::default()
                },
            ))
            .await
            .map(drop),
    ];
    for (index, answer) in forbidden.into_iter().enumerate() {
        let status = answer.expect_err("it is another's");
        assert_eq!((status.code(), &*reason(&status)), (Code::PermissionDenied, "TENANT_FORBIDDEN"), "call {index}");
    }
    let seen = world.tenants().list_tenants(by(&key, v1::ListTenantsRequest::default())).await.expect("its own");
    let seen: Vec<_> = seen.into_inner().tenants.into_iter().map(|tenant| tenant.name).collect();
    assert_eq!(seen, ["other"]);
    // A target of another tenant cannot hide in a request for one's own.
    let smuggled = v1::RevokeRequest {
        tenant: "other".into(),
        target: Some(v1::revoke_request::Target::Identity(named("demo", "ada"))),
        ..Default::default()
    };
    let status = world.credentials().revoke(by(&key, smuggled)).await.expect_err("it is another's");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_foreign_service_gets_no_verdict_about_a_credential_of_another_tenant() {
    let world = World::new().await;
    world.make_tenant("other").await;
    let (key, _) = world.service_key("other", "backend", &["verify"]).await;
    let (_, tokens) = world.issue().await;
    let verdict = world.verify(&key, &tokens.access_token).await;
    assert_eq!(verdict.outcome(), v1::Outcome::DeniedTransient);
    assert_eq!(verdict.deny_reason(), v1::DenyReason::Unknown);
    let own = world.verify(&world.admin, &tokens.access_token).await;
    let reference = own.allowed.expect("it is good").reference.expect("it has one");
    let request = v1::BatchVerifyRequest { references: vec![reference] };
    let verdicts = world.verification().batch_verify(by(&key, request)).await.expect("it has the scope");
    assert_eq!(verdicts.into_inner().verdicts[0].deny_reason(), v1::DenyReason::Unknown);
}

#[tokio::test]
async fn a_method_that_does_not_exist_is_unimplemented_and_reflection_is_off() {
    let world = World::new().await;
    for path in
        ["/portcullis.auth.v1.TenantsService/DropTenant", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"]
    {
        let status = call(&world.channel, path, by(&world.admin, ())).await.expect_err("there is none");
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn health_is_told_for_each_service_without_a_credential() {
    let world = World::new().await;
    let mut health = HealthClient::new(world.channel.clone());
    for service in ["", "portcullis.auth.v1.VerificationService", "portcullis.auth.v1.RevocationsService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.expect("it is known").into_inner();
        assert_eq!(answer.status, 1, "{service} serves");
    }
    let unknown = health.check(HealthCheckRequest { service: "x".into() }).await.expect_err("it is not known");
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn whoever_watches_health_keeps_nobody_from_stopping() {
    let mut world = World::new().await;
    let mut health = HealthClient::new(world.channel.clone());
    let request = HealthCheckRequest { service: String::new() };
    let mut told = health.watch(request.clone()).await.expect("it is known").into_inner();
    assert_eq!(told.message().await.expect("no error").map(|message| message.status), Some(1));
    let mut others = Vec::new();
    let refused = loop {
        match health.watch(request.clone()).await {
            Ok(watch) => others.push(watch),
            Err(status) => break status,
        }
    };
    assert_eq!((refused.code(), others.len()), (Code::ResourceExhausted, 63));
    let running = world.running.take().expect("it runs");
    assert!(running.stop().await, "everything ended in time");
    while let Ok(Some(_)) = told.message().await {}
}

#[tokio::test]
async fn a_message_over_the_cap_is_refused() {
    let world = World::with(|config| config.grpc.max_message_bytes = 4_096).await;
    let request = new_tenant(&"x".repeat(5_000));
    let status = world.tenants().create_tenant(by(&world.admin, request)).await.expect_err("it is too large");
    assert_eq!(status.code(), Code::OutOfRange);
}

#[tokio::test]
async fn a_field_that_breaks_its_rule_is_named() {
    let world = World::new().await;
    let request = new_tenant("No Capitals");
    let status = world.tenants().create_tenant(by(&world.admin, request)).await.expect_err("it is no name");
    assert_eq!((status.code(), &*reason(&status)), (Code::InvalidArgument, "FIELD_INVALID"));
    assert!(status.message().contains("`name`") && !status.message().contains("Capitals"), "{}", status.message());
}

fn new_tenant(name: &str) -> v1::CreateTenantRequest {
    v1::CreateTenantRequest { name: name.to_owned(), ..Default::default() }
}

fn strict(tenant: &str) -> v1::SetLeaseClassRequest {
    v1::SetLeaseClassRequest { tenant: tenant.to_owned(), lease_class: v1::LeaseClass::Strict.into() }
}

//! What stands before every call. Who may call what is in `guard`.

use portcullis_proto::auth::v1;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;

use super::world::{World, by, reason};

/// Calls a method with an empty message. A stream of one message looks the same on the wire.
async fn call(channel: &Channel, path: &'static str, request: Request<()>) -> Result<(), Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.expect("the service listens");
    client.unary(request, path.parse().expect("it is a path"), ProstCodec::<(), ()>::default()).await.map(drop)
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

//! How a tenant is told that it writes too much.

use std::time::Duration;

use portcullis_proto::auth::v1;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::world::{World, by, reason};

#[tokio::test]
async fn one_event_too_many_is_refused_with_when_to_come_again() {
    let world = World::with(|config| config.tenants.events_per_minute = 1).await;
    let (key, _) = world.service_key("demo", "backend", &["revoke"]).await;
    let revoke = async |key: &str, session: String| {
        let target = Some(v1::revoke_request::Target::SessionId(session));
        let request = v1::RevokeRequest { tenant: "demo".into(), target, ..Default::default() };
        world.credentials().revoke(by(key, request)).await
    };
    let (first, second) = (world.issue().await.0, world.issue().await.0);
    revoke(&key, first.clone()).await.expect("it may");
    let status = revoke(&key, second.clone()).await.expect_err("it is one too many");
    assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "TENANT_QUOTA"));
    let wait = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("it is told when");
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(60), "{wait:?}");
    revoke(&key, first).await.expect("it is dead already");
    revoke(&world.admin, second).await.expect("the administrator is not counted");
    let page = world.send(http::Method::GET, "/metrics", &[], "").await.into_body();
    let counted = b"portcullis_auth_tenant_events_refused_total 1\n";
    assert!(page.windows(counted.len()).any(|part| part == counted), "{page:?}");
}

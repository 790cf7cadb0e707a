//! Lease classes with the real programs: who is served for how long, and what cannot be promised is refused.

use portcullis_proto::auth::v1;
use serde_json::json;
use test_harness::{Edge, PASSWORD, Site, Socket, eventually};
use tonic::Code;

const CLASSES: &str = "[guarantee]\nstrict_ms = 1000\nstandard_ms = 6000\ntolerant_ms = 60000\nhold_max_ms = 60000\n\
                       bound_ms = 90000\nprobe_interval_ms = 100\n";

fn message(kind: &str) -> serde_json::Value {
    json!({ "push": { "message": { "data": { "type": kind } } } })
}

/// A tenant of this class, and a socket of its one user on the first gateway, with the user's token.
async fn user_of(site: &Site, tenant: &str, class: v1::LeaseClass) -> (Socket, String) {
    let request = v1::CreateTenantRequest { name: tenant.to_owned(), lease_class: class.into(), ..Default::default() };
    site.admin.tenants().create_tenant(request).await.expect("the tenant is made");
    site.admin.put_role(tenant, "member", &[(v1::Action::Publish, "room:*")]).await;
    site.admin.create_identity(tenant, "carol", v1::IdentityKind::User, PASSWORD, &["member"]).await;
    let login = site.edge().log_in(tenant, "carol", PASSWORD).await;
    let mut socket = site.gateways[0].open().await;
    socket.connect(Some(&login.access_token)).await;
    (socket, login.access_token)
}

#[tokio::test]
async fn cut_off_from_the_authority_strict_freezes_first_and_tolerant_goes_on() {
    let site = Site::start_with(CLASSES).await;
    let gateway = &site.gateways[0];
    let alice = site.log_in("alice").await;
    let mut strict = gateway.open().await;
    strict.connect(Some(&alice.access_token)).await;
    let (mut standard, _) = user_of(&site, "plain", v1::LeaseClass::Unspecified).await;
    let (mut tolerant, _) = user_of(&site, "patient", v1::LeaseClass::Tolerant).await;
    // Her tenant becomes strict while her socket is open.
    let request = v1::SetLeaseClassRequest {
        tenant: "acme".to_owned(),
        lease_class: v1::LeaseClass::Strict.into(),
        ..Default::default()
    };
    let changed = site.admin.tenants().set_lease_class(request).await.expect("it is set").into_inner();
    let request = v1::AwaitEnforcedRequest { revision: changed.revision, timeout_ms: 10_000 };
    site.backend.credentials().await_enforced(request).await.expect("an answer");
    assert!(strict.is_alive().await, "she was judged again and goes on");

    site.link.silence();
    assert_eq!(strict.next().await, Ok(message("frozen")));
    assert!(standard.is_alive().await && tolerant.is_alive().await);
    assert_eq!(standard.next().await, Ok(message("frozen")));
    assert!(tolerant.is_alive().await);
    assert!(gateway.metric("portcullis_gateway_frozen", "class=\"strict\"").await >= 1.0);
    assert!(gateway.metric("portcullis_gateway_frozen", "class=\"tolerant\"").await < 1.0);
    site.link.restore();
    assert_eq!(strict.next().await, Ok(message("thawed")));
    assert_eq!(standard.next().await, Ok(message("thawed")));
    assert!(tolerant.is_alive().await);
}

#[tokio::test]
async fn hold_serves_whoever_is_there_and_lets_nobody_in() {
    let short = "[guarantee]\nstandard_ms = 2000\nprobe_interval_ms = 200\nbound_ms = 120000\n";
    let site = Site::start_with(short).await;
    let gateway = &site.gateways[0];
    let (mut there, token) = user_of(&site, "show", v1::LeaseClass::Hold).await;
    let alice = site.log_in("alice").await;
    let mut standard = gateway.open().await;
    standard.connect(Some(&alice.access_token)).await;
    site.link.silence();
    assert_eq!(standard.next().await, Ok(message("frozen")));
    assert!(there.is_alive().await, "held");
    // The verdict is still in the cache: it is the class that lets nobody in.
    let mut late = gateway.open().await;
    let answer = late.try_connect(Some(&token)).await.expect("an answer");
    assert_eq!(answer.error(), Some((108, "not_ready")), "{answer:?}");
    assert!(there.is_alive().await);
    site.link.restore();
    gateway.synced().await;
    let mut again = gateway.open().await;
    again.connect(Some(&token)).await;
}

#[tokio::test]
async fn what_outlasts_the_bound_is_refused_to_tenants_and_not_served_on_routes() {
    let site = Site::start().await;
    let request = v1::SetLeaseClassRequest {
        tenant: "acme".to_owned(),
        lease_class: v1::LeaseClass::Tolerant.into(),
        ..Default::default()
    };
    let refused = site.admin.tenants().set_lease_class(request).await.expect_err("60 s do not fit into 15 s");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");

    let mut options = site.gateway_options("gateway-patient");
    options.hub = format!("lease_class = \"tolerant\"\n{}", options.hub);
    let gateway = site.start_gateway(&options).await;
    let edge = Edge::at(gateway.http);
    eventually("the gateway to say why it is not ready", || {
        let edge = edge.clone();
        async move { edge.get("/ready").await.ok().filter(|it| it.text.contains("route_over_bound")).map(|_| ()) }
    })
    .await;
    let alice = site.log_in("alice").await;
    let header = format!("Bearer {}", alice.access_token);
    for headers in [vec![], vec![("authorization", header.as_str())]] {
        let (status, body) = Socket::open(&gateway.url(), &headers).await.expect_err("it is not served");
        assert_eq!(status, 503);
        assert!(body.contains("route_over_bound"), "{body}");
    }
    let log = gateway.process.log();
    for part in ["this route is not served", "/connection/websocket", "tolerant"] {
        assert!(log.contains(part), "{part}");
    }
    let terms = site.backend.revocations().get_guarantee(v1::GetGuaranteeRequest {}).await.expect("an answer");
    let terms = terms.into_inner().terms.expect("the lengths");
    assert_eq!(
        (terms.strict_ms, terms.standard_ms, terms.tolerant_ms, terms.bound_ms),
        (5_000, 15_000, 60_000, 15_000)
    );
    assert!((site.authority.metric("portcullis_auth_bound_seconds", "").await - 15.0).abs() < 0.001);
}

//! What an operator sees of logins: how many were refused, and of whom.

use std::time::Duration;

use http::{StatusCode, header};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::authentication_service_client::AuthenticationServiceClient;

use super::world::{PASSWORD, World, by, named, reason};

impl World {
    async fn log_in_by_grpc(&self, name: &str, password: &str) {
        let password = v1::PasswordMethod { name: name.to_owned(), password: password.to_owned() };
        let request = v1::BeginAuthenticationRequest {
            tenant: "demo".to_owned(),
            method: Some(v1::begin_authentication_request::Method::Password(password)),
            client_address: "192.0.2.9".to_owned(),
            ..Default::default()
        };
        let mut client = AuthenticationServiceClient::new(self.channel.clone());
        client.begin_authentication(by(&self.admin, request)).await.expect("a refusal is an answer");
    }

    async fn trail_of(&self, identity: v1::IdentityReference) -> Result<Vec<v1::AuditEntry>, tonic::Status> {
        let request =
            v1::ListAuditEntriesRequest { tenant: "demo".to_owned(), identity: Some(identity), ..Default::default() };
        self.audit().list_audit_entries(by(&self.admin, request)).await.map(|found| found.into_inner().entries)
    }
}

#[tokio::test]
async fn refused_logins_are_counted_on_both_transports() {
    let world = World::new().await;
    let json = (header::CONTENT_TYPE, "application/json");
    world.log_in_by_grpc("ada", "wrong password").await;
    world.log_in_by_grpc("nobody", PASSWORD).await;
    world.log_in_by_grpc("ada", PASSWORD).await;
    let body = r#"{"tenant":"demo","name":"ada","password":"wrong password","mode":"token"}"#;
    let (refused, _) = world.http("/v1/login", std::slice::from_ref(&json), body).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    world.enrol().await;
    let (_, asked) =
        world.http("/v1/login", std::slice::from_ref(&json), &body.replace("wrong password", PASSWORD)).await;
    let body = format!(r#"{{"continuation":{},"proof":{{"totp_code":"no code"}}}}"#, asked["continuation"]);
    world.http("/v1/login/continue", &[json], &body).await;
    let metrics = world.get("/metrics").await;
    for (method, outcome, count) in [
        ("password", "denied", 3),
        ("password", "granted", 1),
        ("password", "challenged", 1),
        ("totp", "denied", 1),
        ("totp", "granted", 0),
    ] {
        let line = format!(r#"portcullis_auth_logins_total{{method="{method}",outcome="{outcome}"}} {count}"#);
        assert!(metrics.contains(&line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn what_concerns_somebody_is_found_by_name_and_by_id() {
    let world = World::new().await;
    world.log_in_by_grpc("ada", "wrong password").await;
    world.log_in_by_grpc("nobody", "wrong password").await;
    let ada = || named("demo", "ada");
    let rows = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let rows = world.trail_of(ada()).await.expect("it may");
            if rows.iter().any(|row| row.action == "login.deny") {
                return rows;
            }
            tokio::task::yield_now().await;
        }
    });
    let rows = rows.await.expect("refusals are written down in seconds");
    let actions: Vec<_> = rows.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["login.deny", "identity.create"], "and nothing of others");
    assert!(rows.iter().all(|row| row.identity_id == world.ada));
    assert_eq!((&*rows[0].reason, &*rows[0].address), ("WRONG_PASSWORD", "192.0.2.9"));
    assert_eq!((&*rows[1].address, &*rows[1].detail), ("127.0.0.1", r#"{"kind":"user","roles":[]}"#));
    let id = Some(v1::identity_reference::Identity::Id(world.ada.clone()));
    let by_id = v1::IdentityReference { tenant: "demo".to_owned(), identity: id };
    assert_eq!(world.trail_of(by_id).await.expect("it may"), rows);
    let nobody = world.trail_of(named("demo", "nobody")).await.expect_err("there is no such identity");
    assert_eq!(reason(&nobody), "IDENTITY_NOT_FOUND");
    let elsewhere = world.trail_of(named("system", "admin")).await.expect_err("another tenant's");
    assert_eq!(reason(&elsewhere), "FIELD_INVALID");
}

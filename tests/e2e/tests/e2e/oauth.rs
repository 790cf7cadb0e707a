//! Client credentials over HTTP, asked for by a published OAuth client library that knows nothing of us.

use portcullis_proto::auth::v1;
use serde_json::{Value, json};
use test_harness::{Api, Node, Site, remember};

/// A site, a client library, and what it is configured with: the endpoint, the id of a key and the key.
async fn site_with_client() -> (Site, Node, Value) {
    let site = Site::start().await;
    let (id, key) = site.admin.create_api_key("acme", "backend", &["verify", "revoke"]).await;
    let endpoint = format!("http://{}/v1/token", site.authority.http);
    let mut client = Node::oauth();
    client.event("ready").await;
    (site, client, json!({ "endpoint": endpoint, "id": id, "secret": key, "way": "basic" }))
}

fn with(configured: &Value, more: &Value) -> Value {
    let mut all = configured.clone();
    for (name, value) in more.as_object().expect("an object") {
        all[name] = value.clone();
    }
    all
}

#[tokio::test]
async fn a_client_library_gets_a_services_token_that_calls_in_its_keys_place() {
    let (site, mut client, configured) = site_with_client().await;
    let alice = site.log_in("alice").await;
    for way in ["basic", "post"] {
        let answer = client.ask("client", with(&configured, &json!({ "way": way }))).await;
        assert_eq!(answer.text("scope"), "verify revoke", "{answer:?}");
        remember("a service token", answer.text("token"));
        let job = Api::connect(site.authority.grpc, answer.text("token")).await;
        assert_eq!(job.verify(&alice.access_token).await.outcome(), v1::Outcome::Allowed);
    }
    let narrow = client.ask("client", with(&configured, &json!({ "scope": "verify" }))).await;
    assert_eq!(narrow.text("scope"), "verify");
    let job = Api::connect(site.authority.grpc, narrow.text("token")).await;
    assert_eq!(job.verify(&alice.access_token).await.outcome(), v1::Outcome::Allowed);
    let target = || v1::revoke_request::Target::SessionId(alice.session.clone());
    assert!(job.try_revoke("acme", target()).await.is_err(), "it asked for less than its key may");

    let id = configured["id"].as_str().expect("an id").to_owned();
    site.admin.revoke("acme", v1::revoke_request::Target::CredentialId(id)).await;
    let dead = client.ask("client", configured.clone()).await;
    assert_eq!(dead.text("error"), "invalid_client");
    let credential = Some(v1::verify_request::Credential::Bearer(alice.access_token));
    let request = v1::VerifyRequest { credential, context: None };
    let refused = job.verification().verify(request).await.expect_err("it died with its key");
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
}

#[tokio::test]
async fn a_client_library_understands_every_refusal() {
    let (_site, mut client, configured) = site_with_client().await;
    let other = json!({ "id": "0192f0c1-2345-7abc-8def-0123456789ab" });
    for (more, error, status) in [
        (json!({ "secret": "pk_nonsense" }), "invalid_client", 401),
        (other, "invalid_client", 401),
        (json!({ "scope": "admin" }), "invalid_scope", 400),
        (json!({ "scope": "everything" }), "invalid_scope", 400),
    ] {
        let answer = client.ask("client", with(&configured, &more)).await;
        assert_eq!((answer.text("error"), answer.0["status"].as_u64()), (error, Some(status)), "{answer:?}");
        assert_eq!(answer.text("challenge"), if status == 401 { "basic" } else { "" });
    }
}

#[tokio::test]
async fn a_client_library_refreshes_a_session_once() {
    let (site, mut client, configured) = site_with_client().await;
    let alice = site.log_in("alice").await;
    let refresh = |token: &str| json!({ "endpoint": configured["endpoint"], "token": token });
    let next = client.ask("refresh", refresh(&alice.refresh_token)).await;
    for name in ["token", "refresh"] {
        remember("a token of a client library", next.text(name));
    }
    assert_eq!(site.backend.verify(next.text("token")).await.outcome(), v1::Outcome::Allowed);
    let later = client.ask("refresh", refresh(next.text("refresh"))).await;
    assert!(!later.text("token").is_empty(), "{later:?}");
    let stolen = client.ask("refresh", refresh(&alice.refresh_token)).await;
    assert_eq!((stolen.text("error"), stolen.0["status"].as_u64()), ("invalid_grant", Some(400)));
    assert_eq!(site.backend.verify(next.text("token")).await.outcome(), v1::Outcome::DeniedPermanent);
}

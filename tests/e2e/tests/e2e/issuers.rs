//! Bring your own issuer: a real OpenID Connect provider, and sockets that rest on its word.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_proto::auth::v1;
use serde_json::json;
use test_harness::{Cli, Closed, Node, Site, eventually, remember};

/// A site that trusts a provider, and the provider.
async fn site_with(more: &str) -> (Site, Node) {
    let site = Site::start_with(&format!("[issuers]\nallow_loopback_http = true\n{more}")).await;
    let mut provider = Node::oidc();
    let url = provider.event("ready").await.text("issuer").to_owned();
    let rule = v1::RoleRule { claim: "groups".into(), value: "staff".into(), role: "member".into() };
    let issuer = v1::Issuer {
        tenant: "acme".into(),
        name: "corp".into(),
        url,
        audience: "acme-app".into(),
        algorithms: vec!["ES256".into()],
        name_template: "corp:{sub}".into(),
        role_rules: vec![rule],
        create_identities: true,
        ..v1::Issuer::default()
    };
    let request = v1::PutIssuerRequest { issuer: Some(issuer), ..Default::default() };
    site.admin.issuers().put_issuer(request).await.expect("the administrator may");
    (site, provider)
}

async fn token(provider: &mut Node) -> String {
    let answer = provider.ask("token", json!({})).await;
    let token = answer.text("token").to_owned();
    assert!(!token.is_empty(), "the provider gave none: {answer:?}");
    remember("a token of the provider", &token);
    token
}

/// The same token, which names another key.
fn with_unknown_key(token: &str, n: usize) -> String {
    let (header, rest) = token.split_once('.').expect("a JWT");
    let header = URL_SAFE_NO_PAD.decode(header).expect("base64url");
    let mut header: serde_json::Value = serde_json::from_slice(&header).expect("JSON");
    header["kid"] = json!(format!("unknown-{n}"));
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

#[tokio::test]
async fn sockets_rest_on_the_word_of_a_real_provider_until_it_is_taken_back() {
    let (site, mut provider) = site_with("cooldown_ms = 1000").await;
    let first = token(&mut provider).await;
    let verdict = site.backend.verify(&first).await;
    let allowed = verdict.allowed.expect("the provider is trusted");
    assert_eq!(allowed.principal.expect("always some").identity_name, "corp:app");
    let mut sockets = Vec::new();
    for gateway in &site.gateways {
        let mut socket = gateway.open().await;
        assert!(socket.connect(Some(&first)).await.is_authenticated());
        socket.subscribe("room:1").await;
        sockets.push(socket);
    }

    provider.ask("rotate", json!({})).await;
    let second = token(&mut provider).await;
    eventually("the new key to be known", async || {
        let outcome = site.backend.verify(&second).await.outcome();
        (outcome == v1::Outcome::Allowed).then_some(())
    })
    .await;
    for socket in &mut sockets {
        assert!(socket.is_alive().await, "a key that went takes no socket with it");
    }

    site.admin.revoke_identity("acme", "corp:app").await;
    for socket in &mut sockets {
        assert_eq!(socket.closed().await.code, 4512);
    }
    // The key of the first went, and nobody can tell any more whether the provider signed it.
    for (token, outcome) in [(&first, v1::Outcome::DeniedTransient), (&second, v1::Outcome::DeniedPermanent)] {
        let mut socket = site.gateways[0].open().await;
        assert!(socket.try_connect(Some(token)).await.expect("told by a frame").error().is_some());
        assert_eq!(site.backend.verify(token).await.outcome(), outcome);
    }
}

#[tokio::test]
async fn an_issuer_that_is_removed_closes_its_sockets_and_no_others() {
    let (site, mut provider) = site_with("").await;
    let (theirs, ours) = (token(&mut provider).await, site.log_in("alice").await.access_token);
    let (mut theirs_open, mut ours_open) = (site.gateways[0].open().await, site.gateways[0].open().await);
    assert!(theirs_open.connect(Some(&theirs)).await.is_authenticated());
    assert!(ours_open.connect(Some(&ours)).await.is_authenticated());
    let request = v1::RemoveIssuerRequest { tenant: "acme".into(), name: "corp".into(), ..Default::default() };
    site.admin.issuers().remove_issuer(request).await.expect("the administrator may");
    let reason = "client or signing key or issuer revoked".to_owned();
    assert_eq!(theirs_open.closed().await, Closed { code: 4510, reason });
    assert!(ours_open.is_alive().await);
    assert_eq!(site.backend.verify(&theirs).await.outcome(), v1::Outcome::DeniedTransient);
}

#[tokio::test]
async fn a_flood_of_unknown_keys_asks_the_provider_once() {
    let (site, mut provider) = site_with("cooldown_ms = 600000").await;
    let good = token(&mut provider).await;
    for n in 0..100 {
        let verdict = site.backend.verify(&with_unknown_key(&good, n)).await;
        assert_eq!(verdict.deny_reason(), v1::DenyReason::Unknown);
    }
    assert_eq!(site.backend.verify(&good).await.outcome(), v1::Outcome::Allowed);
    let asked = provider.ask("asked", json!({})).await;
    assert_eq!(asked.0["count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_link_is_undone_without_deleting_the_person() {
    const OWN: &str = "a password of her own";
    let (site, mut provider) = site_with("").await;
    let cli = Cli::admin(&site.authority).with(&["--output", "json"]);
    let id = site.admin.create_identity("acme", "corp:app", v1::IdentityKind::User, OWN, &["member"]).await;
    let issuers = cli.ask(&["issuer", "list", "--tenant", "acme"]).await.json();
    let url = issuers["issuers"][0]["url"].as_str().expect("a text").to_owned();
    let put = ["issuer", "put", "--tenant", "acme", "--name", "corp", "--url", &url, "--audience", "acme-app"];
    cli.ask(&[&put[..], &["--identity", "corp:{sub}", "--link"]].concat()).await.done();
    let linked = token(&mut provider).await;
    let mut socket = site.gateways[0].open().await;
    assert!(socket.connect(Some(&linked)).await.is_authenticated());
    let subjects = ["issuer", "subjects", "--tenant", "acme", "--issuer", "corp"];
    assert_eq!(cli.ask(&subjects).await.json()["subjects"][0]["identity_id"], json!(id));

    let unlink = ["issuer", "unlink", "--tenant", "acme", "--name", "corp:app", "--issuer", "corp", "--wait"];
    cli.ask(&unlink).await.done();
    assert_eq!(socket.closed().await.code, 4512);
    assert_eq!(cli.ask(&subjects).await.json()["subjects"], json!([]));
    let row = ["audit", "list", "--tenant", "acme", "--action", "identity.unlink"];
    assert_eq!(cli.ask(&row).await.json()["entries"][0]["target"], json!(format!("identity:{id}")));
    site.edge().log_in("acme", "corp:app", OWN).await;
}

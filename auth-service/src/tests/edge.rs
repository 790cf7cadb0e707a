//! The HTTP edge as browsers and programs meet it.

use http::{HeaderName, StatusCode, header};
use portcullis_config::TrustedProxies;
use portcullis_proto::auth::v1;
use portcullis_types::AddressRange;

use super::world::{ORIGIN, PASSWORD, World, by, named};
use crate::config::Config;

const JSON: (http::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");
const FORM: (http::HeaderName, &str) = (header::CONTENT_TYPE, "application/x-www-form-urlencoded");

fn login(mode: &str, password: &str) -> String {
    format!(r#"{{"tenant":"demo","name":"ada","password":"{password}","mode":"{mode}"}}"#)
}

/// Logs in with a cookie; returns what the browser would send back.
async fn cookie(world: &World) -> String {
    let (response, body) = world.http("/v1/login", &[JSON], &login("cookie", PASSWORD)).await;
    assert_eq!(response.status(), StatusCode::OK, "{body}");
    assert!(body.get("access_token").is_none() && body.get("refresh_token").is_none(), "no token for scripts");
    let set = response.headers()[header::SET_COOKIE].to_str().expect("it is text").to_owned();
    for attribute in ["__Host-portcullis_session=sc_", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
        assert!(set.contains(attribute), "{attribute} in {set}");
    }
    set.split(';').next().expect("the pair comes first").to_owned()
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_get_the_same_answer() {
    let world = World::new().await;
    let wrong = world.http("/v1/login", &[JSON], &login("token", "wrong password")).await;
    let body = login("token", PASSWORD).replace("ada", "nobody");
    let unknown = world.http("/v1/login", &[JSON], &body).await;
    assert_eq!(wrong.0.status(), StatusCode::UNAUTHORIZED);
    assert_eq!((wrong.0.status(), &wrong.1), (unknown.0.status(), &unknown.1));
    assert_eq!(wrong.1["reason"], "invalid_credentials");
}

#[tokio::test]
async fn tokens_are_renewed_once_and_reuse_ends_the_session() {
    let world = World::new().await;
    let (response, first) = world.http("/v1/login", &[JSON], &login("token", PASSWORD)).await;
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!((&first["identity"]["name"], &first["identity"]["id"]), (&"ada".into(), &world.ada.clone().into()));
    let refresh = |token: &serde_json::Value| format!(r#"{{"grant_type":"refresh_token","refresh_token":{token}}}"#);
    let (response, second) = world.http("/v1/token", &[JSON], &refresh(&first["refresh_token"])).await;
    assert_eq!(response.status(), StatusCode::OK, "{second}");
    let (response, third) = world.http("/v1/token", &[JSON], &refresh(&second["refresh_token"])).await;
    assert_eq!(response.status(), StatusCode::OK, "{third}");
    let (response, reuse) = world.http("/v1/token", &[JSON], &refresh(&first["refresh_token"])).await;
    assert_eq!((response.status(), &reuse["reason"]), (StatusCode::UNAUTHORIZED, &"spent".into()));
    let access = third["access_token"].as_str().expect("it is text");
    let verdict = world.verify(&world.admin, access).await;
    assert_eq!(verdict.deny_reason(), v1::DenyReason::SessionRevoked);
}

#[tokio::test]
async fn a_form_refreshes_for_the_client_that_the_session_is_of_and_takes_nothing_from_the_url() {
    let world = World::new().await;
    let issue = v1::IssueTokensRequest {
        identity: Some(named("demo", "ada")),
        client_id: "web".to_owned(),
        ..Default::default()
    };
    let issued = world.credentials().issue_tokens(by(&world.admin, issue)).await.expect("it may").into_inner();
    let token = issued.tokens.expect("they were issued").refresh_token;
    let (key, id) = world.service_key("demo", "job", &["verify"]).await;
    let refresh = format!("grant_type=refresh_token&refresh_token={token}");
    let exchange = format!("grant_type=client_credentials&client_id={id}&client_secret={key}");
    for (path, body, error) in [
        ("/v1/token", format!("{refresh}&client_id=mobile"), "invalid_grant"),
        ("/v1/token?client_id=web", refresh.clone(), "invalid_request"),
        ("/v1/token?", refresh.clone(), "invalid_request"),
        (&format!("/v1/token?client_secret={key}"), exchange.clone(), "invalid_request"),
        ("/v1/token", format!("{exchange}&scope=+"), "invalid_scope"),
        ("/v1/token", format!("{exchange}&scope=%20%20"), "invalid_scope"),
    ] {
        let (response, answer) = world.http(path, &[FORM], &body).await;
        assert_eq!((response.status(), &answer["error"]), (StatusCode::BAD_REQUEST, &error.into()), "{path} {body}");
    }
    // Nothing was spent meanwhile, so the session goes on.
    let (response, next) = world.http("/v1/token", &[FORM], &format!("{refresh}&client_id=web")).await;
    assert_eq!(response.status(), StatusCode::OK, "{next}");
    let next = next["refresh_token"].as_str().expect("it is text");
    let unnamed = format!("grant_type=refresh_token&refresh_token={next}");
    let (response, next) = world.http("/v1/token", &[FORM], &unnamed).await;
    assert_eq!(response.status(), StatusCode::OK, "{next}");
}

#[tokio::test]
async fn a_key_that_is_bound_to_addresses_is_exchanged_from_them_alone() {
    const FORWARDED_FOR: http::HeaderName = http::HeaderName::from_static("x-forwarded-for");
    for behind_proxy in [true, false] {
        let world = World::with(|config| {
            if behind_proxy {
                behind_a_proxy(config);
            }
        })
        .await;
        world.make_identity("demo", "job", v1::IdentityKind::Service).await;
        let request = v1::CreateApiKeyRequest {
            identity: Some(named("demo", "job")),
            scopes: vec!["verify".to_owned()],
            addresses: vec!["10.0.0.0/8".to_owned()],
            ..Default::default()
        };
        let made = world.api_keys().create_api_key(by(&world.admin, request)).await.expect("it may").into_inner();
        let id = made.api_key.expect("it was made").id;
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={}", made.secret);
        for (from, is_good) in [
            (&[FORM, (FORWARDED_FOR, "192.0.2.1, 10.0.0.1")][..], behind_proxy),
            (&[FORM, (FORWARDED_FOR, "10.0.0.1, 192.0.2.1")], false),
            (&[FORM], false),
        ] {
            let (response, answer) = world.http("/v1/token", from, &form).await;
            if !is_good {
                assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{from:?}");
                assert_eq!(answer["error"], "invalid_client", "as any other key that is not good");
                continue;
            }
            assert_eq!(response.status(), StatusCode::OK, "{answer}");
            // The token is bound as its key is, and this test calls from elsewhere.
            let token = answer["access_token"].as_str().expect("it is text");
            let request = v1::VerifyRequest {
                credential: Some(v1::verify_request::Credential::Bearer(world.admin.clone())),
                context: None,
            };
            let refused = world.verification().verify(by(token, request)).await.expect_err("it is from elsewhere");
            assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        }
    }
}

#[tokio::test]
async fn json_is_taken_from_the_body_alone_wherever_it_is_taken() {
    let world = World::new().await;
    let (_, first) = world.http("/v1/login", &[JSON], &login("token", PASSWORD)).await;
    let refresh = format!(r#"{{"grant_type":"refresh_token","refresh_token":{}}}"#, first["refresh_token"]);
    let bearer = format!("Bearer {}", first["access_token"].as_str().expect("it is text"));
    let in_url = format!("refresh_token={}", first["refresh_token"].as_str().expect("it is text"));
    for query in ["", "client_id=web", &in_url] {
        for (path, body) in [("/v1/token", &refresh), ("/v1/login", &login("token", PASSWORD))] {
            let (response, problem) = world.http(&format!("{path}?{query}"), &[JSON], body).await;
            let answer = (response.status(), &problem["reason"], problem["detail"].as_str().unwrap_or_default());
            let expected = "Parameters are in the body, never in the URL.";
            assert_eq!(answer, (StatusCode::BAD_REQUEST, &"invalid_request".into(), expected), "{path}?{query}");
        }
        let headers = [(header::AUTHORIZATION, bearer.as_str())];
        let (response, problem) = world.http(&format!("/v1/ws-ticket?{query}"), &headers, "").await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "without any body too: {problem}");
    }
    let (response, next) = world.http("/v1/token", &[JSON], &refresh).await;
    assert_eq!(response.status(), StatusCode::OK, "nothing was spent meanwhile: {next}");
}

#[tokio::test]
async fn a_ticket_needs_a_bearer_or_the_cookie_from_an_allowed_origin() {
    let world = World::new().await;
    let cookie = cookie(&world).await;
    let sent = (header::COOKIE, cookie.as_str());
    let path = "/v1/ws-ticket";
    for (headers, status, reason) in [
        (&[][..], 401, "no_credential"),
        (&[(header::ORIGIN, ORIGIN)], 401, "no_credential"),
        (std::slice::from_ref(&sent), 403, "origin_not_allowed"),
        (&[sent.clone(), (header::ORIGIN, "https://evil.example")], 403, "origin_not_allowed"),
        (&[sent.clone(), (header::ORIGIN, "https://app.example.evil.example")], 403, "origin_not_allowed"),
        (&[sent.clone(), (header::ORIGIN, "null")], 403, "origin_not_allowed"),
        (&[sent.clone(), (header::ORIGIN, ORIGIN), (header::AUTHORIZATION, "Bearer x")], 401, "malformed"),
        (&[sent.clone(), sent.clone(), (header::ORIGIN, ORIGIN)], 400, "two_credentials"),
        (&[(header::AUTHORIZATION, "Basic x")], 401, "malformed"),
    ] {
        let (response, problem) = world.http(path, headers, "").await;
        assert_eq!((response.status().as_u16(), &problem["reason"]), (status, &reason.into()), "{headers:?}");
    }
    let (response, ticket) = world.http(path, &[sent, (header::ORIGIN, ORIGIN)], "").await;
    assert_eq!(response.status(), StatusCode::OK, "{ticket}");
    assert!(ticket["ticket"].as_str().is_some_and(|ticket| ticket.starts_with("tk_")));
    assert!(ticket["expires_in"].as_u64().is_some_and(|seconds| seconds <= 30));
}

#[tokio::test]
async fn logging_out_ends_the_session_and_clears_the_cookie() {
    let world = World::new().await;
    let cookie = cookie(&world).await;
    let value = cookie.split_once('=').expect("a pair").1.to_owned();
    assert_eq!(world.verify(&world.admin, &value).await.outcome(), v1::Outcome::Allowed);
    let headers = [(header::COOKIE, cookie.as_str()), (header::ORIGIN, ORIGIN)];
    let (response, body) = world.http("/v1/logout", &headers, "").await;
    assert_eq!((response.status(), &body["enforced_within"]), (StatusCode::OK, &15.into()), "{body}");
    assert!(body["revision"].as_str().is_some_and(|revision| revision.starts_with("1-")), "{body}");
    let set = response.headers()[header::SET_COOKIE].to_str().expect("it is text");
    assert!(set.contains("Max-Age=0"), "{set}");
    assert_eq!(world.verify(&world.admin, &value).await.deny_reason(), v1::DenyReason::SessionRevoked);
}

#[tokio::test]
async fn logging_out_of_a_dead_session_clears_the_cookie_all_the_same() {
    let world = World::new().await;
    let cookie = format!("theme=Zoë; {}", cookie(&world).await);
    let headers = [(header::COOKIE, cookie.as_str()), (header::ORIGIN, ORIGIN)];
    let (response, body) = world.http("/v1/logout", &headers, "").await;
    assert_eq!(response.status(), StatusCode::OK, "{body}");
    let (response, problem) = world.http("/v1/logout", &headers, "").await;
    assert_eq!((response.status(), &problem["reason"]), (StatusCode::UNAUTHORIZED, &"session_revoked".into()));
    let set = response.headers()[header::SET_COOKIE].to_str().expect("it is text");
    assert!(set.contains("Max-Age=0"), "{set}");
    let foreign = [(header::COOKIE, cookie.as_str()), (header::ORIGIN, "https://evil.example")];
    let (response, _) = world.http("/v1/logout", &foreign, "").await;
    assert!(!response.headers().contains_key(header::SET_COOKIE), "a foreign page clears nothing");
}

#[tokio::test]
async fn a_foreign_page_cannot_log_a_browser_in() {
    let world = World::new().await;
    let headers = [JSON, (header::ORIGIN, "https://evil.example")];
    let (response, problem) = world.http("/v1/login", &headers, &login("cookie", PASSWORD)).await;
    assert_eq!((response.status(), &problem["reason"]), (StatusCode::FORBIDDEN, &"origin_not_allowed".into()));
}

#[tokio::test]
async fn an_api_key_has_no_session_to_end() {
    let world = World::new().await;
    let bearer = format!("Bearer {}", world.admin);
    let (response, problem) = world.http("/v1/logout", &[(header::AUTHORIZATION, &bearer)], "").await;
    assert_eq!((response.status(), &problem["reason"]), (StatusCode::BAD_REQUEST, &"no_session".into()));
}

#[tokio::test]
async fn bodies_are_json_of_the_right_shape_and_size() {
    let world = World::new().await;
    let extra = login("token", PASSWORD).replace("}", r#","admin":true}"#);
    let long = format!(r#"{{"tenant":"{}"}}"#, "x".repeat(20_000));
    let text = (header::CONTENT_TYPE, "text/plain");
    for (kind, body, status, reason) in [
        (text, login("token", PASSWORD), 415, "unsupported_media_type"),
        (JSON, "{".to_owned(), 400, "invalid_request"),
        (JSON, extra, 400, "invalid_request"),
        (JSON, long, 413, "too_large"),
        (JSON, login("token", PASSWORD).replace("demo", "No Tenant"), 400, "invalid_request"),
    ] {
        let (response, problem) = world.http("/v1/login", &[kind], &body).await;
        assert_eq!((response.status().as_u16(), &problem["reason"]), (status, &reason.into()));
        assert!(!problem.to_string().contains(PASSWORD), "a problem never repeats the body");
    }
}

#[tokio::test]
async fn headers_are_capped() {
    let world = World::new().await;
    let long = "x".repeat(20_000);
    let (response, _) = world.http("/v1/login", &[(header::COOKIE, &long)], "").await;
    assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let world = World::new().await;
    for path in ["/v1/login", "/nowhere", "/health"] {
        let (response, _) = world.http(path, &[], "").await;
        let headers = response.headers();
        for (name, value) in [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ] {
            assert_eq!(headers.get(&name).and_then(|value| value.to_str().ok()), Some(value), "{name} of {path}");
        }
        assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY), "nothing here is over TLS");
    }
}

/// Behind a proxy that speaks TLS, and is trusted.
fn behind_a_proxy(config: &mut Config) {
    config.http.behind_tls_proxy = true;
    config.http.trusted_proxies = TrustedProxies::new(vec![AddressRange::try_from("127.0.0.1").expect("a range")]);
}

#[tokio::test]
async fn whoever_came_over_tls_is_told_to_stay() {
    let world = World::with(behind_a_proxy).await;
    for path in ["/v1/login", "/nowhere", "/health"] {
        let (response, _) = world.http(path, &[], "").await;
        assert_eq!(response.headers()[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000", "{path}");
    }
}

#[tokio::test]
async fn figures_are_not_shown_to_the_world_unless_it_is_said() {
    let shows = |page: &str| page.contains("portcullis_auth_bound_seconds");
    assert!(shows(&World::new().await.get("/metrics").await), "to programs of this machine");
    let world = World::with(behind_a_proxy).await;
    let page = world.get("/metrics").await;
    assert!(!shows(&page) && page.contains("not_found"), "{page}");
    let world = World::with(|config| {
        behind_a_proxy(config);
        config.metrics.exposed = true;
    })
    .await;
    assert!(shows(&world.get("/metrics").await));
}

//! What the back end answers to whom, asked through its router beside a stand-in authority.

mod stand_in;

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use portcullis_types::SessionId;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::app::{App, router};
use crate::guard::Own;
use crate::settings::{Gateway, Settings};
use stand_in::StandIn;

const HOST: &str = "127.0.0.1:7780";
const ORIGIN: &str = "http://127.0.0.1:7780";
const POSTS: [&str; 8] = [
    "/api/revoke-session",
    "/api/revoke-identity",
    "/api/disable",
    "/api/enable",
    "/v1/login",
    "/v1/token",
    "/v1/logout",
    "/v1/ws-ticket",
];

struct Demo {
    router: axum::Router,
    authority: StandIn,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Demo {
    async fn start() -> Self {
        let authority = StandIn::start().await;
        let gateway = |port: u16| Gateway {
            url: format!("ws://127.0.0.1:{port}/connection/websocket"),
            origin: format!("ws://127.0.0.1:{port}"),
        };
        let settings = Settings {
            listen: HOST.parse().expect("an address"),
            authority: authority.grpc.parse().expect("an address"),
            authority_http: authority.http.parse().expect("a host and port"),
            api_key: "pk_the-key".into(),
            tenant: "demo".try_into().expect("a tenant"),
            gateways: vec![gateway(7711), gateway(7712)],
            passwords: [("alice".to_owned(), "correct horse".into())].into(),
        };
        let app = App::new(&settings, Own::at(settings.listen)).expect("a usable address");
        Self { router: router(Arc::new(app)), authority }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("a router does not fail");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("the body is in memory").to_bytes().to_vec();
        Answer { status: head.status, headers: head.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, &[("host", HOST)], "")).await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(request(Method::POST, path, &[("host", HOST), ("origin", ORIGIN)], body)).await
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// Asserts that this is a problem document with this status and reason.
    fn is_problem(&self, status: StatusCode, reason: &str) {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], json!(status.as_u16()));
        assert_eq!(problem["reason"], json!(reason));
        for field in ["type", "title", "detail"] {
            assert!(problem[field].is_string(), "{field}");
        }
    }
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).expect("a request")
}

#[tokio::test]
async fn a_foreign_host_reads_nothing() {
    let demo = Demo::start().await;
    let hosts = ["evil.example:7780", "127.0.0.1", "127.0.0.1:7781", "localhost", "localhost.evil.example:7780", ""];
    for path in ["/", "/main.js", "/api/config", "/api/sessions?name=alice", "/nowhere"] {
        for host in hosts {
            let answer = demo.send(request(Method::GET, path, &[("host", host)], "")).await;
            answer.is_problem(StatusCode::FORBIDDEN, "wrong_host");
        }
        let none = demo.send(request(Method::GET, path, &[], "")).await;
        none.is_problem(StatusCode::FORBIDDEN, "wrong_host");
        let two = demo.send(request(Method::GET, path, &[("host", HOST), ("host", "evil.example")], "")).await;
        two.is_problem(StatusCode::FORBIDDEN, "wrong_host");
    }
    let absolute = demo.send(request(Method::GET, "http://evil.example/", &[("host", HOST)], "")).await;
    absolute.is_problem(StatusCode::FORBIDDEN, "wrong_host");
}

#[tokio::test]
async fn its_own_loopback_names_are_answered() {
    let demo = Demo::start().await;
    for host in [HOST, "localhost:7780", "LOCALHOST:7780"] {
        let answer = demo.send(request(Method::GET, "/", &[("host", host)], "")).await;
        assert_eq!(answer.status, StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn a_foreign_or_missing_origin_changes_nothing() {
    let demo = Demo::start().await;
    let origins =
        ["http://evil.example", "https://127.0.0.1:7780", "http://127.0.0.1", "http://localhost:7780", "null"];
    for path in POSTS {
        for origin in origins {
            let headers = [("host", HOST), ("origin", origin)];
            let answer = demo.send(request(Method::POST, path, &headers, r#"{"name":"alice"}"#)).await;
            answer.is_problem(StatusCode::FORBIDDEN, "wrong_origin");
        }
        let none = demo.send(request(Method::POST, path, &[("host", HOST)], r#"{"name":"alice"}"#)).await;
        none.is_problem(StatusCode::FORBIDDEN, "wrong_origin");
        let two = [("host", HOST), ("origin", ORIGIN), ("origin", "http://evil.example")];
        demo.send(request(Method::POST, path, &two, "{}")).await.is_problem(StatusCode::FORBIDDEN, "wrong_origin");
    }
    assert!(demo.authority.asked().is_empty(), "nothing reached the authority");
}

#[tokio::test]
async fn only_reading_needs_no_origin() {
    let demo = Demo::start().await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let answer = demo.send(request(method.clone(), "/api/disable", &[("host", HOST)], "")).await;
        answer.is_problem(StatusCode::FORBIDDEN, "wrong_origin");
        let own = demo.send(request(method, "/api/disable", &[("host", HOST), ("origin", ORIGIN)], "")).await;
        own.is_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
    }
    demo.get("/nowhere").await.is_problem(StatusCode::NOT_FOUND, "not_found");
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let demo = Demo::start().await;
    let foreign = demo.send(request(Method::GET, "/", &[], "")).await;
    for answer in [foreign, demo.get("/").await, demo.get("/nowhere").await, demo.post("/v1/login", "{}").await] {
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("connect-src 'self' ws://127.0.0.1:7711 ws://127.0.0.1:7712;"), "{policy}");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    }
}

#[tokio::test]
async fn the_page_needs_no_inline_script_or_style_and_nothing_from_elsewhere() {
    let demo = Demo::start().await;
    let page = String::from_utf8(demo.get("/").await.body).expect("text");
    let mut loaded = 0;
    for attribute in ["src=\"", "href=\""] {
        for rest in page.split(attribute).skip(1) {
            let target = rest.split('"').next().expect("an attribute ends");
            assert!(target.starts_with('#') || demo.get(target).await.status == StatusCode::OK, "{target}");
            loaded += 1;
        }
    }
    assert!(loaded >= 4);
    for inline in ["<style", " style=", " onclick=", "<script>", "javascript:"] {
        assert!(!page.contains(inline), "{inline}");
    }
}

#[tokio::test]
async fn the_modules_of_the_page_are_all_served() {
    let demo = Demo::start().await;
    let mut waiting = vec!["/main.js".to_owned()];
    let mut seen = Vec::new();
    while let Some(path) = waiting.pop() {
        let answer = demo.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
        let text = String::from_utf8(answer.body).expect("text");
        seen.push(path);
        let imported = text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next());
        waiting.extend(imported.map(|file| format!("/{file}")).filter(|path| !seen.contains(path)));
    }
    assert!(seen.len() >= 9);
}

#[tokio::test]
async fn the_configuration_names_gateways_channels_and_users() {
    let demo = Demo::start().await;
    let config = demo.get("/api/config").await.json();
    assert_eq!(config["tenant"], "demo");
    assert_eq!(config["gateways"][1], "ws://127.0.0.1:7712/connection/websocket");
    assert_eq!(config["channels"], json!({"lobby": "room:lobby", "public": "public:news", "personal_prefix": "@"}));
    let alice = json!({"name": "alice", "password": "correct horse", "id": "id-of-alice", "state": "active"});
    assert_eq!(config["users"], json!([alice]));
}

#[tokio::test]
async fn the_page_begins_without_the_authority() {
    let demo = Demo::start().await;
    demo.authority.break_down();
    let config = demo.get("/api/config").await.json();
    assert_eq!(config["users"][0]["name"], "alice");
    assert_eq!(config["users"][0]["id"], Value::Null);
    let revoked = demo.post("/api/revoke-identity", r#"{"name":"alice"}"#).await;
    revoked.is_problem(StatusCode::SERVICE_UNAVAILABLE, "authority_unavailable");
}

#[tokio::test]
async fn revoking_asks_the_authority_with_the_key_and_answers_when_it_was_committed() {
    let demo = Demo::start().await;
    let session = SessionId::from_bytes([7; 16]);
    let done = demo.post("/api/revoke-session", &json!({ "session": session }).to_string()).await.json();
    assert_eq!(done["revision"], "42-00000000000000ab");
    assert_eq!(done["committed_at_ms"], json!(1_700_000_000_123.456));
    assert_eq!(done["enforced_within_ms"], 17_000);
    demo.post("/api/revoke-identity", r#"{"name":"alice"}"#).await;
    let asked = [format!("revoke demo session {session}"), "revoke demo name alice".to_owned()];
    assert_eq!(demo.authority.asked(), asked.map(|call| format!("Bearer pk_the-key: {call}")));
}

#[tokio::test]
async fn disabling_and_enabling_a_user_ask_the_authority() {
    let demo = Demo::start().await;
    let disabled = demo.post("/api/disable", r#"{"name":"alice"}"#).await.json();
    assert_eq!(disabled["revision"], "42-00000000000000ab");
    assert_eq!(disabled["committed_at_ms"], json!(1_700_000_000_123.456));
    assert_eq!(disabled["enforced_within_ms"], 17_000);
    let enabled = demo.post("/api/enable", r#"{"name":"alice"}"#).await.json();
    assert_eq!(enabled, json!({"revision": null, "committed_at_ms": null, "enforced_within_ms": null}));
    let asked = ["disable demo name alice", "enable demo name alice"];
    assert_eq!(demo.authority.asked(), asked.map(|call| format!("Bearer pk_the-key: {call}")));
}

#[tokio::test]
async fn a_receipt_names_each_gateway() {
    let demo = Demo::start().await;
    let receipt = demo.get("/api/receipt?revision=42-00000000000000ab").await.json();
    let gateways = json!([
        {"gateway": "gateway-1", "state": "applied", "fenced": 2, "closed": 1, "apply_us": 80},
        {"gateway": "gateway-2", "state": "lagging", "fenced": null, "closed": null, "apply_us": null},
    ]);
    let expected =
        json!({"status": "pending", "enforced": false, "elapsed_ms": 3, "certain_in_ms": 9, "gateways": gateways});
    assert_eq!(receipt, expected);
    assert_eq!(demo.authority.asked(), ["Bearer pk_the-key: receipt of 42"]);
    demo.get("/api/receipt?revision=42").await.is_problem(StatusCode::BAD_REQUEST, "malformed");
}

#[tokio::test]
async fn sessions_are_listed_with_their_state() {
    let demo = Demo::start().await;
    let sessions = demo.get("/api/sessions?name=alice").await.json();
    let expected =
        json!([{"id": "s-1", "state": "revoked", "device": "This page", "created_at_ms": 1_700_000_000_123.456}]);
    assert_eq!(sessions, expected);
}

#[tokio::test]
async fn only_users_of_the_page_can_be_named() {
    let demo = Demo::start().await;
    for path in ["/api/revoke-identity", "/api/disable", "/api/enable"] {
        demo.post(path, r#"{"name":"admin"}"#).await.is_problem(StatusCode::NOT_FOUND, "unknown_user");
    }
    demo.get("/api/sessions?name=admin").await.is_problem(StatusCode::NOT_FOUND, "unknown_user");
    assert!(demo.authority.asked().is_empty());
}

#[tokio::test]
async fn malformed_requests_are_problems() {
    let demo = Demo::start().await;
    for body in ["", "null", "[]", "{}", r#"{"name":1}"#, r#"{"name":"alice","tenant":"system"}"#] {
        demo.post("/api/disable", body).await.is_problem(StatusCode::BAD_REQUEST, "malformed");
    }
    demo.post("/api/revoke-session", r#"{"session":"x"}"#).await.is_problem(StatusCode::BAD_REQUEST, "malformed");
    demo.get("/api/sessions").await.is_problem(StatusCode::BAD_REQUEST, "malformed");
    let large = format!(r#"{{"name":"{}"}}"#, "a".repeat(70_000));
    for path in ["/api/disable", "/v1/login"] {
        demo.post(path, &large).await.is_problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large");
    }
}

#[tokio::test]
async fn the_edge_is_passed_what_it_judges_by_and_nothing_else() {
    let demo = Demo::start().await;
    for path in crate::edge::PATHS {
        let headers = [
            ("host", HOST),
            ("origin", ORIGIN),
            ("authorization", "Bearer a"),
            ("cookie", "b=c"),
            ("content-type", "application/json"),
            ("x-forwarded-for", "10.0.0.1"),
            ("connection", "x-other"),
        ];
        let answer = demo.send(request(Method::POST, path, &headers, r#"{"d":"e"}"#)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "the edge's own status");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!(answer.header("x-internal"), "");
        let seen = answer.json();
        assert_eq!(seen["target"], json!(format!("POST {path}")));
        assert_eq!(seen["body"], r#"{"d":"e"}"#);
        let sent = seen["headers"].as_object().expect("an object");
        for (name, value) in &headers[1..5] {
            assert_eq!(sent.get(*name), Some(&json!(value)), "{name}");
        }
        assert!(!sent.contains_key("x-forwarded-for") && !sent.contains_key("connection"), "{sent:?}");
        assert_eq!(sent.get("host"), Some(&json!(demo.authority.http)));
    }
}

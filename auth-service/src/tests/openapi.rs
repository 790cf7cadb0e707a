//! The OpenAPI document, driven against the real edge: what it lists happens, and what happens it lists.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderName, Method, Response, header};
use portcullis_proto::auth::v1;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::signature_keys::ClientKey;
use super::world::{ORIGIN, PASSWORD, World, by, named, totp_code};

const JSON: (HeaderName, &str) = (header::CONTENT_TYPE, "application/json");
const NEW: &str = "another horse battery";
const FOREIGN: (HeaderName, &str) = (header::ORIGIN, "https://evil.example");

/// The document, and what of it was seen.
struct Truth {
    document: Value,
    seen: BTreeSet<(String, String, String)>,
}

impl Truth {
    async fn of(world: &World) -> Self {
        let document = world.send(Method::GET, "/openapi.json", &[], "").await;
        Self { document: serde_json::from_slice(document.body()).expect("it is JSON"), seen: BTreeSet::new() }
    }

    /// Every operation: path, method, and what is said of it.
    fn operations(&self) -> impl Iterator<Item = (&str, Method, &Value)> {
        let paths = self.document["paths"].as_object().expect("paths");
        paths.iter().flat_map(|(path, item)| {
            item.as_object().expect("an item").iter().map(move |(method, operation)| {
                (path.as_str(), method.to_uppercase().parse().expect("a method"), operation)
            })
        })
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(pointer) => {
                self.document.pointer(pointer.trim_start_matches('#')).unwrap_or_else(|| panic!("{pointer} is nowhere"))
            }
            None => value,
        }
    }

    /// Whether an answer is as the document says. It returns the answer's body.
    fn check(&mut self, method: &Method, path: &str, response: &Response<Bytes>) -> Value {
        let status = response.status().as_u16().to_string();
        let what = format!("{method} {path}: {status} {}", String::from_utf8_lossy(response.body()));
        let operation = &self.document["paths"][path][method.as_str().to_lowercase()];
        let listed = &operation["responses"][&status];
        assert!(!listed.is_null(), "not listed: {what}");
        let listed = self.resolve(listed);
        for (name, said) in listed["headers"].as_object().into_iter().flatten() {
            let there = response.headers().contains_key(name.as_str());
            assert!(there || !said["required"].as_bool().unwrap_or(false), "{name} is missing: {what}");
        }
        let cookie = response.headers().contains_key(header::SET_COOKIE);
        let cookie_on_refusal = status == "401" && path.starts_with("/v1/logout");
        assert!(!cookie || cookie_on_refusal || !listed["headers"]["Set-Cookie"].is_null(), "a cookie: {what}");
        let body = self.check_body(listed, response, &what);
        self.seen.insert((path.to_owned(), method.to_string(), status));
        body
    }

    fn check_body(&self, listed: &Value, response: &Response<Bytes>, what: &str) -> Value {
        let Some(content) = listed["content"].as_object() else {
            assert!(response.body().is_empty(), "a body where none is listed: {what}");
            return Value::Null;
        };
        let media = response.headers()[header::CONTENT_TYPE].to_str().expect("it is text");
        let said = content.get(media).unwrap_or_else(|| panic!("{media} is not listed: {what}"));
        let body = match serde_json::from_slice(response.body()) {
            Ok(body) if media.ends_with("json") => body,
            _ => Value::from(String::from_utf8_lossy(response.body()).into_owned()),
        };
        let schema = json!({ "components": self.document["components"], "allOf": [said["schema"]] });
        let validator = jsonschema::validator_for(&schema).expect("it is a schema");
        if let Err(error) = validator.validate(&body) {
            panic!("{error} at {}: {what}", error.instance_path());
        }
        if let Some(seconds) = body["retry_after"].as_u64() {
            assert_eq!(response.headers()[header::RETRY_AFTER], seconds.to_string(), "{what}");
        }
        body
    }

    async fn ask(
        &mut self,
        world: &World,
        (method, path): (&Method, &str),
        headers: &[(HeaderName, &str)],
        body: &str,
        status: u16,
    ) -> (Response<Bytes>, Value) {
        let response = world.send(method.clone(), path, headers, body).await;
        let text = String::from_utf8_lossy(response.body()).into_owned();
        assert_eq!(response.status().as_u16(), status, "{method} {path} {body}: {text}");
        let body = self.check(method, path, &response);
        (response, body)
    }

    async fn post(
        &mut self,
        world: &World,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: &Value,
        status: u16,
    ) -> (Response<Bytes>, Value) {
        let headers: Vec<_> = [JSON].iter().chain(headers).cloned().collect();
        self.ask(world, (&Method::POST, path), &headers, &body.to_string(), status).await
    }
}

fn login(mode: &str, password: &str) -> Value {
    json!({ "tenant": "demo", "name": "ada", "password": password, "mode": mode })
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}"))
}

fn bearer(body: &Value) -> String {
    format!("Bearer {}", text(body, "access_token"))
}

/// What a browser would send back.
fn cookie_of(response: &Response<Bytes>) -> String {
    let set = response.headers()[header::SET_COOKIE].to_str().expect("it is text");
    set.split(';').next().expect("the pair comes first").to_owned()
}

#[tokio::test]
async fn the_document_has_the_form_of_openapi() {
    let world = World::new().await;
    let document = world.get("/openapi.json").await;
    let spec = oas3::from_json(&document).expect("it is OpenAPI 3.1");
    assert!(spec.openapi.starts_with("3.1."));
    let ids: BTreeSet<_> = spec.operations().filter_map(|(_, _, operation)| operation.operation_id.clone()).collect();
    assert_eq!(ids.len(), spec.operations().count(), "each operation has an id of its own");
    let truth = Truth::of(&world).await;
    let mut pointers = Vec::new();
    collect_references(&truth.document, &mut pointers);
    let named: BTreeSet<_> = pointers.iter().map(|reference| truth.resolve(reference).to_string()).collect();
    for kind in ["schemas", "responses"] {
        for (name, component) in truth.document["components"][kind].as_object().expect("components") {
            assert!(named.contains(&component.to_string()), "nothing refers to {name}");
        }
    }
}

fn collect_references(value: &Value, into: &mut Vec<Value>) {
    match value {
        Value::Object(members) => {
            if members.contains_key("$ref") {
                into.push(value.clone());
            }
            members.values().for_each(|member| collect_references(member, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, into)),
        _ => {}
    }
}

#[tokio::test]
async fn no_path_and_no_method_is_missing_in_the_document() {
    let world = World::new().await;
    let truth = Truth::of(&world).await;
    let listed: BTreeSet<_> =
        truth.operations().map(|(path, method, _)| (path.to_owned(), method.to_string())).collect();
    let routes: BTreeSet<_> =
        crate::http::ROUTES.iter().map(|(path, method)| ((*path).to_owned(), (*method).to_owned())).collect();
    assert_eq!(listed, routes);
    for (path, listed, _) in truth.operations() {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            if method == listed {
                continue;
            }
            let response = world.send(method.clone(), path, &[], "").await;
            assert_eq!(response.status(), 405, "{method} {path}");
            let allow = response.headers()[header::ALLOW].to_str().expect("it is text").to_owned();
            assert!(allow.split(',').any(|allowed| allowed.trim() == listed.as_str()), "{allow}");
        }
    }
    for path in ["/", "/v1", "/v1/login/", "/v1/sessions", "/admin", "/openapi.yaml"] {
        assert_eq!(world.send(Method::GET, path, &[], "").await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn everything_that_is_listed_happens_and_nothing_else() {
    let world = World::new().await;
    let mut truth = Truth::of(&world).await;
    bodies(&world, &mut truth).await;
    unfinished(&mut truth).await;
    credentials(&world, &mut truth).await;
    logins(&world, &mut truth).await;
    sessions(&world, &mut truth).await;
    clients(&world, &mut truth).await;
    passwords(&world, &mut truth).await;
    second_factors(&world, &mut truth).await;
    signature_keys(&world, &mut truth).await;
    documents(&world, &mut truth).await;
    // Each starts worlds of its own, which is much on one stack.
    Box::pin(one_ticket(&mut truth)).await;
    Box::pin(floods(&mut truth)).await;
    let missing: Vec<_> = truth
        .operations()
        .flat_map(|(path, method, operation)| {
            let statuses = operation["responses"].as_object().expect("responses").keys();
            statuses.map(move |status| (path.to_owned(), method.to_string(), status.clone()))
        })
        .filter(|listed| listed.2 != "default" && !truth.seen.contains(listed))
        .collect();
    assert!(missing.is_empty(), "listed and never seen: {missing:?}");
}

/// What is wrong with a body is told before anything else, and the same everywhere.
async fn bodies(world: &World, truth: &mut Truth) {
    for path in with_body(truth) {
        let (long, post) = (format!(r#"{{"x":"{}"}}"#, "x".repeat(20_000)), (&Method::POST, path.as_str()));
        truth.ask(world, post, &[JSON], "{", 400).await;
        truth.ask(world, post, &[JSON], r#"{"admin":true}"#, 400).await;
        truth.ask(world, post, &[JSON], &long, 413).await;
        truth.ask(world, post, &[(header::CONTENT_TYPE, "text/plain")], "{}", 415).await;
    }
}

/// What does not end is given up, by an edge of its own: whatever else is asked has the time that it needs.
async fn unfinished(truth: &mut Truth) {
    let hasty = World::with(|config| config.http.limits.request_time_ms = 100).await;
    for path in with_body(truth) {
        let late = half_a_request(&hasty, &path).await;
        assert_eq!(late.status(), 408, "{path}");
        truth.check(&Method::POST, &path, &late);
    }
}

fn with_body(truth: &Truth) -> Vec<String> {
    let takes_body = |operation: &Value| !operation["requestBody"].is_null();
    truth.operations().filter(|(.., operation)| takes_body(operation)).map(|(path, ..)| path.to_owned()).collect()
}

/// A request whose body never ends.
async fn half_a_request(world: &World, path: &str) -> Response<Bytes> {
    let mut stream = TcpStream::connect(world.running().http).await.expect("it listens");
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut part = [0; 1_024];
        let read = stream.read(&mut part).await.expect("it answers");
        assert!(read > 0, "it ended: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..read]);
    }
    let answer = String::from_utf8(answer).expect("it is text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let mut lines = head.lines();
    let status = lines.next().expect("a status line").split(' ').nth(1).expect("a status");
    let mut response = Response::builder().status(status);
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header");
        response = response.header(name, value);
    }
    response.body(Bytes::from(body.to_owned())).expect("a response")
}

/// A body that each operation takes, where it takes one.
fn some_body(path: &str) -> Value {
    match path {
        "/v1/password" => json!({ "current_password": PASSWORD, "new_password": NEW }),
        "/v1/second-factor/enrol" => json!({ "password": PASSWORD }),
        "/v1/second-factor/remove" | "/v1/second-factor/recovery-codes" => {
            json!({ "password": PASSWORD, "proof": { "totp_code": "123456" } })
        }
        "/v1/second-factor/confirm" => json!({ "totp_code": "123456" }),
        "/v1/signature-keys/register" => json!({ "jwk": {}, "proof": "" }),
        "/v1/signature-keys/revoke" => json!({ "id": "" }),
        _ => json!({}),
    }
}

/// What is wrong with a credential is told the same everywhere.
async fn credentials(world: &World, truth: &mut Truth) {
    let guarded = |operation: &Value| {
        let ways = operation["security"].as_array().expect("security");
        !ways.is_empty() && !ways.contains(&json!({}))
    };
    let operations: Vec<_> = truth
        .operations()
        .filter(|(.., operation)| guarded(operation))
        .map(|(path, method, _)| (path.to_owned(), method))
        .collect();
    let (_, body) = truth.post(world, "/v1/login", &[], &login("token", PASSWORD), 200).await;
    let token = bearer(&body);
    let (response, _) =
        truth.post(world, "/v1/login", &[(header::ORIGIN, ORIGIN)], &login("cookie", PASSWORD), 200).await;
    let cookie = cookie_of(&response);
    for (path, method) in operations {
        let (at, body) = ((&method, path.as_str()), some_body(&path).to_string());
        let body = if method == Method::GET { String::new() } else { body };
        let with = |more: &[(HeaderName, &'static str)]| -> Vec<(HeaderName, &str)> {
            let json = (method != Method::GET).then_some(JSON);
            json.into_iter().chain(more.iter().cloned()).collect()
        };
        truth.ask(world, at, &with(&[]), &body, 401).await;
        truth.ask(world, at, &with(&[(header::AUTHORIZATION, "Basic x")]), &body, 401).await;
        truth.ask(world, at, &with(&[(header::AUTHORIZATION, "Bearer rt_x")]), &body, 401).await;
        let mut twice = with(&[]);
        twice.extend([(header::AUTHORIZATION, token.as_str()), (header::AUTHORIZATION, token.as_str())]);
        truth.ask(world, at, &twice, &body, 400).await;
        for foreign in [&[][..], &[FOREIGN]] {
            let mut headers = with(foreign);
            headers.push((header::COOKIE, cookie.as_str()));
            truth.ask(world, at, &headers, &body, 403).await;
        }
        let admin = format!("Bearer {}", world.admin);
        if path != "/v1/ws-ticket" {
            let mut headers = with(&[]);
            headers.push((header::AUTHORIZATION, admin.as_str()));
            truth.ask(world, at, &headers, &body, 400).await;
        }
    }
}

async fn logins(world: &World, truth: &mut Truth) {
    let (path, further) = ("/v1/login", "/v1/login/continue");
    truth.post(world, path, &[], &login("token", "wrong horse battery"), 401).await;
    truth.post(world, path, &[FOREIGN], &login("cookie", PASSWORD), 403).await;
    let twice = (header::COOKIE, "__Host-portcullis_session=1; __Host-portcullis_session=2");
    truth.post(world, path, std::slice::from_ref(&twice), &login("cookie", PASSWORD), 400).await;

    world.set_temporary_password("temporary horse").await;
    let (_, asked) = truth.post(world, path, &[], &login("token", "temporary horse"), 202).await;
    let proof = |proof: Value| json!({ "continuation": text(&asked, "continuation"), "proof": proof });
    truth.post(world, further, &[twice], &proof(json!({ "new_password": PASSWORD })), 400).await;
    truth.post(world, further, &[FOREIGN], &proof(json!({ "new_password": PASSWORD })), 403).await;
    truth.post(world, further, &[], &proof(json!({ "totp_code": "123456" })), 400).await;
    for weak in ["short", "password1", "temporary horse"] {
        truth.post(world, further, &[], &proof(json!({ "new_password": weak })), 422).await;
    }
    truth.post(world, further, &[], &proof(json!({ "new_password": PASSWORD })), 200).await;
    truth.post(world, further, &[], &proof(json!({ "new_password": PASSWORD })), 401).await;

    world.enrol().await;
    let (_, asked) = truth.post(world, path, &[], &login("token", PASSWORD), 202).await;
    let wrong = json!({ "continuation": text(&asked, "continuation"), "proof": { "recovery_code": "no such code" } });
    let (_, again) = truth.post(world, further, &[], &wrong, 202).await;
    assert_eq!((&again["challenge"], &again["refused_before"]), (&json!("second_factor"), &json!(true)));
    let request =
        by(&world.admin, v1::RemoveSecondFactorRequest { identity: Some(named("demo", "ada")), ..Default::default() });
    world.second_factors().remove_second_factor(request).await.expect("the administrator may");
}

async fn sessions(world: &World, truth: &mut Truth) {
    let mut asking = login("token", PASSWORD);
    asking["remember_device"] = true.into();
    let (_, known) = truth.post(world, "/v1/login", &[], &asking, 200).await;
    let mut showing = login("token", PASSWORD);
    showing["device_token"] = text(&known, "device_token").into();
    let (_, body) = truth.post(world, "/v1/login", &[], &showing, 200).await;
    let refresh = json!({ "grant_type": "refresh_token", "refresh_token": text(&body, "refresh_token") });
    let (_, next) = truth.post(world, "/v1/token", &[], &refresh, 200).await;
    let garbage = json!({ "grant_type": "refresh_token", "refresh_token": "rt_x" });
    truth.post(world, "/v1/token", &[], &garbage, 401).await;
    let token = bearer(&next);
    let authorized = [(header::AUTHORIZATION, token.as_str())];
    truth.post(world, "/v1/ws-ticket", &authorized, &json!({}), 200).await;
    truth.ask(world, (&Method::GET, "/v1/session"), &authorized, "", 200).await;
    truth.ask(world, (&Method::POST, "/v1/logout"), &authorized, "", 200).await;
    truth.ask(world, (&Method::POST, "/v1/logout"), &authorized, "", 401).await;
    let (_, body) = truth.post(world, "/v1/login", &[], &login("token", PASSWORD), 200).await;
    let token = bearer(&body);
    truth.ask(world, (&Method::POST, "/v1/logout/all"), &[(header::AUTHORIZATION, token.as_str())], "", 200).await;
}

/// The token endpoint in the language of client libraries.
async fn clients(world: &World, truth: &mut Truth) {
    let (key, id) = world.service_key("demo", "job", &["verify", "revoke"]).await;
    let (_, body) = truth.post(world, "/v1/login", &[], &login("token", PASSWORD), 200).await;
    let refresh = text(&body, "refresh_token").to_owned();
    let basic = |secret: &str| format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let (own, wrong) = (basic(&key), basic(&key.replace("pk_", "pk_A")));
    let mut ask = async |header: Option<&str>, body: &str, status| {
        let mut headers = vec![(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=UTF-8")];
        headers.extend(header.map(|value| (header::AUTHORIZATION, value)));
        let (response, answer) = truth.ask(world, (&Method::POST, "/v1/token"), &headers, body, status).await;
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let challenge = response.headers().get(header::WWW_AUTHENTICATE).map(|value| value.to_str().expect("text"));
        assert_eq!(challenge.is_some_and(|challenge| challenge.starts_with("Basic")), status == 401, "{body}");
        answer
    };
    let asked = "grant_type=client_credentials";
    let all = ask(Some(&own), asked, 200).await;
    assert_eq!((text(&all, "scope"), text(&all, "token_type")), ("verify revoke", "Bearer"));
    let in_form = format!("{asked}&scope=revoke&client_id={id}&client_secret={key}");
    assert_eq!(text(&ask(None, &in_form, 200).await, "scope"), "revoke");
    for (header, body, status, error) in [
        (None, asked.to_owned(), 401, "invalid_client"),
        (Some(&wrong), asked.to_owned(), 401, "invalid_client"),
        (Some(&own), format!("{asked}&scope=admin"), 400, "invalid_scope"),
        (Some(&own), format!("{asked}&scope=nonsense"), 400, "invalid_scope"),
        (Some(&own), format!("{asked}&client_secret={key}"), 400, "invalid_request"),
        (Some(&own), format!("{asked}&{asked}"), 400, "invalid_request"),
        (Some(&own), "scope=verify".to_owned(), 400, "invalid_request"),
        (Some(&own), "grant_type=password".to_owned(), 400, "unsupported_grant_type"),
        (None, "grant_type=refresh_token".to_owned(), 400, "invalid_request"),
        (None, "grant_type=refresh_token&refresh_token=rt_x".to_owned(), 400, "invalid_grant"),
        (None, format!("grant_type=refresh_token&scope=verify&refresh_token={refresh}"), 400, "invalid_scope"),
        (Some(&own), format!("grant_type=refresh_token&refresh_token={refresh}"), 401, "invalid_client"),
    ] {
        let answer = ask(header.map(String::as_str), &body, status).await;
        assert_eq!(text(&answer, "error"), error, "{body}");
    }
    let next = ask(None, &format!("grant_type=refresh_token&refresh_token={refresh}"), 200).await;
    assert_ne!(text(&next, "refresh_token"), refresh);
    let request = v1::GetGuaranteeRequest::default();
    world
        .revocations()
        .get_guarantee(by(text(&all, "access_token"), request))
        .await
        .expect("it calls in its key's place");
    let big = format!("{asked}&x={}", "x".repeat(20_000));
    let form = (header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    truth.ask(world, (&Method::POST, "/v1/token"), &[form], &big, 413).await;
}

async fn passwords(world: &World, truth: &mut Truth) {
    let (_, body) = truth.post(world, "/v1/login", &[], &login("token", PASSWORD), 200).await;
    let token = bearer(&body);
    let authorized = [(header::AUTHORIZATION, token.as_str())];
    let change = |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
    truth.post(world, "/v1/password", &authorized, &change("wrong horse battery", NEW), 401).await;
    truth.post(world, "/v1/password", &authorized, &change(PASSWORD, "12345678"), 422).await;
    let (_, changed) = truth.post(world, "/v1/password", &authorized, &change(PASSWORD, NEW), 200).await;
    let token = bearer(&changed);
    truth.ask(world, (&Method::GET, "/v1/session"), &[(header::AUTHORIZATION, token.as_str())], "", 200).await;

    let reset = world.reset_token().await;
    let redeem = |password: &str| json!({ "reset_token": reset, "new_password": password });
    truth.post(world, "/v1/password/reset", &[], &redeem("short"), 422).await;
    truth.post(world, "/v1/password/reset", &[], &redeem(PASSWORD), 200).await;
    truth.post(world, "/v1/password/reset", &[], &redeem(PASSWORD), 401).await;
}

async fn second_factors(world: &World, truth: &mut Truth) {
    let headers = [(header::ORIGIN, ORIGIN)];
    let (response, _) = truth.post(world, "/v1/login", &headers, &login("cookie", PASSWORD), 200).await;
    let cookie = cookie_of(&response);
    let browser = [(header::COOKIE, cookie.as_str()), (header::ORIGIN, ORIGIN)];
    let (own, wrong) = (json!({ "password": PASSWORD }), json!({ "password": "wrong horse battery" }));
    let code = |code: &str| json!({ "totp_code": code });
    let at = |step: &str| format!("/v1/second-factor/{step}");
    truth.post(world, &at("enrol"), &browser, &wrong, 401).await;
    truth.post(world, &at("confirm"), &browser, &code("123456"), 404).await;
    let proof = |password: &str, proof: Value| json!({ "password": password, "proof": proof });
    let recovery = |code: &str| json!({ "recovery_code": code });
    for step in ["recovery-codes", "remove"] {
        truth.post(world, &at(step), &browser, &proof(PASSWORD, code("123456")), 404).await;
        truth.post(world, &at(step), &browser, &own, 400).await;
    }
    let (_, enrolment) = truth.post(world, &at("enrol"), &browser, &own, 200).await;
    truth.post(world, &at("confirm"), &browser, &code("no code"), 401).await;
    let right = code(&totp_code(text(&enrolment, "secret")));
    let (confirmed, codes) = truth.post(world, &at("confirm"), &browser, &right, 200).await;
    let next = cookie_of(&confirmed);
    assert_ne!(next, cookie, "another value, because what it may do has changed");
    let browser = [(header::COOKIE, next.as_str()), (header::ORIGIN, ORIGIN)];
    truth.post(world, &at("enrol"), &browser, &own, 409).await;
    truth.post(world, "/v1/login", &[], &login("token", PASSWORD), 202).await;
    let first = |codes: &Value| codes["recovery_codes"][0].as_str().expect("a code").to_owned();
    for step in ["recovery-codes", "remove"] {
        truth.post(world, &at(step), &browser, &proof(PASSWORD, code("no code")), 401).await;
        truth.post(world, &at(step), &browser, &proof("wrong horse battery", recovery(&first(&codes))), 401).await;
    }
    let renew = proof(PASSWORD, recovery(&first(&codes)));
    let (renewed, codes) = truth.post(world, &at("recovery-codes"), &browser, &renew, 200).await;
    let renewed = cookie_of(&renewed);
    assert_ne!(renewed, next);
    let browser = [(header::COOKIE, renewed.as_str()), (header::ORIGIN, ORIGIN)];
    truth.post(world, &at("remove"), &browser, &renew, 401).await;
    let (removed, _) =
        truth.post(world, &at("remove"), &browser, &proof(PASSWORD, recovery(&first(&codes))), 200).await;
    assert_ne!(cookie_of(&removed), renewed);
    truth.post(world, "/v1/login", &[], &login("token", PASSWORD), 200).await;
}

async fn signature_keys(world: &World, truth: &mut Truth) {
    let headers = [(header::ORIGIN, ORIGIN)];
    let (response, _) = truth.post(world, "/v1/login", &headers, &login("cookie", PASSWORD), 200).await;
    let cookie = cookie_of(&response);
    let browser = [(header::COOKIE, cookie.as_str()), (header::ORIGIN, ORIGIN)];
    let (begin, register, revoke) =
        ("/v1/signature-keys/begin", "/v1/signature-keys/register", "/v1/signature-keys/revoke");
    let mut registered = Vec::new();
    for _ in 0..4 {
        let (_, begun) = truth.ask(world, (&Method::POST, begin), &browser, "", 200).await;
        let key = ClientKey::new();
        let proof = key.prove(text(&begun, "challenge"), text(&begun, "audience"));
        let wanted = json!({ "jwk": key.jwk(), "proof": proof, "label": "laptop" });
        let unproven = json!({ "jwk": ClientKey::new().jwk(), "proof": proof });
        truth.post(world, register, &browser, &unproven, 422).await;
        truth.post(world, register, &browser, &json!({ "jwk": { "kty": "oct" }, "proof": proof }), 422).await;
        registered.push(truth.post(world, register, &browser, &wanted, 200).await.1["key"].clone());
        truth.post(world, register, &browser, &wanted, 409).await;
    }
    let (_, begun) = truth.ask(world, (&Method::POST, begin), &browser, "", 200).await;
    let key = ClientKey::new();
    let proof = key.prove(text(&begun, "challenge"), text(&begun, "audience"));
    let (_, refused) = truth.post(world, register, &browser, &json!({ "jwk": key.jwk(), "proof": proof }), 409).await;
    assert_eq!(text(&refused, "reason"), "too_many_keys");
    let at_home = [(header::COOKIE, cookie.as_str()), (HeaderName::from_static("sec-fetch-site"), "same-origin")];
    let (_, listed) = truth.ask(world, (&Method::GET, "/v1/signature-keys"), &at_home, "", 200).await;
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(registered.len()));
    truth.post(world, revoke, &browser, &json!({ "id": text(&registered[0], "id") }), 200).await;
    truth.post(world, revoke, &browser, &json!({ "id": world.ada }), 404).await;
}

async fn documents(world: &World, truth: &mut Truth) {
    for path in ["/.well-known/jwks.json", "/openapi.json", "/health", "/ready", "/metrics"] {
        let (response, _) = truth.ask(world, (&Method::GET, path), &[], "", 200).await;
        if let Some(etag) = response.headers().get(header::ETAG) {
            let etag = etag.to_str().expect("it is text");
            truth.ask(world, (&Method::GET, path), &[(header::IF_NONE_MATCH, etag)], "", 304).await;
        }
    }
}

/// One ticket at a time.
async fn one_ticket(truth: &mut Truth) {
    let world = World::with(|config| config.tokens.tickets_per_session = 1).await;
    let (_, tokens) = world.issue().await;
    let token = format!("Bearer {}", tokens.access_token);
    let mine = [(header::AUTHORIZATION, token.as_str())];
    truth.post(&world, "/v1/ws-ticket", &mine, &json!({}), 200).await;
    let (_, full) = truth.post(&world, "/v1/ws-ticket", &mine, &json!({}), 429).await;
    assert_eq!(text(&full, "reason"), "too_many_tickets");
    assert!(full["retry_after"].as_u64().is_some_and(|left| (1..=30).contains(&left)), "{full}");
}

/// One request a minute, and one password at a time.
async fn floods(truth: &mut Truth) {
    let world = World::with(|config| config.http.limits.requests_per_minute = 1).await;
    world.get("/openapi.json").await;
    let limited = |operation: &Value| !operation["responses"]["429"].is_null();
    let operations: Vec<_> = truth
        .operations()
        .filter(|(.., operation)| limited(operation))
        .map(|(path, method, _)| (path.to_owned(), method))
        .collect();
    for (path, method) in operations {
        truth.ask(&world, (&method, &path), &[], "", 429).await;
    }

    let world = World::with(|config| {
        (config.password.memory_kib, config.password.iterations) = (65_536, 2);
        (config.password.workers, config.password.queue) = (1, 1);
    })
    .await;
    let (_, tokens) = world.issue().await;
    let token = format!("Bearer {}", tokens.access_token);
    let change = json!({ "current_password": "wrong horse battery", "new_password": NEW }).to_string();
    let wrong = login("token", "wrong horse battery").to_string();
    for (path, body) in [("/v1/login", wrong), ("/v1/password", change)] {
        let headers = [JSON, (header::AUTHORIZATION, token.as_str())];
        let answers = join_all((0..8).map(|_| world.send(Method::POST, path, &headers, &body))).await;
        answers.iter().for_each(|answer| drop(truth.check(&Method::POST, path, answer)));
        assert!(answers.iter().any(|answer| answer.status() == 503), "{path}");
    }
}

//! Pages at the HTTP edge: which may use the cookie, which may read, and what becomes of the cookie.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, COOKIE, ORIGIN, SET_COOKIE, VARY,
};
use http::{HeaderName, Method, StatusCode, header};
use portcullis_config::TrustedProxies;
use portcullis_types::AddressRange;

use super::world::{self, PASSWORD, World};

const JSON: (HeaderName, &str) = (header::CONTENT_TYPE, "application/json");
const EVIL: &str = "https://evil.example";
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

fn login() -> String {
    format!(r#"{{"tenant":"demo","name":"ada","password":"{PASSWORD}","mode":"cookie"}}"#)
}

/// Logs a browser in, which may have a cookie already; what it would send back.
async fn logged_in(world: &World, before: Option<&str>) -> String {
    let mut headers = vec![JSON, (ORIGIN, world::ORIGIN)];
    headers.extend(before.map(|cookie| (COOKIE, cookie)));
    let (response, body) = world.http("/v1/login", &headers, &login()).await;
    assert_eq!(response.status(), StatusCode::OK, "{body}");
    let set = response.headers()[SET_COOKIE].to_str().expect("it is text");
    set.split(';').next().expect("the pair comes first").to_owned()
}

async fn session(world: &World, headers: &[(HeaderName, &str)]) -> StatusCode {
    world.send(Method::GET, "/v1/session", headers, "").await.status()
}

#[tokio::test]
async fn a_preflight_is_answered_for_allowed_origins_and_nobody_else() {
    let world = World::new().await;
    let ask = |origin: &'static str| [(ORIGIN, origin), (ACCESS_CONTROL_REQUEST_METHOD, "POST")];
    for path in ["/v1/login", "/v1/ws-ticket", "/v1/password"] {
        let allowed = world.send(Method::OPTIONS, path, &ask(world::ORIGIN), "").await;
        assert_eq!(allowed.status(), StatusCode::NO_CONTENT, "{path}");
        let headers = allowed.headers();
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], world::ORIGIN);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], "POST");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_HEADERS], "authorization, content-type");
        assert_eq!(headers[VARY], "origin");
        for foreign in [EVIL, "null", "https://app.example.evil.example"] {
            let refused = world.send(Method::OPTIONS, path, &ask(foreign), "").await;
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{foreign}");
            assert!(!refused.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "{foreign}");
        }
    }
    let nowhere = world.send(Method::OPTIONS, "/nowhere", &ask(world::ORIGIN), "").await;
    assert_eq!(nowhere.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn only_an_allowed_origin_is_named_back_and_every_answer_varies_by_it() {
    let world = World::new().await;
    for (origin, named) in [(world::ORIGIN, true), (EVIL, false), ("*", false)] {
        for path in ["/v1/session", "/.well-known/jwks.json", "/nowhere"] {
            let answer = world.send(Method::GET, path, &[(ORIGIN, origin)], "").await;
            let headers = answer.headers();
            assert_eq!(headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|named| named == origin), named, "{path}");
            assert_eq!(headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS), named, "{path}");
            assert_eq!(headers[VARY], "origin", "{path}");
        }
    }
}

#[tokio::test]
async fn a_page_of_the_same_origin_reads_with_the_cookie_and_changes_nothing_without_its_origin() {
    let world = World::new().await;
    let cookie = logged_in(&world, None).await;
    let cookie = (COOKIE, cookie.as_str());
    for (headers, status) in [
        (vec![cookie.clone(), (SITE, "same-origin")], 200),
        (vec![cookie.clone(), (ORIGIN, world::ORIGIN)], 200),
        (vec![cookie.clone()], 403),
        (vec![cookie.clone(), (SITE, "none")], 403),
        (vec![cookie.clone(), (SITE, "same-site")], 403),
        (vec![cookie.clone(), (SITE, "cross-site")], 403),
        (vec![cookie.clone(), (ORIGIN, EVIL), (SITE, "same-origin")], 403),
        (vec![cookie.clone(), (ORIGIN, world::ORIGIN), (ORIGIN, EVIL)], 403),
    ] {
        assert_eq!(session(&world, &headers).await, status, "{headers:?}");
    }
    let (response, _) = world.http("/v1/logout", &[cookie, (SITE, "same-origin")], "").await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_foreign_page_that_hides_its_origin_cannot_log_a_browser_in() {
    let world = World::new().await;
    for site in ["cross-site", "same-site"] {
        let (response, _) = world.http("/v1/login", &[JSON, (SITE, site)], &login()).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{site}");
    }
    let (response, _) = world.http("/v1/login", &[JSON, (SITE, "same-origin")], &login()).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_cookie_that_was_planted_before_a_login_is_worth_nothing_after_it() {
    let world = World::new().await;
    world.make_identity("demo", "mallory", portcullis_proto::auth::v1::IdentityKind::User).await;
    let body = login().replace("ada", "mallory");
    let (response, _) = world.http("/v1/login", &[JSON, (ORIGIN, world::ORIGIN)], &body).await;
    let set = response.headers()[SET_COOKIE].to_str().expect("it is text").to_owned();
    let planted = set.split(';').next().expect("the pair comes first");
    assert_eq!(session(&world, &[(COOKIE, planted), (ORIGIN, world::ORIGIN)]).await, StatusCode::OK);

    let cookie = logged_in(&world, Some(planted)).await;
    assert_ne!(cookie, planted);
    assert_eq!(session(&world, &[(COOKIE, planted), (ORIGIN, world::ORIGIN)]).await, StatusCode::UNAUTHORIZED);
    assert_eq!(session(&world, &[(COOKIE, &cookie), (ORIGIN, world::ORIGIN)]).await, StatusCode::OK);
}

#[tokio::test]
async fn a_changed_password_changes_the_cookie_and_ends_every_other_one() {
    let world = World::new().await;
    let (mine, other) = (logged_in(&world, None).await, logged_in(&world, None).await);
    let body = format!(r#"{{"current_password":"{PASSWORD}","new_password":"another horse battery"}}"#);
    let headers = [JSON, (COOKIE, mine.as_str()), (ORIGIN, world::ORIGIN)];
    let (response, body) = world.http("/v1/password", &headers, &body).await;
    assert_eq!(response.status(), StatusCode::OK, "{body}");
    assert!(body.get("access_token").is_none(), "no token for scripts");
    let set = response.headers()[SET_COOKIE].to_str().expect("it is text");
    let next = set.split(';').next().expect("the pair comes first").to_owned();
    for (cookie, status) in [(&mine, 401), (&other, 401), (&next, 200)] {
        assert_eq!(session(&world, &[(COOKIE, cookie), (ORIGIN, world::ORIGIN)]).await, status);
    }
}

#[tokio::test]
async fn logging_out_everywhere_ends_every_session_of_the_person() {
    let world = World::new().await;
    let (mine, other) = (logged_in(&world, None).await, logged_in(&world, None).await);
    let headers = [(COOKIE, mine.as_str()), (ORIGIN, world::ORIGIN)];
    let (response, body) = world.http("/v1/logout/all", &headers, "").await;
    assert_eq!(response.status(), StatusCode::OK, "{body}");
    for cookie in [&mine, &other] {
        assert_eq!(session(&world, &[(COOKIE, cookie), (ORIGIN, world::ORIGIN)]).await, StatusCode::UNAUTHORIZED);
    }
    logged_in(&world, None).await;
}

#[tokio::test]
async fn a_cookie_that_is_due_is_exchanged_where_it_is_used() {
    let world = World::with(|config| config.cookie.exchange_after_ms = 0).await;
    let cookie = logged_in(&world, None).await;
    let headers = [(COOKIE, cookie.as_str()), (ORIGIN, world::ORIGIN)];
    let answer = world.send(Method::GET, "/v1/session", &headers, "").await;
    let set = answer.headers()[SET_COOKIE].to_str().expect("it is text");
    assert!(set.contains("; HttpOnly; SameSite=Lax; Max-Age="), "{set}");
    assert!(!set.starts_with(&cookie), "another value");
    let (response, ticket) = world.http("/v1/ws-ticket", &headers, "").await;
    assert_eq!(response.headers()[SET_COOKIE].to_str().expect("it is text").split(';').next(), set.split(';').next());
    assert!(ticket["ticket"].as_str().is_some_and(|ticket| ticket.starts_with("tk_")));
}

/// What a CDN, and a balancer that listens at loopback before us, make of a request of a client that forges the header.
fn forwarded(forged: &str, client: &str) -> String {
    format!("{forged}, {client}, 198.51.100.9:4711")
}

#[tokio::test]
async fn behind_a_cdn_and_a_balancer_the_guesses_of_one_client_slow_no_other_and_forging_gains_nothing() {
    let world = World::with(|config| {
        let trusted = ["127.0.0.1", "198.51.100.0/24"].map(|range| AddressRange::try_from(range).expect("a range"));
        config.http.behind_tls_proxy = true;
        config.http.trusted_proxies = TrustedProxies::new(trusted.to_vec());
        config.login_guard.free_per_place = 1;
    })
    .await;
    const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    let right = login().replace("cookie", "token");
    let wrong = right.replace(PASSWORD, "wrong horse battery");
    for forged in ["192.0.2.2", "203.0.113.1", "198.51.100.7", "127.0.0.1", "unknown"] {
        world.http("/v1/login", &[JSON, (FORWARDED_FOR, &forwarded(forged, "192.0.2.1"))], &wrong).await;
    }
    let (slowed, problem) =
        world.http("/v1/login", &[JSON, (FORWARDED_FOR, &forwarded("203.0.113.2", "192.0.2.1"))], &right).await;
    assert_eq!(slowed.status(), StatusCode::UNAUTHORIZED, "what the client wrote before does not matter");
    assert_eq!(
        slowed.headers()[header::RETRY_AFTER].to_str().ok(),
        problem["retry_after"].as_u64().map(|s| s.to_string()).as_deref()
    );
    // Of two lines the later one was written by the later proxy.
    let lines = [JSON, (FORWARDED_FOR, "192.0.2.2"), (FORWARDED_FOR, "198.51.100.9")];
    let (other, _) = world.http("/v1/login", &lines, &right).await;
    assert_eq!(other.status(), StatusCode::OK, "the other client");
}

#[tokio::test]
async fn whoever_is_no_proxy_is_not_believed_about_its_address() {
    let world = World::with(|config| config.login_guard.free_per_place = 1).await;
    let right = login().replace("cookie", "token");
    let wrong = right.replace(PASSWORD, "wrong horse battery");
    let from = |address: &'static str| [JSON, (HeaderName::from_static("x-forwarded-for"), address)];
    for address in ["203.0.113.1", "203.0.113.2", "203.0.113.3"] {
        world.http("/v1/login", &from(address), &wrong).await;
    }
    let (slowed, _) = world.http("/v1/login", &from("203.0.113.4"), &right).await;
    assert_eq!(slowed.status(), StatusCode::UNAUTHORIZED);
}

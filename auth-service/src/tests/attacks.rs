//! Attacks on logging in that need the HTTP edge. The whole list is docs/attacks.md.

use http::{StatusCode, header};
use portcullis_proto::auth::v1;

use super::world::{ORIGIN, PASSWORD, World};

const JSON: (http::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

/// Logs in with a cookie, in a browser that already has `cookies`; the new cookie as the browser would send it.
async fn log_in(world: &World, name: &str, cookies: Option<&str>) -> String {
    let body = format!(r#"{{"tenant":"demo","name":"{name}","password":"{PASSWORD}","mode":"cookie"}}"#);
    let mut headers = vec![JSON, (header::ORIGIN, ORIGIN)];
    headers.extend(cookies.map(|cookies| (header::COOKIE, cookies)));
    let (response, answer) = world.http("/v1/login", &headers, &body).await;
    assert_eq!(response.status(), StatusCode::OK, "{answer}");
    let set = response.headers()[header::SET_COOKIE].to_str().expect("it is text");
    set.split(';').next().expect("the pair comes first").to_owned()
}

fn value(cookie: &str) -> &str {
    cookie.split_once('=').expect("a pair").1
}

/// Who a cookie stands for, if for anybody.
async fn identity(world: &World, cookie: &str) -> Option<String> {
    let verdict = world.verify(&world.admin, value(cookie)).await;
    Some(verdict.allowed?.principal.expect("somebody").identity_id)
}

#[tokio::test]
async fn a_session_that_was_planted_before_a_login_is_not_the_one_after_it() {
    let world = World::new().await;
    world.make_identity("demo", "mallory", v1::IdentityKind::User).await;
    let planted = log_in(&world, "mallory", None).await;
    let victim = log_in(&world, "ada", Some(&planted)).await;
    assert_ne!(value(&victim), value(&planted), "the login took over the session that it came with");
    assert_eq!(identity(&world, &victim).await, Some(world.ada.clone()));
    assert_ne!(identity(&world, &planted).await, Some(world.ada.clone()), "the attacker's cookie became the victim's");

    // Nor is one that the attacker made up adopted.
    let invented = format!("__Host-portcullis_session=sc_{}", "A".repeat(72));
    let again = log_in(&world, "ada", Some(&invented)).await;
    assert_ne!(value(&again), value(&invented));
    assert_ne!(value(&again), value(&victim), "each login is a session of its own");
}

//! What a device is known by, over both transports. Whether guesses of others slow somebody is told by the wait after one
//! more wrong guess, however long the guesses themselves take.

use http::header::{CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use http::{HeaderName, Response, StatusCode};
use portcullis_config::TrustedProxies;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::authentication_service_client::AuthenticationServiceClient;
use portcullis_proto::auth::v1::begin_authentication_request::Method;
use portcullis_proto::auth::v1::begin_authentication_response::Outcome;
use portcullis_types::AddressRange;
use serde_json::{Value, json};

use super::world::{self, PASSWORD, World, by};

const WRONG: &str = "wrong horse battery";
const NAME: &str = "__Host-portcullis_device=";

/// A service behind a proxy, where one guess at an account is free.
async fn world() -> World {
    World::with(|config| {
        let trusted = vec![AddressRange::try_from("127.0.0.1").expect("a range")];
        config.http.behind_tls_proxy = true;
        config.http.trusted_proxies = TrustedProxies::new(trusted);
        (config.login_guard.free_per_place, config.login_guard.free_per_account) = (2, 1);
    })
    .await
}

fn login(mode: &str, password: &str) -> Value {
    json!({ "tenant": "demo", "name": "ada", "password": password, "mode": mode })
}

/// What a browser at this address is answered.
async fn post(world: &World, address: &str, cookie: &str, body: &Value) -> (Response<()>, Value) {
    let forwarded = (HeaderName::from_static("x-forwarded-for"), address);
    let mut headers = vec![(CONTENT_TYPE, "application/json"), (ORIGIN, world::ORIGIN), forwarded];
    if !cookie.is_empty() {
        headers.push((COOKIE, cookie));
    }
    world.http("/v1/login", &headers, &body.to_string()).await
}

/// Others guess about ada, from everywhere.
async fn siege(world: &World) {
    for address in ["198.51.100.1", "198.51.100.2"] {
        post(world, address, "", &login("token", WRONG)).await;
    }
}

/// Whether one more wrong guess, from where nobody was, must wait.
async fn is_slowed(world: &World, cookie: &str, body: &Value) -> bool {
    let (response, problem) = post(world, "203.0.113.9", cookie, body).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{problem}");
    problem["retry_after"].as_u64().is_some_and(|seconds| seconds > 0)
}

/// The cookie by which an answer lets the device be known, as it is set.
fn set_by(response: &Response<()>) -> Option<&str> {
    let mut set = response.headers().get_all(SET_COOKIE).iter().map(|set| set.to_str().expect("it is text"));
    set.rfind(|set| set.starts_with(NAME))
}

fn pair(set: &str) -> &str {
    set.split(';').next().expect("the pair comes first")
}

#[tokio::test]
async fn a_browser_that_logged_in_before_is_not_slowed_by_the_guesses_of_others() {
    let world = world().await;
    let (before, body) = post(&world, "203.0.113.1", "", &login("cookie", PASSWORD)).await;
    let set = set_by(&before).expect("the device is remembered");
    let (device, attributes) = set.split_once("; ").expect("there are attributes");
    assert!(device.starts_with("__Host-portcullis_device=dv_"));
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=7776000");
    assert!(body.get("device_token").is_none(), "no script reads it");
    siege(&world).await;
    assert!(is_slowed(&world, "", &login("cookie", WRONG)).await, "without it");
    assert!(!is_slowed(&world, device, &login("cookie", WRONG)).await, "with it");
    let twice = format!("{device}; {device}");
    assert!(is_slowed(&world, &twice, &login("cookie", WRONG)).await, "of two, one may have been planted");
    let (again, body) = post(&world, "203.0.113.2", device, &login("cookie", PASSWORD)).await;
    assert_eq!(again.status(), StatusCode::OK, "{body}");
    assert_eq!(set_by(&again).map(pair), Some(device), "it stays as it is, and lasts longer");
}

#[tokio::test]
async fn whoever_changes_the_password_in_a_browser_is_known_there_by_another_value() {
    let world = world().await;
    let (before, _) = post(&world, "203.0.113.1", "", &login("cookie", PASSWORD)).await;
    let device = pair(set_by(&before).expect("the device is remembered"));
    let sets = before.headers().get_all(SET_COOKIE).iter().map(|set| pair(set.to_str().expect("it is text")));
    let jar = sets.collect::<Vec<_>>().join("; ");
    siege(&world).await;
    let forwarded = (HeaderName::from_static("x-forwarded-for"), "203.0.113.9");
    let headers = [(CONTENT_TYPE, "application/json"), (ORIGIN, world::ORIGIN), forwarded, (COOKIE, jar.as_str())];
    let change = json!({ "current_password": PASSWORD, "new_password": "another horse battery" });
    let (changed, body) = world.http("/v1/password", &headers, &change.to_string()).await;
    assert_eq!(changed.status(), StatusCode::OK, "{body}");
    let next = pair(set_by(&changed).expect("it is remembered again"));
    assert!(is_slowed(&world, device, &login("cookie", WRONG)).await, "by the old one");
    assert!(!is_slowed(&world, next, &login("cookie", WRONG)).await, "by the new one");
}

#[tokio::test]
async fn a_program_keeps_what_its_device_is_known_by_out_of_the_body_and_only_if_it_asks() {
    let world = world().await;
    let (unasked, body) = post(&world, "203.0.113.1", "", &login("token", PASSWORD)).await;
    assert!(body.get("device_token").is_none() && set_by(&unasked).is_none(), "{body}");
    let mut asking = login("token", PASSWORD);
    asking["remember_device"] = true.into();
    let (asked, body) = post(&world, "203.0.113.1", "", &asking).await;
    assert!(set_by(&asked).is_none(), "no cookie");
    assert_eq!(body["device_expires_in"], 90 * 86_400);
    let token = body["device_token"].clone();
    siege(&world).await;
    let (mut wrong, mut right) = (login("token", WRONG), login("token", PASSWORD));
    assert!(is_slowed(&world, "", &wrong).await, "without it");
    for body in [&mut wrong, &mut right] {
        body["device_token"] = token.clone();
    }
    assert!(!is_slowed(&world, "", &wrong).await, "with it");
    let (_, again) = post(&world, "203.0.113.2", "", &right).await;
    assert_eq!(again["device_token"], token);
}

#[tokio::test]
async fn what_a_browser_is_known_by_is_told_to_no_script_that_asks_for_tokens() {
    let world = world().await;
    let (before, _) = post(&world, "203.0.113.1", "", &login("cookie", PASSWORD)).await;
    let device = pair(set_by(&before).expect("the device is remembered"));
    let mut asking = login("token", PASSWORD);
    let (answer, body) = post(&world, "203.0.113.1", device, &asking).await;
    assert!(body.get("device_token").is_none() && set_by(&answer).is_none(), "{body}");
    asking["remember_device"] = true.into();
    let (_, body) = post(&world, "203.0.113.1", device, &asking).await;
    let drawn = body["device_token"].as_str().expect("another one");
    assert!(!device.ends_with(drawn));
}

#[tokio::test]
async fn a_back_end_keeps_what_the_device_of_its_user_is_known_by() {
    let world = world().await;
    let begin = async |password: &str, address: &str, device_token: &str, remember_device| {
        let method = v1::PasswordMethod { name: "ada".to_owned(), password: password.to_owned() };
        let request = v1::BeginAuthenticationRequest {
            tenant: "demo".to_owned(),
            method: Some(Method::Password(method)),
            client_address: address.to_owned(),
            device_token: device_token.to_owned(),
            remember_device,
            ..Default::default()
        };
        let mut client = AuthenticationServiceClient::new(world.channel.clone());
        let answer = client.begin_authentication(by(&world.admin, request)).await.expect("it may").into_inner();
        answer.outcome.expect("there is one")
    };
    let wait = async |device: &str| match begin(WRONG, "203.0.113.9", device, false).await {
        Outcome::Denied(denied) => denied.retry_after_ms,
        other => panic!("it is wrong: {other:?}"),
    };
    let logged_in = async |device: &str, remember| match begin(PASSWORD, "203.0.113.1", device, remember).await {
        Outcome::Authenticated(authenticated) => (authenticated.device_token, authenticated.device_expires_in_ms),
        other => panic!("it is right: {other:?}"),
    };
    assert_eq!(logged_in("", false).await, (String::new(), 0), "nobody asked");
    let (token, lives) = logged_in("", true).await;
    assert_eq!(lives, 90 * 86_400 * 1_000);
    siege(&world).await;
    assert!(wait("").await > 0, "without it");
    assert!(wait("not a token").await > 0, "what is not good is as good as none");
    assert_eq!(wait(&token).await, 0, "with it");
    assert_eq!(logged_in(&token, false).await.0, token);
    assert_eq!(logged_in("not a token", false).await.0, "", "nor is it replaced unasked");
}

//! Somebody whose account others guess about, from the same address too, as many have it behind one router.

use portcullis_proto::auth::v1;
use serde_json::{Value, json};
use test_harness::{Answer, Authority, Cli, PASSWORD};

/// Two guesses from a place, or on a device, are free; one at an account from elsewhere.
const GUARD: &str = "[login_guard]\nfree_per_place = 2\nfree_per_account = 1\n";
const PAGE: &str = "https://app.example";
const LOGIN: [&str; 6] = ["login", "--tenant", "demo", "--name", "alice", "--password-stdin"];

async fn log_in(authority: &Authority, cookie: &str, password: &str) -> Answer {
    let body = json!({ "tenant": "demo", "name": "alice", "password": password, "mode": "cookie" });
    let mut headers = vec![("origin", PAGE)];
    if !cookie.is_empty() {
        headers.push(("cookie", cookie));
    }
    authority.edge().post("/v1/login", &headers, &body).await
}

/// What a browser sends back of what it was told to keep.
fn kept(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").iter().map(|set| set.to_str().expect("it is text"));
    set.filter_map(|set| set.split(';').next()).collect::<Vec<_>>().join("; ")
}

/// Whole seconds, if there are any.
fn wait(answer: &Answer) -> Option<u64> {
    assert_eq!(answer.status, 401, "{}", answer.text);
    answer.json()["retry_after"].as_u64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_logged_in_on_a_device_before_is_not_slowed_there_by_the_guesses_of_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::start(&folder.path().join("authority"), &[PAGE], GUARD).await;
    let admin = authority.admin().await;
    admin.create_tenant("demo").await;
    admin.create_identity("demo", "alice", v1::IdentityKind::User, PASSWORD, &[]).await;
    let cli = Cli::admin(&authority).with(&["--output", "json"]);

    let browser = kept(&log_in(&authority, "", PASSWORD).await);
    let terminal = cli.clone().input(PASSWORD).ask(&[&LOGIN[..], &["--remember-device"]].concat()).await;
    let terminal = terminal.json()["device_token"].as_str().expect("it was asked for").to_owned();
    for guess in 0..3 {
        let guess = format!("not her password {guess}");
        log_in(&authority, "", &guess).await;
        cli.clone().input(&guess).ask(&LOGIN).await;
    }

    assert!(wait(&log_in(&authority, "", "not her password 4").await).is_some(), "another browser");
    assert_eq!(wait(&log_in(&authority, &browser, "not her password 4").await), None, "hers");
    let answer = log_in(&authority, &browser, PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.text);

    let slowed = cli.clone().input("not her password 5").ask(&LOGIN).await;
    assert!(slowed.json()["retry_after_ms"].as_u64() > Some(0), "another terminal: {slowed}");
    let known = cli.clone().secret("PORTCULLIS_DEVICE_TOKEN", &terminal).input(PASSWORD).ask(&LOGIN).await;
    assert_eq!(known.json()["device_known"], Value::Bool(true), "{known}");
}

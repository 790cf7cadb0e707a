//! Where secrets may be, and where they may not. Every scene is searched at its end; here is what needs one of its own.

use std::path::Path;

use serde_json::json;
use test_harness::{Gateway, PASSWORD, Site, Socket, assert_none_in, remember};

/// Frames, polls and pings too: what a scene otherwise leaves out for its bulk.
const EVERYTHING: &str = "[log]\nformat = \"json\"\nfilter = \"trace\"\n";

#[tokio::test]
async fn a_log_of_everything_that_any_crate_says_holds_no_secret() {
    let site = Site::start_with(EVERYTHING).await;
    let mut options = site.gateway_options("gateway-loquacious");
    EVERYTHING.clone_into(&mut options.more);
    let gateway = site.start_gateway(&options).await;
    gateway.synced().await;
    use_every_way_in(&site, &gateway).await;

    for (process, crates) in [(&site.authority.process, ["h2::", "tonic"]), (&gateway.process, ["h2::", "hyper"])] {
        let log = process.log();
        for said in crates {
            assert!(log.contains(said), "{said} says nothing, so nothing is shown");
        }
    }
    // The programs' ends search their logs for everything that was made here.
}

/// Each carrier with a credential that works, one that does not, and a password each way.
async fn use_every_way_in(site: &Site, gateway: &Gateway) {
    let login = site.log_in("alice").await;
    let refresh = json!({ "grant_type": "refresh_token", "refresh_token": login.refresh_token });
    assert_eq!(site.edge().post("/v1/token", &[], &refresh).await.status, 200);
    let cookie = json!({ "tenant": "acme", "name": "bob", "password": PASSWORD, "mode": "cookie" });
    let origin = ("origin", "https://app.example");
    assert_eq!(site.edge().post("/v1/login", &[origin], &cookie).await.status, 200);
    let _ = site.edge().try_log_in("acme", "alice", "not the password 4711").await;

    let ticket = site.edge().ticket(&login.access_token).await;
    let url = format!("{}?ticket={ticket}", gateway.url());
    Socket::open(&url, &[]).await.expect("a handshake").connect(None).await;
    let bearer = format!("Bearer {}", login.access_token);
    Socket::open(&gateway.url(), &[("authorization", &bearer)]).await.expect("a handshake").connect(None).await;
    let mut socket = gateway.open().await;
    socket.connect(Some(&login.access_token)).await;
    let _ = Socket::open(&format!("{}?token={}", gateway.url(), login.access_token), &[]).await;
    let spent = gateway.open().await.try_connect(Some(&ticket)).await;
    assert!(spent.expect("an answer").error().is_some());
    assert!(site.admin.verify(&login.access_token).await.allowed.is_some());
    site.backend.revoke_session("acme", &login.session).await;
    socket.closed().await;
}

#[tokio::test]
async fn no_file_of_the_store_but_the_key_files_holds_a_secret() {
    let mut site = Site::start().await;
    let gateway = site.gateways.remove(0);
    use_every_way_in(&site, &gateway).await;
    remember("a password", PASSWORD);
    let data = site.authority_folder().join("data");
    for file in std::fs::read_dir(&data).expect("the data directory") {
        let file = file.expect("an entry").path();
        let is_key = ["kek", "admin.key"].map(Path::new).iter().any(|name| file.ends_with(name));
        let content = std::fs::read(&file).unwrap_or_default();
        if !is_key {
            assert_none_in(&file.display().to_string(), &content);
        }
    }
}

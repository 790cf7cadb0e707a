//! Programs start in any order, restart at any time, and stop cleanly.

use portcullis_proto::auth::v1;
use rustix::process::Signal;
use test_harness::{Link, PASSWORD, Process, Site, Socket, eventually};
use tonic::Code;

#[tokio::test]
async fn a_gateway_may_start_before_its_authority_and_admits_nobody_until_it_has_heard_from_it() {
    let site = Site::start().await;
    let link = Link::to(site.authority.grpc).await;
    link.cut();
    let mut options = site.gateway_options("gateway-early");
    options.authority = link.address();
    let gateway = site.start_gateway(&options).await;
    gateway.unready().await;
    let login = site.log_in("alice").await;
    let bearer = format!("Bearer {}", login.access_token);
    let refused = Socket::open(&gateway.url(), &[("authorization", &bearer)]).await.expect_err("nobody is admitted");
    assert_eq!(refused.0, 503, "{}", refused.1);
    link.restore();
    gateway.synced().await;
    let mut socket = Socket::open(&gateway.url(), &[("authorization", &bearer)]).await.expect("a handshake");
    assert!(socket.connect(None).await.is_authenticated());
}

#[tokio::test]
async fn sockets_outlive_a_restart_of_the_authority_within_the_lease() {
    let mut site = Site::start().await;
    let login = site.log_in("alice").await;
    let mut socket = site.gateways[0].open().await;
    socket.connect(Some(&login.access_token)).await;
    site.restart_authority().await;
    site.gateways[0].synced().await;
    assert!(socket.is_alive().await);
    site.backend.revoke_session("acme", &login.session).await;
    assert_eq!(socket.closed().await.code, 4511);
}

#[tokio::test]
async fn without_the_authority_nobody_is_admitted_once_the_lease_has_ended_and_anonymous_sockets_stay() {
    let site = Site::start_with("[guarantee]\nstandard_ms = 2000\nprobe_interval_ms = 200\n").await;
    let login = site.log_in("alice").await;
    let mut anonymous = site.gateways[0].open().await;
    anonymous.connect(None).await;
    site.link.silence();
    site.gateways[0].unready().await;
    let bearer = format!("Bearer {}", login.access_token);
    let refused = Socket::open(&site.gateways[0].url(), &[("authorization", &bearer)]).await;
    assert_eq!(refused.expect_err("nobody is admitted").0, 503);
    assert!(anonymous.is_alive().await);
    site.link.restore();
    site.gateways[0].synced().await;
    let mut again = site.gateways[0].open().await;
    assert!(again.connect(Some(&login.access_token)).await.is_authenticated());
}

#[tokio::test]
async fn a_stopped_gateway_tells_its_clients_to_come_back() {
    let mut site = Site::start().await;
    let login = site.log_in("alice").await;
    let mut socket = site.gateways[0].open().await;
    socket.connect(Some(&login.access_token)).await;
    let stopping = site.gateways.remove(0);
    let mut process = stopping.process;
    let status = process.stop();
    let (closed, status) = tokio::join!(socket.closed(), status);
    assert_eq!(closed.code, 1012);
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_second_authority_on_the_same_data_is_refused() {
    let site = Site::start().await;
    let folder = site.authority_folder();
    let config = folder.join("auth-service.toml");
    let log = folder.join("second.log");
    let mut second = Process::start("auth-service", &["--config", config.to_str().expect("text")], &log);
    assert!(!second.ended().await.success());
    assert!(second.log().contains("lock"), "{}", second.log());
}

#[tokio::test]
async fn the_authority_refuses_plaintext_on_an_address_that_others_reach() {
    let site = Site::start().await;
    let folder = site.folder().join("open");
    std::fs::create_dir_all(&folder).expect("a folder");
    let config = folder.join("auth-service.toml");
    let text = format!("data_dir = {:?}\n[grpc]\nlisten = \"0.0.0.0:0\"\n", folder.join("data"));
    std::fs::write(&config, text).expect("the configuration can be written");
    let mut process =
        Process::start("auth-service", &["--config", config.to_str().expect("text")], &folder.join("log"));
    assert!(!process.ended().await.success());
    assert!(process.log().contains("loopback"), "{}", process.log());
}

#[tokio::test]
async fn an_authority_keeps_its_data_over_a_restart() {
    let mut site = Site::start().await;
    let login = site.log_in("alice").await;
    site.restart_authority().await;
    let verdict = site.backend.verify(&login.access_token).await;
    assert!(verdict.allowed.is_some(), "{verdict:?}");
    for gateway in &site.gateways {
        gateway.synced().await;
    }
}

#[tokio::test]
async fn a_stopped_authority_answers_everyone_or_says_that_it_leaves() {
    const SLOW: &str = "[password]\nmemory_kib = 65536\niterations = 6\nworkers = 1\nqueue = 64\n";
    let mut site = Site::start_with(SLOW).await;
    let login = site.log_in("alice").await;
    let mut socket = site.gateways[1].open().await;
    socket.connect(Some(&login.access_token)).await;
    // One who waits for a receipt that does not come, and more logins than can be checked in the time that is left.
    site.gateways[0].process.signal(Signal::STOP);
    let revision = site.backend.revoke_session("acme", &site.log_in("bob").await.session).await.revision;
    let mut credentials = site.backend.credentials();
    let receipt = tokio::spawn(async move {
        let request = v1::AwaitEnforcedRequest { revision, timeout_ms: 25_000 };
        credentials.await_enforced(request).await.map(tonic::Response::into_inner)
    });
    let logins: Vec<_> = (0..24)
        .map(|_| {
            let edge = site.edge();
            tokio::spawn(async move { edge.try_log_in("acme", "alice", PASSWORD).await })
        })
        .collect();
    eventually("all to wait", || async {
        let depth = site.authority.metric("portcullis_auth_hash_queue_depth", "").await;
        let waits = site.authority.metric("portcullis_auth_grpc_in_flight", "AwaitEnforced").await;
        (depth >= 20.0 && waits >= 1.0).then_some(())
    })
    .await;

    let status = site.authority.process.stop().await;
    assert!(status.success(), "something was still running when the time was over: {status}");
    let mut statuses = Vec::new();
    for login in logins {
        let answer = login.await.expect("every connection is answered");
        assert!(answer.status == 200 || answer.json()["reason"] == "unavailable", "{}: {}", answer.status, answer.text);
        statuses.push(answer.status);
    }
    assert!(statuses.contains(&503), "nobody waited, so nothing is shown");
    let told = receipt.await.expect("it is answered").expect_err("it is not enforced");
    assert_eq!(told.code(), Code::Unavailable);
    // The watch was drained: the gateway trusts what it knows for its lease.
    assert!(socket.is_alive().await);
    site.gateways[0].process.signal(Signal::CONT);
}

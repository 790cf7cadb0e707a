//! Programs start in any order, restart at any time, and stop cleanly.

use test_harness::{Link, Process, Site, Socket};

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

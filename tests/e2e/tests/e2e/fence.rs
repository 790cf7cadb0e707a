//! The fence: no verdict made before a revocation admits a socket after it.

use test_harness::{Api, Site, SlowAuthority, Socket};

/// A site with one more gateway, whose authority answers `Verify` when the test says so.
async fn slow_site() -> (Site, SlowAuthority, test_harness::Gateway) {
    let site = Site::start().await;
    let slow = SlowAuthority::before(Api::connect(site.authority.grpc, &site.gateway_key).await).await;
    let mut options = site.gateway_options("gateway-slow");
    options.authority = slow.address;
    let gateway = site.start_gateway(&options).await;
    gateway.synced().await;
    (site, slow, gateway)
}

/// Waits until the gateway has applied the log up to `seq`.
async fn applied(gateway: &test_harness::Gateway, seq: u64) {
    test_harness::eventually("the gateway to apply the revocation", || async {
        (gateway.metric("portcullis_gateway_applied_seq", "").await >= seq as f64).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_verdict_that_comes_after_the_revocation_it_precedes_does_not_admit() {
    let (site, slow, gateway) = slow_site().await;
    let login = site.log_in("alice").await;
    let mut socket = gateway.open().await;
    let connecting = tokio::spawn(async move {
        let answer = socket.try_connect(Some(&login.access_token)).await;
        (answer, socket)
    });
    // The authority has said yes, and the answer is on its way.
    slow.holds_a_verdict().await;
    // Now the session is revoked, and the gateway knows it before the answer comes.
    let revoked = site.backend.revoke_session("acme", &login.session).await;
    applied(&gateway, revoked.revision.expect("a revision").seq).await;
    slow.release();
    slow.release();

    let (answer, mut socket) = connecting.await.expect("the task ends");
    assert!(answer.expect("an answer before the close").error().is_some(), "a dead session was admitted");
    assert_eq!(socket.closed().await.code, 4511);
}

#[tokio::test]
async fn a_cached_verdict_does_not_admit_after_the_revocation() {
    let site = Site::start().await;
    let gateway = &site.gateways[0];
    let login = site.log_in("alice").await;
    let mut first = gateway.open().await;
    first.connect(Some(&login.access_token)).await;
    site.backend.revoke_session("acme", &login.session).await;
    assert_eq!(first.closed().await.code, 4511);
    let mut second = gateway.open().await;
    let answer = second.try_connect(Some(&login.access_token)).await.expect("an answer before the close");
    assert!(answer.error().is_some());
    assert_eq!(second.closed().await.code, 4511);
}

#[tokio::test]
async fn a_ticket_admits_one_socket_however_many_ask_at_once() {
    let site = Site::start().await;
    let login = site.log_in("alice").await;
    let ticket = site.edge().ticket(&login.access_token).await;
    let mut attempts = Vec::new();
    for n in 0..20 {
        let url = format!("{}?ticket={ticket}", site.gateways[n % 2].url());
        attempts.push(tokio::spawn(async move {
            let mut socket = Socket::open(&url, &[]).await.expect("a handshake");
            let admitted = socket.try_connect(None).await.is_ok_and(|answer| answer.is_authenticated());
            (admitted, socket)
        }));
    }
    let mut admitted = 0;
    let mut sockets = Vec::new();
    for attempt in attempts {
        let (let_in, socket) = attempt.await.expect("the task ends");
        admitted += usize::from(let_in);
        sockets.push(socket);
    }
    assert_eq!(admitted, 1);
}

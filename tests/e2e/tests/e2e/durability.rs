//! No acknowledged revocation is ever lost.

use portcullis_proto::auth::v1;
use portcullis_types::Chain;
use test_harness::Site;

#[tokio::test]
async fn killing_the_authority_in_mid_burst_loses_no_acknowledged_revocation() {
    let mut site = Site::start().await;
    let mut logins = Vec::new();
    for _ in 0..40 {
        logins.push(site.log_in("alice").await);
    }
    let mut tasks = Vec::new();
    let (acknowledged, mut seen) = tokio::sync::mpsc::unbounded_channel();
    for login in logins.clone() {
        let (api, acknowledged) = (site.backend.clone(), acknowledged.clone());
        tasks.push(tokio::spawn(async move {
            let target = v1::revoke_request::Target::SessionId(login.session.clone());
            if let Ok(response) = api.try_revoke("acme", target).await {
                let _ = acknowledged.send((login, response.revision.expect("a revision")));
            }
        }));
    }
    drop(acknowledged);
    let mut survivors = Vec::new();
    // Some are acknowledged, others under way: now it dies.
    for _ in 0..10 {
        survivors.push(seen.recv().await.expect("ten are acknowledged"));
    }
    site.kill_authority();
    while let Some(revoked) = seen.recv().await {
        survivors.push(revoked);
    }
    for task in tasks {
        task.await.expect("the task ends");
    }
    site.restart_authority().await;

    let log = site.admin.log().await;
    assert_gapless(&log);
    for (login, revision) in survivors {
        let entry = &log[usize::try_from(revision.seq).expect("it fits") - 1];
        assert_eq!(entry.revision, Some(revision), "acknowledged and not in the log");
        let verdict = site.admin.verify(&login.access_token).await;
        assert_eq!(verdict.deny_reason(), v1::DenyReason::SessionRevoked);
    }
}

fn assert_gapless(log: &[v1::LogEntry]) {
    let mut previous = None;
    for (position, entry) in log.iter().enumerate() {
        let revision = entry.revision.expect("an entry has a revision");
        assert_eq!(revision.seq, position as u64 + 1);
        if let Some(previous) = previous {
            assert_eq!(entry.previous_chain, previous);
        }
        previous = Some(revision.chain);
    }
    // The payload is what was hashed: it decodes, and changing it changes the chain.
    let payload = &log.last().expect("not empty").payload;
    let chain = Chain::from_bytes([0; 16]);
    assert_ne!(chain.extended_by(payload), chain.extended_by(b""));
}

#[tokio::test]
async fn a_gateway_that_was_away_admits_nobody_it_should_not_and_closes_who_was_revoked_meanwhile() {
    let mut site = Site::start().await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let mut of_alice = site.gateways[0].open().await;
    of_alice.connect(Some(&alice.access_token)).await;
    let mut of_bob = site.gateways[0].open().await;
    of_bob.connect(Some(&bob.access_token)).await;

    // The authority goes away and comes back, and while the gateways cannot hear it alice is revoked.
    site.link.cut();
    site.restart_authority().await;
    site.backend.revoke_session("acme", &alice.session).await;
    site.link.restore();

    assert_eq!(of_alice.closed().await.code, 4511);
    assert!(of_bob.is_alive().await);
    let mut again = site.gateways[1].open().await;
    assert!(again.try_connect(Some(&alice.access_token)).await.expect("an answer").error().is_some());
}

#[tokio::test]
async fn a_gateway_that_was_down_during_a_revocation_admits_nobody_it_should_not() {
    let mut site = Site::start().await;
    let alice = site.log_in("alice").await;
    let mut socket = site.gateways[0].open().await;
    socket.connect(Some(&alice.access_token)).await;
    site.gateways[0].process.kill();
    site.backend.revoke_session("acme", &alice.session).await;
    let gateway = site.start_gateway(&site.gateway_options("gateway-1")).await;
    gateway.synced().await;
    let mut again = gateway.open().await;
    assert!(again.try_connect(Some(&alice.access_token)).await.expect("an answer").error().is_some());
    assert_eq!(again.closed().await.code, 4511);
}

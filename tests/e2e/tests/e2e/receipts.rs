//! The receipt of a revocation: which gateways enforce it, how that is known, and that it is true.

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::{GatewayState, ReceiptStatus};
use rustix::process::Signal;
use serde_json::{Value, json};
use test_harness::{Api, Cli, Closed, Edge, Process, Site, Socket, eventually};
use tonic::{Code, Status};

/// Leases run out soon: how things stand before they do may be over before anybody has looked.
const SHORT: &str = "[guarantee]\nstandard_ms = 2000\nprobe_interval_ms = 200\n";
/// No lease runs out while a test lasts.
const LONG: &str = "[guarantee]\nstandard_ms = 60000\nprobe_interval_ms = 200\n";

async fn try_receipt(site: &Site, revision: Option<v1::Revision>, timeout_ms: i64) -> Result<v1::Receipt, Status> {
    let request = v1::AwaitEnforcedRequest { revision, timeout_ms };
    let answer = site.backend.credentials().await_enforced(request).await?;
    Ok(answer.into_inner().receipt.expect("a receipt"))
}

async fn receipt(site: &Site, revision: Option<v1::Revision>, timeout_ms: i64) -> v1::Receipt {
    try_receipt(site, revision, timeout_ms).await.expect("an answer")
}

/// Every receipt until it is settled or the time is over.
async fn receipts(site: &Site, revision: Option<v1::Revision>) -> Vec<v1::Receipt> {
    receipts_for(site, revision, 20_000).await
}

async fn receipts_for(site: &Site, revision: Option<v1::Revision>, timeout_ms: i64) -> Vec<v1::Receipt> {
    let request = v1::WatchEnforcedRequest { revision, timeout_ms };
    let mut stream = site.backend.credentials().watch_enforced(request).await.expect("it begins").into_inner();
    let mut all = Vec::new();
    while let Some(answer) = stream.message().await.expect("it does not break") {
        all.push(answer.receipt.expect("a receipt"));
    }
    all
}

fn part<'a>(receipt: &'a v1::Receipt, gateway: &str) -> &'a v1::GatewayReceipt {
    let mut parts = receipt.gateways.iter().filter(|part| part.gateway_id == gateway);
    let part = parts.next().unwrap_or_else(|| panic!("{gateway} is missing in {receipt:?}"));
    assert_eq!(parts.next(), None, "named twice");
    part
}

/// The states in which a gateway was seen, in order.
fn states(receipts: &[v1::Receipt], gateway: &str) -> Vec<GatewayState> {
    let mut states: Vec<_> = receipts.iter().map(|receipt| part(receipt, gateway).state()).collect();
    states.dedup();
    states
}

fn is_enforced(receipt: &v1::Receipt) -> bool {
    matches!(receipt.status(), ReceiptStatus::EnforcedByAcknowledgement | ReceiptStatus::EnforcedByTime)
}

async fn alice_on_both(site: &Site, token: &str) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for gateway in &site.gateways {
        let mut socket = gateway.open().await;
        socket.connect(Some(token)).await;
        sockets.push(socket);
    }
    sockets
}

#[tokio::test]
async fn a_receipt_names_every_gateway_with_the_sockets_it_fenced_and_closed() {
    let site = Site::start_with(LONG).await;
    let alice = site.log_in("alice").await;
    let mut sockets = alice_on_both(&site, &alice.access_token).await;
    let mut second = site.gateways[0].open().await;
    second.connect(Some(&alice.access_token)).await;
    sockets.push(second);
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    let (all, ()) = tokio::join!(receipts(&site, revoked.revision), async {
        for socket in &mut sockets {
            assert_eq!(socket.closed().await, Closed { code: 4511, reason: "session revoked".to_owned() });
        }
    });
    let last = all.last().expect("at least one");
    assert_eq!(
        (last.status(), last.bound_ms, last.certain_in_ms),
        (ReceiptStatus::EnforcedByAcknowledgement, 60_000, 0)
    );
    assert_eq!(last.gateways.len(), 2, "{last:?}");
    for (gateway, sockets) in [("gateway-1", 2), ("gateway-2", 1)] {
        let part = part(last, gateway);
        let said = part.acknowledgement.expect("its own word");
        assert_eq!((part.state(), said.fenced, said.closed), (GatewayState::Applied, sockets, sockets), "{part:?}");
    }
    // Each said once: nothing is repeated while nothing changes.
    let facts = |receipt: &v1::Receipt| {
        let of = |part: &v1::GatewayReceipt| (part.gateway_id.clone(), part.state, part.acknowledgement);
        (receipt.status, receipt.gateways.iter().map(of).collect::<Vec<_>>())
    };
    assert!(all.windows(2).all(|two| facts(&two[0]) != facts(&two[1])), "{all:?}");
    let once = receipt(&site, revoked.revision, 0).await;
    assert_eq!(once.status(), ReceiptStatus::EnforcedByAcknowledgement);
}

#[tokio::test]
async fn a_killed_gateway_counts_no_more_when_it_cannot_hold_a_lease() {
    let mut site = Site::start_with(SHORT).await;
    let alice = site.log_in("alice").await;
    let _sockets = alice_on_both(&site, &alice.access_token).await;
    site.gateways[1].process.kill();
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    let enforced = receipt(&site, revoked.revision, 10_000).await;
    assert!(is_enforced(&enforced), "{enforced:?}");
    assert_eq!(part(&enforced, "gateway-2").state(), GatewayState::CannotHoldLease);
}

#[tokio::test]
async fn a_gateway_that_ended_in_order_is_not_waited_for_and_a_killed_one_is() {
    let mut site = Site::start_with(LONG).await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let _sockets = alice_on_both(&site, &alice.access_token).await;
    let mut options = site.gateway_options("gateway-3");
    options.more = "[drain]\nwindow_ms = 10\n".to_owned();
    let mut third = site.start_gateway(&options).await;
    third.synced().await;
    let mut of_bob = third.open().await;
    of_bob.connect(Some(&bob.access_token)).await;
    assert!(third.process.stop().await.success());
    assert_eq!(of_bob.closed().await.code, 1012);
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    let enforced = receipt(&site, revoked.revision, 20_000).await;
    assert_eq!(enforced.status(), ReceiptStatus::EnforcedByAcknowledgement, "{enforced:?}");
    assert_eq!(part(&enforced, "gateway-1").state(), GatewayState::Applied);
    // The other way to end.
    site.gateways[1].process.kill();
    let revoked = site.backend.revoke_session("acme", &bob.session).await;
    let all = receipts_for(&site, revoked.revision, 1_000).await;
    assert_eq!(states(&all, "gateway-2"), [GatewayState::Lagging], "{all:?}");
    assert!(all.iter().all(|receipt| receipt.status() == ReceiptStatus::Pending), "{all:?}");
    assert!(all.iter().all(|receipt| (1..=60_070).contains(&receipt.certain_in_ms)), "{all:?}");
}

#[tokio::test]
async fn a_gateway_that_is_cut_off_passes_no_frame_after_the_receipt_says_enforced() {
    let site = Site::start_with(SHORT).await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let gateway = &site.gateways[0];
    let mut of_bob = gateway.open().await;
    of_bob.connect(Some(&bob.access_token)).await;
    of_bob.subscribe("room:lobby").await;
    let mut of_alice = gateway.open().await;
    of_alice.connect(Some(&alice.access_token)).await;
    site.link.cut();
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    let all = receipts(&site, revoked.revision).await;
    assert!(all.last().is_some_and(is_enforced), "{all:?}");
    for gateway in ["gateway-1", "gateway-2"] {
        assert!(!states(&all, gateway).contains(&GatewayState::Applied), "{all:?}");
    }
    // Enforced: what the dead one says from now on goes nowhere.
    let publish = json!({ "id": 77, "publish": { "channel": "room:lobby", "data": "from the grave" } });
    of_alice.send_text(&publish.to_string()).await;
    site.link.restore();
    assert_eq!(of_alice.closed().await.code, 4511);
    gateway.synced().await;
    of_bob.publish("room:lobby", json!("alive")).await.expect("an answer");
    assert_eq!(of_bob.publication("room:lobby").await["data"], json!("alive"));
    // Late as it is, its word counts.
    let late = receipt(&site, revoked.revision, 10_000).await;
    assert_eq!(part(&late, "gateway-1").acknowledgement.map(|said| said.fenced), Some(1), "{late:?}");
}

#[tokio::test]
async fn a_stopped_gateway_lags_and_applies_when_it_wakes() {
    let site = Site::start_with(LONG).await;
    let alice = site.log_in("alice").await;
    let mut sockets = alice_on_both(&site, &alice.access_token).await;
    site.gateways[0].process.signal(Signal::STOP);
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    let all = receipts_for(&site, revoked.revision, 1_000).await;
    assert_eq!(states(&all, "gateway-1"), [GatewayState::Lagging], "{all:?}");
    assert!(all.iter().all(|receipt| receipt.status() == ReceiptStatus::Pending), "{all:?}");
    site.gateways[0].process.signal(Signal::CONT);
    assert_eq!(sockets[0].closed().await.code, 4511);
    let woken = receipt(&site, revoked.revision, 20_000).await;
    assert_eq!(woken.status(), ReceiptStatus::EnforcedByAcknowledgement, "{woken:?}");
    assert_eq!(part(&woken, "gateway-1").state(), GatewayState::Applied, "{woken:?}");
}

#[tokio::test]
async fn a_stopped_gateway_that_cannot_hold_a_lease_is_not_waited_for_and_applies_when_it_wakes() {
    let site = Site::start_with(SHORT).await;
    let alice = site.log_in("alice").await;
    let mut sockets = alice_on_both(&site, &alice.access_token).await;
    site.gateways[0].process.signal(Signal::STOP);
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    let all = receipts(&site, revoked.revision).await;
    assert_eq!(states(&all, "gateway-1").last(), Some(&GatewayState::CannotHoldLease), "{all:?}");
    assert!(all.last().is_some_and(is_enforced), "{all:?}");
    site.gateways[0].process.signal(Signal::CONT);
    assert_eq!(sockets[0].closed().await.code, 4511);
    site.gateways[0].synced().await;
    let woken = receipt(&site, revoked.revision, 0).await;
    assert_eq!(part(&woken, "gateway-1").state(), GatewayState::Applied, "{woken:?}");
}

#[tokio::test]
async fn a_restarted_authority_cannot_tell_while_there_may_be_leases_from_before() {
    let mut site = Site::start_with(LONG).await;
    let alice = site.log_in("alice").await;
    // Gateways that hold a lease and do not come back to say so.
    let _sockets = alice_on_both(&site, &alice.access_token).await;
    site.link.silence();
    site.restart_authority().await;
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    let now = receipt(&site, revoked.revision, 1_000).await;
    assert_eq!(
        (now.status(), &now.gateways[..]),
        (ReceiptStatus::Unknown, &[][..]),
        "nobody is known, and nothing claimed"
    );
    assert!(now.certain_in_ms > 0, "{now:?}");
}

#[tokio::test]
async fn a_restarted_authority_can_tell_when_the_bound_has_passed() {
    let mut site = Site::start_with(SHORT).await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let _sockets = alice_on_both(&site, &alice.access_token).await;
    site.link.silence();
    site.restart_authority().await;
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    let then = receipt(&site, revoked.revision, 20_000).await;
    assert!(is_enforced(&then), "{then:?}");
    site.link.restore();
    for gateway in &site.gateways {
        gateway.synced().await;
    }
    let fine = site.backend.revoke_session("acme", &bob.session).await;
    let fine = receipts(&site, fine.revision).await;
    let fine = fine.last().expect("at least one");
    assert!(is_enforced(fine), "{fine:?}");
    for gateway in ["gateway-1", "gateway-2"] {
        eventually("the gateway's own word", async || {
            let now = receipt(&site, fine.revision, 0).await;
            (part(&now, gateway).state() == GatewayState::Applied).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_revision_that_is_not_on_the_log_gets_no_receipt() {
    let site = Site::start_with(SHORT).await;
    let alice = site.log_in("alice").await;
    let real = site.backend.revoke_session("acme", &alice.session).await.revision.expect("a revision");
    let refused = async |revision| try_receipt(&site, revision, 0).await.expect_err("refused").code();
    let forged = v1::Revision { chain: real.chain ^ 1, ..real };
    assert_eq!(refused(Some(forged)).await, Code::FailedPrecondition);
    assert_eq!(refused(Some(v1::Revision { seq: real.seq + 1, ..real })).await, Code::NotFound);
    assert_eq!(refused(Some(v1::Revision { seq: 0, chain: 0, shard: 0 })).await, Code::NotFound);
    assert_eq!(refused(Some(v1::Revision { shard: 1, ..real })).await, Code::InvalidArgument);
    assert_eq!(refused(None).await, Code::InvalidArgument);
    let (_, key) = site.admin.create_api_key("acme", "backend", &["verify"]).await;
    let weak = Api::connect(site.authority.grpc, &key).await;
    let request = v1::AwaitEnforcedRequest { revision: Some(real), timeout_ms: 0 };
    let status = weak.credentials().await_enforced(request).await.expect_err("the scope is missing");
    assert_eq!(status.code(), Code::PermissionDenied);
    let guarantee =
        weak.revocations().get_guarantee(v1::GetGuaranteeRequest {}).await.expect("for any key").into_inner();
    assert_eq!((guarantee.bound_ms, guarantee.lease_ms, guarantee.probe_interval_ms), (2_000, 2_000, 200));
}

#[tokio::test]
async fn somebody_who_only_reads_the_log_is_not_waited_for() {
    let site = Site::start_with(LONG).await;
    let alice = site.log_in("alice").await;
    let log = site.folder().join("tail.log");
    let key = site.folder().join("reader.key");
    std::fs::write(&key, &site.gateway_key).expect("it can be written");
    let endpoint = format!("http://{}", site.authority.grpc);
    let arguments =
        ["log", "tail", "--endpoint", &endpoint, "--api-key-file", key.to_str().expect("text"), "--output", "json"];
    let tail = Process::start("portcullis", &arguments, &log);
    eventually("the tail to watch", || async {
        let watchers = Edge::at(site.authority.http).get("/metrics").await.ok()?;
        watchers.text.contains("portcullis_auth_watchers 3").then_some(())
    })
    .await;
    drop(tail);
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    let enforced = receipt(&site, revoked.revision, 10_000).await;
    assert_eq!(enforced.status(), ReceiptStatus::EnforcedByAcknowledgement, "no lease had to run out: {enforced:?}");
    assert_eq!(enforced.gateways.len(), 2, "{enforced:?}");
}

/// Runs the command line as the back end; its exit code and the documents it printed.
pub(crate) async fn command(site: &Site, arguments: &[&str]) -> (i32, Vec<Value>) {
    let (_, secret) = site.admin.create_api_key("acme", "backend", &["revoke", "identity.read"]).await;
    let cli = Cli::at(&format!("http://{}", site.authority.grpc)).key(&secret).with(&["--output", "json"]);
    let said = cli.ask(arguments).await;
    let documents = serde_json::Deserializer::from_str(&said.stdout).into_iter();
    let documents = documents.map(|document| document.expect("one document after the other")).collect();
    (said.code, documents)
}

#[tokio::test]
async fn the_command_line_waits_for_the_receipt_and_its_exit_code_tells() {
    let site = Site::start_with(LONG).await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let sockets = alice_on_both(&site, &alice.access_token).await;
    let revoke = ["revoke", "session", "--tenant", "acme", &alice.session, "--wait"];
    let ((code, documents), ()) = tokio::join!(command(&site, &revoke), async {
        for mut socket in sockets {
            assert_eq!(socket.closed().await.code, 4511);
        }
    });
    assert_eq!(code, 0, "{documents:?}");
    let (first, last) = (documents.first().expect("the answer"), documents.last().expect("the receipt"));
    assert_eq!((&first["revision"], &first["enforced_within_ms"]), (&last["revision"], &json!(60_000)));
    assert_eq!((&last["enforced"], &last["status"]), (&json!(true), &json!("enforced_by_acknowledgement")));
    let part = |gateway: usize, key: &str| last["gateways"][gateway][key].clone();
    for (gateway, name) in ["gateway-1", "gateway-2"].into_iter().enumerate() {
        assert_eq!([part(gateway, "gateway_id"), part(gateway, "state")], [json!(name), json!("applied")]);
        assert_eq!([part(gateway, "fenced"), part(gateway, "closed")], [json!(1), json!(1)], "{last}");
    }
    site.gateways[1].process.signal(Signal::STOP);
    let (code, documents) =
        command(&site, &["revoke", "session", "--tenant", "acme", &bob.session, "--wait=1ms"]).await;
    assert_eq!(code, 4, "{documents:?}");
    let last = documents.last().expect("the receipt");
    assert_eq!((&last["enforced"], &last["gateways"][1]["state"]), (&json!(false), &json!("lagging")));
    let revision = last["revision"].as_str().expect("a text");
    assert_eq!(command(&site, &["receipt", revision]).await.0, 4);
    site.gateways[1].process.signal(Signal::CONT);
    assert_eq!(command(&site, &["receipt", revision, "--wait=20s"]).await.0, 0);
    assert_eq!(command(&site, &["receipt", revision]).await.0, 0);
}

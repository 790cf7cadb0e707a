//! Several authorities on one PostgreSQL database: one order, one receipt, whoever is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::{GatewayState, ReceiptStatus};
use prost::Message as _;
use serde_json::json;
use test_harness::{Api, Authority, Closed, Database, Edge, Gateway, GatewayOptions, Link, Site, Socket};
use test_harness::{eventually, within};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

mod moving;
mod once;

pub(crate) use moving::counted;

/// No lease runs out while a test lasts.
const LONG: &str = "[guarantee]\nstandard_ms = 60000\nprobe_interval_ms = 200\n";
/// One runs out soon.
const SHORT: &str = "[guarantee]\nstandard_ms = 4000\nprobe_interval_ms = 200\n";

/// A site on a database of its own.
async fn site(guarantee: &str) -> (Database, Site) {
    let database = Database::create();
    let site = Site::start_with(&(database.toml() + guarantee)).await;
    (database, site)
}

/// A gateway at another authority of the site.
async fn gateway_at(site: &Site, authority: &Authority, id: &str) -> Gateway {
    let options = GatewayOptions { authority: authority.grpc, ..site.gateway_options(id) };
    let gateway = site.start_gateway(&options).await;
    gateway.synced().await;
    gateway
}

async fn open(gateway: &Gateway, token: &str) -> Socket {
    let mut socket = gateway.open().await;
    socket.connect(Some(token)).await;
    socket
}

async fn receipt(api: &Api, revision: Option<v1::Revision>, timeout_ms: i64) -> v1::Receipt {
    let answer = api.credentials().await_enforced(v1::AwaitEnforcedRequest { revision, timeout_ms }).await;
    answer.expect("an answer").into_inner().receipt.expect("a receipt")
}

fn part<'a>(receipt: &'a v1::Receipt, gateway: &str) -> &'a v1::GatewayReceipt {
    let part = receipt.gateways.iter().find(|part| part.gateway_id == gateway);
    part.unwrap_or_else(|| panic!("{gateway} is missing in {receipt:?}"))
}

#[tokio::test]
async fn gateways_enforce_what_an_authority_on_postgresql_revokes() {
    let (_database, site) = site(LONG).await;
    let alice = site.log_in("alice").await;
    let mut sockets = Vec::new();
    for gateway in &site.gateways {
        sockets.push(open(gateway, &alice.access_token).await);
    }
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, Closed { code: 4511, reason: "session revoked".to_owned() });
    }
    let receipt = receipt(&site.backend, revoked.revision, 10_000).await;
    assert_eq!(receipt.status(), ReceiptStatus::EnforcedByAcknowledgement, "{receipt:?}");
    assert_eq!(receipt.gateways.len(), 2);
    assert!(site.authority.metric("portcullis_auth_beats", "proven").await > 0.0);
}

#[tokio::test]
async fn a_receipt_of_any_replica_names_every_gateway_with_its_figures() {
    let (_database, site) = site(LONG).await;
    let second = site.start_replica("authority-2").await;
    let third = site.start_replica("authority-3").await;
    let gateway = gateway_at(&site, &second, "gateway-3").await;
    let alice = site.log_in("alice").await;
    let mut at_first = open(&site.gateways[0], &alice.access_token).await;
    let mut at_second = open(&gateway, &alice.access_token).await;
    let revoked = site.backend_at(&third).await.revoke_session("acme", &alice.session).await;
    assert_eq!((at_first.closed().await.code, at_second.closed().await.code), (4511, 4511));
    for authority in [&site.authority, &second, &third] {
        let receipt = receipt(&site.backend_at(authority).await, revoked.revision, 10_000).await;
        assert_eq!(receipt.status(), ReceiptStatus::EnforcedByAcknowledgement, "{receipt:?}");
        assert_eq!(receipt.gateways.len(), 3, "{receipt:?}");
        for (gateway, fenced) in [("gateway-1", 1), ("gateway-2", 0), ("gateway-3", 1)] {
            let part = part(&receipt, gateway);
            assert_eq!(part.state(), GatewayState::Applied, "{receipt:?}");
            assert_eq!(part.acknowledgement.map(|said| said.fenced), Some(fenced), "{receipt:?}");
        }
    }
}

/// A process that is killed while its gateways hold leases answers for them no more; the others count them all the same.
#[tokio::test]
async fn gateways_of_a_killed_replica_count_while_they_may_hold_a_lease() {
    let (_database, site) = site(LONG).await;
    let mut second = site.start_replica("authority-2").await;
    let gateway = gateway_at(&site, &second, "gateway-3").await;
    let alice = site.log_in("alice").await;
    let _at_second = open(&gateway, &alice.access_token).await;
    second.process.kill();
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    let now = receipt(&site.backend, revoked.revision, 1_000).await;
    assert_eq!((now.status(), part(&now, "gateway-3").state()), (ReceiptStatus::Pending, GatewayState::Lagging));
    assert!(now.certain_in_ms > 0, "{now:?}");
}

/// No sooner than no frame passes there any more.
#[tokio::test]
async fn gateways_of_a_killed_replica_count_until_their_leases_ran_out() {
    let (_database, site) = site(SHORT).await;
    let mut second = site.start_replica("authority-2").await;
    let link = Link::to(second.grpc).await;
    let options = GatewayOptions { authority: link.address(), ..site.gateway_options("gateway-3") };
    let gateway = site.start_gateway(&options).await;
    gateway.synced().await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let mut of_bob = open(&gateway, &bob.access_token).await;
    of_bob.subscribe("room:lobby").await;
    let mut of_alice = open(&gateway, &alice.access_token).await;
    second.process.kill();
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    let then = receipt(&site.backend, revoked.revision, 20_000).await;
    assert!(
        matches!(then.status(), ReceiptStatus::EnforcedByAcknowledgement | ReceiptStatus::EnforcedByTime),
        "{then:?}"
    );
    assert_ne!(part(&then, "gateway-3").state(), GatewayState::Applied, "{then:?}");
    // Enforced: what the dead one says from now on goes nowhere, though its gateway has not heard of it.
    let publish = json!({ "id": 77, "publish": { "channel": "room:lobby", "data": "from the grave" } });
    of_alice.send_text(&publish.to_string()).await;
    link.retarget(site.authority.grpc);
    assert_eq!(of_alice.closed().await.code, 4511);
    gateway.synced().await;
    of_bob.publish("room:lobby", json!("alive")).await.expect("an answer");
    assert_eq!(of_bob.publication("room:lobby").await["data"], json!("alive"));
}

/// A watch that nobody is behind.
struct Observer {
    stream: Streaming<v1::WatchResponse>,
    // It lasts for as long as this does.
    _says: mpsc::Sender<v1::WatchRequest>,
}

impl Observer {
    /// One that has begun, at the beginning of the log.
    async fn of(api: &Api) -> Self {
        let (says, said) = mpsc::channel(4);
        let start = v1::WatchStart {
            gateway_id: "observer".to_owned(),
            boot_id: vec![9; 16],
            cursor: api.log_begin().await,
            observer: true,
        };
        let start = v1::WatchRequest { message: Some(v1::watch_request::Message::Start(start)) };
        says.send(start).await.expect("there is room");
        let stream = api.revocations().watch(ReceiverStream::new(said)).await.expect("it begins");
        let mut observer = Self { stream: stream.into_inner(), _says: says };
        let first = within("a welcome", observer.next()).await;
        assert!(matches!(first, v1::watch_response::Message::Welcome(_)), "{first:?}");
        observer
    }

    async fn next(&mut self) -> v1::watch_response::Message {
        let message = self.stream.message().await.expect("it does not break").expect("it does not end");
        message.message.expect("it says something")
    }

    /// Every entry, until it has seen the one that is named as the last.
    async fn watch(mut self, mut last: watch::Receiver<u64>) -> Vec<v1::LogEntry> {
        let mut seen: Vec<v1::LogEntry> = Vec::new();
        while seen.last().is_none_or(|entry| place(entry).0 < *last.borrow_and_update()) {
            tokio::select! {
                message = self.next() => match message {
                    v1::watch_response::Message::Entry(entry) => seen.push(entry),
                    other => panic!("{other:?} among the entries"),
                },
                _ = last.changed() => {}
            }
        }
        seen
    }
}

fn place(entry: &v1::LogEntry) -> (u64, u64) {
    let revision = entry.revision.expect("a revision");
    (revision.seq, revision.chain)
}

/// Everything that an entry kills.
pub(crate) fn killed(entry: &v1::LogEntry) -> Vec<(i32, Vec<u8>)> {
    let batch = v1::RevocationBatch::decode(entry.payload.clone()).expect("a batch");
    batch.revocations.into_iter().flat_map(|fact| fact.keys).map(|key| (key.kind, key.id.to_vec())).collect()
}

/// Revokes under so many names: one session after the other, or the same identity again and again. Two processes are asked
/// at once each time.
async fn write(apis: Arc<[Api; 3]>, writer: usize, names: usize) -> Vec<(u64, u64)> {
    let mut mine = Vec::new();
    for n in 0..names {
        let (one, other) = (&apis[(writer + n) % 3], &apis[(writer + n + 1) % 3]);
        let name = format!("writer-{writer}-{n}");
        let (first, again) = if writer.is_multiple_of(2) {
            let session = one.open_session("acme", "alice").await;
            tokio::join!(
                one.try_revoke_session_as("acme", &session, &name),
                other.try_revoke_session_as("acme", &session, &name)
            )
        } else {
            let victim = format!("victim-{writer}");
            tokio::join!(
                one.try_revoke_identity_as("acme", &victim, &name),
                other.try_revoke_identity_as("acme", &victim, &name)
            )
        };
        let [first, again] = [first, again].map(|answer| answer.expect("it is acknowledged").revision);
        assert_eq!(first, again, "one name had two effects");
        let revision = first.expect("a revision");
        mine.push((revision.seq, revision.chain));
    }
    mine
}

/// One order, no gap, no double effect: 64 writers over three processes, each asking two of them at once, while each
/// process is watched and has a gateway.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_and_64_writers_make_one_log() {
    const WRITERS: usize = 64;
    const EACH: usize = 4;
    let (_database, site) = site(LONG).await;
    let others = [site.start_replica("authority-2").await, site.start_replica("authority-3").await];
    let apis = [site.backend.clone(), site.backend_at(&others[0]).await, site.backend_at(&others[1]).await];
    let gateways = [gateway_at(&site, &others[0], "gateway-3").await, gateway_at(&site, &others[1], "gateway-4").await];
    for writer in (1..WRITERS).step_by(2) {
        site.admin.create_identity("acme", &format!("victim-{writer}"), v1::IdentityKind::User, "", &[]).await;
    }
    let before = site.admin.log().await.len() as u64;
    let last = watch::Sender::new(u64::MAX);
    let mut watched = Vec::new();
    for authority in [&site.authority, &others[0], &others[1]] {
        let observer = Observer::of(&Api::connect(authority.grpc, &site.authority.admin_key()).await).await;
        watched.push(tokio::spawn(observer.watch(last.subscribe())));
    }
    let apis = Arc::new(apis);
    let writers = (0..WRITERS).map(|writer| tokio::spawn(write(Arc::clone(&apis), writer, EACH)));
    let mut acknowledged = BTreeSet::new();
    for writer in writers.collect::<Vec<_>>() {
        acknowledged.extend(writer.await.expect("no writer panics"));
    }
    let end = acknowledged.last().expect("not empty").0;
    last.send_replace(end);
    let mut logs = Vec::new();
    for watch in watched {
        logs.push(within("the last entry", watch).await.expect("no watch panics"));
    }
    assert!(logs[0].iter().map(|entry| place(entry).0).eq(1..=end), "a gap, or another order");
    assert!(logs.iter().all(|log| *log == logs[0]), "two processes show two logs");
    let since: Vec<_> = logs[0].iter().filter(|entry| place(entry).0 > before).collect();
    let places: BTreeSet<_> = since.iter().map(|entry| place(entry)).collect();
    assert_eq!(places, acknowledged, "the log is not what was acknowledged");
    // Those that were asked for at once may share an entry, and each is in one: a session once, an identity once for each
    // name.
    let mut times = BTreeMap::<_, usize>::new();
    for key in since.iter().flat_map(|entry| killed(entry)) {
        *times.entry(key).or_default() += 1;
    }
    let mut times: Vec<_> = times.into_values().collect();
    times.sort_unstable();
    let expected = [vec![1; WRITERS / 2 * EACH], vec![EACH; WRITERS / 2]].concat();
    assert_eq!(times, expected, "one was lost, or had two effects");
    for gateway in site.gateways.iter().chain(&gateways) {
        eventually("the gateway to apply the last", || async {
            (gateway.metric("portcullis_gateway_applied_seq", "").await == end as f64).then_some(())
        })
        .await;
        assert_eq!(counted(Edge::at(gateway.http), "portcullis_gateway_resyncs_total").await, 0.0);
    }
}

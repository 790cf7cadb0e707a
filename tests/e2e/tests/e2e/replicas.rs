//! Several authorities on one PostgreSQL database: one order, one receipt, whoever is asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::{GatewayState, ReceiptStatus};
use prost::Message as _;
use test_harness::{Api, Authority, Closed, Database, Gateway, GatewayOptions, Site, Socket, within};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

mod moving;
mod once;

const SHORT: &str = "[guarantee]\nstandard_ms = 2000\nprobe_interval_ms = 200\n";

/// A site on a database of its own, whose leases are short.
async fn site() -> (Database, Site) {
    let database = Database::create();
    let site = Site::start_with(&(database.toml() + SHORT)).await;
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
    let (_database, site) = site().await;
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
    let (_database, site) = site().await;
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
async fn gateways_of_a_killed_replica_count_until_their_leases_ran_out() {
    let (_database, site) = site().await;
    let mut second = site.start_replica("authority-2").await;
    let gateway = gateway_at(&site, &second, "gateway-3").await;
    let alice = site.log_in("alice").await;
    let mut at_second = open(&gateway, &alice.access_token).await;
    second.process.kill();
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    let now = receipt(&site.backend, revoked.revision, 0).await;
    assert_eq!((now.status(), part(&now, "gateway-3").state()), (ReceiptStatus::Pending, GatewayState::Lagging));
    let then = receipt(&site.backend, revoked.revision, 10_000).await;
    assert!(
        matches!(then.status(), ReceiptStatus::EnforcedByAcknowledgement | ReceiptStatus::EnforcedByTime),
        "{then:?}"
    );
    assert_eq!(part(&then, "gateway-1").state(), GatewayState::Applied);
    assert_ne!(part(&then, "gateway-3").state(), GatewayState::Applied, "{then:?}");
    // Enforced: the gateway that nobody answers has frozen what it holds.
    let said = at_second.next().await.expect("it is not closed");
    assert!(said.to_string().contains("frozen"), "{said}");
}

/// Every entry that a watch of this authority sees from the beginning up to `last`.
async fn watched(api: Api, last: u64) -> Vec<v1::LogEntry> {
    let (say, said) = mpsc::channel(4);
    let start = v1::WatchStart {
        gateway_id: "observer".to_owned(),
        boot_id: vec![9; 16],
        cursor: api.log_begin().await,
        observer: true,
    };
    let start = v1::WatchRequest { message: Some(v1::watch_request::Message::Start(start)) };
    say.send(start).await.expect("there is room");
    let stream = api.revocations().watch(ReceiverStream::new(said)).await.expect("it begins");
    let mut stream = stream.into_inner();
    let mut seen: Vec<v1::LogEntry> = Vec::new();
    while seen.last().is_none_or(|entry| place(entry).0 < last) {
        let message = within("an entry", stream.message()).await.expect("it does not break").expect("it does not end");
        if let Some(v1::watch_response::Message::Entry(entry)) = message.message {
            seen.push(entry);
        }
    }
    seen
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

/// One order, no gap, no double effect: 64 writers over three processes, each asking twice under the same name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_and_64_writers_make_one_log() {
    const WRITERS: usize = 64;
    const EACH: usize = 4;
    let (_database, site) = site().await;
    let (second, third) = (site.start_replica("authority-2").await, site.start_replica("authority-3").await);
    let mut apis = Vec::new();
    for authority in [&site.authority, &second, &third] {
        apis.push(site.backend_at(authority).await);
    }
    let before = site.admin.log().await.len() as u64;
    let apis = Arc::new(apis);
    let writers = (0..WRITERS).map(|writer| {
        let apis = Arc::clone(&apis);
        tokio::spawn(async move {
            let mut mine = Vec::new();
            for n in 0..EACH {
                let session = apis[writer % 3].open_session("acme", "alice").await;
                let name = format!("writer-{writer}-{n}");
                // The second time another process is asked.
                let first = apis[(writer + n) % 3].revoke_session_as("acme", &session, &name).await;
                let again = apis[(writer + n + 1) % 3].revoke_session_as("acme", &session, &name).await;
                assert_eq!(first.revision, again.revision, "one name had two effects");
                let revision = first.revision.expect("a revision");
                mine.push((revision.seq, revision.chain));
            }
            mine
        })
    });
    let mut acknowledged = BTreeSet::new();
    for writer in writers.collect::<Vec<_>>() {
        acknowledged.extend(writer.await.expect("no writer panics"));
    }
    let last = acknowledged.last().expect("not empty").0;
    let mut logs = Vec::new();
    for authority in [&site.authority, &second, &third] {
        logs.push(watched(Api::connect(authority.grpc, &site.authority.admin_key()).await, last).await);
    }
    assert!(logs[0].iter().map(|entry| place(entry).0).eq(1..=last), "a gap, or another order");
    assert!(logs.iter().all(|log| *log == logs[0]), "two processes show two logs");
    let since: Vec<_> = logs[0].iter().filter(|entry| place(entry).0 > before).collect();
    let places: BTreeSet<_> = since.iter().map(|entry| place(entry)).collect();
    assert_eq!(places, acknowledged, "the log is not what was acknowledged");
    // Those that were asked for at once may share an entry, and each is in one.
    let all: Vec<_> = since.iter().flat_map(|entry| killed(entry)).collect();
    let each: BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), each.len()), (WRITERS * EACH, WRITERS * EACH), "one was lost, or had two effects");
}

//! What a peer may take, and what it is told beyond that.

use std::net::SocketAddr;

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::watch_request::Message as Ask;
use portcullis_proto::auth::v1::watch_response::Message as Told;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::watches::{Gateway, started};
use super::world::{World, by, named, reason};

/// The beginning of HTTP/2, with no settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn refused(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

/// A connection from an address of this machine, which says nothing of who it is; none when it is closed at once.
async fn stranger(from: &str, to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(from.parse().expect("an address"), 0)).expect("an address of this machine");
    let mut stream = socket.connect(to).await.expect("the backlog takes it");
    stream.write_all(PREFACE).await.ok()?;
    let said = stream.read(&mut [0; 9]).await;
    said.is_ok_and(|bytes| bytes > 0).then_some(stream)
}

#[tokio::test]
async fn one_host_without_a_key_takes_its_share_of_connections_and_no_others() {
    let world = World::with(|config| {
        config.grpc.limits.connections = 6;
        config.grpc.limits.connections_per_address = 3;
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..10 {
        held.extend(stranger("127.0.0.2", world.running().grpc).await);
    }
    assert_eq!(held.len(), 3);
    let gateway = super::world::connect(world.running().grpc).await;
    let request = by(&world.admin, v1::ListTenantsRequest::default());
    let listed = v1::tenants_service_client::TenantsServiceClient::new(gateway).list_tenants(request).await;
    assert!(listed.is_ok(), "another address is served: {listed:?}");
    let line = r#"portcullis_auth_connections_refused_total{listener="grpc",reason="too_many"} 7"#;
    let metrics = world.get("/metrics").await;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn a_connection_without_a_caller_ends_and_gives_its_place_back() {
    // Enough for what makes the world itself to call, however busy the machine is.
    let world = World::with(|config| config.grpc.limits.admission_ms = 10_000).await;
    let mut stream = stranger("127.0.0.2", world.running().grpc).await.expect("there is room");
    let mut rest = Vec::new();
    // The end, or a reset.
    let _ended = stream.read_to_end(&mut rest).await;
    let line = r#"portcullis_auth_connections_refused_total{listener="grpc",reason="unauthenticated"} 1"#;
    let metrics = world.get("/metrics").await;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn the_http_listener_keeps_places_for_others_too() {
    let world = World::with(|config| config.http.limits.connections_per_address = 1).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("an address of this machine");
    let _held = socket.connect(world.running().http).await.expect("it listens");
    let refused = stranger("127.0.0.2", world.running().http).await;
    assert!(refused.is_none());
    let line = r#"portcullis_auth_connections_refused_total{listener="http",reason="too_many"} 1"#;
    let metrics = world.get("/metrics").await;
    assert!(metrics.contains(line), "another address is served: {metrics}");
}

#[tokio::test]
async fn one_watch_too_many_is_refused() {
    let world = World::with(|config| config.grpc.limits.watches = 1).await;
    let mut first = Gateway::start(&world, None).await;
    first.welcome().await;
    let (_asks, requests) = mpsc::channel(1);
    let second = world.revocations().watch(by(&world.admin, ReceiverStream::new(requests))).await;
    let status = second.expect_err("one is open");
    assert_eq!(refused(&status), (Code::ResourceExhausted, "WATCHES_EXHAUSTED".into()));
}

/// A gateway that holds a lease, so that no receipt is settled before it says so.
async fn gateway_with_a_lease(world: &World) -> Gateway {
    let mut gateway = Gateway::start(world, None).await;
    gateway.welcome().await;
    gateway.probe(1).await;
    match gateway.told().await {
        Told::Checkpoint(_) => gateway,
        other => panic!("not answered: {other:?}"),
    }
}

#[tokio::test]
async fn one_caller_too_many_that_waits_for_receipts_is_refused() {
    let world = World::with(|config| {
        config.grpc.limits.receipts = 1;
        config.guarantee.standard_ms = 300_000;
    })
    .await;
    let _gateway = gateway_with_a_lease(&world).await;
    let (session, _) = world.issue().await;
    let revision = world.revoke(v1::revoke_request::Target::SessionId(session)).await.revision;
    let follow = || by(&world.admin, v1::WatchEnforcedRequest { revision, timeout_ms: 60_000 });
    let _followed = world.credentials().watch_enforced(follow()).await.expect("there is room");
    let second = world.credentials().watch_enforced(follow()).await.expect_err("one follows");
    let wait = |timeout_ms| by(&world.admin, v1::AwaitEnforcedRequest { revision, timeout_ms });
    let third = world.credentials().await_enforced(wait(60_000)).await.expect_err("one follows");
    for status in [second, third] {
        assert_eq!(refused(&status), (Code::ResourceExhausted, "RECEIPTS_EXHAUSTED".into()));
    }
    world.credentials().await_enforced(wait(0)).await.expect("who does not wait takes no place");
}

#[tokio::test]
async fn one_gateway_too_many_that_could_hold_a_lease_is_refused() {
    let world = World::with(|config| {
        config.grpc.limits.gateways = 1;
        config.guarantee.standard_ms = 300_000;
    })
    .await;
    let _gateway = gateway_with_a_lease(&world).await;
    let Ask::Start(start) = started(None) else { panic!("it starts") };
    let other = Ask::Start(v1::WatchStart { gateway_id: "gateway-2".into(), ..start });
    let mut second = Gateway::say(&world, &world.admin, other).await;
    let status = second.next().await.expect_err("there is no room");
    assert_eq!(refused(&status), (Code::ResourceExhausted, "GATEWAYS_EXHAUSTED".into()));
}

#[tokio::test]
async fn a_batch_of_256_is_verified_and_of_one_more_is_refused() {
    let world = World::new().await;
    let reference = v1::CredentialReference {
        tenant: "demo".to_owned(),
        credential_id: "01a200ad-4a0e-7a77-9ea1-bafab810e393".to_owned(),
    };
    let batch = |count| by(&world.admin, v1::BatchVerifyRequest { references: vec![reference.clone(); count] });
    let verdicts = world.verification().batch_verify(batch(256)).await.expect("it is no more than may be");
    assert_eq!(verdicts.into_inner().verdicts.len(), 256);
    let status = world.verification().batch_verify(batch(257)).await.expect_err("one too many");
    assert_eq!(refused(&status), (Code::InvalidArgument, "FIELD_INVALID".into()));
}

#[tokio::test]
async fn a_range_of_10_000_entries_is_fetched_and_of_one_more_is_refused() {
    let world = World::new().await;
    let range = |limit| by(&world.admin, v1::FetchRangeRequest { limit, ..Default::default() });
    world.revocations().fetch_range(range(10_000)).await.expect("it is no more than may be");
    let status = world.revocations().fetch_range(range(10_001)).await.expect_err("one too many");
    assert_eq!(refused(&status), (Code::InvalidArgument, "FIELD_INVALID".into()));
}

#[tokio::test]
async fn a_receipt_is_followed_for_a_minute_at_most() {
    let world = World::new().await;
    let (session, _) = world.issue().await;
    let revision = world.revoke(v1::revoke_request::Target::SessionId(session)).await.revision;
    let follow = |timeout_ms| by(&world.admin, v1::WatchEnforcedRequest { revision, timeout_ms });
    world.credentials().watch_enforced(follow(60_000)).await.expect("it is no longer than may be");
    for timeout_ms in [60_001, -1] {
        let status = world.credentials().watch_enforced(follow(timeout_ms)).await.expect_err("out of range");
        assert_eq!(refused(&status), (Code::InvalidArgument, "FIELD_INVALID".into()));
        assert!(status.message().contains("timeout_ms"), "{}", status.message());
    }
}

/// Doubles the sessions in the store, `times` over.
async fn double_sessions(world: &World, times: u32) {
    let options = SqliteConnectOptions::new().filename(world.config.data_dir.join("authority.db"));
    let mut raw = SqliteConnection::connect_with(&options).await.expect("it opens");
    let double = "CREATE TEMP TABLE copy AS SELECT * FROM sessions; UPDATE copy SET id = randomblob(16); \
                  INSERT INTO sessions SELECT * FROM copy; DROP TABLE copy;";
    for _ in 0..times {
        sqlx::raw_sql(double).execute(&mut raw).await.expect("it is written");
    }
    raw.close().await.expect("it closes");
}

#[tokio::test]
async fn of_4_096_sessions_all_are_ended_at_once_and_one_more_is_refused() {
    let world = World::new().await;
    world.issue().await;
    double_sessions(&world, 12).await;
    let (one_more, _) = world.issue().await;
    let all = || {
        let identity = Some(named("demo", "ada"));
        let begun_before = Some(prost_types::Timestamp { seconds: 253_402_300_799, nanos: 0 });
        v1::revoke_request::Target::SessionsBefore(v1::SessionsBefore { identity, begun_before })
    };
    let request = |target| {
        let request = v1::RevokeRequest { tenant: "demo".to_owned(), target: Some(target), ..Default::default() };
        by(&world.admin, request)
    };
    let status = world.credentials().revoke(request(all())).await.expect_err("one too many");
    assert_eq!(reason(&status), "TOO_MANY");
    world.revoke(v1::revoke_request::Target::SessionId(one_more)).await;
    let ended = world.credentials().revoke(request(all())).await.expect("it is no more than may be").into_inner();
    assert_eq!(ended.sessions, 4_096);
}

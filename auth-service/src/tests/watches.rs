//! Watches over the real transport.

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::watch_request::Message as Ask;
use portcullis_proto::auth::v1::watch_response::Message as Told;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::world::{World, by, connect, reason, start};

/// A gateway's end of a watch.
pub(super) struct Gateway {
    asks: mpsc::Sender<v1::WatchRequest>,
    told: Streaming<v1::WatchResponse>,
}

impl Gateway {
    /// Opens a stream and says this first.
    pub(super) async fn say(world: &World, key: &str, first: Ask) -> Self {
        let (asks, requests) = mpsc::channel(64);
        asks.send(v1::WatchRequest { message: Some(first) }).await.expect("there is room");
        let request = by(key, ReceiverStream::new(requests));
        let told = world.revocations().watch(request).await.expect("it is let in").into_inner();
        Self { asks, told }
    }

    pub(super) async fn start(world: &World, cursor: Option<v1::Revision>) -> Self {
        Self::say(world, &world.admin, started(cursor)).await
    }

    pub(super) async fn ask(&self, ask: Ask) {
        self.asks.send(v1::WatchRequest { message: Some(ask) }).await.expect("there is room");
    }

    pub(super) async fn probe(&self, probe_id: u64) {
        self.ask(Ask::Probe(v1::Probe { probe_id, applied: None, sockets: 0 })).await;
    }

    /// The next message; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Told>, Status> {
        Ok(self.told.message().await?.map(|response| response.message.expect("the contract says one")))
    }

    pub(super) async fn told(&mut self) -> Told {
        self.next().await.expect("no error").expect("it goes on")
    }

    pub(super) async fn welcome(&mut self) -> v1::WatchWelcome {
        match self.told().await {
            Told::Welcome(welcome) => welcome,
            other => panic!("not welcome: {other:?}"),
        }
    }

    pub(super) async fn entry(&mut self) -> v1::LogEntry {
        match self.told().await {
            Told::Entry(entry) => entry,
            other => panic!("not an entry: {other:?}"),
        }
    }

    async fn resync(&mut self) -> v1::ResyncRequired {
        match self.told().await {
            Told::ResyncRequired(resync) => resync,
            other => panic!("not a resync: {other:?}"),
        }
    }

    async fn refused(&mut self) -> Status {
        self.next().await.expect_err("it is refused")
    }
}

pub(super) fn started(cursor: Option<v1::Revision>) -> Ask {
    Ask::Start(v1::WatchStart { gateway_id: "gateway-1".into(), boot_id: vec![1; 16], cursor, observer: false })
}

async fn end_a_session(world: &World) -> v1::Revision {
    let (session, _) = world.issue().await;
    let revoked = world.revoke(v1::revoke_request::Target::SessionId(session)).await;
    revoked.revision.expect("it has one")
}

#[tokio::test]
async fn a_probe_is_answered_after_every_entry_before_it() {
    let world = World::new().await;
    let mut gateway = Gateway::start(&world, None).await;
    let welcome = gateway.welcome().await;
    assert_eq!((welcome.lease_ms, welcome.probe_interval_ms, welcome.bound_ms), (15_000, 500, 15_000));
    assert!(!welcome.resumed);
    let mut last = welcome.position.expect("it has one");
    for probe in 0..20 {
        let revoked = end_a_session(&world).await;
        gateway.probe(probe).await;
        let entry = gateway.entry().await;
        assert_eq!((entry.revision, entry.previous_chain), (Some(revoked), last.chain));
        last = revoked;
        let Told::Checkpoint(checkpoint) = gateway.told().await else { panic!("the probe is answered next") };
        assert_eq!((checkpoint.probe_id, checkpoint.head, checkpoint.age_us), (probe, Some(revoked), 0));
    }
}

#[tokio::test]
async fn a_gateway_that_was_away_resumes_where_it_stood_even_over_a_restart() {
    let mut world = World::new().await;
    let cursor = end_a_session(&world).await;
    let missed = [end_a_session(&world).await, end_a_session(&world).await];
    world.restart().await;
    let mut gateway = Gateway::start(&world, Some(cursor)).await;
    let welcome = gateway.welcome().await;
    assert_eq!((welcome.resumed, welcome.position), (true, Some(cursor)));
    for missed in missed {
        assert_eq!(gateway.entry().await.revision, Some(missed));
    }
    let live = end_a_session(&world).await;
    assert_eq!(gateway.entry().await.revision, Some(live));
}

#[tokio::test]
async fn a_long_absence_is_caught_up_in_pages() {
    let mut world = World::new().await;
    let (_, tokens) = world.issue().await;
    let verdict = world.verify(&world.admin, &tokens.access_token).await;
    let identity = verdict.allowed.expect("good").principal.expect("somebody").identity_id;
    let target = || {
        let identity = Some(v1::identity_reference::Identity::Id(identity.clone()));
        v1::revoke_request::Target::Identity(v1::IdentityReference { tenant: "demo".into(), identity })
    };
    let first = world.revoke(target()).await.revision.expect("it has one");
    for _ in 0..520 {
        world.revoke(target()).await;
    }
    world.restart().await;
    let mut gateway = Gateway::start(&world, Some(first)).await;
    gateway.welcome().await;
    gateway.probe(1).await;
    for seq in 2..=521 {
        assert_eq!(gateway.entry().await.revision.expect("it has one").seq, seq);
    }
    assert!(matches!(gateway.told().await, Told::Checkpoint(_)));

    let request = v1::FetchRangeRequest { after: Some(first), limit: 300 };
    let mut range = world.revocations().fetch_range(by(&world.admin, request)).await.expect("allowed").into_inner();
    let mut seqs = Vec::new();
    while let Some(response) = range.message().await.expect("no error") {
        seqs.push(response.entry.expect("it has one").revision.expect("it has one").seq);
    }
    assert_eq!(seqs, (2..=301).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_forged_cursor_is_a_fork() {
    let world = World::new().await;
    let real = end_a_session(&world).await;
    for forged in [
        v1::Revision { chain: real.chain ^ 1, ..real },
        v1::Revision { seq: real.seq + 1, ..real },
        v1::Revision { seq: 0, ..real },
    ] {
        let mut gateway = Gateway::start(&world, Some(forged)).await;
        let resync = gateway.resync().await;
        assert_eq!((resync.reason(), resync.head), (v1::ResyncReason::Fork, Some(real)), "{forged:?}");
        assert_eq!(gateway.next().await.expect("no error"), None, "the stream ends");
    }
    let request = v1::FetchRangeRequest { after: Some(v1::Revision { chain: 1, ..real }), limit: 1 };
    let status = world.revocations().fetch_range(by(&world.admin, request)).await.expect_err("it is forged");
    assert_eq!(reason(&status), "RANGE_FORKED");
}

#[tokio::test]
async fn a_watch_begins_with_one_start_that_means_something() {
    let world = World::new().await;
    let probe = Ask::Probe(v1::Probe::default());
    let nameless = v1::WatchStart { gateway_id: "Not A Name".into(), boot_id: vec![1; 16], ..Default::default() };
    let bootless = v1::WatchStart { gateway_id: "gateway-1".into(), boot_id: vec![1; 15], ..Default::default() };
    let sharded = started(Some(v1::Revision { shard: 1, seq: 0, chain: 0 }));
    for (first, expected) in [
        (probe, "WATCH_START_EXPECTED"),
        (Ask::Start(nameless), "FIELD_INVALID"),
        (Ask::Start(bootless), "FIELD_INVALID"),
        (sharded, "FIELD_INVALID"),
    ] {
        let status = Gateway::say(&world, &world.admin, first).await.refused().await;
        assert_eq!((status.code(), &*reason(&status)), (Code::InvalidArgument, expected));
    }
    let mut gateway = Gateway::start(&world, None).await;
    gateway.welcome().await;
    gateway.ask(started(None)).await;
    assert_eq!(reason(&gateway.refused().await), "WATCH_STARTED_TWICE");
}

#[tokio::test]
async fn a_watch_ends_when_its_own_key_is_revoked_after_saying_so() {
    let world = World::new().await;
    let (key, id) = world.service_key("system", "gateway", &["verify", "watch"]).await;
    let mut gateway = Gateway::say(&world, &key, started(None)).await;
    gateway.welcome().await;
    let request = v1::RevokeRequest {
        tenant: "system".into(),
        target: Some(v1::revoke_request::Target::CredentialId(id)),
        ..Default::default()
    };
    let revoked = world.credentials().revoke(by(&world.admin, request)).await.expect("allowed").into_inner();
    assert_eq!(gateway.entry().await.revision, revoked.revision);
    let status = gateway.refused().await;
    assert_eq!((status.code(), &*reason(&status)), (Code::Unauthenticated, "CALLER_REVOKED"));
}

#[tokio::test]
async fn a_leaving_service_drains_its_watches_and_stops() {
    let mut world = World::new().await;
    let mut gateway = Gateway::start(&world, None).await;
    gateway.welcome().await;
    let stopping = world.stop();
    let watching = async {
        assert!(matches!(gateway.told().await, Told::Drain(_)));
        assert_eq!(gateway.next().await.expect("no error"), None);
    };
    let (stopped, ()) = tokio::join!(stopping, watching);
    assert!(stopped, "everything ended in time");
}

#[tokio::test]
async fn a_gateway_that_does_not_read_does_not_hold_up_the_others() {
    let world = World::new().await;
    let mut silent = Gateway::start(&world, None).await;
    silent.welcome().await;
    let mut reader = Gateway::start(&world, None).await;
    reader.welcome().await;
    for _ in 0..100 {
        let revoked = end_a_session(&world).await;
        assert_eq!(reader.entry().await.revision, Some(revoked));
    }
    assert_eq!(silent.entry().await.revision.expect("it has one").seq, 1, "nothing was lost for it either");
}

impl World {
    /// Stops the service; another may start on its data.
    async fn stop(&mut self) -> bool {
        match self.running.take() {
            Some(running) => running.stop().await,
            None => false,
        }
    }

    async fn restart(&mut self) {
        assert!(self.stop().await, "everything ended in time");
        let running = start(&self.config).await;
        self.channel = connect(running.grpc).await;
        self.running = Some(running);
    }
}

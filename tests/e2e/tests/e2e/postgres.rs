//! What a site on PostgreSQL promises while its database fails: no acknowledged revocation is lost, nothing is
//! acknowledged that may be, and no frame passes after the bound.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::ReceiptStatus;
use serde_json::json;
use test_harness::{Api, Authority, Closed, Database, Edge, GatewayOptions, Link, Site, Socket, eventually, within};
use test_postgres::{Options, Server};

use crate::fork::FORKS;
use crate::replicas::{counted, killed};

const SHORT: &str = "[guarantee]\nstandard_ms = 2000\nprobe_interval_ms = 200\n";
/// Commits are given up soon enough that a test need not wait for long, and no sooner: what is only slow must not fail.
const HASTY: &str = "commit_patience_ms = 5000\npatience_ms = 5000";

/// A site on a server of its own, reached over a link that can be turned to another.
async fn site_on(server: &Server) -> (Link, Database, Site) {
    server.create_database("site");
    let link = Link::to(([127, 0, 0, 1], server.port()).into()).await;
    let database = Database::at(&test_postgres::address(link.address().port(), "site"));
    let site = Site::start_with(&(database.toml_with(HASTY) + SHORT)).await;
    (link, database, site)
}

fn standby_of(server: &Server, name: &str) -> Server {
    let follows = Some((server.port(), name.to_owned()));
    Server::start(Options { follows, ..Options::default() })
}

/// A primary that answers a commit when its standby has it, and that standby.
fn primary_and_standby() -> (Server, Server) {
    let settings = vec!["synchronous_standby_names=ANY 1 (one)".to_owned()];
    let primary = Server::start(Options { settings, ..Options::default() });
    let standby = standby_of(&primary, "one");
    let synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'";
    primary.until("postgres", synchronous, |count| count == "1");
    (primary, standby)
}

/// One more authority, on the site's database as this server has it.
async fn replica_on(server: &Server, database: &Database, site: &Site, name: &str) -> (Database, Authority) {
    let database = database.also_at(&server.address("site"));
    let more = database.toml_with(HASTY) + SHORT;
    let authority = Authority::start(&site.folder().join(name), &["https://app.example"], &more).await;
    (database, authority)
}

async fn open(site: &Site, token: &str) -> Socket {
    let mut socket = site.gateways[0].open().await;
    socket.connect(Some(token)).await;
    socket
}

/// Asks until it is acknowledged, under one name.
async fn revoked(api: &Api, session: &str, name: &str) -> v1::Revision {
    let answer = eventually("a revocation to be acknowledged", || async {
        api.try_revoke_session_as("acme", session, name).await.ok()
    });
    answer.await.revision.expect("a revision")
}

/// Asks until there is an answer: what was connected to a server that is gone finds that out by asking.
async fn until_enforced(api: &Api, revision: v1::Revision) {
    let request = v1::AwaitEnforcedRequest { revision: Some(revision), timeout_ms: 10_000 };
    let answer = eventually("a receipt", || async { api.credentials().await_enforced(request).await.ok() }).await;
    let receipt = answer.into_inner().receipt.expect("a receipt");
    let is_enforced =
        matches!(receipt.status(), ReceiptStatus::EnforcedByAcknowledgement | ReceiptStatus::EnforcedByTime);
    assert!(is_enforced, "{receipt:?}");
}

async fn log_of(site: &Site) -> Vec<v1::LogEntry> {
    eventually("the log", || async { site.admin.try_log().await.ok() }).await
}

/// The database crashes under a site and comes back: gateways freeze at the worst, and everything goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_goes_on_after_its_database_has_crashed() {
    let mut server = Server::start(Options::default());
    let (_link, _database, mut site) = site_on(&server).await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let mut of_alice = open(&site, &alice.access_token).await;
    let mut of_bob = open(&site, &bob.access_token).await;
    of_bob.subscribe("room:lobby").await;
    server.crash();
    assert!(site.backend.try_revoke_session_as("acme", &alice.session, "req-1").await.is_err(), "it was acknowledged");
    site.gateways[0].unready().await;
    server.start_again();
    let revision = revoked(&site.backend, &alice.session, "req-1").await;
    assert_eq!(of_alice.closed().await, Closed { code: 4511, reason: "session revoked".to_owned() });
    site.gateways[0].synced().await;
    of_bob.publish("room:lobby", json!("alive")).await.expect("an answer");
    until_enforced(&site.backend, revision).await;
    assert!(site.authority.process.stop().await.success(), "the authority is the one from before");
}

/// The standby takes over while the old primary is alive, answers reads and knows nothing of it: it can finish no write,
/// so it renews no lease and acknowledges nothing. Once the new primary's authority says that somebody is revoked, nothing
/// of them passes a gateway that still follows the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_primary_renews_no_lease_and_acknowledges_nothing() {
    let (primary, standby) = primary_and_standby();
    let (link, database, mut site) = site_on(&primary).await;
    let mut acknowledged = Vec::new();
    for n in 0..20 {
        let session = site.backend.open_session("acme", "bob").await;
        acknowledged.push(revoked(&site.backend, &session, &format!("before-{n}")).await);
    }
    let refused = site.backend.open_session("acme", "bob").await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let mut of_bob = open(&site, &bob.access_token).await;
    of_bob.subscribe("room:lobby").await;
    let mut of_alice = open(&site, &alice.access_token).await;

    standby.promote();
    let (_other, second) = replica_on(&standby, &database, &site, "authority-2").await;
    let of_second = site.backend_at(&second).await;
    acknowledged.push(revoked(&of_second, &alice.session, "req-1").await);
    until_enforced(&of_second, acknowledged[20]).await;
    let publish = json!({ "id": 77, "publish": { "channel": "room:lobby", "data": "from the grave" } });
    of_alice.send_text(&publish.to_string()).await;
    assert!(site.backend.verify(&bob.access_token).await.revision.is_some(), "it no longer answers reads");
    within("a refusal", site.backend.try_revoke_session_as("acme", &refused, "req-2"))
        .await
        .expect_err("a deposed primary acknowledged");

    // Nothing ends the connections to the old one: that writes on them are not answered must be enough.
    link.retarget(([127, 0, 0, 1], standby.port()).into());
    acknowledged.push(revoked(&site.backend, &refused, "req-2").await);
    assert_eq!(of_alice.closed().await.code, 4511);
    site.gateways[0].synced().await;
    of_bob.publish("room:lobby", json!("alive")).await.expect("an answer");
    assert_eq!(of_bob.publication("room:lobby").await["data"], json!("alive"));
    until_enforced(&site.backend, acknowledged[21]).await;
    let log: Vec<_> = log_of(&site).await.into_iter().filter_map(|entry| entry.revision).collect();
    for entry in &acknowledged {
        assert_eq!(log.iter().filter(|on_log| *on_log == entry).count(), 1, "{entry:?} was lost");
    }
    assert!(site.authority.process.stop().await.success(), "the authority is the one from before");
}

/// Revokes, each under a name of its own, until something was acknowledged that was asked for when all was `over`: one
/// session after the other, or the same identity again and again.
async fn write(api: Api, writer: usize, over: Arc<AtomicBool>) -> Vec<v1::Revision> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let is_last = over.load(Ordering::SeqCst);
        let name = format!("writer-{writer}-{n}");
        acknowledged.push(if writer.is_multiple_of(2) {
            let session = eventually("a session", || async { api.try_open_session("acme", "bob").await.ok() }).await;
            revoked(&api, &session, &name).await
        } else {
            let victim = format!("victim-{writer}");
            let answer = eventually("an acknowledgement", || async {
                api.try_revoke_identity_as("acme", &victim, &name).await.ok()
            });
            answer.await.revision.expect("a revision")
        });
        if is_last {
            break;
        }
    }
    acknowledged
}

/// Sixteen writers while the standby goes away, so that nothing may be acknowledged, and the primary dies then: what was
/// acknowledged is there, once, when the standby takes its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_takes_over_under_load_has_everything_that_was_acknowledged() {
    const WRITERS: usize = 16;
    let (mut primary, mut standby) = primary_and_standby();
    let (link, _database, mut site) = site_on(&primary).await;
    for writer in 0..WRITERS {
        site.admin.create_identity("acme", &format!("victim-{writer}"), v1::IdentityKind::User, "", &[]).await;
    }
    let alice = site.log_in("alice").await;
    let mut of_alice = open(&site, &alice.access_token).await;
    let before = log_of(&site).await.len();
    let over = Arc::new(AtomicBool::new(false));
    let writers = (0..WRITERS).map(|writer| tokio::spawn(write(site.backend.clone(), writer, Arc::clone(&over))));
    let writers: Vec<_> = writers.collect();
    // In the middle of it.
    let facts = |log: &[v1::LogEntry]| log.iter().skip(before).flat_map(killed).count();
    eventually("some entries", || async { (facts(&log_of(&site).await) > WRITERS).then_some(()) }).await;
    standby.crash();
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    primary.until("site", waiting, |count| count != "0");
    primary.crash();
    standby.start_again();
    standby.promote();
    link.retarget(([127, 0, 0, 1], standby.port()).into());
    link.cut();
    link.restore();
    over.store(true, Ordering::SeqCst);
    let mut told = Vec::new();
    for writer in writers {
        told.push(writer.await.expect("no writer panics"));
    }
    let log = log_of(&site).await;
    let places: Vec<_> = log.iter().filter_map(|entry| entry.revision).collect();
    assert!(places.iter().map(|place| place.seq).eq(1..=log.len() as u64), "a gap");
    assert!(told.iter().flatten().all(|place| places.contains(place)), "something was acknowledged and is lost");
    // Those that were asked for at once may share an entry, and each is in one: a session once, an identity as often as
    // it was asked for under another name.
    let mut times = BTreeMap::<_, usize>::new();
    for key in log.iter().skip(before).flat_map(killed) {
        *times.entry(key).or_default() += 1;
    }
    let mut found: Vec<_> = times.into_values().collect();
    let sessions = told.iter().step_by(2).flatten().map(|_| 1);
    let identities = told.iter().skip(1).step_by(2).map(Vec::len);
    let mut asked: Vec<_> = sessions.chain(identities).collect();
    found.sort_unstable();
    asked.sort_unstable();
    assert_eq!(found, asked, "one was lost, or had two effects");
    // Who was there before it all is there, and can be told to go.
    assert!(of_alice.is_alive().await, "a socket did not last");
    let revision = revoked(&site.backend, &alice.session, "the-last").await;
    assert_eq!(of_alice.closed().await.code, 4511);
    until_enforced(&site.backend, revision).await;
    assert!(site.authority.process.stop().await.success(), "the authority is the one from before");
}

/// A failover that loses the tail voids the promise for it, and is no secret: the process that had read the tail ends,
/// and gateways that follow another begin again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_loses_the_tail_is_seen_as_a_fork() {
    let mut primary = Server::start(Options::default());
    let mut standby = standby_of(&primary, "late");
    let (link, database, mut site) = site_on(&primary).await;
    let kept = revoked(&site.backend, &site.backend.open_session("acme", "bob").await, "kept").await;
    let doomed = site.backend.open_session("acme", "bob").await;
    let alice = site.log_in("alice").await;
    let mut of_alice = open(&site, &alice.access_token).await;
    let replayed =
        format!("SELECT pg_last_wal_replay_lsn() >= '{}'", primary.query("site", "SELECT pg_current_wal_lsn()"));
    standby.until("site", &replayed, |is_so| is_so == "t");
    // What follows is acknowledged by a primary that waits for nobody.
    standby.crash();
    let apart = Link::to(site.authority.grpc).await;
    let options = GatewayOptions { authority: apart.address(), ..site.gateway_options("gateway-3") };
    let third = site.start_gateway(&options).await;
    third.synced().await;
    let lost = revoked(&site.backend, &doomed, "lost").await;
    for gateway in site.gateways.iter().chain([&third]) {
        eventually("the gateway to apply it", || async {
            (gateway.metric("portcullis_gateway_applied_seq", "").await >= lost.seq as f64).then_some(())
        })
        .await;
    }
    // It hears no more of who has read the tail.
    apart.cut();
    primary.crash();
    standby.start_again();
    standby.promote();
    link.retarget(([127, 0, 0, 1], standby.port()).into());
    link.cut();
    link.restore();

    assert!(!site.authority.process.ended().await.success(), "it went on upon another log");
    assert!(site.authority.process.log().contains("not the one that was read before"));
    // One that never knew of the tail, with a longer log by now. Who comes to it with the tail is told all the same.
    let (_other, second) = replica_on(&standby, &database, &site, "authority-2").await;
    let of_second = site.backend_at(&second).await;
    for name in ["another", "and-more"] {
        revoked(&of_second, &of_second.open_session("acme", "bob").await, name).await;
    }
    for link in [&site.link, &apart] {
        link.retarget(second.grpc);
    }
    apart.restore();
    for gateway in site.gateways.iter().chain([&third]) {
        eventually("the gateway to begin anew", || async {
            (counted(Edge::at(gateway.http), FORKS).await >= 1.0).then_some(())
        })
        .await;
        gateway.synced().await;
    }
    assert!(second.metric("portcullis_auth_forks", "").await >= 1.0);
    site.restart_authority().await;
    let log: Vec<_> = log_of(&site).await.into_iter().filter_map(|entry| entry.revision).collect();
    assert!(log.contains(&kept) && !log.contains(&lost));
    // Either of both revokes, and what they say of it is one.
    let revision = revoked(&of_second, &alice.session, "after").await;
    assert_eq!(of_alice.closed().await.code, 4511);
    until_enforced(&site.backend, revision).await;
}

//! What a site on PostgreSQL promises while its database fails: no acknowledged revocation is lost, nothing is
//! acknowledged that may be, and no frame passes after the bound.

use std::collections::BTreeSet;

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::ReceiptStatus;
use test_harness::{Closed, Database, Link, Site, Socket, eventually, within};
use test_postgres::{Options, Server};

use crate::replicas::killed;

const SHORT: &str = "[guarantee]\nstandard_ms = 2000\nprobe_interval_ms = 200\n";
/// Commits are given up soon, so that a test need not wait for long.
const HASTY: &str = "commit_patience_ms = 1000\npatience_ms = 2000";

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

/// From now on a commit is answered when this standby has it.
fn wait_for(server: &Server, standby: &str) {
    server.query("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names TO 'ANY 1 ({standby})'"));
    server.query("postgres", "SELECT pg_reload_conf()");
    let synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'";
    while server.query("postgres", synchronous) != "1" {
        std::thread::yield_now();
    }
}

async fn open(site: &Site, token: &str) -> Socket {
    let mut socket = site.gateways[0].open().await;
    socket.connect(Some(token)).await;
    socket
}

/// Asks until it is acknowledged, under one name.
async fn revoked(site: &Site, session: &str, name: &str) -> v1::Revision {
    let answer = eventually("a revocation to be acknowledged", || async {
        site.backend.try_revoke_session_as("acme", session, name).await.ok()
    });
    answer.await.revision.expect("a revision")
}

async fn until_enforced(site: &Site, revision: v1::Revision) -> v1::Receipt {
    let request = v1::AwaitEnforcedRequest { revision: Some(revision), timeout_ms: 10_000 };
    let answer = site.backend.credentials().await_enforced(request).await.expect("an answer");
    answer.into_inner().receipt.expect("a receipt")
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
    let revision = revoked(&site, &alice.session, "req-1").await;
    assert_eq!(of_alice.closed().await, Closed { code: 4511, reason: "session revoked".to_owned() });
    site.gateways[0].synced().await;
    of_bob.publish("room:lobby", serde_json::json!("alive")).await.expect("an answer");
    assert_eq!(until_enforced(&site, revision).await.status(), ReceiptStatus::EnforcedByAcknowledgement);
    assert!(site.authority.process.stop().await.success(), "the authority is the one from before");
}

/// The standby takes over while the old primary is alive, answers reads and knows nothing of it: it can finish no write,
/// so it renews no lease and acknowledges nothing. What was acknowledged before is on the new primary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_primary_renews_no_lease_and_acknowledges_nothing() {
    let primary = Server::start(Options::default());
    let standby = standby_of(&primary, "one");
    wait_for(&primary, "one");
    let (link, _database, mut site) = site_on(&primary).await;
    let mut acknowledged = Vec::new();
    for n in 0..20 {
        let session = site.backend.open_session("acme", "bob").await;
        acknowledged.push(revoked(&site, &session, &format!("before-{n}")).await);
    }
    let alice = site.log_in("alice").await;
    let mut of_alice = open(&site, &alice.access_token).await;

    standby.promote();
    let refused = within("a refusal", site.backend.try_revoke_session_as("acme", &alice.session, "req-1")).await;
    refused.expect_err("a deposed primary acknowledged");
    assert!(site.backend.verify(&alice.access_token).await.revision.is_some(), "it no longer answers reads");
    let said = of_alice.next().await.expect("it is not closed");
    assert!(said.to_string().contains("frozen"), "{said}");

    // Nothing ends the connections to the old one: that writes on them are not answered must be enough.
    link.retarget(([127, 0, 0, 1], standby.port()).into());
    let revision = revoked(&site, &alice.session, "req-1").await;
    assert_eq!(of_alice.closed().await.code, 4511);
    site.gateways[0].synced().await;
    assert_eq!(until_enforced(&site, revision).await.status(), ReceiptStatus::EnforcedByAcknowledgement);
    let log: Vec<_> = site.admin.log().await.into_iter().filter_map(|entry| entry.revision).collect();
    for entry in acknowledged.iter().chain([&revision]) {
        assert_eq!(log.iter().filter(|on_log| *on_log == entry).count(), 1, "{entry:?} was lost");
    }
    assert!(site.authority.process.stop().await.success(), "the authority is the one from before");
}

/// Sixteen writers while the primary dies and its standby takes its place: what was acknowledged is there, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_takes_over_under_load_has_everything_that_was_acknowledged() {
    const WRITERS: usize = 16;
    let mut primary = Server::start(Options::default());
    let standby = standby_of(&primary, "one");
    wait_for(&primary, "one");
    let (link, _database, mut site) = site_on(&primary).await;
    let mut sessions = Vec::new();
    for _ in 0..WRITERS * 8 {
        sessions.push(site.backend.open_session("acme", "bob").await);
    }
    let writers = sessions.chunks(8).enumerate().map(|(writer, sessions)| {
        let (backend, sessions) = (site.backend.clone(), sessions.to_vec());
        tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for (n, session) in sessions.iter().enumerate() {
                let name = format!("writer-{writer}-{n}");
                let answer = eventually("an acknowledgement", || async {
                    backend.try_revoke_session_as("acme", session, &name).await.ok()
                });
                acknowledged.push(answer.await.revision.expect("a revision"));
            }
            acknowledged
        })
    });
    let writers: Vec<_> = writers.collect();
    // In the middle of it.
    let revoked = |log: &[v1::LogEntry]| log.iter().flat_map(killed).count();
    eventually("some entries", || async { (revoked(&site.admin.log().await) > WRITERS).then_some(()) }).await;
    primary.crash();
    standby.promote();
    link.retarget(([127, 0, 0, 1], standby.port()).into());
    link.cut();
    link.restore();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("no writer panics"));
    }
    let log = site.admin.log().await;
    let places: Vec<_> = log.iter().filter_map(|entry| entry.revision).collect();
    assert!(places.iter().map(|place| place.seq).eq(1..=log.len() as u64), "a gap");
    assert!(acknowledged.iter().all(|place| places.contains(place)), "something was acknowledged and is lost");
    // Those that were asked for at once may share an entry, and each is in one.
    let all: Vec<_> = log.iter().flat_map(killed).collect();
    let each: BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), each.len()), (WRITERS * 8, WRITERS * 8), "one was lost, or had two effects");
    assert!(site.authority.process.stop().await.success(), "the authority is the one from before");
}

/// A failover that loses the tail voids the promise for it, and is no secret: the process that had read the tail ends,
/// and gateways that follow another begin again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_loses_the_tail_is_seen_as_a_fork() {
    let mut primary = Server::start(Options::default());
    let mut standby = standby_of(&primary, "late");
    let (link, _database, mut site) = site_on(&primary).await;
    let kept = revoked(&site, &site.backend.open_session("acme", "bob").await, "kept").await;
    let alice = site.log_in("alice").await;
    let mut of_alice = open(&site, &alice.access_token).await;
    let replayed =
        format!("SELECT pg_last_wal_replay_lsn() >= '{}'", primary.query("site", "SELECT pg_current_wal_lsn()"));
    while standby.query("site", &replayed) != "t" {
        std::thread::yield_now();
    }
    // What follows is acknowledged by a primary that waits for nobody.
    standby.crash();
    let lost = revoked(&site, &site.backend.open_session("acme", "bob").await, "lost").await;
    until_enforced(&site, lost).await;
    primary.crash();
    standby.start_again();
    standby.promote();
    link.retarget(([127, 0, 0, 1], standby.port()).into());
    link.cut();
    link.restore();

    assert!(!site.authority.process.ended().await.success(), "it went on upon another log");
    assert!(site.authority.process.log().contains("not the one that was read before"));
    site.restart_authority().await;
    site.gateways[0].synced().await;
    let log: Vec<_> = site.admin.log().await.into_iter().filter_map(|entry| entry.revision).collect();
    assert!(log.contains(&kept) && !log.contains(&lost));
    let revision = revoked(&site, &alice.session, "after").await;
    assert_eq!(of_alice.closed().await.code, 4511);
    assert_eq!(until_enforced(&site, revision).await.status(), ReceiptStatus::EnforcedByAcknowledgement);
}

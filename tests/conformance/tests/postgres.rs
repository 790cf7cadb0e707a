//! The suite on PostgreSQL, and what only PostgreSQL must do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use auth_domain::watch::{Acknowledgement, Run};
use auth_domain::{
    Actor, Batch, Ended, Noted, Registered, Renewal, ReplicaId, Request, RequestId, Session, Store, StoreError,
};
use auth_storage::{DatabaseUrl, PostgresSettings, PostgresStore};
use portcullis_types::{BootId, GatewayId, Secret, SeededEntropy, SessionId, Timestamp};
use storage_conformance::{Seed, Subject, issuer};
use test_postgres::{Options, Server};
use tokio::sync::Mutex;

struct Postgres {
    url: DatabaseUrl,
    open: Mutex<Option<Arc<PostgresStore>>>,
}

fn postgres() -> Postgres {
    let url = DatabaseUrl::parse(&Secret::from(&*test_postgres::database()), false).expect("a valid address");
    Postgres { url, open: Mutex::new(None) }
}

#[async_trait]
impl Subject for Postgres {
    async fn open(&self, draw: u64) -> Arc<dyn Store> {
        let settings = PostgresSettings::default();
        let store = PostgresStore::open(&self.url, &settings, &SeededEntropy::new(draw)).await.expect("opens");
        let store = Arc::new(store);
        *self.open.lock().await = Some(Arc::clone(&store));
        store
    }

    async fn close(&self) {
        self.open.lock().await.take().expect("something is open").close().await;
    }
}

storage_conformance::suite!(postgres);

/// Two processes do not tidy at once; the other one goes on with what it is for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_transaction_tidies_at_a_time() {
    let subject = postgres();
    let (one, other) = (subject.open(1).await, subject.open(2).await);
    let mut tidying = one.write().await.expect("writes");
    assert!(tidying.take_turn().await.expect("answers"));
    let mut waiting = other.write().await.expect("writes");
    assert!(!waiting.take_turn().await.expect("answers"));
    tidying.commit().await.expect("commits");
    assert!(waiting.take_turn().await.expect("answers"), "it ended with its transaction");
}

/// A token that comes while the session of its `sid` goes: the session stays, and so does what finds it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_session_that_is_prolonged_while_it_goes_stays_whole() {
    let (server, store) = own().await;
    let store: Arc<dyn Store> = store;
    let seed = Seed::plant(&store).await;
    let (issuer, id) = (issuer(&seed, "one", "app"), SessionId::from_bytes([9; 16]));
    let before = Timestamp::from_micros(seed.now().as_micros() - 1);
    let mut tx = store.write().await.expect("writes");
    assert!(tx.put_issuer(&issuer).await.expect("writes"));
    tx.insert_session(&Session { expires_at: before, ..seed.session_row(id) }).await.expect("writes");
    assert!(tx.insert_external_session(issuer.id, &[1; 32], 0, seed.identity, None, id).await.expect("writes"));
    tx.commit().await.expect("commits");
    let mut tx = store.write().await.expect("writes");
    assert_eq!(tx.remove_ended(Ended::Sessions, seed.now(), 10).await.expect("notes"), 1);
    tx.commit().await.expect("commits");

    let (mut arriving, mut removing) = (store.write().await.expect("writes"), store.write().await.expect("writes"));
    let until = seed.now() + Duration::from_secs(9);
    assert!(arriving.prolong_session(&seed.tenant, id, until).await.expect("writes"));
    let end = seed.now();
    let removal = tokio::spawn(async move {
        let rows = removing.remove_ended(Ended::ExternalSessions, end, 10).await.expect("removes");
        removing.commit().await.expect("commits");
        rows
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    server.until("own", waits, |count| count != "0");
    arriving.commit().await.expect("commits");
    assert_eq!(removal.await.expect("it does not panic"), 0);
    let mut view = store.read().await.expect("reads");
    assert_eq!(view.session(&seed.tenant, id).await.expect("reads").map(|row| row.expires_at), Some(until));
    let found = view.external_session(issuer.id, &[1; 32], 0, seed.identity, None).await.expect("reads");
    assert_eq!(found, Some(id), "the next token goes on with it");
    drop(view);

    let mut tx = store.write().await.expect("writes");
    let later = until + Duration::from_secs(1);
    assert_eq!(tx.remove_ended(Ended::ExternalSessions, later, 10).await.expect("removes"), 2, "it and its mapping");
    assert!(!tx.prolong_session(&seed.tenant, id, later).await.expect("answers"), "it is gone");
}

/// Whoever revokes is not behind a queue of logins, though each holds the connection that it writes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_urgent_writer_needs_no_turn_of_the_others() {
    let subject = postgres();
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let turns = PostgresSettings::default().writers - 2;
    let mut running = Vec::new();
    for _ in 0..turns {
        running.push(store.write().await.expect("writes"));
    }
    let mut next = Box::pin(store.write());
    assert!(tokio::time::timeout(Duration::ZERO, &mut next).await.is_err(), "there are more turns than that");
    let urgent = store.write_urgently().await.expect("writes");
    assert_eq!(urgent.commit_with(seed.kill(), seed.now()).await.expect("appends").revision.seq, 1);
    drop(running);
    next.await.expect("its turn has come");
}

/// A server of a test's own, and a store on it.
async fn own() -> (Server, Arc<PostgresStore>) {
    let server = Server::start(Options::default());
    server.create_database("own");
    let store = opened(&server, Duration::from_secs(30)).await;
    (server, store)
}

/// A store on that server that waits for commits only so long.
async fn opened(server: &Server, commit_patience: Duration) -> Arc<PostgresStore> {
    let url = DatabaseUrl::parse(&Secret::from(&*server.address("own")), false).expect("a valid address");
    let settings = PostgresSettings { commit_patience, ..PostgresSettings::default() };
    Arc::new(PostgresStore::open(&url, &settings, &SeededEntropy::new(1)).await.expect("opens"))
}

/// From now on no commit is replicated as it should be, and none is answered. That is so when one is seen to wait: what
/// the server says of its settings is said by another of its processes than the one that lets commits wait.
fn lose_standbys(server: &Server) {
    server.query("postgres", "ALTER SYSTEM SET synchronous_standby_names TO 'ANY 1 (gone)'");
    server.query("postgres", "SELECT pg_reload_conf()");
    let is_lost = AtomicBool::new(false);
    let commits = || {
        for _ in 0..2_000 {
            if is_lost.load(Ordering::SeqCst) {
                break;
            }
            server.query("own", "SELECT pg_logical_emit_message(true, '', '')");
        }
    };
    let waiting = |what: &str| format!("SELECT count({what}) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    std::thread::scope(|scope| {
        scope.spawn(commits);
        server.until("own", &waiting("*"), |count| count != "0");
        is_lost.store(true, Ordering::SeqCst);
        server.query("own", &waiting("pg_cancel_backend(pid)"));
    });
}

fn forget_standbys(server: &Server) {
    server.query("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    server.query("postgres", "SELECT pg_reload_conf()");
}

fn named(seed: &Seed) -> (Request, Batch) {
    let id = RequestId::try_from("req-1").expect("a valid id");
    let request = Request { tenant: seed.tenant.clone(), actor: Actor::edge(), id };
    (request.clone(), seed.kill().answering(request, [7; 32], None))
}

/// The release before wrote no `asker`, and looks for what this one wrote by the caller's text with its key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_the_release_before_is_found_by_the_same_key() {
    let (server, store) = own().await;
    let dynamic: Arc<dyn Store> = Arc::clone(&store) as _;
    let seed = Seed::plant(&dynamic).await;
    let (request, batch) = named(&seed);
    store.write().await.expect("writes").commit_with(batch, seed.now()).await.expect("appends");
    assert_eq!(server.query("own", "SELECT actor FROM requests"), request.actor.as_str());
    server.query("own", "UPDATE requests SET asker = NULL");
    let answered = async |request: &Request| {
        store.read().await.expect("reads").answered(request).await.expect("reads").map(|answered| answered.content)
    };
    assert_eq!(answered(&request).await, Some([7; 32]));
    assert_eq!(answered(&Request { actor: Actor::authority(), ..request }).await, None);
}

/// I4. The server answers such a commit with success, and a warning that the driver hands to the log alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_replication_was_cancelled_is_not_acknowledged() {
    let (server, store) = own().await;
    let dynamic: Arc<dyn Store> = Arc::clone(&store) as _;
    let seed = Seed::plant(&dynamic).await;
    lose_standbys(&server);
    let tx = store.write().await.expect("writes");
    let commit = tokio::spawn(tx.commit_with(seed.kill(), seed.now()));
    let waiting = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    server.until("own", waiting, |count| count != "0");
    let error = commit.await.expect("it does not panic").expect_err("it is acknowledged");
    assert!(matches!(error, StoreError::UnknownOutcome(_)), "{error:?}");
    forget_standbys(&server);
    // It took place after all, as its row says: that is why the outcome is unknown and not a failure.
    assert_eq!(store.head().await.expect("reads").seq, 1);
    let next = store.write().await.expect("writes").commit_with(seed.kill(), seed.now()).await;
    assert_eq!(next.expect("appends").revision.seq, 2, "what follows is on a connection that is good");
}

/// Nobody says whether a commit took place whose connection ended before it was answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_connection_ends_has_an_unknown_outcome() {
    let (server, store) = own().await;
    let dynamic: Arc<dyn Store> = Arc::clone(&store) as _;
    let seed = Seed::plant(&dynamic).await;
    lose_standbys(&server);
    let (request, batch) = named(&seed);
    let tx = store.write().await.expect("writes");
    let commit = tokio::spawn(tx.commit_with(batch, seed.now()));
    let waiting = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    server.until("own", waiting, |count| count != "0");
    let error = commit.await.expect("it does not panic").expect_err("it is acknowledged");
    assert!(matches!(error, StoreError::UnknownOutcome(_)), "{error:?}");
    forget_standbys(&server);
    let answered = store.write().await.expect("writes").answered(&request).await.expect("reads");
    let committed = answered.and_then(|answered| answered.committed).expect("this one took place");
    assert_eq!(committed.revision, store.head().await.expect("reads").revision());
}

/// The server does not bound how long a commit waits for its replication: the client does. Whoever asks again under the
/// same name learns what became of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_not_answered_in_time_has_an_unknown_outcome() {
    let (server, store) = own().await;
    let hasty = opened(&server, Duration::from_secs(1)).await;
    let dynamic: Arc<dyn Store> = Arc::clone(&store) as _;
    let seed = Seed::plant(&dynamic).await;
    lose_standbys(&server);
    let (request, batch) = named(&seed);
    let late = hasty.write().await.expect("writes").commit_with(batch, seed.now()).await;
    assert!(matches!(late, Err(StoreError::UnknownOutcome(_))), "{late:?}");
    assert_eq!(hasty.head().await.expect("a server that lost its standbys still answers reads").seq, 0);
    let fleet = |store: &Arc<PostgresStore>| Arc::clone(store).fleet().expect("several processes may use it");
    let beat = fleet(&hasty).beat(ReplicaId([1; 16]), &[]).await;
    assert!(
        matches!(beat, Err(StoreError::UnknownOutcome(_))),
        "a read proves nothing, and a beat is a write: {beat:?}"
    );

    forget_standbys(&server);
    let head = tokio::time::timeout(Duration::from_secs(20), store.head_after(0)).await.expect("it is found");
    let head = head.expect("answers").revision();
    let answered =
        store.write().await.expect("writes").answered(&request).await.expect("reads").expect("it took place");
    assert_eq!(answered.committed.map(|committed| committed.revision), Some(head));
    assert_eq!(fleet(&store).beat(ReplicaId([1; 16]), &[]).await.expect("it is proven").revision(), head);
}

/// Two processes append to one log, and each hears of what the other appended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_hears_of_what_another_appends() {
    let (one, other) = (postgres(), postgres());
    let other = Postgres { url: one.url.clone(), ..other };
    let (first, second) = (one.open(1).await, other.open(2).await);
    assert_eq!(first.head().await.expect("reads"), second.head().await.expect("reads"), "one beginning was drawn");
    let seed = Seed::plant(&first).await;
    for seq in 1..=50 {
        let (writer, reader) = if seq % 2 == 0 { (&first, &second) } else { (&second, &first) };
        let tx = writer.write().await.expect("writes");
        let committed = tx.commit_with(seed.kill(), seed.now()).await.expect("appends");
        assert_eq!(committed.revision.seq, seq);
        let head =
            tokio::time::timeout(Duration::from_secs(20), reader.head_after(seq - 1)).await.expect("it is heard");
        assert_eq!(head.expect("answers").revision(), committed.revision);
    }
}

/// What processes tell each other of gateways: renewals are told apart, a run is forgotten only as it was seen, and what
/// was said is read back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_tell_each_other_of_gateways() {
    let subject = postgres();
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let fleet = Arc::clone(&store).fleet().expect("several processes may use it");
    let run =
        |name: &str| Run { gateway: GatewayId::try_from(name).expect("a name"), boot: BootId::from_bytes([3; 16]) };
    let entry =
        store.write().await.expect("writes").commit_with(seed.kill(), seed.now()).await.expect("appends").revision;
    let renewal =
        |name: &str, lease, applied| Renewal { run: run(name), lease: Duration::from_secs(lease), sockets: 7, applied };
    fleet.beat(ReplicaId([1; 16]), &[renewal("a", 60, Some(entry)), renewal("b", 5, None)]).await.expect("beats");
    fleet.beat(ReplicaId([2; 16]), &[renewal("a", 5, None)]).await.expect("beats");
    let mut rows = fleet.registered(Some(entry)).await.expect("reads").expect("the snapshot holds the entry");
    rows.sort_by(|one, other| one.run.cmp(&other.run));
    let row = |name: &str, renewals, lease, applied| {
        let lease = Duration::from_secs(lease);
        Registered { run: run(name), renewals, lease, sockets: 7, applied, released: false }
    };
    let [a, b] = [rows[0].renewals, rows[1].renewals];
    assert_eq!(rows, [row("a", a, 60, Some(entry)), row("b", b, 5, None)], "the longest lease counts");
    let unknown = portcullis_types::Revision { seq: 9, ..entry };
    assert_eq!(fleet.registered(Some(unknown)).await.expect("reads"), None);

    fleet.forget(&run("a"), a - 1).await.expect("answers");
    fleet.forget(&run("b"), b).await.expect("forgets");
    let rows = fleet.registered(None).await.expect("reads").expect("nothing was asked for");
    assert_eq!(rows, [row("a", a, 60, Some(entry))], "what was renewed since is kept");

    let said = |closed| Acknowledgement { fenced: 5, closed, apply: Duration::from_micros(40) };
    let note = |closed| Noted { run: run("a"), revision: entry, said: said(closed) };
    fleet.note(&[note(2)]).await.expect("notes");
    tokio::time::timeout(Duration::from_secs(20), fleet.heard()).await.expect("it is heard");
    fleet.note(&[note(5)]).await.expect("notes");
    fleet.note(&[note(3)]).await.expect("notes");
    assert_eq!(fleet.noted(&[entry.seq, 77]).await.expect("reads"), [note(5)], "what is closed stays closed");
    fleet.forget_notes(entry.seq).await.expect("forgets");
    assert!(fleet.noted(&[entry.seq]).await.expect("reads").is_empty());
}

/// What a run said at its end is for all processes, and a beat that was under way does not take it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_over_stays_so_whatever_renewal_comes_late() {
    let subject = postgres();
    let fleet = subject.open(1).await.fleet().expect("several processes may use it");
    let run =
        |name: &str| Run { gateway: GatewayId::try_from(name).expect("a name"), boot: BootId::from_bytes([3; 16]) };
    let renewal = |name: &str| Renewal { run: run(name), lease: Duration::from_secs(5), sockets: 7, applied: None };
    fleet.beat(ReplicaId([1; 16]), &[renewal("known"), renewal("other")]).await.expect("beats");
    fleet.release(&run("known")).await.expect("releases");
    tokio::time::timeout(Duration::from_secs(20), fleet.heard()).await.expect("it is heard");
    fleet.release(&run("new")).await.expect("releases");
    fleet.beat(ReplicaId([2; 16]), &[renewal("known"), renewal("new"), renewal("other")]).await.expect("beats");
    let mut rows = fleet.registered(None).await.expect("reads").expect("nothing was asked for");
    rows.sort_by(|one, other| one.run.cmp(&other.run));
    let over: Vec<_> = rows.iter().map(|row| (row.run.gateway.as_str(), row.released)).collect();
    assert_eq!(over, [("known", true), ("new", true), ("other", false)]);
    for row in rows {
        fleet.forget(&row.run, row.renewals).await.expect("forgets");
    }
    assert_eq!(fleet.registered(None).await.expect("reads"), Some(Vec::new()));
}

/// A process that remembers a run as it was before must see that it was renewed, or it takes it for one without a lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_forgotten_never_has_a_renewal_again_that_it_had() {
    let subject = postgres();
    let fleet = subject.open(1).await.fleet().expect("several processes may use it");
    let run = Run { gateway: GatewayId::try_from("a").expect("a name"), boot: BootId::from_bytes([3; 16]) };
    let renewal = Renewal { run: run.clone(), lease: Duration::from_secs(5), sockets: 7, applied: None };
    let mut seen = Vec::new();
    for _ in 0..5 {
        for _ in 0..3 {
            fleet.beat(ReplicaId([1; 16]), std::slice::from_ref(&renewal)).await.expect("beats");
            let rows = fleet.registered(None).await.expect("reads").expect("nothing was asked for");
            seen.push(rows[0].renewals);
        }
        fleet.forget(&run, seen[seen.len() - 1]).await.expect("forgets");
        assert_eq!(fleet.registered(None).await.expect("reads"), Some(Vec::new()));
    }
    assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
}

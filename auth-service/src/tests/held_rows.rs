//! Revocations that share an entry while somebody else holds a row of one of them, which only PostgreSQL lets happen.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    Actor, Asking, Authority, Group, IdentityKind, IdentityRef, IssueOutcome, IssueTokens, NewIdentity, Reason,
    RevokeRequest, RevokeTarget, Revoked, StoreError,
};
use auth_storage::{DatabaseUrl, PostgresSettings, PostgresStore};
use portcullis_types::{IdentityName, Secret, SessionId, Shutdown, SystemClock, SystemEntropy, TenantId};
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use test_postgres::Database;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::revoker::Revoker;
use crate::startup::{self, Surroundings};

/// Longer than any test runs: whoever waits for a row waits for whoever holds it.
const FOR_EVER: Duration = Duration::from_secs(3_600);
/// For how long an answer that depends on nobody is waited for.
const SOON: Duration = Duration::from_secs(120);

/// An authority with sessions, on a database that is asked for rows without end.
struct World {
    authority: Arc<Authority>,
    metrics: Arc<Metrics>,
    sessions: Vec<SessionId>,
    database: Database,
    _folder: TempDir,
}

fn tenant() -> TenantId {
    TenantId::try_from("acme").expect("a valid name")
}

impl World {
    async fn with_sessions(count: usize) -> Self {
        let (database, folder) = (Database::empty(), tempfile::tempdir().expect("a folder for the test"));
        let url = DatabaseUrl::parse(&Secret::from(&*database.address()), false).expect("a valid address");
        let settings = PostgresSettings { patience: FOR_EVER, ..PostgresSettings::default() };
        let store = Arc::new(PostgresStore::open(&url, &settings, &SystemEntropy).await.expect("opens"));
        let config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        let around =
            Surroundings { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), shutdown: Shutdown::new() };
        let metrics = Arc::new(Metrics::new());
        let authority = startup::open_authority(&config, &around, store, Arc::clone(&metrics)).await.expect("opens");
        let by = Actor::authority();
        authority.create_tenant(&by, tenant(), None, None).await.expect("a new tenant");
        let name = IdentityName::try_from("alice").expect("a valid name");
        let alice = NewIdentity::plain(tenant(), IdentityKind::User, name.clone());
        authority.create_identity(&by, alice).await.expect("a new identity");
        let mut sessions = Vec::new();
        for _ in 0..count {
            let identity = IdentityRef::Name(name.clone());
            let asked = IssueTokens { tenant: tenant(), identity, device: None, client: None };
            match authority.issue_tokens(&by, asked).await.expect("it is opened") {
                IssueOutcome::Opened(opened) => sessions.push(opened.session.id),
                IssueOutcome::Before(id) => panic!("nobody named {id}"),
            }
        }
        Self { authority: Arc::new(authority), metrics, sessions, database, _folder: folder }
    }

    /// Somebody else's transaction holds the rows of these sessions.
    async fn hold(&self, sessions: &[SessionId]) -> sqlx::PgConnection {
        let options: sqlx::postgres::PgConnectOptions = self.database.address().parse().expect("a valid address");
        let mut holder = options.connect().await.expect("connects");
        sqlx::raw_sql("BEGIN").execute(&mut holder).await.expect("begins");
        let ids: Vec<&[u8]> = sessions.iter().map(|id| &id.as_bytes()[..]).collect();
        let held = sqlx::query("SELECT 1 FROM sessions WHERE id = ANY($1) FOR UPDATE").bind(ids);
        assert_eq!(held.fetch_all(&mut holder).await.expect("nobody holds them").len(), sessions.len());
        holder
    }

    /// Until somebody waits for a row.
    async fn somebody_waits(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while self.database.query(waiting) == "0" {
            tokio::task::yield_now().await;
        }
    }
}

fn request(session: SessionId) -> RevokeRequest {
    let target = RevokeTarget::Session(session);
    RevokeRequest { tenant: tenant(), target, reason: Reason::Compromised, pace: None, request_id: None }
}

fn revoking(revoker: &Revoker, session: SessionId) -> JoinHandle<Revoked> {
    let revoker = revoker.clone();
    tokio::spawn(async move { revoker.revoke(&Actor::authority(), request(session)).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_gives_up_a_row_that_somebody_holds_and_leaves_no_trace() {
    let world = World::with_sessions(3).await;
    let mut group = Group::default();
    for session in &world.sessions {
        let asking = Asking { actor: Actor::authority(), request: request(*session) };
        assert!(group.add(asking).is_ok(), "they can be told apart");
    }
    let before = world.authority.store().head().await.expect("reads");
    let holder = world.hold(&world.sessions[1..2]).await;
    let together = world.authority.revoke_together(&group);
    let given_up = tokio::time::timeout(SOON, together).await.expect("it waits for whoever holds the row");
    assert!(matches!(given_up, Err(StoreError::Conflict)), "{given_up:?}");
    assert_eq!(world.authority.store().head().await.expect("reads"), before);
    holder.close().await.expect("lets go");
    let answers = world.authority.revoke_together(&group).await.expect("nobody holds it");
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_shares_a_group_with_a_row_that_is_held_is_answered_while_it_is() {
    let world = World::with_sessions(4).await;
    let holder = world.hold(&world.sessions[..2]).await;
    let revoker = Revoker::start(Arc::clone(&world.authority), Arc::clone(&world.metrics));
    // Alone, and waiting: whatever comes now is the next group.
    let mut held = vec![revoking(&revoker, world.sessions[0])];
    world.somebody_waits().await;
    held.push(revoking(&revoker, world.sessions[1]));
    for session in &world.sessions[2..] {
        let free = tokio::time::timeout(SOON, revoking(&revoker, *session)).await;
        free.expect("it waits for another's row").expect("no panic").expect("nobody holds it");
    }
    assert!(held.iter().all(|waits| !waits.is_finished()), "their rows are held");
    holder.close().await.expect("lets go");
    for waits in held {
        waits.await.expect("no panic").expect("nobody holds it any more");
    }
}

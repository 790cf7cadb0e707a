//! One database, any number of authorities on it.
//!
//! Guarantees: the head row is the last lock that an append takes and is held until its commit, so entries are in
//! commit order and every snapshot sees a prefix, whoever writes. A commit is answered only when the database said that
//! it is as durable as it promises; one that was not answered in time, or was answered with a warning, has an unknown
//! outcome, and with its connection all others are given up. Notifications only wake: what is new is read from the log.
//! Refuses: a server that only follows another one, a version without what the log needs, and a connection in the clear
//! that leaves the machine, unless the configuration asks for it.
//!
//! Reads and writes have connections of their own, of bounded number; who finds none waits, and after a while gets an
//! error. Some of those for writes are kept for urgent ones. One connection more follows the log, one proves the head, and
//! a few look up where credentials stand (`looks`).

mod api_keys;
mod audit_removal;
mod audit_trail;
mod certificates;
mod columns;
mod commit;
mod ended_before;
mod fleet;
mod issuers;
mod keys;
mod lease_classes;
mod lifecycle;
mod log;
mod login;
mod passwords;
mod pools;
mod reads;
mod retention;
mod sealed;
mod server;
mod session;
mod session_use;
mod signature_keys;
mod standing;
mod store;
mod subjects;
mod tail;
mod tenant_deletion;
mod tickets;
mod tx;
mod url;

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{Head, StoreError};
use portcullis_types::Entropy;
use sqlx::ConnectOptions as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Notify, Semaphore, watch};

use commit::Commits;
use pools::{Pools, pool};
use standing::Reader;
use tail::Tail;

use crate::looks::Looks;
use crate::waits::Waits;

pub use server::Server;
pub use url::{DatabaseUrl, InvalidDatabaseUrl};

pub(crate) static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/postgres");
/// The oldest version that has every function used here and is still looked after.
const OLDEST: i32 = 130_000;
/// Connections for writes that only urgent ones use.
const KEPT: u32 = 2;
/// How long that one attempt may take that says why there is no connection.
const ATTEMPT: Duration = Duration::from_secs(2);
/// What other replicas and whoever looks at the server see.
const NAME: &str = "portcullis";

/// How a store uses its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresSettings {
    /// Connections that read, at most.
    pub readers: u32,
    /// Connections that write, at most; two of them are kept for what is urgent.
    pub writers: u32,
    /// How long to wait for a connection, and for the answer to a statement.
    pub patience: Duration,
    /// How long to wait for the answer to a commit, which includes its replication. After that its outcome is unknown.
    pub commit_patience: Duration,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self { readers: 8, writers: 8, patience: Duration::from_secs(10), commit_patience: Duration::from_secs(5) }
    }
}

/// Rows and log in a database that other processes use too.
#[derive(Debug)]
pub struct PostgresStore {
    pools: Arc<Pools>,
    looks: Looks,
    to_read: Waits,
    to_write: Waits,
    /// Held by writers that are not urgent; fewer than there are connections.
    turns: Arc<Semaphore>,
    commits: Arc<Commits>,
    heads: watch::Sender<Head>,
    /// Another process has noted something.
    noted: Arc<Notify>,
    patience: Duration,
    commit_patience: Duration,
    tail: Tail,
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenPostgresError {
    /// The database could not be reached, or refused.
    #[error("the database cannot be opened")]
    Database(#[from] sqlx::Error),
    /// The server is older than what is used of it.
    #[error("PostgreSQL {found} is too old: version 13 or newer is needed")]
    TooOld {
        /// What it says it is.
        found: String,
    },
    /// The schema is not one that this program knows.
    #[error("the schema cannot be brought up to date")]
    Schema(#[from] sqlx::migrate::MigrateError),
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Log(#[from] StoreError),
}

impl PostgresStore {
    /// Opens the store; where the database is empty, one of the replicas that open it makes the schema, and the
    /// beginning of the chain is drawn from its `entropy`.
    pub async fn open(
        url: &DatabaseUrl,
        settings: &PostgresSettings,
        entropy: &dyn Entropy,
    ) -> Result<Self, OpenPostgresError> {
        let options = url.options().clone().application_name(NAME).disable_statement_logging();
        prepare(&options, settings, entropy).await?;
        Self::connect(options, settings).await
    }

    /// Opens a store that is there already, to read it beside those that serve it. Changes nothing.
    pub async fn beside(url: &DatabaseUrl, settings: &PostgresSettings) -> Result<Self, OpenPostgresError> {
        let options = url.options().clone().application_name(NAME).disable_statement_logging();
        Self::connect(options, settings).await
    }

    async fn connect(options: PgConnectOptions, settings: &PostgresSettings) -> Result<Self, OpenPostgresError> {
        let pools = Arc::new(Pools::new(options, settings.clone()));
        let turns = usize::try_from(settings.writers.saturating_sub(KEPT)).unwrap_or(1).max(1);
        let head = match pools.current().readers.acquire().await {
            Ok(mut reader) => log::head(&mut reader).await?,
            Err(error) => return Err(why(error, pools.options()).await.into()),
        };
        let (heads, noted) = (watch::Sender::new(head), Arc::new(Notify::new()));
        Ok(Self {
            looks: Looks::start(|| Reader::new(Arc::clone(&pools), settings.patience)),
            to_read: Waits::default(),
            to_write: Waits::default(),
            turns: Arc::new(Semaphore::new(turns)),
            commits: Arc::new(Commits::new(settings.commit_patience)),
            tail: Tail::follow(Arc::clone(&pools), heads.clone(), Arc::clone(&noted), settings.patience),
            pools,
            heads,
            noted,
            patience: settings.patience,
            commit_patience: settings.commit_patience,
        })
    }
}

/// Brings the schema up to date, which waits for another replica that does the same, and begins the log.
async fn prepare(
    options: &PgConnectOptions,
    settings: &PostgresSettings,
    entropy: &dyn Entropy,
) -> Result<(), OpenPostgresError> {
    // Its statements are not bounded as those of others are: another replica's migration may take long.
    let pool = match pool(1, settings.patience).connect_with(options.clone()).await {
        Ok(pool) => pool,
        Err(error) => return Err(why(error, options).await.into()),
    };
    let mut connection = pool.acquire().await?;
    let (version, text): (i32, String) =
        sqlx::query_as("SELECT current_setting('server_version_num')::int, current_setting('server_version')")
            .fetch_one(&mut *connection)
            .await?;
    if version < OLDEST {
        return Err(OpenPostgresError::TooOld { found: text });
    }
    drop(connection);
    MIGRATOR.run(&pool).await?;
    log::begin(&mut *pool.acquire().await?, entropy.array()).await?;
    pool.close().await;
    Ok(())
}

/// Why there is no connection. A pool tries until its patience ends, and then says nothing but that: one attempt more
/// says the rest.
async fn why(error: sqlx::Error, options: &PgConnectOptions) -> sqlx::Error {
    match error {
        sqlx::Error::PoolTimedOut => match tokio::time::timeout(ATTEMPT, options.connect()).await {
            Ok(Err(cause)) => cause,
            Ok(Ok(_)) | Err(_) => sqlx::Error::PoolTimedOut,
        },
        other => other,
    }
}

/// What the database says of a statement that it did not carry out.
fn refused(error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        // Serialisation failure, deadlock, a lock not given in time, and a row that another writer has made or removed
        // meanwhile.
        Some("40001" | "40P01" | "55P03" | "23503" | "23505") => StoreError::Conflict,
        Some(_) | None => StoreError::Unavailable(Box::new(error)),
    }
}

//! Connections, and giving them up.
//!
//! A server that was deposed keeps its connections and answers reads on them. What it cannot do is finish a write: so
//! when the outcome of a commit is unknown, every connection of that time is given up, and the next ones lead to whoever
//! the address leads to then.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use auth_domain::StoreError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::sync::watch;

use super::{KEPT, PostgresSettings, refused};
use crate::looks::LANES;

/// Connections that were made at about the same time.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) readers: PgPool,
    pub(super) writers: PgPool,
    /// One connection for each that looks up where credentials stand.
    pub(super) lookers: PgPool,
    /// One connection, so that no queue of writers keeps the head from being proven.
    pub(super) beats: PgPool,
    generation: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Pools {
    current: RwLock<Arc<Pool>>,
    options: PgConnectOptions,
    settings: PostgresSettings,
    generation: watch::Sender<u64>,
}

impl Pools {
    /// None is connected yet.
    pub(super) fn new(options: PgConnectOptions, settings: PostgresSettings) -> Self {
        let options = bounded(options, &settings);
        let first = Arc::new(Pool::new(&options, &settings, 0));
        Self { current: RwLock::new(first), options, settings, generation: watch::Sender::new(0) }
    }

    pub(super) fn current(&self) -> Arc<Pool> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A connection of the current pools, and which those are.
    pub(super) async fn acquire(
        &self,
        which: fn(&Pool) -> &PgPool,
    ) -> Result<(PoolConnection<Postgres>, Arc<Pool>), StoreError> {
        loop {
            let pool = self.current();
            match which(&pool).acquire().await {
                Ok(connection) => return Ok((connection, pool)),
                // Given up while this waited.
                Err(sqlx::Error::PoolClosed) if !Arc::ptr_eq(&pool, &self.current()) => {}
                Err(error) => return Err(refused(error)),
            }
        }
    }

    /// How to connect beside the pools.
    pub(super) const fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Wakes its holder when connections are given up.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// What these connections lead to may be deposed: nobody begins anything on them any more, and each is closed when
    /// what runs on it has ended.
    pub(super) fn suspect(&self, pool: &Pool) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.generation != pool.generation {
            return;
        }
        let next = Arc::new(Pool::new(&self.options, &self.settings, pool.generation + 1));
        let given_up = std::mem::replace(&mut *current, next);
        drop(current);
        tracing::warn!("the outcome of a commit is unknown: all connections to the database are given up");
        self.generation.send_replace(given_up.generation + 1);
        tokio::spawn(async move { given_up.close().await });
    }

    pub(super) async fn close(&self) {
        self.current().close().await;
    }
}

impl Pool {
    fn new(options: &PgConnectOptions, settings: &PostgresSettings, generation: u64) -> Self {
        let of = |connections| pool(connections, settings.patience).connect_lazy_with(options.clone());
        let (readers, writers) = (of(settings.readers.max(1)), of(settings.writers.max(KEPT + 1)));
        Self { readers, writers, lookers: of(LANES), beats: of(1), generation }
    }

    async fn close(&self) {
        self.beats.close().await;
        self.readers.close().await;
        self.writers.close().await;
        self.lookers.close().await;
    }
}

pub(super) fn pool(connections: u32, patience: Duration) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(refuse_followers(connection)))
}

/// A follower may be behind by any time, and answers all the same.
async fn refuse_followers(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let follows: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await?;
    if follows {
        let why = "the database server is a standby: the address must lead to the primary";
        return Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::ReadOnlyFilesystem, why)));
    }
    Ok(())
}

/// The server gives up by itself what its client no longer waits for, and never answers a commit before it is durable.
fn bounded(options: PgConnectOptions, settings: &PostgresSettings) -> PgConnectOptions {
    let patience = settings.patience.as_millis().to_string();
    // Longer: a client that is alive ends its transactions itself.
    let idle = (settings.patience * 3).as_millis().to_string();
    options.options([
        ("synchronous_commit", "on"),
        ("statement_timeout", &*patience),
        ("lock_timeout", &*patience),
        ("idle_in_transaction_session_timeout", &*idle),
        // The marks of a batch and the rows of a verdict are found by their keys, however few rows there are yet.
        ("jit", "off"),
    ])
}

//! A connection in a transaction. Dropped before it commits, it rolls back; where that takes too long, or a statement
//! was not answered in time, the connection is given up.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{Head, StoreError};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow};
use sqlx::query::Query;
use sqlx::{Executor as _, PgPool, Postgres};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::commit::Commits;
use super::pools::{Pool, Pools};
use super::{log, refused};

/// The first statement reads the head and fixes the snapshot.
const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SELECT seq, chain FROM revocation_head WHERE shard = 0";
const BEGIN_WRITING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SELECT seq, chain FROM revocation_head WHERE shard = 0";

/// See the module.
pub(super) struct Session {
    /// There until it is dropped or committed.
    open: Option<Open>,
    /// A statement failed, and with it the transaction.
    failed: bool,
    patience: Duration,
    pools: Arc<Pools>,
    pool: Arc<Pool>,
}

struct Open {
    connection: PoolConnection<Postgres>,
    /// Given back after the transaction has ended.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Session {
    pub(super) async fn reading(pools: &Arc<Pools>, patience: Duration) -> Result<(Self, Head), StoreError> {
        Self::begin(pools, |pool| &pool.readers, BEGIN_READING, patience, None).await
    }

    pub(super) async fn beating(pools: &Arc<Pools>, patience: Duration) -> Result<(Self, Head), StoreError> {
        Self::begin(pools, |pool| &pool.beats, BEGIN_WRITING, patience, None).await
    }

    pub(super) async fn writing(
        pools: &Arc<Pools>,
        patience: Duration,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<(Self, Head), StoreError> {
        Self::begin(pools, |pool| &pool.writers, BEGIN_WRITING, patience, turn).await
    }

    async fn begin(
        pools: &Arc<Pools>,
        which: fn(&Pool) -> &PgPool,
        how: &'static str,
        patience: Duration,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<(Self, Head), StoreError> {
        let pools = Arc::clone(pools);
        let (connection, pool) = pools.acquire(which).await?;
        let open = Some(Open { connection, _turn: turn });
        let mut session = Self { open, failed: false, patience, pools, pool };
        let answer = timeout(patience, sqlx::raw_sql(how).fetch_one(session.connection())).await;
        let row = session.judge(answer)?;
        let head = log::head_of(&row)?;
        Ok((session, head))
    }

    fn connection(&mut self) -> &mut sqlx::PgConnection {
        &mut self.open.as_mut().expect("taken only when the session ends").connection
    }

    pub(super) async fn execute(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<PgQueryResult, StoreError> {
        let answer = timeout(self.patience, query.execute(self.connection())).await;
        self.judge(answer)
    }

    pub(super) async fn one(&mut self, query: Query<'_, Postgres, PgArguments>) -> Result<PgRow, StoreError> {
        let answer = timeout(self.patience, query.fetch_one(self.connection())).await;
        self.judge(answer)
    }

    pub(super) async fn maybe(&mut self, query: Query<'_, Postgres, PgArguments>) -> Result<Option<PgRow>, StoreError> {
        let answer = timeout(self.patience, query.fetch_optional(self.connection())).await;
        self.judge(answer)
    }

    pub(super) async fn all(&mut self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, StoreError> {
        let answer = timeout(self.patience, query.fetch_all(self.connection())).await;
        self.judge(answer)
    }

    fn judge<T>(&mut self, answer: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, StoreError> {
        let error = match answer {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => refused(error),
            Err(late) => {
                if let Some(open) = &mut self.open {
                    open.connection.close_on_drop();
                }
                StoreError::Unavailable(Box::new(late))
            }
        };
        self.failed = true;
        Err(error)
    }

    /// Gives up this connection and all that were made when it was.
    pub(super) fn suspect(&self) {
        self.pools.suspect(&self.pool);
    }

    pub(super) async fn commit(mut self, commits: &Commits) -> Result<(), StoreError> {
        if self.failed {
            // The server would answer the commit with a rollback, and call that a success.
            return Err(StoreError::Conflict);
        }
        let mut open = self.open.take().expect("taken only when the session ends");
        let outcome = commits.commit(&mut open.connection).await;
        if outcome.is_err() {
            open.connection.close_on_drop();
        }
        if matches!(outcome, Err(StoreError::UnknownOutcome(_))) {
            self.suspect();
        }
        outcome
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let patience = self.patience;
        tokio::spawn(async move {
            let rolled_back = timeout(patience, open.connection.execute("ROLLBACK")).await;
            if !matches!(rolled_back, Ok(Ok(_))) {
                open.connection.close_on_drop();
            }
        });
    }
}

//! The store itself: snapshots, transactions, and the log as its readers see it.

use std::sync::Arc;

use async_trait::async_trait;
use auth_domain::{
    Connections, Fleet, Head, LogEntry, PoolUse, ReadView, StandingRows, Store, StoreError, WithParent, WriteTx,
};
use portcullis_types::{CredentialId, Revision};
use sqlx::PgConnection;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::session::Session;
use super::tx::PgTx;
use super::{PostgresStore, log, refused, standing};
use crate::rows;

impl PostgresStore {
    fn tx(&self, (session, head): (Session, Head)) -> PgTx {
        PgTx { session, head, commits: Arc::clone(&self.commits), heads: self.heads.clone() }
    }

    async fn begin(&self, turn: Option<OwnedSemaphorePermit>) -> Result<Box<dyn WriteTx>, StoreError> {
        Ok(Box::new(self.tx(self.to_write.during(Session::writing(&self.pools, self.patience, turn)).await?)))
    }

    /// One statement on a connection that reads.
    pub(super) async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (mut connection, _) = self.to_read.during(self.pools.acquire(|pool| &pool.readers)).await?;
        match timeout(self.patience, question(&mut connection)).await {
            Ok(answer) => answer,
            Err(late) => {
                connection.close_on_drop();
                Err(StoreError::Unavailable(Box::new(late)))
            }
        }
    }
}

impl Connections for PostgresStore {
    fn connections(&self) -> Vec<PoolUse> {
        let pool = self.pools.current();
        let readers = self.to_read.of("readers", &pool.readers);
        vec![self.looks.of("looks"), readers, self.to_write.of("writers", &pool.writers)]
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn read(&self) -> Result<Box<dyn ReadView>, StoreError> {
        Ok(Box::new(self.tx(self.to_read.during(Session::reading(&self.pools, self.patience)).await?)))
    }

    async fn write(&self) -> Result<Box<dyn WriteTx>, StoreError> {
        let turn = self.to_write.during(timeout(self.patience, Arc::clone(&self.turns).acquire_owned())).await;
        let turn = turn.map_err(|late| StoreError::Unavailable(Box::new(late)))?;
        let turn = turn.map_err(|closed| StoreError::Unavailable(Box::new(closed)))?;
        self.begin(Some(turn)).await
    }

    async fn write_urgently(&self) -> Result<Box<dyn WriteTx>, StoreError> {
        self.begin(None).await
    }

    async fn standing(&self, id: CredentialId) -> Result<(Head, Option<Arc<StandingRows>>), StoreError> {
        self.looks.find(id).await
    }

    async fn standing_with_parent(&self, id: CredentialId) -> Result<(Head, Option<WithParent>), StoreError> {
        self.ask(async |connection| standing::with_parent(connection, id).await).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.ask(async |connection| log::head(connection).await).await
    }

    async fn head_after(&self, known: u64) -> Result<Head, StoreError> {
        let mut heads = self.heads.subscribe();
        let announced = heads.wait_for(|head| head.seq > known).await;
        announced.map(|head| *head).map_err(|closed| StoreError::Unavailable(Box::new(closed)))
    }

    async fn log_after(&self, seq: u64, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        let entries = async |connection: &mut PgConnection| {
            let found = log::after(seq, limit).fetch_all(connection).await.map_err(refused)?;
            found.iter().map(rows::log_entry).collect()
        };
        self.ask(entries).await
    }

    async fn revision_at(&self, seq: u64) -> Result<Option<Revision>, StoreError> {
        let position = async |connection: &mut PgConnection| {
            let found = log::chain_at(seq).fetch_optional(connection).await.map_err(refused)?;
            log::position(seq, found.as_ref())
        };
        self.ask(position).await
    }

    async fn horizon(&self) -> Result<u64, StoreError> {
        self.ask(async |connection| log::horizon(connection).await).await
    }

    fn fleet(self: Arc<Self>) -> Option<Arc<dyn Fleet>> {
        Some(self)
    }

    async fn close(&self) {
        self.tail.stop();
        self.looks.stop();
        self.pools.close().await;
    }
}

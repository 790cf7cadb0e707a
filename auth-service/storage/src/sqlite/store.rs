//! The store itself: snapshots, transactions, and the log as its readers see it.

use std::sync::Arc;

use async_trait::async_trait;
use auth_domain::{
    Connections, Head, LogEntry, PoolUse, ReadView, StandingRows, Store, StoreError, WithParent, WriteTx,
};
use portcullis_types::{CredentialId, Revision};
use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, Transaction};
use tokio::sync::OwnedSemaphorePermit;

use super::tx::SqliteTx;
use super::{LOOK_AGAIN, SqliteStore, WAIT, log, standing, unavailable};

impl SqliteStore {
    pub(super) async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.to_read.during(self.readers.acquire()).await.map_err(unavailable)
    }

    async fn tx(
        &self,
        transaction: Transaction<'static, Sqlite>,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<SqliteTx, StoreError> {
        SqliteTx::begin(transaction, self.heads.clone(), Arc::clone(&self.known), turn).await
    }
}

impl Connections for SqliteStore {
    fn connections(&self) -> Vec<PoolUse> {
        let readers = self.to_read.of("readers", &self.readers);
        vec![self.looks.of("looks"), readers, self.to_write.of("writers", &self.writer)]
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn read(&self) -> Result<Box<dyn ReadView>, StoreError> {
        // Deferred: the first statement, which reads the head, fixes the snapshot.
        let transaction = self.to_read.during(self.readers.begin()).await.map_err(unavailable)?;
        Ok(Box::new(self.tx(transaction, None).await?))
    }

    async fn write(&self) -> Result<Box<dyn WriteTx>, StoreError> {
        let turn = self.to_write.during(tokio::time::timeout(WAIT, Arc::clone(&self.turn).acquire_owned())).await;
        let turn = turn.map_err(late)?.map_err(|closed| StoreError::Unavailable(Box::new(closed)))?;
        let begin = self.writer.begin_with("BEGIN IMMEDIATE");
        let transaction = self.to_write.during(begin).await.map_err(unavailable)?;
        Ok(Box::new(self.tx(transaction, Some(turn)).await?))
    }

    async fn write_urgently(&self) -> Result<Box<dyn WriteTx>, StoreError> {
        let begin = self.writer.begin_with("BEGIN IMMEDIATE");
        let transaction = self.to_write.during(begin).await.map_err(unavailable)?;
        Ok(Box::new(self.tx(transaction, None).await?))
    }

    async fn standing(&self, id: CredentialId) -> Result<(Head, Option<Arc<StandingRows>>), StoreError> {
        let quiet = self.known.quiet();
        if let Some((head, rows)) = quiet.and_then(|quiet| self.known.find(quiet, id)) {
            return Ok((head, Some(rows)));
        }
        let (head, rows) = self.looks.find(id).await?;
        if let (Some(quiet), Some(rows)) = (quiet, &rows) {
            self.known.keep(quiet, head, rows);
        }
        Ok((head, rows))
    }

    async fn standing_with_parent(&self, id: CredentialId) -> Result<(Head, Option<WithParent>), StoreError> {
        standing::with_parent(&mut *self.reader().await?, id).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        log::head(&mut *self.reader().await?).await
    }

    async fn head_after(&self, known: u64) -> Result<Head, StoreError> {
        let mut heads = self.heads.subscribe();
        loop {
            let announced = async { heads.wait_for(|head| head.seq > known).await.map(|head| *head) };
            if let Ok(head) = tokio::time::timeout(LOOK_AGAIN, announced).await {
                return head.map_err(|closed| StoreError::Unavailable(Box::new(closed)));
            }
            let head = self.head().await?;
            if head.seq > known {
                return Ok(head);
            }
        }
    }

    async fn log_after(&self, seq: u64, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        log::after(&mut *self.reader().await?, seq, limit).await
    }

    async fn revision_at(&self, seq: u64) -> Result<Option<Revision>, StoreError> {
        log::revision_at(&mut *self.reader().await?, seq).await
    }

    async fn horizon(&self) -> Result<u64, StoreError> {
        log::horizon(&mut *self.reader().await?).await
    }

    /// And folds the write-ahead log into the file.
    async fn close(&self) {
        self.looks.stop();
        self.lookers.close().await;
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn late(elapsed: tokio::time::error::Elapsed) -> StoreError {
    StoreError::Unavailable(Box::new(elapsed))
}

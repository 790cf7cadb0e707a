//! The store itself: snapshots, transactions, and the log as its readers see it.

use async_trait::async_trait;
use auth_domain::{Head, LogEntry, ReadView, Store, StoreError, WriteTx};
use portcullis_types::Revision;

use super::tx::SqliteTx;
use super::{SqliteStore, log, unavailable};

#[async_trait]
impl Store for SqliteStore {
    async fn read(&self) -> Result<Box<dyn ReadView>, StoreError> {
        // Deferred: the first statement, which reads the head, fixes the snapshot.
        let transaction = self.readers.begin().await.map_err(unavailable)?;
        Ok(Box::new(SqliteTx::begin(transaction, self.heads.clone()).await?))
    }

    async fn write(&self) -> Result<Box<dyn WriteTx>, StoreError> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
        Ok(Box::new(SqliteTx::begin(transaction, self.heads.clone()).await?))
    }

    async fn head(&self) -> Result<Head, StoreError> {
        log::head(&mut *self.readers.acquire().await.map_err(unavailable)?).await
    }

    async fn head_after(&self, known: u64) -> Result<Head, StoreError> {
        let mut heads = self.heads.subscribe();
        let head = heads.wait_for(|head| head.seq > known).await;
        head.map(|head| *head).map_err(|closed| StoreError::Unavailable(Box::new(closed)))
    }

    async fn log_after(&self, seq: u64, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        log::after(&mut *self.readers.acquire().await.map_err(unavailable)?, seq, limit).await
    }

    async fn revision_at(&self, seq: u64) -> Result<Option<Revision>, StoreError> {
        log::revision_at(&mut *self.readers.acquire().await.map_err(unavailable)?, seq).await
    }

    async fn horizon(&self) -> Result<u64, StoreError> {
        log::horizon(&mut *self.readers.acquire().await.map_err(unavailable)?).await
    }
}

//! One file, one process.
//!
//! Guarantees: a second process is refused by an operating system lock on `authority.lock`. Writers take turns on one
//! connection (`BEGIN IMMEDIATE`), so entries of the log are in commit order and every snapshot sees a prefix. A commit
//! that was answered survives a power cut (`synchronous = FULL`).
//! At most one writer and eight readers run at once; others wait, and after ten seconds get an error. Urgent writers wait
//! for each other and for at most one other writer. Where credentials stand is looked up beside them (`looks`).

mod api_keys;
mod audit_removal;
mod audit_trail;
mod beside;
mod certificates;
mod ended_before;
mod issuers;
mod keys;
mod known;
mod lease_classes;
mod lifecycle;
mod lock;
mod log;
mod login;
mod passwords;
mod reads;
mod retention;
mod sealed;
mod session_use;
mod signature_keys;
mod standing;
mod store;
mod subjects;
mod tenant_deletion;
mod tickets;
mod tx;

use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use auth_domain::{Head, StoreError};
use portcullis_types::Entropy;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqlitePool};
use tokio::sync::{Semaphore, watch};

use crate::{rows, words};
use known::Known;
use lock::DirectoryLock;
use standing::Reader;

pub use beside::{CopyError, Restored};

use crate::looks::{LANES, Looks};
use crate::waits::Waits;

pub(crate) static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/sqlite");
const DATABASE: &str = "authority.db";
const READERS: u32 = 8;
const WAIT: Duration = Duration::from_secs(10);
/// How often the head is read though nobody announced a new one: a commit that erred may have taken place.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Rows and log in one file of a directory that this process owns.
#[derive(Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    /// Held by the one writer that is not urgent and may be in the way of those that are.
    turn: Arc<Semaphore>,
    readers: SqlitePool,
    lookers: SqlitePool,
    looks: Looks,
    known: Arc<Known>,
    to_write: Waits,
    to_read: Waits,
    heads: watch::Sender<Head>,
    /// Absent where the store is only read.
    _lock: Option<DirectoryLock>,
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// Another process serves this directory.
    #[error("{} is in use by another process", .path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// Others may read what is there already.
    #[error("others may use {}; set its mode to {mode:o}", .path.display())]
    NotPrivate {
        /// Which.
        path: PathBuf,
        /// What it must be.
        mode: u32,
    },
    /// A file or directory could not be made or opened.
    #[error("{} cannot be opened", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database could not be opened.
    #[error("the database cannot be opened")]
    Database(#[from] sqlx::Error),
    /// The schema is not one that this program knows.
    #[error("the schema cannot be brought up to date")]
    Schema(#[from] sqlx::migrate::MigrateError),
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Log(#[from] StoreError),
}

impl SqliteStore {
    /// Opens or makes the store in `directory`. A new store draws the beginning of its chain from `entropy`.
    pub async fn open(directory: &Path, entropy: &dyn Entropy) -> Result<Self, OpenStoreError> {
        make_directory(directory)?;
        let lock = DirectoryLock::take(directory)?;
        let file = directory.join(DATABASE);
        make_private(&file)?;
        let options = options(&file);
        let writer = pool(1).connect_with(options.clone()).await?;
        MIGRATOR.run(&writer).await?;
        log::begin(&writer, entropy.array()).await?;
        let options = options.pragma("query_only", "1");
        let readers = pool(READERS).connect_with(options.clone()).await?;
        let lookers = pool(LANES).connect_lazy_with(options);
        let head = log::head(&mut *readers.acquire().await?).await?;
        Ok(Self {
            writer,
            turn: Arc::new(Semaphore::new(1)),
            readers,
            looks: Looks::start(|| Reader::new(lookers.clone())),
            lookers,
            known: Arc::default(),
            to_write: Waits::default(),
            to_read: Waits::default(),
            heads: watch::Sender::new(head),
            _lock: Some(lock),
        })
    }
}

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(WAIT)
        .disable_statement_logging()
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

fn make_directory(directory: &Path) -> Result<(), OpenStoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| OpenStoreError::File { path: directory.to_owned(), source })?;
    // What is in it is private by itself, unless somebody exchanges it.
    refuse_others(directory, 0o022, 0o700)
}

/// What was there before may have another mode than what is made here.
fn refuse_others(path: &Path, to_others: u32, mode: u32) -> Result<(), OpenStoreError> {
    let path = path.to_owned();
    match fs::metadata(&path) {
        Ok(metadata) if metadata.permissions().mode() & to_others == 0 => Ok(()),
        Ok(_) => Err(OpenStoreError::NotPrivate { path, mode }),
        Err(source) => Err(OpenStoreError::File { path, source }),
    }
}

/// SQLite gives its other files the mode of this one.
fn make_private(file: &Path) -> Result<(), OpenStoreError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)
        .map(drop)
        .map_err(|source| OpenStoreError::File { path: file.to_owned(), source })?;
    refuse_others(file, 0o077, 0o600)
}

fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

#[cfg(test)]
mod tests {
    use auth_domain::{Batch, Store as _, Target, WriteTx as _};
    use portcullis_types::{RoleName, SeededEntropy, TenantId, Timestamp};

    use super::tx::SqliteTx;
    use super::*;

    /// As after a commit that erred and took place.
    #[tokio::test]
    async fn an_entry_that_nobody_announced_is_found() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = SqliteStore::open(directory.path(), &SeededEntropy::new(1)).await.expect("opens");
        let role = RoleName::try_from("speaker").expect("a valid name");
        let transaction = store.writer.begin_with("BEGIN IMMEDIATE").await.expect("writes");
        let to_nobody = watch::Sender::new(store.head().await.expect("reads"));
        let tx =
            Box::new(SqliteTx::begin(transaction, to_nobody, Arc::clone(&store.known), None).await.expect("reads"));
        let batch = Batch::reauthorize(Target::Role(TenantId::system(), role));
        tx.commit_with(batch, Timestamp::from_unix_seconds(1)).await.expect("appends");
        let found = tokio::time::timeout(WAIT, store.head_after(0)).await;
        assert_eq!(found.expect("it was not found").expect("reads").seq, 1);
    }
}

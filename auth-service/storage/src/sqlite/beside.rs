//! What is done to a store from outside the process that serves it: looking, copying, and putting a copy in its place.
//!
//! Guarantees: looking and copying change nothing and may be done while another process serves; a copy is one consistent
//! snapshot, is checked before it has its name, and replaces nothing. Putting one in place takes the directory's lock.
//! Refuses: a copy whose log is not whole, and to drop what was there: it is moved aside.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use auth_domain::{Head, LogFault, Store as _, WholeLog, check_log};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{Semaphore, watch};

use super::known::Known;
use super::lock::DirectoryLock;
use super::standing::Reader;
use super::{DATABASE, MIGRATOR, OpenStoreError, READERS, SqliteStore, WAIT, log, make_directory, pool, refuse_others};
use crate::looks::{LANES, Looks};
use crate::schema::Schema;
use crate::waits::Waits;

/// Why a copy was not made, or not put in place.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// What is to be copied, or the copy, cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenStoreError),
    /// SQLite could not copy.
    #[error("the database cannot be copied")]
    Database(#[from] sqlx::Error),
    /// The copy's log is not whole.
    #[error("the log of {} is not whole", .path.display())]
    Log {
        /// The copy.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: LogFault,
    },
    /// SQLite finds damage.
    #[error("{} is damaged: {finding}", .path.display())]
    Damaged {
        /// The copy.
        path: PathBuf,
        /// What SQLite says first.
        finding: String,
    },
    /// A newer program made it.
    #[error("{} was made by a newer version: it has migrations {unknown:?}, which this one does not know", .path.display())]
    Newer {
        /// The copy.
        path: PathBuf,
        /// Their numbers.
        unknown: Vec<i64>,
    },
    /// There is a store already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// A file cannot be made, moved or read.
    #[error("{} cannot be used", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What was put in place, and what was there before.
#[derive(Debug)]
pub struct Restored {
    /// Where the log ends now.
    pub head: Head,
    /// The store that was there, moved to this file; and where its log ended, if it could be read.
    pub before: Option<(PathBuf, Option<Head>)>,
}

fn unusable(path: &Path) -> impl FnOnce(io::Error) -> CopyError {
    let path = path.to_owned();
    move |source| CopyError::File { path, source }
}

impl SqliteStore {
    /// Opens the store in `directory` to read it, whether or not another process serves it. Writes are refused.
    pub async fn beside(directory: &Path) -> Result<Self, OpenStoreError> {
        Self::only_read(&directory.join(DATABASE)).await
    }

    /// Whether another process serves the directory.
    pub fn is_served(directory: &Path) -> bool {
        directory.join("authority.lock").exists()
            && matches!(DirectoryLock::take(directory), Err(OpenStoreError::InUse { .. }))
    }

    async fn only_read(file: &Path) -> Result<Self, OpenStoreError> {
        refuse_others(file, 0o077, 0o600)?;
        let options = SqliteConnectOptions::new().filename(file).read_only(true).busy_timeout(WAIT);
        let options = options.disable_statement_logging();
        let readers = pool(READERS).connect_with(options.clone()).await?;
        let (writer, lookers) = (pool(1).connect_lazy_with(options.clone()), pool(LANES).connect_lazy_with(options));
        let head = log::head(&mut *readers.acquire().await?).await?;
        let (to_write, to_read) = (Waits::default(), Waits::default());
        let (turn, heads) = (Arc::new(Semaphore::new(1)), watch::Sender::new(head));
        let looks = Looks::start(|| Reader::new(lookers.clone()));
        let known = Arc::new(Known::nothing());
        Ok(Self { writer, turn, readers, lookers, looks, known, to_write, to_read, heads, _lock: None })
    }

    /// Which migrations it has.
    pub async fn schema(&self) -> Result<Schema, sqlx::Error> {
        let applied = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success");
        Ok(Schema::new(applied.fetch_all(&self.readers).await?, &MIGRATOR))
    }

    /// What SQLite finds wrong with the file; none when it is whole.
    pub async fn damage(&self) -> Result<Option<String>, sqlx::Error> {
        let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&self.readers).await?;
        Ok((found != "ok").then_some(found))
    }

    /// Copies the store in `directory`, as it stands now, to the file `to`, which must not be there.
    pub async fn copy(directory: &Path, to: &Path) -> Result<Head, CopyError> {
        if to.exists() {
            return Err(CopyError::Exists(to.to_owned()));
        }
        let from = directory.join(DATABASE);
        refuse_others(&from, 0o077, 0o600)?;
        let unfinished = beside_name(to, ".unfinished");
        let _left_by_an_earlier_one = fs::remove_file(&unfinished);
        // An empty file is taken by `VACUUM INTO`, which would make one that others can read.
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(unusable(&unfinished))?;
        let copied = copy_into(&from, &unfinished).await;
        if copied.is_err() {
            let _nothing_to_keep = fs::remove_file(&unfinished);
        }
        let head = copied?.head;
        settle(&unfinished, to)?;
        Ok(head)
    }

    /// Puts a copy in place of the store in `directory`. One that is there is moved aside if `replace`, and otherwise in
    /// the way.
    pub async fn restore(from: &Path, directory: &Path, replace: bool, aside: &str) -> Result<Restored, CopyError> {
        let copy = judged(from).await?;
        make_directory(directory)?;
        let _lock = DirectoryLock::take(directory)?;
        let place = directory.join(DATABASE);
        let before = match (place.exists(), replace) {
            (false, _) => None,
            (true, false) => return Err(CopyError::Exists(place)),
            (true, true) => Some(put_aside(directory, &place, aside).await?),
        };
        let unfinished = beside_name(&place, ".unfinished");
        let _left_by_an_earlier_one = fs::remove_file(&unfinished);
        let mut to = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .map_err(unusable(&unfinished))?;
        let mut source = File::open(from).map_err(unusable(from))?;
        io::copy(&mut source, &mut to).map_err(unusable(&unfinished))?;
        settle(&unfinished, &place)?;
        Ok(Restored { head: copy.head, before })
    }
}

async fn copy_into(from: &Path, to: &Path) -> Result<WholeLog, CopyError> {
    let options = SqliteConnectOptions::new().filename(from).read_only(true).busy_timeout(WAIT);
    let mut connection = options.disable_statement_logging().connect().await?;
    sqlx::query("VACUUM INTO ?1").bind(to.to_string_lossy().into_owned()).execute(&mut connection).await?;
    connection.close().await?;
    judged(to).await
}

/// A file that holds a whole store.
async fn judged(file: &Path) -> Result<WholeLog, CopyError> {
    let store = SqliteStore::only_read(file).await?;
    let judged = judge(&store, file).await;
    store.close().await;
    judged
}

async fn judge(store: &SqliteStore, file: &Path) -> Result<WholeLog, CopyError> {
    let path = || file.to_owned();
    if let Some(finding) = store.damage().await? {
        return Err(CopyError::Damaged { path: path(), finding });
    }
    let unknown = store.schema().await?.unknown();
    if !unknown.is_empty() {
        return Err(CopyError::Newer { path: path(), unknown });
    }
    check_log(store).await.map_err(|source| CopyError::Log { path: path(), source })
}

/// Moves what is there to a name of its own, with what its write-ahead log still holds.
async fn put_aside(directory: &Path, place: &Path, aside: &str) -> Result<(PathBuf, Option<Head>), CopyError> {
    // What cannot be read is moved all the same: that may be why a copy is put in its place.
    let head = match SqliteStore::only_read(place).await {
        Err(_) => None,
        Ok(store) => {
            let head = store.head().await.ok();
            store.close().await;
            head
        }
    };
    let to = directory.join(format!("{DATABASE}.{aside}"));
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (beside_name(place, suffix), beside_name(&to, suffix));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(&from)(error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok((to, head))
}

/// Gives a finished file its name, durably.
fn settle(unfinished: &Path, to: &Path) -> Result<(), CopyError> {
    File::open(unfinished).and_then(|file| file.sync_all()).map_err(unusable(unfinished))?;
    fs::rename(unfinished, to).map_err(unusable(to))?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unusable(folder))
}

fn beside_name(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use auth_domain::{Batch, Target};
    use portcullis_types::{RoleName, SeededEntropy, TenantId, Timestamp};

    use super::*;

    async fn with_entries(directory: &Path) -> SqliteStore {
        let store = SqliteStore::open(directory, &SeededEntropy::new(1)).await.expect("opens");
        for _ in 0..3 {
            let role = RoleName::try_from("speaker").expect("a valid name");
            let batch = Batch::reauthorize(Target::Role(TenantId::system(), role));
            let tx = store.write().await.expect("writes");
            tx.commit_with(batch, Timestamp::from_unix_seconds(1)).await.expect("appends");
        }
        store
    }

    async fn after(store: &SqliteStore, change: &'static str) -> Result<WholeLog, LogFault> {
        sqlx::query(change).execute(&store.writer).await.expect("a row is changed");
        check_log(store).await
    }

    #[tokio::test]
    async fn a_changed_entry_a_missing_one_and_another_end_are_found() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = with_entries(directory.path()).await;
        assert_eq!(check_log(&store).await.expect("it is whole").head.seq, 3);
        let head = after(&store, "UPDATE revocation_head SET chain = zeroblob(16)").await;
        assert!(matches!(head, Err(LogFault::Head(3))), "{head:?}");
        let changed = after(&store, "UPDATE revocation_log SET payload = x'0a00' WHERE seq = 2").await;
        assert!(matches!(changed, Err(LogFault::Changed(2))), "{changed:?}");
        let missing = after(&store, "DELETE FROM revocation_log WHERE seq = 2").await;
        assert!(matches!(missing, Err(LogFault::Missing(2))), "{missing:?}");
        let to = directory.path().join("copy.db");
        let copied = SqliteStore::copy(directory.path(), &to).await;
        assert!(matches!(copied, Err(CopyError::Log { .. })), "{copied:?}");
        assert!(!to.exists(), "what is not whole gets no name");
    }

    #[tokio::test]
    async fn a_store_that_is_read_beside_another_process_cannot_be_written() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = with_entries(directory.path()).await;
        assert!(SqliteStore::is_served(directory.path()));
        let beside = SqliteStore::beside(directory.path()).await.expect("opens");
        assert_eq!(beside.head().await.expect("reads"), store.head().await.expect("reads"));
        let role = RoleName::try_from("speaker").expect("a valid name");
        let batch = Batch::reauthorize(Target::Role(TenantId::system(), role));
        let written = match beside.write().await {
            Ok(tx) => tx.commit_with(batch, Timestamp::from_unix_seconds(1)).await.is_ok(),
            Err(_) => false,
        };
        assert!(!written);
        drop(store);
        assert!(!SqliteStore::is_served(directory.path()));
    }
}

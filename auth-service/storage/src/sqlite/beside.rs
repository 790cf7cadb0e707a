//! What is done to a store from outside the process that serves it: looking, copying, and putting a copy in its place.
//!
//! Guarantees: looking and copying change nothing and may be done while another process serves; a copy is one consistent
//! snapshot, is checked before it has its name, and replaces nothing. Putting one in place takes the directory's lock; what
//! is judged is the file that will lie there, and nothing that an earlier store left beside it is read with it.
//! Refuses: a copy whose log is not whole, one that is not one file, and to drop what was there: it is moved aside.

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
    /// Part of it is in another file, so that the file alone is not what was copied.
    #[error("{} lies beside the copy and is not empty: it is no finished copy; make one with `backup`", .0.display())]
    InParts(PathBuf),
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
        refuse_others(from, 0o077, 0o600)?;
        refuse_parts(from)?;
        make_directory(directory)?;
        let _lock = DirectoryLock::take(directory)?;
        let place = directory.join(DATABASE);
        if place.exists() && !replace {
            return Err(CopyError::Exists(place));
        }
        let unfinished = beside_name(&place, ".unfinished");
        remove_with_parts(&unfinished);
        let judged = match copy_file(from, &unfinished) {
            Ok(()) => judged(&unfinished, from).await,
            Err(error) => Err(error),
        };
        for part in PARTS {
            let _left_by_who_judged = fs::remove_file(beside_name(&unfinished, part));
        }
        let copy = match judged {
            Ok(copy) => copy,
            Err(error) => {
                remove_with_parts(&unfinished);
                return Err(error);
            }
        };
        let before = put_aside(directory, &place, aside).await?;
        settle(&unfinished, &place)?;
        Ok(Restored { head: copy.head, before })
    }
}

/// What belongs to a database file and has a name of its own.
const PARTS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A log or journal beside a file holds what the file does not have yet, or takes back what it has.
fn refuse_parts(file: &Path) -> Result<(), CopyError> {
    for part in ["-wal", "-journal"] {
        let part = beside_name(file, part);
        if fs::metadata(&part).is_ok_and(|found| found.len() > 0) {
            return Err(CopyError::InParts(part));
        }
    }
    Ok(())
}

fn remove_with_parts(file: &Path) {
    for part in [""].into_iter().chain(PARTS) {
        let _may_not_be_there = fs::remove_file(beside_name(file, part));
    }
}

fn copy_file(from: &Path, to: &Path) -> Result<(), CopyError> {
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(unusable(to))?;
    let mut source = File::open(from).map_err(unusable(from))?;
    io::copy(&mut source, &mut copy).map(drop).map_err(unusable(to))
}

async fn copy_into(from: &Path, to: &Path) -> Result<WholeLog, CopyError> {
    let options = SqliteConnectOptions::new().filename(from).read_only(true).busy_timeout(WAIT);
    let mut connection = options.disable_statement_logging().connect().await?;
    sqlx::query("VACUUM INTO ?1").bind(to.to_string_lossy().into_owned()).execute(&mut connection).await?;
    connection.close().await?;
    judged(to, to).await
}

/// A file that holds a whole store, which came from `named`.
async fn judged(file: &Path, named: &Path) -> Result<WholeLog, CopyError> {
    let store = SqliteStore::only_read(file).await?;
    let judged = judge(&store, named).await;
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

/// Moves what is there to a name of its own, with what its write-ahead log still holds; and a log that is left without its
/// store too, because whoever opens the place would read it into what lies there then. None where there is no store.
async fn put_aside(directory: &Path, place: &Path, aside: &str) -> Result<Option<(PathBuf, Option<Head>)>, CopyError> {
    let is_there = place.exists();
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
    for suffix in [""].into_iter().chain(PARTS) {
        let (from, to) = (beside_name(place, suffix), beside_name(&to, suffix));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(&from)(error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(is_there.then_some((to, head)))
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

    /// The store in a folder as it is while a process serves it, most of it in its write-ahead log; with how many entries.
    async fn in_parts(directory: &Path) -> u64 {
        let served = tempfile::tempdir().expect("a temporary directory");
        let store = with_entries(served.path()).await;
        for part in ["", "-wal"] {
            let (from, to) = (served.path().join(DATABASE), directory.join(DATABASE));
            fs::copy(beside_name(&from, part), beside_name(&to, part)).expect("copies");
        }
        store.head().await.expect("reads").seq
    }

    async fn a_copy(of: &Path) -> PathBuf {
        let to = of.join("copy.db");
        SqliteStore::copy(of, &to).await.expect("it is whole");
        to
    }

    /// Read with a copy in its store's place, it would make entries of both.
    #[tokio::test]
    async fn a_log_that_lost_its_store_is_not_read_with_what_is_put_there() {
        let (source, target) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        drop(with_entries(source.path()).await);
        let copy = a_copy(source.path()).await;
        in_parts(target.path()).await;
        let place = target.path().join(DATABASE);
        fs::remove_file(&place).expect("somebody lost it");
        let restored = SqliteStore::restore(&copy, target.path(), false, "aside").await.expect("nothing is in the way");
        assert!(restored.before.is_none(), "{restored:?}");
        assert!(!beside_name(&place, "-wal").exists());
        let kept = target.path().join(format!("{DATABASE}.aside-wal"));
        assert!(fs::metadata(kept).expect("it is moved aside").len() > 0);
        let store = SqliteStore::open(target.path(), &SeededEntropy::new(1)).await.expect("opens");
        assert_eq!(store.head().await.expect("reads"), restored.head);
    }

    #[tokio::test]
    async fn a_store_in_parts_is_no_copy() {
        let (source, target) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        assert_eq!(in_parts(source.path()).await, 3);
        let from = source.path().join(DATABASE);
        let refused = SqliteStore::restore(&from, target.path(), false, "aside").await;
        assert!(matches!(refused, Err(CopyError::InParts(_))), "{refused:?}");
        assert!(!target.path().join(DATABASE).exists());
        let copy = a_copy(source.path()).await;
        let restored = SqliteStore::restore(&copy, target.path(), false, "aside").await.expect("it is whole");
        assert_eq!(restored.head.seq, 3);
        let mut left: Vec<_> =
            fs::read_dir(target.path()).expect("reads").map(|file| file.expect("reads").file_name()).collect();
        left.sort();
        assert_eq!(left, ["authority.db", "authority.lock"], "nothing of the way there is left");
    }

    /// What was there stays where it was, and nothing is left beside it.
    #[tokio::test]
    async fn what_cannot_be_put_in_place_moves_nothing() {
        let (source, target) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let store = with_entries(source.path()).await;
        let copy = a_copy(source.path()).await;
        store.close().await;
        drop(with_entries(target.path()).await);
        let damaged = SqliteConnectOptions::new().filename(&copy).disable_statement_logging();
        let mut connection = damaged.connect().await.expect("opens");
        sqlx::query("DELETE FROM revocation_log WHERE seq = 2").execute(&mut connection).await.expect("a row goes");
        connection.close().await.expect("closes");
        let refused = SqliteStore::restore(&copy, target.path(), true, "aside").await;
        assert!(matches!(refused, Err(CopyError::Log { .. })), "{refused:?}");
        assert!(
            refused.expect_err("just seen").to_string().contains("copy.db"),
            "it is named as whoever asks knows it"
        );
        assert!(target.path().join(DATABASE).exists());
        for part in ["", "-wal", "-shm", "-journal"] {
            let left = target.path().join(format!("{DATABASE}.unfinished{part}"));
            assert!(!left.exists(), "{}", left.display());
        }
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

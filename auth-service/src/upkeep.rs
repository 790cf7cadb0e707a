//! What an operator does to a store beside serving it: its schema, its first administrator, copies of it.
//!
//! Guarantees that each says what it did and what to do next, and that nothing which is there is overwritten.
//! Refuses to copy a PostgreSQL database: its own tools do that, and know how.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use auth_domain::{Actor, Head, NewKeyError, Store, StoreError, VouchError};
use auth_storage::{CopyError, OpenStoreError, Restored, SqliteStore};
use portcullis_types::{AuditAnchor, Secret};

use crate::config::{Config, StoreKind};
use crate::metrics::Metrics;
use crate::private_file;
use crate::startup::{self, StartError, Surroundings};
use crate::store::{self, StoreStartError};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpkeepError {
    /// The store did not open.
    #[error(transparent)]
    Store(#[from] StoreStartError),
    /// One process writes a SQLite store, and it is another one.
    #[error("{} is in use by another process: stop the server first, and start it again afterwards", .0.display())]
    Served(PathBuf),
    /// The first administrator could not be made.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No other key was made.
    #[error(transparent)]
    NewKey(#[from] NewKeyError),
    /// Seals were not vouched for.
    #[error(transparent)]
    Vouch(#[from] VouchError),
    /// There is a key where the new one would go.
    #[error("{} is there already: keep what it holds elsewhere, or remove it, and try again", .0.display())]
    KeyInTheWay(PathBuf),
    /// The copy was not made, or not put in place.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The copy is in its place, and gateways may not notice.
    #[error("the copy is in its place, but no entry of the log says so: restore it again")]
    JudgeAgain(#[source] StoreError),
    /// Gateways may not notice what was restored.
    #[error("no entry of the log says that the store was restored: try again")]
    NotTold(#[source] StoreError),
    /// There is a store where the copy would go.
    #[error(
        "{} is there already; `--replace` moves it aside, and what was committed after the backup is then lost", .0.display()
    )]
    InTheWay(PathBuf),
    /// The store is a database server's.
    #[error(
        "the store is a PostgreSQL database: copy it with pg_basebackup or pg_dump, and put it back with pg_restore (docs/operations.md)"
    )]
    Postgres,
}

/// Brings the schema up to date, making the store if there is none.
pub(crate) async fn migrate(config: &Config, around: &Surroundings) -> Result<String, UpkeepError> {
    let store = store::open(config, store::from_environment(), &*around.entropy).await?;
    store.close().await;
    Ok("the schema is up to date".to_owned())
}

/// Makes the first administrator, unless there is one.
pub(crate) async fn bootstrap(config: &Config, around: &Surroundings) -> Result<String, UpkeepError> {
    let (path, is_first) = startup::first_start(config, around).await?;
    let path = path.display();
    Ok(if is_first {
        format!("the administrator's key is in {path}: keep it where secrets are kept, and remove the file")
    } else {
        "there is an administrator already; nothing was changed (whoever lost its keys: `bootstrap --new-key`)"
            .to_owned()
    })
}

/// Makes another key for the administrator, for whoever has lost all of them. On PostgreSQL also while the store is served.
pub(crate) async fn new_key(config: &Config, around: &Surroundings) -> Result<String, UpkeepError> {
    let path = startup::admin_key_file(&config.data_dir);
    if path.exists() {
        return Err(UpkeepError::KeyInTheWay(path));
    }
    let store = open(config, around).await?;
    let mut is_kept = false;
    let keep = |key: &Secret| {
        private_file::create(&path, key.expose_bytes())?;
        is_kept = true;
        Ok(())
    };
    let made = auth_domain::new_administrator_key(&*store, &*around.clock, &*around.entropy, keep).await;
    store.close().await;
    match made {
        Ok(id) => Ok(format!(
            "another key of the administrator, {id}, is in {}: keep it where secrets are kept, and remove the file\nrevoke \
             the keys that are lost: `portcullis credential list --tenant system --name admin` shows them",
            path.display()
        )),
        Err(error) => {
            // It opens nothing and would be in the way; unless nobody knows whether it was committed.
            let is_unknown = matches!(error, NewKeyError::Store(StoreError::UnknownOutcome(_)));
            if is_kept && !is_unknown {
                let _ = std::fs::remove_file(&path);
            }
            Err(error.into())
        }
    }
}

/// Copies the store, whether or not it is served.
pub(crate) async fn backup(config: &Config, to: &Path) -> Result<String, UpkeepError> {
    refuse_postgres(config)?;
    let head = SqliteStore::copy(&config.data_dir, to).await?;
    Ok(format!(
        "{} holds the store up to revision {}, and was checked\nkeep the key-encryption keys too, elsewhere: without them \
         its signing keys do not open",
        to.display(),
        head.revision()
    ))
}

/// Puts a copy in the place of the store.
pub(crate) async fn restore(
    config: &Config,
    from: &Path,
    replace: bool,
    around: &Surroundings,
) -> Result<String, UpkeepError> {
    refuse_postgres(config)?;
    let aside = format!("replaced-{}", around.clock.now().as_unix_seconds());
    let restored = match SqliteStore::restore(from, &config.data_dir, replace, &aside).await {
        Ok(restored) => restored,
        Err(CopyError::Exists(path)) => return Err(UpkeepError::InTheWay(path)),
        Err(error) => return Err(error.into()),
    };
    // Where no entry is lost, a gateway's cursor still fits, and it would not notice what else is.
    let store = store::open(config, store::from_environment(), &*around.entropy).await?;
    let judged_again = auth_domain::reauthorize_everybody(&*store, around.clock.now()).await;
    store.close().await;
    judged_again.map_err(UpkeepError::JudgeAgain)?;
    Ok(told(&restored))
}

/// Has every gateway judge its sockets again, after other tools than this one put a copy in the place of the store.
pub(crate) async fn restored(config: &Config, around: &Surroundings) -> Result<String, UpkeepError> {
    let store = open(config, around).await?;
    let judged_again = auth_domain::reauthorize_everybody(&*store, around.clock.now()).await;
    store.close().await;
    Ok(match judged_again.map_err(UpkeepError::NotTold)? {
        Some(committed) => format!("at revision {} every gateway judges every socket again", committed.revision),
        None => "there is no tenant, and so nobody to judge again".to_owned(),
    })
}

/// Has the key-encryption key vouch for seals that have no mark, up to one that somebody noted.
pub(crate) async fn vouch(config: &Config, up_to: AuditAnchor, around: &Surroundings) -> Result<String, UpkeepError> {
    let store = open(config, around).await?;
    let authority = startup::open_authority(config, around, Arc::clone(&store), Arc::new(Metrics::new()));
    // Both are much on one stack.
    let vouched: Result<u64, UpkeepError> = match Box::pin(authority).await {
        Ok(authority) => Box::pin(authority.vouch_for_seals(&Actor::authority(), up_to)).await.map_err(Into::into),
        Err(error) => Err(error.into()),
    };
    store.close().await;
    let count = vouched?;
    Ok(format!("the trail is whole up to seal {}; seals that had no mark and have one now: {count}", up_to.number))
}

/// The store, to change it. A server of a SQLite store rests on nobody else doing that: it keeps what it has read.
async fn open(config: &Config, around: &Surroundings) -> Result<Arc<dyn Store>, UpkeepError> {
    match store::open(config, store::from_environment(), &*around.entropy).await {
        Err(StoreStartError::Sqlite(OpenStoreError::InUse { path })) => Err(UpkeepError::Served(path)),
        opened => Ok(opened?),
    }
}

fn refuse_postgres(config: &Config) -> Result<(), UpkeepError> {
    match config.store.kind {
        StoreKind::Sqlite => Ok(()),
        StoreKind::Postgres => Err(UpkeepError::Postgres),
    }
}

fn told(restored: &Restored) -> String {
    let mut lines = vec![format!("restored up to revision {}", restored.head.revision())];
    if let Some((path, before)) = &restored.before {
        lines.push(format!("what was there is now {}", path.display()));
        lines.push(lost(restored.head, *before));
    }
    lines.push(
        "this is a fork of the log: gateways judge every socket again, and what was issued after the backup dies"
            .to_owned(),
    );
    lines.join("\n")
}

fn lost(now: Head, before: Option<Head>) -> String {
    match before.map(|before| before.seq.saturating_sub(now.seq)) {
        Some(0) => "no entry of its log is lost".to_owned(),
        Some(count) => format!("{count} entries of its log are lost: revoke again what they revoked"),
        None => "it cannot be read: revoke again what was revoked since the backup".to_owned(),
    }
}

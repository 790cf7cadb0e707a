//! Opens the store that the configuration names.
//!
//! Guarantees that the address of a database, which holds a password, is read from a private file or the environment,
//! and appears in no configuration, log or error.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use auth_domain::Store;
use auth_storage::{DatabaseUrl, InvalidDatabaseUrl, OpenPostgresError, OpenStoreError, PostgresStore, SqliteStore};
use portcullis_types::{Entropy, Secret};

use crate::config::{Config, StoreKind};
use crate::private_file;

/// The variable that holds the address of the database.
pub(crate) const VARIABLE: &str = "PORTCULLIS_AUTH_DATABASE_URL";

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreStartError {
    /// The files in the data directory did not open.
    #[error("the store in the data directory did not open")]
    Sqlite(#[from] OpenStoreError),
    /// The database did not open.
    #[error("the PostgreSQL database did not open")]
    Postgres(#[from] OpenPostgresError),
    /// Nobody said where the database is.
    #[error(
        "`store.kind = \"postgres\"` needs the address of the database: in the file that `store.url_file` names, or in {VARIABLE}"
    )]
    NoUrl,
    /// Both a file and the environment did.
    #[error("the address of the database is given by `store.url_file` and by {VARIABLE}: take one of them away")]
    TwoUrls,
    /// What they said is no address.
    #[error("{0}")]
    Url(#[from] InvalidDatabaseUrl),
    /// A file or directory cannot be used.
    #[error("{} cannot be used", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Opens it.
pub(crate) async fn open(
    config: &Config,
    variable: Option<Secret>,
    entropy: &dyn Entropy,
) -> Result<Arc<dyn Store>, StoreStartError> {
    match config.store.kind {
        StoreKind::Sqlite => Ok(Arc::new(SqliteStore::open(&config.data_dir, entropy).await?)),
        StoreKind::Postgres => {
            make_directory(&config.data_dir)?;
            let url = database(config, variable)?;
            Ok(Arc::new(PostgresStore::open(&url, &config.store.postgres(), entropy).await?))
        }
    }
}

/// Where the database is.
pub(crate) fn database(config: &Config, variable: Option<Secret>) -> Result<DatabaseUrl, StoreStartError> {
    let text = address(config.store.url_file.as_deref(), variable)?;
    Ok(DatabaseUrl::parse(&text, config.store.allow_plaintext)?)
}

/// What the process was started with.
pub(crate) fn from_environment() -> Option<Secret> {
    std::env::var_os(VARIABLE).filter(|text| !text.is_empty()).map(|text| {
        use std::os::unix::ffi::OsStringExt as _;
        Secret::new(text.into_vec())
    })
}

fn address(file: Option<&Path>, variable: Option<Secret>) -> Result<Secret, StoreStartError> {
    match (file, variable) {
        (Some(_), Some(_)) => Err(StoreStartError::TwoUrls),
        (None, None) => Err(StoreStartError::NoUrl),
        (None, Some(text)) => Ok(text),
        (Some(path), None) => {
            let unusable = |source| StoreStartError::File { path: path.to_owned(), source };
            let content = private_file::read(path).map_err(unusable)?;
            content.ok_or_else(|| unusable(std::io::ErrorKind::NotFound.into()))
        }
    }
}

/// Where this replica keeps the first administrator's key.
fn make_directory(path: &Path) -> Result<(), StoreStartError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StoreStartError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_database_comes_from_one_place() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("url");
        let said = || Some(Secret::from("postgres://localhost/a"));
        assert!(matches!(address(None, None), Err(StoreStartError::NoUrl)));
        assert!(matches!(address(Some(&file), said()), Err(StoreStartError::TwoUrls)));
        assert!(matches!(address(Some(&file), None), Err(StoreStartError::File { .. })));
        private_file::write(&file, b"postgres://localhost/b").expect("it can be written");
        assert_eq!(address(Some(&file), None).ok(), Some(Secret::from("postgres://localhost/b")));
        assert_eq!(address(None, said()).ok(), said());
    }

    #[tokio::test]
    async fn an_address_that_is_refused_is_not_repeated() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let mut config = Config { data_dir: folder.path().join("data"), ..Config::default() };
        config.store.kind = StoreKind::Postgres;
        for url in ["postgres://portcullis:hunter2@db.example/a", "postgres://u:hunter2@127.0.0.1:1/a"] {
            let entropy = portcullis_types::SeededEntropy::new(1);
            let error = open(&config, Some(Secret::from(url)), &entropy).await.expect_err("it does not open");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_database_that_nobody_serves_is_told_with_its_cause() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let mut config = Config { data_dir: folder.path().join("data"), ..Config::default() };
        config.store = crate::config::Store { kind: StoreKind::Postgres, patience_ms: 200, ..config.store };
        let url = Some(Secret::from("postgres://u:hunter2@127.0.0.1:1/a"));
        let error = open(&config, url, &portcullis_types::SeededEntropy::new(1)).await.expect_err("it does not open");
        let cause = crate::tailer::SourceText::source_text(&error);
        assert!(cause.contains("Connection refused") && !cause.contains("hunter2"), "{cause}");
    }
}

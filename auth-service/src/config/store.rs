//! `[store]`: where rows and the log are kept.

use std::path::PathBuf;
use std::time::Duration;

use auth_storage::PostgresSettings;
use serde::Deserialize;

/// `[store]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Store {
    /// What keeps them.
    pub(crate) kind: StoreKind,
    /// The file that holds the address of the PostgreSQL database, which only its owner may read; absent: the
    /// environment's. It is in no configuration, because it holds a password.
    pub(crate) url_file: Option<PathBuf>,
    /// That the database may be on another machine and does not prove who it is, or is spoken to in the clear.
    pub(crate) allow_plaintext: bool,
    /// Connections that read, at most.
    pub(crate) readers: u32,
    /// Connections that write, at most; two of them are kept for what is urgent.
    pub(crate) writers: u32,
    /// How long to wait for a connection, and for the answer to a statement.
    pub(crate) patience_ms: u64,
    /// How long to wait for a commit, which includes its replication, before its outcome is unknown.
    pub(crate) commit_patience_ms: u64,
}

/// What keeps rows and log.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreKind {
    /// One file in the data directory, and one process.
    Sqlite,
    /// A database that other replicas of the authority use too.
    Postgres,
}

impl Default for Store {
    fn default() -> Self {
        let PostgresSettings { readers, writers, patience, commit_patience } = PostgresSettings::default();
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self {
            kind: StoreKind::Sqlite,
            url_file: None,
            allow_plaintext: false,
            readers,
            writers,
            patience_ms: millis(patience),
            commit_patience_ms: millis(commit_patience),
        }
    }
}

impl Store {
    /// What the PostgreSQL store needs.
    pub(crate) const fn postgres(&self) -> PostgresSettings {
        PostgresSettings {
            readers: self.readers,
            writers: self.writers,
            patience: Duration::from_millis(self.patience_ms),
            commit_patience: Duration::from_millis(self.commit_patience_ms),
        }
    }

    pub(super) fn rules(&self) -> [(bool, &'static str, &'static str); 5] {
        let postgres = self.kind == StoreKind::Postgres;
        [
            (postgres || self.url_file.is_none(), "store.url_file", "needs `store.kind = \"postgres\"`"),
            ((1..=500).contains(&self.readers), "store.readers", "must be 1 to 500"),
            ((3..=500).contains(&self.writers), "store.writers", "must be 3 to 500: two are kept for what is urgent"),
            ((100..=60_000).contains(&self.patience_ms), "store.patience_ms", "must be 100 to 60000"),
            ((100..=60_000).contains(&self.commit_patience_ms), "store.commit_patience_ms", "must be 100 to 60000"),
        ]
    }
}

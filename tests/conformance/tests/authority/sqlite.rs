//! The authority's rules on SQLite.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use auth_domain::Store;
use auth_storage::SqliteStore;
use portcullis_types::{Entropy, SessionId};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;

use self::rules::data::Data;

#[path = "rules.rs"]
mod rules;

struct Sqlite(TempDir);

/// An empty directory.
pub(crate) fn data() -> Box<dyn Data> {
    Box::new(empty())
}

fn empty() -> Sqlite {
    Sqlite(tempfile::tempdir().expect("a temporary directory"))
}

impl Sqlite {
    fn file(&self) -> PathBuf {
        self.0.path().join("authority.db")
    }

    async fn raw(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.file());
        SqliteConnection::connect_with(&options).await.expect("opens")
    }
}

#[async_trait]
impl Data for Sqlite {
    async fn open(&self, entropy: &dyn Entropy) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.0.path(), entropy).await.expect("opens"))
    }

    async fn copy(&self) -> Box<dyn Data> {
        let copy = empty();
        std::fs::copy(self.file(), copy.file()).expect("copies");
        Box::new(copy)
    }

    async fn on_disk(&self) -> Vec<u8> {
        std::fs::read(self.file()).expect("reads")
    }

    async fn tamper(&self, sql: &'static str) {
        let done = sqlx::raw_sql(sql).execute(&mut self.raw().await).await.expect("it runs");
        assert!(done.rows_affected() > 0, "{sql} changed nothing");
    }

    async fn damage(&self, session: SessionId) {
        let id: String = session.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let sql = format!(
            "CREATE TRIGGER damage BEFORE UPDATE OF revoked_seq ON sessions WHEN NEW.id = x'{id}' \
             BEGIN SELECT RAISE(IGNORE); END"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut self.raw().await).await.expect("it is made");
    }
}

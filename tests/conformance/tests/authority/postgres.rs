//! The authority's rules on PostgreSQL, in a database for each world.

use std::sync::Arc;

use async_trait::async_trait;
use auth_domain::Store;
use auth_storage::{DatabaseUrl, PostgresSettings, PostgresStore};
use portcullis_types::{Entropy, Secret, SessionId};
use test_postgres::Database;

use self::rules::data::Data;

#[path = "rules.rs"]
mod rules;

struct Postgres(Database);

/// An empty database.
pub(crate) fn data() -> Box<dyn Data> {
    Box::new(Postgres(Database::empty()))
}

#[async_trait]
impl Data for Postgres {
    async fn open(&self, entropy: &dyn Entropy) -> Arc<dyn Store> {
        let url = DatabaseUrl::parse(&Secret::from(&*self.0.address()), false).expect("a valid address");
        Arc::new(PostgresStore::open(&url, &PostgresSettings::default(), entropy).await.expect("opens"))
    }

    async fn copy(&self) -> Box<dyn Data> {
        Box::new(Postgres(self.0.copy()))
    }

    async fn on_disk(&self) -> Vec<u8> {
        self.0.on_disk()
    }

    async fn tamper(&self, sql: &'static str) {
        let done = self.0.query(&format!("WITH done AS ({sql} RETURNING 1) SELECT count(*) FROM done"));
        assert_ne!(done, "0", "{sql} changed nothing");
    }

    async fn damage(&self, session: SessionId) {
        let id: String = session.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.query("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'");
        self.0.query(&format!(
            "CREATE TRIGGER damage BEFORE UPDATE OF revoked_seq ON sessions FOR EACH ROW WHEN (NEW.id = '\\x{id}') \
             EXECUTE FUNCTION nothing()"
        ));
    }
}

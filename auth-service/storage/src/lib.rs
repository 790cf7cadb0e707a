//! Stores behind the authority's port: SQLite and PostgreSQL.
//!
//! Owns: SQL, files, connections, and the translation between rows and the domain's types.
//! Refuses: any rule. What a store must do is said by [`auth_domain::Store`] and tested once for all of them.

mod audit_removal;
mod columns;
mod login_rows;
mod looks;
mod postgres;
mod retention;
mod rows;
mod schema;
mod sqlite;
mod tenant_deletion;
mod waits;
mod words;

pub use postgres::{DatabaseUrl, InvalidDatabaseUrl, OpenPostgresError, PostgresSettings, PostgresStore, Server};
pub use schema::Schema;
pub use sqlite::{CopyError, OpenStoreError, Restored, SqliteStore};

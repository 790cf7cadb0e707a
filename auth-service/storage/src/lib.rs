//! Stores behind the authority's port: SQLite.
//!
//! Owns: SQL, files, and the translation between rows and the domain's types.
//! Refuses: any rule. What a store must do is said by [`auth_domain::Store`] and tested once for all of them.

mod sqlite;

pub use sqlite::{OpenStoreError, SqliteStore};

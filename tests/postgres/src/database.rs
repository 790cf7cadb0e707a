//! A database of the one server of this test program, for one test.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Options, Server};

/// The server is started when the first database is asked for.
static SERVER: OnceLock<Server> = OnceLock::new();
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A database; it is removed when this is dropped, whoever still uses it.
#[derive(Debug)]
pub struct Database {
    name: String,
}

impl Database {
    /// A new empty one.
    ///
    /// # Panics
    /// When there is no PostgreSQL, or it does not start.
    pub fn empty() -> Self {
        let name = next();
        server().create_database(&name);
        Self { name }
    }

    /// A copy of it. Whoever is connected to it is sent away.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn copy(&self) -> Self {
        let name = next();
        self.disconnect();
        server().query("postgres", &format!("CREATE DATABASE {name} TEMPLATE {}", self.name));
        Self { name }
    }

    /// The address.
    pub fn address(&self) -> String {
        server().address(&self.name)
    }

    /// What a statement answers, as text.
    ///
    /// # Panics
    /// When it fails.
    pub fn query(&self, sql: &str) -> String {
        server().query(&self.name, sql)
    }

    /// The files of its tables and indexes, byte for byte. Whoever is connected to it is sent away.
    ///
    /// # Panics
    /// When they cannot be read.
    pub fn on_disk(&self) -> Vec<u8> {
        self.disconnect();
        server().query("postgres", "CHECKPOINT");
        let sql = "WITH ours AS (SELECT oid, reltoastrelid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
                   SELECT pg_relation_filepath(oid) FROM ours WHERE pg_relation_filepath(oid) IS NOT NULL
                   UNION ALL SELECT pg_relation_filepath(reltoastrelid) FROM ours WHERE reltoastrelid <> 0";
        let files = self.query(sql);
        files.lines().flat_map(|file| std::fs::read(server().data().join(file)).expect("it is read")).collect()
    }

    /// Until the last one is gone.
    fn disconnect(&self) {
        let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname =";
        while server().query("postgres", &format!("{others} '{}'", self.name)) != "0" {}
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Where it fails, the database goes with the server.
        let _ = server().psql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name)).output();
    }
}

/// The address of a new empty database, which stays as long as the test program runs.
///
/// # Panics
/// When there is no PostgreSQL, or it does not start.
pub fn database() -> String {
    server().create_database(&next())
}

fn server() -> &'static Server {
    SERVER.get_or_init(|| Server::start(Options::default()))
}

fn next() -> String {
    format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

//! What several authorities share: a PostgreSQL database, and the key that encrypts what is secret in it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use portcullis_types::{Entropy, SystemEntropy};
use tempfile::TempDir;

use crate::remember;
use crate::secrets::remember_database;

/// See the module.
#[derive(Debug)]
pub struct Database {
    folder: TempDir,
}

impl Database {
    /// An empty one, on the server of this test program.
    pub fn create() -> Self {
        Self::at(&test_postgres::database())
    }

    /// One that is there, with a new key.
    ///
    /// # Panics
    /// When no file can be written.
    pub fn at(url: &str) -> Self {
        let kek: [u8; 32] = (&SystemEntropy as &dyn Entropy).array();
        let text: String = kek.iter().map(|byte| format!("{byte:02x}")).collect();
        remember("a key-encryption key", kek);
        remember("a key-encryption key", &text);
        Self::with(url, &text)
    }

    /// The same by another address, with the same key.
    ///
    /// # Panics
    /// When its files cannot be read or written.
    pub fn also_at(&self, url: &str) -> Self {
        Self::with(url, &std::fs::read_to_string(self.file("kek")).expect("it was written"))
    }

    fn with(url: &str, kek: &str) -> Self {
        let database = Self { folder: TempDir::with_prefix("portcullis-db-").expect("a temporary folder") };
        remember_database(url);
        write_private(database.file("url"), url);
        write_private(database.file("kek"), kek);
        database
    }

    /// The configuration of an authority on it, as TOML tables.
    pub fn toml(&self) -> String {
        self.toml_with("")
    }

    /// The same with more keys of `[store]`.
    pub fn toml_with(&self, store: &str) -> String {
        format!(
            "[store]\nkind = \"postgres\"\nurl_file = {:?}\n{store}\n[keys]\nkek_file = {:?}\n",
            self.file("url"),
            self.file("kek")
        )
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn write_private(file: PathBuf, content: &str) {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).expect("a new file");
    file.write_all(content.as_bytes()).expect("it can be written");
}

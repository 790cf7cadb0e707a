//! The suite on SQLite, and what only SQLite must do.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use auth_domain::Store;
use auth_storage::{OpenStoreError, SqliteStore};
use portcullis_types::SeededEntropy;
use storage_conformance::Subject;
use tempfile::TempDir;
use tokio::sync::Mutex;

struct Sqlite {
    directory: TempDir,
    open: Mutex<Option<Arc<SqliteStore>>>,
}

fn sqlite() -> Sqlite {
    Sqlite { directory: tempfile::tempdir().expect("a temporary directory"), open: Mutex::new(None) }
}

#[async_trait]
impl Subject for Sqlite {
    async fn open(&self, draw: u64) -> Arc<dyn Store> {
        let store = SqliteStore::open(self.directory.path(), &SeededEntropy::new(draw)).await.expect("opens");
        let store = Arc::new(store);
        *self.open.lock().await = Some(Arc::clone(&store));
        store
    }

    async fn close(&self) {
        self.open.lock().await.take().expect("something is open").close().await;
    }
}

storage_conformance::suite!(sqlite);

#[tokio::test]
async fn a_second_process_in_one_directory_is_refused() {
    let subject = sqlite();
    let _first = subject.open(1).await;
    let second = SqliteStore::open(subject.directory.path(), &SeededEntropy::new(1)).await;
    let error = second.expect_err("the directory is in use");
    assert!(matches!(error, OpenStoreError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("authority.lock is in use by another process"), "{error}");
}

#[tokio::test]
async fn nobody_else_on_the_machine_reads_the_files() {
    let subject = sqlite();
    let directory = subject.directory.path().join("made");
    let store = SqliteStore::open(&directory, &SeededEntropy::new(1)).await.expect("opens");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let files: Vec<_> = std::fs::read_dir(&directory).expect("reads").map(|file| file.expect("reads").path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    store.close().await;
}

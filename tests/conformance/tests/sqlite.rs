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

storage_conformance::suite!(sqlite, an_urgent_writer_waits_for_at_most_two);

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

#[tokio::test]
async fn what_others_may_use_is_refused() {
    let subject = sqlite();
    let directory = subject.directory.path().join("made");
    SqliteStore::open(&directory, &SeededEntropy::new(1)).await.expect("opens").close().await;
    let allow = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    let refused = async || {
        let error = SqliteStore::open(&directory, &SeededEntropy::new(1)).await.expect_err("others may use it");
        assert!(matches!(error, OpenStoreError::NotPrivate { .. }), "{error:?}");
        error.to_string()
    };
    allow(&directory, 0o770);
    assert!(refused().await.ends_with("set its mode to 700"));
    allow(&directory, 0o755);
    let file = directory.join("authority.db");
    allow(&file, 0o604);
    assert!(refused().await.ends_with("set its mode to 600"));
    allow(&file, 0o600);
    SqliteStore::open(&directory, &SeededEntropy::new(1)).await.expect("opens again").close().await;
}

//! The suite on PostgreSQL, and what only PostgreSQL must do.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth_domain::Store;
use auth_storage::{DatabaseUrl, PostgresSettings, PostgresStore};
use portcullis_types::{Secret, SeededEntropy};
use storage_conformance::{Seed, Subject};
use tokio::sync::Mutex;

struct Postgres {
    url: DatabaseUrl,
    open: Mutex<Option<Arc<PostgresStore>>>,
}

fn postgres() -> Postgres {
    let url = DatabaseUrl::parse(&Secret::from(&*test_postgres::database()), false).expect("a valid address");
    Postgres { url, open: Mutex::new(None) }
}

#[async_trait]
impl Subject for Postgres {
    async fn open(&self, draw: u64) -> Arc<dyn Store> {
        let settings = PostgresSettings::default();
        let store = PostgresStore::open(&self.url, &settings, &SeededEntropy::new(draw)).await.expect("opens");
        let store = Arc::new(store);
        *self.open.lock().await = Some(Arc::clone(&store));
        store
    }

    async fn close(&self) {
        self.open.lock().await.take().expect("something is open").close().await;
    }
}

storage_conformance::suite!(postgres);

/// Whoever revokes is not behind a queue of logins, though each holds the connection that it writes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_urgent_writer_needs_no_turn_of_the_others() {
    let subject = postgres();
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let turns = PostgresSettings::default().writers - 2;
    let mut running = Vec::new();
    for _ in 0..turns {
        running.push(store.write().await.expect("writes"));
    }
    let mut next = Box::pin(store.write());
    assert!(tokio::time::timeout(Duration::ZERO, &mut next).await.is_err(), "there are more turns than that");
    let urgent = store.write_urgently().await.expect("writes");
    assert_eq!(urgent.commit_with(seed.kill(), seed.now()).await.expect("appends").revision.seq, 1);
    drop(running);
    next.await.expect("its turn has come");
}

//! A process that is killed in mid-burst loses nothing that it acknowledged (I4, short of a power cut).
//!
//! Nor does one that is killed while it forgets old entries leave a log with a hole.
//!
//! It runs itself as the process to be killed, so it has no test harness: without arguments it is the test, with
//! a directory it is the writer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use auth_domain::Store;
use auth_storage::SqliteStore;
use portcullis_types::{Revision, SeededEntropy, TenantId};
use storage_conformance::Seed;

const ACKNOWLEDGED: usize = 200;

#[tokio::main]
async fn main() {
    match std::env::args().nth(1) {
        Some(directory) if Path::new(&directory).is_dir() => match std::env::args().nth(2) {
            Some(_) => compact(Path::new(&directory)).await,
            None => write(Path::new(&directory)).await,
        },
        Some(_) | None => {
            a_killed_process_loses_nothing_that_it_acknowledged().await;
            a_process_that_is_killed_while_it_compacts_leaves_a_whole_log().await;
        }
    }
}

async fn open(directory: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(directory, &SeededEntropy::new(1)).await.expect("opens"))
}

/// Writes until it is killed, and says what it has committed.
async fn write(directory: &Path) {
    let store = open(directory).await;
    let seed = Arc::new(Seed::plant(&store).await);
    let writers = (0..8).map(|_| {
        let (store, seed) = (Arc::clone(&store), Arc::clone(&seed));
        tokio::spawn(async move {
            loop {
                let tx = store.write().await.expect("writes");
                let committed = tx.commit_with(seed.kill(), seed.now()).await.expect("appends");
                writeln!(std::io::stdout(), "{}", committed.revision).expect("somebody reads");
            }
        })
    });
    futures_util::future::join_all(writers).await;
}

/// Writes and forgets what it wrote until it is killed, and says up to where it has forgotten.
async fn compact(directory: &Path) {
    let store = open(directory).await;
    let seed = Seed::plant(&store).await;
    let mut horizon = 0;
    loop {
        for _ in 0..4 {
            store.write().await.expect("writes").commit_with(seed.kill(), seed.now()).await.expect("appends");
        }
        let mut tx = store.write().await.expect("writes");
        assert!(tx.move_horizon(horizon, horizon + 3).await.expect("writes"));
        tx.commit().await.expect("commits");
        horizon += 3;
        writeln!(std::io::stdout(), "{horizon}").expect("somebody reads");
    }
}

async fn a_process_that_is_killed_while_it_compacts_leaves_a_whole_log() {
    for rounds in 20..26 {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let myself = std::env::current_exe().expect("a test has a file");
        let mut compacting = Command::new(myself);
        let compacting = compacting.arg(directory.path()).arg("compact").stdout(Stdio::piped());
        let mut compacting = compacting.spawn().expect("starts");
        let lines = BufReader::new(compacting.stdout.take().expect("piped")).lines();
        let said: Vec<_> = lines.take(rounds).map(|line| line.expect("text")).collect();
        compacting.kill().expect("is killed");
        compacting.wait().expect("ends");
        let said: u64 = said.last().expect("it said something").parse().expect("a number");
        let store = open(directory.path()).await;
        let whole = auth_domain::check_log(&*store).await.expect("what is kept is whole");
        let first = store.log_after(0, 1).await.expect("reads")[0].seq;
        assert!(whole.horizon >= said && first == whole.horizon + 1, "{first} after {}", whole.horizon);
    }
}

async fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let myself = std::env::current_exe().expect("a test has a file");
    let mut writer = Command::new(myself).arg(directory.path()).stdout(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(writer.stdout.take().expect("piped")).lines();
    let mut acknowledged: Vec<String> = lines.by_ref().take(ACKNOWLEDGED).map(|line| line.expect("text")).collect();
    writer.kill().expect("is killed");
    writer.wait().expect("ends");
    // What it said before it died counts too; the last line may be torn.
    acknowledged.extend(lines.map_while(Result::ok).filter(|line| line.parse::<Revision>().is_ok()));

    let store = open(directory.path()).await;
    let entries = store.log_after(0, u32::MAX).await.expect("reads");
    let head = store.head().await.expect("reads");
    assert_eq!(entries.len() as u64, head.seq);
    for (entry, seq) in entries.iter().zip(1..) {
        assert_eq!((entry.seq, entry.chain), (seq, entry.previous.extended_by(&entry.payload)));
    }
    assert!(acknowledged.len() >= ACKNOWLEDGED);
    for said in &acknowledged {
        let revision: Revision = said.parse().expect("a revision");
        assert_eq!(store.revision_at(revision.seq).await.expect("reads"), Some(revision), "{said} was lost");
    }
    let tenant = TenantId::try_from("acme").expect("valid");
    assert!(store.read().await.expect("reads").tenant(&tenant).await.expect("reads").is_some());
    println!("{} acknowledged entries of {} are there", acknowledged.len(), head.seq);
}

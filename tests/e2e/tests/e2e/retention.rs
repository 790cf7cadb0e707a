//! What the store does not keep, and what gateways, people and receipts are told about it.

use std::path::Path;
use std::time::Duration;

use portcullis_proto::auth::v1;
use rustix::process::Signal;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use test_harness::{Cli, Database, Login, Site, Socket, eventually};

use crate::receipts::command;

/// Looks often, and leases that end soon.
const OFTEN: &str = "[retention]\nevery_ms = 100\n[guarantee]\nstandard_ms = 2000\nprobe_interval_ms = 200\n";
/// Entries are as old as their writer's clock said.
const AGE: &str = "UPDATE revocation_log SET committed_at = committed_at - 26 * 3600 * 1000000::bigint";

async fn change_file(folder: &Path, statements: &[&'static str]) {
    let options = SqliteConnectOptions::new().filename(folder.join("data/authority.db"));
    let mut connection = options.connect().await.expect("the file opens");
    for &sql in statements {
        sqlx::query(sql).execute(&mut connection).await.expect("the statement runs");
    }
    connection.close().await.expect("closes");
}

async fn age_file(folder: &Path) {
    change_file(folder, &["UPDATE revocation_log SET committed_at = committed_at - 26 * 3600 * 1000000"]).await;
}

async fn logged_in(site: &Site, name: &str) -> (Login, Socket) {
    let login = site.log_in(name).await;
    let mut socket = site.gateways[0].open().await;
    socket.connect(Some(&login.access_token)).await;
    (login, socket)
}

/// Until the authority has forgotten an entry.
async fn forgotten(site: &Site, seq: u64) {
    eventually("the entry to be forgotten", async || {
        let horizon = site.authority.metric("portcullis_auth_log_horizon_seq", "").await;
        (horizon >= seq as f64).then_some(())
    })
    .await;
}

/// Revokes a session, and then others, so that its entry is not the newest.
async fn revoke_among_others(site: &Site, login: &Login) -> v1::Revision {
    let revision = site.backend.revoke_session("acme", &login.session).await.revision.expect("a revision");
    for _ in 0..2 {
        let other = site.log_in("bob").await;
        site.backend.revoke_session("acme", &other.session).await;
    }
    revision
}

/// The gateway stands still, cut off, while the entry of a revocation comes and is forgotten.
async fn nobody_thaws_after_a_compaction(site: &Site, age: impl AsyncFn()) {
    let (alice, mut of_alice) = logged_in(site, "alice").await;
    let (_, mut of_bob) = logged_in(site, "bob").await;
    of_bob.subscribe("room:lobby").await;
    site.link.cut();
    site.gateways[0].process.signal(Signal::STOP);
    let revision = revoke_among_others(site, &alice).await;
    let publish = json!({ "id": 77, "publish": { "channel": "room:lobby", "data": "from the grave" } });
    of_alice.send_text(&publish.to_string()).await;
    age().await;
    forgotten(site, revision.seq).await;
    // The bound passes while the process stands still and the frame waits in its socket.
    tokio::time::sleep(Duration::from_secs(2)).await;
    site.link.restore();
    site.gateways[0].process.signal(Signal::CONT);

    assert_eq!(of_alice.closed().await.code, 4511, "she never thaws");
    of_bob.publish("room:lobby", json!("alive")).await.expect("an answer");
    assert_eq!(of_bob.publication("room:lobby").await["data"], json!("alive"), "nothing of hers came before");
    assert!(site.gateways[0].metric("portcullis_gateway_resyncs", "horizon").await >= 1.0);
    assert_eq!(site.gateways[0].metric("portcullis_gateway_resyncs", "fork").await, 0.0);
    assert_eq!(site.authority.metric("portcullis_auth_forks", "").await, 0.0, "what is forgotten is no fork");
    let mut again = site.gateways[0].open().await;
    assert!(again.try_connect(Some(&alice.access_token)).await.expect("an answer").error().is_some());
}

#[tokio::test]
async fn who_was_revoked_while_a_gateway_was_away_for_longer_than_the_log_is_kept_never_thaws() {
    let site = Site::start_with(OFTEN).await;
    let folder = site.authority_folder();
    nobody_thaws_after_a_compaction(&site, async || age_file(&folder).await).await;
}

#[tokio::test]
async fn who_was_revoked_while_a_gateway_was_away_never_thaws_on_postgresql_either() {
    let url = test_postgres::database();
    let database = Database::at(&url);
    let site = Site::start_with(&format!("{}\n{OFTEN}", database.toml())).await;
    let age = async || {
        let mut connection = sqlx::PgConnection::connect(&url).await.expect("the database answers");
        sqlx::query(AGE).execute(&mut connection).await.expect("the statement runs");
    };
    nobody_thaws_after_a_compaction(&site, age).await;
}

#[tokio::test]
async fn who_asks_for_what_is_forgotten_is_told_so() {
    let site = Site::start_with(OFTEN).await;
    let alice = site.log_in("alice").await;
    let revision = revoke_among_others(&site, &alice).await;
    age_file(&site.authority_folder()).await;
    forgotten(&site, revision.seq).await;
    let text = format!("{}-{:016x}", revision.seq, revision.chain);

    let (code, _) = command(&site, &["receipt", &text]).await;
    assert_eq!(code, 1);
    let request = v1::AwaitEnforcedRequest { revision: Some(revision), timeout_ms: 0 };
    let refused = site.backend.credentials().await_enforced(request).await.expect_err("the entry is gone");
    assert_eq!((refused.code(), refused.message()), (tonic::Code::OutOfRange, "the log no longer keeps this entry"));
    let tail = |more: &[&str]| {
        let said = Cli::admin(&site.authority).run(&[&["log", "tail", "--no-follow"], more].concat());
        (said.code, said.to_string())
    };
    let first_gone = v1::Revision { seq: revision.seq - 1, ..revision };
    let (code, said) = tail(&["--after", &format!("{}-{:016x}", first_gone.seq, first_gone.chain)]);
    assert!(code == 1 && said.contains("older than the log keeps"), "{code} {said}");
    let (code, said) = tail(&["--from-start"]);
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains(&text), "it begins with what is kept: {said}");
    let doctor = std::process::Command::new(test_harness::program("auth-service"))
        .args(["doctor", "--config"])
        .arg(site.authority_folder().join("auth-service.toml"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("are whole") && !said.contains("entries 1 to"), "{said}");
}

/// As if a hundred days had passed for the first session that there was, and for what rests on it.
const END: [&str; 2] = [
    "UPDATE credentials SET expires_at = expires_at - 100 * 86400000000
     WHERE session = (SELECT id FROM sessions ORDER BY id LIMIT 1)",
    "UPDATE sessions SET expires_at = expires_at - 100 * 86400000000
     WHERE id = (SELECT id FROM sessions ORDER BY id LIMIT 1)",
];

/// What is over goes while the authority serves, and who lives notices nothing.
async fn what_is_over_goes(site: &Site, end: impl AsyncFn()) {
    let alice = site.log_in("alice").await;
    let (bob, mut of_bob) = logged_in(site, "bob").await;
    end().await;
    eventually("her session to be gone", async || {
        let removed = site.authority.metric("portcullis_auth_removed_rows", "what=\"sessions\"").await;
        (removed >= 1.0).then_some(())
    })
    .await;
    assert!(site.authority.metric("portcullis_auth_removed_rows", "what=\"credentials\"").await >= 2.0);
    let verdict = site.admin.verify(&alice.access_token).await;
    assert_eq!(verdict.deny_reason(), v1::DenyReason::Unknown);
    assert_eq!(site.admin.verify(&bob.access_token).await.outcome(), v1::Outcome::Allowed, "he is not over");
    assert!(of_bob.is_alive().await);
    let (_, mut socket) = logged_in(site, "alice").await;
    assert!(socket.is_alive().await);
    assert_eq!(site.authority.metric("portcullis_auth_removals_failed", "").await, 0.0);
}

#[tokio::test]
async fn what_is_over_goes_while_the_authority_serves() {
    let site = Site::start_with(OFTEN).await;
    let folder = site.authority_folder();
    what_is_over_goes(&site, async || change_file(&folder, &END).await).await;
}

#[tokio::test]
async fn what_is_over_goes_from_postgresql_too() {
    let url = test_postgres::database();
    let database = Database::at(&url);
    let site = Site::start_with(&format!("{}\n{OFTEN}", database.toml())).await;
    let end = async || {
        let mut connection = sqlx::PgConnection::connect(&url).await.expect("the database answers");
        for sql in END {
            sqlx::query(sql).execute(&mut connection).await.expect("the statement runs");
        }
    };
    what_is_over_goes(&site, end).await;
}

/// Before the log forgets, what was dead by its position alone is marked: the migration's own statement, on sessions of
/// every position that there is.
#[tokio::test]
async fn the_migration_marks_sessions_of_a_lost_branch_and_no_others() {
    let migration = include_str!("../../../../migrations/postgres/0015_retention.sql");
    let mark = &migration[migration.find("UPDATE sessions").expect("it is there")..];
    let url = test_postgres::database();
    let database = Database::at(&url);
    let site = Site::start_with(&database.toml()).await;
    let mut logins = Vec::new();
    for _ in 0..3 {
        logins.push(site.log_in("alice").await);
        let other = site.log_in("bob").await;
        site.backend.revoke_session("acme", &other.session).await;
    }
    // At the head, too.
    logins.push(site.log_in("alice").await);
    let mut connection = sqlx::PgConnection::connect(&url).await.expect("the database answers");
    let marked = sqlx::query(mark).execute(&mut connection).await.expect("the statement runs");
    assert_eq!(marked.rows_affected(), 0, "all are of this log");
    let elsewhere = "UPDATE sessions SET issue_chain = issue_chain + 1
                     WHERE id IN (SELECT id FROM sessions WHERE revoked_seq IS NULL ORDER BY id DESC LIMIT 1)";
    sqlx::query(elsewhere).execute(&mut connection).await.expect("the statement runs");
    let beyond = "UPDATE sessions SET issue_seq = (SELECT seq + 1 FROM revocation_head WHERE shard = 0)
                  WHERE id IN (SELECT id FROM sessions WHERE revoked_seq IS NULL ORDER BY id LIMIT 1)";
    sqlx::query(beyond).execute(&mut connection).await.expect("the statement runs");
    let marked = sqlx::query(mark).execute(&mut connection).await.expect("the statement runs");
    assert_eq!(marked.rows_affected(), 2);
    for (login, lives) in logins.iter().zip([false, true, true, false]) {
        let verdict = site.admin.verify(&login.access_token).await;
        assert_eq!(verdict.allowed.is_some(), lives, "{verdict:?}");
    }
}

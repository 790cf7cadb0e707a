//! The audit trail with the real programs: sealed, read, and found out when somebody changes it.

use std::path::Path;

use portcullis_proto::auth::v1;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use test_harness::{Authority, Cli, Said, eventually};

fn portcullis(authority: &Authority, arguments: &[&str]) -> Said {
    Cli::admin(authority).run(arguments)
}

/// Runs a statement on the file behind the authority's back.
async fn tamper(folder: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(folder.join("data/authority.db"));
    let mut connection = options.connect().await.expect("the file opens");
    let done = sqlx::query(sql).execute(&mut connection).await.expect("the statement runs");
    assert!(done.rows_affected() > 0, "{sql} changed nothing");
    connection.close().await.expect("closes");
}

async fn anchor_once_all_is_sealed(authority: &Authority) -> String {
    eventually("every row is sealed", || async {
        let output = portcullis(authority, &["audit", "verify", "--output", "json"]);
        let answer: serde_json::Value = serde_json::from_str(&output.stdout).ok()?;
        (answer["waiting_rows"] == 0 && answer["seals"] != 0).then(|| answer["anchor"].as_str().map(str::to_owned))?
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_changes_the_trail_is_found_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut authority = Authority::start(folder.path(), &[], "").await;
    let admin = authority.admin().await;
    admin.create_tenant("acme").await;
    admin.create_identity("acme", "alice", v1::IdentityKind::User, "correct horse battery", &[]).await;
    admin.disable("acme", "alice").await;

    let listed = portcullis(&authority, &["audit", "list", "--tenant", "acme", "--action", "identity.*"]);
    let text = listed.done();
    assert!(text.contains("identity.disable") && !text.contains("tenant.create"), "{text}");

    let anchor = anchor_once_all_is_sealed(&authority).await;
    let whole = portcullis(&authority, &["audit", "verify", "--anchor", &anchor]);
    assert!(whole.code == 0 && whole.stdout.contains("nothing wrong"), "{whole}");
    authority.process.stop().await;

    let tampered = [
        ("UPDATE audit SET target = 'identity:somebody' WHERE action = 'identity.disable'", "was altered"),
        ("DELETE FROM audit WHERE action = 'identity.create'", "was removed"),
        ("UPDATE audit_seals SET sealed_at = sealed_at + 1 WHERE number = 1", "seal 1 was altered"),
    ];
    for (sql, found) in tampered {
        tamper(folder.path(), sql).await;
        let mut authority = Authority::start(folder.path(), &[], "").await;
        let output = portcullis(&authority, &["audit", "verify"]);
        assert_eq!(output.code, 1, "{output}");
        assert!(output.stdout.contains(found), "{found} in {output}");
        authority.process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_that_was_cut_off_is_found_by_its_anchor() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut authority = Authority::start(folder.path(), &[], "").await;
    let first = anchor_once_all_is_sealed(&authority).await;
    authority.admin().await.create_tenant("acme").await;
    let last = eventually("another seal", || async {
        let anchor = anchor_once_all_is_sealed(&authority).await;
        (anchor != first).then_some(anchor)
    })
    .await;
    authority.process.stop().await;
    tamper(folder.path(), "DELETE FROM audit WHERE seal = (SELECT max(number) FROM audit_seals)").await;
    tamper(folder.path(), "DELETE FROM audit_seals WHERE number = (SELECT max(number) FROM audit_seals)").await;
    let authority = Authority::start(folder.path(), &[], "").await;
    let by_itself = portcullis(&authority, &["audit", "verify"]);
    assert!(by_itself.code == 0, "by itself it is whole: {by_itself}");
    let output = portcullis(&authority, &["audit", "verify", "--anchor", &last]);
    assert_eq!(output.code, 1, "{output}");
    let found = ["cut off", "not the one that was noted"].iter().any(|what| output.stdout.contains(what));
    assert!(found, "{output}");
}

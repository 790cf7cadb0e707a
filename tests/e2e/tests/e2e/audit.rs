//! The audit trail with the real programs: sealed, read, and found out when somebody changes it.

use std::path::Path;

use auth_domain::{KeyEncryptionKey, SealMark};
use portcullis_proto::auth::v1;
use portcullis_types::{AuditSeal, SealedRow, Timestamp};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
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

/// As if every seal had been made so long before, by the authority itself: it takes its key-encryption key.
async fn age(folder: &Path, days: i64) {
    let key = std::fs::read(folder.join("data/kek")).expect("it is there").try_into().expect("32 bytes");
    let kek = KeyEncryptionKey::new(&key);
    let options = SqliteConnectOptions::new().filename(folder.join("data/authority.db"));
    let mut connection = options.connect().await.expect("the file opens");
    let sql = "SELECT number, sealed_at, sealed FROM audit_seals ORDER BY number";
    let mut last: Option<AuditSeal> = None;
    for row in sqlx::query(sql).fetch_all(&mut connection).await.expect("it can be read") {
        let (at, sealed) = (row.get::<i64, _>("sealed_at"), row.get::<Vec<u8>, _>("sealed"));
        let rows = sealed.chunks(40).map(|row| SealedRow {
            id: u64::from_be_bytes(row[..8].try_into().expect("8 bytes")),
            digest: row[8..].try_into().expect("32 bytes"),
        });
        let at = Timestamp::from_micros(at - days * 86_400_000_000);
        let seal = AuditSeal::over(last.as_ref().map(AuditSeal::anchor), at, rows.collect());
        let sql = "UPDATE audit_seals SET previous = ?1, hash = ?2, sealed_at = ?3, mark = ?4 WHERE number = ?5";
        let mark = SealMark::new(seal.anchor(), at, &kek).mark;
        let again = sqlx::query(sql).bind(&seal.previous[..]).bind(&seal.hash[..]).bind(at.as_micros());
        let done = again
            .bind(mark)
            .bind(row.get::<i64, _>("number"))
            .execute(&mut connection)
            .await
            .expect("it can be written");
        assert_eq!(done.rows_affected(), 1);
        last = Some(seal);
    }
    connection.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_rows_are_removed_and_the_check_begins_where_that_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut authority = Authority::start(folder.path(), &[], "").await;
    let admin = authority.admin().await;
    let mut anchor = anchor_once_all_is_sealed(&authority).await;
    let noted = anchor.clone();
    for tenant in ["acme", "other"] {
        admin.create_tenant(tenant).await;
        let before = anchor;
        anchor = eventually("another seal", || async {
            let anchor = anchor_once_all_is_sealed(&authority).await;
            (anchor != before).then_some(anchor)
        })
        .await;
    }
    let kept = portcullis(&authority, &["audit", "export"]).done().to_owned();
    assert!(!kept.contains("begins_after") && kept.contains("tenant:acme"), "{kept}");
    authority.process.stop().await;
    age(folder.path(), 40).await;

    let often = "[retention]\naudit_days = 30\nevery_ms = 100\n";
    let mut authority = Authority::start(folder.path(), &[], often).await;
    let begins = eventually("old rows are removed", || async {
        let output = portcullis(&authority, &["audit", "verify", "--output", "json"]);
        let answer: serde_json::Value = serde_json::from_str(&output.stdout).ok()?;
        assert_eq!(answer["findings"], serde_json::json!([]), "{output}");
        answer["begins_after"].as_str().map(str::to_owned)
    })
    .await;
    let gone = portcullis(&authority, &["audit", "verify", "--anchor", &noted]);
    assert_eq!(gone.code, 1, "{gone}");
    assert!(gone.stdout.contains("was noted and is gone"), "{gone}");
    let said =
        portcullis(&authority, &["audit", "list", "--tenant", "system", "--action", "audit.remove"]).done().to_owned();
    assert!(said.contains(&format!("seal:{begins}")), "{said}");
    let gone = portcullis(&authority, &["audit", "list", "--tenant", "acme"]).done().to_owned();
    assert!(!gone.contains("tenant.create"), "{gone}");
    let exported = portcullis(&authority, &["audit", "export"]).done().to_owned();
    assert!(exported.lines().next().is_some_and(|line| line.contains("begins_after")), "{exported}");
    anchor_once_all_is_sealed(&authority).await;
    authority.process.stop().await;

    for (sql, found) in [
        ("UPDATE audit_start SET number = number + 1", "no key-encryption key vouches"),
        ("DELETE FROM audit_start", "seal 1 is missing"),
    ] {
        tamper(folder.path(), sql).await;
        let mut authority = Authority::start(folder.path(), &[], "").await;
        let output = portcullis(&authority, &["audit", "verify"]);
        assert_eq!(output.code, 1, "{output}");
        assert!(output.stdout.contains(found), "{found} in {output}");
        authority.process.stop().await;
    }
}

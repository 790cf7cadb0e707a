//! What an operator does beside serving: looking, copying, restoring, preparing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use portcullis_proto::auth::v1;
use serde_json::Value;
use test_harness::{Authority, Database, Process, Site};

/// Runs `auth-service` with the configuration in a folder, and what it said.
async fn run(folder: &Path, arguments: &[&str]) -> (ExitStatus, String) {
    let log = folder.join(format!("{}.log", arguments[0]));
    let _ = std::fs::remove_file(&log);
    let config = folder.join("auth-service.toml");
    let all = [&["--config", config.to_str().expect("text")], arguments].concat();
    let mut process = Process::start("auth-service", &all, &log);
    let status = process.ended().await;
    (status, process.log())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// The findings of a doctor that prints JSON: check, severity.
async fn doctor(folder: &Path) -> (bool, Vec<(String, String)>) {
    let (status, said) = run(folder, &["doctor", "--output", "json"]).await;
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("not JSON: {said}"));
    let findings = report["findings"].as_array().expect("a list").iter();
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    let findings = findings.map(|finding| {
        assert_eq!(
            finding["severity"] == "ok",
            finding.get("mend").is_none(),
            "what is bad says what to do: {finding}"
        );
        (word(&finding["check"]), word(&finding["severity"]))
    });
    (status.success(), findings.collect())
}

fn severity<'a>(findings: &'a [(String, String)], check: &str) -> &'a str {
    let found = findings.iter().find(|(name, _)| name == check);
    found.map_or_else(|| panic!("{check} was not looked at: {findings:?}"), |(_, severity)| severity)
}

#[tokio::test]
async fn a_backup_is_taken_while_serving_and_a_restore_is_a_fork_that_says_what_is_lost() {
    let mut site = Site::start().await;
    let (kept, lost) = (site.log_in("alice").await, site.log_in("bob").await);
    site.backend.revoke_session("acme", &site.log_in("alice").await.session).await;
    let folder = site.authority_folder();
    let backup = folder.join("backup.db");
    let (status, said) = run(&folder, &["backup", text(&backup)]).await;
    assert!(status.success() && said.contains("up to revision 1-"), "{said}");
    let mode = std::fs::metadata(&backup).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others may read it");
    let (status, said) = run(&folder, &["backup", text(&backup)]).await;
    assert!(!status.success() && said.contains("is there already"), "{said}");

    site.backend.revoke_session("acme", &lost.session).await;
    let (status, said) = run(&folder, &["restore", text(&backup), "--replace"]).await;
    assert!(!status.success() && said.contains("in use by another process"), "{said}");

    assert!(site.authority.process.stop().await.success());
    let (status, said) = run(&folder, &["restore", text(&backup)]).await;
    assert!(!status.success() && said.contains("--replace"), "it overwrites in silence: {said}");
    let (status, said) = run(&folder, &["restore", text(&backup), "--replace"]).await;
    assert!(status.success(), "{said}");
    for told in ["restored up to revision 1-", "1 entries of its log are lost", "fork"] {
        assert!(said.contains(told), "{told} in {said}");
    }
    site.restart_authority().await;
    assert!(site.admin.verify(&kept.access_token).await.allowed.is_some());
    assert!(site.admin.verify(&lost.access_token).await.allowed.is_some(), "its revocation is what was lost");
    // The one that was kept, and the one that has everybody judged again.
    assert_eq!(site.admin.log().await.len(), 2);
    let aside = std::fs::read_dir(folder.join("data")).expect("the data directory").flatten();
    let aside: Vec<PathBuf> =
        aside.map(|entry| entry.path()).filter(|path| text(path).contains(".replaced-")).collect();
    assert!(!aside.is_empty(), "what was there is gone");
}

/// A login writes no entry: the gateways' cursor fits the restored log, and nothing else would tell them.
#[tokio::test]
async fn a_session_that_a_backup_does_not_have_loses_its_socket_though_no_entry_is_lost() {
    let mut site = Site::start().await;
    let folder = site.authority_folder();
    let kept = site.log_in("alice").await;
    let backup = folder.join("backup.db");
    assert!(run(&folder, &["backup", text(&backup)]).await.0.success());
    let lost = site.log_in("bob").await;
    let (mut of_kept, mut of_lost) = (site.gateways[0].open().await, site.gateways[0].open().await);
    of_kept.connect(Some(&kept.access_token)).await;
    of_lost.connect(Some(&lost.access_token)).await;

    assert!(site.authority.process.stop().await.success());
    let (status, said) = run(&folder, &["restore", text(&backup), "--replace"]).await;
    assert!(status.success() && said.contains("no entry of its log is lost"), "{said}");
    site.restart_authority().await;
    let closed = of_lost.closed().await;
    assert!(closed.code >= 4500, "it is told to stop: {closed:?}");
    assert!(of_kept.is_alive().await, "what was restored stays");
}

#[tokio::test]
async fn what_is_no_whole_store_is_not_restored() {
    let mut site = Site::start().await;
    let folder = site.authority_folder();
    let backup = folder.join("backup.db");
    assert!(run(&folder, &["backup", text(&backup)]).await.0.success());
    assert!(site.authority.process.stop().await.success());
    let mut bytes = std::fs::read(&backup).expect("it is there");
    for byte in bytes.iter_mut().skip(8_192).take(4_096) {
        *byte = 0x5a;
    }
    std::fs::write(&backup, &bytes).expect("it can be written");
    let (status, said) = run(&folder, &["restore", text(&backup), "--replace"]).await;
    assert!(!status.success(), "{said}");
    site.restart_authority().await;
    assert!(site.admin.log().await.is_empty(), "what was there serves on");
}

#[tokio::test]
async fn a_doctor_finds_a_healthy_store_healthy_while_it_serves_and_names_what_is_wrong() {
    let mut site = Site::start().await;
    site.backend.revoke_session("acme", &site.log_in("alice").await.session).await;
    let folder = site.authority_folder();
    let (well, findings) = doctor(&folder).await;
    assert!(well, "{findings:?}");
    for check in ["store", "schema", "log", "signing keys", "clock", "kek", "process", "disk", "grpc.listen"] {
        assert_ne!(severity(&findings, check), "error", "{check}");
    }
    assert_eq!(severity(&findings, "admin.key"), "ok");

    let kek = folder.join("data/kek");
    let permissions = |mode| std::fs::set_permissions(&kek, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    permissions(0o644);
    let (well, findings) = doctor(&folder).await;
    assert!(!well);
    assert_eq!(severity(&findings, "kek"), "error");
    permissions(0o600);

    assert!(site.authority.process.stop().await.success());
    std::fs::write(&kek, [7; 32]).expect("another key");
    let (well, findings) = doctor(&folder).await;
    assert!(!well);
    assert_eq!(severity(&findings, "signing keys"), "error");

    // As after a backup was put back on another machine, and the keys were not.
    std::fs::remove_file(&kek).expect("it is there");
    let (well, findings) = doctor(&folder).await;
    assert!(!well, "the service would not start: {findings:?}");
    assert_eq!(severity(&findings, "signing keys"), "error");
}

#[tokio::test]
async fn a_store_can_be_prepared_before_anything_serves_it() {
    let folder = Site::start().await.authority_folder();
    std::fs::create_dir_all(&folder).expect("a folder");
    let data = folder.join("prepared");
    let config = format!(
        "data_dir = {data:?}\n[grpc]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n[password]\nmemory_kib = 7168\niterations = 5\n"
    );
    std::fs::write(folder.join("auth-service.toml"), config).expect("it can be written");
    let (status, said) = run(&folder, &["migrate"]).await;
    assert!(status.success() && said.contains("up to date"), "{said}");
    assert!(!data.join("admin.key").exists(), "nobody was made yet");
    let (status, said) = run(&folder, &["bootstrap"]).await;
    assert!(status.success() && said.contains("admin.key"), "{said}");
    let key = std::fs::read_to_string(data.join("admin.key")).expect("it was written");
    let (status, said) = run(&folder, &["bootstrap"]).await;
    assert!(status.success() && said.contains("already"), "{said}");
    assert_eq!(std::fs::read_to_string(data.join("admin.key")).expect("it is there"), key);
    std::fs::rename(&data, folder.join("data")).expect("moved to where the harness serves from");
    let authority = Authority::start(&folder, &[], "").await;
    assert!(authority.admin().await.tenants().list_tenants(v1::ListTenantsRequest::default()).await.is_ok());
}

/// On SQLite while nothing serves it, on PostgreSQL beside the process that does.
#[tokio::test]
async fn whoever_lost_the_administrators_key_makes_another_one_on_the_machine() {
    let database = Database::create();
    for (more, has_one_writer) in [(String::new(), true), (database.toml(), false)] {
        let mut site = Site::start_with(&more).await;
        let folder = site.authority_folder();
        let file = site.authority.admin_key_file().to_owned();
        let lost = std::fs::read_to_string(&file).expect("the first start wrote it");
        let (status, said) = run(&folder, &["bootstrap", "--new-key"]).await;
        assert!(!status.success() && said.contains("is there already"), "{said}");
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), lost, "it was overwritten");
        std::fs::remove_file(&file).expect("it is ours");
        if has_one_writer {
            for refused in [&["bootstrap", "--new-key"][..], &["restored"]] {
                let (status, said) = run(&folder, refused).await;
                assert!(!status.success() && said.contains("stop the server first"), "{said}");
            }
            assert!(!file.exists(), "a key that opens nothing");
            assert!(site.authority.process.stop().await.success());
        }
        let (status, said) = run(&folder, &["bootstrap", "--new-key"]).await;
        assert!(status.success() && said.contains("admin.key"), "{said}");
        let key = std::fs::read_to_string(&file).expect("it was written");
        assert!(!said.contains(&key) && key != lost, "another one, and not told");
        let mode = std::fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "others may read it");
        if has_one_writer {
            site.restart_authority().await;
        }
        let admin = site.authority.admin().await;
        admin.tenants().list_tenants(v1::ListTenantsRequest::default()).await.expect("it is good at once");
    }
}

/// After tools that know nothing of gateways put a copy in place.
#[tokio::test]
async fn a_database_that_was_restored_by_its_own_tools_has_everybody_judged_again_while_it_is_served() {
    let database = Database::create();
    let site = Site::start_with(&database.toml()).await;
    let folder = site.authority_folder();
    let mut socket = site.gateways[0].open().await;
    socket.connect(Some(&site.log_in("alice").await.access_token)).await;
    let before = site.admin.log().await.len();
    let (status, said) = run(&folder, &["restored"]).await;
    assert!(status.success() && said.contains("judges every socket again"), "{said}");
    assert_eq!(site.admin.log().await.len(), before + 1);
    assert!(socket.is_alive().await, "what is good stays");
}

#[tokio::test]
async fn a_doctor_says_what_a_database_server_does_not_promise_and_copies_are_left_to_its_tools() {
    let database = Database::create();
    let site = Site::start_with(&database.toml()).await;
    site.backend.revoke_session("acme", &site.log_in("alice").await.session).await;
    let folder = site.authority_folder();
    let (_, findings) = doctor(&folder).await;
    for check in ["store", "schema", "log", "signing keys", "clock", "connections"] {
        assert_eq!(severity(&findings, check), "ok", "{check}: {findings:?}");
    }
    assert_eq!(severity(&findings, "standby"), "warning", "a lost tail is not said: {findings:?}");
    let (status, said) = run(&folder, &["backup", text(&folder.join("backup.db"))]).await;
    assert!(!status.success() && said.contains("pg_basebackup"), "{said}");

    // As it is configured where ports are not drawn.
    let beside = folder.join("beside");
    std::fs::create_dir_all(&beside).expect("a folder");
    let config = std::fs::read_to_string(folder.join("auth-service.toml")).expect("it is there");
    let config = config.replacen("127.0.0.1:0", &site.authority.grpc.to_string(), 1);
    let config = config.replacen("127.0.0.1:0", &site.authority.http.to_string(), 1);
    std::fs::write(beside.join("auth-service.toml"), config).expect("it can be written");
    let (_, findings) = doctor(&beside).await;
    for check in ["grpc.listen", "http.listen"] {
        assert_eq!(severity(&findings, check), "ok", "it can watch over a service that runs: {findings:?}");
    }
    // Somebody else has the port.
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = other.local_addr().expect("it listens");
    let config = std::fs::read_to_string(beside.join("auth-service.toml")).expect("it is there");
    let config = config.replace(&site.authority.http.to_string(), &taken.to_string());
    std::fs::write(beside.join("auth-service.toml"), config).expect("it can be written");
    let (_, findings) = doctor(&beside).await;
    assert_eq!(severity(&findings, "http.listen"), "error", "{findings:?}");
}

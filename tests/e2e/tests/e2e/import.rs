//! People who come from another program, a file of them at a time.

use std::fmt::Write as _;

use portcullis_proto::auth::v1;
use test_harness::{Authority, Cli, remember_hash};

/// "imported horse battery", as another program keeps it.
const BCRYPT: &str = "$2b$05$abcdefghijklmnopqrstuuYf3UF6155LxpYFQdl1BWyXjq/zaWTCC";

async fn people(authority: &Authority) -> Vec<v1::Identity> {
    let (mut people, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListIdentitiesRequest { tenant: "demo".to_owned(), page_token, ..Default::default() };
        let page = authority.admin().await.identities().list_identities(request).await.expect("they are read");
        let page = page.into_inner();
        people.extend(page.identities);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return people;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_people_are_imported_twice_as_once_and_the_log_does_not_move() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::start(&folder.path().join("authority"), &[], "").await;
    let admin = authority.admin().await;
    admin.create_tenant("demo").await;
    remember_hash(BCRYPT);
    let mut file = String::new();
    for n in 1..=1_000 {
        let _ = writeln!(file, r#"{{"name":"user-{n}","attributes":{{"old_id":"{n}"}},"password_hash":"{BCRYPT}"}}"#);
    }
    std::fs::write(folder.path().join("users.jsonl"), file).expect("it can be written");
    let cli = Cli::admin(&authority).with(&["--output", "json", "--timeout", "60s"]).beside(folder.path());
    let import = ["identity", "import", "--tenant", "demo", "--file", "users.jsonl"];

    let before = admin.log().await.len();
    let first = cli.ask(&import).await;
    first.done();
    assert_eq!((&first.json()["done"], &first.json()["refused"]), (&1_000.into(), &0.into()));
    assert_eq!(admin.log().await.len(), before, "nothing rests on them yet");
    let made = people(&authority).await;
    assert_eq!(made.len(), 1_000);
    cli.ask(&import).await.done();
    assert_eq!(people(&authority).await, made, "nobody was made or changed again");
    authority.edge().log_in("demo", "user-1000", "imported horse battery").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_are_refused_are_told_by_number_and_keep_no_other_from_being_done() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::start(&folder.path().join("authority"), &[], "").await;
    let admin = authority.admin().await;
    admin.create_tenant("demo").await;
    remember_hash(BCRYPT);
    admin.create_identity("demo", "alice", v1::IdentityKind::User, "a password of her own", &[]).await;
    let long = format!(r#"{{"name":"long","password_hash":"{}"}}"#, "x".repeat(70_000));
    let lines = [
        &format!(r#"{{"name":"carol","password_hash":"{BCRYPT}"}}"#),
        &format!(r#"{{"name":"dave","passwrod_hash":"{BCRYPT}"}}"#),
        &format!("not JSON {BCRYPT}"),
        "",
        r#"{"name":"erin","password_hash":"$1$md5crypt$"}"#,
        r#"{"name":"frank","roles":["emperor"]}"#,
        r#"{"name":"alice"}"#,
        &long,
        r#"{"name":"mailer","kind":"service"}"#,
    ];
    std::fs::write(folder.path().join("users.jsonl"), lines.join("\n")).expect("it can be written");
    let cli = Cli::admin(&authority).with(&["--output", "json"]).beside(folder.path());
    let import = ["identity", "import", "--tenant", "demo", "--file", "users.jsonl"];
    let said = cli.ask(&import).await;
    assert_eq!(said.code, 1, "{said}");
    let told: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&said.stdout).into_iter().map(|line| line.expect("JSON")).collect();
    let told: Vec<_> = told.iter().filter(|line| line["line"].is_u64()).collect();
    let told: Vec<_> = told.iter().map(|line| (line["line"].as_u64(), line["reason"].as_str())).collect();
    let expected =
        [(2, "LINE"), (3, "LINE"), (5, "HASH_UNFIT"), (6, "ROLE_NOT_FOUND"), (7, "IDENTITY_EXISTS"), (8, "LINE")];
    assert_eq!(told, expected.map(|(line, reason)| (Some(line), Some(reason))), "{said}");
    let names: Vec<_> = people(&authority).await.into_iter().map(|identity| identity.name).collect();
    assert_eq!(names, ["alice", "carol", "mailer"]);
    let kept = cli.ask(&[&import[..], &["--keep-existing"]].concat()).await;
    assert!(!kept.stdout.contains("IDENTITY_EXISTS") && kept.stdout.contains(r#""kept": 1"#), "{kept}");
    let nowhere = cli.ask(&["identity", "import", "--tenant", "nowhere", "--file", "users.jsonl"]).await;
    assert!(nowhere.code == 1 && nowhere.stderr.contains("TENANT_NOT_FOUND"), "{nowhere}");
}

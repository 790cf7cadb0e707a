//! Where secrets may be, and where they may not. Every scene is searched at its end; here is what needs one of its own.

use std::path::Path;

use auth_domain::KeyEncryptionKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use portcullis_proto::auth::v1;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use test_harness::{
    Cli, Database, Gateway, PASSWORD, Site, Socket, assert_none_in_store, code_now, remember, remember_code,
    remember_hash, remember_pkcs8,
};

/// Frames, polls and pings too: what a scene otherwise leaves out for its bulk.
const EVERYTHING: &str = "[log]\nformat = \"json\"\nfilter = \"trace\"\n";

/// "imported horse battery", as another program keeps it.
const BCRYPT: &str = "$2b$05$abcdefghijklmnopqrstuuYf3UF6155LxpYFQdl1BWyXjq/zaWTCC";
const IMPORTED: &str = "imported horse battery";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_everything_that_any_crate_says_holds_no_secret() {
    let site = Site::start_with(EVERYTHING).await;
    remember_signing_keys(&site).await;
    nothing_is_said(&site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_everything_that_is_done_on_postgresql_holds_no_secret() {
    let database = Database::create();
    let site = Site::start_with(&(database.toml() + EVERYTHING)).await;
    nothing_is_said(&site).await;
}

async fn nothing_is_said(site: &Site) {
    let mut options = site.gateway_options("gateway-loquacious");
    EVERYTHING.clone_into(&mut options.more);
    let gateway = site.start_gateway(&options).await;
    gateway.synced().await;
    use_every_way_in(site, &gateway).await;

    for (process, crates) in [(&site.authority.process, ["h2::", "tonic"]), (&gateway.process, ["h2::", "hyper"])] {
        let log = process.log();
        for said in crates {
            assert!(log.contains(said), "{said} says nothing, so nothing is shown");
        }
    }
    // The programs' ends search their logs for everything that was made here.
}

/// The private halves, which nobody is ever shown: opened as the authority opens them.
async fn remember_signing_keys(site: &Site) {
    let data = site.authority_folder().join("data");
    let kek = std::fs::read(data.join("kek")).expect("the key-encryption key");
    let kek = KeyEncryptionKey::new(kek.as_slice().try_into().expect("of 32 bytes"));
    let options = SqliteConnectOptions::new().filename(data.join("authority.db")).read_only(true);
    let mut connection = options.connect().await.expect("the file opens");
    let rows = sqlx::query("SELECT id, sealed_private FROM signing_keys").fetch_all(&mut connection).await;
    let rows = rows.expect("they are read");
    assert!(!rows.is_empty(), "some key signs");
    for row in rows {
        let (id, sealed): (Vec<u8>, Vec<u8>) = (row.get(0), row.get(1));
        remember_pkcs8("a signing key", kek.open(&id, &sealed).expect("it opens").expose_bytes());
    }
    connection.close().await.expect("closes");
}

/// Each carrier with a credential that works, one that does not, and every secret that a person has or is given.
async fn use_every_way_in(site: &Site, gateway: &Gateway) {
    carry_credentials(site, gateway).await;
    change_passwords(site).await;
    use_an_app(site).await;
    speak_as_programs(site).await;
}

/// Each carrier with a credential that works, one that does not, and a password each way.
async fn carry_credentials(site: &Site, gateway: &Gateway) {
    let login = site.log_in("alice").await;
    let refresh = json!({ "grant_type": "refresh_token", "refresh_token": login.refresh_token });
    assert_eq!(site.edge().post("/v1/token", &[], &refresh).await.status, 200);
    let cookie = json!({ "tenant": "acme", "name": "bob", "password": PASSWORD, "mode": "cookie" });
    let origin = ("origin", "https://app.example");
    let browser = site.edge().post("/v1/login", &[origin], &cookie).await;
    let mut device =
        browser.headers.get_all("set-cookie").iter().filter_map(|set| set.to_str().ok()?.split(';').next());
    let device = device.rfind(|pair| pair.starts_with("__Host-portcullis_device=")).expect("it is remembered");
    assert_eq!(site.edge().post("/v1/login", &[origin, ("cookie", device)], &cookie).await.status, 200);
    let program = json!({
        "tenant": "acme", "name": "bob", "password": PASSWORD, "mode": "token", "remember_device": true,
    });
    let program = site.edge().post("/v1/login", &[], &program).await.json();
    let known = json!({
        "tenant": "acme", "name": "bob", "password": PASSWORD, "mode": "token", "device_token": program["device_token"],
    });
    assert_eq!(site.edge().post("/v1/login", &[], &known).await.json()["device_token"], program["device_token"]);
    let _ = site.edge().try_log_in("acme", "alice", "not the password 4711").await;

    let ticket = site.edge().ticket(&login.access_token).await;
    let url = format!("{}?ticket={ticket}", gateway.url());
    Socket::open(&url, &[]).await.expect("a handshake").connect(None).await;
    let bearer = format!("Bearer {}", login.access_token);
    Socket::open(&gateway.url(), &[("authorization", &bearer)]).await.expect("a handshake").connect(None).await;
    let mut socket = gateway.open().await;
    socket.connect(Some(&login.access_token)).await;
    let _ = Socket::open(&format!("{}?token={}", gateway.url(), login.access_token), &[]).await;
    let spent = gateway.open().await.try_connect(Some(&ticket)).await;
    assert!(spent.expect("an answer").error().is_some());
    assert!(site.admin.verify(&login.access_token).await.allowed.is_some());
    site.backend.revoke_session("acme", &login.session).await;
    socket.closed().await;
}

fn reference(name: &str) -> Option<v1::IdentityReference> {
    let identity = Some(v1::identity_reference::Identity::Name(name.to_owned()));
    Some(v1::IdentityReference { tenant: "acme".to_owned(), identity })
}

/// Posts what somebody who is logged in asks for; the answer.
async fn ask(site: &Site, token: &str, path: &str, body: serde_json::Value) -> serde_json::Value {
    let bearer = format!("Bearer {token}");
    let answer = site.edge().post(path, &[("authorization", &bearer)], &body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

/// Changed by its owner, by a one-time token, by a temporary one, by another program's hash.
async fn change_passwords(site: &Site) {
    let (first, second, third, last) =
        ("dora's first password", "dora's second password", "dora's third password", "dora's last password");
    let temporary = "dora's temporary password";
    site.admin.create_identity("acme", "dora", v1::IdentityKind::User, first, &["member"]).await;
    let login = site.edge().log_in("acme", "dora", first).await;
    let changed = json!({ "current_password": first, "new_password": second });
    let changed = ask(site, &login.access_token, "/v1/password", changed).await;
    assert!(changed["access_token"].is_string(), "{changed}");

    let request = v1::ResetPasswordRequest { identity: reference("dora"), ..Default::default() };
    let reset = site.admin.passwords().reset_password(request).await.expect("it is reset").into_inner();
    let redeemed = json!({ "reset_token": reset.reset_token, "new_password": third });
    assert_eq!(site.edge().post("/v1/password/reset", &[], &redeemed).await.status, 200);
    assert_eq!(site.edge().post("/v1/password/reset", &[], &redeemed).await.status, 401, "it is used");

    remember("a password", temporary);
    let request = v1::ResetPasswordRequest {
        identity: reference("dora"),
        temporary_password: temporary.to_owned(),
        ..Default::default()
    };
    site.admin.passwords().reset_password(request).await.expect("it is reset");
    let challenge = site.edge().try_log_in("acme", "dora", temporary).await.json();
    let proof = json!({ "continuation": challenge["continuation"], "proof": { "new_password": last } });
    assert_eq!(site.edge().post("/v1/login/continue", &[], &proof).await.status, 200);

    remember_hash(BCRYPT);
    let request =
        v1::ImportPasswordRequest { identity: reference("dora"), hash: BCRYPT.to_owned(), ..Default::default() };
    site.admin.passwords().import_password(request).await.expect("it is imported");
    site.edge().log_in("acme", "dora", IMPORTED).await;
}

/// Enrolled, confirmed, logged in with, renewed and taken away; and codes that are wrong.
async fn use_an_app(site: &Site) {
    let password = "erin's long password";
    site.admin.create_identity("acme", "erin", v1::IdentityKind::User, password, &["member"]).await;
    let login = site.edge().log_in("acme", "erin", password).await;
    let enrolled = ask(site, &login.access_token, "/v1/second-factor/enrol", json!({ "password": password })).await;
    let code = code_now(enrolled["secret"].as_str().expect("a text"));
    let confirmed = ask(site, &login.access_token, "/v1/second-factor/confirm", json!({ "totp_code": code })).await;
    let codes = confirmed["recovery_codes"].as_array().expect("several").clone();

    let challenge = site.edge().try_log_in("acme", "erin", password).await.json();
    let proof = json!({ "continuation": challenge["continuation"], "proof": { "recovery_code": codes[0] } });
    let login = site.edge().post("/v1/login/continue", &[], &proof).await;
    assert_eq!(login.status, 200, "{}", login.text);
    let challenge = site.edge().try_log_in("acme", "erin", password).await.json();
    // It counted once.
    let proof = json!({ "continuation": challenge["continuation"], "proof": { "totp_code": code } });
    let refused = site.edge().post("/v1/login/continue", &[], &proof).await;
    assert_eq!(refused.json()["refused_before"], true, "{}", refused.text);

    let request = v1::RenewRecoveryCodesRequest { identity: reference("erin"), ..Default::default() };
    let renewed = site.admin.second_factors().renew_recovery_codes(request).await.expect("they are made").into_inner();
    renewed.recovery_codes.iter().for_each(|code| remember_code(code));
    let token = login.json()["access_token"].as_str().expect("a token").to_owned();
    let owner = json!({ "password": password, "proof": { "recovery_code": renewed.recovery_codes[0] } });
    ask(site, &token, "/v1/second-factor/remove", owner).await;
}

/// The command line and OAuth, with keys that work and one that does not.
async fn speak_as_programs(site: &Site) {
    let cli = Cli::admin(&site.authority).with(&["--output", "json"]);
    let issued = cli.ask(&["token", "issue", "--tenant", "acme", "--name", "bob"]).await;
    issued.done();
    let refresh = issued.json()["tokens"]["refresh_token"].as_str().expect("a token").to_owned();
    cli.clone().input(&refresh).ask(&["token", "refresh"]).await.done();
    let key = cli.ask(&["api-key", "create", "--tenant", "acme", "--name", "backend", "--scope", "verify"]).await;
    key.done();
    let secret = key.json()["secret"].as_str().expect("a secret").to_owned();
    let id = key.json()["api_key"]["id"].as_str().expect("an id").to_owned();
    cli.clone().input(&secret).ask(&["verify"]).await.done();
    for presented in [&*secret, "no key of anybody's"] {
        let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{presented}")));
        let headers = [("authorization", &*basic), ("content-type", "application/x-www-form-urlencoded")];
        let body = "grant_type=client_credentials".to_owned();
        let answer = site.edge().send(Method::POST, "/v1/token", &headers, body).await.expect("an answer");
        assert_eq!(answer.status == 200, presented == secret, "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_of_the_store_but_the_key_files_holds_a_secret() {
    let mut site = Site::start().await;
    remember_signing_keys(&site).await;
    let gateway = site.gateways.remove(0);
    use_every_way_in(&site, &gateway).await;
    remember("a password", PASSWORD);
    let data = site.authority_folder().join("data");
    for file in std::fs::read_dir(&data).expect("the data directory") {
        let file = file.expect("an entry").path();
        let is_key = ["kek", "admin.key"].map(Path::new).iter().any(|name| file.ends_with(name));
        let content = std::fs::read(&file).unwrap_or_default();
        if !is_key {
            assert_none_in_store(&file.display().to_string(), &content);
        }
    }
}

//! gRPC over TLS: the authority shows a certificate, and the gateway and the command line check it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use test_harness::{Authority, Cli, Gateway, GatewayOptions, Process, eventually, remember_pem};

const NAME: &str = "authority.test";

/// The same with a certificate that is over.
fn issue_over(folder: &Path, name: &str) {
    issue_with(folder, name, |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
}

/// A new certificate authority in `folder/NAME.pem`, and what it vouches for where the authority looks for it.
fn issue(folder: &Path, name: &str) {
    issue_with(folder, name, |_| ());
}

fn issue_with(folder: &Path, name: &str, change: impl FnOnce(&mut CertificateParams)) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("makes a key")).expect("signs itself");
    let key = KeyPair::generate().expect("makes a key");
    let mut params = CertificateParams::new(vec![NAME.to_owned()]).expect("a valid name");
    change(&mut params);
    let leaf = params.signed_by(&key, &ca).expect("is signed");
    remember_pem("the key of a server", &key.serialize_pem());
    let write = |file: String, text: String| std::fs::write(folder.join(file), text).expect("it can be written");
    write(format!("{name}.pem"), ca.pem());
    write("key.pem".to_owned(), key.serialize_pem());
    std::fs::set_permissions(folder.join("key.pem"), std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    write("cert.pem".to_owned(), leaf.pem());
}

/// What the command line's exit code is when it asks for all tenants.
fn exit_code(authority: &Authority, endpoint: &str, ca: &Path, name: &str) -> i32 {
    let ca = ca.to_str().expect("the path is text");
    let cli = Cli::at(endpoint).key_file(authority.admin_key_file());
    cli.run(&["tenant", "list", "--timeout", "20s", "--server-name", name, "--ca-file", ca]).code
}

/// A listener that answers everything with these bytes and holds its connections. Ends with the process.
fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            std::thread::spawn(move || {
                let mut buffer = [0; 1024];
                while connection.read(&mut buffer).is_ok_and(|read| read > 0) && connection.write_all(bytes).is_ok() {}
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn what_speaks_no_grpc_is_no_answer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::start(folder.path(), &[], "").await;
    issue(folder.path(), "unused");
    let ca = folder.path().join("unused.pem");
    // Two TLS alerts, as what speaks TLS answers plaintext; and a web server.
    let alerts = b"\x15\x03\x03\x00\x02\x02\x46\x15\x03\x03\x00\x02\x02\x46";
    for answer in [&alerts[..], b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"] {
        assert_eq!(exit_code(&authority, &answering(answer), &ca, NAME), 3);
    }
}

#[tokio::test]
async fn programs_speak_to_the_authority_over_tls_and_its_certificate_is_exchanged_while_it_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    issue(path, "first");
    let tls = format!("[grpc.tls]\ncert_file = {:?}\nkey_file = {:?}\n", path.join("cert.pem"), path.join("key.pem"));
    let authority = Authority::start(&path.join("authority"), &[], &tls).await;
    let (https, http) = (format!("https://{}", authority.grpc), format!("http://{}", authority.grpc));
    let (first, second) = (path.join("first.pem"), path.join("second.pem"));
    assert_eq!(exit_code(&authority, &https, &first, NAME), 0);
    assert_eq!(exit_code(&authority, &https, &first, "another.test"), 3, "the certificate has another name");
    assert_eq!(exit_code(&authority, &http, &first, NAME), 3, "nothing is said in the clear");

    let options = GatewayOptions {
        id: "gateway-1".to_owned(),
        authority: authority.grpc,
        key: authority.admin_key(),
        others: Vec::new(),
        tls: Some(format!("ca_file = {first:?}\nserver_name = {NAME:?}")),
        hub: String::new(),
        more: String::new(),
    };
    let gateway = Gateway::start(path, &options).await;
    gateway.synced().await;

    issue(path, "second");
    eventually("the new certificate to be shown", async || {
        (exit_code(&authority, &https, &second, NAME) == 0).then_some(())
    })
    .await;
    assert_eq!(exit_code(&authority, &https, &first, NAME), 3, "the old authority vouches for nothing any more");
    gateway.synced().await;
}

/// Whether a command of `auth-service` with the authority's configuration ends well, and what it says.
async fn auth_service(folder: &Path, command: &str) -> (bool, String) {
    let config = folder.join("auth-service.toml");
    let config = config.to_str().expect("the path is text");
    let mut process = Process::start("auth-service", &["--config", config, command], &folder.join(command));
    (process.ended().await.success(), process.log())
}

#[tokio::test]
async fn a_certificate_that_is_over_is_told_by_whoever_reads_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, at) = (folder.path(), folder.path().join("authority"));
    issue_over(path, "first");
    let tls = format!("[grpc.tls]\ncert_file = {:?}\nkey_file = {:?}\n", path.join("cert.pem"), path.join("key.pem"));
    let authority = Authority::start(&at, &[], &tls).await;
    let https = format!("https://{}", authority.grpc);
    assert_eq!(exit_code(&authority, &https, &path.join("first.pem"), NAME), 3, "nobody takes it");
    assert!(authority.process.log().contains("nobody takes this certificate"), "{}", authority.process.log());
    let left = async || authority.metric("portcullis_auth_certificate_remaining_seconds", "grpc").await;
    assert!(left().await < -86_400.0);
    for command in ["check-config", "doctor"] {
        let (well, said) = auth_service(&at, command).await;
        assert!(!well && said.contains("it is over since"), "{command}: {said}");
    }
    issue(path, "second");
    eventually("the new certificate to be taken up", async || (left().await > 0.0).then_some(())).await;
    assert_eq!(exit_code(&authority, &https, &path.join("second.pem"), NAME), 0);
    for command in ["check-config", "doctor"] {
        let (well, said) = auth_service(&at, command).await;
        assert!(well, "{command}: {said}");
    }
}

//! Callers by client certificate: a gateway and the command line without any API key.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use test_harness::{Authority, Cli, Gateway, GatewayOptions, eventually, program, remember_pem};

const SERVER: &str = "authority.test";
const GATEWAY: &str = "spiffe://corp.example/edge/gateway";

type Ca = CertifiedIssuer<'static, KeyPair>;

/// A certificate authority, and its file.
fn authority_of_certificates(folder: &Path, name: &str) -> Ca {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = Ca::self_signed(params, KeyPair::generate().expect("makes a key")).expect("signs itself");
    std::fs::write(folder.join(name), ca.pem()).expect("it can be written");
    ca
}

/// Writes a certificate with this name and its key to `NAME.pem` and `NAME.key`, until the end of a year.
fn issue(folder: &Path, file: &str, san: SanType, ca: &Ca, until: i32) {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![san];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.not_after = date_time_ymd(until, 12, 31);
    let key = KeyPair::generate().expect("makes a key");
    let certificate = params.signed_by(&key, ca).expect("is signed");
    let write = |suffix: &str, text: String| {
        // Put in its place whole, as a program that renews certificates would.
        let (new, path) = (folder.join("new"), folder.join(format!("{file}.{suffix}")));
        std::fs::write(&new, text).expect("it can be written");
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
        std::fs::rename(new, path).expect("it can be moved");
    };
    remember_pem("the key of a certificate", &key.serialize_pem());
    write("key", key.serialize_pem());
    write("pem", certificate.pem());
}

fn gateway_name() -> SanType {
    SanType::URI(GATEWAY.try_into().expect("ASCII"))
}

/// The command line, beside the files of this test.
fn terminal(folder: &Path, endpoint: &str) -> Cli {
    let here = ["--ca-file", "server-ca.pem", "--server-name", SERVER, "--timeout", "10s"];
    Cli::at(endpoint).with(&here).beside(folder)
}

/// An authority that is spoken to over TLS, and a service `edge` of `system` that is known by the gateway's name.
struct Scene {
    authority: Authority,
    admin: Cli,
    as_gateway: Cli,
    /// Vouches for callers.
    ca: Ca,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path();
        let server_ca = authority_of_certificates(path, "server-ca.pem");
        let ca = authority_of_certificates(path, "ca.pem");
        issue(path, "server", SanType::DnsName(SERVER.try_into().expect("ASCII")), &server_ca, 4_000);
        issue(path, "gateway", gateway_name(), &ca, 4_000);
        let file = |name: &str| path.join(name);
        let tls = format!(
            "[grpc.tls]\ncert_file = {:?}\nkey_file = {:?}\nclient_ca_file = {:?}\n",
            file("server.pem"),
            file("server.key"),
            file("ca.pem")
        );
        let authority = Authority::start(&file("authority"), &[], &tls).await;
        let terminal = terminal(path, &format!("https://{}", authority.grpc));
        let admin = terminal.clone().key_file(authority.admin_key_file());
        let as_gateway = terminal.with(&["--client-cert", "gateway.pem", "--client-key", "gateway.key"]);
        admin.run(&["identity", "create", "--tenant", "system", "--name", "edge", "--kind", "service"]).done();
        Self { authority, admin, as_gateway, ca, folder }
    }

    /// Lets the gateway in by its name; the registration's id.
    fn register(&self) -> String {
        let register = ["certificate", "register", "--tenant", "system", "--name", "edge", "--scope", "verify,watch"];
        self.admin.run(&[&register[..], &[GATEWAY, "--only", "certificate.id"]].concat()).done().to_owned()
    }

    async fn gateway(&self) -> Gateway {
        let file = |name: &str| self.folder.path().join(name);
        let options = GatewayOptions {
            id: "gateway-1".to_owned(),
            authority: self.authority.grpc,
            others: Vec::new(),
            key: String::new(),
            tls: Some(format!(
                "ca_file = {:?}\nserver_name = {SERVER:?}\nclient_cert_file = {:?}\nclient_key_file = {:?}",
                file("server-ca.pem"),
                file("gateway.pem"),
                file("gateway.key")
            )),
            hub: String::new(),
            more: String::new(),
        };
        let gateway = Gateway::start(self.folder.path(), &options).await;
        gateway.synced().await;
        gateway
    }

    /// Says who vouches for callers from now on.
    fn vouch(&self, authorities: &[&Ca]) {
        let (new, bundle) = (self.folder.path().join("new"), self.folder.path().join("ca.pem"));
        let pem: String = authorities.iter().map(|ca| ca.pem()).collect();
        std::fs::write(&new, pem).and_then(|()| std::fs::rename(new, bundle)).expect("it can be written");
    }

    async fn unwatched(&self) {
        eventually("the watch of the gateway to be cut", async || {
            (self.authority.metric("portcullis_auth_watchers", "").await < 0.5).then_some(())
        })
        .await;
    }
}

/// Waits until the watch has moved so often.
async fn moved(gateway: &Gateway, times: f64) {
    eventually("the watch to stand on the new certificate", async || {
        (gateway.metric("portcullis_gateway_watch_moves", "").await >= times).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_gateway_and_a_command_line_call_by_certificate_and_new_ones_are_taken_up() {
    let scene = Scene::new().await;
    assert_eq!(scene.as_gateway.run(&["guarantee"]).code, 1, "nobody registered the name");
    let id = scene.register();
    scene.as_gateway.run(&["guarantee"]).done();
    let denied = scene.as_gateway.run(&["tenant", "list"]);
    assert!(denied.stderr.contains("admin"), "it lacks the scope: {denied}");

    let gateway = scene.gateway().await;
    assert_eq!(gateway.metric("portcullis_gateway_watch_moves", "").await.to_bits(), 0.0_f64.to_bits());
    issue(scene.folder.path(), "gateway", gateway_name(), &scene.ca, 4_001);
    moved(&gateway, 1.0).await;
    gateway.synced().await;

    let list = ["certificate", "list", "--tenant", "system", "--name", "edge", "--output", "json"];
    let listed = scene.admin.run(&list);
    assert!(listed.done().contains(GATEWAY) && listed.stdout.contains(&id), "{listed}");
    scene.admin.run(&["revoke", "credential", "--tenant", "system", &id]).done();
    assert_eq!(scene.as_gateway.run(&["guarantee"]).code, 1, "the registration is dead");
    scene.unwatched().await;
    gateway.unready().await;
}

#[tokio::test]
async fn a_gateway_whose_authority_is_taken_out_is_cut_and_comes_back_with_it() {
    let scene = Scene::new().await;
    scene.register();
    let gateway = scene.gateway().await;
    scene.vouch(&[&authority_of_certificates(scene.folder.path(), "another.pem")]);
    scene.unwatched().await;
    gateway.unready().await;
    scene.vouch(&[&scene.ca]);
    gateway.synced().await;
}

#[tokio::test]
async fn a_certificate_whose_authority_comes_after_it_is_shown_until_it_is_taken() {
    let scene = Scene::new().await;
    scene.register();
    let gateway = scene.gateway().await;
    let next = authority_of_certificates(scene.folder.path(), "next.pem");
    issue(scene.folder.path(), "gateway", gateway_name(), &next, 4_000);
    eventually("the new certificate to be refused", async || {
        gateway.process.log().contains("no replica takes the watch over").then_some(())
    })
    .await;
    scene.vouch(&[&scene.ca, &next]);
    moved(&gateway, 1.0).await;
}

#[test]
fn a_broken_file_of_authorities_is_named_and_not_the_certificate_beside_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let ca = authority_of_certificates(path, "ca.pem");
    issue(path, "gateway", gateway_name(), &ca, 4_000);
    let terminal = terminal(path, "https://127.0.0.1:1");
    for broken in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        std::fs::write(path.join("server-ca.pem"), broken).expect("it can be written");
        let refused = terminal.run(&["--client-cert", "gateway.pem", "--client-key", "gateway.key", "guarantee"]);
        let said = refused.stderr;
        assert!(said.contains("server-ca.pem") && !said.contains("gateway.pem"), "{broken}: {said}");
    }
}

#[test]
fn check_config_names_the_file_that_nobody_can_be_vouched_for_by() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let ca = authority_of_certificates(path, "ca.pem");
    issue(path, "server", SanType::DnsName(SERVER.try_into().expect("ASCII")), &ca, 4_000);
    std::fs::write(path.join("empty.pem"), "").expect("it can be written");
    for (file, says) in [
        ("ca.pem", None),
        ("gone.pem", Some("grpc.tls.client_ca_file")),
        ("empty.pem", Some("grpc.tls.client_ca_file")),
        ("server.key", Some("grpc.tls.client_ca_file")),
    ] {
        let config = format!(
            "[grpc.tls]\ncert_file = {:?}\nkey_file = {:?}\nclient_ca_file = {:?}\n",
            path.join("server.pem"),
            path.join("server.key"),
            path.join(file)
        );
        std::fs::write(path.join("auth.toml"), config).expect("it can be written");
        let mut command = Command::new(program("auth-service"));
        let checked = command.args(["check-config", "--config"]).arg(path.join("auth.toml")).output().expect("it runs");
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.success(), says.is_none(), "{file}: {said}");
        assert!(says.is_none_or(|key| said.contains(key) && said.contains(file)), "{file}: {said}");
    }
}

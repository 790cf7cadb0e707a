//! The real programs: one authority on SQLite or PostgreSQL and its gateways, as they are deployed, on the servers' core.
//!
//! Configured as by default, except: free ports, cheap password hashing (where no row measures it), tokens that outlive
//! the run, and a log of warnings only.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use portcullis_proto::auth::v1;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_harness::{Api, Database, Edge, PASSWORD, within};
use test_postgres::{Options, Server};
use tokio::process::Child;

use crate::child::{command, start_server};
use crate::error::{BenchError, Outcome, While as _};
use crate::histogram::Histogram;
use crate::machine::{self, Cores};

/// Sessions that are opened at once.
const ISSUED_AT_ONCE: usize = 8;

/// The tenant of all users.
pub(crate) const TENANT: &str = "acme";

/// Where an authority keeps everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In a file of its own.
    Sqlite,
    /// In a PostgreSQL server that is started for it, on the same core and the same file system, with default settings.
    Postgres,
}

/// A session with its access token.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// The session's id.
    pub(crate) session: String,
    /// A bearer credential that rests on it.
    pub(crate) bearer: String,
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    /// Where it listens.
    pub(crate) http: SocketAddr,
}

/// See the module. Everything is stopped and removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Fleet {
    authority: Child,
    /// The authority's gRPC address.
    pub(crate) grpc: SocketAddr,
    /// The authority's HTTP edge.
    edge: SocketAddr,
    /// Its gateways.
    pub(crate) gateways: Vec<Gateway>,
    /// The API as the administrator.
    pub(crate) admin: Api,
    /// The API as a back end of the tenant.
    pub(crate) backend: Api,
    /// A key with the scopes `verify` and `watch`.
    pub(crate) gateway_key: String,
    folder: TempDir,
    _database: Option<(Database, Server)>,
}

impl Gateway {
    /// Its process id.
    pub(crate) fn pid(&self) -> Outcome<u32> {
        self.child.id().during("looking at a gateway")
    }

    /// The URL of its hub.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/connection/websocket", self.http)
    }

    /// Its histogram of the time from an entry's arrival to the last fence, in seconds.
    pub(crate) async fn fences(&self) -> Outcome<Histogram> {
        let text = Edge::at(self.http).get("/metrics").await.during("reading a gateway's metrics")?.text;
        Ok(Histogram::read(&text, "portcullis_gateway_fence_seconds"))
    }
}

impl Fleet {
    /// Starts an authority on SQLite and so many gateways, with everything under `parent`.
    pub(crate) async fn start(parent: &Path, gateways: usize, cores: Cores) -> Outcome<Self> {
        Self::start_kept(Kept::Sqlite, parent, gateways, cores, CHEAP_PASSWORDS).await
    }

    /// The same with passwords that cost what they cost by default.
    pub(crate) async fn start_with_dear_passwords(parent: &Path, cores: Cores) -> Outcome<Self> {
        Self::start_kept(Kept::Sqlite, parent, 0, cores, "").await
    }

    /// The same, with everything kept where it is said.
    pub(crate) async fn start_on(kept: Kept, parent: &Path, gateways: usize, cores: Cores) -> Outcome<Self> {
        Self::start_kept(kept, parent, gateways, cores, CHEAP_PASSWORDS).await
    }

    async fn start_kept(kept: Kept, parent: &Path, gateways: usize, cores: Cores, passwords: &str) -> Outcome<Self> {
        let database = match kept {
            Kept::Sqlite => None,
            Kept::Postgres => Some(start_database(parent, cores)?),
        };
        let folder = TempDir::with_prefix_in("portcullis-bench-", parent).during("making a folder")?;
        let file = |name: &str| folder.path().join(name);
        let store = database.as_ref().map(|(database, _)| database.toml()).unwrap_or_default();
        let config = authority_config(&file("data"), &file("authority.json"), passwords) + &store;
        let (authority, ready) = start(&folder, "authority", "auth-service", &config, cores).await?;
        let (grpc, edge) = (address(&ready["grpc"])?, address(&ready["http"])?);
        let key_file = ready["admin_key_file"].as_str().during("finding the administrator's key")?;
        let key = std::fs::read_to_string(key_file).during("reading the administrator's key")?;
        let admin = Api::connect(grpc, key.trim()).await;
        let (gateway_key, backend_key) = seed(&admin).await;
        std::fs::write(file("gateway.key"), &gateway_key).during("writing the gateways' key")?;
        let backend = Api::connect(grpc, &backend_key).await;
        let mut fleet = Self {
            authority,
            grpc,
            edge,
            gateways: Vec::new(),
            admin,
            backend,
            gateway_key,
            folder,
            _database: database,
        };
        for number in 1..=gateways {
            let gateway = fleet.start_gateway(&format!("gateway-{number}"), cores).await?;
            fleet.gateways.push(gateway);
        }
        Ok(fleet)
    }

    async fn start_gateway(&self, name: &str, cores: Cores) -> Outcome<Gateway> {
        let file = |name: &str| self.folder.path().join(name);
        let config = gateway_config(name, self.grpc, &file("gateway.key"), &file(&format!("{name}.json")));
        let (child, ready) = start(&self.folder, name, "ws-gateway", &config, cores).await?;
        let http = address(&ready["http"])?;
        within("a gateway to be ready", async {
            while !Edge::at(http).get("/ready").await.is_ok_and(|answer| answer.status == 200) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        Ok(Gateway { child, http })
    }

    /// The authority's process id.
    pub(crate) fn authority_pid(&self) -> Outcome<u32> {
        self.authority.id().during("looking at the authority")
    }

    /// Where the authority's database is.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Makes an identity that may subscribe to `room:*`.
    pub(crate) async fn user(&self, name: &str) {
        self.admin.create_identity(TENANT, name, v1::IdentityKind::User, PASSWORD, &["member"]).await;
    }

    /// Logs an identity in as a page of the one allowed origin does; the value of its session cookie.
    pub(crate) async fn cookie(&self, name: &str) -> Outcome<String> {
        let login = json!({ "tenant": TENANT, "name": name, "password": PASSWORD, "mode": "cookie" });
        let answer = Edge::at(self.edge).post("/v1/login", &[("origin", ORIGIN)], &login).await;
        let cookie = answer.header("set-cookie").during("looking for a cookie")?;
        let value = cookie.split(';').next().and_then(|pair| pair.split_once('='));
        value.map(|(_, value)| value.to_owned()).during("reading a cookie")
    }

    /// Opens so many sessions of an identity.
    pub(crate) async fn logins(&self, name: &str, count: usize) -> Outcome<Vec<Login>> {
        let issue = || async {
            let identity = Some(v1::identity_reference::Identity::Name(name.to_owned()));
            let identity = Some(v1::IdentityReference { tenant: TENANT.to_owned(), identity });
            let request = v1::IssueTokensRequest { identity, ..Default::default() };
            let issued = self.backend.credentials().issue_tokens(request).await;
            let issued = issued.during("opening a session")?.into_inner();
            let bearer = issued.tokens.during("reading a session's tokens")?.access_token;
            Ok::<_, BenchError>(Login { session: issued.session_id, bearer })
        };
        stream::iter(0..count).map(|_| issue()).buffer_unordered(ISSUED_AT_ONCE).try_collect().await
    }
}

fn start_database(parent: &Path, cores: Cores) -> Outcome<(Database, Server)> {
    let options = Options { durable: true, parent: Some(parent.to_owned()), ..Options::default() };
    machine::pin(cores.servers)?;
    let server = Server::start(options);
    machine::pin(cores.load)?;
    Ok((Database::at(&server.create_database("bench")), server))
}

async fn seed(admin: &Api) -> (String, String) {
    admin.create_tenant(TENANT).await;
    let grants = [(v1::Action::Subscribe, "room:*"), (v1::Action::Publish, "room:*")];
    admin.put_role(TENANT, "member", &grants).await;
    admin.create_identity("system", "gateway", v1::IdentityKind::Service, "", &[]).await;
    let (_, gateway) = admin.create_api_key("system", "gateway", &["verify", "watch"]).await;
    admin.create_identity(TENANT, "backend", v1::IdentityKind::Service, "", &["member"]).await;
    let scopes = ["verify", "issue", "revoke", "identity.read", "identity.write"];
    let (_, backend) = admin.create_api_key(TENANT, "backend", &scopes).await;
    (gateway, backend)
}

/// Whose pages may log in with a cookie.
const ORIGIN: &str = "https://bench.test";
const CHEAP_PASSWORDS: &str = "[password]\nmemory_kib = 7168\niterations = 5\n";

fn authority_config(data: &Path, ready: &Path, passwords: &str) -> String {
    format!(
        "data_dir = {data:?}\nready_file = {ready:?}\n\
         [grpc]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\nallowed_origins = [{ORIGIN:?}]\n\
         [tokens]\naccess_ttl_ms = 3600000\ntickets_per_session = 1000000\n{passwords}\
         [log]\nfilter = \"warn\"\n",
    )
}

fn gateway_config(name: &str, authority: SocketAddr, key: &Path, ready: &Path) -> String {
    format!(
        "gateway_id = {name:?}\nlisten = \"127.0.0.1:0\"\nready_file = {ready:?}\n\
         [authority]\nendpoint = \"http://{authority}\"\napi_key_file = {key:?}\n[log]\nfilter = \"warn\"\n",
    )
}

/// Starts a program and waits for its ready file, `<name>.json`.
async fn start(folder: &TempDir, name: &str, program: &str, config: &str, cores: Cores) -> Outcome<(Child, Value)> {
    let file = |suffix: &str| folder.path().join(format!("{name}.{suffix}"));
    std::fs::write(file("toml"), config).during("writing a configuration")?;
    let log = std::fs::File::create(file("log")).during("making a log")?;
    let mut command = command(program)?;
    command.arg("--config").arg(file("toml")).stdout(Stdio::null()).stderr(log);
    let mut child = start_server(command, cores)?;
    let ready = within("a program to be ready", async {
        loop {
            if let Ok(text) = std::fs::read(file("json")) {
                return serde_json::from_slice(&text).during("reading a ready file");
            }
            if let Ok(Some(status)) = child.try_wait() {
                let log = std::fs::read_to_string(file("log")).unwrap_or_default();
                return Err(BenchError::new(format!("starting {program}"), format!("{status}\n{log}")));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await?;
    Ok((child, ready))
}

fn address(text: &Value) -> Outcome<SocketAddr> {
    text.as_str().during("finding an address")?.parse().during("reading an address")
}

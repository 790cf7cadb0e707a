//! A whole site: one authority, two gateways, a tenant with two users, a back end's key.

use std::path::{Path, PathBuf};

use portcullis_proto::auth::v1;
use tempfile::TempDir;

use crate::{Api, Authority, Edge, Gateway, GatewayOptions, Link, Login};

/// The password of every user of a site.
pub const PASSWORD: &str = "correct horse battery staple";

const HUB: &str = r#"
allowed_origins = ["https://app.example"]

[hub.anonymous]
tenant = "acme"
subscribe = ["public:*"]
"#;

/// See the module. Users `alice` and `bob` of tenant `acme` may use `room:*` and publish in `public:*`.
#[derive(Debug)]
pub struct Site {
    /// The authority.
    pub authority: Authority,
    /// The network between the gateways and the authority.
    pub link: Link,
    /// The gateways.
    pub gateways: Vec<Gateway>,
    /// The gRPC API as the administrator.
    pub admin: Api,
    /// The gRPC API as a back end of the tenant, which may verify, issue, revoke, read and write identities.
    pub backend: Api,
    /// The gateways' API key.
    pub gateway_key: String,
    authority_more: String,
    folder: TempDir,
}

impl Site {
    /// Starts one.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts one whose authority has more configuration, as TOML tables.
    pub async fn start_with(authority_more: &str) -> Self {
        let folder = TempDir::with_prefix("portcullis-").expect("a temporary folder");
        let origins = ["https://app.example"];
        let authority = Authority::start(&folder.path().join("authority"), &origins, authority_more).await;
        let admin = authority.admin().await;
        let (gateway_key, backend_key) = seed(&admin).await;
        let backend = Api::connect(authority.grpc, &backend_key).await;
        let link = Link::to(authority.grpc).await;
        let mut site = Self {
            authority,
            link,
            gateways: Vec::new(),
            admin,
            backend,
            gateway_key,
            authority_more: authority_more.to_owned(),
            folder,
        };
        for id in ["gateway-1", "gateway-2"] {
            let gateway = site.start_gateway(&site.gateway_options(id)).await;
            gateway.synced().await;
            site.gateways.push(gateway);
        }
        site
    }

    /// How the site's own gateways are set up.
    pub fn gateway_options(&self, id: &str) -> GatewayOptions {
        GatewayOptions {
            id: id.to_owned(),
            authority: self.link.address(),
            others: Vec::new(),
            key: self.gateway_key.clone(),
            tls: None,
            hub: HUB.to_owned(),
            more: String::new(),
        }
    }

    /// Starts one more gateway.
    pub async fn start_gateway(&self, options: &GatewayOptions) -> Gateway {
        Gateway::start(self.folder.path(), options).await
    }

    /// Starts one more authority on the site's database.
    pub async fn start_replica(&self, name: &str) -> Authority {
        let origins = ["https://app.example"];
        Authority::start(&self.folder.path().join(name), &origins, &self.authority_more).await
    }

    /// The back end's API at another authority.
    pub async fn backend_at(&self, authority: &Authority) -> Api {
        Api::connect(authority.grpc, &self.backend.key()).await
    }

    /// Kills the authority.
    pub fn kill_authority(&mut self) {
        self.authority.process.kill();
    }

    /// Starts the authority again over what is stored, where the gateways find it.
    pub async fn restart_authority(&mut self) {
        self.authority.process.kill();
        let origins = ["https://app.example"];
        self.authority = Authority::start(&self.authority_folder(), &origins, &self.authority_more).await;
        self.link.retarget(self.authority.grpc);
        let backend_key = self.backend.key();
        self.admin = self.authority.admin().await;
        self.backend = Api::connect(self.authority.grpc, &backend_key).await;
    }

    /// Where the authority keeps everything.
    pub fn authority_folder(&self) -> PathBuf {
        self.folder.path().join("authority")
    }

    /// The site's folder, with every log in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The authority's HTTP edge.
    pub const fn edge(&self) -> Edge {
        self.authority.edge()
    }

    /// Sets a user's roles; answers with the revision of the change.
    pub async fn set_roles(&self, name: &str, roles: &[&str]) -> v1::Revision {
        let identity = Some(v1::identity_reference::Identity::Name(name.to_owned()));
        let request = v1::SetIdentityRolesRequest {
            identity: Some(v1::IdentityReference { tenant: "acme".to_owned(), identity }),
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            ..Default::default()
        };
        let response = self.admin.identities().set_identity_roles(request).await.expect("the roles are set");
        response.into_inner().revision.expect("a revision")
    }

    /// Logs a user of the tenant in.
    pub async fn log_in(&self, name: &str) -> Login {
        self.edge().log_in("acme", name, PASSWORD).await
    }
}

/// Makes what the site's users need; returns the gateways' key and the back end's.
async fn seed(admin: &Api) -> (String, String) {
    admin.create_tenant("acme").await;
    let grants = [
        (v1::Action::Subscribe, "room:*"),
        (v1::Action::Publish, "room:*"),
        (v1::Action::Subscribe, "public:*"),
        (v1::Action::Publish, "public:*"),
    ];
    admin.put_role("acme", "member", &grants).await;
    for name in ["alice", "bob"] {
        admin.create_identity("acme", name, v1::IdentityKind::User, PASSWORD, &["member"]).await;
    }
    admin.create_identity("system", "gateway", v1::IdentityKind::Service, "", &[]).await;
    let (_, gateway) = admin.create_api_key("system", "gateway", &["verify", "watch"]).await;
    admin.create_identity("acme", "backend", v1::IdentityKind::Service, "", &["member"]).await;
    let scopes = ["verify", "issue", "revoke", "identity.read", "identity.write"];
    let (_, backend) = admin.create_api_key("acme", "backend", &scopes).await;
    (gateway, backend)
}

//! Issuers that the tenant `demo` trusts, and subjects of theirs that were seen.

use auth_domain::IdentityRef;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::issuers_service_client::IssuersServiceClient;
use portcullis_types::{IdentityName, TenantId};

use super::world::{World, by, reason};

pub(super) fn issuer(name: &str) -> v1::Issuer {
    v1::Issuer {
        tenant: "demo".into(),
        name: name.to_owned(),
        url: format!("https://{name}.example"),
        audience: "demo".into(),
        algorithms: vec!["ES256".into()],
        name_template: "{sub}".into(),
        create_identities: true,
        ..Default::default()
    }
}

impl World {
    /// Trusts an issuer.
    pub(super) async fn trust(&self, name: &str) {
        let put = v1::PutIssuerRequest { issuer: Some(issuer(name)), ..Default::default() };
        let mut client = IssuersServiceClient::new(self.channel.clone());
        client.put_issuer(by(&self.admin, put)).await.expect("the administrator may");
    }

    /// As if a token of the issuer's subject had been seen, and taken for an identity's.
    pub(super) async fn link(&self, issuer: &str, identity: &str, subject: [u8; 32]) {
        let tenant = TenantId::try_from("demo").expect("a valid name");
        let who = IdentityRef::Name(IdentityName::try_from(identity).expect("a valid name"));
        let mut tx = self.running().store.write().await.expect("it writes");
        let issuers = tx.issuers(&tenant).await.expect("it reads");
        let issuer = issuers.iter().find(|one| one.name.as_str() == issuer).expect("it is trusted").id;
        let who = tx.identity(&tenant, &who).await.expect("it reads").expect("it was made").id;
        assert!(tx.bind_subject(issuer, &subject, &tenant, who).await.expect("it writes"));
        tx.commit().await.expect("it commits");
    }
}

#[tokio::test]
async fn an_issuer_inside_is_trusted_where_the_operator_allows_its_network() {
    let networks = serde_json::from_str(r#"["10.20.0.0/16"]"#).expect("ranges");
    let world = World::with(|config| config.issuers.allowed_networks = networks).await;
    let mut client = IssuersServiceClient::new(world.channel.clone());
    let mut put = async |name: &str, url: &str| {
        let issuer = v1::Issuer { url: url.to_owned(), ..issuer(name) };
        client.put_issuer(by(&world.admin, v1::PutIssuerRequest { issuer: Some(issuer), ..Default::default() })).await
    };
    put("inside", "https://10.20.0.5:8443/realms/corp").await.expect("its network is named");
    for url in
        ["https://10.21.0.5/realms/corp", "https://169.254.169.254/latest", "https://[::1]/", "https://127.0.0.1/"]
    {
        let refused = put("elsewhere", url).await.expect_err(url);
        assert_eq!(reason(&refused), "ISSUER_REFUSED", "{url}");
        assert!(refused.message().contains("issuers.allowed_networks"), "{url}: {}", refused.message());
    }
}

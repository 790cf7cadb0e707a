//! Issuers that the tenant `demo` trusts, and subjects of theirs that were seen.

use auth_domain::IdentityRef;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::issuers_service_client::IssuersServiceClient;
use portcullis_types::{IdentityName, TenantId};

use super::world::{World, by};

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

//! `IssuersService`.

use auth_domain::{
    Audience, ClaimName, Committed, Issuer, IssuerAlgorithm, IssuerUrl, MAX_RULES, Mapping, NameTemplate, NewIssuer,
    RoleRule, Scope,
};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::issuers_service_server::IssuersService;
use portcullis_types::{IssuerName, RoleName};
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::credentials::reason_of;
use super::errors::Failure;
use super::{Api, wire};

const MOST_VALUE_BYTES: usize = 255;

impl Api {
    async fn trust(&self, request: Request<v1::PutIssuerRequest>) -> Result<v1::PutIssuerResponse, Failure> {
        let actor = admitted(&request)?.act_anywhere(Scope::Keys)?;
        let asked = request.into_inner();
        let actor = self.named(actor, "PutIssuer", &asked.request_id, &asked)?;
        let from = wire::etag(&asked.etag)?;
        let asked = asked.issuer.ok_or_else(|| Failure::field("issuer", "is needed"))?;
        let issuer = self.authority.put_issuer(&actor, NewIssuer { from, ..from_wire(&asked)? }).await?;
        Ok(v1::PutIssuerResponse { issuer: Some(to_wire(issuer)) })
    }

    async fn read_issuers(&self, request: Request<v1::ListIssuersRequest>) -> Result<v1::ListIssuersResponse, Failure> {
        let admitted = admitted(&request)?;
        let tenant = wire::tenant("tenant", &request.into_inner().tenant)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let issuers = self.authority.issuers(&tenant).await?;
        Ok(v1::ListIssuersResponse { issuers: issuers.into_iter().map(to_wire).collect() })
    }

    async fn kill_issuer(
        &self,
        request: Request<v1::RevokeIssuerRequest>,
    ) -> Result<v1::RevokeIssuerResponse, Failure> {
        let actor = admitted(&request)?.act_anywhere(Scope::Keys)?;
        let asked = request.into_inner();
        let actor = self.named(actor, "RevokeIssuer", &asked.request_id, &asked)?;
        let (tenant, name) = (wire::tenant("tenant", &asked.tenant)?, issuer_name(&asked.name)?);
        self.refuse_deleted(&tenant).await?;
        let committed = self.authority.revoke_issuer(&actor, &tenant, &name, reason_of(asked.reason())).await?;
        let (revision, committed_at) = told(committed);
        Ok(v1::RevokeIssuerResponse { revision, enforced_within_ms: self.enforced_within_ms(), committed_at })
    }

    async fn distrust(&self, request: Request<v1::RemoveIssuerRequest>) -> Result<v1::RemoveIssuerResponse, Failure> {
        let actor = admitted(&request)?.act_anywhere(Scope::Keys)?;
        let asked = request.into_inner();
        let actor = self.named(actor, "RemoveIssuer", &asked.request_id, &asked)?;
        let (tenant, name) = (wire::tenant("tenant", &asked.tenant)?, issuer_name(&asked.name)?);
        self.refuse_deleted(&tenant).await?;
        let (revision, committed_at) = told(self.authority.remove_issuer(&actor, &tenant, &name).await?);
        Ok(v1::RemoveIssuerResponse { revision, enforced_within_ms: self.enforced_within_ms(), committed_at })
    }
}

fn told(committed: Committed) -> (Option<v1::Revision>, Option<prost_types::Timestamp>) {
    (Some(committed.revision.into()), Some(wire::timestamp(committed.committed_at)))
}

fn issuer_name(name: &str) -> Result<IssuerName, Failure> {
    IssuerName::try_from(name).map_err(Failure::name("name"))
}

fn from_wire(asked: &v1::Issuer) -> Result<NewIssuer, Failure> {
    if asked.algorithms.len() > IssuerAlgorithm::ALL.len() {
        return Err(Failure::field("issuer.algorithms", "names each once"));
    }
    if asked.role_rules.len() > MAX_RULES {
        return Err(Failure::field("issuer.role_rules", "has at most 64"));
    }
    let algorithms = asked.algorithms.iter().map(|name| IssuerAlgorithm::try_from(name.as_str()));
    let mut algorithms: Vec<_> = algorithms.collect::<Result<_, _>>().map_err(Failure::name("issuer.algorithms"))?;
    algorithms.sort_unstable();
    algorithms.dedup();
    let template = NameTemplate::try_from(asked.name_template.as_str());
    Ok(NewIssuer {
        tenant: wire::tenant("issuer.tenant", &asked.tenant)?,
        name: IssuerName::try_from(asked.name.as_str()).map_err(Failure::name("issuer.name"))?,
        url: IssuerUrl::try_from(asked.url.as_str()).map_err(Failure::name("issuer.url"))?,
        audience: Audience::try_from(asked.audience.as_str()).map_err(Failure::name("issuer.audience"))?,
        algorithms,
        mapping: Mapping {
            name: template.map_err(Failure::name("issuer.name_template"))?,
            roles: asked.role_rules.iter().map(rule).collect::<Result<_, _>>()?,
            create_identities: asked.create_identities,
            link_identities: asked.link_identities,
        },
        from: None,
    })
}

fn rule(asked: &v1::RoleRule) -> Result<RoleRule, Failure> {
    if asked.value.is_empty() || asked.value.len() > MOST_VALUE_BYTES {
        return Err(Failure::field("issuer.role_rules.value", "has 1 to 255 bytes"));
    }
    Ok(RoleRule {
        claim: ClaimName::try_from(asked.claim.as_str()).map_err(Failure::name("issuer.role_rules.claim"))?,
        value: asked.value.as_str().into(),
        role: RoleName::try_from(asked.role.as_str()).map_err(Failure::name("issuer.role_rules.role"))?,
    })
}

fn to_wire(issuer: Issuer) -> v1::Issuer {
    let rules = issuer.mapping.roles.iter().map(|rule| v1::RoleRule {
        claim: rule.claim.as_str().to_owned(),
        value: rule.value.to_string(),
        role: rule.role.to_string(),
    });
    v1::Issuer {
        tenant: issuer.tenant.to_string(),
        name: issuer.name.to_string(),
        id: issuer.id.to_string(),
        etag: issuer.etag().to_string(),
        url: issuer.url.as_str().to_owned(),
        audience: issuer.audience.as_str().to_owned(),
        algorithms: issuer.algorithms.iter().map(|algorithm| algorithm.name().to_owned()).collect(),
        name_template: issuer.mapping.name.as_str().to_owned(),
        role_rules: rules.collect(),
        create_identities: issuer.mapping.create_identities,
        link_identities: issuer.mapping.link_identities,
        created_at: Some(wire::timestamp(issuer.created_at)),
    }
}

#[tonic::async_trait]
impl IssuersService for Api {
    async fn put_issuer(
        &self,
        request: Request<v1::PutIssuerRequest>,
    ) -> Result<Response<v1::PutIssuerResponse>, Status> {
        Ok(Response::new(self.trust(request).await?))
    }

    async fn list_issuers(
        &self,
        request: Request<v1::ListIssuersRequest>,
    ) -> Result<Response<v1::ListIssuersResponse>, Status> {
        Ok(Response::new(self.read_issuers(request).await?))
    }

    async fn revoke_issuer(
        &self,
        request: Request<v1::RevokeIssuerRequest>,
    ) -> Result<Response<v1::RevokeIssuerResponse>, Status> {
        Ok(Response::new(self.kill_issuer(request).await?))
    }

    async fn remove_issuer(
        &self,
        request: Request<v1::RemoveIssuerRequest>,
    ) -> Result<Response<v1::RemoveIssuerResponse>, Status> {
        Ok(Response::new(self.distrust(request).await?))
    }

    async fn list_issuer_subjects(
        &self,
        request: Request<v1::ListIssuerSubjectsRequest>,
    ) -> Result<Response<v1::ListIssuerSubjectsResponse>, Status> {
        Ok(Response::new(self.read_subjects(request).await?))
    }

    async fn unlink_subject(
        &self,
        request: Request<v1::UnlinkSubjectRequest>,
    ) -> Result<Response<v1::UnlinkSubjectResponse>, Status> {
        Ok(Response::new(self.unlink(request).await?))
    }
}

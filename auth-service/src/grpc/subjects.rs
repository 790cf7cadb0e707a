//! Subjects of external issuers as `IssuersService` shows and unlinks them.

use auth_domain::{IssuerSubject, Scope, WhichSubjects};
use portcullis_proto::auth::v1;
use portcullis_types::IssuerName;
use tonic::Request;

use super::caller::admitted;
use super::errors::Failure;
use super::{Api, wire};

impl Api {
    pub(super) async fn read_subjects(
        &self,
        request: Request<v1::ListIssuerSubjectsRequest>,
    ) -> Result<v1::ListIssuerSubjectsResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let issuer = match asked.issuer.as_str() {
            "" => None,
            name => Some(issuer_name(name)?),
        };
        let identity = asked.identity.map(|reference| wire::identity_ref_in(&tenant, Some(reference))).transpose()?;
        let page = wire::page(asked.page_size, &asked.page_token)?;
        let which = WhichSubjects { tenant, issuer, identity };
        let (subjects, next_page_token) = wire::paged(self.authority.issuer_subjects(&which, page).await?, to_wire);
        Ok(v1::ListIssuerSubjectsResponse { subjects, next_page_token })
    }

    pub(super) async fn unlink(
        &self,
        request: Request<v1::UnlinkSubjectRequest>,
    ) -> Result<v1::UnlinkSubjectResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, which) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "UnlinkSubject", &asked.request_id, &asked)?;
        let issuer = issuer_name(&asked.issuer)?;
        let committed = self.authority.unlink_subject(&actor, &tenant, &which, &issuer).await?;
        Ok(v1::UnlinkSubjectResponse {
            revision: Some(committed.revision.into()),
            enforced_within_ms: self.enforced_within_ms(),
            committed_at: Some(wire::timestamp(committed.committed_at)),
        })
    }
}

fn issuer_name(name: &str) -> Result<IssuerName, Failure> {
    IssuerName::try_from(name).map_err(Failure::name("issuer"))
}

fn to_wire(subject: IssuerSubject) -> v1::IssuerSubject {
    v1::IssuerSubject {
        issuer: subject.issuer_name.to_string(),
        issuer_id: subject.issuer.to_string(),
        trusted: subject.is_trusted,
        subject_digest: subject.subject.to_vec(),
        identity_id: subject.identity.to_string(),
        identity_name: subject.identity_name.to_string(),
    }
}

//! `CertificatesService`.

use auth_domain::{CertificateName, ClientCertificate, NewCertificate, Scope};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::certificates_service_server::CertificatesService;
use portcullis_types::CredentialId;
use tonic::{Request, Response, Status};

use super::api_keys::{addresses, scopes, span};
use super::caller::admitted;
use super::errors::{Failure, Reason};
use super::{Api, wire};

impl Api {
    async fn put_certificate(
        &self,
        request: Request<v1::RegisterCertificateRequest>,
    ) -> Result<v1::RegisterCertificateResponse, Failure> {
        let admitted = admitted(&request)?;
        // Which name is whose is the word of whoever runs the certificate authorities, and those are for all tenants.
        let actor = admitted.act_anywhere(Scope::Issue)?;
        let asked = request.into_inner();
        let actor = self.named(actor, "RegisterCertificate", &asked.request_id, &asked)?;
        let (tenant, identity) = wire::identity_ref(asked.identity)?;
        self.refuse_deleted(&tenant).await?;
        let name = CertificateName::try_from(asked.certificate_name.as_str());
        let new = NewCertificate {
            tenant,
            identity,
            name: name.map_err(Failure::name("certificate_name"))?,
            label: wire::label("label", &asked.label)?,
            scopes: scopes(&asked.scopes)?,
            expires_in: span("expires_in_ms", asked.expires_in_ms)?,
            addresses: addresses(&asked.addresses)?,
        };
        let registered = self.authority.register_certificate(admitted.caller(), &actor, new).await?;
        Ok(v1::RegisterCertificateResponse { certificate: Some(to_wire(registered)) })
    }

    async fn read_certificates(
        &self,
        request: Request<v1::ListCertificatesRequest>,
    ) -> Result<v1::ListCertificatesResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, which) = wire::identity_ref(asked.identity)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let page = wire::page_up_to(asked.page_size, 1_000, &asked.page_token)?;
        let page = self.authority.client_certificates(&tenant, &which, asked.only_active, page).await?;
        let (certificates, next_page_token) = wire::paged(page, to_wire);
        Ok(v1::ListCertificatesResponse { certificates, next_page_token })
    }

    async fn read_certificate(
        &self,
        request: Request<v1::GetCertificateRequest>,
    ) -> Result<v1::GetCertificateResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let id = CredentialId::try_from(asked.id.as_str()).map_err(Failure::name("id"))?;
        let found = self.authority.client_certificate(&tenant, id).await?;
        let found = found.ok_or_else(|| Failure::new(Reason::CertificateNotFound, "no such registration"))?;
        Ok(v1::GetCertificateResponse { certificate: Some(to_wire(found)) })
    }
}

fn to_wire(certificate: ClientCertificate) -> v1::ClientCertificate {
    v1::ClientCertificate {
        id: certificate.id.to_string(),
        identity_id: certificate.identity.to_string(),
        certificate_name: certificate.name.to_string(),
        label: wire::label_to_wire(certificate.label.as_ref()),
        scopes: certificate.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        created_at: Some(wire::timestamp(certificate.created_at)),
        expires_at: certificate.expires_at.map(wire::timestamp),
        revoked: certificate.revoked,
        addresses: certificate.addresses.iter().map(ToString::to_string).collect(),
        last_used_at: certificate.last_used_at.map(wire::timestamp),
    }
}

#[tonic::async_trait]
impl CertificatesService for Api {
    async fn register_certificate(
        &self,
        request: Request<v1::RegisterCertificateRequest>,
    ) -> Result<Response<v1::RegisterCertificateResponse>, Status> {
        Ok(Response::new(self.put_certificate(request).await?))
    }

    async fn list_certificates(
        &self,
        request: Request<v1::ListCertificatesRequest>,
    ) -> Result<Response<v1::ListCertificatesResponse>, Status> {
        Ok(Response::new(self.read_certificates(request).await?))
    }

    async fn get_certificate(
        &self,
        request: Request<v1::GetCertificateRequest>,
    ) -> Result<Response<v1::GetCertificateResponse>, Status> {
        Ok(Response::new(self.read_certificate(request).await?))
    }
}

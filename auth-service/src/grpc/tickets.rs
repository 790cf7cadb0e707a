//! `TicketsService`.

use auth_domain::{Actor, Audience, NewTicket, Origin, Scope, TicketAsker, TicketOutcome};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::tickets_service_server::TicketsService;
use portcullis_types::Secret;
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::credentials::text_of;
use super::errors::{Failure, Reason};
use super::{Api, wire};
use crate::denial;

impl Api {
    async fn make_ticket(
        &self,
        request: Request<v1::CreateTicketRequest>,
    ) -> Result<v1::CreateTicketResponse, Failure> {
        // The parent names its tenant: to a caller of another one it is as unknown as to Verify.
        let admitted = admitted(&request)?;
        admitted.holds(Scope::Issue)?;
        let (caller, asked) = (admitted.caller(), request.into_inner());
        let actor = self.named(Actor::caller(caller), "CreateTicket", &asked.request_id, &asked)?;
        let new = NewTicket {
            parent: Secret::from(asked.parent_credential),
            audience: audience("audience", &asked.audience)?,
            origin: origin("origin", &asked.origin)?,
            by: TicketAsker::Service,
            within: (!caller.tenant.is_system()).then(|| caller.tenant.clone()),
        };
        match self.authority.create_ticket(&actor, new).await? {
            TicketOutcome::Granted { ticket, id, expires_in } => Ok(v1::CreateTicketResponse {
                ticket: text_of(&ticket)?,
                expires_in_ms: wire::millis(expires_in),
                ticket_id: id.to_string(),
            }),
            TicketOutcome::Denied(reason) => {
                Err(Failure::new(Reason::ParentRefused, "the parent credential is not good")
                    .about("deny_reason", denial::text(reason)))
            }
        }
    }
}

/// An audience; empty means the default one.
pub(super) fn audience(field: &'static str, text: &str) -> Result<Option<Audience>, Failure> {
    if text.is_empty() { Ok(None) } else { Audience::try_from(text).map(Some).map_err(Failure::name(field)) }
}

/// An origin; empty means none.
pub(super) fn origin(field: &'static str, text: &str) -> Result<Option<Origin>, Failure> {
    if text.is_empty() { Ok(None) } else { Origin::try_from(text).map(Some).map_err(Failure::name(field)) }
}

#[tonic::async_trait]
impl TicketsService for Api {
    async fn create_ticket(
        &self,
        request: Request<v1::CreateTicketRequest>,
    ) -> Result<Response<v1::CreateTicketResponse>, Status> {
        Ok(Response::new(self.make_ticket(request).await?))
    }
}

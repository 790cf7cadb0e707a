//! `POST /v1/ws-ticket`: a credential that is good now for a one-time ticket.
//!
//! The ticket is bound to the origin of the request, when there is one.

use auth_domain::{Actor, Audience, CreateTicketError, NewTicket, Origin, TicketAsker, TicketOutcome};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};

use super::client::ClientAddress;
use super::problem::Problem;
use super::{Edge, body, credential, text_of};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TicketRequest {
    #[serde(default)]
    audience: Option<String>,
}

#[derive(Serialize)]
struct TicketResponse {
    ticket: String,
    expires_in: u64,
}

/// Issues a ticket. A body is not needed.
pub(super) async fn ws_ticket(
    State(edge): State<Edge>,
    ClientAddress(from): ClientAddress,
    headers: HeaderMap,
    asked: Option<body::Json<TicketRequest>>,
) -> Result<Response, Problem> {
    // The ticket is of the cookie that the browser will have.
    let (parent, cookie) = credential::take(&edge, &headers)?.used(&edge).await?;
    let cookie = cookie.map(|cookie| [(header::SET_COOKIE, cookie)]);
    let asked = asked.map(|body::Json(asked)| asked).unwrap_or_default();
    let audience = asked.audience.as_deref().map(Audience::try_from).transpose();
    let new = NewTicket {
        parent,
        audience: audience.map_err(|invalid| Problem::InvalidField(invalid.rule))?,
        origin: origin(&headers)?,
        within: None,
        by: TicketAsker::Holder(from),
    };
    match edge.authority.create_ticket(&Actor::edge().at(from), new).await? {
        TicketOutcome::Granted { ticket, expires_in, .. } => {
            let answer = TicketResponse { ticket: text_of(&ticket)?, expires_in: expires_in.as_secs() };
            Ok((cookie, Json(answer)).into_response())
        }
        TicketOutcome::Denied(reason) => Err(Problem::Denied(reason)),
    }
}

impl From<CreateTicketError> for Problem {
    fn from(error: CreateTicketError) -> Self {
        match error {
            CreateTicketError::TooMany { retry_after } => Self::TooManyTickets {
                retry_after: retry_after.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX),
            },
            CreateTicketError::Begin(error) => error.into(),
            CreateTicketError::Store(error) => error.into(),
            CreateTicketError::Issuer(_) => Self::IssuerUnavailable,
        }
    }
}

fn origin(headers: &HeaderMap) -> Result<Option<Origin>, Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(None) };
    let text = origin.to_str().map_err(|_| Problem::OriginNotAllowed)?;
    Origin::try_from(text).map(Some).map_err(|_| Problem::OriginNotAllowed)
}

//! `AuditService`.

use std::pin::Pin;

use auth_domain::{AuditFilter, AuditOutcome, AuditPart, AuditRecord, Scope, TextMatch};
use futures_util::stream::{self, Stream, StreamExt as _};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::audit_service_server::AuditService;
use portcullis_types::AuditSeal;
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::errors::Failure;
use super::{Api, wire};

/// The longest text that a filter holds.
const MOST_FILTER_BYTES: usize = 255;

/// The parts of an export.
pub(super) type Parts = Pin<Box<dyn Stream<Item = Result<v1::ExportAuditResponse, Status>> + Send>>;

/// How far an export has come.
enum Next {
    Sealed(u64),
    Unsealed(u64),
    Nothing,
}

impl Api {
    async fn read_audit(
        &self,
        request: Request<v1::ListAuditEntriesRequest>,
    ) -> Result<v1::ListAuditEntriesResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        admitted.act(Scope::Audit, &tenant)?;
        let filter = filter_of(&asked)?;
        let page = wire::page(asked.page_size, &asked.page_token)?;
        let page = self.authority.audit_entries(&tenant, &filter, page).await?;
        let (entries, next_page_token) = wire::paged(page, to_wire);
        Ok(v1::ListAuditEntriesResponse { entries, next_page_token })
    }

    /// One part is read when the one before it was taken: however long the trail, one part is in memory.
    fn export(&self, request: &Request<v1::ExportAuditRequest>) -> Result<Parts, Failure> {
        admitted(request)?.act_anywhere(Scope::Audit)?;
        let start = (self.clone(), Next::Sealed(request.get_ref().after_seal));
        let parts = stream::unfold(start, |(api, next)| async move {
            match api.part(next).await {
                Ok((part, next)) => part.map(|part| (Ok(part), (api, next))),
                Err(failure) => Some((Err(Status::from(failure)), (api, Next::Nothing))),
            }
        });
        let shutdown = self.shutdown.clone();
        Ok(parts.take_until(async move { shutdown.requested().await }).boxed())
    }

    async fn part(&self, next: Next) -> Result<(Option<v1::ExportAuditResponse>, Next), Failure> {
        let after = match next {
            Next::Nothing => return Ok((None, Next::Nothing)),
            Next::Sealed(after) => match self.authority.sealed_audit_after(after).await? {
                Some(part) => {
                    let number = part.seal.as_ref().map_or(after, |seal| seal.number);
                    return Ok((Some(part_to_wire(part)), Next::Sealed(number)));
                }
                None => 0,
            },
            Next::Unsealed(after) => after,
        };
        let part = self.authority.unsealed_audit_after(after).await?;
        let last = part.rows.last().map(|row| row.id);
        Ok(last.map_or((None, Next::Nothing), |last| (Some(part_to_wire(part)), Next::Unsealed(last))))
    }
}

fn filter_of(asked: &v1::ListAuditEntriesRequest) -> Result<AuditFilter, Failure> {
    Ok(AuditFilter {
        since: asked.since.map(|at| wire::instant("since", at)).transpose()?,
        until: asked.until.map(|at| wire::instant("until", at)).transpose()?,
        actor: text_match("actor", &asked.actor)?,
        action: text_match("action", &asked.action)?,
        target: text("target", &asked.target)?.map(str::to_owned),
        outcome: match asked.outcome() {
            v1::AuditOutcome::Unspecified => None,
            v1::AuditOutcome::Done => Some(AuditOutcome::Done),
            v1::AuditOutcome::Denied => Some(AuditOutcome::Denied),
        },
    })
}

fn text_match(field: &'static str, asked: &str) -> Result<Option<TextMatch>, Failure> {
    Ok(text(field, asked)?.map(|text| match text.strip_suffix('*') {
        Some(beginning) => TextMatch::Beginning(beginning.to_owned()),
        None => TextMatch::Whole(text.to_owned()),
    }))
}

fn text<'a>(field: &'static str, asked: &'a str) -> Result<Option<&'a str>, Failure> {
    let printable = asked.len() <= MOST_FILTER_BYTES && asked.bytes().all(|byte| byte.is_ascii_graphic());
    match asked {
        "" => Ok(None),
        text if printable => Ok(Some(text)),
        _ => Err(Failure::field(field, "must be at most 255 visible ASCII characters")),
    }
}

fn part_to_wire(part: AuditPart) -> v1::ExportAuditResponse {
    v1::ExportAuditResponse { seal: part.seal.map(seal_to_wire), entries: part.rows.into_iter().map(to_wire).collect() }
}

fn seal_to_wire(seal: AuditSeal) -> v1::AuditSeal {
    v1::AuditSeal {
        number: seal.number,
        previous: seal.previous.to_vec(),
        hash: seal.hash.to_vec(),
        sealed_at: Some(wire::timestamp(seal.sealed_at)),
        rows: seal.rows.iter().map(|row| v1::SealedRow { id: row.id, digest: row.digest.to_vec() }).collect(),
    }
}

fn to_wire(row: AuditRecord) -> v1::AuditEntry {
    let outcome = match row.outcome.as_str() {
        "done" => v1::AuditOutcome::Done,
        "denied" => v1::AuditOutcome::Denied,
        // Nothing here writes another one: whoever did is found by the digest.
        _ => v1::AuditOutcome::Unspecified,
    };
    v1::AuditEntry {
        id: row.id,
        at: Some(wire::timestamp(row.at)),
        tenant: row.tenant,
        actor: row.actor,
        action: row.action,
        target: row.target,
        outcome: outcome.into(),
        reason: row.reason,
        request_id: row.request,
    }
}

#[tonic::async_trait]
impl AuditService for Api {
    type ExportAuditStream = Parts;

    async fn list_audit_entries(
        &self,
        request: Request<v1::ListAuditEntriesRequest>,
    ) -> Result<Response<v1::ListAuditEntriesResponse>, Status> {
        Ok(Response::new(self.read_audit(request).await?))
    }

    async fn export_audit(
        &self,
        request: Request<v1::ExportAuditRequest>,
    ) -> Result<Response<Self::ExportAuditStream>, Status> {
        Ok(Response::new(self.export(&request)?))
    }
}

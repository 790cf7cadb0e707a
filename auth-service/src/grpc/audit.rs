//! `AuditService`.
//!
//! Guarantees: an export ends with the credential that it was asked for with, however slowly it is read.

use std::pin::Pin;
use std::sync::Arc;

use auth_domain::{
    AuditFilter, AuditOutcome, AuditPart, AuditRecord, Authority, CallerError, IdentityRef, Scope, TextMatch,
};
use futures_util::stream::{self, Stream, StreamExt as _};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::audit_service_server::AuditService;
use portcullis_types::{AuditSeal, IdentityId, TenantId};
use tonic::{Request, Response, Status};

use super::caller::{Admitted, admitted};
use super::errors::{Failure, Reason, identity_not_found};
use super::{Api, wire};

/// The longest text that a filter holds.
const MOST_FILTER_BYTES: usize = 255;

/// The parts of an export.
pub(super) type Parts = Pin<Box<dyn Stream<Item = Result<v1::ExportAuditResponse, Status>> + Send>>;

/// How far an export has come.
enum Next {
    /// It has not begun.
    Asked(u64),
    Sealed(u64),
    Unsealed(u64),
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
        let identity = match asked.identity.clone() {
            Some(reference) => Some(self.audited(&tenant, wire::identity_ref_in(&tenant, Some(reference))?).await?),
            None => None,
        };
        let filter = AuditFilter { identity, ..filter_of(&asked)? };
        let page = wire::page(asked.page_size, &asked.page_token)?;
        let page = self.authority.audit_entries(&tenant, &filter, page).await?;
        let (entries, next_page_token) = wire::paged(page, to_wire);
        Ok(v1::ListAuditEntriesResponse { entries, next_page_token })
    }

    /// Whose rows are asked for. An id is enough: its rows outlive it.
    async fn audited(&self, tenant: &TenantId, which: IdentityRef) -> Result<IdentityId, Failure> {
        match which {
            IdentityRef::Id(id) => Ok(id),
            name @ IdentityRef::Name(_) => {
                let found = self.authority.identity(tenant, &name).await?;
                found.map(|identity| identity.id).ok_or_else(identity_not_found)
            }
        }
    }

    fn export(&self, request: &Request<v1::ExportAuditRequest>) -> Result<Parts, Failure> {
        let admitted = admitted(request)?;
        admitted.act_anywhere(Scope::Audit)?;
        let export = Export { authority: Arc::clone(&self.authority), admitted };
        let shutdown = self.shutdown.clone();
        let parts = export.parts(request.get_ref().after_seal);
        Ok(parts.take_until(async move { shutdown.requested().await }).boxed())
    }
}

/// An export, for as long as its caller may have it.
struct Export {
    authority: Arc<Authority>,
    admitted: Arc<Admitted>,
}

impl Export {
    /// One part is read when the one before it was taken: however long the trail, one part is in memory. The caller is
    /// judged again before each: who reads slowly reads no longer than its credential is good.
    fn parts(self, after_seal: u64) -> impl Stream<Item = Result<v1::ExportAuditResponse, Status>> + Send {
        stream::unfold((self, Some(Next::Asked(after_seal))), |(export, next)| async move {
            match export.part(next?).await {
                Ok(found) => found.map(|(part, next)| (Ok(part), (export, Some(next)))),
                Err(failure) => Some((Err(Status::from(failure)), (export, None))),
            }
        })
    }

    async fn judge_again(&self) -> Result<(), Failure> {
        match self.admitted.again(&self.authority).await {
            Ok(admitted) => admitted.act_anywhere(Scope::Audit).map(drop),
            Err(CallerError::Unauthenticated) => {
                Err(Failure::new(Reason::CallerRevoked, "the credential of this export is not good any more"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The next part, and what comes after it; none at the end.
    async fn part(&self, next: Next) -> Result<Option<(v1::ExportAuditResponse, Next)>, Failure> {
        self.judge_again().await?;
        let (sealed, after) = match next {
            Next::Asked(after) if !self.authority.has_come_to_seal(after).await? => {
                return Err(Failure::field("after_seal", "must be a seal that was made: this trail ends before it"));
            }
            Next::Asked(after) | Next::Sealed(after) => match self.sealed(after).await? {
                Some(found) => return Ok(Some(found)),
                None => (Some(after), 0),
            },
            Next::Unsealed(after) => (None, after),
        };
        let part = self.authority.unsealed_audit_after(after).await?;
        // What was sealed between the two looks is in neither.
        if let Some(sealed) = sealed
            && let Some(found) = self.sealed(sealed).await?
        {
            return Ok(Some(found));
        }
        let last = part.rows.last().map(|row| row.id);
        Ok(last.map(|last| (part_to_wire(part), Next::Unsealed(last))))
    }

    /// The part that is under the next seal, if there is one.
    async fn sealed(&self, after: u64) -> Result<Option<(v1::ExportAuditResponse, Next)>, Failure> {
        Ok(self.authority.sealed_audit_after(after).await?.map(|part| {
            let begins = part.beginning.as_ref().map(|beginning| beginning.after.number);
            let number = part.seal.as_ref().map(|seal| seal.number).or(begins).unwrap_or(after);
            (part_to_wire(part), Next::Sealed(number))
        }))
    }
}

fn filter_of(asked: &v1::ListAuditEntriesRequest) -> Result<AuditFilter, Failure> {
    Ok(AuditFilter {
        since: asked.since.map(|at| wire::instant("since", at)).transpose()?,
        until: asked.until.map(|at| wire::instant("until", at)).transpose()?,
        actor: text_match("actor", &asked.actor)?,
        action: text_match("action", &asked.action)?,
        target: text("target", &asked.target)?.map(str::to_owned),
        identity: None,
        outcome: match wire::one_of("outcome", asked.outcome)? {
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
    let beginning = part.beginning.map(|beginning| v1::AuditBeginning {
        after_seal: beginning.after.number,
        hash: beginning.after.hash.to_vec(),
        vouched_for: beginning.is_vouched_for,
    });
    let entries = part.rows.into_iter().map(to_wire).collect();
    v1::ExportAuditResponse { seal: part.seal.map(seal_to_wire), entries, beginning }
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
        identity_id: row.identity,
        detail: row.detail,
        address: row.address,
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

#[cfg(test)]
mod tests {
    use auth_domain::{Actor, IdentityKind, IdentityRef, NewApiKey, NewIdentity};
    use http::{HeaderMap, HeaderValue, header};
    use portcullis_types::{IdentityName, Secret, Shutdown, SystemClock, SystemEntropy, TenantId};
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::config::Config;
    use crate::metrics::Metrics;
    use crate::startup::{self, Surroundings};

    fn headers(key: &Secret) -> HeaderMap {
        let value = format!("Bearer {}", key.expose_str().expect("text"));
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::try_from(value).expect("ASCII"))])
    }

    #[tokio::test]
    async fn an_export_ends_when_its_caller_is_not_good_any_more() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let config = Config { data_dir: folder.path().join("data"), ..Config::default() };
        let around =
            Surroundings { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), shutdown: Shutdown::new() };
        startup::first_start(&config, &around).await.expect("it is made");
        let store = crate::store::open(&config, None, &SystemEntropy).await.expect("it opens");
        let metrics = Arc::new(Metrics::new());
        let authority = Arc::new(startup::open_authority(&config, &around, store, metrics).await.expect("it opens"));
        let admin = std::fs::read(config.data_dir.join("admin.key")).map(Secret::new).expect("it is written");
        let admin = Admitted::by(&authority, &headers(&admin), None).await.expect("it is good");
        let (actor, system) = (Actor::caller(admin.caller()), TenantId::system());
        let name = IdentityName::try_from("auditor").expect("valid");
        let auditor = NewIdentity::plain(system.clone(), IdentityKind::Service, name.clone());
        authority.create_identity(&actor, auditor).await.expect("it may");
        let key = NewApiKey {
            tenant: system.clone(),
            identity: IdentityRef::Name(name.clone()),
            label: None,
            scopes: [Scope::Audit].into_iter().collect(),
            expires_in: None,
            grants: None,
            addresses: Vec::new(),
        };
        let key = authority.create_api_key(admin.caller(), key).await.expect("it may").secret.expect("it is new");
        let admitted = Admitted::by(&authority, &headers(&key), None).await.expect("it is good");

        let export = Export { authority: Arc::clone(&authority), admitted: Arc::new(admitted) };
        let mut parts = Box::pin(export.parts(0));
        parts.next().await.expect("it goes on").expect("it may");
        authority.disable_identity(&actor, &system, &IdentityRef::Name(name)).await.expect("it may");
        let ended = parts.next().await.expect("it says why").expect_err("it is not good any more");
        assert_eq!(ended.get_details_error_info().map(|info| info.reason).as_deref(), Some("CALLER_REVOKED"));
        assert!(parts.next().await.is_none(), "once");
    }
}

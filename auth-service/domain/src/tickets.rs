//! One-time connection tickets: the only credential that may stand in a URL.
//!
//! Guarantees: a ticket opens one handshake, over all processes; its socket rests on the ticket and on the credential
//! it was issued from, and ends with that credential, or as a session would that began with it. It is good nowhere that its
//! parent is not. A named request makes the
//! same ticket from the same credential, so that a lost answer is given again and nothing is stored for it. Of one session,
//! or one credential without a session, there are so many at once that are not over, used or not: whoever holds one
//! credential fills no store.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_types::{CredentialId, OpaqueKind, OpaqueToken, RedemptionId, Revision, Secret, TenantId, Timestamp};

use crate::access_token::looks_like_jwt;
use crate::asking::{Before, Begun};
use crate::audit::{About, Actor, Detail};
use crate::standing::{Denial, Standing, Ticket, digest_matches};
use crate::verification::{Form, VerifyError, judge_bearer};
use crate::{
    Allowed, Audience, Authority, BeginError, Credential, CredentialKind, DenyReason, IssuerSilent, KeyEncryptionKey,
    Origin, PresentationContext, ReadView, Scopes, Spent, StoreError, Verdict,
};

/// From what, and for where.
#[derive(Clone, Debug)]
pub struct NewTicket {
    /// An access token, an API key, or a session cookie's value.
    pub parent: Secret,
    /// The audience it is for; absent: the default one.
    pub audience: Option<Audience>,
    /// The origin it must be presented from; absent: any.
    pub origin: Option<Origin>,
    /// The tenant whose credentials alone are known; absent: of any, for whoever presents it for itself.
    pub within: Option<TenantId>,
    /// Who presents the parent.
    pub by: TicketAsker,
}

/// Who presents the credential that a ticket is asked from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketAsker {
    /// Its holder, from this address where that is known.
    Holder(Option<IpAddr>),
    /// A service for its holder, who is somewhere else: the address is judged when the ticket is used.
    Service,
}

/// How many tickets there may be that are not over, used or not. Where writers work beside each other, as many more as ask
/// at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketRules {
    /// Of one session.
    pub per_session: u32,
    /// Of one credential without a session, which may be that of many devices.
    pub per_key: u32,
}

/// What became of the request.
#[derive(Clone, Debug)]
pub enum TicketOutcome {
    /// A ticket.
    Granted {
        /// The ticket: one use.
        ticket: Secret,
        /// Its id, by which it is revoked.
        id: CredentialId,
        /// Until it ends.
        expires_in: Duration,
    },
    /// The parent is not good.
    Denied(DenyReason),
}

/// Why a request has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum CreateTicketError {
    /// The session, or the credential without one, has as many as it may have.
    #[error("there are as many tickets of this session or key as there may be at once")]
    TooMany {
        /// Until the next of them is over.
        retry_after: Duration,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys of the parent's issuer are not known.
    #[error(transparent)]
    Issuer(#[from] IssuerSilent),
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
}

impl From<VerifyError> for CreateTicketError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Begin(error) => error.into(),
            VerifyError::Issuer(error) => error.into(),
            VerifyError::Store(error) => error.into(),
        }
    }
}

impl Authority {
    /// Issues a ticket from a credential that is good now.
    pub async fn create_ticket(&self, actor: &Actor, request: NewTicket) -> Result<TicketOutcome, CreateTicketError> {
        let form = match self.read_bearer(&request.parent, request.within.as_ref()).await? {
            Ok(form) => form,
            Err(denial) => return Ok(TicketOutcome::Denied(denial.reason)),
        };
        // In a snapshot first, so that what is refused anyway keeps no writer waiting.
        let mut view = self.store().read().await?;
        match self.parent_for(view.as_mut(), &form, &request).await? {
            // A named request may have its ticket already.
            Ok(parent) if actor.asked().is_none() => self.room_for_ticket(view.as_mut(), &parent.credential).await?,
            Ok(_) => {}
            Err(denial) => return Ok(TicketOutcome::Denied(denial.reason)),
        }
        drop(view);
        let mut tx = match self.begin_named(actor, actor.home()).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(self.ticket_before(before, &request.parent).await?),
        };
        let parent = match self.parent_for(&mut *tx, &form, &request).await? {
            Ok(parent) => parent,
            Err(denial) => return Ok(TicketOutcome::Denied(denial.reason)),
        };
        self.room_for_ticket(&mut *tx, &parent.credential).await?;
        let (now, issued) = (self.now(), tx.head().revision());
        let (row, ticket) = self.draw_ticket(&parent, request, actor.asked().is_some(), issued, now);
        tx.insert_credential(&row).await?;
        // Whoever has the parent may ask without end, and what nobody uses has done nothing: then its use is the row. What a
        // service does for somebody else is always one.
        if actor.key().is_some() {
            let about = About::Credential { id: row.id, of: row.identity };
            let entry = self.audit(actor, &row.tenant, "ticket.create", about);
            tx.insert_audit(&entry.telling(Detail::default().and("from", parent.credential.id))).await?;
        }
        tx.commit(row.id.to_string(), now).await?;
        let expires_in = row.expires_at.unwrap_or(now).saturating_since(now);
        Ok(TicketOutcome::Granted { ticket, id: row.id, expires_in })
    }

    /// Whether there may be one more ticket of this credential.
    async fn room_for_ticket(&self, view: &mut dyn ReadView, parent: &Credential) -> Result<(), CreateTicketError> {
        let rules = self.settings().ticket_rules;
        let (holder, most) = match &parent.session {
            Some(session) => (session.as_bytes(), rules.per_session),
            None => (parent.id.as_bytes(), rules.per_key),
        };
        let now = self.now();
        match view.tickets_fill_until(holder, most, now).await? {
            Some(next_end) => Err(CreateTicketError::TooMany { retry_after: next_end.saturating_since(now) }),
            None => Ok(()),
        }
    }

    /// The same ticket again, derived from the same credential.
    async fn ticket_before(&self, mut before: Before, parent: &Secret) -> Result<TicketOutcome, StoreError> {
        let id = before.subject()?;
        // One that has ended may be gone: then it is told as it was, as good as any that has ended.
        let Some(row) = before.view().credential(id).await? else {
            let ticket = named_ticket(self.kek(), parent, id).reveal();
            return Ok(TicketOutcome::Granted { ticket, id, expires_in: Duration::ZERO });
        };
        // The key-encryption key may have changed since.
        let mut derived = self.keks().iter().map(|kek| named_ticket(kek, parent, id));
        let ticket = derived.find(|ticket| digest_matches(&row, ticket));
        let ticket = ticket.ok_or(StoreError::Corrupt { what: "a named ticket that is not derived" })?;
        let expires_in = row.expires_at.unwrap_or_default().saturating_since(self.now());
        Ok(TicketOutcome::Granted { ticket: ticket.reveal(), id, expires_in })
    }

    /// The credential that a ticket would be issued from, when it is good now and wherever the ticket would be.
    async fn parent_for(
        &self,
        view: &mut dyn ReadView,
        form: &Form,
        request: &NewTicket,
    ) -> Result<Result<Standing, Denial>, StoreError> {
        let parent = self.bearer_standing(view, form, request.within.as_ref(), self.now()).await?;
        Ok(parent.and_then(|parent| self.covers(&parent.credential, request).map(|()| parent)))
    }

    /// Whether a credential may be presented everywhere that a ticket of it might. A ticket for which no origin is
    /// asked has its parent's.
    fn covers(&self, parent: &Credential, request: &NewTicket) -> Result<(), Denial> {
        let audience = request.audience.as_ref().unwrap_or(&self.settings().audience);
        if !parent.is_for(audience) {
            return Err(Denial::transient(DenyReason::WrongAudience));
        }
        if request.origin.as_ref().is_some_and(|origin| !parent.is_from(Some(origin))) {
            return Err(Denial::transient(DenyReason::WrongOrigin));
        }
        match request.by {
            TicketAsker::Holder(from) if !parent.is_from_address(from) => {
                Err(Denial::transient(DenyReason::WrongAddress))
            }
            TicketAsker::Holder(_) | TicketAsker::Service => Ok(()),
        }
    }

    fn draw_ticket(
        &self,
        parent: &Standing,
        request: NewTicket,
        is_named: bool,
        issued: Revision,
        now: Timestamp,
    ) -> (Credential, Secret) {
        let id = CredentialId::new(self.ids());
        let ticket = if is_named {
            named_ticket(self.kek(), &request.parent, id)
        } else {
            OpaqueToken::generate(OpaqueKind::Ticket, id, self.entropy())
        };
        let end = now + self.settings().ticket_ttl;
        let row = Credential {
            id: ticket.id,
            tenant: parent.credential.tenant.clone(),
            identity: parent.credential.identity,
            session: parent.credential.session,
            kind: CredentialKind::Ticket,
            digest: Some(ticket.digest()),
            parent: Some(parent.credential.id),
            label: None,
            scopes: Scopes::NONE,
            audiences: vec![request.audience.unwrap_or_else(|| self.settings().audience.clone())],
            origins: request.origin.map_or_else(|| parent.credential.origins.clone(), |origin| vec![origin]),
            issued,
            signing_key: None,
            created_at: now,
            expires_at: Some(parent.ends_at().map_or(end, |parent_end| end.min(parent_end))),
            spent: None,
            key_terms: None,
            certificate: None,
            revoked_seq: None,
        };
        (row, ticket.reveal())
    }

    /// Judges a ticket and spends it, in one transaction. A ticket that is refused is not spent.
    pub(crate) async fn redeem(
        &self,
        presented: &Secret,
        redemption: RedemptionId,
        context: &PresentationContext,
    ) -> Result<Verdict, BeginError> {
        let ticket = match read_ticket(presented) {
            Ok(ticket) => Form::Opaque(ticket),
            Err(reason) => {
                let head = self.store().head().await?.revision();
                return Ok(Verdict::of(head, Err(Denial::permanent(reason))));
            }
        };
        // By a look first, so that what is refused anyway keeps no writer waiting.
        let (head, found) = Standing::of_ticket_now(&**self.store(), ticket.id()).await?;
        if let Err(denial) = self.judge_ticket(found, &ticket, redemption, context)? {
            return Ok(Verdict::of(head.revision(), Err(denial)));
        }
        let mut tx = self.begin(context.asker.as_ref().unwrap_or(&Actor::edge())).await?;
        let revision = tx.head().revision();
        let found = Standing::of_ticket(tx.as_mut(), ticket.id()).await?;
        let judged = self.judge_ticket(found, &ticket, redemption, context)?;
        let Ok(redeemable) = judged else { return Ok(Verdict::of(revision, judged.map(|good| good.allowed))) };
        let Redeemable { ticket: row, allowed } = redeemable;
        if !tx.redeem_ticket(row.id, redemption, self.now()).await? {
            return Ok(Verdict::of(revision, Err(Denial::permanent(DenyReason::Spent))));
        }
        let actor = Actor::holder(&row.tenant, allowed.principal.credential).at(context.address);
        let about = About::Credential { id: row.id, of: row.identity };
        let entry = self.audit(&actor, &row.tenant, "ticket.redeem", about);
        tx.insert_audit(&entry.telling(Detail::default().and_maybe("from", row.parent))).await?;
        tx.commit().await?;
        Ok(Verdict::of(revision, Ok(allowed)))
    }

    /// Everything about a ticket but its use, which only a transaction can tell for sure.
    fn judge_ticket(
        &self,
        found: Option<Ticket>,
        ticket: &Form,
        redemption: RedemptionId,
        context: &PresentationContext,
    ) -> Result<Result<Redeemable, Denial>, StoreError> {
        let now = self.now();
        let (own, parent) = found.map(|Ticket { own, parent }| (own, parent)).unzip();
        let standing = match judge_bearer(own, ticket, context.within.as_ref(), now) {
            Ok(standing) => standing,
            Err(denial) => return Ok(Err(denial)),
        };
        let parent = parent.flatten().ok_or(StoreError::Corrupt { what: "a ticket without its parent" })?;
        let judged = self.admit(&parent, Some(&standing), context, now);
        let by_another = matches!(standing.credential.spent, Some(Spent::Redeemed { by, .. }) if by != redemption);
        Ok(match judged {
            Ok(_) if by_another => Err(Denial::permanent(DenyReason::Spent)),
            Ok(allowed) => Ok(Redeemable { ticket: standing.into_rows().credential, allowed }),
            Err(denial) => Err(denial),
        })
    }
}

/// The ticket of a named request: derived and not drawn, so that the same request is answered with the same ticket.
fn named_ticket(kek: &KeyEncryptionKey, parent: &Secret, id: CredentialId) -> OpaqueToken {
    OpaqueToken::from_secret(OpaqueKind::Ticket, id, kek.ticket_of(parent, id))
}

/// A ticket that may be redeemed, and the verdict when it is.
struct Redeemable {
    ticket: Credential,
    allowed: Allowed,
}

fn read_ticket(presented: &Secret) -> Result<OpaqueToken, DenyReason> {
    match presented.expose_str().map(OpaqueToken::parse) {
        Some(Ok(token)) if token.kind == OpaqueKind::Ticket => Ok(token),
        Some(Ok(_)) => Err(DenyReason::WrongKind),
        Some(Err(_)) if presented.expose_str().is_some_and(looks_like_jwt) => Err(DenyReason::WrongKind),
        Some(Err(_)) | None => Err(DenyReason::Malformed),
    }
}

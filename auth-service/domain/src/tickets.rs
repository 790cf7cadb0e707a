//! One-time connection tickets: the only credential that may stand in a URL.
//!
//! Guarantees: a ticket opens one handshake, over all processes; its socket rests on the ticket and on the credential
//! it was issued from, and ends with that credential.

use std::time::Duration;

use portcullis_types::{CredentialId, OpaqueKind, OpaqueToken, RedemptionId, Revision, Secret, Timestamp};

use crate::access_token::looks_like_jwt;
use crate::audit::Actor;
use crate::standing::{Denial, Standing};
use crate::verification::{Form, parent_of};
use crate::{
    Audience, Authority, Credential, CredentialKind, DenyReason, Origin, PresentationContext, Scopes, StoreError,
    Verdict,
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

impl Authority {
    /// Issues a ticket from a credential that is good now.
    pub async fn create_ticket(&self, actor: &Actor, request: NewTicket) -> Result<TicketOutcome, StoreError> {
        let form = match self.read_bearer(&request.parent).await? {
            Ok(form) => form,
            Err(denial) => return Ok(TicketOutcome::Denied(denial.reason)),
        };
        if let Err((_, denial)) = self.recognise(&form).await? {
            return Ok(TicketOutcome::Denied(denial.reason));
        }
        let mut tx = self.store().write().await?;
        let (now, issued) = (self.now(), tx.head().revision());
        let parent = match self.bearer_standing(tx.as_mut(), &form, None, now).await? {
            Ok(parent) => parent,
            Err(denial) => return Ok(TicketOutcome::Denied(denial.reason)),
        };
        let (row, ticket) = self.draw_ticket(&parent, request, issued, now);
        tx.insert_credential(&row).await?;
        tx.insert_audit(&self.audit(actor, &row.tenant, "ticket.create", format!("credential:{}", row.id))).await?;
        tx.commit().await?;
        let expires_in = row.expires_at.unwrap_or(now).saturating_since(now);
        Ok(TicketOutcome::Granted { ticket, id: row.id, expires_in })
    }

    fn draw_ticket(
        &self,
        parent: &Standing,
        request: NewTicket,
        issued: Revision,
        now: Timestamp,
    ) -> (Credential, Secret) {
        let ticket = OpaqueToken::generate(OpaqueKind::Ticket, CredentialId::new(self.ids()), self.entropy());
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
            origins: request.origin.into_iter().collect(),
            issued,
            signing_key: None,
            created_at: now,
            expires_at: Some(parent.ends_at().map_or(end, |parent_end| end.min(parent_end))),
            spent: None,
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
    ) -> Result<Verdict, StoreError> {
        let ticket = match read_ticket(presented) {
            Ok(ticket) => Form::Opaque(ticket),
            Err(reason) => {
                let head = self.store().head().await?.revision();
                return Ok(Verdict::of(head, Err(Denial::permanent(reason))));
            }
        };
        if let Err((head, denial)) = self.recognise(&ticket).await? {
            return Ok(Verdict::of(head, Err(denial)));
        }
        let mut tx = self.store().write().await?;
        let (now, revision) = (self.now(), tx.head().revision());
        let standing = match self.bearer_standing(tx.as_mut(), &ticket, context.within.as_ref(), now).await? {
            Ok(standing) => standing,
            Err(denial) => return Ok(Verdict::of(revision, Err(denial))),
        };
        let parent = parent_of(tx.as_mut(), &standing).await?;
        let judged = self.admit(tx.as_mut(), &parent, Some(&standing), context, now).await?;
        if judged.is_ok() {
            if !tx.redeem_ticket(standing.credential.id, redemption, now).await? {
                return Ok(Verdict::of(revision, Err(Denial::permanent(DenyReason::Spent))));
            }
            let (row, actor) = (&standing.credential, Actor::holder(&parent.credential.tenant, parent.credential.id));
            let target = format!("credential:{}", row.id);
            tx.insert_audit(&self.audit(&actor, &row.tenant, "ticket.redeem", target)).await?;
            tx.commit().await?;
        }
        Ok(Verdict::of(revision, judged))
    }
}

fn read_ticket(presented: &Secret) -> Result<OpaqueToken, DenyReason> {
    match presented.expose_str().map(OpaqueToken::parse) {
        Some(Ok(token)) if token.kind == OpaqueKind::Ticket => Ok(token),
        Some(Ok(_)) => Err(DenyReason::WrongKind),
        Some(Err(_)) if presented.expose_str().is_some_and(looks_like_jwt) => Err(DenyReason::WrongKind),
        Some(Err(_)) | None => Err(DenyReason::Malformed),
    }
}

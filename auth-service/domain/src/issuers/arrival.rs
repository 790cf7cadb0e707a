//! A token of an external issuer that is seen for the first time gets a row, under a session of an identity.
//!
//! Guarantees: a token that was issued before something it rests on was revoked, or less than the clocks' tolerance
//! after it, gets none (it carries no revision, so its `iat` stands for one); a session that was revoked by itself does
//! not come back under a later one of the same `sid`; a subject is bound to one identity, and an identity to one subject
//! of an issuer, for ever.
//! From then on the row is judged like any other: its issue revision is the head that was read before all of this.

use portcullis_types::{CredentialId, IdentityId, Revision, SessionId, Timestamp};

use super::ExternalToken;
use super::token::{MAX_AGE, SKEW};
use crate::audit::{About, Actor, Detail};
use crate::standing::Denial;
use crate::{
    Authority, Credential, CredentialKind, DenyReason, Identity, IdentityKind, IdentityRef, IdentityState, Label,
    ReadView, Scopes, Session, StoreError, TenantState, WriteTx,
};

/// Whose a token is, and what came before it.
struct Arrival {
    identity: Identity,
    /// It is not there yet.
    is_new: bool,
    /// The subject is known already.
    is_bound: bool,
    /// The newest entry that ended something above the session: sessions from before stay dead.
    epoch: u64,
}

impl Authority {
    /// The row of a token, which gets one where it has none.
    pub(crate) async fn arrive(&self, token: &ExternalToken) -> Result<Result<CredentialId, Denial>, StoreError> {
        // In a snapshot first, so that what is known, or refused anyway, keeps no writer waiting.
        let mut view = self.store().read().await?;
        if let Some(known) = view.external_token_by(token.issuer.id, &token.digest).await? {
            return Ok(Ok(known));
        }
        if let Err(denial) = self.judge_arrival(view.as_mut(), token).await? {
            return Ok(Err(denial));
        }
        drop(view);
        let mut tx = self.store().write().await?;
        if let Some(known) = tx.external_token_by(token.issuer.id, &token.digest).await? {
            return Ok(Ok(known));
        }
        let arrival = match self.judge_arrival(tx.as_mut(), token).await? {
            Ok(arrival) => arrival,
            Err(denial) => return Ok(Err(denial)),
        };
        let id = self.take_in(tx.as_mut(), token, &arrival).await?;
        tx.commit().await?;
        Ok(Ok(id))
    }

    async fn judge_arrival(
        &self,
        view: &mut dyn ReadView,
        token: &ExternalToken,
    ) -> Result<Result<Arrival, Denial>, StoreError> {
        let issuer = view.issuer(token.issuer.id).await?.filter(|issuer| issuer.removed_at.is_none());
        let Some(issuer) = issuer else { return Ok(Err(Denial::permanent(DenyReason::CredentialRevoked))) };
        let mut arrival = match self.subject_of(view, token).await? {
            Ok(arrival) => arrival,
            Err(denial) => return Ok(Err(denial)),
        };
        if arrival.identity.state != IdentityState::Active {
            return Ok(Err(Denial::transient(DenyReason::IdentityDisabled)));
        }
        let tenant = view.tenant(&issuer.tenant).await?;
        if tenant.as_ref().is_none_or(|tenant| tenant.state != TenantState::Active) {
            return Ok(Err(Denial::transient(DenyReason::TenantRevoked)));
        }
        let (tenant, tenant_before) = tenant.map_or((None, None), |tenant| (tenant.revoked_seq, tenant.ended_before));
        let (client, client_before) = match &token.client {
            Some(client) => (
                view.client_revoked_seq(&issuer.tenant, client).await?,
                view.client_ended_before(&issuer.tenant, client).await?,
            ),
            None => (None, None),
        };
        for (before, reason) in
            [(tenant_before, DenyReason::TenantRevoked), (client_before, DenyReason::CredentialRevoked)]
        {
            if before.is_some_and(|before| token.issued_at <= before + SKEW) {
                return Ok(Err(Denial::permanent(reason)));
            }
        }
        let above = [
            (arrival.identity.revoked_seq, DenyReason::IdentityRevoked),
            (tenant, DenyReason::TenantRevoked),
            (issuer.revoked_seq, DenyReason::CredentialRevoked),
            (client, DenyReason::CredentialRevoked),
        ];
        for (seq, reason) in above {
            let Some(seq) = seq else { continue };
            if token.issued_at <= self.revoked_at(view, seq).await? + SKEW {
                return Ok(Err(Denial::permanent(reason)));
            }
            arrival.epoch = arrival.epoch.max(seq);
        }
        if view.external_session_is_revoked(issuer.id, &token.sid).await? {
            return Ok(Err(Denial::permanent(DenyReason::SessionRevoked)));
        }
        Ok(Ok(arrival))
    }

    /// Whose the token is: the identity that its subject is bound to, or the one that has the mapped name or shall.
    async fn subject_of(
        &self,
        view: &mut dyn ReadView,
        token: &ExternalToken,
    ) -> Result<Result<Arrival, Denial>, StoreError> {
        let (tenant, mapping) = (&token.issuer.tenant, &token.issuer.mapping);
        let known = |identity, is_bound| Arrival { identity, is_new: false, is_bound, epoch: 0 };
        if let Some(id) = view.bound_to(token.issuer.id, &token.subject).await? {
            let identity = view.identity(tenant, &IdentityRef::Id(id)).await?;
            return Ok(identity
                .map(|identity| known(identity, true))
                .ok_or(Denial::transient(DenyReason::IdentityDisabled)));
        }
        let refused = Ok(Err(Denial::transient(DenyReason::Invalid)));
        let Some(name) = &token.name else { return refused };
        match view.identity(tenant, &IdentityRef::Name(name.clone())).await? {
            // A service's authority is not for others to vouch for, and a name that is another subject's is taken.
            Some(identity)
                if mapping.link_identities
                    && identity.kind == IdentityKind::User
                    && !view.is_bound(token.issuer.id, identity.id).await? =>
            {
                Ok(Ok(known(identity, false)))
            }
            None if mapping.create_identities => {
                let id = IdentityId::new(self.ids());
                let identity = Identity::new(id, tenant.clone(), IdentityKind::User, name.clone(), self.now());
                Ok(Ok(Arrival { identity, is_new: true, is_bound: false, epoch: 0 }))
            }
            Some(_) | None => refused,
        }
    }

    /// When an entry was committed. One that is no longer kept is older than every token that could be presented; unless a
    /// clock was ahead when it was forgotten, and is no more: so it is taken to be as young as the youngest of those.
    async fn revoked_at(&self, view: &mut dyn ReadView, seq: u64) -> Result<Timestamp, StoreError> {
        if let Some(entry) = view.log_entry(seq).await? {
            return Ok(entry.committed_at);
        }
        let a_day_ago = self.now().saturating_sub(MAX_AGE);
        Ok(view.forgotten_until().await?.map_or(a_day_ago, |latest| latest.max(a_day_ago)))
    }

    async fn take_in(
        &self,
        tx: &mut dyn WriteTx,
        token: &ExternalToken,
        arrival: &Arrival,
    ) -> Result<CredentialId, StoreError> {
        let (issuer, identity) = (&token.issuer, &arrival.identity);
        let actor = Actor::issuer(&issuer.tenant, issuer.id);
        if arrival.is_new {
            took_place(tx.insert_identity(identity).await?)?;
            tx.insert_audit(&self.audit(&actor, &issuer.tenant, "identity.create", About::Identity(identity.id)))
                .await?;
        }
        if !arrival.is_bound {
            took_place(tx.bind_subject(issuer.id, &token.subject, &issuer.tenant, identity.id).await?)?;
            // Which subject is not said: it may be an address, and rows of the trail are never changed.
            let entry = self.audit(&actor, &issuer.tenant, "identity.link", About::Identity(identity.id));
            tx.insert_audit(&entry.telling(Detail::default().and("issuer", issuer.id))).await?;
        }
        let issued = tx.head().revision();
        let session = self.session_for(tx, token, arrival, issued, &actor).await?;
        let row = self.credential_for(token, arrival, session, issued);
        took_place(tx.insert_external_token(issuer.id, &token.digest, row.id, &token.roles).await?)?;
        tx.insert_credential(&row).await?;
        Ok(row.id)
    }

    /// The session of the token's `sid`, which it shares with the tokens of the same client application before it.
    async fn session_for(
        &self,
        tx: &mut dyn WriteTx,
        token: &ExternalToken,
        arrival: &Arrival,
        issued: Revision,
        actor: &Actor,
    ) -> Result<SessionId, StoreError> {
        let (issuer, identity) = (&token.issuer, &arrival.identity);
        let client = token.client.as_ref();
        if let Some(id) = tx.external_session(issuer.id, &token.sid, arrival.epoch, identity.id, client).await? {
            // Else it was removed since its mapping was read.
            took_place(tx.prolong_session(&issuer.tenant, id, token.expires_at).await?)?;
            return Ok(id);
        }
        let session = Session {
            id: SessionId::new(self.ids()),
            tenant: issuer.tenant.clone(),
            identity: identity.id,
            device: Label::try_from(issuer.name.as_str()).ok(),
            client: token.client.clone(),
            // What the issuer asked for is the issuer's to say.
            authentication: None,
            issued,
            created_at: self.now(),
            expires_at: token.expires_at,
            revoked_seq: None,
        };
        tx.insert_session(&session).await?;
        let inserted =
            tx.insert_external_session(issuer.id, &token.sid, arrival.epoch, identity.id, client, session.id).await?;
        took_place(inserted)?;
        let about = About::Session { id: session.id, of: identity.id };
        let detail = Detail::default().and("issuer", issuer.id).and_maybe("client", client);
        let entry = self.audit(actor, &issuer.tenant, "session.create", about);
        tx.insert_audit(&entry.telling(detail)).await?;
        Ok(session.id)
    }

    fn credential_for(
        &self,
        token: &ExternalToken,
        arrival: &Arrival,
        session: SessionId,
        issued: Revision,
    ) -> Credential {
        Credential {
            id: CredentialId::new(self.ids()),
            tenant: token.issuer.tenant.clone(),
            identity: arrival.identity.id,
            session: Some(session),
            kind: CredentialKind::AccessToken,
            digest: None,
            parent: None,
            label: None,
            key_terms: None,
            certificate: None,
            scopes: Scopes::NONE,
            // That it is meant for this tenant was said by its `aud`; which routes take it is for the routes to say.
            audiences: Vec::new(),
            origins: Vec::new(),
            issued,
            signing_key: None,
            created_at: self.now(),
            expires_at: Some(token.expires_at),
            spent: None,
            revoked_seq: None,
        }
    }
}

/// Another replica took the same token, subject or name in at the same time; trying again finds it.
fn took_place(it_did: bool) -> Result<(), StoreError> {
    if it_did { Ok(()) } else { Err(StoreError::Conflict) }
}

const _: () = assert!(SKEW.as_secs() < MAX_AGE.as_secs(), "an entry is kept longer than clocks differ");

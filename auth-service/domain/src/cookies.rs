//! Session cookies in use: how long they last without it, and when their value is exchanged.
//!
//! Guarantees: a cookie ends when it was not used for [`CookieRules::idle_after`], and with its session at the latest;
//! a use is written down only when an eighth of that time has passed, so the end is early by that much at most. A cookie
//! older than [`CookieRules::exchange_after`] is exchanged when it is used: for one successor, derived and not drawn, so
//! that requests under way at once all get the same. The old value stays good until the new one was used, so that a lost
//! answer logs nobody out, and for [`CookieRules::grace`] after that; what was opened with it is judged again, so that it
//! ends with it.

use std::time::Duration;

use portcullis_types::{CredentialId, OpaqueKind, OpaqueToken, Secret, Timestamp};

use crate::audit::{About, Actor};
use crate::batch::{Batch, Target};
use crate::standing::{Standing, digest_matches};
use crate::tokens::Family;
use crate::verification::Form;
use crate::{
    Authority, BeginError, Credential, CredentialKind, DenyReason, KeyEncryptionKey, ReadView, Spent, StoreError,
};

/// How session cookies live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieRules {
    /// How long a cookie lasts without being used.
    pub idle_after: Duration,
    /// How old a value gets before it is exchanged.
    pub exchange_after: Duration,
    /// How long an old value is good after its successor was used.
    pub grace: Duration,
}

/// A cookie that is good and was used.
#[derive(Clone, Debug)]
pub enum CookieUse {
    /// It stays.
    Kept,
    /// The browser shall have this one instead.
    Exchanged {
        /// The new value.
        value: Secret,
        /// Until its session ends.
        expires_in: Duration,
    },
}

/// What a use has to write down.
#[derive(Debug, Default)]
struct Due {
    /// The predecessor, and its end until now: its successor was used.
    retire: Option<(CredentialId, Timestamp)>,
    /// The end until now, and from now on.
    extend: Option<(Timestamp, Timestamp)>,
    exchange: bool,
}

impl Due {
    const fn is_nothing(&self) -> bool {
        self.retire.is_none() && self.extend.is_none() && !self.exchange
    }
}

impl Authority {
    /// Uses a session cookie. What is refused is not used.
    pub async fn use_cookie(&self, cookie: &Secret) -> Result<Result<CookieUse, DenyReason>, BeginError> {
        self.use_cookie_of_age(cookie, self.settings().cookies.exchange_after).await
    }

    /// Uses a session cookie and exchanges it, however new it is: what its holder may do has changed.
    pub async fn exchange_cookie(&self, cookie: &Secret) -> Result<Result<CookieUse, DenyReason>, BeginError> {
        self.use_cookie_of_age(cookie, Duration::ZERO).await
    }

    async fn use_cookie_of_age(
        &self,
        cookie: &Secret,
        exchange_after: Duration,
    ) -> Result<Result<CookieUse, DenyReason>, BeginError> {
        let token = match cookie.expose_str().map(OpaqueToken::parse) {
            Some(Ok(token)) if token.kind == OpaqueKind::SessionCookie => token,
            Some(Ok(_)) => return Ok(Err(DenyReason::WrongKind)),
            Some(Err(_)) | None => return Ok(Err(DenyReason::Malformed)),
        };
        let form = Form::Opaque(token.clone());
        // In a snapshot first: most uses have nothing to write down.
        let mut view = self.store().read().await?;
        let now = self.now();
        let standing = match self.bearer_standing(view.as_mut(), &form, None, now).await? {
            Ok(standing) => standing,
            Err(denial) => return Ok(Err(denial.reason)),
        };
        if self.due(view.as_mut(), &standing, exchange_after, now).await?.is_nothing() {
            return Ok(Ok(self.as_it_stands(view.as_mut(), &token, &standing, now).await?));
        }
        drop(view);
        self.write_down(&token, &form, exchange_after).await
    }

    async fn write_down(
        &self,
        token: &OpaqueToken,
        form: &Form,
        exchange_after: Duration,
    ) -> Result<Result<CookieUse, DenyReason>, BeginError> {
        let mut tx = self.begin(&Actor::edge()).await?;
        let now = self.now();
        let standing = match self.bearer_standing(tx.as_mut(), form, None, now).await? {
            Ok(standing) => standing,
            Err(denial) => return Ok(Err(denial.reason)),
        };
        let due = self.due(tx.as_mut(), &standing, exchange_after, now).await?;
        let mut retired = None;
        if let Some((predecessor, end)) = due.retire
            && tx.move_cookie_end(predecessor, end, now + self.settings().cookies.grace).await?
        {
            let tenant = standing.credential.tenant.clone();
            retired = Some(Batch::reauthorize(Target::Credential(tenant, predecessor)));
        }
        if let Some((before, end)) = due.extend {
            tx.move_cookie_end(token.id, before, end).await?;
        }
        let used = if due.exchange {
            let next = CredentialId::new(self.ids());
            if !tx.succeed_session_cookie(token.id, next, now).await? {
                return Err(StoreError::Conflict.into());
            }
            let (tenant, issued) = (standing.credential.tenant.clone(), tx.head().revision());
            let family = Family::of(standing, issued)?;
            let next = cookie_after(self.kek(), token, next);
            let end = now + self.settings().cookies.idle_after;
            let row = family.row(&next, CredentialKind::SessionCookie, Some(token.id), now, Some(end));
            tx.insert_credential(&row).await?;
            let about = About::Session { id: family.session.id, of: family.session.identity };
            let actor = Actor::holder(&tenant, token.id);
            tx.insert_audit(&self.audit(&actor, &tenant, "session.exchange_cookie", about)).await?;
            CookieUse::Exchanged { value: next.reveal(), expires_in: family.session.expires_at.saturating_since(now) }
        } else {
            self.as_it_stands(tx.as_mut(), token, &standing, now).await?
        };
        match retired {
            Some(batch) => drop(tx.commit_with(batch, now).await?),
            None => tx.commit().await?,
        }
        Ok(Ok(used))
    }

    async fn due(
        &self,
        view: &mut dyn ReadView,
        standing: &Standing,
        exchange_after: Duration,
        now: Timestamp,
    ) -> Result<Due, StoreError> {
        let rules = self.settings().cookies;
        let Credential { parent, spent, created_at, expires_at, .. } = standing.credential;
        let mut due = Due::default();
        if spent.is_some() {
            return Ok(due);
        }
        if let Some(parent) = parent
            && let Some(end) = view.credential(parent).await?.and_then(|row| row.expires_at)
            && end > now + rules.grace
        {
            due.retire = Some((parent, end));
        }
        let session_end = standing.session.as_ref().map_or(now, |session| session.expires_at);
        let wanted = (now + rules.idle_after).min(session_end);
        due.exchange = now >= created_at + exchange_after;
        due.extend = expires_at.filter(|end| *end + rules.idle_after / 8 <= wanted).map(|end| (end, wanted));
        Ok(due)
    }

    /// The successor, where the cookie has one that can still be used.
    async fn as_it_stands(
        &self,
        view: &mut dyn ReadView,
        token: &OpaqueToken,
        standing: &Standing,
        now: Timestamp,
    ) -> Result<CookieUse, StoreError> {
        let Some(Spent::Rotated { successor, .. }) = standing.credential.spent else { return Ok(CookieUse::Kept) };
        let row = view.credential(successor).await?;
        let row = row.ok_or(StoreError::Corrupt { what: "a session cookie without its successor" })?;
        // The key-encryption key may have changed since; where none derives it, the old one lasts as long as it does.
        let mut derived = self.keks().iter().map(|kek| cookie_after(kek, token, successor));
        let next = derived.find(|next| digest_matches(&row, next));
        let Some(next) = next.filter(|_| !row.is_expired(now)) else { return Ok(CookieUse::Kept) };
        let end = standing.session.as_ref().map_or(now, |session| session.expires_at);
        Ok(CookieUse::Exchanged { value: next.reveal(), expires_in: end.saturating_since(now) })
    }
}

fn cookie_after(kek: &KeyEncryptionKey, token: &OpaqueToken, id: CredentialId) -> OpaqueToken {
    OpaqueToken::from_secret(OpaqueKind::SessionCookie, id, kek.refresh_successor(&token.reveal()))
}

//! Whoever asks by a session, from where, and on what device. Who it is is looked at after the body: what is wrong with that
//! is told before anything else.

use std::convert::Infallible;
use std::net::IpAddr;

use auth_domain::{Actor, IdentityRef, Judgement, LoginMode, PresentationContext, Presented};
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use portcullis_types::{Secret, SessionId, TenantId};

use super::client::address_of;
use super::credential::Taken;
use super::problem::Problem;
use super::{Edge, credential, device_cookie};

/// A request, before anybody looked who asks.
pub(super) struct Asking {
    headers: HeaderMap,
    from: Option<IpAddr>,
}

/// Who asks.
pub(super) struct Asker {
    pub(super) taken: Taken,
    pub(super) tenant: TenantId,
    pub(super) which: IdentityRef,
    pub(super) session: SessionId,
    pub(super) actor: Actor,
    pub(super) from: Option<IpAddr>,
    device: Option<Secret>,
}

impl Asking {
    /// Who wants to change something.
    pub(super) async fn changes(self, edge: &Edge) -> Result<Asker, Problem> {
        let taken = credential::take(edge, &self.headers)?;
        self.by(edge, taken).await
    }

    /// Who only reads.
    pub(super) async fn reads(self, edge: &Edge) -> Result<Asker, Problem> {
        let taken = credential::take_to_read(edge, &self.headers)?;
        self.by(edge, taken).await
    }

    async fn by(self, edge: &Edge, taken: Taken) -> Result<Asker, Problem> {
        let context = PresentationContext::default();
        let principal = match edge.authority.verify(Presented::Bearer(taken.secret()), &context).await?.judgement {
            Judgement::Allowed(allowed) => allowed.principal,
            Judgement::Denied { reason, .. } => return Err(Problem::Denied(reason)),
        };
        let session = principal.session.ok_or(Problem::NoSession)?;
        let actor = principal.acting().at(self.from);
        let device = if taken.is_cookie() { device_cookie::read(&self.headers) } else { None };
        let which = IdentityRef::Id(principal.identity);
        Ok(Asker { taken, tenant: principal.tenant, which, session, actor, from: self.from, device })
    }
}

impl Asker {
    /// What its session is used with.
    pub(super) const fn mode(&self) -> LoginMode {
        if self.taken.is_cookie() { LoginMode::Cookie } else { LoginMode::Tokens }
    }

    /// What the device is known by: of a browser its cookie, of a program what it says.
    pub(super) fn device(&self, said: Option<&str>) -> Option<Secret> {
        match &self.taken {
            Taken::Cookie(_) => self.device.clone(),
            Taken::Bearer(_) => said.map(Secret::from),
        }
    }
}

impl FromRequestParts<Edge> for Asking {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Infallible> {
        let from = address_of(edge, &parts.extensions, &parts.headers);
        Ok(Self { headers: parts.headers.clone(), from })
    }
}

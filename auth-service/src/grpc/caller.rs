//! Who calls: the API key in the metadata of a call, or the certificate that its connection was made with.
//!
//! Guarantees: a key that is sent is what counts, whatever the connection showed: it is the more explicit of the two, and a
//! connection may carry the calls of others, whose keys must not be taken for the proxy's certificate. A key that is sent
//! and not good is never made up for by a certificate. Headers that name a certificate are not looked at.

use std::net::IpAddr;
use std::sync::Arc;

use auth_domain::{Actor, Authority, Caller, CallerError, Forbidden, Scope};
use http::{HeaderMap, header};
use portcullis_types::{Secret, TenantId, Timestamp};
use tonic::Request;

use super::Api;
use super::errors::{Failure, Reason, tenant_not_found};
use crate::tls::{CallerCertificate, Peer};

/// A caller that was let in, and what it presented, so that a long call can ask again.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    caller: Caller,
    presented: Presented,
    address: Option<IpAddr>,
}

/// What a caller is known by.
#[derive(Clone, Debug)]
enum Presented {
    Bearer(Secret),
    Certificate(Arc<CallerCertificate>),
}

impl Presented {
    /// What counts of what came with a call.
    fn of(headers: &HeaderMap, peer: Option<&Peer>) -> Result<Self, Failure> {
        if headers.contains_key(header::AUTHORIZATION) {
            return bearer(headers).map(Self::Bearer);
        }
        let certificate = peer.and_then(|peer| peer.certificate.clone());
        certificate.map(Self::Certificate).ok_or_else(missing)
    }

    async fn judge(&self, authority: &Authority, address: Option<IpAddr>) -> Result<Caller, CallerError> {
        match self {
            Self::Bearer(bearer) => authority.authenticate_caller(bearer, address).await,
            Self::Certificate(certificate) => match certificate.says() {
                Ok(shown) => authority.authenticate_certificate(shown, address).await,
                Err(unfit) => {
                    tracing::debug!(peer = ?address, %unfit, "a certificate is no caller's");
                    Err(CallerError::Unauthenticated)
                }
            },
        }
    }
}

impl Admitted {
    /// Knows the caller by its headers, and by the other end of its connection.
    pub(crate) async fn by(authority: &Authority, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Self, Failure> {
        let presented = Presented::of(headers, peer)?;
        let address = peer.and_then(|peer| peer.address);
        let caller = presented.judge(authority, address).await?;
        Ok(Self { caller, presented, address })
    }

    /// The same caller, judged again now.
    pub(crate) async fn again(&self, authority: &Authority) -> Result<Self, CallerError> {
        let caller = self.presented.judge(authority, self.address).await?;
        Ok(Self { caller, presented: self.presented.clone(), address: self.address })
    }

    /// When what it presented is over by itself, where that is known without asking.
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        self.certificate().and_then(|certificate| certificate.ends_at())
    }

    /// The certificate that it is known by, where it is by one.
    pub(crate) const fn certificate(&self) -> Option<&Arc<CallerCertificate>> {
        match &self.presented {
            Presented::Bearer(_) => None,
            Presented::Certificate(certificate) => Some(certificate),
        }
    }

    /// The caller.
    pub(crate) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether it holds the scope at all; on which tenant is the handler's question.
    pub(crate) fn holds(&self, scope: Scope) -> Result<(), Forbidden> {
        self.caller.require(scope, &self.caller.tenant)
    }

    /// For the audit trail, once the caller may do this in this tenant.
    pub(crate) fn act(&self, scope: Scope, tenant: &TenantId) -> Result<Actor, Failure> {
        self.caller.require(scope, tenant)?;
        Ok(Actor::caller(&self.caller))
    }

    /// For the audit trail, once the caller may do this in every tenant.
    pub(crate) fn act_anywhere(&self, scope: Scope) -> Result<Actor, Failure> {
        self.caller.require_any_tenant(scope)?;
        Ok(Actor::caller(&self.caller))
    }
}

impl Api {
    /// For the audit trail, once the caller may do this in this tenant, and the tenant is not deleted.
    pub(super) async fn act(&self, admitted: &Admitted, scope: Scope, tenant: &TenantId) -> Result<Actor, Failure> {
        let actor = admitted.act(scope, tenant)?;
        // Who is of a tenant is known no more once it is deleted.
        if admitted.caller.tenant != *tenant {
            self.refuse_deleted(tenant).await?;
        }
        Ok(actor)
    }

    /// A deleted tenant is answered as one that there is not.
    pub(super) async fn refuse_deleted(&self, tenant: &TenantId) -> Result<(), Failure> {
        if self.authority.is_deleted(tenant).await? { Err(tenant_not_found()) } else { Ok(()) }
    }
}

/// Who was let in by the gate. Nobody, for a handler that was reached around it.
pub(crate) fn admitted<T>(request: &Request<T>) -> Result<Arc<Admitted>, Failure> {
    request.extensions().get::<Arc<Admitted>>().cloned().ok_or_else(missing)
}

fn missing() -> Failure {
    Failure::new(
        Reason::CredentialMissing,
        "send `authorization: Bearer` with an API key or a service token, or connect with a client certificate",
    )
}

fn bearer(headers: &HeaderMap) -> Result<Secret, Failure> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(missing());
    };
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Secret::from(token)) } else { Err(missing()) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn one_bearer_is_taken_and_everything_else_is_none() {
        assert_eq!(bearer(&headers(&["Bearer pk_x"])), Ok(Secret::from("pk_x")));
        assert_eq!(bearer(&headers(&["bearer pk_x"])), Ok(Secret::from("pk_x")));
        for none in [&[][..], &["pk_x"], &["Basic pk_x"], &["Bearer pk_x", "Bearer pk_x"]] {
            assert_eq!(bearer(&headers(none)).map_err(|failure| failure.reason()), Err(Reason::CredentialMissing));
        }
    }

    #[test]
    fn a_handler_reached_around_the_gate_has_no_caller() {
        assert!(admitted(&Request::new(())).is_err());
    }
}

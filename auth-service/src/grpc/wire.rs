//! Between the contract's messages and the domain's words, once at the edge.

use auth_domain::{
    Action, Etag, Grant, Identity, IdentityKind, IdentityRef, IdentityState, Label, Page, Paged, Pattern, Role, Tenant,
    TenantState,
};
use portcullis_proto::auth::v1;
use portcullis_types::{ClientId, IdentityId, IdentityName, RoleName, Secret, TenantId, Timestamp};

use super::errors::{Failure, Reason};

/// A tenant's name.
pub(crate) fn tenant(field: &'static str, text: &str) -> Result<TenantId, Failure> {
    TenantId::try_from(text).map_err(Failure::name(field))
}

/// An identity and its tenant, by the name of the message that holds them.
pub(crate) fn identity_ref(reference: Option<v1::IdentityReference>) -> Result<(TenantId, IdentityRef), Failure> {
    let reference = reference.ok_or_else(|| Failure::field("identity", "is needed"))?;
    let tenant = tenant("identity.tenant", &reference.tenant)?;
    let which = match reference.identity {
        Some(v1::identity_reference::Identity::Id(id)) => {
            IdentityRef::Id(IdentityId::try_from(id.as_str()).map_err(Failure::name("identity.id"))?)
        }
        Some(v1::identity_reference::Identity::Name(name)) => {
            IdentityRef::Name(IdentityName::try_from(name.as_str()).map_err(Failure::name("identity.name"))?)
        }
        None => return Err(Failure::field("identity", "needs an id or a name")),
    };
    Ok((tenant, which))
}

/// An identity of this tenant and of no other.
pub(crate) fn identity_ref_in(
    tenant: &TenantId,
    reference: Option<v1::IdentityReference>,
) -> Result<IdentityRef, Failure> {
    let (of, which) = identity_ref(reference)?;
    if of == *tenant { Ok(which) } else { Err(Failure::field("identity.tenant", "must be the tenant of the request")) }
}

/// An etag of content; none when there is none.
pub(crate) fn etag(etag: &str) -> Result<Option<Etag>, Failure> {
    match etag {
        "" => Ok(None),
        etag => Etag::try_from(etag).map(Some).map_err(Failure::name("etag")),
    }
}

/// The version that an etag stands for; none when there is none.
pub(crate) fn version(etag: &str) -> Result<Option<u64>, Failure> {
    match etag {
        "" => Ok(None),
        etag => etag.parse().map(Some).map_err(|_| Failure::field("etag", "must be one that was answered")),
    }
}

/// An instant, kept to the microsecond.
pub(crate) fn instant(field: &'static str, at: prost_types::Timestamp) -> Result<Timestamp, Failure> {
    let micros = at.seconds.checked_mul(1_000_000).and_then(|micros| micros.checked_add(i64::from(at.nanos) / 1_000));
    match micros {
        Some(micros) if (0..1_000_000_000).contains(&at.nanos) => Ok(Timestamp::from_micros(micros)),
        Some(_) | None => Err(Failure::field(field, "must be a point in time")),
    }
}

/// Names of roles.
pub(crate) fn roles(field: &'static str, names: &[String]) -> Result<Vec<RoleName>, Failure> {
    names.iter().map(|name| RoleName::try_from(name.as_str()).map_err(Failure::name(field))).collect()
}

/// A label; empty means none.
pub(crate) fn label(field: &'static str, text: &str) -> Result<Option<Label>, Failure> {
    if text.is_empty() { Ok(None) } else { Label::try_from(text).map(Some).map_err(Failure::name(field)) }
}

/// A client application; empty means none.
pub(crate) fn client(field: &'static str, text: &str) -> Result<Option<ClientId>, Failure> {
    if text.is_empty() { Ok(None) } else { ClientId::try_from(text).map(Some).map_err(Failure::name(field)) }
}

/// A page.
pub(crate) fn page(size: u32, token: &str) -> Result<Page, Failure> {
    Ok(Page::new(size, token)?)
}

/// A page of a list that had none once, and whose callers of that time ask for no size.
pub(crate) fn page_up_to(size: u32, unless_asked: u32, token: &str) -> Result<Page, Failure> {
    page(if size == 0 { unless_asked } else { size }, token)
}

/// The items of a page and the token for the next.
pub(crate) fn paged<T, U>(page: Paged<T>, to_wire: impl FnMut(T) -> U) -> (Vec<U>, String) {
    (page.items.into_iter().map(to_wire).collect(), page.next.unwrap_or_default())
}

/// A value of an enumeration, which a filter must not take for none where it is of a later version.
pub(crate) fn one_of<E: TryFrom<i32>>(field: &'static str, number: i32) -> Result<E, Failure> {
    E::try_from(number).map_err(|_| Failure::field(field, "is not a value that is known here"))
}

/// A kind of identity, which must be said.
pub(crate) fn identity_kind(kind: v1::IdentityKind) -> Result<IdentityKind, Failure> {
    match kind {
        v1::IdentityKind::User => Ok(IdentityKind::User),
        v1::IdentityKind::Service => Ok(IdentityKind::Service),
        v1::IdentityKind::Unspecified => Err(Failure::field("kind", "must be user or service")),
    }
}

/// Where identities shall stand; none: anywhere.
pub(crate) const fn identity_state(state: v1::IdentityState) -> Option<IdentityState> {
    match state {
        v1::IdentityState::Unspecified => None,
        v1::IdentityState::Active => Some(IdentityState::Active),
        v1::IdentityState::Disabled => Some(IdentityState::Disabled),
        v1::IdentityState::Deleted => Some(IdentityState::Deleted),
    }
}

/// As it travels.
pub(crate) const fn identity_kind_to_wire(kind: IdentityKind) -> v1::IdentityKind {
    match kind {
        IdentityKind::User => v1::IdentityKind::User,
        IdentityKind::Service => v1::IdentityKind::Service,
    }
}

/// Grants of a role.
pub(crate) fn grants(grants: &[v1::Grant]) -> Result<Vec<Grant>, Failure> {
    grants.iter().map(grant).collect()
}

fn grant(grant: &v1::Grant) -> Result<Grant, Failure> {
    let action = match grant.action() {
        v1::Action::Subscribe => Action::Subscribe,
        v1::Action::Publish => Action::Publish,
        v1::Action::Presence => Action::Presence,
        v1::Action::History => Action::History,
        v1::Action::Call => Action::Call,
        v1::Action::Unspecified => return Err(Failure::field("grants.action", "must be one of the actions")),
    };
    let pattern = Pattern::try_from(grant.pattern.as_str()).map_err(Failure::name("grants.pattern"))?;
    Ok(Grant { action, pattern })
}

/// As it travels.
pub(crate) fn grant_to_wire(grant: &Grant) -> v1::Grant {
    let action = match grant.action {
        Action::Subscribe => v1::Action::Subscribe,
        Action::Publish => v1::Action::Publish,
        Action::Presence => v1::Action::Presence,
        Action::History => v1::Action::History,
        Action::Call => v1::Action::Call,
    };
    v1::Grant { action: action.into(), pattern: grant.pattern.as_str().to_owned() }
}

/// As it travels.
pub(crate) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let nanos = at.as_micros().rem_euclid(1_000_000) * 1_000;
    let nanos = i32::try_from(nanos).expect("less than a second's nanoseconds");
    prost_types::Timestamp { seconds: at.as_unix_seconds(), nanos }
}

/// Whole milliseconds as the contract counts them; saturates.
pub(crate) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The same, never less: for whoever is told to wait.
pub(crate) fn millis_up(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(i64::MAX)
}

/// A secret on its way to its owner, as text.
pub(crate) fn secret(secret: &Secret) -> Result<String, Failure> {
    secret.expose_str().map(str::to_owned).ok_or_else(|| {
        tracing::error!("an issued secret that is not text");
        Failure::new(Reason::Internal, "internal error")
    })
}

/// As it travels.
pub(crate) fn tenant_to_wire(tenant: Tenant) -> v1::Tenant {
    let state = match tenant.state {
        TenantState::Active => v1::TenantState::Active,
        TenantState::Suspended => v1::TenantState::Suspended,
        TenantState::Deleted => v1::TenantState::Deleted,
    };
    v1::Tenant {
        name: tenant.name.to_string(),
        created_at: Some(timestamp(tenant.created_at)),
        display_name: label_to_wire(tenant.display_name.as_ref()),
        state: state.into(),
        lease_class: v1::LeaseClass::from(tenant.lease_class).into(),
        etag: tenant.version.to_string(),
        sessions_ended_before: tenant.ended_before.map(timestamp),
    }
}

/// As it travels; none is empty.
pub(crate) fn label_to_wire(label: Option<&Label>) -> String {
    label.map_or_else(String::new, |label| label.as_str().to_owned())
}

/// As it travels.
pub(crate) fn identity_to_wire(identity: Identity) -> v1::Identity {
    let state = match identity.state {
        IdentityState::Active => v1::IdentityState::Active,
        IdentityState::Disabled => v1::IdentityState::Disabled,
        IdentityState::Deleted => v1::IdentityState::Deleted,
    };
    v1::Identity {
        tenant: identity.tenant.to_string(),
        id: identity.id.to_string(),
        kind: identity_kind_to_wire(identity.kind).into(),
        name: identity.name.to_string(),
        state: state.into(),
        roles: identity.roles.iter().map(ToString::to_string).collect(),
        created_at: Some(timestamp(identity.created_at)),
        display_name: label_to_wire(identity.display_name.as_ref()),
        etag: identity.version.to_string(),
        attributes: identity.attributes.into_map(),
    }
}

/// As it travels.
pub(crate) fn role_to_wire(role: Role) -> v1::Role {
    v1::Role {
        tenant: role.tenant.to_string(),
        name: role.name.to_string(),
        etag: role.etag().to_string(),
        grants: role.grants.iter().map(grant_to_wire).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_1970_keeps_its_nanoseconds_positive() {
        let wire = timestamp(Timestamp::from_micros(-1));
        assert_eq!((wire.seconds, wire.nanos), (-1, 999_999_000));
    }

    #[test]
    fn an_instant_comes_back_as_it_went_and_nonsense_is_refused() {
        for micros in [0, -1, 1_700_000_000_123_456] {
            let at = Timestamp::from_micros(micros);
            assert_eq!(instant("at", timestamp(at)), Ok(at));
        }
        for (seconds, nanos) in [(i64::MAX, 0), (0, -1), (0, 1_000_000_000)] {
            assert!(instant("at", prost_types::Timestamp { seconds, nanos }).is_err());
        }
    }

    #[test]
    fn a_reference_without_an_identity_is_refused() {
        assert!(identity_ref(None).is_err());
        let reference = v1::IdentityReference { tenant: "demo".into(), identity: None };
        assert!(identity_ref(Some(reference)).is_err());
    }
}

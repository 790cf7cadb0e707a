//! External issuers, and what was seen of theirs.

use auth_domain::{ClaimName, ExternalMark, Issuer, IssuerAlgorithm, IssuerSubject, Mapping, RoleRule, StoreError};
use portcullis_types::{CredentialId, IdentityId, IssuerId, RoleName, SessionId};

use super::{Cells, Columns, Read, grants_of_roles, list};

pub(crate) fn issuer(row: &impl Cells) -> Read<Issuer> {
    let row = Columns(row);
    Ok(Issuer {
        id: IssuerId::from_bytes(row.array("id")?),
        tenant: row.name("tenant")?,
        name: row.name("name")?,
        url: row.name("url")?,
        audience: row.name("audience")?,
        algorithms: row.names("algorithms")?,
        mapping: Mapping {
            name: row.name("name_template")?,
            roles: rules(row.text("role_rules")?)?,
            create_identities: row.number("create_identities")? != 0,
            link_identities: row.number("link_identities")? != 0,
        },
        created_at: row.at("created_at")?,
        removed_at: row.maybe_at("removed_at")?,
        revoked_seq: row.maybe_seq("revoked_seq")?,
    })
}

fn rules(text: &str) -> Read<Vec<RoleRule>> {
    let corrupt = |_| StoreError::Corrupt { what: "role_rules" };
    let rules: Vec<(String, String, String)> =
        serde_json::from_str(text).map_err(|_| StoreError::Corrupt { what: "role_rules" })?;
    let rules = rules.into_iter().map(|(claim, value, role)| {
        let (claim, role) = (ClaimName::try_from(&*claim), RoleName::try_from(&*role));
        Ok(RoleRule { claim: claim.map_err(corrupt)?, value: value.into(), role: role.map_err(corrupt)? })
    });
    rules.collect()
}

/// As [`issuer`] reads them.
pub(crate) fn rules_text(mapping: &Mapping) -> String {
    list(mapping.roles.iter().map(|rule| vec![rule.claim.as_str(), &*rule.value, rule.role.as_str()]))
}

/// As [`issuer`] reads them.
pub(crate) fn algorithms_text(algorithms: &[IssuerAlgorithm]) -> String {
    list(algorithms.iter().map(|algorithm| algorithm.name()))
}

/// Of a standing: who signed, when nobody here did.
pub(super) fn external_mark(row: &impl Cells) -> Read<Option<ExternalMark>> {
    let columns = Columns(row);
    let Some(issuer) = columns.maybe_array("u_id")? else { return Ok(None) };
    Ok(Some(ExternalMark {
        issuer: IssuerId::from_bytes(issuer),
        is_removed: columns.maybe_at("u_removed_at")?.is_some(),
        revoked_seq: columns.maybe_seq("u_revoked_seq")?,
        roles: columns.names("e_roles")?,
        grants: grants_of_roles(columns.maybe_text("e_grants")?.unwrap_or_default())?,
    }))
}

pub(crate) fn credential_id(row: &impl Cells) -> Read<CredentialId> {
    Ok(CredentialId::from_bytes(Columns(row).array("credential")?))
}

pub(crate) fn session_id(row: &impl Cells) -> Read<SessionId> {
    Ok(SessionId::from_bytes(Columns(row).array("session")?))
}

pub(crate) fn bound_identity(row: &impl Cells) -> Read<IdentityId> {
    Ok(IdentityId::from_bytes(Columns(row).array("identity")?))
}

pub(crate) fn subject(row: &impl Cells) -> Read<IssuerSubject> {
    let row = Columns(row);
    Ok(IssuerSubject {
        issuer: IssuerId::from_bytes(row.array("issuer")?),
        issuer_name: row.name("issuer_name")?,
        is_trusted: row.maybe_at("removed_at")?.is_none(),
        subject: row.array("subject")?,
        identity: IdentityId::from_bytes(row.array("identity")?),
        identity_name: row.name("identity_name")?,
    })
}

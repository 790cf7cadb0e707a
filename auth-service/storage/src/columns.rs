//! The columns that rows are read from in every store, under names that may begin with a prefix: one statement reads several rows beside
//! each other. Tables are named `t` (tenants), `i` (identities) and `s` (sessions) in it.

macro_rules! tenant_columns {
    ($prefix:literal) => {
        concat!(
            "t.name AS ",
            $prefix,
            "name, t.display_name AS ",
            $prefix,
            "display_name, t.suspended_at AS ",
            $prefix,
            "suspended_at, t.deleted_at AS ",
            $prefix,
            "deleted_at, t.version AS ",
            $prefix,
            "version, t.created_at AS ",
            $prefix,
            "created_at, t.lease_class AS ",
            $prefix,
            "lease_class, t.ended_before AS ",
            $prefix,
            "ended_before, t.revoked_seq AS ",
            $prefix,
            "revoked_seq"
        )
    };
}

macro_rules! identity_columns {
    ($prefix:literal) => {
        concat!(
            "i.tenant AS ", $prefix, "tenant, i.id AS ", $prefix, "id, i.kind AS ", $prefix, "kind, i.name AS ", $prefix,
            "name, i.display_name AS ", $prefix, "display_name, i.attributes AS ", $prefix, "attributes, ",
            "CASE WHEN i.deleted_at IS NULL THEN i.state ELSE 'deleted' END AS ", $prefix, "state, i.version AS ", $prefix,
            "version, i.created_at AS ", $prefix, "created_at, i.revoked_seq AS ", $prefix, "revoked_seq, ",
            "(SELECT string_agg(m.role, ' ') FROM identity_roles m WHERE m.tenant = i.tenant AND m.identity = i.id) AS ",
            $prefix, "roles"
        )
    };
}

macro_rules! session_columns {
    ($prefix:literal) => {
        concat!(
            "s.tenant AS ",
            $prefix,
            "tenant, s.id AS ",
            $prefix,
            "id, s.identity AS ",
            $prefix,
            "identity, s.device AS ",
            $prefix,
            "device, s.client AS ",
            $prefix,
            "client, s.issue_seq AS ",
            $prefix,
            "issue_seq, s.issue_chain AS ",
            $prefix,
            "issue_chain, s.created_at AS ",
            $prefix,
            "created_at, s.expires_at AS ",
            $prefix,
            "expires_at, s.revoked_seq AS ",
            $prefix,
            "revoked_seq, s.amr AS ",
            $prefix,
            "amr, s.authenticated_at AS ",
            $prefix,
            "authenticated_at"
        )
    };
}

/// Rows of the audit trail, with what follows `FROM audit`.
macro_rules! audit {
    ($rest:literal) => {
        concat!(
            "SELECT id, at, tenant, actor, action, target, outcome, reason, request, identity, detail, address ",
            "FROM audit ",
            $rest
        )
    };
}

pub(crate) use {audit, identity_columns, session_columns, tenant_columns};

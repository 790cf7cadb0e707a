//! The statements that empty a deleted tenant, for every store: they are the same words.
//!
//! In each step `$1` is the tenant and `$2` how many rows go at most. What rests on something goes in a step before it: a step
//! that removed fewer than it might has left nothing. One that takes several statements chooses the same rows in each.

/// The tenants that are still looked after, with something beneath them, or nothing.
macro_rules! left {
    ($beneath:literal) => {
        concat!(
            "t.deleted_at IS NOT NULL AND t.emptied_at IS NULL AND ",
            $beneath,
            " (
               EXISTS (SELECT 1 FROM credentials x WHERE x.tenant = t.name)
            OR EXISTS (SELECT 1 FROM sessions x WHERE x.tenant = t.name)
            OR EXISTS (SELECT 1 FROM identity_roles x WHERE x.tenant = t.name)
            OR EXISTS (SELECT 1 FROM passwords x WHERE x.tenant = t.name)
            OR EXISTS (SELECT 1 FROM totp_factors x WHERE x.tenant = t.name)
            OR EXISTS (SELECT 1 FROM recovery_codes x WHERE x.tenant = t.name)
            OR EXISTS (SELECT 1 FROM login_continuations x WHERE x.tenant = t.name)
            OR EXISTS (SELECT 1 FROM password_resets x WHERE x.tenant = t.name)
            OR EXISTS (SELECT 1 FROM issuer_subjects x WHERE x.tenant = t.name)
            OR EXISTS (SELECT 1 FROM identities x WHERE x.tenant = t.name)
            OR EXISTS (SELECT 1 FROM roles x WHERE x.tenant = t.name)
            OR EXISTS (SELECT 1 FROM clients x WHERE x.tenant = t.name)
            OR EXISTS (SELECT 1 FROM issuers x WHERE x.tenant = t.name))"
        )
    };
}

pub(crate) const TENANT_TO_EMPTY: &str =
    concat!("SELECT t.name FROM tenants t WHERE ", left!(""), " ORDER BY t.deleted_at, t.name LIMIT 1");

/// `$1`: deleted before this. `$2`: how many are counted.
pub(crate) const COUNT_EMPTIED: &str = concat!(
    "SELECT count(*) AS found FROM (SELECT 1 FROM tenants t WHERE t.deleted_at < $1 AND ",
    left!("NOT"),
    " LIMIT $2) x"
);

/// The same, and `$3`: now.
pub(crate) const NOTE_EMPTIED: &str = concat!(
    "UPDATE tenants SET emptied_at = $3 WHERE name IN (SELECT t.name FROM tenants t WHERE t.deleted_at < $1 AND ",
    left!("NOT"),
    " ORDER BY t.deleted_at LIMIT $2)"
);

/// Whom it trusted is whom another tenant may trust.
pub(crate) const TRUST_NOBODY: &str = "UPDATE issuers SET removed_at = $2 WHERE tenant = $1 AND removed_at IS NULL";

macro_rules! credentials {
    () => {
        "(SELECT c.id FROM credentials c WHERE c.tenant = $1 ORDER BY c.identity, c.id LIMIT $2)"
    };
}
macro_rules! sessions {
    () => {
        "(SELECT s.id FROM sessions s WHERE s.tenant = $1 ORDER BY s.id LIMIT $2)"
    };
}
/// Rows of a table that names its tenant, by its primary key.
macro_rules! of_tenant {
    ($table:literal, $key:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE (",
            $key,
            ") IN (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE tenant = $1 ORDER BY ",
            $key,
            " LIMIT $2)"
        )
    };
}
/// Rows of a table that names an issuer, where what they were of is gone.
macro_rules! of_issuers {
    ($table:literal, $key:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE (",
            $key,
            ") IN (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE issuer IN (SELECT i.id FROM issuers i WHERE i.tenant = $1) LIMIT $2)"
        )
    };
}

/// What is executed one after the other, until enough is gone.
pub(crate) const STEPS: &[&[&str]] = &[
    &[
        // The name in a certificate is given again.
        concat!("DELETE FROM certificate_names WHERE credential IN ", credentials!()),
        concat!("DELETE FROM issuer_tokens WHERE credential IN ", credentials!()),
        concat!("DELETE FROM credentials WHERE id IN ", credentials!()),
    ],
    &[
        concat!("DELETE FROM issuer_sessions WHERE session IN ", sessions!()),
        concat!("DELETE FROM sessions WHERE tenant = $1 AND id IN ", sessions!()),
    ],
    &[of_tenant!("identity_roles", "tenant, identity, role")],
    &[of_tenant!("passwords", "tenant, identity")],
    &[of_tenant!("totp_factors", "tenant, identity")],
    &[of_tenant!("recovery_codes", "tenant, identity, digest")],
    &[of_tenant!("login_continuations", "id")],
    &[of_tenant!("password_resets", "id")],
    &[of_tenant!("issuer_subjects", "issuer, subject")],
    &[of_tenant!("identities", "tenant, id")],
    &[of_tenant!("roles", "tenant, name")],
    &[of_tenant!("clients", "tenant, id")],
    &[of_issuers!("issuer_sessions", "issuer, sid, epoch, identity, client")],
    &[of_issuers!("issuer_tokens", "issuer, digest")],
    &[of_tenant!("issuers", "tenant, id")],
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sqlx::migrate::Migrator;

    use super::*;
    use crate::{postgres, sqlite};

    /// The names that stand behind these words, each up to what is no part of one.
    fn after(sql: &str, words: &str) -> BTreeSet<String> {
        let names = sql.split(words).skip(1);
        names.map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()).collect()
    }

    fn tables_with_a_tenant(migrations: &Migrator) -> BTreeSet<String> {
        let statements = migrations.iter().flat_map(|migration| migration.sql.as_str().split(';'));
        let made = statements.filter(|sql| sql.contains("CREATE TABLE ") && sql.contains("\n    tenant "));
        made.flat_map(|sql| after(sql, "CREATE TABLE ")).collect()
    }

    #[test]
    fn of_a_deleted_tenant_no_table_is_left_out() {
        let kept: BTreeSet<String> = ["requests", "audit"].map(str::to_owned).into();
        let removed: BTreeSet<_> =
            STEPS.iter().flat_map(|step| *step).flat_map(|sql| after(sql, "DELETE FROM ")).collect();
        let looked_for = after(TENANT_TO_EMPTY, "SELECT 1 FROM ");
        for migrations in [&sqlite::MIGRATOR, &postgres::MIGRATOR] {
            let tables = tables_with_a_tenant(migrations);
            assert!(tables.contains("credentials") && tables.contains("login_continuations"), "{tables:?}");
            let emptied: BTreeSet<_> = tables.difference(&kept).cloned().collect();
            assert!(emptied.is_subset(&removed), "{:?} would stay", emptied.difference(&removed));
            assert_eq!(emptied, looked_for, "what is looked for");
        }
    }
}

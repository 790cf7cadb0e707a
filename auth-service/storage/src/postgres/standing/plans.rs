//! How the statements that ride on every verdict are carried out on a database with rows in it.

use portcullis_types::{Secret, SeededEntropy};
use sqlx::{AssertSqlSafe, Row as _};
use test_postgres::Database;

use super::super::{DatabaseUrl, PostgresSettings, PostgresStore};
use super::{CERTIFIED, STANDING, STANDINGS, WITH_PARENT};

/// One tenant has nearly everything, so that whatever goes through a tenant goes through a table.
const FILL: &str = r#"
CREATE FUNCTION pg_temp.id(kind TEXT, n BIGINT) RETURNS BYTEA AS $$ SELECT decode(md5(kind || n), 'hex') $$ LANGUAGE sql;
INSERT INTO tenants (name, created_at) SELECT CASE n WHEN 0 THEN 'big' ELSE 'small-' || n END, 0 FROM generate_series(0, 2000) n;
INSERT INTO roles (tenant, name, grants) SELECT 'big', 'role-' || n, '[["subscribe","room:*"]]' FROM generate_series(0, 2000) n;
INSERT INTO identities (tenant, id, kind, name, state, created_at)
    SELECT 'big', pg_temp.id('identity', n), 'user', 'user-' || n, 'active', 0 FROM generate_series(0, 4000) n;
INSERT INTO identity_roles (tenant, identity, role)
    SELECT 'big', pg_temp.id('identity', n / 2), 'role-' || n % 2000 FROM generate_series(0, 8000) n;
INSERT INTO clients (tenant, id, revoked_seq) SELECT 'big', 'client-' || n, 1 FROM generate_series(0, 2000) n;
INSERT INTO signing_keys (id, state, public_key, sealed_private, kek_id, created_at)
    SELECT pg_temp.id('key', n), 'retained', '', '', 'kek', 0 FROM generate_series(0, 2000) n;
INSERT INTO revocation_log (shard, seq, prev_chain, chain, committed_at, payload)
    SELECT 0, n, pg_temp.id('entry', n - 1), pg_temp.id('entry', n), 0, '' FROM generate_series(1, 4000) n;
INSERT INTO sessions (tenant, id, identity, client, issue_seq, issue_chain, created_at, expires_at)
    SELECT 'big', pg_temp.id('session', n), pg_temp.id('identity', n % 4000), 'client-' || n % 2000, n % 4000, 0, 0, 1
    FROM generate_series(0, 8000) n;
INSERT INTO credentials (id, tenant, identity, session, kind, parent, scopes, audiences, origins, issue_seq, issue_chain,
                         signing_key, created_at, expires_at, signature_key, signature_holder)
    SELECT pg_temp.id('credential', n), 'big', pg_temp.id('identity', n % 4000), pg_temp.id('session', n % 8000),
           CASE n % 5 WHEN 0 THEN 'access_token' WHEN 1 THEN 'ticket' WHEN 2 THEN 'api_key' ELSE 'session_cookie' END,
           pg_temp.id('credential', n - 1), '', '[]', '[]', n % 4000, 0, pg_temp.id('key', n % 2000), 0, 1,
           CASE n % 20 WHEN 2 THEN 'public-' || n END, CASE n % 20 WHEN 2 THEN pg_temp.id('session', n % 8000) END
    FROM generate_series(0, 20000) n;
INSERT INTO certificate_names (name, credential) SELECT 'name-' || n, pg_temp.id('credential', n) FROM generate_series(0, 2000) n;
INSERT INTO issuers (tenant, id, name, url, audience, algorithms, name_template, role_rules, create_identities, link_identities,
                     created_at)
    SELECT 'big', pg_temp.id('issuer', n), 'issuer-' || n, 'https://issuer-' || n, 'app', '[]', '', '[]', 0, 0, 0
    FROM generate_series(0, 2000) n;
INSERT INTO issuer_tokens (issuer, digest, credential, roles)
    SELECT pg_temp.id('issuer', n % 2000), pg_temp.id('token', n) || pg_temp.id('token', -n), pg_temp.id('credential', n * 5),
           '["role-1","role-2"]'
    FROM generate_series(0, 4000) n;
"#;

/// By which index each table is looked into. Another one of the same table would go through everything of a tenant.
const INDEXES: [(&str, &str); 14] = [
    ("credentials c", "credentials_pkey"),
    ("credentials p", "credentials_pkey"),
    ("credentials g", "signature_keys_of_a_holder"),
    ("sessions", "sessions_pkey"),
    ("identities", "identities_pkey"),
    ("tenants", "tenants_pkey"),
    ("signing_keys", "signing_keys_pkey"),
    ("issuer_tokens", "issuer_tokens_credential_key"),
    ("issuers", "issuers_id_key"),
    ("clients", "clients_pkey"),
    ("revocation_log", "revocation_log_pkey"),
    ("identity_roles", "identity_roles_pkey"),
    ("roles", "roles_pkey"),
    ("certificate_names", "certificate_names_pkey"),
];

/// A table by its name; credentials with what they are called in the statement, because they are in it several times.
fn table(named: &str) -> String {
    if named.starts_with("credentials") {
        named.to_owned()
    } else {
        named.split(' ').next().unwrap_or(named).to_owned()
    }
}

/// What a plan looks into, and by which index; by none where it goes through all of it.
fn scans(plan: &[String]) -> Vec<(String, Option<String>)> {
    let (mut scans, mut heap) = (Vec::new(), String::new());
    for (line, next) in plan.iter().zip(plan.iter().skip(1)) {
        let node = line.trim_start().trim_start_matches("->  ");
        let node = node.split("  (").next().unwrap_or(node);
        // An index without a condition is gone through like a table.
        let by = |index: &str| next.trim_start().starts_with("Index Cond: ").then(|| index.to_owned());
        if let Some(named) = node.strip_prefix("Bitmap Heap Scan on ") {
            heap = table(named);
        } else if let Some(index) = node.strip_prefix("Bitmap Index Scan on ") {
            scans.push((heap.clone(), by(index)));
        } else if let Some((_, named)) = node.split_once("Seq Scan on ") {
            scans.push((table(named), None));
        } else if let Some((index, named)) = node.split_once(" using ").and_then(|(_, rest)| rest.split_once(" on ")) {
            scans.push((table(named), by(index)));
        }
    }
    scans
}

async fn explain(
    store: &PostgresStore,
    mode: &str,
    name: &str,
    (takes, given, statement): (&str, &str, &str),
) -> Vec<String> {
    let mut connection = store.pools.current().readers.acquire().await.expect("connects");
    let prepare = format!("SET plan_cache_mode = {mode}; PREPARE {name} ({takes}) AS {statement}");
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.expect("prepares");
    let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE {name} ({given})"));
    let plan = sqlx::raw_sql(explain).fetch_all(&mut *connection).await.expect("explains");
    plan.iter().map(|line| line.get::<String, _>(0)).collect()
}

/// A verdict costs as many looks into indexes as it rests on things, however many rows there are, whether the plan is made
/// for what is asked or for whatever may be.
#[tokio::test]
async fn no_verdict_goes_through_a_table_or_a_tenant() {
    let database = Database::empty();
    let url = DatabaseUrl::parse(&Secret::from(&*database.address()), false).expect("a valid address");
    let store = PostgresStore::open(&url, &PostgresSettings::default(), &SeededEntropy::new(1)).await.expect("opens");
    database.query(FILL);
    database.query("VACUUM ANALYZE");
    let id = "decode(md5('credential6'), 'hex')";
    let several = format!("ARRAY[{id}, decode(md5('credential10'), 'hex'), decode(md5('credential7'), 'hex')]");
    let statements = [
        ("bytea", id, STANDING),
        ("bytea[]", &*several, STANDINGS),
        ("text", "'name-1'", CERTIFIED),
        ("bytea", id, WITH_PARENT),
    ];
    for (number, statement) in statements.into_iter().enumerate() {
        for mode in ["force_generic_plan", "force_custom_plan"] {
            let plan = explain(&store, mode, &format!("{mode}_{number}"), statement).await;
            let scans = scans(&plan);
            let every = INDEXES.iter().filter(|(name, _)| !["credentials p", "certificate_names"].contains(name));
            for (name, _) in every {
                assert!(scans.iter().any(|(table, _)| table == name), "{name} is not in {plan:#?}");
            }
            // There is one head.
            for (table, index) in scans.iter().filter(|(table, _)| table != "revocation_head") {
                let known = INDEXES.iter().find(|(name, _)| name == table).map(|(_, index)| *index);
                assert_eq!(index.as_deref(), known, "{table} in {plan:#?}");
            }
        }
    }
    store.pools.close().await;
}

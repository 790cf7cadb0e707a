//! The revocation log: its beginning, its head, its entries, and the one statement that appends.

use auth_domain::{Answered, Batch, Committed, Head, Request, StoreError, Target};
use portcullis_types::{Chain, Revision, Timestamp};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row as _};

use super::refused;
use super::session::Session;
use crate::rows::{self, Columns, number};

/// Who waits for entries listens here.
pub(super) const CHANNEL: &str = "portcullis_log";

/// Appends: the head row last, its new state in the log and in the marked rows, the answer remembered, the listeners
/// woken at commit. One statement, so that the head is locked for this and the commit only.
/// $1 payload, $2 time, $3 to $7 the requests and their contents, $8 and $9 the keys of what is marked, $10 what the
/// answers are about. `m` are the rows that were marked.
macro_rules! append {
    () => {
        append!("m AS (SELECT 1 WHERE false)")
    };
    ($($marks:literal)+) => {
        concat!(
            "WITH h AS (
                 UPDATE revocation_head
                 SET seq = seq + 1, prev_chain = chain, chain = substr(sha256(chain || sha256($1)), 1, 16)
                 WHERE shard = 0 RETURNING seq, prev_chain, chain),
             l AS (
                 INSERT INTO revocation_log (shard, seq, prev_chain, chain, committed_at, payload)
                 SELECT 0, seq, prev_chain, chain, $2, $1 FROM h),
             a AS (
                 INSERT INTO requests (tenant, actor, request, asker, content, seq, chain, committed_at, subject,
                                       answered_at)
                 SELECT r.tenant, r.actor, r.request, r.asker, r.content, h.seq,
                        ('x' || encode(substr(h.chain, 1, 8), 'hex'))::bit(64)::bigint, $2, r.subject, $2
                 FROM h, unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $10::text[])
                         r (tenant, actor, request, asker, content, subject)),
             k AS (SELECT * FROM unnest($8::text[], $9::bytea[]) k (tenant, id)), ",
            $($marks,)+
            " SELECT seq, chain, (SELECT count(*) FROM m) AS marked, pg_notify('portcullis_log', '') FROM h"
        )
    };
}

/// How rows of a kind are locked in the order of their keys, and marked with the number of the entry that kills them:
/// in the statement that appends it or, where a batch kills rows of several kinds, after it.
struct Kind {
    lock: &'static str,
    append: &'static str,
    mark: &'static str,
}

const APPEND: &str = append!();

const TENANTS: Kind = Kind {
    lock: "SELECT 1 FROM tenants t JOIN unnest($1::text[], $2::bytea[]) k (tenant, id) ON t.name = k.tenant
           ORDER BY t.name FOR NO KEY UPDATE OF t",
    append: append!("m AS (UPDATE tenants t SET revoked_seq = h.seq FROM h, k WHERE t.name = k.tenant RETURNING 1)"),
    mark: "UPDATE tenants t SET revoked_seq = $1 FROM unnest($2::text[], $3::bytea[]) k (tenant, id)
           WHERE t.name = k.tenant",
};

macro_rules! rows_with_tenant_and_id {
    ($table:literal) => {
        Kind {
            lock: concat!(
                "SELECT 1 FROM ",
                $table,
                " t JOIN unnest($1::text[], $2::bytea[]) k (tenant, id) ON t.tenant = k.tenant AND t.id = k.id
                 ORDER BY t.tenant, t.id FOR NO KEY UPDATE OF t"
            ),
            append: append!(
                "m AS (UPDATE " $table
                " t SET revoked_seq = h.seq FROM h, k WHERE t.tenant = k.tenant AND t.id = k.id RETURNING 1)"
            ),
            mark: concat!(
                "UPDATE ",
                $table,
                " t SET revoked_seq = $1 FROM unnest($2::text[], $3::bytea[]) k (tenant, id)
                 WHERE t.tenant = k.tenant AND t.id = k.id"
            ),
        }
    };
}

const IDENTITIES: Kind = rows_with_tenant_and_id!("identities");
const SESSIONS: Kind = rows_with_tenant_and_id!("sessions");
const CREDENTIALS: Kind = rows_with_tenant_and_id!("credentials");
const ISSUERS: Kind = rows_with_tenant_and_id!("issuers");

/// A client application has no row before it is killed for the first time: locking it makes one.
const CLIENTS: Kind = Kind {
    lock: "INSERT INTO clients AS t (tenant, id, revoked_seq)
           SELECT tenant, convert_from(id, 'UTF8'), 0 FROM unnest($1::text[], $2::bytea[]) k (tenant, id) ORDER BY 1, 2
           ON CONFLICT (tenant, id) DO UPDATE SET revoked_seq = t.revoked_seq RETURNING 1",
    append: append!(
        "m AS (UPDATE clients t SET revoked_seq = h.seq FROM h, k
               WHERE t.tenant = k.tenant AND t.id = convert_from(k.id, 'UTF8') RETURNING 1)"
    ),
    mark: "UPDATE clients t SET revoked_seq = $1 FROM unnest($2::text[], $3::bytea[]) k (tenant, id)
           WHERE t.tenant = k.tenant AND t.id = convert_from(k.id, 'UTF8')",
};

const SIGNING_KEYS: Kind = Kind {
    lock: "SELECT 1 FROM signing_keys t JOIN unnest($1::text[], $2::bytea[]) k (tenant, id) ON t.id = k.id
           ORDER BY t.id FOR NO KEY UPDATE OF t",
    append: append!("m AS (UPDATE signing_keys t SET revoked_seq = h.seq FROM h, k WHERE t.id = k.id RETURNING 1)"),
    mark: "UPDATE signing_keys t SET revoked_seq = $1 FROM unnest($2::text[], $3::bytea[]) k (tenant, id)
           WHERE t.id = k.id",
};

const UNMARKED: StoreError = StoreError::Corrupt { what: "a batch kills what has no row" };

/// In the order in which they are locked: whoever contains before what is contained.
const KINDS: [&Kind; 7] = [&TENANTS, &IDENTITIES, &SESSIONS, &CREDENTIALS, &CLIENTS, &SIGNING_KEYS, &ISSUERS];

/// The rows of one kind that a batch kills, by the columns of their keys, each once.
struct Killed<'b> {
    kind: &'static Kind,
    tenants: Vec<&'b str>,
    ids: Vec<&'b [u8]>,
}

/// Where the row of a target is: the place of its kind in [`KINDS`], and its key. A role is not alive: what rests on it
/// is judged again.
fn row_of(target: &Target) -> Option<(usize, &str, &[u8])> {
    Some(match target {
        Target::Tenant(tenant) => (0, tenant.as_str(), &[]),
        Target::Identity(tenant, id) => (1, tenant.as_str(), id.as_bytes()),
        Target::Session(tenant, id) => (2, tenant.as_str(), id.as_bytes()),
        Target::Credential(tenant, id) => (3, tenant.as_str(), id.as_bytes()),
        Target::Client(tenant, id) => (4, tenant.as_str(), id.as_str().as_bytes()),
        Target::SigningKey(id) => (5, "", id.as_bytes()),
        Target::Issuer(tenant, id) => (6, tenant.as_str(), id.as_bytes()),
        Target::Role(..) => return None,
    })
}

fn killed_by(batch: &Batch) -> Vec<Killed<'_>> {
    let mut rows: Vec<_> = batch.killed().filter_map(row_of).collect();
    rows.sort_unstable();
    rows.dedup();
    let of_one_kind = rows.chunk_by(|one, other| one.0 == other.0).map(|rows| Killed {
        kind: KINDS[rows[0].0],
        tenants: rows.iter().map(|row| row.1).collect(),
        ids: rows.iter().map(|row| row.2).collect(),
    });
    of_one_kind.collect()
}

impl Killed<'_> {
    /// Every one has a row, or nothing is killed: it was removed since it was found.
    async fn lock(&self, session: &mut Session) -> Result<(), StoreError> {
        let query = sqlx::query(self.kind.lock).bind(&self.tenants).bind(&self.ids);
        if session.all(query).await?.len() == self.ids.len() { Ok(()) } else { Err(StoreError::Conflict) }
    }

    async fn mark(&self, session: &mut Session, head: Head) -> Result<(), StoreError> {
        let query = sqlx::query(self.kind.mark).bind(number(head.seq)).bind(&self.tenants).bind(&self.ids);
        self.all_are_marked(session.execute(query).await?.rows_affected())
    }

    /// They are locked: a database that marks others, or none of them, does something else than it is told.
    fn all_are_marked(&self, marked: u64) -> Result<(), StoreError> {
        if marked == self.ids.len() as u64 { Ok(()) } else { Err(UNMARKED) }
    }
}

/// Locks what the batch kills, then appends it, marks what it kills, and remembers what it answers.
pub(super) async fn append(session: &mut Session, batch: &Batch, at: Timestamp) -> Result<Head, StoreError> {
    let killed = killed_by(batch);
    if batch.is_shared() {
        session.execute(sqlx::query("SET LOCAL lock_timeout = 250")).await?;
    }
    for rows in &killed {
        rows.lock(session).await?;
    }
    if batch.is_shared() {
        // The head is held for as long as others commit.
        session.execute(sqlx::query("SET LOCAL lock_timeout TO DEFAULT")).await?;
    }
    let (first, others) = match killed.split_first() {
        Some((first, others)) => (Some(first), others),
        None => (None, &[][..]),
    };
    let query = sqlx::query(first.map_or(APPEND, |rows| rows.kind.append)).bind(batch.payload()).bind(at.as_micros());
    let answers = batch.answers();
    let query = query
        .bind(answers.iter().map(|answer| answer.request.tenant.as_str()).collect::<Vec<_>>())
        .bind(answers.iter().map(|answer| answer.request.actor.as_str()).collect::<Vec<_>>())
        .bind(answers.iter().map(|answer| answer.request.id.as_str()).collect::<Vec<_>>())
        .bind(answers.iter().map(|answer| answer.request.actor.who()).collect::<Vec<_>>())
        .bind(answers.iter().map(|answer| &answer.content[..]).collect::<Vec<_>>());
    let query = match first {
        Some(rows) => query.bind(&rows.tenants).bind(&rows.ids),
        None => query.bind(Vec::<&str>::new()).bind(Vec::<&[u8]>::new()),
    };
    let query = query.bind(answers.iter().map(|answer| answer.subject.as_deref()).collect::<Vec<_>>());
    let appended = session.one(query).await?;
    let head = rows::head(&appended)?;
    if let Some(rows) = first {
        rows.all_are_marked(Columns(&appended).seq("marked")?)?;
    }
    for rows in others {
        rows.mark(session, head).await?;
    }
    Ok(head)
}

/// Remembers what a named request was answered with.
pub(super) async fn remember(
    session: &mut Session,
    request: &Request,
    answer: &Answered,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO requests (tenant, actor, request, asker, content, seq, chain, committed_at, has_entry, subject,
               answered_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let nothing = Committed { revision: Revision { seq: 0, chain: 0 }, committed_at: at };
    let committed = answer.committed.unwrap_or(nothing);
    let query = of_request(sqlx::query(sql), request)
        .bind(&answer.content[..])
        .bind(number(committed.revision.seq))
        .bind(committed.revision.chain.cast_signed())
        .bind(committed.committed_at.as_micros())
        .bind(i64::from(answer.committed.is_some()))
        .bind(answer.subject.as_deref())
        .bind(at.as_micros());
    session.execute(query).await.map(drop)
}

/// The tenant, the actor, the name, and whose name it is.
pub(super) fn of_request<'q>(
    query: Query<'q, Postgres, PgArguments>,
    request: &'q Request,
) -> Query<'q, Postgres, PgArguments> {
    let Request { tenant, actor, id } = request;
    query.bind(tenant.as_str()).bind(actor.as_str()).bind(id.as_str()).bind(actor.who())
}

/// Writes the head of an empty log, once for a store.
pub(super) async fn begin(connection: &mut PgConnection, genesis: [u8; 16]) -> Result<(), StoreError> {
    let sql = "INSERT INTO revocation_head (shard, seq, prev_chain, chain, genesis) VALUES (0, 0, $1, $1, $1)
               ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(&genesis[..]).execute(connection).await.map_err(refused)?;
    Ok(())
}

pub(super) async fn head(connection: &mut PgConnection) -> Result<Head, StoreError> {
    let sql = "SELECT seq, chain FROM revocation_head WHERE shard = 0";
    rows::head(&sqlx::query(sql).fetch_one(connection).await.map_err(refused)?)
}

/// The head as the statement that begins a transaction answers it, in text.
pub(super) fn head_of(row: &PgRow) -> Result<Head, StoreError> {
    let chain: [u8; 16] = row.try_get("chain").map_err(refused)?;
    Ok(Head { seq: Columns(row).seq("seq")?, chain: Chain::from_bytes(chain) })
}

pub(super) async fn horizon(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let sql = "SELECT horizon_seq FROM revocation_head WHERE shard = 0";
    Columns(&sqlx::query(sql).fetch_one(connection).await.map_err(refused)?).seq("horizon_seq")
}

/// At most `limit` entries after `seq`, oldest first.
pub(super) fn after<'q>(seq: u64, limit: u32) -> Query<'q, Postgres, PgArguments> {
    let sql = "SELECT seq, prev_chain, chain, committed_at, payload FROM revocation_log
               WHERE shard = 0 AND seq > $1 ORDER BY seq LIMIT $2";
    sqlx::query(sql).bind(number(seq)).bind(i64::from(limit))
}

/// The chain after entry `seq` is the chain of that entry, or, for the horizon and for 0, what the next one began with.
pub(super) fn chain_at<'q>(seq: u64) -> Query<'q, Postgres, PgArguments> {
    let sql = "SELECT chain FROM revocation_head WHERE shard = 0 AND seq = $1
               UNION ALL SELECT chain FROM revocation_log WHERE shard = 0 AND seq = $1
               UNION ALL SELECT prev_chain FROM revocation_log WHERE shard = 0 AND seq = $2
               LIMIT 1";
    sqlx::query(sql).bind(number(seq)).bind(number(seq).saturating_add(1))
}

pub(super) fn position(seq: u64, row: Option<&PgRow>) -> Result<Option<Revision>, StoreError> {
    row.map(|row| Ok(Revision { seq, chain: Columns(row).chain("chain")?.short() })).transpose()
}

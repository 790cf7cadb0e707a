//! The revocation log: its beginning, its head, its entries, and the one statement pair that appends.

use auth_domain::{Answer, Answered, Batch, Committed, Head, LogEntry, Request, StoreError, Target};
use portcullis_types::{Revision, Timestamp};
use sqlx::{SqliteConnection, SqlitePool};

pub(super) use super::rows::number;
use super::rows::{self, Columns};
use super::unavailable;

/// Writes the head of an empty log, once for a store.
pub(super) async fn begin(writer: &SqlitePool, genesis: [u8; 16]) -> Result<(), StoreError> {
    let sql = "INSERT INTO revocation_head (shard, seq, prev_chain, chain, genesis) VALUES (0, 0, ?1, ?1, ?1)
               ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(&genesis[..]).execute(writer).await.map_err(unavailable)?;
    Ok(())
}

pub(super) async fn head(connection: &mut SqliteConnection) -> Result<Head, StoreError> {
    let sql = "SELECT seq, chain FROM revocation_head WHERE shard = 0";
    rows::head(&sqlx::query(sql).fetch_one(connection).await.map_err(unavailable)?)
}

pub(super) async fn horizon(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let sql = "SELECT horizon_seq FROM revocation_head WHERE shard = 0";
    let row = sqlx::query(sql).fetch_one(connection).await.map_err(unavailable)?;
    Columns(&row).seq("horizon_seq")
}

pub(super) async fn after(
    connection: &mut SqliteConnection,
    seq: u64,
    limit: u32,
) -> Result<Vec<LogEntry>, StoreError> {
    let sql = "SELECT seq, prev_chain, chain, committed_at, payload FROM revocation_log
               WHERE shard = 0 AND seq > ?1 ORDER BY seq LIMIT ?2";
    let found = sqlx::query(sql).bind(number(seq)).bind(limit).fetch_all(connection).await.map_err(unavailable)?;
    found.iter().map(rows::log_entry).collect()
}

/// The chain after entry `seq` is the chain of that entry, or, for the horizon and for 0, what the next one began with.
pub(super) async fn revision_at(connection: &mut SqliteConnection, seq: u64) -> Result<Option<Revision>, StoreError> {
    let sql = "SELECT chain FROM revocation_head WHERE shard = 0 AND seq = ?1
               UNION ALL SELECT chain FROM revocation_log WHERE shard = 0 AND seq = ?1
               UNION ALL SELECT prev_chain FROM revocation_log WHERE shard = 0 AND seq = ?1 + 1
               LIMIT 1";
    let row = sqlx::query(sql).bind(number(seq)).fetch_optional(connection).await.map_err(unavailable)?;
    row.map(|row| Ok(Revision { seq, chain: Columns(&row).chain("chain")?.short() })).transpose()
}

/// Marks what the batch kills, remembers what it answers, and appends it after `head`: the head row last.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    head: Head,
    batch: &Batch,
    at: Timestamp,
) -> Result<Head, StoreError> {
    let payload = batch.payload();
    let next = Head { seq: head.seq + 1, chain: head.chain.extended_by(&payload) };
    for target in batch.killed() {
        mark(connection, target, next.seq).await?;
    }
    for Answer { request, content, subject } in batch.answers() {
        let committed = Some(Committed { revision: next.revision(), committed_at: at });
        let answer = Answered { content: *content, committed, subject: subject.clone() };
        remember(connection, request, &answer, at).await?;
    }
    sqlx::query(
        "INSERT INTO revocation_log (shard, seq, prev_chain, chain, committed_at, payload)
         VALUES (0, ?1, ?2, ?3, ?4, ?5)",
    )
    .bind(number(next.seq))
    .bind(&head.chain.as_bytes()[..])
    .bind(&next.chain.as_bytes()[..])
    .bind(at.as_micros())
    .bind(payload)
    .execute(&mut *connection)
    .await
    .map_err(unavailable)?;
    let sql = "UPDATE revocation_head SET seq = ?1, prev_chain = chain, chain = ?2
               WHERE shard = 0 AND seq = ?3 AND chain = ?4";
    let moved = sqlx::query(sql)
        .bind(number(next.seq))
        .bind(&next.chain.as_bytes()[..])
        .bind(number(head.seq))
        .bind(&head.chain.as_bytes()[..])
        .execute(connection)
        .await
        .map_err(unavailable)?;
    if moved.rows_affected() == 1 { Ok(next) } else { Err(StoreError::Conflict) }
}

/// The killed row carries the entry's number for ever.
async fn mark(connection: &mut SqliteConnection, target: &Target, seq: u64) -> Result<(), StoreError> {
    let seq = number(seq);
    let marking = match target {
        Target::Tenant(tenant) => {
            sqlx::query("UPDATE tenants SET revoked_seq = ?1 WHERE name = ?2").bind(seq).bind(tenant.as_str())
        }
        Target::Identity(tenant, id) => {
            sqlx::query("UPDATE identities SET revoked_seq = ?1 WHERE tenant = ?2 AND id = ?3")
                .bind(seq)
                .bind(tenant.as_str())
                .bind(&id.as_bytes()[..])
        }
        Target::Session(tenant, id) => {
            sqlx::query("UPDATE sessions SET revoked_seq = ?1 WHERE tenant = ?2 AND id = ?3")
                .bind(seq)
                .bind(tenant.as_str())
                .bind(&id.as_bytes()[..])
        }
        Target::Credential(tenant, id) => {
            sqlx::query("UPDATE credentials SET revoked_seq = ?1 WHERE tenant = ?2 AND id = ?3")
                .bind(seq)
                .bind(tenant.as_str())
                .bind(&id.as_bytes()[..])
        }
        Target::Client(tenant, id) => sqlx::query(
            "INSERT INTO clients (revoked_seq, tenant, id) VALUES (?1, ?2, ?3)
             ON CONFLICT (tenant, id) DO UPDATE SET revoked_seq = excluded.revoked_seq",
        )
        .bind(seq)
        .bind(tenant.as_str())
        .bind(id.as_str()),
        Target::SigningKey(id) => {
            sqlx::query("UPDATE signing_keys SET revoked_seq = ?1 WHERE id = ?2").bind(seq).bind(&id.as_bytes()[..])
        }
        Target::Issuer(tenant, id) => sqlx::query("UPDATE issuers SET revoked_seq = ?1 WHERE tenant = ?2 AND id = ?3")
            .bind(seq)
            .bind(tenant.as_str())
            .bind(&id.as_bytes()[..]),
        // A role is not alive: what rests on it is judged again.
        Target::Role(..) => return Ok(()),
    };
    let marked = marking.execute(connection).await.map_err(unavailable)?;
    if marked.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Corrupt { what: "a batch kills what has no row" })
    }
}

/// Remembers what a named request was answered with.
pub(super) async fn remember(
    connection: &mut SqliteConnection,
    request: &Request,
    answer: &Answered,
    at: Timestamp,
) -> Result<(), StoreError> {
    let nothing = Committed { revision: Revision { seq: 0, chain: 0 }, committed_at: at };
    let committed = answer.committed.unwrap_or(nothing);
    let inserted = sqlx::query(
        "INSERT INTO requests (tenant, actor, request, content, seq, chain, committed_at, has_entry, subject,
         answered_at, asker) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
    )
    .bind(request.tenant.as_str())
    .bind(request.actor.as_str())
    .bind(request.id.as_str())
    .bind(&answer.content[..])
    .bind(number(committed.revision.seq))
    .bind(committed.revision.chain.cast_signed())
    .bind(committed.committed_at.as_micros())
    .bind(answer.committed.is_some())
    .bind(answer.subject.as_deref())
    .bind(at.as_micros())
    .bind(request.actor.who())
    .execute(connection)
    .await
    .map_err(unavailable)?;
    if inserted.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

//! What several processes of the authority tell each other through the database.

use std::time::Duration;

use async_trait::async_trait;
use auth_domain::watch::{Acknowledgement, Run};
use auth_domain::{Fleet, Head, Noted, Registered, Renewal, ReplicaId, StoreError};
use portcullis_types::{BootId, GatewayId, Revision};
use sqlx::postgres::PgRow;

use super::session::Session;
use super::{PostgresStore, log};
use crate::rows::{Columns, number, yes};

/// Who waits for notes listens here.
pub(super) const CHANNEL: &str = "portcullis_fleet";

/// One statement: the beat itself, and the renewals in the order of their keys. Whether a run is over they do not say. A
/// run that was forgotten begins again with a count that it never had, or whoever remembers the old one would take a
/// renewed run for one that was not.
const BEAT: &str = "WITH b AS (
        INSERT INTO authority_beat AS b (replica, beats) VALUES ($1, 1)
        ON CONFLICT (replica) DO UPDATE SET beats = b.beats + 1, at = clock_timestamp())
    INSERT INTO gateway_runs AS r (gateway, boot, renewals, lease_us, sockets, applied_seq, applied_chain)
    SELECT n.gateway, n.boot, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, n.lease_us, n.sockets,
        n.applied_seq, n.applied_chain
    FROM unnest($2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
        n (gateway, boot, lease_us, sockets, applied_seq, applied_chain)
    ORDER BY n.gateway, n.boot
    ON CONFLICT (gateway, boot) DO UPDATE SET renewals = r.renewals + 1,
        lease_us = greatest(r.lease_us, excluded.lease_us), sockets = excluded.sockets,
        applied_seq = coalesce(excluded.applied_seq, r.applied_seq),
        applied_chain = coalesce(excluded.applied_chain, r.applied_chain)";

/// A beat that is under way may bring a renewal of the run later, and the first one.
const RELEASE: &str = "WITH r AS (
        INSERT INTO gateway_runs AS r (gateway, boot, renewals, lease_us, sockets, released)
        VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 0, 0, TRUE)
        ON CONFLICT (gateway, boot) DO UPDATE SET released = TRUE)
    SELECT pg_notify('portcullis_fleet', '')";

const NOTE: &str = "WITH n AS (
        INSERT INTO gateway_notes AS g (seq, chain, gateway, boot, fenced, closed, apply_us)
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bigint[])
            n (seq, chain, gateway, boot, fenced, closed, apply_us)
        ORDER BY n.seq, n.gateway, n.boot
        ON CONFLICT (seq, gateway, boot) DO UPDATE SET chain = excluded.chain, fenced = excluded.fenced,
            closed = CASE WHEN g.chain = excluded.chain THEN greatest(g.closed, excluded.closed) ELSE excluded.closed END,
            apply_us = excluded.apply_us)
    SELECT pg_notify('portcullis_fleet', '')";

#[async_trait]
impl Fleet for PostgresStore {
    async fn beat(&self, replica: ReplicaId, renewals: &[Renewal]) -> Result<Head, StoreError> {
        // The head is the first that is read in it; its commit proves that the server was not deposed then.
        let (mut session, head) = Session::beating(&self.pools, self.commit_patience).await?;
        let applied = |renewal: &Renewal| renewal.applied.map(|at| (number(at.seq), at.chain.cast_signed()));
        let query = sqlx::query(BEAT)
            .bind(&replica.0[..])
            .bind(column(renewals, |renewal| renewal.run.gateway.as_str()))
            .bind(column(renewals, |renewal| &renewal.run.boot.as_bytes()[..]))
            .bind(column(renewals, |renewal| micros(renewal.lease)))
            .bind(column(renewals, |renewal| number(renewal.sockets)))
            .bind(column(renewals, |renewal| applied(renewal).map(|at| at.0)))
            .bind(column(renewals, |renewal| applied(renewal).map(|at| at.1)));
        if let Err(error) = session.execute(query).await {
            // A beat before this one may wait on a deposed server for ever, and keep these rows locked.
            if matches!(error, StoreError::Unavailable(_)) {
                session.suspect();
            }
            return Err(error);
        }
        session.commit(&self.commits).await?;
        Ok(head)
    }

    async fn registered(&self, holding: Option<Revision>) -> Result<Option<Vec<Registered>>, StoreError> {
        let (mut session, _) = Session::reading(&self.pools, self.patience).await?;
        if let Some(entry) = holding {
            let found = session.maybe(log::chain_at(entry.seq)).await?;
            if log::position(entry.seq, found.as_ref())? != Some(entry) {
                return Ok(None);
            }
        }
        let sql = "SELECT gateway, boot, renewals, lease_us, sockets, applied_seq, applied_chain, \
                   released::int::bigint AS released FROM gateway_runs";
        let found = session.all(sqlx::query(sql)).await?;
        found.iter().map(registered).collect::<Result<_, _>>().map(Some)
    }

    async fn release(&self, run: &Run) -> Result<(), StoreError> {
        let query = sqlx::query(RELEASE).bind(run.gateway.as_str()).bind(&run.boot.as_bytes()[..]);
        let (mut session, _) = Session::writing(&self.pools, self.patience, None).await?;
        session.execute(query).await?;
        session.commit(&self.commits).await
    }

    async fn forget(&self, run: &Run, renewals: u64) -> Result<(), StoreError> {
        let sql = "DELETE FROM gateway_runs WHERE gateway = $1 AND boot = $2 AND renewals = $3";
        let query = sqlx::query(sql).bind(run.gateway.as_str()).bind(&run.boot.as_bytes()[..]).bind(number(renewals));
        let (mut session, _) = Session::writing(&self.pools, self.patience, None).await?;
        session.execute(query).await?;
        session.commit(&self.commits).await
    }

    async fn note(&self, notes: &[Noted]) -> Result<(), StoreError> {
        let (mut session, _) = Session::writing(&self.pools, self.patience, None).await?;
        session.execute(sqlx::query("SET LOCAL synchronous_commit TO off")).await?;
        let query = sqlx::query(NOTE)
            .bind(column(notes, |note| number(note.revision.seq)))
            .bind(column(notes, |note| note.revision.chain.cast_signed()))
            .bind(column(notes, |note| note.run.gateway.as_str()))
            .bind(column(notes, |note| &note.run.boot.as_bytes()[..]))
            .bind(column(notes, |note| number(note.said.fenced)))
            .bind(column(notes, |note| number(note.said.closed)))
            .bind(column(notes, |note| micros(note.said.apply)));
        session.execute(query).await?;
        session.commit(&self.commits).await
    }

    async fn noted(&self, entries: &[u64]) -> Result<Vec<Noted>, StoreError> {
        let sql = "SELECT seq, chain, gateway, boot, fenced, closed, apply_us FROM gateway_notes WHERE seq = ANY ($1)";
        let (mut session, _) = Session::reading(&self.pools, self.patience).await?;
        let found = session.all(sqlx::query(sql).bind(column(entries, |seq| number(*seq)))).await?;
        found.iter().map(noted).collect()
    }

    async fn forget_notes(&self, up_to: u64) -> Result<(), StoreError> {
        let (mut session, _) = Session::writing(&self.pools, self.patience, None).await?;
        session.execute(sqlx::query("DELETE FROM gateway_notes WHERE seq <= $1").bind(number(up_to))).await?;
        // For people alone: nothing rests on the row of a process that is gone.
        let sql = "DELETE FROM authority_beat WHERE at < clock_timestamp() - interval '1 day'";
        session.execute(sqlx::query(sql)).await?;
        session.commit(&self.commits).await
    }

    async fn heard(&self) {
        self.noted.notified().await;
    }
}

fn column<'r, R, T>(rows: &'r [R], cell: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(cell).collect()
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

fn run(row: &Columns<'_, PgRow>) -> Result<Run, StoreError> {
    let gateway = row.name::<GatewayId>("gateway")?;
    Ok(Run { gateway, boot: BootId::from_bytes(row.array("boot")?) })
}

fn registered(row: &PgRow) -> Result<Registered, StoreError> {
    let released = yes(row, "released")?;
    let row = Columns(row);
    let applied = match row.maybe_seq("applied_seq")? {
        Some(_) => Some(row.revision("applied_seq", "applied_chain")?),
        None => None,
    };
    Ok(Registered {
        run: run(&row)?,
        renewals: row.seq("renewals")?,
        lease: Duration::from_micros(row.seq("lease_us")?),
        sockets: row.seq("sockets")?,
        applied,
        released,
    })
}

fn noted(row: &PgRow) -> Result<Noted, StoreError> {
    let row = Columns(row);
    let apply = Duration::from_micros(row.seq("apply_us")?);
    let said = Acknowledgement { fenced: row.seq("fenced")?, closed: row.seq("closed")?, apply };
    Ok(Noted { run: run(&row)?, revision: row.revision("seq", "chain")?, said })
}

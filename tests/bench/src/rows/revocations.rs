//! Revocations committed per second on SQLite or PostgreSQL, by callers that each wait for their answer.
//!
//! The floor is how often a second 4 KiB can be appended to a file of the same directory and be on the disk. What 4 KiB
//! written over a part of the file take is printed too: SQLite writes its log over itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::{Place, durable_writes, micros, per_second, present};
use crate::error::{Outcome, While as _};
use crate::figures::Figure;
use crate::fleet::{Fleet, Kept, Login, TENANT};
use crate::machine;
use crate::run::{Run, progress};

const CALLERS: [usize; 3] = [1, 8, 32];
/// Blocks that are written for each floor.
const DISK_WRITES: usize = 200;

pub(super) async fn measure(run: &mut Run, kept: Kept) -> Outcome<Vec<Figure>> {
    let row = match kept {
        Kept::Sqlite => "revocations",
        Kept::Postgres => "revocations-postgres",
    };
    let count = run.scale.revocations;
    let fleet = Fleet::start_on(kept, &run.folder, 2, run.cores).await?;
    fleet.user("user").await;
    let mut figures = Vec::new();
    let (mut behind, mut over) = (Vec::new(), Vec::new());
    for callers in CALLERS {
        progress(row, format_args!("{count} revocations by {callers} callers"));
        let logins = fleet.logins("user", count).await?;
        // Right before, because what the disk takes changes from one second to the next.
        let disk = durable_writes(&fleet.data(), Place::Behind, DISK_WRITES)?;
        let floor = 1_000_000.0 * disk.len() as f64 / disk.iter().sum::<f64>();
        let (rate, took) = revoke_all(&fleet, logins, callers).await?;
        behind.extend(disk);
        over.extend(durable_writes(&fleet.data(), Place::Over, DISK_WRITES)?);
        let what = format!("{callers} at once");
        figures.push(Figure::single(row, what.clone(), "per second", rate).beside("fsync of 4 KiB", floor));
        figures.push(present(Figure::spread(row, format!("{what}: call to answer"), "ms", took), "revoking")?);
    }
    for (what, disk) in [("floor: fsync of 4 KiB, appended", behind), ("fsync of 4 KiB, in place", over)] {
        figures.push(present(Figure::spread(row, what, "µs", disk), "measuring the disk")?);
    }
    Ok(figures)
}

/// Per second, and the milliseconds that each took.
async fn revoke_all(fleet: &Fleet, logins: Vec<Login>, callers: usize) -> Outcome<(f64, Vec<f64>)> {
    let count = logins.len();
    let logins = Arc::new(Mutex::new(VecDeque::from(logins)));
    let mut tasks = JoinSet::new();
    let began = machine::nanos();
    for _ in 0..callers {
        let (logins, api) = (Arc::clone(&logins), fleet.backend.clone());
        tasks.spawn(async move {
            let mut took = Vec::new();
            let next = || logins.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            while let Some(login) = next() {
                let called = machine::nanos();
                api.revoke_session(TENANT, &login.session).await;
                took.push(micros(machine::nanos().saturating_sub(called)) / 1_000.0);
            }
            took
        });
    }
    let mut took = Vec::with_capacity(count);
    while let Some(caller) = tasks.join_next().await {
        took.extend(caller.during("revoking")?);
    }
    Ok((per_second(count, began), took))
}

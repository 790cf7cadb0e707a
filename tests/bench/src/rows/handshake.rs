//! CPU of a handshake whose verdict is cached: connection, upgrade with a bearer credential, `connect` and its answer.
//!
//! Beside a bare server's: connection, upgrade, one frame and an answer of the same lengths.

use super::{bare_sockets, present};
use crate::error::Outcome;
use crate::figures::Figure;
use crate::fleet::Fleet;
use crate::load::{Load, Opening, Talk};
use crate::machine;
use crate::run::{Run, progress};

const ROW: &str = "handshake";
/// Sockets that are opened before the measurement, the first of which brings the verdict.
const WARM: usize = 100;

pub(super) async fn measure(run: &mut Run) -> Outcome<Vec<Figure>> {
    let count = run.at_most(run.scale.handshakes + WARM, 1) - WARM;
    progress(ROW, format_args!("{count} handshakes with a gateway"));
    let fleet = Fleet::start(&run.folder, 1, run.cores).await?;
    fleet.user("user").await;
    let bearers: Vec<_> = fleet.logins("user", 1).await?.into_iter().map(|login| login.bearer).collect();
    let gateway = present(fleet.gateways.first(), "starting a gateway")?;
    let ours = cost(&gateway.url(), gateway.pid()?, count, bearers, Talk::Connect).await?;
    drop(fleet);
    progress(ROW, format_args!("{count} handshakes with a bare server"));
    let (bare, url) = bare_sockets(run).await?;
    let bares = cost(&url, bare.pid()?, count, Vec::new(), Talk::Bare).await?;
    let figure = |what: &str, ours: f64, bare: f64| {
        Figure::single(ROW, format!("{count} handshakes: {what}, each"), "µs", ours).beside("bare axum", bare)
    };
    Ok(vec![figure("server's CPU", ours.0, bares.0), figure("time, 32 at once", ours.1, bares.1)])
}

/// CPU of the server and time of each handshake, in microseconds.
async fn cost(url: &str, pid: u32, count: usize, bearers: Vec<String>, talk: Talk) -> Outcome<(f64, f64)> {
    let mut load = Load::start()?;
    let opening = |group: &str, count| Opening {
        group: group.to_owned(),
        url: url.to_owned(),
        count,
        bearers: bearers.clone(),
        talk,
    };
    load.open(opening("warm", WARM)).await?;
    let (began, before) = (machine::nanos(), machine::cpu(pid)?);
    load.open(opening("measured", count)).await?;
    let cpu = (machine::cpu(pid)? - before).as_secs_f64() * 1_000_000.0;
    let time = machine::nanos().saturating_sub(began) as f64 / 1_000.0;
    Ok((cpu / count as f64, time / count as f64))
}

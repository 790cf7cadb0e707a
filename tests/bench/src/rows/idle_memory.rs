//! User memory of an idle socket: authenticated and with one subscription, beside one of a bare server.
//!
//! What a process holds before and after so many sockets were opened, a hundred having been opened first. Kernel memory
//! is not in it; it is the same for both.

use super::{bare_sockets, present};
use crate::error::Outcome;
use crate::figures::Figure;
use crate::fleet::Fleet;
use crate::load::{Load, Opening, Talk};
use crate::machine::{self, Memory};
use crate::run::{Run, progress};

const ROW: &str = "idle-memory";
/// Sockets that are open before the first look.
const WARM: usize = 100;
/// Sockets that share a session, and so a verdict.
const PER_SESSION: usize = 80;

pub(super) async fn measure(run: &mut Run) -> Outcome<Vec<Figure>> {
    let sockets = run.at_most(run.scale.idle, 1).saturating_sub(WARM);
    progress(ROW, format_args!("opening {sockets} sockets at a gateway"));
    let fleet = Fleet::start(&run.folder, 1, run.cores).await?;
    fleet.user("user").await;
    let logins = fleet.logins("user", sockets.div_ceil(PER_SESSION)).await?;
    let bearers: Vec<_> = logins.into_iter().map(|login| login.bearer).collect();
    let gateway = present(fleet.gateways.first(), "starting a gateway")?;
    let ours = held(&gateway.url(), gateway.pid()?, sockets, bearers, Talk::Subscribe).await?;
    drop(fleet);
    progress(ROW, format_args!("opening {sockets} sockets at a bare server"));
    let (bare, url) = bare_sockets(run).await?;
    let bares = held(&url, bare.pid()?, sockets, Vec::new(), Talk::Bare).await?;
    let figure = |what: &str, ours: f64, bare: f64| {
        Figure::single(ROW, format!("{sockets} sockets: {what}, each"), "KiB", ours).beside("bare axum", bare)
    };
    Ok(vec![figure("RSS", ours.0, bares.0), figure("PSS", ours.1, bares.1)])
}

/// RSS and PSS of each socket, in KiB.
async fn held(url: &str, pid: u32, sockets: usize, bearers: Vec<String>, talk: Talk) -> Outcome<(f64, f64)> {
    let mut load = Load::start()?;
    let opening = |group: &str, count| Opening {
        group: group.to_owned(),
        url: url.to_owned(),
        count,
        bearers: bearers.clone(),
        talk,
    };
    load.open(opening("warm", WARM)).await?;
    let before = machine::memory(pid)?;
    load.open(opening("idle", sockets)).await?;
    let after = machine::memory(pid)?;
    let each = |of: fn(&Memory) -> u64| of(&after).saturating_sub(of(&before)) as f64 / 1_024.0 / sockets as f64;
    Ok((each(|memory| memory.rss), each(|memory| memory.pss)))
}

//! One identity with many sockets on two gateways: from the commit to the first and to the last close frame.
//!
//! The floor is two bare servers on the same core that close as many sockets when they are told to.

use futures_util::future::try_join_all;

use super::{bare_sockets, millis_between, open_everywhere, present};
use crate::error::{Outcome, While as _};
use crate::figures::Figure;
use crate::fleet::{Fleet, TENANT};
use crate::load::{Load, Talk};
use crate::machine;
use crate::run::{Run, committed_us, progress};

const ROW: &str = "revoke-many";
/// Sessions of the identity.
const SESSIONS: usize = 10;

/// One closing of everything, in milliseconds.
struct Closing {
    first: f64,
    last: f64,
    cpu: f64,
}

pub(super) async fn measure(run: &mut Run) -> Outcome<Vec<Figure>> {
    let sockets = run.at_most(run.scale.family, 2);
    let fleet = Fleet::start(&run.folder, 2, run.cores).await?;
    fleet.user("family").await;
    let mut loads = [Load::start()?, Load::start()?];
    let (mut ours, mut bares) = (Vec::new(), Vec::new());
    for round in 1..=run.scale.families {
        progress(ROW, format_args!("round {round}: opening and closing {sockets} sockets"));
        ours.push(revoke(&fleet, &mut loads, sockets, &format!("family-{round}")).await?);
    }
    drop(fleet);
    for round in 1..=run.scale.families {
        progress(ROW, format_args!("round {round}: the same with bare servers"));
        bares.push(close_bare(run, &mut loads, sockets, &format!("bare-{round}")).await?);
    }
    figures(sockets, &ours, &bares)
}

/// The close frames of a group in both load processes, in the order of time.
async fn closes(loads: &mut [Load; 2], group: &str, sockets: usize) -> Outcome<(i64, i64)> {
    let halves = [sockets.div_ceil(2), sockets / 2];
    let waits = loads.iter_mut().zip(halves).map(|(load, count)| load.closed(group, count));
    let mut all = try_join_all(waits).await?.concat();
    all.sort_unstable();
    let (first, last) = all.first().zip(all.last()).during("reading when sockets closed")?;
    Ok((*first, *last))
}

async fn revoke(fleet: &Fleet, loads: &mut [Load; 2], sockets: usize, group: &str) -> Outcome<Closing> {
    let logins = fleet.logins("family", SESSIONS.min(sockets)).await?;
    let bearers: Vec<_> = logins.into_iter().map(|login| login.bearer).collect();
    let urls = [fleet.gateways[0].url(), fleet.gateways[1].url()];
    open_everywhere(loads, &urls, group, sockets, &bearers, Talk::Subscribe).await?;
    let pids = [fleet.gateways[0].pid()?, fleet.gateways[1].pid()?];
    let before = cpu(&pids)?;
    let answer = fleet.backend.revoke_identity(TENANT, "family").await;
    let (first, last) = closes(loads, group, sockets).await?;
    let cpu = cpu(&pids)? - before;
    for load in loads {
        load.drop_sockets(group).await?;
    }
    let committed = committed_us(&answer)?;
    Ok(Closing { first: millis_between(committed, first), last: millis_between(committed, last), cpu })
}

async fn close_bare(run: &Run, loads: &mut [Load; 2], sockets: usize, group: &str) -> Outcome<Closing> {
    let ((mut one, url_one), (mut two, url_two)) = (bare_sockets(run).await?, bare_sockets(run).await?);
    open_everywhere(loads, &[url_one, url_two], group, sockets, &[], Talk::Bare).await?;
    let pids = [one.pid()?, two.pid()?];
    let before = cpu(&pids)?;
    let (began_one, began_two): (i64, i64) = tokio::try_join!(one.ask(&"close"), two.ask(&"close"))?;
    let (first, last) = closes(loads, group, sockets).await?;
    let cpu = cpu(&pids)? - before;
    for load in loads {
        load.drop_sockets(group).await?;
    }
    let began = began_one.min(began_two);
    Ok(Closing { first: millis_between(began, first), last: millis_between(began, last), cpu })
}

/// In milliseconds.
fn cpu(pids: &[u32; 2]) -> Outcome<f64> {
    Ok((machine::cpu(pids[0])? + machine::cpu(pids[1])?).as_secs_f64() * 1_000.0)
}

fn figures(sockets: usize, ours: &[Closing], bares: &[Closing]) -> Outcome<Vec<Figure>> {
    let spread = |what: String, unit, closings: &[Closing], of: &dyn Fn(&Closing) -> f64| {
        present(Figure::spread(ROW, what, unit, closings.iter().map(of)), "closing")
    };
    let each = 1_000.0 / sockets as f64;
    let measure = |what: &str, unit, of: &dyn Fn(&Closing) -> f64| {
        let bare = spread(String::new(), unit, bares, of)?.middle();
        Ok(spread(format!("{sockets} sockets: {what}"), unit, ours, of)?.beside("bare axum", bare))
    };
    Ok(vec![
        // A bare server commits nothing before it closes the first.
        spread(format!("{sockets} sockets: commit to first close"), "ms", ours, &|closing| closing.first)?,
        measure("first to last close", "ms", &|closing| closing.last - closing.first)?,
        measure("commit to last close", "ms", &|closing| closing.last)?,
        measure("commit to last close, each socket", "µs", &|closing| closing.last * each)?,
        measure("gateways' CPU, each socket", "µs", &|closing| closing.cpu * each)?,
    ])
}

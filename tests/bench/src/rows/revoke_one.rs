//! One affected socket among many: from a revocation to the close frame that its client sees.
//!
//! Two gateways hold the crowd, and a few hundred sockets with a session of their own. These sessions are revoked one
//! after the other. The floor is what no implementation can avoid: the round trip of an empty call to the authority,
//! and that of a WebSocket ping over the same socket.

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::{Place, durable_writes, grpc, micros, millis_between, open_everywhere, present};
use crate::error::{Outcome, While as _};
use crate::figures::{Figure, Spread};
use crate::fleet::{Fleet, Kept, Login};
use crate::histogram::Histogram;
use crate::load::{Load, Opening, Talk};
use crate::machine;
use crate::run::{Run, committed_us, progress};

/// Sessions of the crowd.
const CROWD_SESSIONS: usize = 200;

/// What was seen of one revocation, in milliseconds.
struct Seen {
    called: f64,
    answered: f64,
    committed: f64,
}

pub(super) async fn measure(run: &mut Run, kept: Kept) -> Outcome<Vec<Figure>> {
    let row = match kept {
        Kept::Sqlite => "revoke-one",
        Kept::Postgres => "revoke-one-postgres",
    };
    let sockets = run.at_most(run.scale.crowd, 2);
    let victims = run.scale.victims.min(sockets);
    let fleet = Fleet::start_on(kept, &run.folder, 2, run.cores).await?;
    let mut loads = [Load::start()?, Load::start()?];
    progress(row, format_args!("opening {sockets} sockets"));
    let logins = fill(&fleet, &mut loads, sockets, victims).await?;
    progress(row, "measuring the floor");
    let floor = floor(&fleet, &mut loads, victims).await?;
    progress(row, format_args!("revoking {victims} sessions"));
    let before = fences(&fleet).await?;
    let mut seen = Vec::new();
    for (number, login) in logins.iter().enumerate() {
        seen.push(revoke(&fleet, &mut loads[number % 2], &group(number), login).await?);
    }
    let fences = fences(&fleet).await?.since(&before);
    let disk = durable_writes(&fleet.data(), Place::Over, victims)?;
    figures(row, &format!("1 among {sockets}"), &seen, &floor, &fences, &disk)
}

fn group(number: usize) -> String {
    format!("victim-{number}")
}

/// Opens the crowd, then the victims in turn on both gateways.
async fn fill(fleet: &Fleet, loads: &mut [Load; 2], sockets: usize, victims: usize) -> Outcome<Vec<Login>> {
    let urls = [fleet.gateways[0].url(), fleet.gateways[1].url()];
    fleet.user("crowd").await;
    fleet.user("victim").await;
    let crowd = fleet.logins("crowd", CROWD_SESSIONS.min(sockets)).await?;
    let bearers: Vec<_> = crowd.into_iter().map(|login| login.bearer).collect();
    open_everywhere(loads, &urls, "crowd", sockets - victims, &bearers, Talk::Subscribe).await?;
    let logins = fleet.logins("victim", victims).await?;
    for (number, login) in logins.iter().enumerate() {
        let (url, bearers) = (urls[number % 2].clone(), vec![login.bearer.clone()]);
        let opening = Opening { group: group(number), url, count: 1, bearers, talk: Talk::Subscribe };
        loads[number % 2].open(opening).await?;
    }
    Ok(logins)
}

/// An empty call and a ping over a victim's socket, as often as there are victims, in milliseconds.
async fn floor(fleet: &Fleet, loads: &mut [Load; 2], victims: usize) -> Outcome<Vec<f64>> {
    let mut health = HealthClient::new(grpc(fleet.grpc).await?);
    let mut floor = Vec::new();
    for number in 0..victims {
        let began = machine::nanos();
        health.check(HealthCheckRequest { service: String::new() }).await.during("making an empty call")?;
        let call = machine::nanos().saturating_sub(began);
        for ping in loads[number % 2].ping(&group(number)).await? {
            floor.push(micros(call + ping) / 1_000.0);
        }
    }
    Ok(floor)
}

async fn revoke(fleet: &Fleet, load: &mut Load, group: &str, login: &Login) -> Outcome<Seen> {
    let called = machine::wall_us();
    let answer = fleet.backend.revoke_session(crate::fleet::TENANT, &login.session).await;
    let answered = machine::wall_us();
    let closed = *load.closed(group, 1).await?.first().during("reading when a socket closed")?;
    let committed = committed_us(&answer)?;
    Ok(Seen {
        called: millis_between(called, closed),
        answered: millis_between(answered, closed),
        committed: millis_between(committed, closed),
    })
}

async fn fences(fleet: &Fleet) -> Outcome<Histogram> {
    let [first, second] = &fleet.gateways[..] else { return Ok(Histogram::default()) };
    Ok(first.fences().await?.and(&second.fences().await?))
}

fn figures(
    row: &'static str,
    whom: &str,
    seen: &[Seen],
    floor: &[f64],
    fences: &Histogram,
    disk: &[f64],
) -> Outcome<Vec<Figure>> {
    let below = present(Spread::of(floor.iter().copied()), "measuring the floor")?.p50;
    let spread = |what: &str, of: fn(&Seen) -> f64| {
        present(Figure::spread(row, format!("{whom}: {what}"), "ms", seen.iter().map(of)), "revoking")
    };
    let name = "empty call + ping";
    let mut figures = vec![
        spread("call to close", |seen| seen.called)?.beside(name, below),
        spread("commit to close", |seen| seen.committed)?.beside(name, below),
        spread("answer to close", |seen| seen.answered)?,
        present(Figure::spread(row, "floor: empty call + ping", "ms", floor.iter().copied()), "measuring the floor")?,
        present(
            Figure::spread(row, "fsync of 4 KiB, in place", "ms", disk.iter().map(|us| us / 1_000.0)),
            "measuring the disk",
        )?,
    ];
    for percent in [50, 99, 100] {
        if let Some(seconds) = fences.at_most(percent).filter(|_| fences.count() > 0) {
            let what = format!("entry received to fenced, {percent} of 100 at most");
            figures.push(Figure::single(row, what, "ms", seconds * 1_000.0));
        }
    }
    Ok(figures)
}

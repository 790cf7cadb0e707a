//! One revocation to many gateways: from the commit to its arrival at the slowest of hundreds of watchers.
//!
//! The watchers are bare gRPC clients in one process, each on a connection of its own, which acknowledge and probe as
//! gateways do. Receiving costs that process's core too, so the floor is a bare tonic server that sends an item of
//! the same size to as many followers in one such process.

use bytes::Bytes;

use super::{bare_grpc, grpc, millis_between, present};
use crate::bare::grpc::v1::Item;
use crate::bare::grpc::v1::bare_client::BareClient;
use crate::error::{Outcome, While as _};
use crate::figures::{Figure, Spread};
use crate::fleet::{Fleet, TENANT};
use crate::load::{Load, Watching};
use crate::machine;
use crate::run::{Run, committed_us, progress};

const ROW: &str = "fan-out";
/// About what an entry that kills one session has.
const PAYLOAD: usize = 32;

/// When something happened, microseconds since 1970.
struct Times {
    committed: i64,
    answered: i64,
}

pub(super) async fn measure(run: &mut Run) -> Outcome<Vec<Figure>> {
    let (watchers, entries) = (run.scale.watchers, run.scale.entries);
    progress(ROW, format_args!("{entries} items to {watchers} followers of a bare server"));
    let bare = bare_latencies(run, watchers, entries).await?;
    let bare = present(Spread::of(bare), "following the bare server")?;
    progress(ROW, format_args!("{entries} revocations to {watchers} watchers"));
    let (times, slowest) = real_times(run, watchers, entries).await?;
    let spread = |what: &str, of: fn(&Times) -> i64| {
        let samples = times.iter().zip(&slowest).map(|(times, &at)| millis_between(of(times), at));
        present(Figure::spread(ROW, format!("{watchers} watchers: {what}"), "ms", samples), "revoking")
    };
    Ok(vec![
        spread("commit to the slowest", |times| times.committed)?.beside("bare tonic", bare.p50),
        spread("answer to the slowest", |times| times.answered)?.beside("bare tonic", bare.p50),
        Figure {
            value: crate::figures::Value::Spread(bare),
            ..Figure::single(ROW, format!("floor: bare tonic, {watchers} followers"), "ms", 0.0)
        },
    ])
}

async fn bare_latencies(run: &Run, watchers: usize, entries: usize) -> Outcome<Vec<f64>> {
    let (_bare, address) = bare_grpc(run).await?;
    let mut load = Load::start()?;
    load.watch(Watching { address, count: watchers, key: None }).await?;
    let mut client = BareClient::new(grpc(address).await?);
    let mut emitted = Vec::new();
    for number in 1..=entries {
        let item = Item { at_us: 0, payload: Bytes::from_static(&[7; PAYLOAD]) };
        emitted.push(client.emit(item).await.during("sending to all who follow")?.into_inner().at_us);
        load.entries(number).await?;
    }
    let slowest = load.entries(entries).await?;
    Ok(emitted.iter().zip(slowest).map(|(&from, to)| millis_between(from, to)).collect())
}

async fn real_times(run: &Run, watchers: usize, entries: usize) -> Outcome<(Vec<Times>, Vec<i64>)> {
    let fleet = Fleet::start(&run.folder, 0, run.cores).await?;
    fleet.user("user").await;
    let logins = fleet.logins("user", entries).await?;
    let mut load = Load::start()?;
    load.watch(Watching { address: fleet.grpc, count: watchers, key: Some(fleet.gateway_key.clone()) }).await?;
    let mut times = Vec::new();
    for (number, login) in logins.iter().enumerate() {
        let answer = fleet.backend.revoke_session(TENANT, &login.session).await;
        let answered = machine::wall_us();
        times.push(Times { committed: committed_us(&answer)?, answered });
        load.entries(number + 1).await?;
    }
    Ok((times, load.entries(entries).await?))
}

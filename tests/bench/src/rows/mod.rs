//! The rows: each starts what it measures, measures, and leaves nothing running.

mod fan_out;
mod handshake;
mod idle_memory;
pub(crate) mod index;
mod issuing;
mod logins;
mod revocations;
mod revoke_many;
mod revoke_one;
mod verify;

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::future::try_join_all;
use tonic::transport::{Channel, Endpoint};

use crate::child::Part;
use crate::error::{BenchError, Outcome, While as _};
use crate::figures::Figure;
use crate::fleet::Kept;
use crate::load::{Load, Opening, Talk};
use crate::machine;
use crate::run::{Row, Run};

/// Measures one row.
pub(crate) async fn measure(row: Row, run: &mut Run) -> Outcome<Vec<Figure>> {
    match row {
        Row::RevokeOne => revoke_one::measure(run, Kept::Sqlite).await,
        Row::RevokeOnePostgres => revoke_one::measure(run, Kept::Postgres).await,
        Row::RevokeMany => revoke_many::measure(run).await,
        Row::Revocations => revocations::measure(run, Kept::Sqlite).await,
        Row::RevocationsPostgres => revocations::measure(run, Kept::Postgres).await,
        Row::FanOut => fan_out::measure(run).await,
        Row::IdleMemory => idle_memory::measure(run).await,
        Row::Index => index::measure(run).await,
        Row::Verify => verify::measure(run, Kept::Sqlite).await,
        Row::VerifyPostgres => verify::measure(run, Kept::Postgres).await,
        Row::Issuing => issuing::measure(run).await,
        Row::Handshake => handshake::measure(run).await,
        Row::Logins => logins::measure(run).await,
    }
}

/// A running bare WebSocket server and its URL.
async fn bare_sockets(run: &Run) -> Outcome<(Part, String)> {
    let mut bare = Part::server(&["bare-sockets"], run.cores)?;
    let address: SocketAddr = bare.hear().await?;
    Ok((bare, format!("ws://{address}/")))
}

/// A running bare gRPC server and its address.
async fn bare_grpc(run: &Run) -> Outcome<(Part, SocketAddr)> {
    let mut bare = Part::server(&["bare-grpc"], run.cores)?;
    let address = bare.hear().await?;
    Ok((bare, address))
}

/// A connection for gRPC calls, as the harness opens its own.
async fn grpc(address: SocketAddr) -> Outcome<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).during("reading an address")?;
    endpoint.tcp_nodelay(true).connect().await.during("connecting")
}

/// Opens `count` sockets in all, in equal parts at each URL, each part in a load process of its own.
async fn open_everywhere(
    loads: &mut [Load],
    urls: &[String],
    group: &str,
    count: usize,
    bearers: &[String],
    talk: Talk,
) -> Outcome<()> {
    let (parts, mut left) = (loads.len(), count);
    let open = loads.iter_mut().zip(urls).enumerate().map(|(index, (load, url))| {
        let count = left.div_ceil(parts - index);
        left -= count;
        let (group, url, bearers) = (group.to_owned(), url.clone(), bearers.to_vec());
        load.open(Opening { group, url, count, bearers, talk })
    });
    try_join_all(open).await.map(drop)
}

/// Where a block goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Behind the last one: the file grows.
    Behind,
    /// Over the last one: the file stays as it is.
    Over,
}

/// How long it takes to write 4 KiB to a file in `folder` and have them on the disk, so many times, in microseconds.
fn durable_writes(folder: &Path, place: Place, count: usize) -> Outcome<Vec<f64>> {
    let path = folder.join("writes.bin");
    let mut file = File::create(&path).during("making a file")?;
    let block = [0x5a; 4_096];
    file.write_all(&block).and_then(|()| file.sync_all()).during("writing to a file")?;
    let mut write = || {
        if place == Place::Over {
            file.rewind()?;
        }
        let began = machine::nanos();
        file.write_all(&block)?;
        file.sync_data()?;
        Ok::<_, std::io::Error>(micros(machine::nanos().saturating_sub(began)))
    };
    let took = (0..count).map(|_| write()).collect::<Result<_, _>>().during("writing to a file")?;
    std::fs::remove_file(&path).during("removing a file")?;
    Ok(took)
}

/// The rate at which `count` things happened since `began` (nanoseconds since boot).
fn per_second(count: usize, began: u64) -> f64 {
    count as f64 / Duration::from_nanos(machine::nanos().saturating_sub(began)).as_secs_f64()
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}

/// Milliseconds between two wall times in microseconds; negative when the second was before the first.
fn millis_between(from_us: i64, to_us: i64) -> f64 {
    (to_us - from_us) as f64 / 1_000.0
}

fn present<T>(value: Option<T>, what: &str) -> Outcome<T> {
    value.ok_or_else(|| BenchError::new(what, "there were no samples"))
}

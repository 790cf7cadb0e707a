//! Clients of the log, as many gateways are: each on a connection of its own.
//!
//! Each says of every entry that it is applied, and probes every half second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::revocations_service_client::RevocationsServiceClient;
use portcullis_types::{Entropy, SystemEntropy};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

use super::Watching;
use crate::bare::grpc::v1::Item;
use crate::bare::grpc::v1::bare_client::BareClient;
use crate::error::{BenchError, Outcome, While as _};
use crate::machine;

/// The longest that receiving may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// As gateways do by default.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// When each entry arrived at the slowest of all watchers, by its number.
#[derive(Debug)]
struct Arrivals {
    slowest: Mutex<BTreeMap<u64, (usize, i64)>>,
    complete: watch::Sender<usize>,
    watchers: usize,
}

impl Arrivals {
    fn note(&self, number: u64) {
        let at = machine::wall_us();
        let mut all = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        let (seen, last) = all.entry(number).or_default();
        (*seen, *last) = (*seen + 1, at);
        if *seen == self.watchers {
            self.complete.send_modify(|complete| *complete += 1);
        }
    }
}

/// All watchers of a load process.
#[derive(Debug, Default)]
pub(super) struct Watchers(Option<(JoinSet<()>, Arc<Arrivals>)>);

impl Watchers {
    /// Opens watches, in place of those before; when it returns, each of them stands.
    pub(super) async fn open(&mut self, watching: Watching) -> Outcome<()> {
        let Watching { address, count, key } = watching;
        let arrivals =
            Arc::new(Arrivals { slowest: Mutex::default(), complete: watch::Sender::new(0), watchers: count });
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).during("reading an address")?;
            let channel = endpoint.tcp_nodelay(true).connect().await.during("connecting to a watch")?;
            match &key {
                Some(key) => drop(tasks.spawn(follow(watch(channel, key, number).await?, Arc::clone(&arrivals)))),
                None => drop(tasks.spawn(follow_bare(channel, Arc::clone(&arrivals)).await?)),
            }
        }
        self.0 = Some((tasks, arrivals));
        Ok(())
    }

    /// Waits until every watcher has so many entries.
    pub(super) async fn entries(&self, count: usize) -> Outcome<Vec<i64>> {
        let (_, arrivals) = self.0.as_ref().during("finding the watchers")?;
        let mut complete = arrivals.complete.subscribe();
        if tokio::time::timeout(PATIENCE, complete.wait_for(|&complete| complete >= count)).await.is_err() {
            let seen = *arrivals.complete.borrow();
            return Err(BenchError::new("waiting for entries", format!("{seen} of {count} came to every watcher")));
        }
        let all = arrivals.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.values().take(count).map(|(_, at)| *at).collect())
    }
}

/// An open watch of the authority.
struct Watch {
    requests: mpsc::Sender<v1::WatchRequest>,
    responses: Streaming<v1::WatchResponse>,
    applied: Option<v1::Revision>,
}

async fn watch(channel: Channel, key: &str, number: usize) -> Outcome<Watch> {
    let bearer: tonic::metadata::MetadataValue<_> = format!("Bearer {key}").parse().during("presenting a key")?;
    let mut client = RevocationsServiceClient::new(channel);
    let (requests, outgoing) = mpsc::channel(4);
    let start = v1::WatchStart {
        gateway_id: format!("bench-{number}"),
        boot_id: <dyn Entropy>::array::<16>(&SystemEntropy).to_vec(),
        ..Default::default()
    };
    requests.send(request(v1::watch_request::Message::Start(start))).await.during("opening a watch")?;
    let mut call = Request::new(ReceiverStream::new(outgoing));
    call.metadata_mut().insert("authorization", bearer);
    let mut responses = client.watch(call).await.during("opening a watch")?.into_inner();
    let first = responses.message().await.during("opening a watch")?.and_then(|response| response.message);
    let Some(v1::watch_response::Message::Welcome(welcome)) = first else {
        return Err(BenchError::new("opening a watch", format!("it said {first:?}")));
    };
    Ok(Watch { requests, responses, applied: welcome.position })
}

const fn request(message: v1::watch_request::Message) -> v1::WatchRequest {
    v1::WatchRequest { message: Some(message) }
}

/// Notes entries and says that they are applied, and probes, until the watch ends.
async fn follow(mut watch: Watch, arrivals: Arc<Arrivals>) {
    let mut probes = tokio::time::interval(PROBE_EVERY);
    let mut probe_id = 0;
    loop {
        tokio::select! {
            response = watch.responses.message() => match response {
                Ok(Some(v1::WatchResponse { message: Some(v1::watch_response::Message::Entry(entry)) })) => {
                    arrivals.note(entry.revision.as_ref().map_or(0, |revision| revision.seq));
                    watch.applied = entry.revision;
                    let applied = v1::Applied { revision: entry.revision, ..Default::default() };
                    if watch.requests.send(request(v1::watch_request::Message::Applied(applied))).await.is_err() {
                        return;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            },
            _ = probes.tick() => {
                probe_id += 1;
                let probe = v1::Probe { probe_id, applied: watch.applied, ..Default::default() };
                if watch.requests.send(request(v1::watch_request::Message::Probe(probe))).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn follow_bare(channel: Channel, arrivals: Arc<Arrivals>) -> Outcome<impl Future<Output = ()>> {
    let mut client = BareClient::new(channel);
    let item = Item { at_us: 0, payload: Bytes::new() };
    let mut items = client.follow(item).await.during("following the bare server")?.into_inner();
    Ok(async move {
        let mut number = 0;
        while let Ok(Some(_)) = items.message().await {
            arrivals.note(number);
            number += 1;
        }
    })
}

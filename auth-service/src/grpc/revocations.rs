//! `RevocationsService`: opening watches, parts of the log, and the guarantee.

use std::sync::Arc;

use auth_domain::watch::Entry;
use auth_domain::{Scope, Store};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::revocations_service_server::RevocationsService;
use portcullis_types::Revision;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::caller::admitted;
use super::errors::{Failure, Reason};
use super::watching::Watching;
use super::{Api, wire};

/// How many messages a stream holds that HTTP/2 has not taken yet. When it is full, its task waits.
pub(super) const BUFFERED: usize = 8;

const PAGE: u32 = 250;
const DEFAULT_RANGE: u32 = 1_000;
const MOST_RANGE: u32 = 10_000;

type Watch = ReceiverStream<Result<v1::WatchResponse, Status>>;
type Entries = ReceiverStream<Result<v1::FetchRangeResponse, Status>>;

impl Api {
    async fn open_watch(&self, request: Request<Streaming<v1::WatchRequest>>) -> Result<Watch, Failure> {
        let admitted = admitted(&request)?;
        admitted.act_anywhere(Scope::Watch)?;
        let place = Arc::clone(&self.watches)
            .try_acquire_owned()
            .map_err(|_| Failure::new(Reason::WatchesExhausted, "too many watches are open"))?;
        let (out, responses) = mpsc::channel(BUFFERED);
        let watching = Watching::new(self.clone(), admitted, request.into_inner(), out, place);
        self.shutdown.track(watching.run());
        Ok(ReceiverStream::new(responses))
    }

    async fn open_range(&self, request: Request<v1::FetchRangeRequest>) -> Result<Entries, Failure> {
        admitted(&request)?.act_anywhere(Scope::Watch)?;
        let asked = request.into_inner();
        let limit = match asked.limit {
            0 => DEFAULT_RANGE,
            limit @ 1..=MOST_RANGE => limit,
            _ => return Err(Failure::field("limit", "must be 0 to 10000")),
        };
        let named = asked.after.is_some();
        let after = self.range_start(asked.after).await?;
        let (out, responses) = mpsc::channel(BUFFERED);
        let (store, most) = (Arc::clone(self.authority.store()), self.max_deadline);
        let shutdown = self.shutdown.clone();
        self.shutdown.track(async move {
            tokio::select! {
                () = shutdown.requested() => {}
                // A reader that stalls is dropped with the call's deadline.
                _ = tokio::time::timeout(most, send_range(store, Range { after, left: limit, named }, out)) => {}
            }
        });
        Ok(ReceiverStream::new(responses))
    }

    /// The last entry before the range, which must be on this log.
    async fn range_start(&self, after: Option<v1::Revision>) -> Result<u64, Failure> {
        let store = self.authority.store();
        let Some(after) = after else { return Ok(store.horizon().await?) };
        let after = Revision::try_from(after).map_err(Failure::wire("after"))?;
        let found = store.revision_at(after.seq).await?;
        // After it, because it may be forgotten meanwhile, and is then not on another branch.
        if after.seq < store.horizon().await? {
            return Err(gone());
        }
        if found != Some(after) {
            return Err(Failure::new(Reason::RangeForked, "the revision is not on this log"));
        }
        Ok(after.seq)
    }
}

fn gone() -> Failure {
    Failure::new(Reason::RangeGone, "the log no longer keeps what follows this revision")
}

/// What is still to be sent.
struct Range {
    after: u64,
    left: u32,
    /// It goes on from an entry that the caller has. Otherwise it begins with whatever is kept.
    named: bool,
}

async fn send_range(store: Arc<dyn Store>, range: Range, out: mpsc::Sender<Result<v1::FetchRangeResponse, Status>>) {
    let Range { mut after, mut left, mut named } = range;
    while left > 0 {
        let page = match store.log_after(after, left.min(PAGE)).await {
            Ok(page) if page.is_empty() => return,
            Ok(page) => page,
            Err(error) => return drop(out.send(Err(Failure::from(error).into())).await),
        };
        for entry in page {
            // Forgotten since the range began: nothing is left out in silence.
            if named && entry.seq != after + 1 {
                return drop(out.send(Err(gone().into())).await);
            }
            (after, left, named) = (entry.seq, left - 1, true);
            let response = match Entry::from_log(entry) {
                Ok(entry) => Ok(v1::FetchRangeResponse { entry: Some(entry.to_wire()) }),
                Err(error) => {
                    tracing::error!(%error, "the revocation log is damaged");
                    Err(Failure::new(Reason::Internal, "internal error").into())
                }
            };
            let ended = response.is_err();
            if out.send(response).await.is_err() || ended {
                return;
            }
        }
    }
}

#[tonic::async_trait]
impl RevocationsService for Api {
    type WatchStream = Watch;
    type FetchRangeStream = Entries;

    async fn watch(
        &self,
        request: Request<Streaming<v1::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(self.open_watch(request).await?))
    }

    async fn fetch_range(
        &self,
        request: Request<v1::FetchRangeRequest>,
    ) -> Result<Response<Self::FetchRangeStream>, Status> {
        Ok(Response::new(self.open_range(request).await?))
    }

    async fn get_guarantee(
        &self,
        _request: Request<v1::GetGuaranteeRequest>,
    ) -> Result<Response<v1::GetGuaranteeResponse>, Status> {
        Ok(Response::new(v1::GetGuaranteeResponse {
            bound_ms: self.enforced_within_ms(),
            lease_ms: wire::millis(self.leases.lengths().standard),
            probe_interval_ms: wire::millis(self.probe_interval),
            last_fork: self.receipts.forks().seen().map(|(fork, count)| v1::LogFork {
                gateway_id: fork.gateway.as_str().to_owned(),
                cursor: Some(fork.cursor.into()),
                head: Some(fork.head.into()),
                at_us: fork.at.as_micros(),
                count,
            }),
            terms: Some(self.leases.into()),
        }))
    }
}

//! A stream to one replica of the authority, from before it stands to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portcullis_proto::auth::v1;
use portcullis_types::Boottime;
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::authority::{Authority, Generation, NoAnswer};

/// Requests that wait to be sent. Full: the line is stuck, a probe is left out.
const REQUESTS: usize = 16;

/// A stream, and the lines that it stands on.
pub(super) type Opened = (Generation, Streaming<v1::WatchResponse>);

type Opening = Pin<Box<dyn Future<Output = Result<Opened, NoAnswer>> + Send>>;

/// See the module.
pub(super) enum Line {
    /// There is none before this is over.
    Pausing(Pin<Box<Sleep>>),
    /// It is being opened since then.
    Opening { requests: mpsc::Sender<v1::WatchRequest>, opening: Opening, since: Boottime },
    /// It stands since then.
    Open {
        requests: mpsc::Sender<v1::WatchRequest>,
        stream: Box<Streaming<v1::WatchResponse>>,
        since: Boottime,
        generation: Generation,
    },
}

/// What happens to a line.
pub(super) enum Event {
    Paused,
    Opened(Result<Opened, NoAnswer>),
    Heard(Result<Option<v1::WatchResponse>, tonic::Status>),
}

impl Line {
    pub(super) fn pausing(pause: Duration) -> Self {
        Self::Pausing(Box::pin(tokio::time::sleep(pause)))
    }

    /// Says `start` before the stream stands: the authority answers only to that.
    pub(super) fn opening(authority: &Arc<Authority>, replica: usize, since: Boottime) -> Self {
        let (requests, to_send) = mpsc::channel(REQUESTS);
        let authority = Arc::clone(authority);
        let opening = Box::pin(async move {
            if let Err(error) = authority.reload().await {
                tracing::warn!(%error, "the key or the certificate cannot be read again; the old one stays");
            }
            authority.watch(replica, ReceiverStream::new(to_send)).await
        });
        Self::Opening { requests, opening, since }
    }

    /// The stream stands now.
    pub(super) fn stands(&mut self, (generation, stream): Opened, since: Boottime) {
        if let Self::Opening { requests, .. } = self {
            *self = Self::Open { requests: requests.clone(), stream: Box::new(stream), since, generation };
        }
    }

    pub(super) async fn next(&mut self) -> Event {
        match self {
            Self::Pausing(pause) => {
                pause.as_mut().await;
                Event::Paused
            }
            Self::Opening { opening, .. } => Event::Opened(opening.as_mut().await),
            Self::Open { stream, .. } => Event::Heard(stream.message().await),
        }
    }

    /// What is said goes here; nowhere while there is none.
    pub(super) const fn requests(&self) -> Option<&mpsc::Sender<v1::WatchRequest>> {
        match self {
            Self::Pausing(_) => None,
            Self::Opening { requests, .. } | Self::Open { requests, .. } => Some(requests),
        }
    }

    /// Since when it is being opened, or stands.
    pub(super) const fn since(&self) -> Option<Boottime> {
        match self {
            Self::Pausing(_) => None,
            Self::Opening { since, .. } | Self::Open { since, .. } => Some(*since),
        }
    }
}

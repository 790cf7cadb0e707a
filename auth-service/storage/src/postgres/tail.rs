//! Where the log ends, as other replicas append to it, and that they have noted something. Every notification, every new
//! connection and every tick means the same: the head is read. What was sent while there was no connection is thus never
//! missed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use auth_domain::{Head, StoreError};
use sqlx::Acquire as _;
use sqlx::postgres::{PgConnectOptions, PgListener};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::log::{self, CHANNEL};
use super::pools::{Pools, pool};
use super::tx::announce;
use super::{fleet, refused};

/// How often the head is read though nobody announced a new one.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long to wait before the next connection after one failed.
const PAUSE: Duration = Duration::from_millis(200);

/// The task that follows the log. It ends with the store.
#[derive(Debug)]
pub(super) struct Tail(AbortHandle);

impl Tail {
    pub(super) fn follow(
        pools: Arc<Pools>,
        heads: watch::Sender<Head>,
        noted: Arc<Notify>,
        patience: Duration,
    ) -> Self {
        let task = tokio::spawn(async move {
            let mut given_up = pools.subscribe();
            loop {
                let error = tokio::select! {
                    ended = listen(pools.options().clone(), &heads, &noted, patience) => match ended {
                        Ok(never) => match never {},
                        Err(error) => error,
                    },
                    // The one connection of this task leads where the others did.
                    Ok(()) = given_up.changed() => continue,
                };
                tracing::warn!(%error, "the end of the revocation log cannot be followed; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self(task.abort_handle())
    }

    pub(super) fn stop(&self) {
        self.0.abort();
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn listen(
    options: PgConnectOptions,
    heads: &watch::Sender<Head>,
    noted: &Notify,
    patience: Duration,
) -> Result<Infallible, StoreError> {
    let late = |late| StoreError::Unavailable(Box::new(late));
    // A pool of the one connection: what listens is never shared.
    let pool = pool(1, patience).idle_timeout(None).max_lifetime(None).connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await.map_err(refused)?;
    // A connection is made below, where nothing gives up on it for the next tick.
    listener.eager_reconnect(false);
    listener.listen_all([CHANNEL, fleet::CHANNEL]).await.map_err(refused)?;
    noted.notify_one();
    loop {
        let connection = listener.acquire().await.map_err(refused)?;
        announce(heads, timeout(patience, log::head(connection)).await.map_err(late)??);
        let mut news = match timeout(LOOK_AGAIN, listener.try_recv()).await {
            Ok(Ok(Some(news))) => Some(news),
            // The connection is lost, and what was sent meanwhile.
            Ok(Ok(None)) => {
                noted.notify_one();
                None
            }
            Ok(Err(error)) => return Err(refused(error)),
            Err(_) => None,
        };
        while let Some(notification) = news {
            if notification.channel() == fleet::CHANNEL {
                noted.notify_one();
            }
            news = listener.next_buffered();
        }
    }
}

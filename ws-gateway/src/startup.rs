//! Putting a gateway together, running it, and ending it.
//!
//! Owns the order: what must hold before the listener opens, and what must go on until the last socket is closed. On
//! shutdown the listener closes first, then the sockets, paced, and only then the watch that fences them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::{InvalidPattern, Settings};
use portcullis_observe::{MetricsListener, Page, announce};
use portcullis_types::{Clock, Entropy, Shutdown};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::admission::Gatekeeper;
use crate::authority::{Authority, AuthorityError};
use crate::broker::InProcess;
use crate::config::Config;
use crate::drain::drain;
use crate::enforcement::Enforcement;
use crate::hub::{Hub, HubRules};
use crate::inventory::Inventory;
use crate::listener::{self, Acceptor, ListenError};
use crate::metrics::Metrics;
use crate::routes::Routes;
use crate::verifier::{Judge, Verifier};
use crate::watch::{Driver, LAST_WORDS, Parts};
use crate::{gauges, reverify};

/// How long the watch and its workers may take to end when nothing rests on them any more.
const LAST_TASKS: Duration = LAST_WORDS.saturating_add(Duration::from_secs(1));

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No line to the authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A pattern of `hub.anonymous.subscribe` is none.
    #[error("hub.anonymous.subscribe: {0}")]
    Pattern(#[from] InvalidPattern),
    /// No listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The bound address cannot be written down.
    #[error("ready_file: {0}")]
    ReadyFile(#[source] std::io::Error),
}

/// What the ready file says.
#[derive(Debug, Serialize)]
struct Ready {
    http: SocketAddr,
}

/// A gateway that listens.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    address: SocketAddr,
    listener: TcpListener,
    acceptor: Acceptor,
    inventory: Arc<Inventory>,
    entropy: Arc<dyn Entropy>,
    /// Accepting and the sockets.
    sockets: Shutdown,
    /// The watch and its workers.
    vital: Shutdown,
}

impl Gateway {
    /// Binds the listener, starts the watch, and says that it listens.
    pub fn start(config: Config, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, StartError> {
        let rules = HubRules::new(&config)?;
        let authority = Arc::new(Authority::new(&config.authority, Arc::clone(&clock))?);
        let listener = listener::bind(config.listen)?;
        let address = listener.local_addr().map_err(|source| ListenError::Failed { address: config.listen, source })?;
        let (sockets, vital) = (Shutdown::new(), Shutdown::new());
        let metrics = Arc::new(Metrics::new());
        let enforcement = Arc::new(Enforcement::new(settings(&config), Arc::clone(&clock)));
        watch(&config, &authority, &enforcement, &metrics, &clock, &entropy, &vital);
        let judge: Arc<dyn Judge> = Arc::clone(&authority) as _;
        let verifier = Verifier::new(&config.cache, judge, Arc::clone(&clock), Arc::clone(&metrics));
        let inventory = Arc::new(Inventory::holding(config.limits.sockets));
        let hub = Arc::new(Hub {
            rules,
            gatekeeper: Gatekeeper::new(verifier, Arc::clone(&enforcement), Arc::clone(&clock), Arc::clone(&entropy)),
            enforcement,
            broker: Arc::new(InProcess::default()),
            inventory: Arc::clone(&inventory),
            metrics: Arc::clone(&metrics),
            clock,
            entropy: Arc::clone(&entropy),
        });
        let page = metrics_page(&hub, authority);
        if let Some(listener) = bind_metrics(config.metrics.listen)? {
            let (page, stop) = (page.clone(), vital.clone());
            vital.spawn("metrics", async move { listener.serve(page, stop.requested()).await });
        }
        let page = config.metrics.beside(config.is_public()).then_some(page);
        let routes = Arc::new(Routes::new(hub, &config, page, sockets.clone()));
        let acceptor = Acceptor::new(routes, &config.limits, metrics, Arc::clone(&entropy), sockets.clone());
        tracing::info!(gateway = config.gateway_id.as_str(), %address, path = config.hub.path, "listening");
        if let Some(file) = &config.ready_file {
            announce(file, &Ready { http: address }).map_err(StartError::ReadyFile)?;
        }
        Ok(Self { config, address, listener, acceptor, inventory, entropy, sockets, vital })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` resolves or a vital task fails, then drains. False if something failed.
    pub async fn run(self, stop: impl Future<Output = ()>) -> bool {
        let Self { config, listener, acceptor, inventory, entropy, sockets, vital, .. } = self;
        sockets.spawn("accept", acceptor.run(listener));
        tokio::select! {
            () = stop => {}
            () = vital.requested() => {}
            () = sockets.requested() => {}
        }
        tracing::info!(sockets = inventory.len(), "stopping");
        sockets.request();
        let window = Duration::from_millis(config.drain.window_ms);
        if inventory.is_empty() {
            drain(&inventory, Duration::ZERO, &*entropy).await;
        } else {
            drain(&inventory, window, &*entropy).await;
        }
        let closed = sockets.finish(Duration::from_millis(config.drain.grace_ms)).await;
        if !closed {
            tracing::warn!(sockets = inventory.len(), "not every socket was closed in time");
        }
        vital.finish(LAST_TASKS).await && closed
    }
}

/// The listener for metrics alone, if there is one.
fn bind_metrics(address: Option<SocketAddr>) -> Result<Option<MetricsListener>, ListenError> {
    let bind = |address| MetricsListener::bind(address).map_err(|source| ListenError::Failed { address, source });
    address.map(bind).transpose()
}

fn metrics_page(hub: &Arc<Hub>, authority: Arc<Authority>) -> Page {
    let (metrics, enforcement) = (Arc::clone(&hub.metrics), Arc::clone(&hub.enforcement));
    Page::new(move || {
        gauges::refresh(&metrics, &enforcement.standing());
        gauges::refresh_certificate(&metrics, authority.certificate_seconds_left());
        metrics.encode()
    })
}

fn settings(config: &Config) -> Settings {
    Settings {
        revalidate_every: Duration::from_millis(config.revalidation.interval_ms),
        freeze_max: Duration::from_millis(config.freeze.max_ms),
        closes_per_second: config.freeze.closes_per_second,
        revoked_closes_per_second: config.revocation.closes_per_second,
        route_class: config.hub.lease_class,
        ..Settings::default()
    }
}

fn watch(
    config: &Config,
    authority: &Arc<Authority>,
    enforcement: &Arc<Enforcement>,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    vital: &Shutdown,
) {
    let reverifier = reverify::start(authority, clock, entropy, vital);
    let driver = Driver::new(Parts {
        enforcement: Arc::clone(enforcement),
        authority: Arc::clone(authority),
        reverifier,
        metrics: Arc::clone(metrics),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        gateway: config.gateway_id.clone(),
        path: config.hub.path.as_str().into(),
    });
    vital.spawn("watch", driver.run(vital.clone()));
    vital.spawn("certificate", Arc::clone(authority).tend(vital.clone()));
}

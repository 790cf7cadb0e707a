//! Puts the parts together: store, rules, tail, transports; and takes them apart in the reverse order.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use auth_domain::watch::{Registrations, Terms};
use auth_domain::{
    Audience, Authority, BootstrapError, HashError, OpenError, Settings, Store, StoreError, TicketRules,
};
use portcullis_observe::{MetricsListener, announce};
use portcullis_types::{Clock, Entropy, InvalidName, InvalidTerms, LeaseClass, Secret, Shutdown};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::hashing::HashPool;
use crate::http::Edge;
use crate::issuer_keys::{PublishedKeys, RootsError};
use crate::kek::{self, Source};
use crate::leases_given::Given;
use crate::listen::{self, ListenError, Room};
use crate::metrics::Metrics;
use crate::receipts::Receipts;
use crate::replica::Replica;
use crate::retention::Housekeeping;
use crate::revoker::Revoker;
use crate::store::StoreStartError;
use crate::tailer::{LogTail, SourceText as _};
use crate::tls::{Shown, TlsError};
use crate::{denied_logins, grpc, http, key_tending, key_uses, private_file, sealer, store};

/// How long the last calls may take on shutdown.
const GRACE: Duration = Duration::from_secs(10);
/// The longest that any gateway may reuse a verdict.
const CACHE_TTL: Duration = Duration::from_secs(300);
/// How long a lost answer to a refresh can be asked for again.
const REFRESH_GRACE: Duration = Duration::from_secs(30);

/// Tenants that are named in the log when their class no longer fits into the bound.
const MOST_NAMED: u32 = 100;

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// A port is taken, or an address is not this machine's.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The certificate of the gRPC listener cannot be shown.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store did not open.
    #[error(transparent)]
    OpenStore(#[from] StoreStartError),
    /// The store did not answer.
    #[error("the store did not answer")]
    Store(#[from] StoreError),
    /// A private file cannot be used.
    #[error("{} cannot be used", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There are encrypted keys, and the file that opens them is gone.
    #[error("{} is missing: restore it, or the signing keys in the store cannot be used", .0.display())]
    KekMissing(PathBuf),
    /// The file holds no key-encryption keys.
    #[error("{} does not hold key-encryption keys: one a line, the current one first, 64 hexadecimal digits or base64 of 32 bytes", .0.display())]
    KekDamaged(PathBuf),
    /// The environment holds no key-encryption keys.
    #[error(
        "{} does not hold key-encryption keys: separated by commas, the current one first, 64 hexadecimal digits or base64 of 32 bytes",
        kek::VARIABLE
    )]
    KekVariable,
    /// Replicas share a store, and nobody gave them what encrypts its keys.
    #[error(
        "`store.kind = \"postgres\"` needs key-encryption keys: in the file that `keys.kek_file` names, or in {}",
        kek::VARIABLE
    )]
    KekNeeded,
    /// Both a file and the environment have some.
    #[error("key-encryption keys are given by `keys.kek_file` and by {}: take one of them away", kek::VARIABLE)]
    TwoKeks,
    /// The password parameters are not argon2's.
    #[error("the parameters under `password` cannot be used")]
    Hash(#[from] HashError),
    /// A name in the configuration cannot be one.
    #[error("configuration: {0}")]
    Name(#[from] InvalidName),
    /// The lengths of leases do not fit each other.
    #[error("`guarantee`: {0}")]
    Terms(#[from] InvalidTerms),
    /// The additional certificate authorities cannot be used.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The rules did not open.
    #[error("the authority did not open")]
    Open(#[from] OpenError),
    /// The first administrator could not be made.
    #[error("the first administrator could not be made")]
    Bootstrap(#[from] BootstrapError),
}

/// A service that listens.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where gRPC is spoken.
    pub(crate) grpc: SocketAddr,
    /// Where HTTP is spoken.
    pub(crate) http: SocketAddr,
    /// Where metrics are, when that is a listener of its own.
    pub(crate) metrics_at: Option<SocketAddr>,
    /// Where the first administrator's key is.
    pub(crate) admin_key_file: PathBuf,
    /// Where everything is kept.
    pub(crate) store: Arc<dyn Store>,
    log: Arc<LogTail>,
    shutdown: Shutdown,
    /// Of what open watches rest on.
    vital: Shutdown,
}

/// What the ready file says.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    grpc: SocketAddr,
    http: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
    admin_key_file: &'a Path,
}

/// Time, chance, and who owns the tasks.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Chance.
    pub(crate) entropy: Arc<dyn Entropy>,
    /// The tasks' owner.
    pub(crate) shutdown: Shutdown,
}

/// Starts everything. When it returns, both listeners answer.
pub(crate) async fn start(config: &Config, around: Surroundings) -> Result<Running, StartError> {
    // First, because a taken port is the likeliest mistake and must leave nothing behind.
    let shown = config.grpc.tls.as_ref().map(|files| Shown::open(files, Arc::clone(&around.clock))).transpose()?;
    let grpc_listener = listen::bind(config.grpc.listen, "grpc.listen").await?;
    let http_listener = listen::bind(config.http.listen, "http.listen").await?;
    let metrics_listener = listen::bind_metrics(config.metrics.listen)?;
    let metrics_at = metrics_listener.as_ref().map(MetricsListener::address);
    let (grpc, http) = (address_of(&grpc_listener, config.grpc.listen), address_of(&http_listener, config.http.listen));

    let metrics = Arc::new(Metrics::new());
    if let Some(shown) = &shown {
        metrics.show_certificate(Arc::clone(shown.certificate()));
    }
    let store = store::open(config, store::from_environment(), &*around.entropy).await?;
    let authority = Arc::new(open_authority(config, &around, Arc::clone(&store), Arc::clone(&metrics)).await?);
    let (admin_key_file, is_first_start) = bootstrap(&authority, &config.data_dir).await?;
    let log = LogTail::open(Arc::clone(authority.store()), Arc::clone(&around.clock), Arc::clone(&metrics)).await?;
    let log = Arc::new(log);
    tell_weakened(&authority).await?;
    metrics.leases(&authority.settings().leases);
    metrics.count_refused_events_of(Arc::clone(authority.event_quota()));
    let shutdown = around.shutdown.clone();
    let vital = Shutdown::new();
    let receipts = open_receipts(config, &around, &vital, &authority, &log, is_first_start)?;
    receipts.catch_up().await?;
    vital.spawn("log tail", Arc::clone(&log).follow(Arc::clone(&around.entropy), vital.clone()));
    shutdown.spawn("uses of API keys", key_uses::write_down(Arc::clone(&authority), shutdown.clone()));
    // Logins that were begun are answered, and may be refused, until all that serves has ended.
    let denied = denied_logins::write_down(Arc::clone(&authority), Arc::clone(&metrics), vital.clone());
    vital.spawn("refused logins", denied);
    shutdown.spawn("signing keys", key_tending::tend(Arc::clone(&authority), shutdown.clone()));
    let house = sealer::keep_house(Arc::clone(&authority), Arc::clone(&metrics), shutdown.clone());
    shutdown.spawn("audit sealer", house);
    let (of, chance) = (Arc::clone(&authority), Arc::clone(&around.entropy));
    let house = Housekeeping::new(of, &config.retention, Arc::clone(&metrics), chance, shutdown.clone());
    shutdown.spawn("retention", house.tend());
    if let Some(listener) = metrics_listener {
        let (page, stop) = (receipts.page(), shutdown.clone());
        shutdown.spawn("metrics", async move { listener.serve(page, stop.requested()).await });
    }
    let revoker = Revoker::start(Arc::clone(&authority), Arc::clone(&metrics));
    let edge = Edge::new(
        Arc::clone(&authority),
        revoker.clone(),
        Arc::clone(&receipts),
        Arc::clone(&metrics),
        Arc::clone(&around.clock),
        config,
    );
    let room = Room::new(config.http.caps(), metrics.refused("http"));
    shutdown.spawn("http", http::serve(http_listener, room, edge.router(), shutdown.clone()));
    let (log_of, clock) = (Arc::clone(&log), around.clock);
    let parts = grpc::Parts { authority, revoker, log: log_of, receipts, metrics, clock, shutdown: shutdown.clone() };
    if let Some(shown) = &shown {
        shutdown.spawn("certificate", Arc::clone(shown).tend(shutdown.clone()));
    }
    shutdown.spawn("grpc", serve_grpc(grpc::Api::new(parts, shown, config), grpc_listener, shutdown.clone()));

    let running = Running { grpc, http, metrics_at, admin_key_file, store, log, shutdown, vital };
    running.announce(config)?;
    Ok(running)
}

impl Running {
    fn announce(&self, config: &Config) -> Result<(), StartError> {
        let Self { grpc, http, metrics_at, admin_key_file, .. } = self;
        tracing::info!(%grpc, %http, data_dir = %config.data_dir.display(), "listening");
        let Some(file) = &config.ready_file else { return Ok(()) };
        let ready = Ready { grpc: *grpc, http: *http, metrics: *metrics_at, admin_key_file };
        announce(file, &ready).map_err(|source| StartError::File { path: file.clone(), source })
    }

    /// Resolves when the service should end: asked to, or unable to go on.
    pub(crate) async fn ended(&self) {
        tokio::select! {
            () = self.shutdown.requested() => {}
            () = self.vital.requested() => {}
        }
    }

    /// Ends all tasks and closes the store. False when something failed.
    pub(crate) async fn stop(self) -> bool {
        let finished = self.shutdown.finish(GRACE).await;
        // Last: a watch that is leaving still says what is new and answers probes, until its gateway has moved.
        let finished = self.vital.finish(GRACE).await && finished;
        if !finished {
            tracing::warn!("some calls were still running, or a task failed");
        }
        self.store.close().await;
        tracing::info!("stopped");
        finished && !self.log.is_broken()
    }
}

/// What weakens the bound, or no longer fits into it, is said at each start.
async fn tell_weakened(authority: &Authority) -> Result<(), StoreError> {
    let leases = authority.settings().leases;
    let longest = LeaseClass::ALL.into_iter().rev().find(|class| leases.fits(*class).is_ok());
    tracing::info!(bound = ?leases.bound(), longest_class = longest.map_or("none", LeaseClass::word), "guarantee");
    for tenant in authority.tenants_over_bound(MOST_NAMED).await? {
        let class = tenant.lease_class.map_or("none", LeaseClass::word);
        tracing::warn!(tenant = %tenant.name, class, "lasts longer than the bound: served as standard");
    }
    Ok(())
}

/// Who enforces what: known to this process alone, or where others are on the same store, through that.
fn open_receipts(
    config: &Config,
    around: &Surroundings,
    vital: &Shutdown,
    authority: &Authority,
    log: &Arc<LogTail>,
    is_first_start: bool,
) -> Result<Arc<Receipts>, StartError> {
    let shutdown = &around.shutdown;
    let (store, clock) = (Arc::clone(authority.store()), Arc::clone(&around.clock));
    let leases = authority.settings().leases;
    let (lease, bound) = (leases.longest(), leases.bound());
    let Some(fleet) = Arc::clone(&store).fleet() else {
        let (given, lease_before) = leases_given(config, lease, is_first_start)?;
        shutdown.spawn("leases from before", lower(given, shutdown.clone()));
        let terms = Terms { lease, bound, lease_before };
        let registrations = Registrations::new(terms, clock.boottime()).with_room(config.grpc.limits.gateways);
        return Ok(Arc::new(Receipts::new(registrations, lease, Arc::clone(log), store, clock, None)));
    };
    // Leases from before, and those that others give, are in the store.
    let terms = Terms { lease, bound, lease_before: None };
    let replica = Arc::new(Replica::new(fleet, Arc::clone(log), Arc::clone(&clock), &*around.entropy));
    vital.spawn("beats", Arc::clone(&replica).beat(Arc::clone(&around.entropy), vital.clone()));
    vital.spawn("notes", Arc::clone(&replica).write_notes(vital.clone()));
    let registrations = Registrations::new(terms, clock.boottime()).with_room(config.grpc.limits.gateways);
    let receipts = Arc::new(Receipts::new(registrations, lease, Arc::clone(log), store, clock, Some(replica)));
    vital.spawn("other replicas", Arc::clone(&receipts).listen(vital.clone()));
    Ok(receipts)
}

/// What is known of leases from before. Where the store was made now there is nobody who could hold one; where it was
/// not and there is no word, they were no longer than the bound.
fn leases_given(
    config: &Config,
    lease: Duration,
    is_first_start: bool,
) -> Result<(Given, Option<Duration>), StartError> {
    let given = Given::open(&config.data_dir, lease)
        .map_err(|source| StartError::File { path: config.data_dir.join("lease_ms"), source })?;
    let before = given.before().or_else(|| (!is_first_start).then_some(lease));
    Ok((given, before))
}

async fn lower(given: Given, shutdown: Shutdown) {
    let Some(after) = given.lower_after() else { return };
    tokio::select! {
        () = shutdown.requested() => {}
        () = tokio::time::sleep(after) => if let Err(error) = given.lower() {
            tracing::warn!(%error, "the length of the leases given cannot be written down; receipts wait for longer ones");
        },
    }
}

async fn serve_grpc(api: grpc::Api, listener: TcpListener, shutdown: Shutdown) {
    if let Err(error) = api.serve(listener).await {
        tracing::error!(%error, cause = error.source_text(), "gRPC cannot be served");
        shutdown.request();
    }
}

fn address_of(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

/// Who decides, on this store.
pub(crate) async fn open_authority(
    config: &Config,
    around: &Surroundings,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
) -> Result<Authority, StartError> {
    let source = Source::find(config, Source::from_environment())?;
    let keks = source.read(&*store, &*around.entropy).await?;
    let passwords = HashPool::new(config, around.clone(), Arc::clone(&metrics))?;
    let parts = auth_domain::Parts {
        store,
        clock: Arc::clone(&around.clock),
        entropy: Arc::clone(&around.entropy),
        passwords: Arc::new(passwords),
        issuer_keys: Arc::new(PublishedKeys::new(
            &config.issuers,
            metrics,
            Arc::clone(&around.clock),
            around.shutdown.clone(),
        )?),
        keks,
        settings: settings(config)?,
    };
    Ok(Authority::open(parts).await?)
}

fn settings(config: &Config) -> Result<Settings, StartError> {
    let tokens = &config.tokens;
    Ok(Settings {
        issuer: tokens.issuer.clone(),
        audience: Audience::try_from(tokens.audience.as_str())?,
        access_ttl: Duration::from_millis(tokens.access_ttl_ms),
        refresh_ttl: Duration::from_millis(tokens.refresh_ttl_ms),
        session_ttl: Duration::from_millis(tokens.session_ttl_ms),
        ticket_ttl: Duration::from_millis(tokens.ticket_ttl_ms),
        ticket_rules: TicketRules { per_session: tokens.tickets_per_session, per_key: tokens.tickets_per_key },
        cache_ttl: CACHE_TTL,
        refresh_grace: REFRESH_GRACE,
        keys: config.keys.settings()?,
        leases: config.guarantee.terms()?,
        password_policy: config.password_policy.policy(),
        guard: config.login_guard.rules(),
        cookies: config.cookie.rules(),
        display_name: config.second_factor.display_name.clone(),
        signature_keys: config.signature_keys.settings(),
        allow_loopback_issuers: config.issuers.allow_loopback_http,
        events_per_minute: config.tenants.events_per_minute,
    })
}

/// The first start without serving: makes store, keys and administrator where they are not there yet.
pub(crate) async fn first_start(config: &Config, around: &Surroundings) -> Result<(PathBuf, bool), StartError> {
    let store = store::open(config, store::from_environment(), &*around.entropy).await?;
    let authority = open_authority(config, around, Arc::clone(&store), Arc::new(Metrics::new())).await?;
    let made = bootstrap(&authority, &config.data_dir).await;
    store.close().await;
    made
}

/// Where an administrator's key is handed over.
pub(crate) fn admin_key_file(data_dir: &Path) -> PathBuf {
    let path = data_dir.join("admin.key");
    // Whoever reads the ready file may stand elsewhere.
    std::path::absolute(&path).unwrap_or(path)
}

/// On the first start, makes the administrator and hands its key over in a file: its path is logged, never the key.
/// Where it is, and whether this is the first start.
async fn bootstrap(authority: &Authority, data_dir: &Path) -> Result<(PathBuf, bool), StartError> {
    let path = admin_key_file(data_dir);
    // A file that is there belongs to a store that is gone, or to a first start that did not end: its key opens nothing.
    let keep = |key: &Secret| private_file::write(&path, key.expose_bytes()).map_err(Into::into);
    let is_first_start = authority.bootstrap(keep).await?.is_some();
    if is_first_start {
        tracing::info!(path = %path.display(), "first start: the administrator's key is in this file");
    }
    Ok((path, is_first_start))
}

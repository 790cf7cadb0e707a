//! The transport for people, browsers and standards: JSON over HTTP/1.1.
//!
//! Owns the translation between HTTP and the authority, and nothing else: it holds no rules.
//! Guarantees: bodies and headers are capped and timed, requests of one address counted; a credential is never cached; the
//! session cookie works only from an allowed origin, and only such an origin reads an answer; every refusal is a problem
//! document; `/openapi.json` says all of it.

mod asker;
mod body;
mod client;
mod cors;
mod credential;
mod device_cookie;
mod jwks;
mod login;
mod logout;
mod oauth;
mod observe;
mod openapi;
mod password;
mod problem;
mod public;
mod rate;
mod second_factor;
mod serve;
mod session;
mod session_cookie;
mod signature_keys;
mod token;
mod ws_ticket;

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{Authority, BeginError, HashError, StoreError, VerifyError};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, header};
use portcullis_config::TrustedProxies;
use portcullis_observe::{Kind, Page as MetricsPage, Parent, Span};
use portcullis_types::{Clock, Secret};

pub(crate) use self::serve::serve;

use self::problem::Problem;
use self::rate::Rate;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::receipts::Receipts;
use crate::revoker::Revoker;
use crate::tailer::{LogTail, SourceText as _};

/// The routes with their methods.
pub(crate) const ROUTES: [(&str, &str); 22] = [
    ("/v1/login", "POST"),
    ("/v1/login/continue", "POST"),
    ("/v1/logout", "POST"),
    ("/v1/logout/all", "POST"),
    ("/v1/token", "POST"),
    ("/v1/ws-ticket", "POST"),
    ("/v1/session", "GET"),
    ("/v1/password", "POST"),
    ("/v1/password/reset", "POST"),
    ("/v1/second-factor/enrol", "POST"),
    ("/v1/second-factor/confirm", "POST"),
    ("/v1/second-factor/recovery-codes", "POST"),
    ("/v1/second-factor/remove", "POST"),
    ("/v1/signature-keys", "GET"),
    ("/v1/signature-keys/begin", "POST"),
    ("/v1/signature-keys/register", "POST"),
    ("/v1/signature-keys/revoke", "POST"),
    ("/.well-known/jwks.json", "GET"),
    ("/openapi.json", "GET"),
    ("/health", "GET"),
    ("/ready", "GET"),
    ("/metrics", "GET"),
];

/// What every route needs. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    authority: Arc<Authority>,
    revoker: Revoker,
    log: Arc<LogTail>,
    receipts: Arc<Receipts>,
    metrics: Arc<Metrics>,
    allowed_origins: Arc<[String]>,
    trusted_proxies: TrustedProxies,
    request_time: Duration,
    rate: Arc<Rate>,
    clock: Arc<dyn Clock>,
    metrics_page: Option<MetricsPage>,
    is_over_tls: bool,
}

impl Edge {
    /// With the configured origins.
    pub(crate) fn new(
        authority: Arc<Authority>,
        revoker: Revoker,
        receipts: Arc<Receipts>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        config: &Config,
    ) -> Self {
        let (log, allowed_origins) = (Arc::clone(receipts.log()), config.http.allowed_origins.clone().into());
        let limits = &config.http.limits;
        let (request_time, rate) = (limits.request_time(), Arc::new(Rate::new(limits.requests_per_minute)));
        let trusted_proxies = config.http.trusted_proxies.clone();
        let metrics_page = config.metrics.beside(config.http.is_public()).then(|| receipts.page());
        let is_over_tls = config.http.behind_tls_proxy;
        Self {
            authority,
            revoker,
            log,
            receipts,
            metrics,
            allowed_origins,
            trusted_proxies,
            request_time,
            rate,
            clock,
            metrics_page,
            is_over_tls,
        }
    }

    /// B in whole seconds, rounded up: the promise is never shorter than it is kept.
    fn enforced_within(&self) -> u64 {
        seconds_up(self.receipts.bound())
    }

    /// All routes with what surrounds them.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/v1/login", post(login::login))
            .route("/v1/login/continue", post(login::go_on))
            .route("/v1/logout", post(logout::logout))
            .route("/v1/logout/all", post(logout::logout_all))
            .route("/v1/token", post(token::token))
            .route("/v1/ws-ticket", post(ws_ticket::ws_ticket))
            .route("/v1/session", get(session::session))
            .route("/v1/password", post(password::change))
            .route("/v1/password/reset", post(password::reset))
            .route("/v1/second-factor/enrol", post(second_factor::enrol))
            .route("/v1/second-factor/confirm", post(second_factor::confirm))
            .route("/v1/second-factor/recovery-codes", post(second_factor::renew))
            .route("/v1/second-factor/remove", post(second_factor::remove))
            .route("/v1/signature-keys", get(signature_keys::list))
            .route("/v1/signature-keys/begin", post(signature_keys::begin))
            .route("/v1/signature-keys/register", post(signature_keys::register))
            .route("/v1/signature-keys/revoke", post(signature_keys::revoke))
            .route("/.well-known/jwks.json", get(jwks::jwks))
            .route("/openapi.json", get(openapi::openapi))
            .route("/health", get(observe::health))
            .route("/ready", get(observe::ready))
            .route("/metrics", get(observe::metrics))
            .fallback(|| async { Problem::NotFound })
            .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
            .layer(DefaultBodyLimit::max(body::MOST_BYTES))
            .layer(middleware::from_fn_with_state(self.clone(), surround))
            .with_state(self)
    }
}

/// Bounds the rate and the time of requests, counts them, answers preflights, and sets the headers that every answer
/// carries.
async fn surround(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let began = edge.clock.boottime();
    let known = ROUTES.into_iter().find(|(route, _)| *route == path);
    let (route, asked) = (known.map_or("other", |(route, _)| route), request.headers().clone());
    let span = Span::begin(route, Kind::Server, &Parent::of(&asked));
    let mut response = match (known, edge.one_too_many(route, &request)) {
        (_, Some(retry_after)) => Problem::TooMany { retry_after }.into_response(),
        (Some((_, methods)), None) if cors::is_preflight(request.method(), &asked) => {
            cors::preflight(&edge, &asked, methods)
        }
        (Some(_) | None, None) => {
            let answered = tokio::time::timeout(edge.request_time, next.run(request)).await;
            answered.unwrap_or_else(|_| Problem::TooSlow.into_response())
        }
    };
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if edge.is_over_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT_TRANSPORT_SECURITY));
    }
    cors::name_origin(&edge, &asked, headers);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let status = response.status().as_u16();
    if response.status().is_server_error() {
        span.fail();
    }
    edge.metrics.answer(route, status, edge.clock.boottime().saturating_since(began));
    tracing::debug!(route, status, "request");
    response
}

impl Edge {
    /// When this request is one too many of its address: for how many seconds. Whoever watches over the process is not
    /// counted.
    fn one_too_many(&self, route: &str, request: &Request) -> Option<u64> {
        if matches!(route, "/health" | "/ready" | "/metrics") {
            return None;
        }
        let from = client::address_of(self, request.extensions(), request.headers());
        self.rate.count(from, self.clock.boottime())
    }
}

/// Of every answer: nothing of it is a page.
pub(crate) const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A year, for this host: what is beside it is not ours to say.
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let cause = error.source_text();
        match &error {
            StoreError::Unavailable(_) | StoreError::UnknownOutcome(_) => {
                tracing::error!(%error, cause, "the store failed");
                Self::Unavailable
            }
            StoreError::Conflict => Self::Unavailable,
            StoreError::Corrupt { what } => {
                tracing::error!(what, "the store holds a row that means nothing");
                Self::Internal
            }
            StoreError::Sealed(_) => {
                tracing::error!(%error, cause, "a key-encryption key is missing");
                Self::Internal
            }
        }
    }
}

impl From<BeginError> for Problem {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Store(error) => error.into(),
            BeginError::HolderRefused(reason) => Self::Denied(reason),
            // Nobody changes anything at this edge by a key of the authority's API, but at the token endpoint, which
            // tells it itself.
            BeginError::CallerRefused | BeginError::RequestIdReused | BeginError::TenantQuota { .. } => {
                tracing::error!(%error, "a change at the HTTP edge was asked for by a key");
                Self::Internal
            }
        }
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Begin(error) => error.into(),
            VerifyError::Issuer(_) => Self::IssuerUnavailable,
            VerifyError::Store(error) => error.into(),
        }
    }
}

impl From<HashError> for Problem {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded => Self::Overloaded,
            HashError::Leaving => Self::Unavailable,
            HashError::Failed => {
                tracing::error!("a password could not be hashed");
                Self::Internal
            }
        }
    }
}

/// A secret that was issued now, on its way to its owner.
fn text_of(secret: &Secret) -> Result<String, Problem> {
    secret.expose_str().map(str::to_owned).ok_or(Problem::Internal)
}

/// Whole seconds, never less: for whoever is told to wait.
fn seconds_up(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX)
}

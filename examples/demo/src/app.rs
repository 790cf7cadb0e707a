//! What requests share, and which path is answered by what.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use portcullis_types::Secret;

use crate::authority::Authority;
use crate::edge::{self, Edge};
use crate::guard::{self, Own, SecurityHeaders};
use crate::settings::{Gateway, Settings};
use crate::{api, page, problem, receipt};

/// How handlers reach the [`App`].
pub(crate) type SharedApp = State<Arc<App>>;

/// What requests share.
pub(crate) struct App {
    /// The authority by gRPC.
    pub(crate) authority: Authority,
    /// The authority by HTTP.
    pub(crate) edge: Edge,
    /// The gateways the page opens sockets to.
    pub(crate) gateways: Vec<Gateway>,
    /// The users of the page and what it fills in for them.
    pub(crate) passwords: BTreeMap<String, Secret>,
    own: Arc<Own>,
    security: Arc<SecurityHeaders>,
}

impl App {
    /// For a listener that answers under these names.
    pub(crate) fn new(settings: &Settings, own: Own) -> Result<Self, tonic::transport::Error> {
        Ok(Self {
            authority: Authority::new(&settings.authority, &settings.api_key, settings.tenant.clone())?,
            edge: Edge::new(settings.authority_http.clone()),
            gateways: settings.gateways.clone(),
            passwords: settings.passwords.clone(),
            own: Arc::new(own),
            security: Arc::new(SecurityHeaders::new(&settings.gateways)),
        })
    }
}

/// Every path, behind the guard. Paths that are not here are refused by the guard's rules first, too.
pub(crate) fn router(app: Arc<App>) -> Router {
    let (own, security) = (app.own.clone(), app.security.clone());
    let mut router = Router::new()
        .route("/api/config", get(api::config))
        .route("/api/sessions", get(api::sessions))
        .route("/api/revoke-session", post(api::revoke_session))
        .route("/api/revoke-identity", post(api::revoke_identity))
        .route("/api/disable", post(api::disable))
        .route("/api/enable", post(api::enable))
        .route("/api/receipt", get(receipt::receipt));
    for path in edge::PATHS {
        router = router.route(path, post(edge::pass));
    }
    for file in &page::FILES {
        router = router.route(file.path, get(move || async move { file.answer() }));
    }
    router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(edge::MOST_BYTES))
        .layer(from_fn_with_state(own, guard::own_page_only))
        .layer(from_fn_with_state(security, guard::secured))
        .with_state(app)
}

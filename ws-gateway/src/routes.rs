//! What is answered to a request: the hub's handshake, and the gateway's own paths.
//!
//! Guarantees that a handshake that presents a credential, or may still do so, is refused with 503 before the upgrade
//! while the gateway has no valid lease: nobody is let in whom it could not fence. So is every handshake on a route whose
//! class of leases outlasts the authority's bound. `/ready` says the same to a load balancer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use gateway_core::session::Ruling;
use gateway_core::{Denial, Refusal};
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use portcullis_config::TrustedProxies;
use portcullis_observe::{Page, Parent};
use portcullis_types::Shutdown;
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use crate::admission::Entrance;
use crate::config::{Config, RefusalStyle};
use crate::connection::{Arrival, Carried, Connection};
use crate::credential::Presented;
use crate::handshake::{self, Handshake, NotWebSocket};
use crate::hub::{Hub, Seat};
use crate::listener::Peer;
use crate::origin::AllowedOrigin;
use crate::problem::{problem, refusal};
use crate::wire::Wire;

/// See the module.
#[derive(Debug)]
pub struct Routes {
    hub: Arc<Hub>,
    own: axum::Router,
    path: String,
    origins: Vec<AllowedOrigin>,
    trusted_proxies: TrustedProxies,
    style: RefusalStyle,
    message_bytes: usize,
    tasks: Shutdown,
}

impl Routes {
    /// For this hub, with this page of metrics, if it is not elsewhere; its connections are tasks of `tasks`.
    pub fn new(hub: Arc<Hub>, config: &Config, page: Option<Page>, tasks: Shutdown) -> Self {
        let (hub_config, limits) = (&config.hub, &config.limits);
        let own = axum::Router::new()
            .route("/health", get(async || "ok\n"))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .fallback(async || problem(StatusCode::NOT_FOUND, "not_found", "There is nothing at this path."))
            .with_state(Own { hub: Arc::clone(&hub), page, tasks: tasks.clone() });
        Self {
            hub,
            own,
            path: hub_config.path.clone(),
            origins: hub_config.allowed_origins.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            style: hub_config.refusal,
            message_bytes: limits.message_bytes,
            tasks,
        }
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        if request.uri().path() == self.path {
            return Box::pin(self.shake_hands(request, peer)).await;
        }
        match self.own.clone().oneshot(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn shake_hands(&self, mut request: Request<Incoming>, peer: Peer) -> Response<Body> {
        let upgrade = hyper::upgrade::on(&mut request);
        let (parts, _empty) = request.into_parts();
        let client = self.trusted_proxies.client(peer.address, &parts.headers);
        let read = handshake::read(&parts, client, &self.origins, self.hub.rules.credentials);
        let handshake = match read {
            Ok(handshake) => handshake,
            Err(not) => return not_a_handshake(not),
        };
        let Handshake { accept, protocol, origin, remote, credential } = handshake;
        let entrance = Arc::new(Entrance {
            audience: Arc::clone(&self.hub.rules.audience),
            origin,
            remote,
            trace: Parent::of(&parts.headers),
        });
        let Some(seat) = Seat::take(&self.hub) else {
            self.hub.metrics.limit("sockets");
            return refusal(Denial::Overloaded, &*self.hub.entropy);
        };
        let carried = match self.carried(credential, &seat, &entrance).await {
            Ok(carried) => carried,
            Err(refused) => {
                self.hub.metrics.handshake(refused.denial().text());
                return refusal(refused.denial(), &*self.hub.entropy);
            }
        };
        self.upgrade(upgrade, Box::new(Arrival { seat, place: peer.place, entrance, carried }));
        switching_protocols(&accept, protocol)
    }

    /// What goes on to the connection, or what is refused before there is one.
    async fn carried(
        &self,
        credential: Result<Option<Presented>, Refusal>,
        seat: &Seat,
        entrance: &Entrance,
    ) -> Result<Carried, Refusal> {
        let presented = match credential {
            Err(refused) => return self.refused(refused),
            Ok(presented) => presented,
        };
        if self.tasks.is_requested() {
            return Err(Denial::NotReady.into());
        }
        if self.hub.enforcement.route_over_bound().is_some() {
            return Err(Denial::RouteOverBound.into());
        }
        // Whoever has shown nothing yet may still do so in `connect`, unless guests are welcome.
        if (presented.is_some() || !self.hub.rules.takes_guests()) && !self.hub.enforcement.may_admit() {
            return Err(Denial::NotReady.into());
        }
        match (presented, self.style) {
            (None, _) => Ok(Carried::Nothing),
            (Some(presented), RefusalStyle::Frame) => Ok(Carried::Presented(Box::new(presented))),
            (Some(presented), RefusalStyle::Http) => {
                let judged = self.hub.judge(seat.to_ref(), &presented, entrance).await;
                match judged.ruling {
                    Ruling::Refused(refused) => Err(refused),
                    Ruling::Admitted(_) | Ruling::Anonymous(_) => Ok(Carried::Judged(Box::new(judged))),
                }
            }
        }
    }

    fn refused(&self, refused: Refusal) -> Result<Carried, Refusal> {
        match (self.hub.rules.ruling_on(refused), self.style) {
            (ruling @ Ruling::Anonymous(_), _) => {
                Ok(Carried::Judged(Box::new(crate::hub::Judged { ruling, guard: None })))
            }
            (Ruling::Refused(_) | Ruling::Admitted(_), RefusalStyle::Http) => Err(refused),
            (Ruling::Refused(_) | Ruling::Admitted(_), RefusalStyle::Frame) => Ok(Carried::Barred(refused)),
        }
    }

    fn upgrade(&self, upgrade: hyper::upgrade::OnUpgrade, arrival: Box<Arrival>) {
        let message_bytes = self.message_bytes;
        self.tasks.track(async move {
            // Fails when the peer went away before it was answered.
            let Ok(upgraded) = upgrade.await else { return };
            let Some(wire) = wire(upgraded, message_bytes) else { return };
            Connection::new(*arrival, wire).run().await;
        });
    }
}

/// What HTTP leaves of a connection, without the buffers it read and wrote with.
fn wire(upgraded: hyper::upgrade::Upgraded, message_bytes: usize) -> Option<Wire> {
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        tracing::error!("an upgraded connection is not a TCP stream");
        return None;
    };
    Some(Wire::new(parts.io.into_inner(), &parts.read_buf, message_bytes))
}

fn switching_protocols(accept: &str, protocol: Option<&'static str>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    response
}

fn not_a_handshake(not: NotWebSocket) -> Response<Body> {
    let mut response = problem(not.status(), not.text(), "This path speaks WebSocket, version 13, over HTTP/1.1.");
    let headers = response.headers_mut();
    match not {
        NotWebSocket::Method => {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        NotWebSocket::NoUpgrade => {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        }
        NotWebSocket::Version => {
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        NotWebSocket::Key => {}
    }
    response
}

#[derive(Clone)]
struct Own {
    hub: Arc<Hub>,
    page: Option<Page>,
    tasks: Shutdown,
}

/// Synced with a valid lease, within the bound, and not leaving.
async fn ready(State(own): State<Own>) -> Response<Body> {
    if own.hub.enforcement.route_over_bound().is_some() {
        return refusal(Denial::RouteOverBound, &*own.hub.entropy);
    }
    if own.tasks.is_requested() || !own.hub.enforcement.admits() {
        return refusal(Denial::NotReady, &*own.hub.entropy);
    }
    Response::new(Body::from("ready\n"))
}

async fn metrics(State(own): State<Own>) -> Response<Body> {
    let Some(page) = &own.page else {
        return problem(StatusCode::NOT_FOUND, "not_found", "There is nothing at this path.");
    };
    let mut response = Response::new(Body::from(page.text()));
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

//! Who may speak to this back end: the page it served itself, from this machine, and nobody else.
//!
//! Guarantees: a request whose `Host` is not this back end's own loopback name is refused, so that a foreign name that
//! resolves to loopback (DNS rebinding) reads nothing; a request that may change something carries this page's own
//! `Origin`, so that a foreign page in the same browser changes nothing. Every answer carries the security headers.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use crate::problem::Problem;
use crate::settings::Gateway;

const WRONG_HOST: Problem =
    Problem::new(StatusCode::FORBIDDEN, "wrong_host", "The Host header is not this back end's own loopback address.");
const WRONG_ORIGIN: Problem =
    Problem::new(StatusCode::FORBIDDEN, "wrong_origin", "The Origin header is missing or not this page's own.");

/// The names under which this back end answers.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    hosts: Vec<String>,
}

impl Own {
    /// The names of a listener: its address, and `localhost`, each with its port.
    pub(crate) fn at(bound: SocketAddr) -> Self {
        let mut hosts = vec![bound.to_string(), format!("localhost:{}", bound.port())];
        if bound.port() == 80 {
            // Browsers leave the default port out.
            hosts.extend([bound.to_string(), "localhost:80".to_owned()].map(|host| host.replace(":80", "")));
        }
        Self { hosts }
    }

    /// The host a request is for, when it is one of ours: exactly one `Host`, and an absolute target names it too.
    fn host<'a>(&self, headers: &'a HeaderMap, target: &Uri) -> Option<&'a str> {
        let host = only(headers, &header::HOST)?;
        let agrees = target.authority().is_none_or(|authority| authority.as_str() == host);
        (agrees && self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))).then_some(host)
    }
}

/// Refuses a request that is not from our own page, or not meant for us.
pub(crate) async fn own_page_only(State(own): State<Arc<Own>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let Some(host) = own.host(headers, request.uri()) else {
        return WRONG_HOST.into_response();
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let from_own_page = || {
        let origin = only(headers, &header::ORIGIN)?.strip_prefix("http://")?;
        Some(origin.eq_ignore_ascii_case(host))
    };
    if !reads && from_own_page() != Some(true) {
        return WRONG_ORIGIN.into_response();
    }
    next.run(request).await
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

/// The headers every answer carries.
#[derive(Clone, Debug)]
pub(crate) struct SecurityHeaders(Vec<(HeaderName, HeaderValue)>);

impl SecurityHeaders {
    /// Allows the page its own files, its own back end and these gateways.
    pub(crate) fn new(gateways: &[Gateway]) -> Self {
        let sockets: String = gateways.iter().map(|gateway| format!(" {}", gateway.origin)).collect();
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{sockets}; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
        );
        let policy = HeaderValue::try_from(policy).expect("gateway origins were checked to be plain characters");
        let fixed = HeaderValue::from_static;
        Self(vec![
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
            (header::CACHE_CONTROL, fixed("no-store")),
            (header::REFERRER_POLICY, fixed("same-origin")),
            (HeaderName::from_static("cross-origin-resource-policy"), fixed("same-origin")),
            (HeaderName::from_static("cross-origin-opener-policy"), fixed("same-origin")),
        ])
    }
}

/// Sets the security headers on an answer, whoever gave it.
pub(crate) async fn secured(State(security): State<Arc<SecurityHeaders>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in &security.0 {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

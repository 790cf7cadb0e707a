//! The authority's HTTP edge under this page's own origin, as a reverse proxy would serve it.
//!
//! Guarantees: the four paths a page needs reach the authority with what it judges by (`Origin`, `Authorization`,
//! cookies), bodies of both directions are at most [`MOST_BYTES`], and an exchange takes at most [`DEADLINE`].
//! Refuses: every other header, so that nothing about the connection to this back end is taken for one to the authority.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::app::SharedApp;
use crate::authority::UNAVAILABLE;
use crate::problem::Problem;

/// At most so many bytes in a body.
pub(crate) const MOST_BYTES: usize = 64 * 1024;
const DEADLINE: Duration = Duration::from_secs(10);

/// The paths of the authority that the page may use.
pub(crate) const PATHS: [&str; 4] = ["/v1/login", "/v1/token", "/v1/logout", "/v1/ws-ticket"];

const ASKED_WITH: [HeaderName; 6] =
    [header::ACCEPT, header::AUTHORIZATION, header::CONTENT_TYPE, header::COOKIE, header::ORIGIN, header::USER_AGENT];
const ANSWERED_WITH: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::RETRY_AFTER, header::SET_COOKIE, header::WWW_AUTHENTICATE];

/// The body of a request is over the cap, or was broken off.
pub(crate) const BODY_REFUSED: Problem =
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is larger than 64 KiB or incomplete.");
const ANSWER_REFUSED: Problem =
    Problem::new(StatusCode::BAD_GATEWAY, "authority_failed", "The authority's answer is too large or incomplete.");

/// Passes requests on to the authority's HTTP edge.
#[derive(Debug)]
pub(crate) struct Edge {
    to: Authority,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Edge {
    /// At this host and port.
    pub(crate) fn new(to: Authority) -> Self {
        Self { to, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    async fn pass(&self, request: Request) -> Result<Response, Problem> {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let target = Uri::builder().scheme(Scheme::HTTP).authority(self.to.clone()).path_and_query(path).build();
        let body = collect(body, BODY_REFUSED).await?;
        let mut onward = Request::new(Full::new(body));
        *onward.method_mut() = head.method;
        *onward.uri_mut() = target.expect("scheme, authority and path are all there");
        *onward.headers_mut() = kept(&head.headers, &ASKED_WITH);
        let answer = self.client.request(onward).await.map_err(|_| UNAVAILABLE)?;
        let (head, body) = answer.into_parts();
        let body = collect(body, ANSWER_REFUSED).await?;
        Ok((head.status, kept(&head.headers, &ANSWERED_WITH), Body::from(body)).into_response())
    }
}

/// One of [`PATHS`].
pub(crate) async fn pass(State(app): SharedApp, request: Request) -> Result<Response, Problem> {
    tokio::time::timeout(DEADLINE, app.edge.pass(request)).await.map_err(|_| UNAVAILABLE)?
}

async fn collect<B>(body: B, refusal: Problem) -> Result<Bytes, Problem>
where
    B: axum::body::HttpBody,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Ok(Limited::new(body, MOST_BYTES).collect().await.map_err(|_| refusal)?.to_bytes())
}

fn kept(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let values = |name: &HeaderName| -> Vec<(HeaderName, HeaderValue)> {
        headers.get_all(name).iter().map(|value| (name.clone(), value.clone())).collect()
    };
    let mut kept = HeaderMap::new();
    for (name, value) in names.iter().flat_map(values) {
        kept.append(name, value);
    }
    kept
}

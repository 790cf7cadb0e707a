//! What stands before every call: who calls, whether its credential holds the method's scope, how long it may take.
//!
//! Guarantees: no handler of the contract runs without an authenticated caller that holds the scope of the table; every
//! call is counted, and answers within the smaller of the client's deadline and the configured one (a stream: begins to).
//! A stream whose caller's certificate nobody vouches for any more is cut.
//! A call that its caller is not allowed to make has a row in the audit trail, within the bounds of [`Denials`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use auth_domain::{Actor, Authority, DeniedCall};
use http::{HeaderMap, Request, Response};
use portcullis_observe::{Kind, Parent, Span};
use portcullis_types::Clock;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::{Layer, Service};

use super::caller::Admitted;
use super::ended::{self, Counted};
use super::errors::{Failure, Reason};
use super::scopes::{self, Access, Method};
use super::standing::Standing;
use crate::denials::Denials;
use crate::metrics::Metrics;
use crate::tls::Peer;

/// What the gate needs.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    /// Who knows callers.
    pub(crate) authority: Arc<Authority>,
    /// Where calls are counted.
    pub(crate) metrics: Arc<Metrics>,
    /// How long a call took.
    pub(crate) clock: Arc<dyn Clock>,
    /// Who was denied lately.
    pub(crate) denials: Arc<Denials>,
    /// The longest a call may take.
    pub(crate) max_deadline: Duration,
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: Arc::new(self.clone()), inner }
    }
}

/// A service behind the gate.
#[derive(Clone, Debug)]
pub(crate) struct Gated<S> {
    gate: Arc<Gate>,
    inner: S,
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let fresh = self.inner.clone();
        // The one that was polled ready is the one to call.
        let inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(Arc::clone(&self.gate).pass(request, inner))
    }
}

impl Gate {
    async fn pass<S>(self: Arc<Self>, request: Request<Body>, inner: S) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>> + Send,
        S::Future: Send,
        S::Error: Send,
    {
        let began = self.clock.boottime();
        let access = scopes::access(request.uri().path());
        let method = match access {
            Access::Scoped(method) => method.path,
            Access::Open(service) => service,
            Access::Unknown => "unknown",
        };
        let _in_flight = self.metrics.begin(method);
        let span = Span::begin(method, Kind::Server, &Parent::of(request.headers()));
        let limit = deadline(request.headers()).map_or(self.max_deadline, |asked| asked.min(self.max_deadline));
        let mut caller = None;
        let answer = tokio::time::timeout(limit, self.answer(access, request, inner, &mut caller)).await;
        let response = match answer {
            Ok(response) => response?,
            Err(_) => refusal(Failure::new(Reason::DeadlineExceeded, "the call took longer than its deadline")),
        };
        let took = self.clock.boottime().saturating_since(began);
        let status = ended::status_in(response.headers());
        let code = ended::word(status.unwrap_or(Code::Ok));
        span.say("rpc.system.name", "grpc");
        span.say("rpc.response.status_code", code);
        self.metrics.took(method, took);
        if let Some(caller) = caller.as_ref().filter(|_| code == "PERMISSION_DENIED") {
            self.note_denial(caller, method, response.headers()).await;
        }
        tracing::debug!(method, code, micros = took.as_micros(), "call");
        let certificate = caller.as_ref().and_then(|caller| caller.certificate());
        let response = match (access, certificate) {
            (Access::Scoped(Method { streams: true, path, .. }), Some(certificate)) => {
                response.map(|says| Standing::on(Arc::clone(certificate), path, says))
            }
            _ => response,
        };
        if status.is_some() {
            self.metrics.ended(method, code);
            return Ok(response);
        }
        // What failed before its first message says so in the headers; the rest at its end, also where it is cut.
        Ok(response.map(|body| Counted::body(body, Arc::clone(&self.metrics), method)))
    }

    async fn answer<S>(
        &self,
        access: Access,
        mut request: Request<Body>,
        mut inner: S,
        caller: &mut Option<Arc<Admitted>>,
    ) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        match access {
            Access::Unknown => return Ok(refusal(Failure::new(Reason::MethodUnknown, "there is no such method"))),
            Access::Open(_) => {}
            Access::Scoped(method) => {
                let admitted = match Admitted::by(&self.authority, request.headers(), request.extensions().get()).await
                {
                    Ok(admitted) => Arc::new(admitted),
                    Err(failure) => return Ok(refusal(failure)),
                };
                if let Some(peer) = request.extensions().get::<Peer>() {
                    peer.admission.give();
                }
                *caller = Some(Arc::clone(&admitted));
                if let Some(Err(forbidden)) = method.scope.map(|scope| admitted.holds(scope)) {
                    return Ok(refusal(forbidden.into()));
                }
                request.extensions_mut().insert(admitted);
            }
        }
        inner.call(request).await
    }

    async fn note_denial(&self, caller: &Admitted, method: &'static str, headers: &HeaderMap) {
        let caller = caller.caller();
        let Some(unwritten) = self.denials.admit(caller.credential, self.clock.boottime()) else {
            self.metrics.denials_unwritten.inc();
            return;
        };
        let status = Status::from_header_map(headers);
        let reason =
            status.and_then(|status| status.get_details_error_info()).map_or_else(String::new, |info| info.reason);
        let call = DeniedCall { tenant: caller.tenant.clone(), method, reason, unwritten };
        if let Err(error) = self.authority.note_denied_call(&Actor::caller(caller), call).await {
            tracing::warn!(%error, method, "a denied call was not written to the audit trail");
        }
    }
}

fn refusal(failure: Failure) -> Response<Body> {
    Status::from(failure).into_http()
}

/// `grpc-timeout`: at most eight digits and a unit. What cannot be read asks for nothing.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_timeout_is_read_in_each_unit_and_garbage_asks_for_nothing() {
        let read = |text| deadline(&HeaderMap::from_iter([("grpc-timeout".parse().expect("a name"), text)]));
        for (text, asked) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("100000000n", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("1x", None),
        ] {
            assert_eq!(read(HeaderValue::from_static(text)), asked, "{text}");
        }
    }
}

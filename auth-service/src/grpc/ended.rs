//! How a call ended, seen at the end of its answer.
//!
//! Guarantees: each call is counted once. Its status comes after its messages, so a stream that was answered and then
//! failed is counted by what it failed with, and one that the other side left as cancelled.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::metrics::Metrics;

/// The status in headers or trailers; none where there is none.
pub(super) fn status_in(headers: &HeaderMap) -> Option<Code> {
    Status::from_header_map(headers).map(|status| status.code())
}

/// The body of an answer whose status is still to come.
pub(super) struct Counted {
    body: Body,
    metrics: Arc<Metrics>,
    method: &'static str,
    is_over: bool,
}

impl Counted {
    pub(super) fn body(body: Body, metrics: Arc<Metrics>, method: &'static str) -> Body {
        Body::new(Self { body, metrics, method, is_over: false })
    }

    fn over(&mut self, code: Code) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.metrics.ended(self.method, word(code));
        }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.over(status_in(trailers).unwrap_or(Code::Ok));
                }
            }
            Some(Err(status)) => self.over(status.code()),
            None => self.over(Code::Unknown),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.over(Code::Cancelled);
    }
}

/// A code in the words of the specification.
pub(super) const fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    fn answer(frames: Vec<Result<Frame<Bytes>, Status>>) -> Body {
        Body::new(StreamBody::new(stream::iter(frames)))
    }

    fn trailers(code: &'static str) -> Frame<Bytes> {
        Frame::trailers(HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static(code),
        )]))
    }

    /// Reads so many frames of an answer, and what was counted then.
    async fn counted(frames: Vec<Result<Frame<Bytes>, Status>>, read: usize) -> Vec<String> {
        let metrics = Arc::new(Metrics::new());
        let mut body = Counted::body(answer(frames), Arc::clone(&metrics), "Export");
        for _ in 0..read {
            drop(body.frame().await);
        }
        drop(body);
        let text = metrics.encode();
        let lines = text.lines().filter_map(|line| line.strip_prefix("portcullis_auth_grpc_requests_total"));
        lines.map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn a_stream_is_counted_once_and_by_its_end() {
        let message = || Ok(Frame::data(Bytes::from_static(b"part")));
        let line = |code: &str| [format!(r#"{{method="Export",code="{code}"}} 1"#)];
        assert_eq!(counted(vec![message(), Ok(trailers("0"))], 3).await, line("OK"));
        assert_eq!(counted(vec![message(), Ok(trailers("16"))], 2).await, line("UNAUTHENTICATED"));
        assert_eq!(counted(vec![message(), Err(Status::internal("broken"))], 3).await, line("INTERNAL"));
        assert_eq!(counted(vec![message(), message(), Ok(trailers("0"))], 1).await, line("CANCELLED"));
    }
}

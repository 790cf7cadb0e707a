//! A stream that is open, for as long as somebody vouches for the certificate that it was asked for with.
//!
//! Guarantees: once the authorities of callers were exchanged, a stream whose caller none of them vouches for says nothing
//! more but why it ends, whatever waits to be said; and it ends by itself, although nothing stirs it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Frame;
use tonic::Status;
use tonic::body::Body;

use super::errors::{Failure, Reason};
use crate::tls::CallerCertificate;

/// What a method says, until it ends or is cut.
pub(super) struct Standing {
    // None once it was cut.
    says: Option<Body>,
    method: &'static str,
    certificate: Arc<CallerCertificate>,
    /// Stirs the stream when nobody vouches any more; it may come a moment after that is so.
    disowned: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Standing {
    /// What is said to whoever showed this.
    pub(super) fn on(certificate: Arc<CallerCertificate>, method: &'static str, says: Body) -> Body {
        let shown = Arc::clone(&certificate);
        let disowned = Box::pin(async move { shown.disowned().await });
        Body::new(Self { says: Some(says), method, certificate, disowned })
    }
}

impl hyper::body::Body for Standing {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        if self.disowned.as_mut().poll(cx).is_ready() || self.certificate.says().is_err() {
            self.says = None;
            let method = self.method;
            tracing::info!(method, "a stream is cut: no authority vouches for its caller's certificate any more");
            return Poll::Ready(Some(last_words().map(Frame::trailers)));
        }
        match &mut self.says {
            Some(says) => Pin::new(says).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.says.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }
}

fn last_words() -> Result<HeaderMap, Status> {
    let failure = Failure::new(Reason::CallerRevoked, "nobody vouches for the certificate of this call any more");
    let mut trailers = HeaderMap::new();
    Status::from(failure).add_header(&mut trailers)?;
    Ok(trailers)
}

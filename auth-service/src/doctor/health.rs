//! Whether this service answers on this machine: what cannot be told by a store that others serve too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::http::POLICY;
use crate::http_client::answer_over;

/// Until it is taken for nobody's.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_BYTES: usize = 1_024;

/// Whether `/health` is answered there as this service answers it.
pub(super) async fn answers(listen: SocketAddr) -> bool {
    let asked = tokio::time::timeout(PATIENCE, ask(reached_at(listen))).await;
    let said = asked.ok().flatten().and_then(|body| serde_json::from_slice::<serde_json::Value>(&body).ok());
    said.is_some_and(|said| said == serde_json::json!({ "status": "ok" }))
}

/// Where a listener on every address is reached from this machine.
fn reached_at(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr) -> Option<Bytes> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get("/health").header(header::HOST, address.to_string()).body(Empty::<Bytes>::new()).ok()?;
    let answer = async {
        let response = sender.send_request(request).await.ok()?;
        // The policy that every answer of this service carries tells it from another one that is well.
        let policy = response.headers().get(header::CONTENT_SECURITY_POLICY).is_some_and(|found| found == POLICY);
        let is_ours = response.status() == StatusCode::OK && policy;
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await.ok()?;
        is_ours.then(|| body.to_bytes())
    };
    answer_over(connection, answer).await
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// What answers everybody with this.
    async fn answering(head: &str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let body = r#"{"status":"ok"}"#;
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // Whoever asks says more than this, and leaves.
                if stream.read_exact(&mut [0; 4]).await.is_ok() {
                    drop(stream.write_all(answer.as_bytes()).await);
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn the_service_is_told_from_others_that_are_well() {
        assert!(!answers(answering("200 OK").await).await);
        let ours = format!("content-security-policy: {POLICY}");
        let here = answering(&format!("200 OK\r\n{ours}")).await;
        assert!(answers(here).await);
        assert!(answers(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), here.port())).await, "on every address");
        assert!(!answers(answering(&format!("503 Service Unavailable\r\n{ours}")).await).await);
        let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("it listens");
        assert!(!answers(nobody).await);
    }
}

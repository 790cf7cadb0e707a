//! A listener for metrics alone, so that the one that clients reach need not show them.
//!
//! Guarantees: it answers `GET /metrics` and nothing else; few connections at once, each short, whatever the peer does.
//! Refuses an address that others reach, unless the configuration says so: figures are no secrets, and yet nobody's
//! business.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// How many scrapers may be served at once; one more waits.
const MOST: usize = 8;
const MOST_HEAD_BYTES: usize = 8 * 1024;
/// For one scrape, from the first byte to the last.
const TIME: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// What is served, made at each scrape.
#[derive(Clone)]
pub struct Page(Arc<dyn Fn() -> String + Send + Sync>);

impl Page {
    /// What this makes.
    pub fn new(make: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// As it stands now.
    pub fn text(&self) -> String {
        (self.0)()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

/// `[metrics]`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// A listener for `/metrics` alone; absent: they are on the HTTP listener, unless others reach that.
    pub listen: Option<SocketAddr>,
    /// That others may read the figures: of that listener, in the clear, or else of the HTTP listener.
    pub exposed: bool,
}

impl MetricsConfig {
    /// Whether they are on the HTTP listener, which others than programs of this machine reach or not.
    pub const fn beside(&self, is_public: bool) -> bool {
        self.listen.is_none() && (self.exposed || !is_public)
    }

    /// Whether it may be used, which key is wrong, and what it must be.
    pub fn rule(&self) -> (bool, &'static str, &'static str) {
        let loopback = self.listen.is_none_or(|address| address.ip().is_loopback());
        (
            loopback || self.exposed,
            "metrics.listen",
            "must be a loopback address unless `metrics.exposed = true` says that others may read the figures",
        )
    }
}

/// A bound listener for metrics.
#[derive(Debug)]
pub struct MetricsListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl MetricsListener {
    /// Binds; within a runtime.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` resolves; scrapes under way are given up then.
    pub async fn serve(self, page: Page, stop: impl Future<Output = ()>) {
        let mut scrapes = tokio::task::JoinSet::new();
        let room = Arc::new(Semaphore::new(MOST));
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => return,
                Some(_) = scrapes.join_next() => continue,
                accepted = accept(&self.listener, &room) => accepted,
            };
            let Some((stream, place)) = accepted else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let page = page.clone();
            scrapes.spawn(async move {
                let _place = place;
                // A scraper that is late or breaks off comes again.
                let _ended = tokio::time::timeout(TIME, answer(stream, &page)).await;
            });
        }
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "a scrape could not be accepted");
            None
        }
    }
}

async fn answer(mut stream: TcpStream, page: &Page) -> io::Result<()> {
    let mut head = Vec::with_capacity(1_024);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= MOST_HEAD_BYTES || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, kind, body) = match request_line(&head) {
        Some((b"GET", b"/metrics")) => {
            ("200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8", page.text())
        }
        Some((_, b"/metrics")) => ("405 Method Not Allowed", "text/plain", String::new()),
        _ => ("404 Not Found", "text/plain", String::new()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\ncache-control: no-store\r\n\
         connection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The method and the path without its query.
fn request_line(head: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut words = head.split(|byte| *byte == b'\r').next()?.split(|byte| *byte == b' ');
    let (method, target) = (words.next()?, words.next()?);
    Some((method, target.split(|byte| *byte == b'?').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it is text");
        answer
    }

    #[tokio::test]
    async fn it_shows_metrics_and_nothing_else() {
        let metrics = MetricsListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = metrics.address();
        let page = Page::new(|| "answer 42\n# EOF\n".to_owned());
        let serving = tokio::spawn(metrics.serve(page, std::future::pending()));
        let shown = ask(address, "GET /metrics?x=1 HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(shown.starts_with("HTTP/1.1 200 ") && shown.ends_with("answer 42\n# EOF\n"), "{shown}");
        assert!(ask(address, "GET / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
        assert!(ask(address, "POST /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
        let endless = "x".repeat(MOST_HEAD_BYTES);
        assert_eq!(ask(address, &endless).await, "", "a head without an end is given up");
        serving.abort();
    }

    #[test]
    fn an_address_that_others_reach_must_be_meant() {
        let config = |listen: &str, exposed| MetricsConfig { listen: listen.parse().ok(), exposed };
        assert!(config("127.0.0.1:9464", false).rule().0 && MetricsConfig::default().rule().0);
        assert!(!config("0.0.0.0:9464", false).rule().0);
        assert!(config("0.0.0.0:9464", true).rule().0);
    }
}

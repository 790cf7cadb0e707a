//! Issuers that mean harm, or are not well.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use auth_domain::InvalidDocument;
use portcullis_types::{ManualClock, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

/// What a stand-in answers to a path, by its own address; nothing: it never answers.
type Answers = fn(&str, SocketAddr) -> Option<String>;

struct StandIn {
    issuer: IssuerUrl,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StandIn {
    async fn answering(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut silent = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.expect("it listens");
                let mut request = vec![0; 4_096];
                let read = stream.read(&mut request).await.expect("a request");
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let path = request.split(' ').nth(1).expect("a path");
                count.fetch_add(1, Ordering::Relaxed);
                match answers(path, address) {
                    // Who reads no further than it must closes first.
                    Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                    None => silent.push(stream),
                }
            }
        });
        let issuer = IssuerUrl::try_from(&*format!("http://{address}")).expect("an issuer");
        Self { issuer, asked, task }
    }

    async fn key(&self) -> Result<Option<Arc<IssuerKey>>, IssuerSilent> {
        let config = Issuers { allow_loopback_http: true, fetch_timeout_ms: 300, ..Issuers::default() };
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_seconds(1_000)));
        let keys =
            PublishedKeys::new(&config, Arc::new(Metrics::new()), clock, Shutdown::new()).expect("no file is named");
        let first = keys.key(&self.issuer, "k1").await;
        let asked = self.asked.load(Ordering::Relaxed);
        assert_eq!(keys.key(&self.issuer, "k2").await.is_err(), first.is_err());
        assert_eq!(self.asked.load(Ordering::Relaxed), asked, "a failure is not tried again before the cooldown");
        first
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn discovery(address: SocketAddr, jwks: &str) -> String {
    ok(&format!(r#"{{"issuer":"http://{address}","jwks_uri":"{jwks}"}}"#))
}

const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k1",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

fn honest(path: &str, address: SocketAddr) -> Option<String> {
    Some(match path {
        "/.well-known/openid-configuration" => discovery(address, &format!("http://{address}/jwks")),
        _ => ok(KEYS),
    })
}

#[tokio::test]
async fn an_honest_issuer_is_asked_for_its_document_and_its_keys_once() {
    let issuer = StandIn::answering(honest).await;
    assert!(issuer.key().await.is_ok_and(|key| key.is_some()));
    assert_eq!(issuer.asked.load(Ordering::Relaxed), 2);
}

/// Another key, by the same name.
const OTHER_KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k1",
    "x":"n62Erq4Iu-9_AQAU2CzvagneKwz4cbXODE8dE6WaWTQ","y":"B8tFdp8QcOLCRw_lsb_mMTPAsM3GTqS_N5Go7CoH_U8"}]}"#;

#[tokio::test]
async fn two_issuers_that_call_their_keys_alike_have_each_its_own() {
    let other: Answers = |path, address| match path {
        "/jwks" => Some(ok(OTHER_KEYS)),
        _ => honest(path, address),
    };
    let issuers = [StandIn::answering(honest).await, StandIn::answering(other).await];
    let config = Issuers { allow_loopback_http: true, ..Issuers::default() };
    let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_seconds(1_000)));
    let keys = PublishedKeys::new(&config, Arc::new(Metrics::new()), clock, Shutdown::new()).expect("no file is named");
    let mut told = Vec::new();
    for issuer in issuers.iter().chain(&issuers) {
        told.push(keys.key(&issuer.issuer, "k1").await.expect("it answers").expect("it publishes it"));
    }
    assert!(!Arc::ptr_eq(&told[0], &told[1]), "one is told the other's");
    for (issuer, (first, again)) in issuers.iter().zip(told.iter().zip(&told[2..])) {
        assert!(Arc::ptr_eq(first, again), "asked again, another");
        assert_eq!(issuer.asked.load(Ordering::Relaxed), 2, "each for its document and its keys");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let redirects: Answers = |path, address| match path {
        "/.well-known/openid-configuration" => {
            Some(format!("HTTP/1.1 302 Found\r\nlocation: http://{address}/inside\r\ncontent-length: 0\r\n\r\n"))
        }
        _ => honest(path, address),
    };
    let issuer = StandIn::answering(redirects).await;
    assert_eq!(issuer.key().await.err(), Some(IssuerSilent));
    assert_eq!(issuer.asked.load(Ordering::Relaxed), 1, "nobody came to where it led");
}

#[tokio::test]
async fn a_document_that_leads_inside_or_speaks_for_another_is_not_believed() {
    type Why = fn(&FetchError) -> bool;
    let inside: Answers = |_, address| Some(discovery(address, "https://10.0.0.1/jwks"));
    let metadata: Answers = |_, address| Some(discovery(address, "http://169.254.169.254/jwks"));
    let another: Answers =
        |_, address| Some(ok(&format!(r#"{{"issuer":"https://id.example","jwks_uri":"http://{address}/jwks"}}"#)));
    let private: Why = |error| matches!(error, FetchError::PrivateAddress);
    let in_the_clear: Why = |error| matches!(error, FetchError::Plaintext);
    let of_another: Why = |error| matches!(error, FetchError::Document(InvalidDocument::OtherIssuer));
    let config = Issuers { allow_loopback_http: true, ..Issuers::default() };
    let fetcher = Fetcher::new(&config).expect("no file is named");
    for (answers, why) in [(inside, private), (metadata, in_the_clear), (another, of_another)] {
        let issuer = StandIn::answering(answers).await;
        assert_eq!(issuer.key().await.err(), Some(IssuerSilent));
        assert_eq!(issuer.asked.load(Ordering::Relaxed), 1);
        // Not because nothing answers there.
        let error = keys_of(&fetcher, &issuer.issuer).await.expect_err("it is not believed");
        assert!(why(&error), "{error:?}");
    }
}

#[tokio::test]
async fn keys_that_are_too_many_too_late_or_no_keys_are_none() {
    let huge: Answers = |path, address| match path {
        "/jwks" => Some(ok(&" ".repeat(auth_domain::MAX_DOCUMENT_BYTES + 1))),
        _ => honest(path, address),
    };
    let endless: Answers = |path, address| match path {
        "/jwks" => Some(format!("HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n{}", " ".repeat(100_000))),
        _ => honest(path, address),
    };
    let slow: Answers = |path, address| if path == "/jwks" { None } else { honest(path, address) };
    let silent: Answers = |_, _| None;
    let garbage: Answers = |_, _| Some("SSH-2.0-OpenSSH_9.2\r\n".to_owned());
    let failing: Answers = |_, _| Some("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".to_owned());
    for answers in [huge, endless, slow, silent, garbage, failing] {
        assert_eq!(StandIn::answering(answers).await.key().await.err(), Some(IssuerSilent));
    }
}

#[tokio::test]
async fn all_who_ask_at_once_share_one_fetch() {
    let issuer = StandIn::answering(honest).await;
    let config = Issuers { allow_loopback_http: true, ..Issuers::default() };
    let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_seconds(1_000)));
    let keys = Arc::new(
        PublishedKeys::new(&config, Arc::new(Metrics::new()), clock, Shutdown::new()).expect("no file is named"),
    );
    let asking: Vec<_> = (0..100)
        .map(|n| {
            let (keys, url) = (Arc::clone(&keys), issuer.issuer.clone());
            tokio::spawn(async move { keys.key(&url, if n % 2 == 0 { "k1" } else { "junk" }).await })
        })
        .collect();
    for (n, asked) in asking.into_iter().enumerate() {
        assert_eq!(asked.await.expect("it ends").expect("it answers").is_some(), n % 2 == 0);
    }
    assert_eq!(issuer.asked.load(Ordering::Relaxed), 2, "one document, one set");
}

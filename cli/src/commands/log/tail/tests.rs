//! The tail against a stand-in authority over a real connection.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser as _;
use futures_util::Stream;
use portcullis_proto::auth::v1::revocations_service_server::{RevocationsService, RevocationsServiceServer};
use portcullis_types::{CredentialId, OpaqueKind, OpaqueToken, SeededEntropy};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::*;
use crate::args::Cli;
use crate::commands;
use crate::print::Printer;

fn entry(seq: u64) -> v1::LogEntry {
    v1::LogEntry {
        revision: Some(v1::Revision { shard: 0, seq, chain: seq * 16 }),
        previous_chain: (seq - 1) * 16,
        payload: v1::RevocationBatch { revocations: vec![v1::Revocation::default()] }.encode_to_vec().into(),
        committed_at_us: 1_000_000,
    }
}

/// What the stand-in does besides serving its log.
#[derive(Clone, Copy, Default)]
struct Behaviour {
    /// Entries committed when the first watch opens.
    commits_at_watch: u64,
    /// The first watch is drained after one entry.
    drains_once: bool,
}

struct StandIn {
    log: Mutex<Vec<v1::LogEntry>>,
    watches: Mutex<u32>,
    behaviour: Behaviour,
}

impl StandIn {
    fn after(&self, seq: u64) -> Vec<v1::LogEntry> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().filter(|entry| entry.revision.is_some_and(|revision| revision.seq > seq)).cloned().collect()
    }

    fn head(&self) -> v1::Revision {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.last().and_then(|entry| entry.revision).unwrap_or_default()
    }

    fn knows(&self, cursor: v1::Revision) -> bool {
        self.after(0).iter().any(|entry| entry.revision == Some(cursor))
    }

    /// What a watch with this cursor is told before its first probe.
    fn opening(&self, cursor: Option<v1::Revision>) -> Vec<Say> {
        if let Some(cursor) = cursor.filter(|cursor| !self.knows(*cursor)) {
            let (reason, head) = (v1::ResyncReason::Fork.into(), Some(self.head()));
            assert_ne!(cursor.seq, 0, "a tail that has read nothing sends no cursor");
            return vec![Say::ResyncRequired(v1::ResyncRequired { reason, head })];
        }
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        *watches += 1;
        if *watches == 1 {
            let next = self.head().seq + 1;
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            log.extend((next..next + self.behaviour.commits_at_watch).map(entry));
        }
        let position = cursor.unwrap_or_else(|| self.head());
        let welcome = v1::WatchWelcome {
            resumed: cursor.is_some(),
            position: Some(position),
            lease_ms: 0,
            probe_interval_ms: 10,
            bound_ms: 15_000,
            terms: None,
        };
        let mut says = vec![Say::Welcome(welcome)];
        says.extend(self.after(position.seq).into_iter().map(Say::Entry));
        if self.behaviour.drains_once && *watches == 1 {
            says.truncate(2);
            says.push(Say::Drain(v1::Drain {}));
        }
        says
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl RevocationsService for StandIn {
    type WatchStream = Answers<v1::WatchResponse>;
    type FetchRangeStream = Answers<v1::FetchRangeResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<v1::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let mut asked = request.into_inner();
        let first = asked.message().await?.and_then(|request| request.message);
        let Some(Ask::Start(start)) = first else { return Err(Status::invalid_argument("start comes first")) };
        assert!(start.gateway_id.starts_with("cli-") && start.boot_id.len() == 16 && start.observer);
        let head = self.after(0).last().and_then(|entry| entry.revision);
        let opening = futures_util::stream::iter(self.opening(start.cursor));
        let probes = asked.filter_map(move |request| {
            let checkpoint = v1::Checkpoint { head, ..Default::default() };
            std::future::ready(request.ok().map(|_| Say::Checkpoint(checkpoint)))
        });
        let says = opening.chain(probes).map(|say| Ok(v1::WatchResponse { message: Some(say) }));
        Ok(Response::new(Box::pin(says)))
    }

    async fn fetch_range(
        &self,
        request: Request<v1::FetchRangeRequest>,
    ) -> Result<Response<Self::FetchRangeStream>, Status> {
        if request.metadata().get("authorization").is_none() {
            return Err(Status::unauthenticated("no key"));
        }
        let after = request.into_inner().after.unwrap_or_default();
        let part = self.after(after.seq).into_iter().map(|entry| Ok(v1::FetchRangeResponse { entry: Some(entry) }));
        Ok(Response::new(Box::pin(futures_util::stream::iter(part.collect::<Vec<_>>()))))
    }

    async fn get_guarantee(
        &self,
        _: Request<v1::GetGuaranteeRequest>,
    ) -> Result<Response<v1::GetGuaranteeResponse>, Status> {
        Err(Status::unimplemented("not asked by a tail"))
    }
}

/// What was printed.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn revisions(&self) -> Vec<String> {
        let printed = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8(printed).expect("text").lines().map(str::to_owned).collect()
    }
}

/// Runs `portcullis log tail` with these arguments on a log of these entries; what it printed and how it ended.
async fn tail(log: Vec<v1::LogEntry>, behaviour: Behaviour, arguments: &[&str]) -> (Vec<String>, Result<(), Failure>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let stand_in = StandIn { log: Mutex::new(log), watches: Mutex::new(0), behaviour };
    let server = tonic::transport::Server::builder().add_service(RevocationsServiceServer::new(stand_in));
    let serving = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    let key = OpaqueToken::generate(OpaqueKind::ApiKey, CredentialId::from_bytes([1; 16]), &SeededEntropy::new(1));
    let key_file = std::env::temp_dir().join(format!("portcullis-tail-{:016x}", <dyn Entropy>::u64(&SystemEntropy)));
    std::fs::write(&key_file, key.reveal().expose_bytes()).expect("the temporary directory is writable");
    let key_path = key_file.display().to_string();
    let fixed =
        ["portcullis", "--endpoint", &endpoint, "--api-key-file", &key_path, "log", "tail", "--only", "revision"];
    let cli = Cli::try_parse_from(fixed.iter().chain(arguments)).expect("valid arguments");

    let screen = Screen::default();
    let printer = Printer::new(screen.clone(), cli.globals.output, cli.globals.only.clone());
    let ended = commands::run(cli, &printer).await;
    serving.abort();
    std::fs::remove_file(key_file).expect("it is ours");
    (screen.revisions(), ended)
}

fn revisions(seqs: impl IntoIterator<Item = u64>) -> Vec<String> {
    seqs.into_iter().map(|seq| Revision { seq, chain: seq * 16 }.to_string()).collect()
}

#[tokio::test]
async fn from_the_start_every_entry_is_printed_once_and_in_order() {
    let log = (1..=5).map(entry).collect();
    let (printed, ended) = tail(log, Behaviour::default(), &["--from-start", "--no-follow"]).await;
    ended.expect("it reads to the head");
    assert_eq!(printed, revisions(1..=5));
}

#[tokio::test]
async fn after_a_revision_only_newer_entries_are_printed() {
    let log = (1..=5).map(entry).collect();
    let after = revisions([3]).remove(0);
    let (printed, ended) = tail(log, Behaviour::default(), &["--after", &after, "--no-follow"]).await;
    ended.expect("it reads to the head");
    assert_eq!(printed, revisions(4..=5));
}

#[tokio::test]
async fn what_is_committed_between_reading_an_empty_log_and_watching_it_is_not_missed() {
    let behaviour = Behaviour { commits_at_watch: 3, ..Behaviour::default() };
    let (printed, ended) = tail(Vec::new(), behaviour, &["--from-start", "--no-follow"]).await;
    ended.expect("it reads to the head");
    assert_eq!(printed, revisions(1..=3));
}

#[tokio::test]
async fn a_drained_watch_goes_on_where_it_stood() {
    let behaviour = Behaviour { drains_once: true, ..Behaviour::default() };
    let after = revisions([1]).remove(0);
    let log = (1..=4).map(entry).collect();
    let (printed, ended) = tail(log, behaviour, &["--after", &after, "--no-follow"]).await;
    ended.expect("it reads to the head");
    assert_eq!(printed, revisions(2..=4));
}

#[tokio::test]
async fn an_entry_that_does_not_follow_ends_the_tail() {
    let log = vec![entry(1), entry(2), v1::LogEntry { previous_chain: 7, ..entry(3) }];
    let (printed, ended) = tail(log, Behaviour::default(), &["--from-start", "--no-follow"]).await;
    let failure = ended.expect_err("the chain is broken");
    assert!(failure.to_string().contains("the chain is broken"), "{failure}");
    assert_eq!(printed, revisions(1..=2));
}

#[tokio::test]
async fn a_cursor_of_another_branch_is_refused_and_says_where_to_begin() {
    let log = (1..=2).map(entry).collect();
    let (printed, ended) = tail(log, Behaviour::default(), &["--after", "2-00000000000000ff"]).await;
    let failure = ended.expect_err("another branch");
    assert!(failure.to_string().contains("another branch"), "{failure}");
    let next = failure.next_step().expect("a next step");
    assert!(next.contains(&format!("--after {}", revisions([2])[0])), "{next}");
    assert!(printed.is_empty());
}

#[test]
fn a_probe_interval_of_nothing_is_not_a_busy_loop() {
    let welcome = |probe_interval_ms| v1::WatchWelcome { probe_interval_ms, ..Default::default() };
    assert_eq!(interval(&welcome(0)), PROBE_EVERY);
    assert_eq!(interval(&welcome(-5)), PROBE_EVERY);
    assert_eq!(interval(&welcome(500)), Duration::from_millis(500));
}

//! Follows the log.
//!
//! A tail is a watch with a name of its own, `cli-<16 hex digits>`, an observer that holds no
//! sockets; it probes like a gateway, so that a dead connection is noticed. Reading from the start fetches what is kept, then watches from the last entry.

use std::time::Duration;

use futures_util::StreamExt as _;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::revocations_service_client::RevocationsServiceClient;
use portcullis_proto::auth::v1::watch_request::Message as Ask;
use portcullis_proto::auth::v1::watch_response::Message as Say;
use portcullis_types::{Backoff, Entropy, Revision, SystemEntropy};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::TailArgs;
use super::entry::{Entry, Position, welcome};
use crate::authority::Authority;
use crate::failure::Failure;
use crate::print::Printer;
use crate::words;

/// Entries asked for at a time; the contract's largest part.
const PART: u32 = 10_000;
/// Where the authority names no interval.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Requests waiting for the connection; a probe that does not fit is left out.
const WAITING: usize = 4;

/// Between watches that were drained, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How a watch ended without failing.
enum End {
    /// It read up to the head, as asked.
    AtHead,
    /// The authority's replica is leaving: another watch goes on from here.
    Drained,
    /// Entries were committed before the first watch stood; they are fetched first.
    Missed,
}

pub(super) async fn run(args: &TailArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let mut tail = Tail {
        authority,
        printer,
        name: format!("cli-{:016x}", <dyn Entropy>::u64(&SystemEntropy)),
        boot_id: <dyn Entropy>::array::<16>(&SystemEntropy).to_vec(),
        position: args.after.map(Position::after).unwrap_or_default(),
        from_start: args.from_start,
        follow: !args.no_follow,
    };
    if tail.from_start {
        tail.fetch().await?;
    }
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        match tail.watch().await? {
            End::AtHead => return Ok(()),
            End::Drained => tokio::time::sleep(backoff.next_delay(&SystemEntropy)).await,
            End::Missed => tail.fetch().await?,
        }
    }
}

struct Tail<'a> {
    authority: &'a Authority,
    printer: &'a Printer,
    name: String,
    boot_id: Vec<u8>,
    position: Position,
    from_start: bool,
    follow: bool,
}

impl Tail<'_> {
    /// Reads parts of the log until there is no more.
    async fn fetch(&mut self) -> Result<(), Failure> {
        loop {
            let request = v1::FetchRangeRequest { after: self.position.revision().map(Into::into), limit: PART };
            let mut part = self
                .authority
                .open(request, async |channel, request| {
                    RevocationsServiceClient::new(channel).fetch_range(request).await
                })
                .await?;
            let mut entries = 0_u32;
            while let Some(answer) = part.next().await {
                let answer = answer.map_err(|status| self.lost(&status))?;
                self.print(super::super::present(answer.entry, "entry")?)?;
                entries += 1;
            }
            if entries < PART {
                return Ok(());
            }
        }
    }

    async fn watch(&mut self) -> Result<End, Failure> {
        let (ask, asked) = mpsc::channel(WAITING);
        let start = v1::WatchStart {
            gateway_id: self.name.clone(),
            boot_id: self.boot_id.clone(),
            cursor: self.position.revision().map(Into::into),
            observer: true,
        };
        let start = v1::WatchRequest { message: Some(Ask::Start(start)) };
        ask.try_send(start).expect("the queue is new and has room for more than one");
        let mut answers = self
            .authority
            .open(ReceiverStream::new(asked), async |channel, request| {
                RevocationsServiceClient::new(channel).watch(request).await
            })
            .await?;
        let welcome = self.welcomed(&mut answers).await?;
        let at = welcome.position.map(Revision::try_from).transpose().ok().flatten();
        if self.from_start && self.position.revision().is_none() && at.is_some_and(|at| at.seq > 0) {
            return Ok(End::Missed);
        }
        if let (None, Some(at)) = (self.position.revision(), at) {
            self.position = Position::after(at);
        }
        self.follow(&ask, &mut answers, interval(&welcome)).await
    }

    async fn welcomed(&self, answers: &mut Streaming<v1::WatchResponse>) -> Result<v1::WatchWelcome, Failure> {
        match self.next(answers).await? {
            Say::Welcome(stands) => {
                self.printer.note(&welcome(&stands));
                Ok(stands)
            }
            Say::ResyncRequired(resync) => Err(resync_required(&resync)),
            Say::Entry(_) | Say::Checkpoint(_) | Say::Drain(_) => Err(unexpected("it did not begin with a welcome")),
        }
    }

    async fn follow(
        &mut self,
        ask: &mpsc::Sender<v1::WatchRequest>,
        answers: &mut Streaming<v1::WatchResponse>,
        every: Duration,
    ) -> Result<End, Failure> {
        let mut probes = tokio::time::interval(every);
        let mut probe_id = 0;
        loop {
            tokio::select! {
                biased;
                answer = self.next(answers) => match answer? {
                    Say::Entry(entry) => self.print(entry)?,
                    Say::Checkpoint(_) if !self.follow => return Ok(End::AtHead),
                    Say::Checkpoint(_) => {}
                    Say::ResyncRequired(resync) => return Err(resync_required(&resync)),
                    Say::Drain(_) => return Ok(End::Drained),
                    Say::Welcome(_) => return Err(unexpected("a second welcome")),
                },
                _ = probes.tick() => {
                    probe_id += 1;
                    let applied = self.position.revision().map(Into::into);
                    let probe = v1::Probe { probe_id, applied, sockets: 0 };
                    // A full queue means that the connection is stuck; its keepalive ends it.
                    let _unsent = ask.try_send(v1::WatchRequest { message: Some(Ask::Probe(probe)) });
                }
            }
        }
    }

    async fn next(&self, answers: &mut Streaming<v1::WatchResponse>) -> Result<Say, Failure> {
        match answers.next().await {
            Some(Ok(answer)) => answer.message.ok_or_else(|| unexpected("an empty message")),
            Some(Err(status)) => Err(self.lost(&status)),
            None => Err(self.lost(&tonic::Status::unavailable("the authority ended the watch"))),
        }
    }

    fn print(&mut self, wire: v1::LogEntry) -> Result<(), Failure> {
        let entry = Entry::try_from(wire)?;
        self.position.advance(&entry)?;
        self.printer.event(&entry.json(), || entry.lines())
    }

    /// A status that ended a stream; where to go on is said to people.
    fn lost(&self, status: &tonic::Status) -> Failure {
        if let Some(last) = self.position.revision() {
            self.printer.note(&format!("To go on from here: portcullis log tail --after {last}"));
        }
        self.authority.failure(status)
    }
}

fn interval(welcome: &v1::WatchWelcome) -> Duration {
    match u64::try_from(welcome.probe_interval_ms) {
        Ok(millis @ 1..) => Duration::from_millis(millis),
        Ok(0) | Err(_) => PROBE_EVERY,
    }
}

fn resync_required(resync: &v1::ResyncRequired) -> Failure {
    let why = match resync.reason() {
        v1::ResyncReason::Fork => "it stands on another branch of the log (a restored backup, or a mistyped revision)",
        v1::ResyncReason::Horizon => "it is older than the log keeps",
        v1::ResyncReason::Lagged => "this program read more slowly than the log grew",
        v1::ResyncReason::Unspecified => "the authority gave no reason",
    };
    Failure::Log {
        what: format!("the log cannot be followed from there: {why}"),
        next: format!(
            "begin with --from-start, or with --after {}, which is the head",
            words::revision(resync.head.as_ref())
        ),
    }
}

fn unexpected(what: &str) -> Failure {
    Failure::Log {
        what: format!("the watch broke its protocol: {what}"),
        next: "compare the versions of the authority and of this program".to_owned(),
    }
}

#[cfg(test)]
mod tests;

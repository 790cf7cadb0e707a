//! A receipt, as it stands and as it fills in.
//!
//! Guarantees that it is followed for no longer than was asked, and that only a receipt that says so counts as enforced.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::credentials_service_client::CredentialsServiceClient;
use portcullis_types::BootId;
use serde_json::{Value, json};
use tokio::time::Instant;
use tonic::Streaming;

use crate::authority::Authority;
use crate::failure::Failure;
use crate::print::Printer;
use crate::table::{View, visible};
use crate::{span, words};

/// The longest that the authority lets one stream last.
const ONE_STREAM: Duration = Duration::from_secs(60);
/// How long to wait for one more socket to be closed once nothing passes on them: longer than a gateway waits for a peer
/// that does not answer its close frame, and than the slowest pace leaves between two.
const FOR_CLOSING: Duration = Duration::from_secs(5);
/// How often at most it is said that more of them are closed.
const BETWEEN_COUNTS: Duration = Duration::from_secs(1);

/// Asks once and prints what there is.
pub(crate) async fn show(revision: v1::Revision, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::AwaitEnforcedRequest { revision: Some(revision), timeout_ms: 0 };
    let answer = authority
        .call(request, async |channel, request| CredentialsServiceClient::new(channel).await_enforced(request).await)
        .await?;
    let receipt = crate::commands::present(answer.receipt, "receipt")?;
    printer.event(&to_json(&receipt), || format!("{}\n{}", sentence(&receipt), table(&receipt)))?;
    verdict(&receipt)
}

/// Prints how it fills in, until it is enforced and its sockets are closed, or the time is over.
pub(crate) async fn follow(
    revision: v1::Revision,
    time: Duration,
    authority: &Authority,
    printer: &Printer,
) -> Result<(), Failure> {
    let limit = Instant::now() + time;
    let mut follower =
        Follower { printer, said: HashMap::new(), counted: None, closed: 0, last: None, deadline: limit, limit };
    while !follower.is_over() {
        let left = follower.deadline.saturating_duration_since(Instant::now()).min(ONE_STREAM);
        let timeout_ms = span::millis(left.max(Duration::from_millis(1)));
        let request = v1::WatchEnforcedRequest { revision: Some(revision), timeout_ms };
        let stream = authority
            .open(request, async |channel, request| {
                CredentialsServiceClient::new(channel).watch_enforced(request).await
            })
            .await?;
        if follower.read(stream, authority).await? {
            break;
        }
    }
    let last = crate::commands::present(follower.last, "receipt")?;
    if !is_enforced(&last) {
        printer.event(&to_json(&last), || format!("{}\n", sentence(&last)))?;
    }
    verdict(&last)
}

struct Follower<'a> {
    printer: &'a Printer,
    /// The last line about each run of a gateway.
    said: HashMap<(String, Vec<u8>), String>,
    /// When it was last said how many sockets are closed.
    counted: Option<Instant>,
    closed: u64,
    last: Option<v1::Receipt>,
    deadline: Instant,
    /// The deadline that was asked for.
    limit: Instant,
}

impl Follower<'_> {
    /// The time is over; at least one receipt is read.
    fn is_over(&self) -> bool {
        self.last.is_some() && Instant::now() >= self.deadline
    }

    /// Reads one stream. True when there is no more to wait for.
    async fn read(
        &mut self,
        mut stream: Streaming<v1::WatchEnforcedResponse>,
        authority: &Authority,
    ) -> Result<bool, Failure> {
        loop {
            let next = match &self.last {
                None => stream.next().await,
                Some(_) => match tokio::time::timeout_at(self.deadline, stream.next()).await {
                    Ok(next) => next,
                    Err(_) => return Ok(true),
                },
            };
            let Some(answer) = next else { break };
            let answer = answer.map_err(|status| authority.failure(&status))?;
            let receipt = crate::commands::present(answer.receipt, "receipt")?;
            self.tell(receipt)?;
        }
        Ok(self.last.as_ref().is_some_and(is_enforced))
    }

    /// More sockets are closed, not all of them, and that was said a moment ago.
    fn is_said_too_soon(&mut self, receipt: &v1::Receipt) -> bool {
        let counts_only = self.last.as_ref().is_some_and(|last| is_enforced(last) && last.status == receipt.status);
        let all = |line: &v1::GatewayReceipt| line.acknowledgement.is_none_or(|said| said.closed >= said.fenced);
        if !counts_only || receipt.gateways.iter().all(all) {
            return false;
        }
        let too_soon = self.counted.is_some_and(|counted| counted.elapsed() < BETWEEN_COUNTS);
        if !too_soon {
            self.counted = Some(Instant::now());
        }
        too_soon
    }

    fn tell(&mut self, receipt: v1::Receipt) -> Result<(), Failure> {
        let known = self.last.as_ref().map(|last| last.status);
        let is_first_enforced = is_enforced(&receipt) && !self.last.as_ref().is_some_and(is_enforced);
        let before = std::mem::replace(&mut self.closed, closed(&receipt));
        if is_first_enforced || self.closed > before {
            self.deadline = if is_enforced(&receipt) { Instant::now() + FOR_CLOSING } else { self.limit };
            self.deadline = self.deadline.min(self.limit);
        }
        if self.is_said_too_soon(&receipt) {
            return Ok(());
        }
        let mut news = String::new();
        for line in &receipt.gateways {
            let now = line_in_words(line);
            let key = (line.gateway_id.clone(), line.boot_id.clone());
            if self.said.insert(key, now.clone()).as_ref() != Some(&now) {
                news.push_str(&format!("{:>9}  {}\n", span::millis_in_words(receipt.elapsed_ms), visible(&now)));
            }
        }
        if is_first_enforced {
            news.push_str(&format!("{}\n", sentence(&receipt)));
        }
        let is_news = !news.is_empty() || known != Some(receipt.status);
        // What was enforced stays so: the time of the first receipt that says it is the one to keep.
        let receipt = match self.last.take().filter(is_enforced) {
            Some(last) => v1::Receipt { elapsed_ms: last.elapsed_ms, ..receipt },
            None => receipt,
        };
        let shown = if is_news { self.printer.event(&to_json(&receipt), || news) } else { Ok(()) };
        self.last = Some(receipt);
        shown
    }
}

/// How many sockets are closed, on all gateways.
fn closed(receipt: &v1::Receipt) -> u64 {
    receipt.gateways.iter().filter_map(|line| line.acknowledgement).map(|said| said.closed).sum()
}

/// Whether it says that nothing passes any more.
fn is_enforced(receipt: &v1::Receipt) -> bool {
    match receipt.status() {
        v1::ReceiptStatus::EnforcedByAcknowledgement | v1::ReceiptStatus::EnforcedByTime => true,
        v1::ReceiptStatus::Unspecified | v1::ReceiptStatus::Pending | v1::ReceiptStatus::Unknown => false,
    }
}

fn verdict(receipt: &v1::Receipt) -> Result<(), Failure> {
    if is_enforced(receipt) {
        return Ok(());
    }
    Err(Failure::NotEnforced {
        revision: words::revision(receipt.revision.as_ref()),
        certain_in: span::millis_in_words(receipt.certain_in_ms),
    })
}

fn sentence(receipt: &v1::Receipt) -> String {
    let elapsed = span::millis_in_words(receipt.elapsed_ms);
    let certain = span::millis_in_words(receipt.certain_in_ms);
    match receipt.status() {
        v1::ReceiptStatus::EnforcedByAcknowledgement => {
            format!("Enforced {elapsed} after the commit: every gateway that can hold a lease has applied it.")
        }
        v1::ReceiptStatus::EnforcedByTime => {
            format!("Enforced: the bound of {} has passed.", span::millis_in_words(receipt.bound_ms))
        }
        v1::ReceiptStatus::Pending => format!("Not enforced everywhere yet; certainly in {certain}."),
        v1::ReceiptStatus::Unknown => format!(
            "Cannot be told yet: the authority started less than the bound ago and does not know who holds a lease; \
             certainly in {certain}."
        ),
        v1::ReceiptStatus::Unspecified => "The authority gave no status.".to_owned(),
    }
}

fn line_in_words(line: &v1::GatewayReceipt) -> String {
    let name = &line.gateway_id;
    match (line.state(), &line.acknowledgement) {
        (v1::GatewayState::Applied, Some(said)) => format!(
            "{name}  applied in {}: {} fenced, {} closed",
            micros_in_words(said.apply_us),
            said.fenced,
            said.closed
        ),
        (v1::GatewayState::Applied, None) => format!("{name}  applied"),
        (v1::GatewayState::CannotHoldLease, _) => {
            format!("{name}  cannot hold a lease: its sockets are frozen or gone")
        }
        (v1::GatewayState::Lagging, _) => format!("{name}  lagging: {} sockets when last heard", line.sockets),
        (v1::GatewayState::Unspecified, _) => format!("{name}  no state was given"),
    }
}

fn table(receipt: &v1::Receipt) -> String {
    let row = |line: &v1::GatewayReceipt| {
        let said = line.acknowledgement.as_ref();
        let figure = |of: fn(&v1::GatewayAcknowledgement) -> String| said.map_or_else(|| "-".to_owned(), of);
        vec![
            line.gateway_id.clone(),
            words::gateway_state(line.state),
            figure(|said| said.fenced.to_string()),
            figure(|said| said.closed.to_string()),
            figure(|said| micros_in_words(said.apply_us)),
            line.sockets.to_string(),
            line.heard_ms_ago.map_or_else(|| "never".to_owned(), |ms| format!("{} ago", span::millis_in_words(ms))),
        ]
    };
    View::Rows {
        columns: &["gateway", "state", "fenced", "closed", "applied in", "sockets", "heard"],
        rows: receipt.gateways.iter().map(row).collect(),
        empty: "No gateway can hold a lease.",
    }
    .render()
}

fn to_json(receipt: &v1::Receipt) -> Value {
    let line = |line: &v1::GatewayReceipt| {
        let said = line.acknowledgement.as_ref();
        let boot = <[u8; 16]>::try_from(line.boot_id.as_slice()).ok().map(|id| BootId::from_bytes(id).to_string());
        json!({
            "gateway_id": line.gateway_id,
            "boot_id": boot,
            "state": words::gateway_state(line.state),
            "fenced": said.map(|said| said.fenced),
            "closed": said.map(|said| said.closed),
            "apply_us": said.map(|said| said.apply_us),
            "applied": words::revision_json(line.applied.as_ref()),
            "sockets": line.sockets,
            "heard_ms_ago": line.heard_ms_ago,
        })
    };
    json!({
        "revision": words::revision_json(receipt.revision.as_ref()),
        "status": words::receipt_status(receipt.status),
        "enforced": is_enforced(receipt),
        "elapsed_ms": receipt.elapsed_ms,
        "bound_ms": receipt.bound_ms,
        "certain_in_ms": receipt.certain_in_ms,
        "gateways": receipt.gateways.iter().map(line).collect::<Vec<_>>(),
    })
}

/// Microseconds with the unit that suits them.
fn micros_in_words(micros: i64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        _ => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(status: v1::ReceiptStatus) -> v1::Receipt {
        let said = v1::GatewayAcknowledgement { fenced: 2, closed: 1, apply_us: 80 };
        let first = v1::GatewayReceipt {
            gateway_id: "gateway-1".to_owned(),
            state: v1::GatewayState::Applied.into(),
            acknowledgement: Some(said),
            heard_ms_ago: Some(120),
            ..Default::default()
        };
        let second = v1::GatewayReceipt {
            gateway_id: "gateway-2".to_owned(),
            state: v1::GatewayState::CannotHoldLease.into(),
            ..Default::default()
        };
        let gateways = vec![first, second];
        v1::Receipt { status: status.into(), elapsed_ms: 4, bound_ms: 15_000, gateways, ..Default::default() }
    }

    #[test]
    fn only_what_is_said_to_be_enforced_counts_as_enforced() {
        for number in 0..=4 {
            let status = v1::ReceiptStatus::try_from(number).expect("the contract has five");
            assert_eq!(verdict(&receipt(status)).is_ok(), number == 1 || number == 2, "{status:?}");
        }
        assert!(verdict(&v1::Receipt { status: 99, ..Default::default() }).is_err());
    }

    #[test]
    fn a_receipt_names_every_gateway_and_what_it_did() {
        let receipt = receipt(v1::ReceiptStatus::EnforcedByAcknowledgement);
        let text = table(&receipt);
        assert!(text.contains("gateway-1  applied            2       1       80 µs"), "{text}");
        assert!(text.contains("gateway-2  cannot_hold_lease  -"), "{text}");
        let json = to_json(&receipt);
        assert_eq!(json["gateways"][0]["closed"], 1);
        assert_eq!(json["gateways"][1]["fenced"], Value::Null);
        assert_eq!((&json["enforced"], &json["status"]), (&json!(true), &json!("enforced_by_acknowledgement")));
    }
}

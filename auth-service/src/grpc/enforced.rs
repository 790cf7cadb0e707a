//! `AwaitEnforced` and `WatchEnforced`: receipts, as they stand and as they fill in.
//!
//! Guarantees: at most `grpc.limits.receipts` callers wait, one more is refused; a stream says only what is news, and ends by
//! its time at the latest.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::Scope;
use auth_domain::watch::{Acknowledgement, Committed, GatewayReceipt, GatewayState, Receipt, Status as Standing};
use portcullis_proto::auth::v1;
use portcullis_types::{Boottime, Revision};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

use super::caller::admitted;
use super::errors::{Failure, Reason};
use super::revocations::BUFFERED;
use super::{Api, wire};
use crate::receipts::NoReceipt;

const DEFAULT_FOLLOW: Duration = Duration::from_secs(30);
/// A caller is judged when it asks; so it must ask again after as long as a watch's caller is judged again.
const LONGEST_FOLLOW: Duration = Duration::from_secs(60);

/// A stream of receipts.
pub(super) type Receipts = ReceiverStream<Result<v1::WatchEnforcedResponse, Status>>;

impl Api {
    /// Answers when it is enforced, or when the time is over.
    pub(super) async fn await_receipt(
        &self,
        request: Request<v1::AwaitEnforcedRequest>,
    ) -> Result<v1::AwaitEnforcedResponse, Failure> {
        admitted(&request)?.holds(Scope::Revoke)?;
        let asked = request.into_inner();
        let asked_for = millis(asked.timeout_ms)?;
        let of = self.committed(asked.revision).await?;
        // Less than a call may take, so that there is an answer and not an error.
        let deadline = self.clock.boottime() + asked_for.min(self.max_deadline / 10 * 9);
        let _place = if asked_for.is_zero() { None } else { Some(self.place_to_wait()?) };
        let _followed = self.receipts.follow(of).await?;
        let mut changed = self.receipts.subscribe();
        loop {
            changed.borrow_and_update();
            let receipt = self.receipts.receipt(of);
            if receipt.status.is_enforced() || self.clock.boottime() >= deadline {
                return Ok(v1::AwaitEnforcedResponse { receipt: Some(to_wire(&receipt)) });
            }
            self.news(&mut changed, &receipt, deadline).await?;
        }
    }

    /// Says how it stands now and after each change.
    pub(super) async fn follow_receipt(&self, request: Request<v1::WatchEnforcedRequest>) -> Result<Receipts, Failure> {
        admitted(&request)?.holds(Scope::Revoke)?;
        let asked = request.into_inner();
        let time = match millis(asked.timeout_ms)? {
            Duration::ZERO => DEFAULT_FOLLOW,
            time if time <= LONGEST_FOLLOW => time,
            _ => return Err(Failure::field("timeout_ms", "must be 0 to 60000")),
        };
        let of = self.committed(asked.revision).await?;
        let place = self.place_to_wait()?;
        let followed = self.receipts.follow(of).await?;
        let (out, receipts) = mpsc::channel(BUFFERED);
        let (api, deadline) = (self.clone(), self.clock.boottime() + time);
        self.shutdown.track(async move {
            let (_place, _followed) = (place, followed);
            // A reader that stalls is dropped with its time.
            let _late = tokio::time::timeout(time + time / 10, api.fill_in(of, deadline, out)).await;
        });
        Ok(ReceiverStream::new(receipts))
    }

    async fn fill_in(
        self,
        of: Committed,
        deadline: Boottime,
        out: mpsc::Sender<Result<v1::WatchEnforcedResponse, Status>>,
    ) {
        let mut changed = self.receipts.subscribe();
        let mut said: Option<Receipt> = None;
        loop {
            changed.borrow_and_update();
            let receipt = self.receipts.receipt(of);
            if said.as_ref().is_none_or(|said| receipt.differs(said)) {
                let news = v1::WatchEnforcedResponse { receipt: Some(to_wire(&receipt)) };
                if out.send(Ok(news)).await.is_err() {
                    return;
                }
            }
            if receipt.is_settled() || self.clock.boottime() >= deadline {
                return;
            }
            tokio::select! {
                () = out.closed() => return,
                waited = self.news(&mut changed, &receipt, deadline) => if let Err(failure) = waited {
                    return drop(out.send(Err(failure.into())).await);
                },
            }
            said = Some(receipt);
        }
    }

    /// Until a receipt may have changed.
    async fn news(
        &self,
        changed: &mut tokio::sync::watch::Receiver<()>,
        receipt: &Receipt,
        deadline: Boottime,
    ) -> Result<(), Failure> {
        tokio::select! {
            // The sender is as old as the service.
            _ = changed.changed() => Ok(()),
            () = tokio::time::sleep(self.receipts.wait_for(receipt, deadline)) => Ok(()),
            () = self.shutdown.requested() => Err(Failure::new(Reason::Leaving, "this authority is shutting down")),
        }
    }

    async fn committed(&self, revision: Option<v1::Revision>) -> Result<Committed, Failure> {
        let revision = revision.ok_or_else(|| Failure::field("revision", "is needed"))?;
        let revision = Revision::try_from(revision).map_err(Failure::wire("revision"))?;
        Ok(self.receipts.committed(revision).await?)
    }

    fn place_to_wait(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.waiting)
            .try_acquire_owned()
            .map_err(|_| Failure::new(Reason::ReceiptsExhausted, "too many callers wait for receipts"))
    }
}

fn millis(asked: i64) -> Result<Duration, Failure> {
    let millis = u64::try_from(asked).map_err(|_| Failure::field("timeout_ms", "must not be negative"))?;
    Ok(Duration::from_millis(millis))
}

impl From<NoReceipt> for Failure {
    fn from(error: NoReceipt) -> Self {
        match error {
            NoReceipt::Unknown => Self::new(Reason::RevisionNotFound, error.to_string()),
            NoReceipt::Gone => Self::new(Reason::RangeGone, error.to_string()),
            NoReceipt::Forked => Self::new(Reason::RevisionForked, error.to_string()),
            NoReceipt::Store(error) => error.into(),
        }
    }
}

fn to_wire(receipt: &Receipt) -> v1::Receipt {
    let status = match receipt.status {
        Standing::EnforcedByAcknowledgement => v1::ReceiptStatus::EnforcedByAcknowledgement,
        Standing::EnforcedByTime => v1::ReceiptStatus::EnforcedByTime,
        Standing::Pending => v1::ReceiptStatus::Pending,
        Standing::Unknown => v1::ReceiptStatus::Unknown,
    };
    v1::Receipt {
        revision: Some(receipt.revision.into()),
        status: status.into(),
        elapsed_ms: wire::millis(receipt.elapsed),
        bound_ms: wire::millis(receipt.bound),
        // Never a moment too early.
        certain_in_ms: i64::try_from(receipt.certain_in.as_micros().div_ceil(1_000)).unwrap_or(i64::MAX),
        gateways: receipt.gateways.iter().map(line_to_wire).collect(),
    }
}

fn line_to_wire(line: &GatewayReceipt) -> v1::GatewayReceipt {
    let state = match line.state {
        GatewayState::Applied => v1::GatewayState::Applied,
        GatewayState::CannotHoldLease => v1::GatewayState::CannotHoldLease,
        GatewayState::Lagging => v1::GatewayState::Lagging,
    };
    v1::GatewayReceipt {
        gateway_id: line.run.gateway.to_string(),
        boot_id: line.run.boot.as_bytes().to_vec(),
        state: state.into(),
        acknowledgement: line.acknowledgement.map(said_to_wire),
        applied: line.applied.map(Into::into),
        sockets: line.sockets,
        heard_ms_ago: line.heard.map(wire::millis),
    }
}

fn said_to_wire(said: Acknowledgement) -> v1::GatewayAcknowledgement {
    let apply_us = i64::try_from(said.apply.as_micros()).unwrap_or(i64::MAX);
    v1::GatewayAcknowledgement { fenced: said.fenced, closed: said.closed, apply_us }
}

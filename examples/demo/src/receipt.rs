//! Who enforces a revocation, as the page shows it.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use http::StatusCode;
use portcullis_proto::auth::v1;
use portcullis_types::Revision;
use serde::{Deserialize, Serialize};

use crate::app::SharedApp;
use crate::problem::Problem;

const MALFORMED: Problem =
    Problem::new(StatusCode::BAD_REQUEST, "malformed", "Which revision is missing or is not one.");
const NO_RECEIPT: Problem =
    Problem::new(StatusCode::BAD_GATEWAY, "authority_failed", "The authority answered without a receipt.");

/// Names a revocation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ByRevision {
    revision: Revision,
}

/// A receipt.
#[derive(Debug, Serialize)]
pub(crate) struct Receipt {
    status: &'static str,
    enforced: bool,
    elapsed_ms: i64,
    certain_in_ms: i64,
    gateways: Vec<Part>,
}

/// A gateway's part. The figures are absent where its own word was not heard.
#[derive(Debug, Serialize)]
struct Part {
    gateway: String,
    state: &'static str,
    fenced: Option<u64>,
    closed: Option<u64>,
    apply_us: Option<i64>,
}

/// `GET /api/receipt?revision=`.
pub(crate) async fn receipt(
    State(app): SharedApp,
    query: Result<Query<ByRevision>, QueryRejection>,
) -> Result<Json<Receipt>, Problem> {
    let Query(ByRevision { revision }) = query.map_err(|_| MALFORMED)?;
    let receipt = app.authority.receipt(revision).await?.ok_or(NO_RECEIPT)?;
    let (status, enforced) = status_of(receipt.status());
    let part = |part: v1::GatewayReceipt| Part {
        state: state_of(part.state()),
        fenced: part.acknowledgement.map(|said| said.fenced),
        closed: part.acknowledgement.map(|said| said.closed),
        apply_us: part.acknowledgement.map(|said| said.apply_us),
        gateway: part.gateway_id,
    };
    Ok(Json(Receipt {
        status,
        enforced,
        elapsed_ms: receipt.elapsed_ms,
        certain_in_ms: receipt.certain_in_ms,
        gateways: receipt.gateways.into_iter().map(part).collect(),
    }))
}

/// The word, and whether it means that nothing passes any more.
const fn status_of(status: v1::ReceiptStatus) -> (&'static str, bool) {
    match status {
        v1::ReceiptStatus::EnforcedByAcknowledgement => ("enforced_by_acknowledgement", true),
        v1::ReceiptStatus::EnforcedByTime => ("enforced_by_time", true),
        v1::ReceiptStatus::Pending => ("pending", false),
        v1::ReceiptStatus::Unknown | v1::ReceiptStatus::Unspecified => ("unknown", false),
    }
}

const fn state_of(state: v1::GatewayState) -> &'static str {
    match state {
        v1::GatewayState::Applied => "applied",
        v1::GatewayState::CannotHoldLease => "cannot_hold_lease",
        v1::GatewayState::Lagging => "lagging",
        v1::GatewayState::Unspecified => "unknown",
    }
}

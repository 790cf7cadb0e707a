//! The contract's numbers and times as words.

use std::time::Duration;

use portcullis_proto::auth::v1;
use portcullis_types::{Clock, Revision, Timestamp};
use serde_json::Value;

use crate::span;

macro_rules! words {
    ($($(#[$doc:meta])* $function:ident: $enumeration:ident, $prefix:literal;)*) => {
        $(
            $(#[$doc])*
            pub(crate) fn $function(number: i32) -> String {
                word(v1::$enumeration::try_from(number).ok().map(|known| known.as_str_name()), $prefix, number)
            }
        )*
    };
}

words! {
    /// What an identity is.
    identity_kind: IdentityKind, "IDENTITY_KIND_";
    /// Where an identity stands.
    identity_state: IdentityState, "IDENTITY_STATE_";
    /// What a grant allows.
    action: Action, "ACTION_";
    /// Where a session stands.
    session_state: SessionState, "SESSION_STATE_";
    /// Where a credential stands.
    credential_state: CredentialState, "CREDENTIAL_STATE_";
    /// Where a tenant stands.
    tenant_state: TenantState, "TENANT_STATE_";
    /// How what was asked ended.
    audit_outcome: AuditOutcome, "AUDIT_OUTCOME_";
    /// What kind of credential it is.
    credential_kind: CredentialKind, "CREDENTIAL_KIND_";
    /// Why a credential was refused.
    deny_reason: DenyReason, "DENY_REASON_";
    /// The verdict.
    outcome: Outcome, "OUTCOME_";
    /// What a log entry does.
    effect: Effect, "EFFECT_";
    /// Why something was revoked.
    revocation_reason: RevocationReason, "REVOCATION_REASON_";
    /// Whether a revocation is enforced.
    receipt_status: ReceiptStatus, "RECEIPT_STATUS_";
    /// Where a gateway stands to a revocation.
    gateway_state: GatewayState, "GATEWAY_STATE_";
    /// Where a signature key stands.
    signature_key_state: SignatureKeyState, "SIGNATURE_KEY_STATE_";
    /// Where a signing key stands.
    signing_key_state: SigningKeyState, "SIGNING_KEY_STATE_";
    /// For how long sockets are served without the authority.
    lease_class: LeaseClass, "LEASE_CLASS_";
    /// What a revocation names.
    key_kind: KeyKind, "KEY_KIND_";
}

/// A number that a newer authority knows and this program does not is shown as it is.
fn word(name: Option<&str>, prefix: &str, number: i32) -> String {
    name.and_then(|name| name.strip_prefix(prefix)).map_or_else(|| format!("number {number}"), str::to_ascii_lowercase)
}

/// The reasons of a refusal, in a sentence.
pub(crate) fn deny_sentence(reason: v1::DenyReason) -> &'static str {
    match reason {
        v1::DenyReason::Unspecified => "the authority gave no reason",
        v1::DenyReason::Malformed => "by its form it is not a credential of ours",
        v1::DenyReason::Unknown => "it is well formed and not known here",
        v1::DenyReason::Invalid => "its signature, algorithm, type or claims are wrong",
        v1::DenyReason::Expired => "its time is over",
        v1::DenyReason::CredentialRevoked => "it was revoked itself",
        v1::DenyReason::SessionRevoked => "its session was revoked or has ended",
        v1::DenyReason::IdentityRevoked => "the sessions of its identity were revoked",
        v1::DenyReason::IdentityDisabled => "its identity is disabled",
        v1::DenyReason::TenantRevoked => "its tenant was revoked or is suspended",
        v1::DenyReason::WrongAudience => "it is meant for another audience",
        v1::DenyReason::WrongOrigin => "it is bound to another origin",
        v1::DenyReason::WrongAddress => "it is bound to other addresses",
        v1::DenyReason::Spent => "it can be used once, and was",
        v1::DenyReason::WrongKind => "a credential of this kind cannot be used here",
    }
}

/// A revision's one text; `none` where there is none.
pub(crate) fn revision(wire: Option<&v1::Revision>) -> String {
    revision_json(wire).as_str().unwrap_or("none").to_owned()
}

/// A revision in JSON: its one text, or null.
pub(crate) fn revision_json(wire: Option<&v1::Revision>) -> Value {
    wire.map_or(Value::Null, |wire| Value::String(Revision { seq: wire.seq, chain: wire.chain }.to_string()))
}

/// A time of the contract (RFC 3339, UTC), or `never`.
pub(crate) fn time(wire: Option<&prost_types::Timestamp>) -> String {
    time_json(wire).as_str().unwrap_or("never").to_owned()
}

/// A time of the contract in JSON: RFC 3339 in UTC, or null.
pub(crate) fn time_json(wire: Option<&prost_types::Timestamp>) -> Value {
    wire.map_or(Value::Null, |wire| Value::String(wire.to_string()))
}

/// Our time, RFC 3339 in UTC.
pub(crate) fn timestamp(at: Timestamp) -> String {
    let micros = at.as_micros();
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    prost_types::Timestamp { seconds: micros.div_euclid(1_000_000), nanos }.to_string()
}

/// Where an API key or a registration stands, by this machine's clock.
pub(crate) fn key_state(revoked: bool, ends: Option<&prost_types::Timestamp>, clock: &dyn Clock) -> &'static str {
    let is_over = |end: &prost_types::Timestamp| micros(end) <= clock.now().as_micros();
    match (revoked, ends.is_some_and(is_over)) {
        (true, _) => "revoked",
        (false, true) => "expired",
        (false, false) => "active",
    }
}

fn micros(at: &prost_types::Timestamp) -> i64 {
    at.seconds.saturating_mul(1_000_000).saturating_add(i64::from(at.nanos) / 1_000)
}

/// When something ends that has so many milliseconds left: the time by this machine's clock, and the span.
pub(crate) fn until(clock: &dyn Clock, millis_left: i64) -> String {
    let left = Duration::from_millis(millis_left.max(0).unsigned_abs());
    let whole = Timestamp::from_unix_seconds((clock.now() + left).as_unix_seconds());
    format!("{} (in {})", timestamp(whole), span::in_words(left))
}

#[cfg(test)]
mod tests {
    use portcullis_types::ManualClock;

    use super::*;

    #[test]
    fn words_are_the_contract_names_in_lower_case() {
        assert_eq!(identity_kind(v1::IdentityKind::Service.into()), "service");
        assert_eq!(deny_reason(v1::DenyReason::SessionRevoked.into()), "session_revoked");
        assert_eq!(effect(v1::Effect::Reauthorize.into()), "reauthorize");
    }

    #[test]
    fn a_number_of_the_future_is_shown_and_not_guessed() {
        assert_eq!(key_kind(99), "number 99");
    }

    #[test]
    fn every_deny_reason_of_the_contract_has_a_sentence() {
        for number in 0..=14 {
            let reason = v1::DenyReason::try_from(number).expect("the contract has 15 reasons");
            assert!(!deny_sentence(reason).is_empty());
        }
    }

    #[test]
    fn a_key_whose_time_is_over_is_not_active() {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_700_000_000));
        let end = |seconds| prost_types::Timestamp { seconds, nanos: 0 };
        assert_eq!(key_state(false, None, &clock), "active");
        assert_eq!(key_state(false, Some(&end(1_700_000_001)), &clock), "active");
        assert_eq!(key_state(false, Some(&end(1_700_000_000)), &clock), "expired");
        assert_eq!(key_state(true, Some(&end(1_700_000_000)), &clock), "revoked");
    }

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(timestamp(Timestamp::from_micros(1_700_000_000_250_000)), "2023-11-14T22:13:20.250Z");
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_700_000_000));
        assert_eq!(until(&clock, 60_000), "2023-11-14T22:14:20Z (in 1 min)");
    }
}

//! Every way in which a gateway ends a connection, with the code and the text that the client sees.
//!
//! The code alone tells a client what to do, as the published Centrifuge SDKs read it: 3500 to 3999 and 4500 to 4999
//! stop for good (`disconnected`), 1009 stops too, every other code comes back with backoff (`connecting`).
//! The text is plain words, never JSON (an SDK would read that as advice), fits the 123 bytes of a close frame and names
//! nobody.

use crate::{Denial, Refusal};

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// A message is longer than allowed.
    MessageTooBig,
    /// This gateway is stopping or being emptied.
    Drain,
    /// Nobody can say whether the client may stay.
    AuthorityUnavailable,
    /// An empty ping was not answered in time. The protocol's own number.
    NoPong,
    /// Not a frame of the client protocol, or a command out of turn. The protocol's own number.
    BadRequest,
    /// No `connect` within the deadline. The protocol's own number.
    Stale,
    /// The credential's time is over: come back with a new one.
    Expired,
    /// What the client may do has changed and could not be judged again in time.
    AuthorityChanged,
    /// The client reads slower than it is written to.
    SlowConsumer,
    /// Far more commands than allowed.
    RateExceeded,
    /// The gateway has not heard from the authority for too long to trust what it knows.
    LeaseLost,
    /// The credential was revoked.
    CredentialRevoked,
    /// The session was revoked or has ended.
    SessionRevoked,
    /// The identity's sessions were revoked, or it was disabled or deleted.
    IdentityRevoked,
    /// The tenant was revoked or is suspended.
    TenantRevoked,
    /// The client application's or the signing key's credentials were revoked.
    IssuerRevoked,
    /// The client was never let in, or its newer credential was refused.
    Refused(Refusal),
}

impl CloseReason {
    /// The code of the WebSocket close frame.
    pub const fn code(self) -> u16 {
        match self {
            Self::MessageTooBig => 1009,
            Self::Drain => 1012,
            Self::AuthorityUnavailable => 1013,
            Self::NoPong => 3012,
            Self::BadRequest => 3501,
            Self::Stale => 3502,
            Self::Expired => 4001,
            Self::AuthorityChanged => 4002,
            Self::SlowConsumer => 4008,
            Self::RateExceeded => 4029,
            Self::LeaseLost => 4030,
            Self::CredentialRevoked | Self::IssuerRevoked => 4510,
            Self::SessionRevoked => 4511,
            Self::IdentityRevoked => 4512,
            Self::TenantRevoked => 4513,
            Self::Refused(refusal) => refusal.close_code(),
        }
    }

    /// The text of the WebSocket close frame. For a refusal it is the reason's one word, as in the reply to `connect`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::MessageTooBig => "message too big",
            Self::Drain => "gateway restarting",
            Self::AuthorityUnavailable => "authority unavailable",
            Self::NoPong => "no pong",
            Self::BadRequest => "bad request",
            Self::Stale => "no connect in time",
            Self::Expired => "credential expired",
            Self::AuthorityChanged => "authority changed",
            Self::SlowConsumer => "slow consumer",
            Self::RateExceeded => "too many commands",
            Self::LeaseLost => "authority lost",
            Self::CredentialRevoked => "credential revoked",
            Self::SessionRevoked => "session revoked",
            Self::IdentityRevoked => "identity revoked",
            Self::TenantRevoked => "tenant revoked",
            Self::IssuerRevoked => "client or signing key or issuer revoked",
            Self::Refused(refusal) => refusal.denial().text(),
        }
    }

    /// Whether the published SDKs come back after it.
    pub const fn lets_the_client_come_back(self) -> bool {
        !matches!(self.code(), 1009 | 3500..=3999 | 4500..=4999)
    }
}

/// A denial that does not depend on the form of a credential.
impl From<Denial> for CloseReason {
    fn from(denial: Denial) -> Self {
        Self::Refused(Refusal::from(denial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CredentialForm;

    fn all() -> Vec<CloseReason> {
        let refusals = Denial::ALL.into_iter().flat_map(|denial| {
            [CredentialForm::Ticket, CredentialForm::Other].map(|form| CloseReason::Refused(Refusal::new(denial, form)))
        });
        [
            CloseReason::MessageTooBig,
            CloseReason::Drain,
            CloseReason::AuthorityUnavailable,
            CloseReason::NoPong,
            CloseReason::BadRequest,
            CloseReason::Stale,
            CloseReason::Expired,
            CloseReason::AuthorityChanged,
            CloseReason::SlowConsumer,
            CloseReason::RateExceeded,
            CloseReason::LeaseLost,
            CloseReason::CredentialRevoked,
            CloseReason::SessionRevoked,
            CloseReason::IdentityRevoked,
            CloseReason::TenantRevoked,
            CloseReason::IssuerRevoked,
        ]
        .into_iter()
        .chain(refusals)
        .collect()
    }

    #[test]
    fn every_text_is_plain_and_fits_a_close_frame() {
        for reason in all() {
            let text = reason.text();
            assert!(!text.is_empty() && text.len() <= 123, "{reason:?}");
            assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b == b' ' || b == b'_'), "{reason:?}");
        }
    }

    #[test]
    fn every_code_may_stand_in_a_close_frame() {
        for reason in all() {
            assert!(matches!(reason.code(), 1009 | 1012..=1013 | 3000..=4999), "{reason:?}");
        }
    }

    #[test]
    fn a_revoked_client_stops_and_an_expired_one_comes_back() {
        for stops in [
            CloseReason::CredentialRevoked,
            CloseReason::SessionRevoked,
            CloseReason::IdentityRevoked,
            CloseReason::TenantRevoked,
            CloseReason::BadRequest,
            CloseReason::MessageTooBig,
        ] {
            assert!(!stops.lets_the_client_come_back(), "{stops:?}");
        }
        for returns in [
            CloseReason::Drain,
            CloseReason::Expired,
            CloseReason::AuthorityChanged,
            CloseReason::LeaseLost,
            CloseReason::SlowConsumer,
            CloseReason::NoPong,
        ] {
            assert!(returns.lets_the_client_come_back(), "{returns:?}");
        }
    }
}

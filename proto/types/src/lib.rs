//! The few types that both sides of Portcullis must agree on.
//!
//! Owns: names ([`TenantId`], [`IdentityId`], …), [`Revision`] and [`Chain`], [`Secret`], what holds the audit trail in
//! place ([`AuditSeal`], [`AuditCheck`]), and the two things that no
//! rule may reach for by itself, time ([`Clock`]) and chance ([`Entropy`]).
//! Refuses: any rule of the authority or of the gateway, and any I/O besides reading the clock and the entropy source.

mod address;
mod audit_chain;
#[cfg(feature = "tls")]
mod authorities;
mod backoff;
#[cfg(feature = "tls")]
mod certificate_term;
mod clock;
mod entropy;
#[cfg(feature = "faults")]
pub mod faults;
mod ids;
mod lease;
mod opaque;
mod revision;
mod secret;
#[cfg(feature = "runtime")]
mod shutdown;

pub use address::{AddressRange, is_loopback_host};
pub use audit_chain::{
    AuditAnchor, AuditCheck, AuditFinding, AuditRow, AuditSeal, InvalidAnchor, MAX_SEALED_ROWS, SealedRow,
};
#[cfg(feature = "tls")]
pub use authorities::{InvalidAuthorities, all_authorities, usable_authorities};
pub use backoff::Backoff;
#[cfg(feature = "tls")]
pub use certificate_term::{CertificateStanding, CertificateTerm, NotACertificate};
pub use clock::{Boottime, Clock, ManualClock, SystemClock, Timestamp};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use ids::{
    BootId, ChannelName, ClientId, CredentialId, GatewayId, IdentityId, IdentityName, InvalidName, IssuerId,
    IssuerName, RedemptionId, RoleName, SessionId, SigningKeyId, TenantId, UuidSource,
};
pub use lease::{ClassOverBound, InvalidTerms, LeaseClass, LeaseLengths, LeaseTerms};
pub use opaque::{InvalidOpaque, OPAQUE_LEN, OpaqueKind, OpaqueToken};
pub use revision::{Chain, InvalidRevision, KeyDigest, KeyKind, Revision};
pub use secret::Secret;
#[cfg(feature = "runtime")]
pub use shutdown::Shutdown;

//! The mutants: the protocol with one rule broken, in the smallest world where that shows.
//!
//! Owns which promise each breaks. In the same world the whole protocol keeps all promises, so the rule is the cause.

use crate::config::{Config, Fault, Heads, Registrations};
use crate::property::Promise;

const CALM: Config = Config::CALM;
const RESYNC: Config = Config { refusals: 1, ..CALM };
const FORK: Config = Config { failover: true, others: 1, end: 3, ..CALM };
const ZOMBIE: Config = Config { zombie: true, replicas: 2, end: 2, ..CALM };
const RECEIPTS: Config = Config { registrations: Registrations::Memory, end: 3, ..CALM };
/// Some broken receipts show before time passes at all.
const AT_ONCE: Config = Config { end: 1, ..RECEIPTS };

/// A broken rule, what it breaks, and where.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// The rule.
    pub fault: Fault,
    /// The promise that fails.
    pub breaks: Promise,
    /// The world, without the fault.
    pub world: Config,
}

impl Mutant {
    /// The world with the fault.
    pub const fn config(&self) -> Config {
        Config { fault: Some(self.fault), ..self.world }
    }
}

const fn bound(fault: Fault, world: Config) -> Mutant {
    Mutant { fault, breaks: Promise::Bound, world }
}

const fn receipt(fault: Fault, world: Config) -> Mutant {
    Mutant { fault, breaks: Promise::Receipt, world }
}

const fn late_session(fault: Fault, world: Config) -> Mutant {
    Mutant { fault, breaks: Promise::LateSession, world }
}

/// All of them; each fault once.
pub const MUTANTS: &[Mutant] = &[
    bound(Fault::SequenceColumn, Config { others: 1, end: 3, ..CALM }),
    bound(Fault::NoChain, FORK),
    bound(Fault::HandshakeUnchecked, CALM),
    bound(Fault::CheckThenInsert, CALM),
    bound(Fault::RegistryBeforeIndex, CALM),
    bound(Fault::CacheByInvalidation, Config { cache: true, handshakes: 2, ..CALM }),
    bound(Fault::CoalescedUnchecked, Config { coalesce: true, handshakes: 2, sockets: 2, ..CALM }),
    bound(Fault::FloorUnchecked, CALM),
    bound(Fault::ForgottenSilently, Config { evict: true, ..CALM }),
    bound(Fault::TwoViews, ZOMBIE),
    bound(Fault::LeaseFromReceipt, CALM),
    bound(Fault::StaleTail, CALM),
    bound(Fault::PlainRead, ZOMBIE),
    bound(Fault::RenewedBehindHead, CALM),
    bound(Fault::TimerOnly, Config { pause: true, freeze: false, ..CALM }),
    bound(Fault::OldBranchKept, FORK),
    bound(Fault::ReconcileSkipped, RESYNC),
    bound(Fault::AdmittedUnproven, Config { replicas: 2, end: 3, ..RESYNC }),
    bound(Fault::GenerationOnly, Config { refusals: 1, ..ZOMBIE }),
    bound(Fault::ResyncExtendsLease, RESYNC),
    bound(Fault::ThawBeforeCatchUp, Config { breaks: 1, ..CALM }),
    late_session(Fault::IssueRevisionIgnored, Config { login: true, end: 1, ..CALM }),
    late_session(Fault::LoginSpansFailover, Config { login: true, end: 1, ..FORK }),
    receipt(Fault::AnsweredUnregistered, AT_ONCE),
    receipt(
        Fault::BeatBeforeRegistration,
        Config { registrations: Registrations::Shared, heads: Heads::Beats, ..RECEIPTS },
    ),
    receipt(Fault::BeatBeforeRenewal, Config { registrations: Registrations::Shared, heads: Heads::Beats, ..RECEIPTS }),
    receipt(Fault::RegisteredByName, Config { pause: true, replace: true, ..AT_ONCE }),
    receipt(Fault::RegistrationNotRenewed, RECEIPTS),
    receipt(Fault::AcknowledgedBeforeFence, AT_ONCE),
    receipt(Fault::AcknowledgedWhileReconciling, Config { refusals: 1, ..AT_ONCE }),
    receipt(Fault::AcknowledgedByNumber, Config { registrations: Registrations::Shared, end: 1, ..FORK }),
    receipt(Fault::RegistrationsReadEarly, AT_ONCE),
    receipt(Fault::EmptyAfterRestart, Config { restart: true, ..AT_ONCE }),
    receipt(Fault::ElapsedWithoutDrift, Config { drift: 1, ..RECEIPTS }),
    receipt(Fault::HoldUncounted, Config { lease: 1, hold: 1, ..RECEIPTS }),
];

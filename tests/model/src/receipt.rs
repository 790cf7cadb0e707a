//! Receipts: when the authority may say that X is enforced.
//!
//! Owns `AwaitEnforced`.
//! Guarantees: registrations are read after X committed, in one view with it. Enforced means that every one of them has
//! acknowledged X on this branch, or can hold no lease from before X, or that B has elapsed since this replica first
//! read X. An authority that has lost its registrations knows nothing until B after its start.

use crate::config::{Config, Fault, Registrations};
use crate::state::{Proof, Receipt, Registration, State};

impl State {
    pub(crate) fn can_await(&self, config: &Config, replica: u8) -> bool {
        config.breaks(Fault::RegistrationsReadEarly) || self.view(replica).has_revocation()
    }

    pub(crate) fn await_enforced(&mut self, config: &Config, replica: u8) {
        let missing = self.missing(config, replica, 0b11);
        self.receipt = Receipt::Waiting { replica, since: self.now, missing };
    }

    pub(crate) fn say_enforced(&mut self, config: &Config) {
        let Receipt::Waiting { replica, since, missing } = self.receipt else { return };
        if let Some(proof) = self.proof(config, replica, since, missing) {
            self.receipt = Receipt::Said(proof);
        }
    }

    /// Why the receipt may be given now, if it may.
    pub(crate) fn proof(&self, config: &Config, replica: u8, since: u8, missing: u8) -> Option<Proof> {
        if !self.view(replica).has_revocation() {
            return None;
        }
        if self.now >= since + config.patience() && !config.breaks(Fault::RegistrationsReadEarly) {
            return Some(Proof::Elapsed);
        }
        if !self.knows_registrations(config) || self.missing(config, replica, missing) != 0 {
            return None;
        }
        let acknowledged = |known: &Registration| self.has_acknowledged(config, known);
        let anybody = self.registered_in_view(replica).iter().flatten().any(acknowledged);
        Some(if anybody { Proof::Acknowledged } else { Proof::NoLease })
    }

    /// Those of `boots` that are registered, can hold a lease, and have not acknowledged X.
    fn missing(&self, config: &Config, replica: u8, boots: u8) -> u8 {
        let longest = if config.breaks(Fault::HoldUncounted) { config.patience() } else { config.bound() };
        let lagging =
            |known: &Registration| self.now < known.renewed + longest && !self.has_acknowledged(config, known);
        let registered = self.registered_in_view(replica);
        let lagging = registered.map(|known| known.as_ref().is_some_and(&lagging));
        boots & (u8::from(lagging[0]) | u8::from(lagging[1]) << 1)
    }

    fn has_acknowledged(&self, config: &Config, known: &Registration) -> bool {
        let by_number = config.breaks(Fault::AcknowledgedByNumber)
            && self.log.has_revocation()
            && known.acknowledged.len() >= self.log.revocation();
        by_number || known.acknowledged.has_revocation()
    }

    fn knows_registrations(&self, config: &Config) -> bool {
        let lost = config.registrations == Registrations::Memory
            && self.restarted.is_some_and(|at| self.now < at + config.bound());
        !lost || config.breaks(Fault::EmptyAfterRestart)
    }
}

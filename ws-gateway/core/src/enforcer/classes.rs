//! Which class of leases counts for whom.
//!
//! Owns the choice between what a tenant and what the route names. Guarantees that the stricter one counts, for serving and
//! for letting in, and that a route whose class outlasts the bound lets nobody in.

use portcullis_types::{Boottime, ClassOverBound, LeaseClass, LeaseTerms};

use super::Enforcer;
use crate::faults::{Fault, is_broken};
use crate::verdict::Verdict;

impl Enforcer {
    /// Whether connections whose tenant names no class are admitted at `now`.
    pub fn admits(&self, now: Boottime) -> bool {
        self.admits_tenant(None, now)
    }

    /// Whether anybody with a credential could be admitted at `now`, whichever class their tenant has. Asked before it is
    /// known who they are.
    pub fn may_admit(&self, now: Boottime) -> bool {
        let classes = LeaseClass::ALL.map(Some);
        self.admits(now) || classes.into_iter().any(|class| self.admits_tenant(class, now))
    }

    /// Why the route is not served, when its class outlasts the authority's bound.
    pub fn route_over_bound(&self) -> Option<ClassOverBound> {
        let (terms, route) = (self.lease.terms()?, self.settings.route_class?);
        terms.fits(route).err()
    }

    /// The lengths that the authority has set; none before the first welcome.
    pub const fn terms(&self) -> Option<&LeaseTerms> {
        self.lease.terms()
    }

    pub(super) fn admits_tenant(&self, tenant: Option<LeaseClass>, now: Boottime) -> bool {
        let route = self.settings.route_class;
        let named = [tenant, route, Some(LeaseClass::of(tenant, route))];
        (!self.is_leaving || is_broken(Fault::AdmittedAfterRelease))
            && self.is_synced()
            && self.unproven_since.is_none()
            && self.route_over_bound().is_none()
            && named.into_iter().flatten().all(|class| self.lease.admits(class, now))
    }

    pub(super) fn class_of(&self, verdict: &Verdict) -> LeaseClass {
        LeaseClass::of(verdict.lease_class, self.settings.route_class)
    }

    /// The class of those whose tenant names none.
    pub(super) fn usual_class(&self) -> LeaseClass {
        LeaseClass::of(None, self.settings.route_class)
    }

    /// What decides how soon the authority is missed.
    pub(super) fn strictest_in_use(&self) -> LeaseClass {
        let in_use = self.registry.of_class();
        let strictest = LeaseClass::ALL.into_iter().find(|class| in_use[class.index()] > 0);
        strictest.map_or(self.usual_class(), |class| class.min(self.usual_class()))
    }
}

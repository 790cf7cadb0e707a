//! Lease classes: for how long sockets are served while their gateway cannot hear the authority.
//!
//! Owns the classes, their order, and the terms that an authority sets for all its gateways.
//! Guarantees: the stricter a class, the earlier frames end in it; terms that break this order do not exist, nor terms
//! whose `standard` does not fit into the bound. Whatever does not fit into it is [`LeaseClass::Standard`].

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// From the strictest on: whichever of two comes first counts where both are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseClass {
    /// The shortest.
    Strict,
    /// What counts where nobody says otherwise.
    Standard,
    /// Long enough for the failover of a database.
    Tolerant,
    /// As `standard` for whoever comes; whoever is there is served for a stated time more.
    Hold,
}

impl LeaseClass {
    /// All of them, from the strictest on.
    pub const ALL: [Self; 4] = [Self::Strict, Self::Standard, Self::Tolerant, Self::Hold];

    /// Its place among [`LeaseClass::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its one word in configuration, rows, metrics and on the command line; never another one.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Standard => "standard",
            Self::Tolerant => "tolerant",
            Self::Hold => "hold",
        }
    }

    /// The class of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }

    /// What counts for a socket: the stricter one where tenant and route name a class, the one that is named where only
    /// one does, `standard` where neither does.
    pub fn of(tenant: Option<Self>, route: Option<Self>) -> Self {
        [tenant, route].into_iter().flatten().min().unwrap_or(Self::Standard)
    }
}

impl fmt::Display for LeaseClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What an operator sets about leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseLengths {
    /// L of `strict`.
    pub strict: Duration,
    /// L of `standard`.
    pub standard: Duration,
    /// L of `tolerant`.
    pub tolerant: Duration,
    /// For how long after L of `standard` sockets of class `hold` are still served.
    pub hold_max: Duration,
    /// B: after how long a revocation is enforced, whatever fails.
    pub bound: Duration,
}

/// Lengths that break their order or the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {rule}")]
pub struct InvalidTerms {
    /// Which.
    pub what: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

/// A class that lasts longer than the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("lease class {class} lasts {} ms, longer than the bound of {} ms", .length.as_millis(), .bound.as_millis())]
pub struct ClassOverBound {
    /// Which.
    pub class: LeaseClass,
    /// For how long frames may pass in it.
    pub length: Duration,
    /// B.
    pub bound: Duration,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms(LeaseLengths);

impl LeaseTerms {
    /// The longest that anybody is served without the authority.
    pub const LONGEST: Duration = Duration::from_secs(2 * 3_600);

    /// The terms of these lengths, or which of them breaks which rule.
    pub fn new(lengths: LeaseLengths) -> Result<Self, InvalidTerms> {
        let LeaseLengths { strict, standard, tolerant, hold_max, bound } = lengths;
        let held = standard.saturating_add(hold_max);
        for (holds, what, rule) in [
            (!strict.is_zero(), "strict_ms", "must not be 0"),
            (strict <= standard, "strict_ms", "must not be longer than `standard_ms`"),
            (standard <= tolerant, "tolerant_ms", "must not be shorter than `standard_ms`"),
            (tolerant <= held, "hold_max_ms", "must not be shorter than `tolerant_ms` less `standard_ms`"),
            (held <= Self::LONGEST, "hold_max_ms", "must end within two hours, `standard_ms` included"),
            (standard <= bound, "bound_ms", "must not be shorter than `standard_ms`"),
            (bound <= Self::LONGEST, "bound_ms", "must be two hours at most"),
        ] {
            if !holds {
                return Err(InvalidTerms { what, rule });
            }
        }
        Ok(Self(lengths))
    }

    /// What was set.
    pub const fn lengths(&self) -> LeaseLengths {
        self.0
    }

    /// B.
    pub const fn bound(&self) -> Duration {
        self.0.bound
    }

    /// For how long frames pass in this class, counted from the lease's anchor.
    pub fn served(&self, class: LeaseClass) -> Duration {
        match class {
            LeaseClass::Strict => self.0.strict,
            LeaseClass::Standard => self.0.standard,
            LeaseClass::Tolerant => self.0.tolerant,
            LeaseClass::Hold => self.0.standard + self.0.hold_max,
        }
    }

    /// For how long somebody new is let in in this class, counted from the lease's anchor.
    pub fn admitted(&self, class: LeaseClass) -> Duration {
        match class {
            LeaseClass::Hold => self.0.standard,
            LeaseClass::Strict | LeaseClass::Standard | LeaseClass::Tolerant => self.served(class),
        }
    }

    /// Whether the bound can be kept with this class.
    pub fn fits(&self, class: LeaseClass) -> Result<(), ClassOverBound> {
        let (length, bound) = (self.served(class), self.0.bound);
        if length <= bound { Ok(()) } else { Err(ClassOverBound { class, length, bound }) }
    }

    /// The class itself where it fits into the bound, `standard` where it does not.
    pub fn within_bound(&self, class: LeaseClass) -> LeaseClass {
        if self.fits(class).is_ok() { class } else { LeaseClass::Standard }
    }

    /// For how long frames may pass in any class that fits into the bound: no gateway is given a longer lease.
    pub fn longest(&self) -> Duration {
        LeaseClass::ALL.into_iter().map(|class| self.served(self.within_bound(class))).max().unwrap_or(self.0.standard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn lengths(bound: u64) -> LeaseLengths {
        LeaseLengths {
            strict: seconds(5),
            standard: seconds(15),
            tolerant: seconds(60),
            hold_max: seconds(60),
            bound: seconds(bound),
        }
    }

    #[test]
    fn the_stricter_class_counts_and_standard_where_none_is_named() {
        for (tenant, route, counts) in [
            (None, None, LeaseClass::Standard),
            (Some(LeaseClass::Tolerant), None, LeaseClass::Tolerant),
            (None, Some(LeaseClass::Hold), LeaseClass::Hold),
            (Some(LeaseClass::Tolerant), Some(LeaseClass::Strict), LeaseClass::Strict),
            (Some(LeaseClass::Strict), Some(LeaseClass::Hold), LeaseClass::Strict),
        ] {
            assert_eq!(LeaseClass::of(tenant, route), counts, "{tenant:?} {route:?}");
        }
    }

    #[test]
    fn words_name_their_class_in_the_order_of_strictness() {
        for (place, class) in LeaseClass::ALL.into_iter().enumerate() {
            assert_eq!((class.index(), LeaseClass::from_word(class.word())), (place, Some(class)));
        }
        assert_eq!(LeaseClass::from_word("eternal"), None);
    }

    #[test]
    fn a_stricter_class_ends_earlier_in_all_terms_there_can_be() {
        let breaks = |change: fn(&mut LeaseLengths)| {
            let mut broken = lengths(15);
            change(&mut broken);
            LeaseTerms::new(broken).expect_err("refused").what
        };
        assert_eq!(breaks(|lengths| lengths.strict = Duration::ZERO), "strict_ms");
        assert_eq!(breaks(|lengths| lengths.strict = seconds(16)), "strict_ms");
        assert_eq!(breaks(|lengths| lengths.tolerant = seconds(14)), "tolerant_ms");
        assert_eq!(breaks(|lengths| lengths.hold_max = seconds(44)), "hold_max_ms");
        assert_eq!(breaks(|lengths| lengths.hold_max = seconds(7_200)), "hold_max_ms");
        assert_eq!(breaks(|lengths| lengths.bound = seconds(14)), "bound_ms");
        assert_eq!(breaks(|lengths| lengths.bound = seconds(7_201)), "bound_ms");
        let terms = LeaseTerms::new(lengths(15)).expect("the defaults hold");
        assert!(LeaseClass::ALL.windows(2).all(|two| terms.served(two[0]) <= terms.served(two[1])));
    }

    #[test]
    fn what_does_not_fit_into_the_bound_is_standard_and_no_lease_is_longer_than_the_bound() {
        for (bound, fit, longest) in [(15, 2, 15), (59, 2, 15), (60, 3, 60), (74, 3, 60), (75, 4, 75), (90, 4, 75)] {
            let terms = LeaseTerms::new(lengths(bound)).expect("they hold");
            let (fitting, over) = LeaseClass::ALL.split_at(fit);
            assert!(fitting.iter().all(|class| terms.within_bound(*class) == *class), "{bound}");
            assert!(over.iter().all(|class| terms.within_bound(*class) == LeaseClass::Standard), "{bound}");
            assert_eq!(terms.longest(), seconds(longest), "{bound}");
        }
    }

    #[test]
    fn hold_serves_longer_than_it_admits() {
        let terms = LeaseTerms::new(lengths(75)).expect("they hold");
        assert_eq!((terms.admitted(LeaseClass::Hold), terms.served(LeaseClass::Hold)), (seconds(15), seconds(75)));
        assert_eq!(terms.admitted(LeaseClass::Tolerant), terms.served(LeaseClass::Tolerant));
    }
}

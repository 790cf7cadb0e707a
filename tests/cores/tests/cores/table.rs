//! Each rule of the model: where the product keeps it, where it is broken here, and that this is found.
//!
//! A rule that a core keeps is broken inside the core; one that the programs around the cores keep is broken in the
//! simulation of these. Two have no counterpart; `tests/model/README.md`, which has the same table, says why.

use protocol_model::{Fault, MUTANTS, Mutant, Promise};

use crate::events::{Heads, Setting};
use crate::promise::{Broken, search};

/// Where a rule is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// In `gateway-core`.
    Gateway(gateway_core::faults::Fault),
    /// In `auth-domain`.
    Authority(auth_domain::faults::Fault),
    /// In both.
    Both(gateway_core::faults::Fault, auth_domain::faults::Fault),
    /// In `auth-domain`, where its own tests break it.
    Standing,
    /// In the programs, around the cores: broken in the simulation.
    Around,
    /// Nowhere in particular, because of how the cores are built.
    Nowhere,
}

pub(crate) const fn place(fault: Fault) -> Place {
    use auth_domain::faults::Fault as A;
    use gateway_core::faults::Fault as G;
    match fault {
        Fault::SequenceColumn | Fault::RegistryBeforeIndex => Place::Nowhere,
        Fault::NoChain => Place::Both(G::NoChain, A::NoChain),
        // Each end alone keeps it.
        Fault::RenewedBehindHead => Place::Both(G::RenewedBehindHead, A::CheckpointOvertakes),
        Fault::HandshakeUnchecked => Place::Gateway(G::HandshakeUnchecked),
        Fault::FloorUnchecked => Place::Gateway(G::FloorUnchecked),
        Fault::ForgottenSilently => Place::Gateway(G::ForgottenSilently),
        Fault::LeaseFromReceipt => Place::Gateway(G::LeaseFromReceipt),
        Fault::TimerOnly => Place::Gateway(G::TimerOnly),
        Fault::OldBranchKept => Place::Gateway(G::OldBranchKept),
        Fault::ReconcileSkipped => Place::Gateway(G::ReconcileSkipped),
        // The second drops verdicts besides, which the simulation does.
        Fault::AdmittedUnproven | Fault::GenerationOnly => Place::Gateway(G::AdmittedUnproven),
        Fault::ResyncExtendsLease => Place::Gateway(G::ResyncExtendsLease),
        Fault::ThawBeforeCatchUp => Place::Gateway(G::ThawBeforeCatchUp),
        Fault::AcknowledgedWhileReconciling => Place::Gateway(G::AcknowledgedWhileReconciling),
        Fault::StaleTail => Place::Authority(A::StaleTail),
        Fault::RegisteredByName => Place::Authority(A::RegisteredByName),
        Fault::RegistrationNotRenewed => Place::Authority(A::RegistrationNotRenewed),
        Fault::AcknowledgedByNumber => Place::Authority(A::AcknowledgedByNumber),
        Fault::EmptyAfterRestart => Place::Authority(A::EmptyAfterRestart),
        Fault::ElapsedWithoutDrift => Place::Authority(A::ElapsedWithoutDrift),
        Fault::IssueRevisionIgnored | Fault::LoginSpansFailover => Place::Standing,
        Fault::CheckThenInsert
        | Fault::CacheByInvalidation
        | Fault::CoalescedUnchecked
        | Fault::TwoViews
        | Fault::PlainRead
        | Fault::AnsweredUnregistered
        | Fault::BeatBeforeRegistration
        | Fault::BeatBeforeRenewal
        | Fault::AcknowledgedBeforeFence
        | Fault::RegistrationsReadEarly
        | Fault::HoldUncounted => Place::Around,
    }
}

const CALM: Setting = Setting::CALM;
const RECEIPTS: Setting = Setting { receipts: true, ..CALM };
const SHARED: Setting = Setting { replicas: 2, heads: Heads::Beats, ..RECEIPTS };
const ZOMBIE: Setting = Setting { replicas: 2, deposed: true, ..CALM };
const FORK: Setting = Setting { failover: true, ..CALM };

/// The smallest setting in which breaking this rule shows.
const fn setting(fault: Fault) -> Setting {
    match fault {
        Fault::NoChain | Fault::OldBranchKept => FORK,
        Fault::ForgottenSilently => Setting { forgetful: true, ..CALM },
        Fault::CacheByInvalidation | Fault::CoalescedUnchecked => Setting { cache: true, ..CALM },
        Fault::TwoViews | Fault::PlainRead => ZOMBIE,
        Fault::AdmittedUnproven | Fault::GenerationOnly => Setting { refusals: true, ..ZOMBIE },
        Fault::FloorUnchecked | Fault::ReconcileSkipped | Fault::ResyncExtendsLease => {
            Setting { refusals: true, ..CALM }
        }
        Fault::StaleTail => Setting { heads: Heads::Aged, ..CALM },
        Fault::BeatBeforeRegistration | Fault::BeatBeforeRenewal => SHARED,
        Fault::AcknowledgedByNumber => Setting { failover: true, ..SHARED },
        Fault::RegisteredByName => Setting { replaced: true, ..RECEIPTS },
        Fault::AcknowledgedWhileReconciling => Setting { refusals: true, ..RECEIPTS },
        Fault::EmptyAfterRestart => Setting { restarts: true, ..RECEIPTS },
        Fault::AnsweredUnregistered
        | Fault::RegistrationNotRenewed
        | Fault::AcknowledgedBeforeFence
        | Fault::RegistrationsReadEarly
        | Fault::ElapsedWithoutDrift
        | Fault::HoldUncounted => RECEIPTS,
        Fault::SequenceColumn
        | Fault::HandshakeUnchecked
        | Fault::CheckThenInsert
        | Fault::RegistryBeforeIndex
        | Fault::LeaseFromReceipt
        | Fault::RenewedBehindHead
        | Fault::TimerOnly
        | Fault::ThawBeforeCatchUp
        | Fault::IssueRevisionIgnored
        | Fault::LoginSpansFailover => CALM,
    }
}

#[test]
fn breaking_any_rule_is_found_and_with_the_rule_kept_the_same_search_finds_nothing() {
    let searched = MUTANTS.iter().filter(|mutant| !matches!(place(mutant.fault), Place::Standing | Place::Nowhere));
    let mutants: Vec<Mutant> = searched.copied().collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let unnoticed: Vec<String> = std::thread::scope(|scope| {
        let parts = mutants.chunks(mutants.len().div_ceil(threads));
        let searches: Vec<_> =
            parts.map(|part| scope.spawn(|| part.iter().filter_map(unnoticed).collect::<Vec<_>>())).collect();
        searches.into_iter().flat_map(|search| search.join().expect("it does not panic")).collect()
    });
    assert_eq!(unnoticed, Vec::<String>::new());
}

/// What is wrong with the search for this fault, if anything is.
fn unnoticed(mutant: &Mutant) -> Option<String> {
    let Mutant { fault, breaks, .. } = *mutant;
    let Some((broken, events)) = search(setting(fault), Some(fault), 30_000) else {
        return Some(format!("{fault:?} was not found"));
    };
    println!("{fault:?} breaks {broken:?} in {} steps: {events:?}", events.len());
    let expected = match breaks {
        Promise::Bound => Broken::Bound,
        Promise::Receipt => Broken::Receipt,
        Promise::LateSession => unreachable!("kept in `standing`, and broken there"),
    };
    if broken != expected {
        return Some(format!("{fault:?} breaks {broken:?} and not {expected:?}"));
    }
    let without = search(setting(fault), None, 300);
    without.map(|(broken, events)| format!("without {fault:?} {broken:?} is broken: {events:?}"))
}

/// A run that says that it is over is not waited for: a rule that the model does not have.
#[test]
fn a_run_that_says_too_early_that_it_is_over_is_found() {
    use gateway_core::faults::{Fault, while_broken};
    let setting = Setting { replaced: true, ..RECEIPTS };
    for fault in [Fault::ReleasedEarly, Fault::AdmittedAfterRelease] {
        let found = while_broken(Some(fault), || search(setting, None, 30_000));
        assert_eq!(found.map(|(broken, _)| broken), Some(Broken::Receipt), "{fault:?}");
    }
}

#[test]
fn the_readme_of_the_model_says_where_each_rule_is_kept() {
    let readme = include_str!("../../../model/README.md");
    for Mutant { fault, .. } in MUTANTS {
        let kept = match place(*fault) {
            Place::Gateway(_) => "`gateway-core`",
            Place::Authority(_) | Place::Standing => "`auth-domain`",
            Place::Both(..) => "both cores",
            Place::Around => "around the cores",
            Place::Nowhere => "no counterpart",
        };
        let line = format!("| `{fault:?}` | {kept} |");
        assert!(readme.contains(&line), "the README does not say: {line}");
    }
}

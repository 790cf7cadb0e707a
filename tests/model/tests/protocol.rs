//! The protocol keeps its promises in every world of the list, and each rule of it is needed.
//!
//! A mutant is the protocol with one rule broken: its shortest counterexample is found, and in the same world the
//! whole protocol holds, so that it is the rule that kept the promise.

use std::collections::BTreeSet;

use protocol_model::{Config, FIXED, Fault, MUTANTS, Promise, explore, explore_until_broken};

fn breaks(fault: Fault, promise: Promise) {
    let mutant = MUTANTS.iter().find(|mutant| mutant.fault == fault).expect("every fault is in the list");
    assert_eq!(mutant.breaks, promise, "{fault:?}");
    let found = explore_until_broken(mutant.config(), promise);
    assert!(found.trace(promise).is_some(), "{fault:?} goes unnoticed: {found}");
    println!("{fault:?}: {found}");
    let whole = explore(Config { fault: None, ..mutant.world }, 1);
    assert!(whole.broken.is_empty(), "the world of {fault:?} is too hard for the whole protocol: {whole}");
}

fn holds(name: &str) {
    let fixed = FIXED.iter().find(|fixed| fixed.name == name).expect("every world is in the list");
    let found = explore(fixed.config, 1);
    println!("{name}: {found}");
    assert!(found.broken.is_empty(), "{name}: {found}");
    assert!(found.unreached.is_empty(), "{name} proves too little: {found}");
}

macro_rules! mutants {
    ($($test:ident: $fault:ident breaks $promise:ident;)*) => {
        $(#[test] fn $test() { breaks(Fault::$fault, Promise::$promise); })*
        const TESTED_FAULTS: &[Fault] = &[$(Fault::$fault),*];
    };
}

macro_rules! worlds {
    ($($test:ident: $name:literal;)*) => {
        $(#[test] fn $test() { holds($name); })*
        const TESTED_WORLDS: &[&str] = &[$($name),*];
    };
}

mutants! {
    rows_numbered_by_a_sequence_column_break_the_bound: SequenceColumn breaks Bound;
    cursors_without_a_chain_break_the_bound: NoChain breaks Bound;
    a_handshake_that_does_not_check_breaks_the_bound: HandshakeUnchecked breaks Bound;
    a_handshake_that_checks_then_inserts_breaks_the_bound: CheckThenInsert breaks Bound;
    applying_to_the_registry_before_the_index_breaks_the_bound: RegistryBeforeIndex breaks Bound;
    a_cache_that_relies_on_invalidation_breaks_the_bound: CacheByInvalidation breaks Bound;
    a_coalesced_verdict_that_is_not_checked_breaks_the_bound: CoalescedUnchecked breaks Bound;
    a_verdict_from_below_the_floor_breaks_the_bound: FloorUnchecked breaks Bound;
    an_index_that_forgets_without_raising_its_floor_breaks_the_bound: ForgottenSilently breaks Bound;
    revision_and_state_from_two_views_break_the_bound: TwoViews breaks Bound;
    a_lease_counted_from_receipt_breaks_the_bound: LeaseFromReceipt breaks Bound;
    answering_from_a_stale_tail_breaks_the_bound: StaleTail breaks Bound;
    a_head_read_without_a_replicated_write_breaks_the_bound: PlainRead breaks Bound;
    a_lease_renewed_behind_the_head_breaks_the_bound: RenewedBehindHead breaks Bound;
    a_timer_instead_of_a_fence_breaks_the_bound: TimerOnly breaks Bound;
    revisions_kept_from_a_lost_branch_break_the_bound: OldBranchKept breaks Bound;
    a_resync_without_reconciliation_breaks_the_bound: ReconcileSkipped breaks Bound;
    admitting_after_a_resync_on_the_lease_from_before_breaks_the_bound: AdmittedUnproven breaks Bound;
    dropping_verdicts_at_a_resync_is_not_enough_for_the_bound: GenerationOnly breaks Bound;
    a_resync_that_extends_the_lease_breaks_the_bound: ResyncExtendsLease breaks Bound;
    thawing_before_catching_up_breaks_the_bound: ThawBeforeCatchUp breaks Bound;
    ignoring_the_issue_revision_admits_a_late_session: IssueRevisionIgnored breaks LateSession;
    a_login_that_spans_a_failover_admits_a_late_session: LoginSpansFailover breaks LateSession;
    a_probe_answered_before_the_registration_breaks_the_receipt: AnsweredUnregistered breaks Receipt;
    a_probe_answered_from_a_beat_before_the_registration_breaks_the_receipt: BeatBeforeRegistration breaks Receipt;
    a_probe_answered_from_a_beat_before_the_renewal_breaks_the_receipt: BeatBeforeRenewal breaks Receipt;
    registering_by_name_and_not_by_boot_breaks_the_receipt: RegisteredByName breaks Receipt;
    a_registration_that_is_not_renewed_breaks_the_receipt: RegistrationNotRenewed breaks Receipt;
    acknowledging_before_the_fence_breaks_the_receipt: AcknowledgedBeforeFence breaks Receipt;
    acknowledging_while_reconciling_breaks_the_receipt: AcknowledgedWhileReconciling breaks Receipt;
    comparing_acknowledgements_by_number_breaks_the_receipt: AcknowledgedByNumber breaks Receipt;
    reading_registrations_before_the_commit_breaks_the_receipt: RegistrationsReadEarly breaks Receipt;
    a_restarted_authority_that_answers_from_nothing_breaks_the_receipt: EmptyAfterRestart breaks Receipt;
    a_receipt_by_time_that_forgets_the_drift_breaks_the_receipt: ElapsedWithoutDrift breaks Receipt;
    a_receipt_that_counts_the_lease_and_not_what_is_held_breaks: HoldUncounted breaks Receipt;
}

worlds! {
    holds_with_a_slow_clock_and_beats: "slow clock, beats";
    holds_with_coalesced_look_ups: "coalesced look-ups";
    holds_with_a_cache_and_a_forgetful_index: "cache, the index forgets";
    holds_with_a_cache_and_a_crash: "cache, crash";
    holds_when_paused_with_sockets_closed_at_the_deadline: "pause, slow clock, sockets closed at the deadline";
    holds_when_paused_with_sockets_frozen: "pause, slow clock, sockets frozen";
    holds_with_two_replicas: "two replicas, broken stream";
    holds_with_two_replicas_and_other_rows: "two replicas, broken stream, other rows";
    holds_after_a_lossy_failover: "lossy failover, broken stream";
    holds_with_a_deposed_primary: "deposed primary, broken stream";
    holds_with_resyncs: "resync, broken stream, slow clock";
    holds_with_a_resync_on_a_lagging_replica: "resync on a lagging replica, cache";
    holds_with_a_resync_on_a_deposed_primary: "resync on a deposed primary";
    holds_with_held_sockets_and_a_pause: "hold, cache, pause, slow clock";
    holds_with_held_sockets_and_resyncs: "hold, resync, broken stream";
    holds_with_logins: "login, lossy failover";
    receipts_hold_with_resyncs: "receipts, resync";
    receipts_hold_when_the_authority_restarts: "receipts, restart of the authority";
    receipts_hold_with_held_sockets_when_the_authority_restarts: "receipts, hold, restart of the authority";
    receipts_hold_when_a_process_is_replaced: "receipts, replaced process";
    receipts_hold_with_a_crash: "receipts, crash, broken stream";
    receipts_hold_after_a_lossy_failover: "receipts, lossy failover";
    receipts_hold_with_a_deposed_primary: "receipts, deposed primary";
}

#[test]
fn every_mutant_and_every_world_has_a_test() {
    let tested: BTreeSet<_> = TESTED_FAULTS.iter().map(|fault| format!("{fault:?}")).collect();
    let listed: BTreeSet<_> = MUTANTS.iter().map(|mutant| format!("{:?}", mutant.fault)).collect();
    assert_eq!(tested, listed);
    assert_eq!(TESTED_FAULTS.len(), MUTANTS.len(), "each fault once");
    let listed: BTreeSet<_> = FIXED.iter().map(|fixed| fixed.name).collect();
    assert_eq!(TESTED_WORLDS.iter().copied().collect::<BTreeSet<_>>(), listed);
}

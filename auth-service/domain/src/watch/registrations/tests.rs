//! What receipts say, case by case.

use super::*;

const LEASE: Duration = Duration::from_secs(15);
const BEGAN: Boottime = Boottime::from_nanos(1_000_000_000_000);
const OVER: Duration = Duration::from_millis(15_025);

fn at(millis: u64) -> Boottime {
    BEGAN + Duration::from_millis(millis)
}

const fn rev(seq: u64) -> Revision {
    Revision { seq, chain: seq + 1_000 }
}

fn run(name: &str, boot: u8) -> Run {
    Run { gateway: GatewayId::try_from(name).expect("a name"), boot: BootId::from_bytes([boot; 16]) }
}

const fn terms(lease_before: Option<Duration>) -> Terms {
    Terms { lease: LEASE, bound: LEASE, lease_before }
}

/// Of the first process ever.
fn first() -> Registrations {
    Registrations::new(terms(None), BEGAN)
}

fn hear(registrations: &mut Registrations, run: &Run, millis: u64) {
    registrations.register(run, at(millis)).expect("there is room");
    registrations.probed(run, 7, at(millis)).expect("there is room");
}

const fn said(fenced: u64) -> Acknowledgement {
    Acknowledgement { fenced, closed: 0, apply: Duration::from_micros(80) }
}

const fn of(seq: u64, seen: Boottime) -> Committed {
    Committed { revision: rev(seq), seen }
}

fn states(receipt: &Receipt) -> Vec<(String, GatewayState)> {
    receipt.gateways.iter().map(|line| (line.run.gateway.to_string(), line.state)).collect()
}

#[test]
fn it_is_enforced_when_the_last_gateway_has_said_so_and_names_what_each_did() {
    let (one, two) = (run("gateway-1", 1), run("gateway-2", 2));
    let mut known = first();
    hear(&mut known, &one, 0);
    hear(&mut known, &two, 0);
    let committed = of(5, at(100));
    assert_eq!(known.receipt(committed, at(100)).status, Status::Pending);
    assert!(!known.acknowledge(&one, rev(5), said(2), at(101)));
    let half = known.receipt(committed, at(101));
    assert_eq!(half.status, Status::Pending);
    let [lagging, applied] = [GatewayState::Lagging, GatewayState::Applied];
    assert_eq!(states(&half), [("gateway-1".into(), applied), ("gateway-2".into(), lagging)]);
    assert!(known.acknowledge(&two, rev(5), said(0), at(103)), "the last one");
    let whole = known.receipt(committed, at(103));
    assert_eq!((whole.status, whole.certain_in), (Status::EnforcedByAcknowledgement, Duration::ZERO));
    assert!(!whole.is_settled(), "two sockets are not closed yet");
    known.closed(&one, rev(5), Acknowledgement { closed: 2, ..said(2) });
    let settled = known.receipt(committed, at(110));
    assert!(settled.is_settled() && settled.differs(&whole));
    assert_eq!(settled.gateways[0].acknowledgement, Some(Acknowledgement { closed: 2, ..said(2) }));
}

#[test]
fn what_a_gateway_enforces_as_a_whole_includes_what_came_before_and_nothing_after() {
    let mut known = first();
    hear(&mut known, &run("gateway-1", 1), 0);
    assert!(known.applied(&run("gateway-1", 1), rev(6)));
    assert!(!known.applied(&run("gateway-1", 1), rev(4)), "it never goes back");
    for (seq, status) in
        [(5, Status::EnforcedByAcknowledgement), (6, Status::EnforcedByAcknowledgement), (7, Status::Pending)]
    {
        assert_eq!(known.receipt(of(seq, at(10)), at(10)).status, status, "{seq}");
    }
}

#[test]
fn an_acknowledgement_speaks_of_its_entry_alone() {
    let mut known = first();
    hear(&mut known, &run("gateway-1", 1), 0);
    known.acknowledge(&run("gateway-1", 1), rev(6), said(0), at(1));
    assert_eq!(known.receipt(of(5, at(1)), at(1)).status, Status::Pending);
    let of_another_branch = Committed { revision: Revision { seq: 6, chain: 1 }, seen: at(1) };
    assert_eq!(known.receipt(of_another_branch, at(1)).status, Status::Pending);
}

#[test]
fn a_gateway_that_is_gone_counts_until_its_lease_has_run_out_by_the_slowest_reckoning() {
    let mut known = first();
    hear(&mut known, &run("gateway-1", 1), 0);
    let committed = of(5, at(8_000));
    let just_before = known.receipt(committed, BEGAN + OVER.saturating_sub(Duration::from_nanos(1)));
    assert_eq!((just_before.status, just_before.gateways[0].state), (Status::Pending, GatewayState::Lagging));
    assert_eq!(just_before.changes_at, Some(BEGAN + OVER));
    let after = known.receipt(committed, BEGAN + OVER);
    assert_eq!(after.status, Status::EnforcedByAcknowledgement);
    assert_eq!(after.gateways[0].state, GatewayState::CannotHoldLease);
    hear(&mut known, &run("gateway-1", 1), 16_000);
    let back = known.receipt(committed, at(16_000));
    assert_eq!((back.status, back.gateways[0].state), (Status::Pending, GatewayState::Lagging), "before the bound");
}

#[test]
fn the_bound_enforces_it_whatever_gateways_say() {
    let mut known = first();
    for second in 0..16 {
        hear(&mut known, &run("gateway-1", 1), second * 1_000);
    }
    let committed = of(5, at(500));
    let before = known.receipt(committed, at(500) + OVER.saturating_sub(Duration::from_nanos(1)));
    assert_eq!((before.status, before.certain_in), (Status::Pending, Duration::from_nanos(1)));
    assert_eq!(known.receipt(committed, at(500) + OVER).status, Status::EnforcedByTime);
}

#[test]
fn a_process_that_follows_another_cannot_tell_until_every_lease_from_before_has_run_out() {
    for (before, blind) in [(LEASE, OVER), (Duration::from_secs(5), OVER), (LEASE * 4, Duration::from_millis(60_070))] {
        let mut known = Registrations::new(terms(Some(before)), BEGAN);
        hear(&mut known, &run("gateway-1", 1), 10);
        known.applied(&run("gateway-1", 1), rev(5));
        let early = known.receipt(of(5, at(20)), BEGAN + blind.saturating_sub(Duration::from_nanos(1)));
        assert_eq!(early.status, Status::Unknown);
        assert_eq!(early.gateways[0].state, GatewayState::Applied, "what is known is shown");
        assert!(known.receipt(of(5, at(20)), BEGAN + blind).status.is_enforced());
    }
}

#[test]
fn the_bound_is_longer_while_a_longer_lease_from_before_may_be_held() {
    let known = Registrations::new(terms(Some(LEASE * 4)), BEGAN);
    assert_eq!(known.bound(at(0)), Duration::from_millis(60_070));
    assert_eq!(known.bound(at(50_000)), LEASE);
    assert_eq!(Registrations::new(terms(Some(LEASE)), BEGAN).bound(at(0)), LEASE);
    assert_eq!(first().bound(at(0)), LEASE);
}

#[test]
fn a_gateway_that_was_never_heard_holds_no_lease_and_blocks_nothing() {
    let mut known = first();
    known.register(&run("gateway-1", 1), at(0)).expect("there is room");
    let receipt = known.receipt(of(5, at(1)), at(1));
    assert_eq!((receipt.status, receipt.gateways[0].heard), (Status::EnforcedByAcknowledgement, None));
}

#[test]
fn a_run_that_ended_long_ago_is_shown_for_a_while_unless_its_gateway_runs_again() {
    let mut known = first();
    hear(&mut known, &run("gateway-1", 1), 0);
    hear(&mut known, &run("gateway-2", 2), 0);
    hear(&mut known, &run("gateway-1", 3), 60_000);
    let shown = known.receipt(of(5, at(60_000)), at(60_001));
    let [lagging, cannot] = [GatewayState::Lagging, GatewayState::CannotHoldLease];
    assert_eq!(states(&shown), [("gateway-1".into(), lagging), ("gateway-2".into(), cannot)]);
    let later = known.receipt(of(5, at(370_000)), at(370_001));
    assert_eq!(states(&later), [("gateway-1".into(), cannot)]);
}

#[test]
fn no_registration_that_may_hold_a_lease_gives_way() {
    let mut known = first();
    let many = |n: usize| {
        let mut boot = [0; 16];
        boot[..8].copy_from_slice(&n.to_be_bytes());
        Run { gateway: GatewayId::try_from("gateway-1").expect("a name"), boot: BootId::from_bytes(boot) }
    };
    for n in 0..Registrations::MOST {
        known.probed(&many(n), 0, at(n as u64)).expect("there is room");
    }
    assert_eq!(known.register(&many(9_999), at(3_000)), Err(TooManyGateways));
    assert_eq!(known.count(at(3_000)), (Registrations::MOST, 0));
    // The first one's lease has run out.
    assert_eq!(known.probed(&many(9_999), 0, at(15_025)), Ok(()));
    assert_eq!(known.probed(&many(0), 0, at(15_025)), Err(TooManyGateways), "it registers again, or is not answered");
}

#[test]
fn acknowledgements_are_bounded_and_the_position_stands_for_the_oldest() {
    let mut known = first();
    let one = run("gateway-1", 1);
    hear(&mut known, &one, 0);
    let most = Registrations::MOST_ACKNOWLEDGEMENTS as u64;
    for seq in 1..=most + 1 {
        known.acknowledge(&one, rev(seq), said(1), at(1));
    }
    assert_eq!(known.receipt(of(1, at(1)), at(2)).status, Status::Pending);
    known.applied(&one, rev(most));
    let receipt = known.receipt(of(1, at(1)), at(2));
    assert_eq!((receipt.status, receipt.gateways[0].acknowledgement), (Status::EnforcedByAcknowledgement, None));
    assert!(known.receipt(of(2, at(1)), at(2)).gateways[0].acknowledgement.is_some());
}

#[test]
fn a_run_that_said_that_it_is_over_is_not_waited_for_whatever_of_it_arrives_late() {
    let mut known = first();
    let (one, two) = (run("gateway-1", 1), run("gateway-2", 2));
    hear(&mut known, &one, 0);
    hear(&mut known, &two, 0);
    known.acknowledge(&one, rev(5), said(1), at(10));
    let committed = of(5, at(5));
    assert_eq!(known.receipt(committed, at(20)).status, Status::Pending);
    known.released(&two, at(30));
    let over = known.receipt(committed, at(31));
    assert_eq!(over.status, Status::EnforcedByAcknowledgement);
    assert_eq!((over.gateways[1].state, over.gateways[1].sockets), (GatewayState::CannotHoldLease, 0), "{over:?}");
    assert_eq!(known.count(at(31)), (1, 1));
    // One that was on its way on another stream, or in a beat of another process.
    known.probed(&two, 3, at(40)).expect("there is room");
    let late = |renewals, released| Registered {
        run: two.clone(),
        renewals,
        lease: LEASE,
        sockets: 3,
        applied: None,
        released,
    };
    known.registered(&late(1, false), at(41));
    let still = known.receipt(committed, at(42));
    assert_eq!(still.status, Status::EnforcedByAcknowledgement);
    assert_eq!((still.gateways[1].state, still.gateways[1].sockets), (GatewayState::CannotHoldLease, 0), "{still:?}");
    // As another process reads it, which heard nothing of the run before.
    let mut other = first();
    other.registered(&late(2, true), at(45));
    assert_eq!((other.receipt(committed, at(45)).status, other.count(at(45))), (still.status, (0, 1)));
    known.released(&run("gateway-3", 3), at(50));
    assert_eq!(known.count(at(51)), (1, 1), "a word about a run that is not known says nothing");
}

#[test]
fn a_count_of_closed_sockets_says_what_was_fenced_to_a_process_that_was_not_told() {
    let mut known = first();
    let one = run("gateway-1", 1);
    hear(&mut known, &one, 0);
    let committed = of(5, at(5));
    // It came here in the middle, and told another process what it fenced.
    assert!(!known.closed(&one, rev(5), Acknowledgement { closed: 3, ..said(10) }));
    let half = known.receipt(committed, at(10));
    assert_eq!(half.status, Status::EnforcedByAcknowledgement);
    assert_eq!(half.gateways[0].acknowledgement, Some(Acknowledgement { closed: 3, ..said(10) }));
    assert!(!known.closed(&one, rev(5), Acknowledgement { closed: 2, ..said(10) }), "it never goes back");
    assert!(known.closed(&one, rev(5), Acknowledgement { closed: 10, ..said(10) }), "the last one");
    assert!(!known.closed(&one, rev(5), Acknowledgement { closed: 10, ..said(10) }), "they were");
    assert!(known.receipt(committed, at(20)).is_settled());
    // Gateways from before say only how many are closed.
    known.closed(&one, rev(6), Acknowledgement { closed: 1, ..said(0) });
    assert_eq!(known.said(&one, rev(6)), None);
}

/// Of a run that another process answers, the store says that it was renewed and not when: the lease counts whole from
/// when that was read, and reading the same again gives it no longer one.
#[test]
fn a_lease_that_another_process_gave_counts_whole_from_when_it_was_read() {
    let one = run("gateway-1", 1);
    let row =
        |renewals, lease| Registered { run: one.clone(), renewals, lease, sockets: 3, applied: None, released: false };
    let mut known = first();
    known.registered(&row(1, LEASE), at(1_000));
    known.registered(&row(1, LEASE), at(9_000));
    let committed = of(5, at(2_000));
    let over = at(1_000) + OVER;
    let just_before = known.receipt(committed, at(1_000) + OVER.saturating_sub(Duration::from_nanos(1)));
    assert_eq!((just_before.status, just_before.gateways[0].state), (Status::Pending, GatewayState::Lagging));
    assert_eq!(just_before.gateways[0].lease_over, over);
    let after = known.receipt(committed, over);
    assert_eq!(after.status, Status::EnforcedByAcknowledgement);
    assert_eq!(after.gateways[0].state, GatewayState::CannotHoldLease);
    // Renewed, and by a process that gives longer ones: the bound is theirs too.
    known.registered(&row(2, LEASE * 4), at(20_000));
    let longer = known.receipt(of(6, at(21_000)), at(40_000));
    assert_eq!((longer.status, longer.bound), (Status::Pending, LEASE * 4));
    assert_eq!(longer.gateways[0].lease_over, at(20_000) + Duration::from_millis(60_070));
}

//! What each class of leases is served, and by whose word.

use super::*;

const ALL: [LeaseClass; 4] = LeaseClass::ALL;

fn of(n: u8, class: Option<LeaseClass>) -> Verdict {
    at(n, rev(5), class)
}

fn at(n: u8, revision: Revision, class: Option<LeaseClass>) -> Verdict {
    let mut verdict = verdict(n, revision);
    verdict.lease_class = class;
    verdict
}

/// A gateway whose bound fits all classes, with a connection of each, cut off.
fn one_of_each(settings: Settings) -> (Gateway, [Arc<Guard>; 4]) {
    let mut gateway = Gateway::live_with(settings, terms(75));
    let mut number = 0;
    let guards = ALL.map(|class| {
        number += 1;
        gateway.register(number.into(), &of(number, Some(class))).expect("admitted")
    });
    gateway.enforcer.step(Input::StreamLost, T0);
    (gateway, guards)
}

fn passing(guards: &[Arc<Guard>], now: Boottime) -> Vec<bool> {
    guards.iter().map(|guard| guard.check(now).is_ok()).collect()
}

#[test]
fn each_class_freezes_at_its_own_deadline_and_its_tasks_alone_are_told() {
    let hour = Settings { freeze_max: Duration::from_secs(3_600), ..Settings::default() };
    let (mut gateway, guards) = one_of_each(hour);
    let mut told = 0;
    for (second, passes) in [
        (4, [true; 4]),
        (5, [false, true, true, true]),
        (14, [false, true, true, true]),
        (15, [false, false, true, true]),
        (60, [false, false, false, true]),
        (75, [false; 4]),
    ] {
        let now = after(second * 1_000);
        assert_eq!(passing(&guards, now), passes, "{second} s");
        gateway.tick(now);
        let frozen = passes.iter().filter(|passes| !**passes).count();
        told = frozen.max(told);
        assert_eq!(gateway.wakes.0.load(Ordering::SeqCst), told, "{second} s");
    }
    assert!(guards.iter().all(|guard| guard.fenced().is_none()));
}

#[test]
fn a_renewed_lease_calls_those_who_were_frozen_and_nobody_else() {
    let (mut gateway, guards) = one_of_each(Settings::default());
    let now = after(20_000);
    gateway.tick(now);
    let before = gateway.wakes.0.load(Ordering::SeqCst);
    let probe = resume(&mut gateway, now);
    gateway.answer_probe(probe, now);
    assert_eq!(gateway.wakes.0.load(Ordering::SeqCst) - before, 2, "strict and standard");
    assert_eq!(passing(&guards, now), [true; 4]);
}

#[test]
fn each_class_is_closed_after_the_freeze_counted_from_its_own() {
    let settings =
        Settings { freeze_max: Duration::from_secs(20), closes_per_second: 1_000_000, ..Settings::default() };
    let (mut gateway, guards) = one_of_each(settings);
    let closed = || guards.iter().map(|guard| guard.fenced() == Some(CloseReason::LeaseLost)).collect::<Vec<_>>();
    for (second, expected) in [
        (5, [false; 4]),
        (15, [false; 4]),
        (25, [true, false, false, false]),
        (34, [true, false, false, false]),
        (35, [true, true, false, false]),
        (60, [true, true, false, false]),
        (75, [true, true, false, false]),
        (80, [true, true, true, false]),
        (95, [true; 4]),
    ] {
        gateway.tick(after(second * 1_000));
        assert_eq!(closed(), expected, "{second} s");
    }
}

#[test]
fn hold_serves_whoever_is_there_and_lets_nobody_in() {
    let mut gateway = Gateway::live_with(Settings::default(), terms(75));
    let there = gateway.register(1, &of(1, Some(LeaseClass::Hold))).expect("admitted");
    gateway.enforcer.step(Input::StreamLost, T0);
    let holding = after(20_000);
    assert_eq!(there.check(holding), Ok(()));
    let new = |gateway: &mut Gateway, class| gateway.register_at(2, &of(2, class), holding).map(drop);
    assert_eq!(new(&mut gateway, Some(LeaseClass::Hold)), Err(NotAdmitted::NotLive));
    assert_eq!(new(&mut gateway, None), Err(NotAdmitted::NotLive));
    assert_eq!(new(&mut gateway, Some(LeaseClass::Tolerant)), Ok(()));
    assert!(!gateway.enforcer.admits(holding) && gateway.enforcer.may_admit(holding));
    assert_eq!(gateway.enforcer.state(holding), State::Isolated);
}

#[test]
fn a_strict_tenant_is_let_in_for_as_long_as_it_would_be_served() {
    let mut gateway = Gateway::live();
    gateway.enforcer.step(Input::StreamLost, T0);
    let now = after(6_000);
    let strict = gateway.register_at(1, &of(1, Some(LeaseClass::Strict)), now);
    assert_eq!(strict.err(), Some(NotAdmitted::NotLive));
    assert!(gateway.register_at(2, &of(2, None), now).is_ok());
}

#[test]
fn the_stricter_of_tenant_and_route_counts() {
    for (tenant, route, seconds) in [
        (None, Some(LeaseClass::Strict), 5),
        (Some(LeaseClass::Tolerant), Some(LeaseClass::Strict), 5),
        (Some(LeaseClass::Strict), Some(LeaseClass::Hold), 5),
        (Some(LeaseClass::Tolerant), None, 60),
        (None, Some(LeaseClass::Hold), 75),
        (Some(LeaseClass::Tolerant), Some(LeaseClass::Hold), 60),
        (None, None, 15),
    ] {
        let settings = Settings { route_class: route, ..Settings::default() };
        let mut gateway = Gateway::live_with(settings, terms(75));
        let guard = gateway.register(1, &of(1, tenant)).expect("admitted");
        assert_eq!(guard.check(after(seconds * 1_000 - 100)), Ok(()), "{tenant:?} {route:?}");
        assert_eq!(guard.check(after(seconds * 1_000)), Err(Stop::Frozen), "{tenant:?} {route:?}");
    }
}

#[test]
fn whoever_holds_on_the_route_is_let_in_no_longer_than_hold_says_though_its_tenant_says_more() {
    let settings = Settings { route_class: Some(LeaseClass::Hold), ..Settings::default() };
    let mut gateway = Gateway::live_with(settings, terms(75));
    let late = gateway.register_at(1, &of(1, Some(LeaseClass::Tolerant)), after(20_000));
    assert_eq!(late.err(), Some(NotAdmitted::NotLive));
}

#[test]
fn a_tenants_new_class_counts_from_the_answer_on_and_nothing_passes_before_it() {
    let mut gateway = Gateway::live_with(Settings::default(), terms(75));
    let guard = gateway.register(1, &of(1, Some(LeaseClass::Tolerant))).expect("admitted");
    let out = gateway.entry(&[KeyDigest::of(&tenant(), KeyKind::Tenant, "acme")], v1::Effect::Reauthorize, T0);
    assert!(asks_about_one(&out[1..]), "{out:?}");
    assert_eq!(guard.check(T0), Err(Stop::Suspended));
    let judgement = Judgement::Allowed(at(1, rev(6), Some(LeaseClass::Strict)));
    let answer = Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement };
    gateway.enforcer.step(answer, T0);
    assert_eq!((guard.check(after(4_000)), guard.check(after(5_000))), (Ok(()), Err(Stop::Frozen)));
    assert_eq!(gateway.enforcer.counts().of_class, [1, 0, 0, 0]);
}

#[test]
fn a_class_that_outlasts_the_bound_is_served_as_standard() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &of(1, Some(LeaseClass::Tolerant))).expect("admitted");
    assert_eq!(guard.check(T0 + LEASE), Err(Stop::Frozen));
}

#[test]
fn a_route_that_outlasts_the_bound_lets_nobody_in_and_says_so() {
    let settings = Settings { route_class: Some(LeaseClass::Tolerant), ..Settings::default() };
    let mut gateway = Gateway::welcomed_with(settings, terms(59));
    gateway.answer_probe(1, T0);
    let over = gateway.enforcer.route_over_bound().expect("it outlasts it");
    assert_eq!((over.class, over.length, over.bound.as_secs()), (LeaseClass::Tolerant, Duration::from_secs(60), 59));
    assert!(!gateway.enforcer.admits(T0) && !gateway.enforcer.may_admit(T0));
    assert_eq!(gateway.register(1, &of(1, Some(LeaseClass::Strict))).err(), Some(NotAdmitted::NotLive));
}

#[test]
fn the_strictest_class_in_use_decides_when_the_authority_is_missed() {
    let missed_at = |class| {
        let mut gateway = Gateway::live();
        gateway.register(1, &of(1, class)).expect("admitted");
        let missed = |out: &[Output]| out.iter().any(|output| matches!(output, Output::Reconnect));
        let mut ticks = (500..15_000).step_by(500);
        let at = ticks.find(|at| missed(&gateway.tick(after(*at)))).expect("it is missed");
        (at, gateway.enforcer.state(after(at)))
    };
    assert_eq!(missed_at(None), (7_500, State::Suspect));
    assert_eq!(missed_at(Some(LeaseClass::Strict)), (2_500, State::Suspect));
}

//! How the lease is kept, and what becomes of whoever outlasts it.

use super::*;

#[test]
fn a_checkpoint_ahead_of_what_is_applied_does_not_renew_the_lease() {
    let mut gateway = Gateway::welcomed();
    gateway.enforcer.step(Input::Checkpoint { probe_id: 1, head: rev(6), age: Duration::ZERO }, T0);
    assert!(!gateway.enforcer.admits(T0));
}

#[test]
fn a_checkpoint_of_another_branch_does_not_renew_the_lease() {
    let mut gateway = Gateway::welcomed();
    let head = Revision { seq: 5, chain: 7 };
    gateway.enforcer.step(Input::Checkpoint { probe_id: 1, head, age: Duration::ZERO }, T0);
    assert!(!gateway.enforcer.admits(T0));
}

#[test]
fn without_the_authority_nothing_passes_after_the_lease_and_everybody_freezes() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    let anonymous =
        gateway.enforcer.register_anonymous(ConnectionId::new(2), &tenant(), Arc::clone(&gateway.wakes) as _);
    gateway.enforcer.step(Input::StreamLost, T0);
    assert_eq!(gateway.enforcer.state(after(100)), State::Suspect);
    let end = T0 + LEASE;
    assert_eq!(guard.check(end), Err(Stop::Frozen), "no timer is needed for that");
    assert_eq!(gateway.wakes.0.load(Ordering::SeqCst), 0);
    gateway.tick(end);
    assert_eq!(gateway.wakes.0.load(Ordering::SeqCst), 1, "its task is told, once");
    gateway.tick(end);
    assert_eq!((gateway.wakes.0.load(Ordering::SeqCst), guard.fenced()), (1, None));
    assert_eq!(gateway.enforcer.state(end), State::Isolated);
    assert_eq!(gateway.register_at(3, &verdict(3, rev(5)), end).err(), Some(NotAdmitted::NotLive));
    assert_eq!(anonymous.check(end), Ok(()), "anonymous connections have no lease");
}

/// A gateway whose lease has run out with so many connections, and the guards of these.
fn frozen(connections: u8, settings: Settings) -> (Gateway, Vec<Arc<Guard>>) {
    let mut gateway = Gateway::live();
    gateway.enforcer.settings = settings;
    let guards =
        (1..=connections).map(|n| gateway.register(n.into(), &verdict(n, rev(5))).expect("admitted")).collect();
    gateway.enforcer.step(Input::StreamLost, T0);
    gateway.tick(T0 + LEASE);
    (gateway, guards)
}

#[test]
fn whoever_was_revoked_while_frozen_is_closed_and_never_thaws_and_the_others_thaw() {
    let (mut gateway, guards) = frozen(2, Settings::default());
    let now = after(40_000);
    gateway.enforcer.step(Input::StreamOpened, now);
    // The watch resumes at 5, and the head is 6 by now.
    gateway.welcome(true, now);
    let out = gateway.tick(after(40_500));
    let Some(Output::SendProbe { probe_id, .. }) = out.last() else { panic!("a probe: {out:?}") };
    let head = rev(6);
    gateway.enforcer.step(Input::Checkpoint { probe_id: *probe_id, head, age: Duration::ZERO }, after(40_600));
    assert_eq!(guards[1].check(after(40_600)), Err(Stop::Frozen), "behind the head nobody thaws");
    gateway.entry(&[session_key(1)], v1::Effect::Kill, after(40_700));
    assert_eq!(guards[0].check(after(40_700)), closed(CloseReason::SessionRevoked));
    assert_eq!(guards[1].check(after(40_700)), Err(Stop::Frozen));
    let out = gateway.tick(after(41_100));
    let Some(Output::SendProbe { probe_id, .. }) = out.last() else { panic!("a probe: {out:?}") };
    gateway.answer_probe(*probe_id, after(41_200));
    assert_eq!(guards[0].check(after(41_200)), closed(CloseReason::SessionRevoked));
    assert_eq!(guards[1].check(after(41_200)), Ok(()));
}

#[test]
fn a_thaw_calls_every_task() {
    let (mut gateway, _guards) = frozen(3, Settings::default());
    let before = gateway.wakes.0.load(Ordering::SeqCst);
    let probe = resume(&mut gateway, after(20_000));
    gateway.answer_probe(probe, after(20_000));
    assert_eq!(gateway.wakes.0.load(Ordering::SeqCst) - before, 3);
}

#[test]
fn what_stays_frozen_for_too_long_is_closed_at_the_stated_pace() {
    let settings = Settings { freeze_max: Duration::from_secs(60), closes_per_second: 2, ..Settings::default() };
    let (mut gateway, guards) = frozen(10, settings);
    let closed = || guards.iter().filter(|guard| guard.fenced() == Some(CloseReason::LeaseLost)).count();
    let end = T0 + LEASE + Duration::from_secs(60);
    gateway.tick(end.saturating_sub(Duration::from_millis(1)));
    assert_eq!(closed(), 0);
    for second in 0..=2_u64 {
        gateway.tick(end + Duration::from_secs(second));
    }
    assert_eq!(closed(), 1 + 2 + 2);
    gateway.tick(end + Duration::from_secs(60));
    assert_eq!(closed(), 10);
}

#[test]
fn without_freezing_everybody_is_closed_at_the_deadline() {
    let settings = Settings { freeze_max: Duration::ZERO, closes_per_second: 1_000_000, ..Settings::default() };
    let (_gateway, guards) = frozen(10, settings);
    assert!(guards.iter().all(|guard| guard.fenced() == Some(CloseReason::LeaseLost)));
}

#[test]
fn a_credential_expires_and_a_revocation_closes_though_the_gateway_is_frozen() {
    let (mut gateway, guards) = frozen(2, Settings { freeze_max: Duration::from_secs(3_600), ..Settings::default() });
    assert_eq!(guards[0].check(after(600_000)), closed(CloseReason::Expired));
    resume(&mut gateway, after(20_000));
    gateway.entry(&[session_key(2)], v1::Effect::Kill, after(20_000));
    assert_eq!(guards[1].check(after(20_000)), closed(CloseReason::SessionRevoked));
}

#[test]
fn a_wall_clock_that_jumps_gives_the_lease_up_until_the_authority_has_answered() {
    for jump in [-3_600_000_000, 3_600_000_000_i64] {
        let mut gateway = Gateway::live();
        let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
        gateway.tick(after(100));
        let wall = Timestamp::from_micros(wall_at(after(200)).as_micros() + jump);
        let out = gateway.enforcer.step(Input::Tick { wall }, after(200));
        assert_eq!(guard.check(after(200)), Err(Stop::Frozen));
        let Some(Output::SendProbe { probe_id, .. }) = out.last() else { panic!("asks at once: {out:?}") };
        gateway.answer_probe(*probe_id, after(210));
        assert_eq!(guard.check(after(210)), Ok(()));
    }
}

#[test]
fn probes_keep_the_lease_alive() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.run_until(500, 60_000);
    assert_eq!(guard.check(after(60_000)), Ok(()));
    assert_eq!(gateway.enforcer.state(after(60_000)), State::Live);
}

#[test]
fn a_task_that_found_the_lease_run_out_before_any_tick_is_called_when_it_is_renewed() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.run_until(500, 500);
    let out = gateway.tick(after(1_000));
    let Some(Output::SendProbe { probe_id, .. }) = out.last() else { panic!("a probe: {out:?}") };
    assert_eq!(guard.check(after(15_500)), Err(Stop::Frozen));
    let before = gateway.wakes.0.load(Ordering::SeqCst);
    gateway.answer_probe(*probe_id, after(15_501));
    assert_eq!(guard.check(after(15_501)), Ok(()));
    assert_eq!(gateway.wakes.0.load(Ordering::SeqCst), before + 1);
}

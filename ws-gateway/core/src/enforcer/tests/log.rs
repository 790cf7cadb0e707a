//! What is done with the log: entries in order and whole, and the stream that they come on.

use super::*;

#[test]
fn a_revocation_fences_and_wakes_exactly_those_who_rest_on_it() {
    let mut gateway = Gateway::live();
    let alice = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    let alice_too = gateway.register(2, &verdict(1, rev(5))).expect("admitted");
    let bob = gateway.register(3, &verdict(2, rev(5))).expect("admitted");
    gateway.kill(identity_key(1));
    assert_eq!(alice.check(T0), closed(CloseReason::IdentityRevoked));
    assert_eq!(alice_too.check(T0), closed(CloseReason::IdentityRevoked));
    assert_eq!(bob.check(T0), Ok(()));
    assert_eq!(gateway.wakes.0.load(Ordering::SeqCst), 2);
}

#[test]
fn an_entry_after_the_verdict_of_a_newer_login_does_not_close_it() {
    let mut gateway = Gateway::live();
    gateway.kill(identity_key(9));
    let guard = gateway.register(1, &verdict(1, rev(6))).expect("admitted");
    // The gateway had applied 6 already; an older entry cannot come again, and 7 names somebody else.
    gateway.kill(identity_key(9));
    assert_eq!(guard.check(T0), Ok(()));
}

#[test]
fn a_gap_in_the_log_is_never_skipped() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.head = rev(6);
    let out = gateway.entry(&[identity_key(1)], v1::Effect::Kill, T0);
    assert!(matches!(out[..], [Output::Reconnect]));
    assert_eq!(gateway.enforcer.applied(), Some(rev(5)));
    assert_eq!(guard.check(T0), Ok(()), "not applied, so not enforced; the lease is what ends it");
    let out = gateway.enforcer.step(Input::StreamOpened, T0);
    assert!(matches!(out[..], [Output::SendStart { cursor: Some(cursor) }] if cursor == rev(5)));
}

#[test]
fn an_entry_that_cannot_be_read_stops_the_watch_instead_of_being_skipped() {
    let mut gateway = Gateway::live();
    let payload = Bytes::from_static(&[0xff, 0xff]);
    let out = gateway.enforcer.step(Input::Entry { revision: rev(6), previous_chain: rev(5).chain, payload }, T0);
    assert!(matches!(out[..], [Output::Reconnect]));
    assert_eq!(gateway.enforcer.applied(), Some(rev(5)));
}

#[test]
fn a_stream_on_which_nobody_answers_is_given_up_before_the_lease_ends() {
    let mut gateway = Gateway::live();
    let mut given_up = None;
    for at in (500..15_000).step_by(500) {
        let out = gateway.tick(after(at));
        if out.iter().any(|output| matches!(output, Output::Reconnect)) {
            given_up = Some(at);
            break;
        }
    }
    assert_eq!(given_up, Some(7_500));
}

#[test]
fn a_resumed_watch_keeps_everybody() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.enforcer.step(Input::StreamLost, T0);
    gateway.enforcer.step(Input::StreamOpened, T0);
    gateway.welcome(true, T0);
    assert_eq!(guard.check(T0), Ok(()));
    gateway.kill(identity_key(1));
    assert_eq!(guard.check(T0), closed(CloseReason::IdentityRevoked));
}

#[test]
fn a_welcome_that_was_not_asked_for_is_refused() {
    let mut gateway = Gateway::live();
    gateway.enforcer.step(Input::StreamLost, T0);
    gateway.enforcer.step(Input::StreamOpened, T0);
    // From the head, though a cursor was sent: it would skip what came between.
    let out = gateway.welcome(false, T0);
    assert!(matches!(out[..], [Output::Reconnect]));
}

#[test]
fn revoking_a_tenant_closes_anonymous_connections_too() {
    let mut gateway = Gateway::live();
    let guard = gateway.enforcer.register_anonymous(ConnectionId::new(2), &tenant(), Arc::clone(&gateway.wakes) as _);
    gateway.kill(KeyDigest::of(&tenant(), KeyKind::Tenant, "acme"));
    assert_eq!(guard.check(T0), closed(CloseReason::TenantRevoked));
}

#[test]
fn a_clock_that_jumps_does_not_cost_a_stream_that_works() {
    let mut gateway = Gateway::live();
    gateway.run_until(500, 60_000);
    let wall = Timestamp::from_micros(wall_at(after(60_100)).as_micros() + 3_600_000_000);
    let out = gateway.enforcer.step(Input::Tick { wall }, after(60_100));
    assert!(matches!(out[..], [Output::SendProbe { .. }]), "{out:?}");
}

#[test]
fn a_lease_longer_than_the_bound_is_refused() {
    let mut enforcer = Enforcer::new(Settings::default());
    enforcer.step(Input::StreamOpened, T0);
    let welcome = Welcome {
        resumed: false,
        position: rev(5),
        terms: terms(15),
        probe_interval: Duration::from_millis(500),
        bound: LEASE.checked_sub(Duration::from_millis(1)).expect("it is longer"),
    };
    assert!(matches!(enforcer.step(Input::Welcome(welcome), T0)[..], [Output::Reconnect]));
}

#[test]
fn a_watch_that_moves_keeps_the_lease_and_applies_each_entry_once() {
    let mut gateway = Gateway::live();
    let cursor = gateway.head;
    let guard = gateway.register(1, &verdict(7, cursor)).expect("admitted");
    // Applied on the old stream while the new one was opened with the cursor from before.
    gateway.entry(&[session_key(8)], v1::Effect::Kill, after(100));
    let welcome = gateway.welcome_at(cursor, true);
    let out = gateway.enforcer.step(Input::Moved(welcome), after(200));
    assert!(matches!(out[..], [Output::SendProbe { .. }]), "{out:?}");
    assert_eq!((gateway.enforcer.state(after(200)), guard.check(after(200))), (State::Live, Ok(())));
    let again = gateway.again(cursor, &[session_key(8)]);
    assert!(again.is_empty(), "it is known: {again:?}");
    gateway.entry(&[session_key(7)], v1::Effect::Kill, after(300));
    assert_eq!(gateway.enforcer.applied(), Some(gateway.head));
    assert!(guard.fenced().is_some());
}

#[test]
fn a_watch_does_not_move_to_where_another_log_is() {
    let mut gateway = Gateway::live();
    for welcome in [
        gateway.welcome_at(Revision { chain: 1, ..gateway.head }, true),
        gateway.welcome_at(gateway.head, false),
        gateway.welcome_at(rev(gateway.head.seq + 1), true),
    ] {
        let out = gateway.enforcer.step(Input::Moved(welcome), after(100));
        assert!(matches!(out[..], [Output::Reconnect]), "{out:?}");
    }
}

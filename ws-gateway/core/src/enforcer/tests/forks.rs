//! What is done when the past is gone: everybody is judged again, and nothing is claimed before that.

use super::*;

/// A live gateway with one connection, whose authority came back on another branch.
fn forked() -> (Gateway, Arc<Guard>, Vec<Output>) {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    let out = gateway.enforcer.step(Input::ResyncRequired(ResyncReason::Fork), T0);
    assert!(matches!(out[..], [Output::Reconnect]));
    let out = gateway.enforcer.step(Input::StreamOpened, T0);
    assert!(matches!(out[..], [Output::SendStart { cursor: None }]));
    gateway.head = Revision { seq: 3, chain: 77 };
    let out = gateway.welcome(false, T0);
    (gateway, guard, out)
}

#[test]
fn a_fork_has_everybody_judged_again_before_the_lease_is_renewed() {
    let (mut gateway, guard, out) = forked();
    assert!(matches!(out[..], [Output::SendProbe { .. }, Output::Reverify { .. }]));
    let before = gateway.enforcer.deadlines().get(LeaseClass::Standard);
    gateway.answer_probe(2, after(1_000));
    assert_eq!(gateway.enforcer.deadlines().get(LeaseClass::Standard), before);
    assert_eq!(gateway.register(2, &verdict(2, gateway.head)).err(), Some(NotAdmitted::NotLive));

    let judgement = Judgement::Allowed(verdict(1, gateway.head));
    gateway
        .enforcer
        .step(Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement }, after(1_000));
    gateway.run_until(1_500, 2_000);
    assert!(gateway.enforcer.deadlines().get(LeaseClass::Standard) > before);
    assert_eq!(guard.check(after(2_000)), Ok(()));
}

#[test]
fn a_fork_closes_whom_the_new_branch_does_not_know() {
    let (mut gateway, guard, _) = forked();
    let judgement = Judgement::Denied(Refused { denial: Denial::Unknown, permanent: false });
    gateway
        .enforcer
        .step(Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement }, T0);
    assert!(matches!(guard.check(T0), Err(Stop::Close(_))));
    gateway.answer_probe(2, T0);
    assert!(gateway.enforcer.admits(T0));
}

#[test]
fn after_a_fork_an_entry_closes_those_not_judged_yet_whatever_their_old_revision() {
    let (mut gateway, guard, _) = forked();
    gateway.kill(identity_key(1));
    assert_eq!(guard.check(T0), closed(CloseReason::IdentityRevoked));
}

#[test]
fn a_verdict_of_the_old_branch_is_asked_for_again() {
    let (mut gateway, _, _) = forked();
    gateway.enforcer.remove(ConnectionId::new(1));
    gateway.answer_probe(2, T0);
    assert_eq!(gateway.register(2, &verdict(2, rev(3))).err(), Some(NotAdmitted::Stale));
}

#[test]
fn after_a_cursor_was_given_up_nobody_is_admitted_on_the_lease_from_before() {
    // The lease was renewed on head 6, which kills alice's session; a replica that lags begins anew from 5.
    let mut gateway = Gateway::live();
    let late = verdict(1, rev(5));
    gateway.kill(session_key(1));
    let out = gateway.tick(after(500));
    let Some(Output::SendProbe { probe_id, .. }) = out.last() else { panic!("a probe: {out:?}") };
    gateway.answer_probe(*probe_id, after(500));
    gateway.enforcer.step(Input::ResyncRequired(ResyncReason::Lagged), after(600));
    gateway.enforcer.step(Input::StreamOpened, after(600));
    gateway.head = rev(5);
    let out = gateway.welcome(false, after(700));
    assert_eq!(gateway.register_at(1, &late, after(700)).err(), Some(NotAdmitted::NotLive));
    // A checkpoint that counts from before the cursor was given up proves nothing; one from later does.
    let [Output::SendProbe { probe_id, .. }] = out[..] else { panic!("a probe: {out:?}") };
    let old = Input::Checkpoint { probe_id, head: rev(5), age: Duration::from_millis(200) };
    gateway.enforcer.step(old, after(800));
    assert_eq!(gateway.register_at(1, &late, after(800)).err(), Some(NotAdmitted::NotLive));
    let out = gateway.tick(after(1_300));
    let Some(Output::SendProbe { probe_id, .. }) = out.last() else { panic!("a probe: {out:?}") };
    gateway.answer_probe(*probe_id, after(1_300));
    assert!(gateway.register_at(2, &verdict(2, rev(5)), after(1_300)).is_ok());
}

fn claimed(out: &[Output]) -> Option<Option<Revision>> {
    out.iter().find_map(|output| match output {
        Output::SendProbe { applied, .. } => Some(*applied),
        _ => None,
    })
}

#[test]
fn nothing_is_claimed_as_a_whole_while_somebody_from_before_a_resync_is_not_judged_again() {
    let (mut gateway, _guard, out) = forked();
    assert_eq!(claimed(&out), Some(None), "a frame may still pass by the old lease");
    let judgement = Judgement::Allowed(verdict(1, gateway.head));
    gateway
        .enforcer
        .step(Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement }, T0);
    assert_eq!(claimed(&gateway.tick(after(1_000))), Some(Some(gateway.head)));
}

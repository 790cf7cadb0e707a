//! What the authority is told: which entry is enforced, and that a run is over.

use super::*;

fn acknowledged(out: &[Output]) -> Option<(Revision, u64)> {
    out.iter().find_map(|output| match output {
        Output::Acknowledge { revision, fenced } => Some((*revision, *fenced)),
        _ => None,
    })
}

#[test]
fn an_entry_is_acknowledged_with_the_number_of_those_it_fenced_first() {
    let mut gateway = Gateway::live();
    let guards = [1, 2, 3].map(|n| gateway.register(n, &verdict(1, rev(5))).expect("admitted"));
    let out = gateway.entry(&[identity_key(1), session_key(1)], v1::Effect::Kill, T0);
    assert_eq!(acknowledged(&out), Some((rev(6), 3)), "each once, though two keys cover it");
    assert!(guards.iter().all(|guard| guard.fence_set().is_some_and(|fence| fence.by == Some(rev(6)))));
    let out = gateway.entry(&[identity_key(1)], v1::Effect::Kill, T0);
    assert_eq!(acknowledged(&out), Some((rev(7), 0)), "they were fenced before");
    let removed = gateway.enforcer.remove(ConnectionId::new(1));
    assert_eq!(removed.and_then(|fence| fence.by), Some(rev(6)));
    assert_eq!(gateway.enforcer.remove(ConnectionId::new(1)), None, "said once");
}

#[test]
fn an_entry_that_is_not_the_next_is_not_acknowledged() {
    let mut gateway = Gateway::live();
    let batch = v1::RevocationBatch::default().encode_to_vec();
    let (revision, payload) = (rev(9), Bytes::from(batch));
    let out = gateway.enforcer.step(Input::Entry { revision, previous_chain: rev(8).chain, payload }, T0);
    assert_eq!(acknowledged(&out), None);
}

#[test]
fn a_run_says_that_it_is_over_when_nobody_passes_a_frame_and_admits_nobody_afterwards() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(7, rev(5))).expect("admitted");
    assert!(gateway.enforcer.step(Input::Leaving, after(10)).is_empty(), "somebody still passes frames");
    assert!(!gateway.enforcer.admits(after(10)));
    gateway.entry(&[session_key(7)], v1::Effect::Kill, after(20));
    assert!(guard.fenced().is_some());
    let out = gateway.enforcer.step(Input::Leaving, after(30));
    assert!(matches!(out[..], [Output::Release]), "{out:?}");
    assert_eq!(gateway.register(2, &verdict(8, gateway.head)).err(), Some(NotAdmitted::NotLive));
}

#[test]
fn a_run_that_cannot_be_heard_says_nothing() {
    let mut gateway = Gateway::live();
    gateway.enforcer.step(Input::StreamLost, after(10));
    assert!(gateway.enforcer.step(Input::Leaving, after(20)).is_empty());
}

//! A pace spreads the closing, never the fence.

use super::*;

fn paced(gateway: &mut Gateway, key: KeyDigest, closes_per_second: u32, now: Boottime) -> Vec<Output> {
    let revocation = v1::Revocation {
        keys: vec![key.into()],
        effect: v1::Effect::Kill as i32,
        closes_per_second,
        ..Default::default()
    };
    let payload = Bytes::from(v1::RevocationBatch { revocations: vec![revocation] }.encode_to_vec());
    let previous_chain = gateway.head.chain;
    gateway.head = rev(gateway.head.seq + 1);
    gateway.enforcer.step(Input::Entry { revision: gateway.head, previous_chain, payload }, now)
}

/// So many connections of one identity.
fn crowd(settings: Settings, count: u64) -> (Gateway, Vec<Arc<Guard>>) {
    let mut gateway = Gateway::live_with(settings, terms(15));
    let guards = (1..=count).map(|n| gateway.register(n, &verdict(1, rev(5))).expect("admitted")).collect();
    (gateway, guards)
}

const CLOSED: Result<(), Stop> = closed(CloseReason::IdentityRevoked);
const WAITING: Result<(), Stop> = Err(Stop::Fenced(CloseReason::IdentityRevoked));

fn called(guards: &[Arc<Guard>], now: Boottime) -> usize {
    guards.iter().filter(|guard| guard.check(now) == CLOSED).count()
}

#[test]
fn everybody_is_fenced_at_once_and_called_one_after_another() {
    let (mut gateway, guards) = crowd(Settings::default(), 20);
    let out = paced(&mut gateway, identity_key(1), 10, T0);
    assert!(matches!(out[..], [Output::Acknowledge { fenced: 20, .. }]), "acknowledged as a whole: {out:?}");
    assert!(guards.iter().all(|guard| guard.check(T0).is_err() && guard.fenced().is_some()));
    assert_eq!((called(&guards, T0), gateway.wakes.0.load(Ordering::SeqCst)), (1, 1), "the first at once");
    assert_eq!(gateway.enforcer.counts().waiting, 19);
    for (millis, expected) in [(99, 1), (100, 2), (550, 6), (1_900, 20), (9_000, 20)] {
        gateway.tick(after(millis));
        assert_eq!(called(&guards, after(millis)), expected, "{millis} ms");
    }
    assert_eq!((gateway.enforcer.next_close(), gateway.enforcer.counts().waiting), (None, 0));
}

#[test]
fn the_order_has_nothing_to_do_with_when_they_came() {
    let (mut gateway, guards) = crowd(Settings::default(), 200);
    paced(&mut gateway, identity_key(1), 1_000, T0);
    gateway.tick(after(99));
    let first: Vec<_> = (0..200).filter(|n| guards[*n].check(T0) == CLOSED).collect();
    assert_eq!(first.len(), 100);
    let early = first.iter().filter(|n| **n < 100).count();
    assert!((30..=70).contains(&early), "{early} of the first hundred who came were called first");
}

#[test]
fn whoever_leaves_takes_nobodys_turn() {
    let (mut gateway, guards) = crowd(Settings::default(), 10);
    paced(&mut gateway, identity_key(1), 1, T0);
    for (n, guard) in (1..).zip(&guards).filter(|(n, _)| *n <= 8) {
        if guard.check(T0) == WAITING {
            let fence = gateway.enforcer.remove(ConnectionId::new(n)).expect("it was fenced");
            assert_eq!(fence.by, Some(rev(6)), "its closing is counted for the entry");
        }
    }
    let left = gateway.enforcer.counts().waiting;
    assert!(left <= 2, "{left} wait");
    gateway.tick(after(2_000));
    assert_eq!(gateway.enforcer.counts().waiting, 0);
}

#[test]
fn a_later_entry_without_a_pace_closes_at_once_whom_it_covers() {
    let (mut gateway, guards) = crowd(Settings::default(), 10);
    paced(&mut gateway, identity_key(1), 1, T0);
    let out = paced(&mut gateway, session_key(1), 0, after(10));
    assert!(matches!(out[..], [Output::Acknowledge { fenced: 0, .. }]), "they were fenced before: {out:?}");
    assert_eq!(called(&guards, after(10)), 10, "with the reason that fenced them");
    assert_eq!(gateway.enforcer.counts().waiting, 0);
}

#[test]
fn a_gateway_may_have_a_pace_of_its_own_and_an_entry_outweighs_it() {
    let settings = Settings { revoked_closes_per_second: 1, ..Settings::default() };
    let (mut gateway, guards) = crowd(settings, 10);
    gateway.kill(identity_key(1));
    assert_eq!(called(&guards, T0), 1);
    let (mut gateway, guards) = crowd(settings, 10);
    paced(&mut gateway, identity_key(1), 1_000, T0);
    gateway.tick(after(9));
    assert_eq!(called(&guards, after(9)), 10);
}

#[test]
fn what_waits_is_not_let_on_by_a_newer_credential_or_a_later_answer() {
    let (mut gateway, guards) = crowd(Settings::default(), 2);
    paced(&mut gateway, identity_key(1), 1, T0);
    let (waiting, guard) = (1..).zip(&guards).find(|(_, guard)| guard.check(T0) == WAITING).expect("one waits");
    let connection = ConnectionId::new(waiting);
    assert_eq!(gateway.enforcer.replace(connection, &verdict(1, rev(6)), T0), Err(NotAdmitted::Gone));
    let judgement = Judgement::Allowed(verdict(1, rev(6)));
    gateway.enforcer.step(Input::Reverified { connection, reference: reference(1), judgement }, T0);
    assert_eq!(guard.check(T0), WAITING);
}

#[test]
fn those_who_left_do_not_pile_up() {
    let (mut gateway, _guards) = crowd(Settings::default(), 3_000);
    paced(&mut gateway, identity_key(1), 1, T0);
    for n in 1..=2_999 {
        gateway.enforcer.remove(ConnectionId::new(n));
    }
    gateway.tick(after(100));
    assert!(gateway.enforcer.counts().waiting <= 1);
    gateway.tick(after(2_000));
    assert_eq!(gateway.enforcer.next_close(), None);
}

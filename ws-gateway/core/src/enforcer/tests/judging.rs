//! Asking the authority again: after changed grants, now and then, and which answer counts.

use super::*;

#[test]
fn changed_grants_suspend_until_the_authority_has_answered() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    let out = gateway.entry(&[identity_key(1)], v1::Effect::Reauthorize, T0);
    assert!(asks_about_one(&out), "{out:?}");
    assert_eq!(guard.check(T0), Err(Stop::Suspended));

    let judgement = Judgement::Allowed(verdict(1, rev(6)));
    gateway
        .enforcer
        .step(Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement }, T0);
    assert_eq!(guard.check(T0), Ok(()));
    assert!(guard.take_news().is_some_and(|news| news.identity == IdentityId::from_bytes([1; 16])));
}

#[test]
fn an_answer_from_before_the_change_of_grants_does_not_count() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.entry(&[identity_key(1)], v1::Effect::Reauthorize, T0);
    let judgement = Judgement::Allowed(verdict(1, rev(5)));
    gateway
        .enforcer
        .step(Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement }, T0);
    assert_eq!(guard.check(T0), Err(Stop::Suspended));
    let out = gateway.tick(T0);
    assert!(matches!(out[..], [Output::Reverify { .. }]), "asked once more: {out:?}");
}

#[test]
fn an_answer_that_carries_what_was_revoked_meanwhile_ends_nobody_and_counts_for_nothing() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.entry(&[identity_key(1)], v1::Effect::Reauthorize, T0);
    let mut carrying = verdict(1, rev(6));
    carrying.keys = carrying.keys.iter().copied().chain([credential_key(9)]).collect();
    gateway.kill(credential_key(9));
    let judgement = Judgement::Allowed(carrying);
    gateway
        .enforcer
        .step(Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement }, T0);
    assert_eq!((guard.check(T0), guard.fenced()), (Err(Stop::Suspended), None));
    let out = gateway.tick(T0);
    assert!(matches!(out[..], [Output::Reverify { .. }]), "asked once more: {out:?}");
}

#[test]
fn whoever_gets_no_answer_about_changed_grants_in_time_is_closed() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.entry(&[identity_key(1)], v1::Effect::Reauthorize, T0);
    gateway.enforcer.step(Input::ReverifyFailed { connection: ConnectionId::new(1) }, after(100));
    let out = gateway.tick(after(4_999));
    assert!(out.iter().any(|output| matches!(output, Output::Reverify { .. })));
    gateway.tick(after(5_000));
    assert_eq!(guard.fenced(), Some(CloseReason::AuthorityChanged));
}

#[test]
fn everybody_is_judged_again_now_and_then() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    let every = u64::try_from(Settings::default().revalidate_every.as_millis()).expect("it fits");
    let out = gateway.run_until(500, every * 5 / 4);
    assert!(matches!(out[..], [Output::Reverify { .. }]), "{out:?}");
    let judgement = Judgement::Denied(Refused { denial: Denial::Unknown, permanent: false });
    let now = after(every * 5 / 4);
    gateway
        .enforcer
        .step(Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement }, now);
    assert!(guard.fenced().is_some());
}

#[test]
fn a_late_answer_about_the_credential_before_a_refresh_changes_nothing() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.entry(&[identity_key(1)], v1::Effect::Reauthorize, T0);
    // The answer is under way when the client refreshes with a newer credential.
    let mut newer = verdict(1, rev(6));
    newer.reference.credential = CredentialId::from_bytes([9; 16]);
    newer.expires_at = Some(after(1_200_000));
    gateway.enforcer.replace(ConnectionId::new(1), &newer, T0).expect("the same identity");
    let refused = Judgement::Denied(Refused { denial: Denial::Expired, permanent: true });
    for judgement in [refused, Judgement::Allowed(verdict(1, rev(6)))] {
        let late = Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement };
        gateway.enforcer.step(late, T0);
        assert_eq!((guard.check(T0), guard.expires_at()), (Ok(()), Some(after(1_200_000))));
    }
}

#[test]
fn an_answer_ahead_of_the_log_is_asked_for_again_only_when_the_log_has_caught_up() {
    let mut gateway = Gateway::live();
    let mut lasting = verdict(1, rev(5));
    lasting.expires_at = None;
    gateway.register(1, &lasting).expect("admitted");
    let every = Settings::default().revalidate_every * 5 / 4;
    let late = T0 + every;
    gateway.run_until(500, u64::try_from(every.as_millis()).expect("it fits"));
    let judgement = Judgement::Allowed(verdict(1, rev(6)));
    let ahead = Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement };
    gateway.enforcer.step(ahead, late);
    for millis in (100..1_000).step_by(100) {
        let out = gateway.tick(late + Duration::from_millis(millis));
        assert!(!out.iter().any(|output| matches!(output, Output::Reverify { .. })), "{out:?}");
    }
    let out = gateway.entry(&[identity_key(9)], v1::Effect::Kill, late + Duration::from_secs(1));
    assert!(asks_about_one(&out), "{out:?}");
}

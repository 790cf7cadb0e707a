//! Who is admitted, on which verdict, and what is left of whoever is over.

use super::*;

#[test]
fn nobody_is_admitted_before_the_first_probe_is_answered() {
    let mut gateway = Gateway::welcomed();
    assert_eq!(gateway.enforcer.state(T0), State::Syncing);
    assert_eq!(gateway.register(1, &verdict(1, rev(5))).err(), Some(NotAdmitted::NotLive));
    gateway.answer_probe(1, T0);
    assert!(gateway.register(1, &verdict(1, rev(5))).is_ok());
}

#[test]
fn a_verdict_made_before_a_revocation_admits_nobody_after_it_however_late_it_comes() {
    let mut gateway = Gateway::live();
    let late = verdict(1, rev(5));
    gateway.kill(session_key(1));
    assert_eq!(gateway.register(1, &late).err(), Some(NotAdmitted::Revoked(Denial::SessionRevoked)));
    assert_eq!(gateway.enforcer.counts().authenticated, 0);
}

#[test]
fn what_a_verdict_only_carries_is_no_end_of_its_credential_and_the_authority_is_asked_anew() {
    let mut gateway = Gateway::live();
    let mut carrying = verdict(1, rev(5));
    carrying.keys = carrying.keys.iter().copied().chain([credential_key(9)]).collect();
    let guard = gateway.register(1, &carrying).expect("admitted");
    gateway.kill(credential_key(9));
    assert_eq!(guard.check(T0), closed(CloseReason::CredentialRevoked), "what was set up with it is over");
    assert_eq!(gateway.register(2, &carrying).err(), Some(NotAdmitted::Stale));
    assert_eq!(gateway.enforcer.counts().authenticated, 1, "nobody is in on it");
    assert!(gateway.register(2, &verdict(1, rev(6))).is_ok());
    gateway.kill(session_key(1));
    let dead = Some(NotAdmitted::Revoked(Denial::SessionRevoked));
    assert_eq!(gateway.register(3, &carrying).err(), dead, "the authority need not be asked about a dead session");
}

#[test]
fn what_belongs_to_no_session_dies_by_its_own_key_alone() {
    for above in [identity_key(1), KeyDigest::of(&tenant(), KeyKind::Tenant, "acme")] {
        let mut gateway = Gateway::live();
        let mut key = verdict(1, rev(5));
        Arc::make_mut(&mut key.principal).session = None;
        key.keys = key.keys.iter().copied().filter(|key| key.kind != KeyKind::Session).collect();
        gateway.kill(above);
        assert_eq!(gateway.register(1, &key).err(), Some(NotAdmitted::Stale), "{:?}", above.kind);
        gateway.kill(credential_key(1));
        let dead = Some(NotAdmitted::Revoked(Denial::CredentialRevoked));
        assert_eq!(gateway.register(1, &key).err(), dead, "{:?}", above.kind);
    }
}

#[test]
fn what_a_ticket_was_issued_from_dies_with_its_own_key() {
    let mut gateway = Gateway::live();
    let mut ticket = verdict(1, rev(5));
    ticket.reference.credential = CredentialId::from_bytes([8; 16]);
    ticket.keys = ticket.keys.iter().copied().chain([credential_key(8)]).collect();
    gateway.kill(credential_key(1));
    assert_eq!(gateway.register(1, &ticket).err(), Some(NotAdmitted::Revoked(Denial::CredentialRevoked)));
}

#[test]
fn whoever_logs_in_again_after_the_revocation_is_admitted_and_stays() {
    let mut gateway = Gateway::live();
    gateway.kill(identity_key(1));
    let guard = gateway.register(1, &verdict(1, rev(6))).expect("a newer verdict");
    assert_eq!(guard.check(T0), Ok(()));
}

#[test]
fn a_verdict_newer_than_the_watch_waits_for_the_entry() {
    let mut gateway = Gateway::live();
    assert_eq!(gateway.register(1, &verdict(1, rev(6))).err(), Some(NotAdmitted::Ahead { seq: 6 }));
    gateway.kill(identity_key(2));
    assert!(gateway.register(1, &verdict(1, rev(6))).is_ok());
}

#[test]
fn a_refresh_moves_a_connection_to_its_newer_credential() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.kill(identity_key(9));
    gateway.enforcer.replace(ConnectionId::new(1), &verdict(1, rev(6)), T0).expect("the same identity");
    gateway.kill(session_key(1));
    assert_eq!(guard.check(T0), closed(CloseReason::SessionRevoked));
}

#[test]
fn a_refresh_cannot_name_another_identity_or_a_revoked_credential() {
    let mut gateway = Gateway::live();
    gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    let refused = gateway.enforcer.replace(ConnectionId::new(1), &verdict(2, rev(5)), T0);
    assert_eq!(refused, Err(NotAdmitted::OtherIdentity));
    gateway.kill(session_key(1));
    let refused = gateway.enforcer.replace(ConnectionId::new(1), &verdict(1, rev(5)), T0);
    assert_eq!(refused, Err(NotAdmitted::Revoked(Denial::SessionRevoked)));
    assert_eq!(gateway.enforcer.replace(ConnectionId::new(7), &verdict(1, rev(6)), T0), Err(NotAdmitted::Gone));
}

#[test]
fn a_connection_that_is_over_leaves_nothing_behind() {
    let mut gateway = Gateway::live();
    gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.enforcer.register_anonymous(ConnectionId::new(2), &tenant(), Arc::clone(&gateway.wakes) as _);
    gateway.entry(&[identity_key(1)], v1::Effect::Reauthorize, T0);
    let of_class = [0, 1, 0, 0];
    assert_eq!(
        gateway.enforcer.counts(),
        Counts { authenticated: 1, anonymous: 1, index_keys: 1, questions: 1, of_class, waiting: 0 }
    );
    gateway.enforcer.remove(ConnectionId::new(1));
    gateway.enforcer.remove(ConnectionId::new(2));
    gateway.enforcer.remove(ConnectionId::new(2));
    assert_eq!(gateway.enforcer.counts(), Counts { index_keys: 1, ..Counts::default() });
    assert!(gateway.enforcer.revalidations.is_empty());
}

#[test]
fn a_credential_expires_on_its_own() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.run_until(500, 599_500);
    assert_eq!(guard.check(after(599_999)), Ok(()));
    assert_eq!(guard.check(after(600_000)), closed(CloseReason::Expired));
}

#[test]
fn a_verdict_that_names_nothing_is_no_verdict() {
    let wire = v1::VerifyResponse {
        outcome: v1::Outcome::Allowed as i32,
        revision: Some(rev(5).into()),
        allowed: Some(v1::Allowed {
            principal: Some(v1::Principal::default()),
            reference: Some(v1::CredentialReference::default()),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert!(Judgement::from_wire(wire, T0).is_err());
}

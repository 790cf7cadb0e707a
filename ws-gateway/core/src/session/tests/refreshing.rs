//! Another credential for the same connection.

use super::*;

fn refreshing() -> Session {
    let mut session = connected();
    let out = send(&mut session, r#"{"id":5,"refresh":{"token":"newer"}}"#, after(570));
    let presented = Presented::Token(Secret::from("newer"));
    assert_eq!(out, [Output::Verify { presented, purpose: Purpose::Refresh }]);
    session
}

#[test]
fn a_refresh_keeps_the_connection_and_gives_a_new_term() {
    let mut session = refreshing();
    assert_eq!(send(&mut session, r#"{"id":6,"ping":{}}"#, after(570)).len(), 1);
    let out = rule(&mut session, admitted(ANN, Some(1_170)), after(570));
    let result = json!({"client": "c-1", "version": "0.1.0", "expires": true, "ttl": 570});
    assert_eq!((json_of(&out[0]), out.len()), (json!({"id": 5, "refresh": result}), 1));
}

#[test]
fn a_refresh_to_a_credential_without_end_asks_for_no_other() {
    let out = rule(&mut refreshing(), admitted(ANN, None), after(570));
    assert_eq!(json_of(&out[0])["refresh"], json!({"client": "c-1", "version": "0.1.0"}));
}

#[test]
fn a_refresh_that_names_another_identity_closes() {
    let out = rule(&mut refreshing(), admitted(BOB, Some(1_170)), after(570));
    assert_eq!(error_of(&out[0]), (101, "another_identity".into(), false));
    assert_eq!(closed_with(&out), 4501);
}

#[test]
fn a_refresh_that_names_another_tenant_closes() {
    let Ruling::Admitted(mut admission) = admitted(ANN, None) else { unreachable!("it is an admission") };
    let mut other = (*admission.principal).clone();
    other.tenant = TenantId::try_from("elsewhere").expect("a valid name");
    admission.principal = Arc::new(other);
    assert_eq!(closed_with(&rule(&mut refreshing(), Ruling::Admitted(admission), after(570))), 4501);
}

#[test]
fn a_late_or_spent_refresh_may_be_tried_again_and_a_revoked_one_ends_the_connection() {
    for (denial, code) in [(Denial::Expired, 109), (Denial::Spent, 109), (Denial::AuthorityUnavailable, 108)] {
        let mut session = refreshing();
        let out = rule(&mut session, Ruling::Refused(denial.into()), after(570));
        assert_eq!((code_of(&out), error_of(&out[0]).2), (code, true));
        assert!(matches!(
            send(&mut session, r#"{"id":6,"refresh":{"token":"newest"}}"#, after(580))[..],
            [Output::Verify { .. }]
        ));
    }
    let out = rule(&mut refreshing(), Ruling::Refused(Denial::CredentialRevoked.into()), after(570));
    assert_eq!((error_of(&out[0]).0, closed_with(&out)), (101, 4510));
}

#[test]
fn only_one_refresh_is_judged_at_a_time_and_nobody_becomes_somebody_by_it() {
    assert_eq!(code_of(&send(&mut refreshing(), r#"{"id":6,"refresh":{"token":"x"}}"#, after(570))), 111);
    assert_eq!(code_of(&send(&mut connected(), r#"{"id":6,"refresh":{}}"#, T0)), 107);
    let mut guest = fresh(Handshake::Open);
    send(&mut guest, r#"{"id":1,"connect":{}}"#, T0);
    rule(&mut guest, anonymous(Denial::NoCredential), T0);
    assert_eq!(code_of(&send(&mut guest, r#"{"id":2,"refresh":{"token":"x"}}"#, T0)), 103);
    assert!(rule(&mut guest, admitted(ANN, None), T0).is_empty());
    assert_eq!(guest.identity(), None);
}

#[test]
fn a_verdict_nobody_asked_for_changes_nothing() {
    let mut session = connected();
    assert!(rule(&mut session, admitted(BOB, None), T0).is_empty());
    assert_eq!(session.identity(), IdentityId::try_from(ANN).ok());
}

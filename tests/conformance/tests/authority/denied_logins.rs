//! Refused logins are in the trail, of those who exist and within bounds.

use std::time::Duration;

use auth_domain::{AuditFilter, AuditOutcome, AuditRecord, LoginAttempt, LoginOutcome, Page, Proof};
use portcullis_types::Secret;

use super::costs::counted;
use super::second_factor::{begin, code, enrol, go_on, wrong};
use super::world::{PASSWORD, SECOND, World, actor, named, tenant};

impl World {
    async fn denials(&self) -> Vec<AuditRecord> {
        let filter = AuditFilter { outcome: Some(AuditOutcome::Denied), ..AuditFilter::default() };
        let page = Page::new(1_000, "").expect("a page");
        self.authority.audit_entries(&tenant(), &filter, page).await.expect("reads").items
    }

    async fn refused(&self, attempt: LoginAttempt) {
        let outcome = self.authority.log_in(&actor(), attempt).await.expect("an outcome");
        assert!(matches!(outcome, LoginOutcome::Denied(_)), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_refused_login_is_written_with_whom_it_is_about_and_without_the_name_that_was_typed() {
    let world = World::new().await;
    let from = "192.0.2.7".parse().ok();
    let typed = "correct-horse-battery";
    world.refused(LoginAttempt { from, ..world.attempt("alice", "wrong horse battery") }).await;
    world.clock.advance(SECOND);
    world.refused(LoginAttempt { from, ..world.attempt(typed, PASSWORD) }).await;
    let elsewhere = "elsewhere".try_into().expect("a valid name");
    world.refused(LoginAttempt { tenant: elsewhere, ..world.attempt("alice", PASSWORD) }).await;
    assert_eq!(world.denials().await, [], "nothing is written while somebody waits: that would tell who exists");
    assert_eq!(world.authority.write_down_denied_logins().await.expect("writes"), 0);
    let denied = world.denials().await;
    let rows: Vec<_> = denied.iter().map(|row| (&*row.action, &*row.reason, &*row.target, &*row.address)).collect();
    let alice = format!("identity:{}", world.alice.id);
    let of = |reason, target| ("login.deny", reason, target, "192.0.2.7");
    assert_eq!(rows, [of("UNKNOWN_NAME", "tenant:acme"), of("WRONG_PASSWORD", &*alice)], "newest first");
    assert!(!format!("{denied:?}").contains(typed), "people type passwords where names belong");
    world.authority.write_down_denied_logins().await.expect("writes");
    assert_eq!(world.denials().await.len(), 2, "once");
}

#[tokio::test]
async fn whoever_is_guessed_about_without_end_fills_no_trail() {
    let world = World::new().await;
    for _ in 0..40 {
        world.refused(world.attempt("alice", "wrong horse battery")).await;
        world.refused(world.attempt("nobody", "wrong horse battery")).await;
        world.authority.write_down_denied_logins().await.expect("writes");
    }
    assert_eq!(world.denials().await.len(), 4, "a row of each of two reasons, about alice and about the tenant");
    world.clock.advance(60 * SECOND);
    world.authority.write_down_denied_logins().await.expect("writes");
    let mut told: Vec<_> = world.denials().await.into_iter().map(|row| (row.reason, row.detail)).collect();
    told.sort();
    // 9 are looked at; the rest came too early, about whomever.
    let rest = |times| format!(r#"{{"last":1700000000,"times":{times}}}"#);
    let of = |reason: &str, detail| (reason.to_owned(), detail);
    let once = String::new;
    let too_early = [once(), once(), rest(30), rest(30)].map(|detail| of("TOO_EARLY", detail));
    let looked_at = ["UNKNOWN_NAME", "WRONG_PASSWORD"].map(|reason| [of(reason, once()), of(reason, rest(8))]);
    assert_eq!(told, [too_early.to_vec(), looked_at.concat()].concat());
}

#[tokio::test]
async fn what_could_not_be_written_is_written_with_the_next() {
    let world = World::new().await;
    let (store, authority) = counted(&world).await;
    let attempt = world.attempt("alice", "wrong horse battery");
    authority.log_in(&actor(), attempt).await.expect("an outcome");
    store.is_away(true);
    authority.write_down_denied_logins().await.expect_err("the store is away");
    store.is_away(false);
    assert_eq!(authority.write_down_denied_logins().await.expect("writes"), 0);
    assert_eq!(world.denials().await, [], "a store that does not answer is not asked for it each second");
    world.clock.advance(60 * SECOND);
    authority.write_down_denied_logins().await.expect("writes");
    assert_eq!(world.denials().await.len(), 1);
}

#[tokio::test]
async fn the_right_password_of_somebody_who_may_not_log_in_is_told_from_a_wrong_one() {
    let world = World::new().await;
    world.authority.disable_identity(&actor(), &tenant(), &named("alice")).await.expect("disables");
    world.refused(world.attempt("alice", PASSWORD)).await;
    world.authority.write_down_denied_logins().await.expect("writes");
    assert_eq!(world.denials().await[0].reason, "NOT_ALLOWED");
}

#[tokio::test]
async fn a_wrong_second_factor_is_written_with_the_step_that_it_ends() {
    let world = World::new().await;
    let (app, _) = enrol(&world).await;
    let asked = begin(&world).await;
    go_on(&world, &asked.continuation, Proof::TotpCode(wrong(&world, &app))).await;
    let denied = world.denials().await;
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert_eq!((&*denied[0].reason, &*denied[0].detail), ("WRONG_SECOND_FACTOR", r#"{"method":"otp"}"#));
    assert!(!format!("{denied:?}").contains(code(&world, &app).expose_str().expect("text")));
}

#[tokio::test]
async fn a_wrong_current_password_is_written_too() {
    let world = World::new().await;
    let which = named("alice");
    let wrong = Secret::from("wrong horse battery");
    let refused = world.authority.check_own_password(&tenant(), &which, wrong, None, None).await.expect("an outcome");
    assert!(refused.is_err_and(|refusal| refusal.retry_after == Duration::ZERO));
    world.authority.write_down_denied_logins().await.expect("writes");
    let denied = &world.denials().await[0];
    assert_eq!((&*denied.action, &*denied.reason), ("password.deny", "WRONG_PASSWORD"));
}

//! Logging in with a second factor.

use std::time::Duration;

use auth_domain::{
    Actor, Brought, Challenge, Challenged, ChangePassword, ContinueError, FactorCode, IssueOutcome, IssueTokens,
    LoginAttempt, LoginMode, LoginOutcome, NewSession, OwnFactorError, OwnProof, PasswordChange, Proof, RECOVERY_CODES,
    RefreshOutcome, Refusal, Reset, RevokeTarget, SecondFactorError, SessionCredentials, TotpConfirmation,
};
use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use portcullis_types::{Clock as _, Secret};
use serde_json::{Value, json};

use super::access_tokens::claims_of;
use super::world::{GUARD, PASSWORD, SECOND, World, actor, named, tenant};

const STEP: Duration = Duration::from_secs(30);

/// What an authenticator app shows now.
pub(crate) fn code(world: &World, app: &Secret) -> Secret {
    let key = BASE32_NOPAD.decode(app.expose_bytes()).expect("base 32");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let step = world.clock.now().as_unix_seconds() / 30;
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let from = usize::from(tag.as_ref()[19] & 0x0f);
    let word: [u8; 4] = tag.as_ref()[from..from + 4].try_into().expect("four bytes");
    Secret::from(format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000))
}

pub(crate) fn wrong(world: &World, app: &Secret) -> Secret {
    let right = code(world, app);
    let first = if right.expose_bytes()[0] == b'0' { b'1' } else { b'0' };
    let mut digits = right.expose_bytes().to_vec();
    digits[0] = first;
    Secret::new(digits)
}

/// Alice gets an app and recovery codes, and time passes, so that the app shows another code.
pub(crate) async fn enrol(world: &World) -> (Secret, Vec<Secret>) {
    let app = world
        .authority
        .enrol_totp(&actor(), &tenant(), &named("alice"))
        .await
        .expect("enrols")
        .expect("it is new")
        .secret;
    let confirmed =
        world.authority.confirm_totp(&actor(), &tenant(), &named("alice"), &code(world, &app)).await.expect("answers");
    let TotpConfirmation::Confirmed(codes) = confirmed else { panic!("the code is right") };
    world.clock.advance(STEP);
    (app, codes)
}

pub(crate) async fn begin(world: &World) -> Box<Challenged> {
    match world.authority.log_in(&actor(), world.attempt("alice", PASSWORD)).await.expect("an outcome") {
        LoginOutcome::Challenged(challenged) => challenged,
        other => panic!("not asked for more: {other:?}"),
    }
}

pub(crate) async fn go_on(world: &World, continuation: &Secret, proof: Proof) -> LoginOutcome {
    world.authority.continue_login(&actor(), continuation, proof, Brought::default()).await.expect("an outcome")
}

fn granted(outcome: LoginOutcome) -> Box<NewSession> {
    match outcome {
        LoginOutcome::Granted(session) => session,
        other => panic!("not logged in: {other:?}"),
    }
}

fn challenged(outcome: LoginOutcome) -> Box<Challenged> {
    match outcome {
        LoginOutcome::Challenged(challenged) => challenged,
        other => panic!("not asked for more: {other:?}"),
    }
}

fn denied(outcome: LoginOutcome) -> Duration {
    match outcome {
        LoginOutcome::Denied(Refusal { retry_after }) => retry_after,
        other => panic!("not denied: {other:?}"),
    }
}

#[tokio::test]
async fn an_app_is_asked_for_once_it_was_confirmed_and_not_before() {
    let world = World::new().await;
    let app =
        world.authority.enrol_totp(&actor(), &tenant(), &named("alice")).await.expect("enrols").expect("it is new");
    let uri = app.uri.expose_str().expect("text").to_owned();
    assert!(uri.starts_with("otpauth://totp/Portcullis:alice?secret="), "{uri}");
    world.log_in().await;
    let refused = world
        .authority
        .confirm_totp(&actor(), &tenant(), &named("alice"), &wrong(&world, &app.secret))
        .await
        .expect("answers");
    assert!(matches!(refused, TotpConfirmation::Refused(_)));
    world.log_in().await;
    let (app, _) = enrol(&world).await;
    let asked = begin(&world).await;
    assert_eq!(asked.challenge, Challenge::SecondFactor { recovery_codes_left: 10 });
    assert!(!asked.refused_before && asked.expires_in <= Duration::from_secs(300));
    granted(go_on(&world, &asked.continuation, Proof::TotpCode(code(&world, &app))).await);

    let again = world.authority.enrol_totp(&actor(), &tenant(), &named("alice")).await;
    assert!(matches!(again, Err(SecondFactorError::Exists)));
    world.authority.remove_second_factor(&actor(), &tenant(), &named("alice")).await.expect("removes");
    world.log_in().await;
}

#[tokio::test]
async fn a_code_logs_in_once() {
    let world = World::new().await;
    let (app, _) = enrol(&world).await;
    let seen = code(&world, &app);
    granted(go_on(&world, &begin(&world).await.continuation, Proof::TotpCode(seen.clone())).await);
    let replayed = challenged(go_on(&world, &begin(&world).await.continuation, Proof::TotpCode(seen)).await);
    assert!(replayed.refused_before);
    world.clock.advance(STEP);
    granted(go_on(&world, &replayed.continuation, Proof::TotpCode(code(&world, &app))).await);
}

#[tokio::test]
async fn the_code_that_confirmed_an_app_logs_nobody_in() {
    let world = World::new().await;
    let app = world
        .authority
        .enrol_totp(&actor(), &tenant(), &named("alice"))
        .await
        .expect("enrols")
        .expect("it is new")
        .secret;
    let seen = code(&world, &app);
    world.authority.confirm_totp(&actor(), &tenant(), &named("alice"), &seen).await.expect("answers");
    assert!(challenged(go_on(&world, &begin(&world).await.continuation, Proof::TotpCode(seen)).await).refused_before);
}

#[tokio::test]
async fn a_continuation_is_of_one_use_right_or_wrong() {
    let world = World::new().await;
    let (app, _) = enrol(&world).await;
    let first = begin(&world).await.continuation;
    let second = challenged(go_on(&world, &first, Proof::TotpCode(wrong(&world, &app))).await).continuation;
    denied(go_on(&world, &first, Proof::TotpCode(code(&world, &app))).await);
    granted(go_on(&world, &second, Proof::TotpCode(code(&world, &app))).await);
    world.clock.advance(STEP);
    denied(go_on(&world, &second, Proof::TotpCode(code(&world, &app))).await);
    for nonsense in ["", "lc_x", "rt_x"] {
        denied(go_on(&world, &Secret::from(nonsense), Proof::TotpCode(code(&world, &app))).await);
    }
}

#[tokio::test]
async fn proofs_are_counted_over_all_logins_that_are_begun() {
    let world = World::new().await;
    let (app, _) = enrol(&world).await;
    // Five are free; the sixth has to be waited for, whichever login it belongs to.
    for _ in 0..5 {
        go_on(&world, &begin(&world).await.continuation, Proof::TotpCode(wrong(&world, &app))).await;
    }
    let asked = begin(&world).await;
    assert_eq!(denied(go_on(&world, &asked.continuation, Proof::TotpCode(wrong(&world, &app))).await), SECOND);
    let asked = begin(&world).await;
    let early = go_on(&world, &asked.continuation, Proof::TotpCode(code(&world, &app))).await;
    assert_eq!(denied(early), SECOND, "even the right one");
    world.clock.advance(SECOND);
    granted(go_on(&world, &asked.continuation, Proof::TotpCode(code(&world, &app))).await);
}

/// Begins to log in from an address.
async fn begin_at(world: &World, address: &str) -> LoginOutcome {
    let attempt = LoginAttempt { from: address.parse().ok(), ..world.attempt("alice", PASSWORD) };
    world.authority.log_in(&actor(), attempt).await.expect("an outcome")
}

#[tokio::test]
async fn whoever_has_the_password_does_not_lock_its_owner_out_of_the_second_factor() {
    let world = World::new().await;
    let (app, _) = enrol(&world).await;
    let asked = challenged(begin_at(&world, "192.0.2.1").await);
    granted(go_on(&world, &asked.continuation, Proof::TotpCode(code(&world, &app))).await);
    world.clock.advance(STEP);
    let mut longest = Duration::ZERO;
    for guess in 0..40 {
        let stranger = begin_at(&world, &format!("198.51.100.{guess}")).await;
        let LoginOutcome::Challenged(asked) = stranger else { continue };
        let wrong = Proof::TotpCode(wrong(&world, &app));
        if let LoginOutcome::Denied(refusal) = go_on(&world, &asked.continuation, wrong).await {
            longest = longest.max(refusal.retry_after);
            world.clock.advance(refusal.retry_after);
        }
    }
    assert_eq!(longest, GUARD.longest, "as slow as it gets");
    let at_home = || begin_at(&world, "192.0.2.1");
    let asked = challenged(at_home().await);
    granted(go_on(&world, &asked.continuation, Proof::TotpCode(code(&world, &app))).await);
    // Nor is guessing at home free.
    for _ in 0..GUARD.free_per_place {
        let asked = challenged(at_home().await);
        go_on(&world, &asked.continuation, Proof::TotpCode(wrong(&world, &app))).await;
    }
    let asked = challenged(at_home().await);
    assert_eq!(denied(go_on(&world, &asked.continuation, Proof::TotpCode(wrong(&world, &app))).await), SECOND);
}

fn own(password: &str, code: FactorCode) -> OwnProof {
    OwnProof { password: Secret::from(password), code, from: None, device: None }
}

#[tokio::test]
async fn an_owner_needs_password_and_code_to_renew_the_recovery_codes_and_to_remove_the_factor() {
    let world = World::new().await;
    let (app, codes) = enrol(&world).await;
    let (authority, who) = (&world.authority, named("alice"));
    for (password, code) in [
        (PASSWORD, FactorCode::Totp(wrong(&world, &app))),
        (PASSWORD, FactorCode::Recovery(Secret::from("abcd-efgh-ijkl-mnop"))),
        ("wrong horse battery", FactorCode::Totp(code(&world, &app))),
    ] {
        let removed = authority.remove_own_second_factor(&actor(), &tenant(), &who, own(password, code.clone())).await;
        assert!(removed.expect("an outcome").is_err());
        let renewed = authority.renew_own_recovery_codes(&actor(), &tenant(), &who, own(password, code)).await;
        assert!(renewed.expect("an outcome").is_err());
    }
    let shown = own(PASSWORD, FactorCode::Totp(code(&world, &app)));
    let renewed = authority.renew_own_recovery_codes(&actor(), &tenant(), &who, shown.clone()).await;
    let renewed = renewed.expect("an outcome").expect("both are right");
    let replayed = authority.remove_own_second_factor(&actor(), &tenant(), &who, shown).await;
    assert!(replayed.expect("an outcome").is_err(), "a code is used once, whatever for");
    let remove = |code: &Secret| {
        let proof = own(PASSWORD, FactorCode::Recovery(code.clone()));
        async { authority.remove_own_second_factor(&actor(), &tenant(), &named("alice"), proof).await }
    };
    assert!(remove(&codes[0]).await.expect("an outcome").is_err(), "void since there are others");
    // Five wrong ones were free, and this was the sixth.
    world.clock.advance(SECOND);
    remove(&renewed[0]).await.expect("an outcome").expect("both are right");
    world.log_in().await;
    let gone = remove(&renewed[1]).await;
    assert!(matches!(gone, Err(OwnFactorError::Factor(SecondFactorError::NotFound))), "{gone:?}");
}

#[tokio::test]
async fn codes_that_are_guessed_for_a_change_are_counted_with_those_of_logins() {
    let world = World::new().await;
    let (app, _) = enrol(&world).await;
    for _ in 0..=GUARD.free_per_place {
        let guess = own(PASSWORD, FactorCode::Totp(wrong(&world, &app)));
        let refused = world.authority.remove_own_second_factor(&actor(), &tenant(), &named("alice"), guess).await;
        assert!(refused.expect("an outcome").is_err());
    }
    let asked = begin(&world).await;
    assert_eq!(denied(go_on(&world, &asked.continuation, Proof::TotpCode(code(&world, &app))).await), SECOND);
}

#[tokio::test]
async fn a_login_ends_after_so_many_wrong_codes() {
    let world = World::new().await;
    let (app, _) = enrol(&world).await;
    let mut asked = begin(&world).await;
    for _ in 0..4 {
        asked = challenged(go_on(&world, &asked.continuation, Proof::TotpCode(wrong(&world, &app))).await);
    }
    denied(go_on(&world, &asked.continuation, Proof::TotpCode(wrong(&world, &app))).await);
}

#[tokio::test]
async fn a_recovery_code_logs_in_once_and_is_counted() {
    let world = World::new().await;
    let (_, codes) = enrol(&world).await;
    assert_eq!(codes.len(), RECOVERY_CODES);
    let typed = Secret::from(codes[3].expose_str().expect("text").to_uppercase().replace('-', " "));
    granted(go_on(&world, &begin(&world).await.continuation, Proof::RecoveryCode(typed)).await);
    let asked = begin(&world).await;
    assert_eq!(asked.challenge, Challenge::SecondFactor { recovery_codes_left: 9 });
    let again = go_on(&world, &asked.continuation, Proof::RecoveryCode(codes[3].clone())).await;
    assert!(challenged(again).refused_before);
    let renewed = world
        .authority
        .renew_recovery_codes(&actor(), &tenant(), &named("alice"))
        .await
        .expect("renews")
        .expect("they are new");
    let old = go_on(&world, &begin(&world).await.continuation, Proof::RecoveryCode(codes[4].clone())).await;
    challenged(old);
    granted(go_on(&world, &begin(&world).await.continuation, Proof::RecoveryCode(renewed[4].clone())).await);
}

#[tokio::test]
async fn a_login_goes_on_only_for_whoever_began_it() {
    let world = World::new().await;
    let (app, _) = enrol(&world).await;
    let asked = begin(&world).await;
    let proof = Proof::TotpCode(code(&world, &app));
    let other = Actor::caller(&world.admin);
    let stolen = world.authority.continue_login(&other, &asked.continuation, proof.clone(), Brought::default()).await;
    denied(stolen.expect("an outcome"));
    granted(go_on(&world, &asked.continuation, proof).await);
}

#[tokio::test]
async fn a_login_does_not_go_on_after_what_it_rests_on_has_changed() {
    let world = World::new().await;
    let (app, _) = enrol(&world).await;
    let asked = begin(&world).await;
    world.revoke(RevokeTarget::Identity(named("alice"))).await;
    denied(go_on(&world, &asked.continuation, Proof::TotpCode(code(&world, &app))).await);

    let asked = begin(&world).await;
    world.authority.disable_identity(&actor(), &tenant(), &named("alice")).await.expect("disables");
    world.authority.enable_identity(&actor(), &tenant(), &named("alice")).await.expect("enables");
    denied(go_on(&world, &asked.continuation, Proof::TotpCode(code(&world, &app))).await);

    let asked = begin(&world).await;
    let new = Secret::from("another horse battery");
    world.authority.set_password(&actor(), &tenant(), &named("alice"), new.clone()).await.expect("sets");
    denied(go_on(&world, &asked.continuation, Proof::TotpCode(code(&world, &app))).await);

    let again = world.attempt("alice", new.expose_str().expect("text"));
    let asked = challenged(world.authority.log_in(&actor(), again).await.expect("an outcome"));
    world.clock.advance(Duration::from_secs(300));
    denied(go_on(&world, &asked.continuation, Proof::TotpCode(code(&world, &app))).await);
}

#[tokio::test]
async fn the_second_factor_is_asked_for_before_the_new_password() {
    let world = World::new().await;
    let (app, _) = enrol(&world).await;
    let temporary = Secret::from("temporary horse");
    let reset = Reset::Temporary(temporary.clone());
    world.authority.reset_password(&actor(), &tenant(), &named("alice"), reset).await.expect("resets");
    let attempt = world.attempt("alice", "temporary horse");
    let asked = challenged(world.authority.log_in(&actor(), attempt).await.expect("an outcome"));
    assert!(matches!(asked.challenge, Challenge::SecondFactor { .. }));
    let skipped = Proof::NewPassword(Secret::from("another horse battery"));
    let skipped = world.authority.continue_login(&actor(), &asked.continuation, skipped, Brought::default()).await;
    assert!(matches!(skipped, Err(ContinueError::OtherProofWanted)));
    let asked = challenged(go_on(&world, &asked.continuation, Proof::TotpCode(code(&world, &app))).await);
    assert_eq!(asked.challenge, Challenge::NewPassword);
    let same = world
        .authority
        .continue_login(&actor(), &asked.continuation, Proof::NewPassword(temporary), Brought::default())
        .await;
    assert!(matches!(same, Err(ContinueError::Password(_))), "{same:?}");
    granted(go_on(&world, &asked.continuation, Proof::NewPassword(Secret::from("another horse battery"))).await);
}

/// What a session remembers of its login, what its tokens say, and when that was.
async fn told(world: &World, session: &NewSession) -> (String, Value, Option<i64>) {
    let listed = world.authority.session(&tenant(), session.session.id).await.expect("reads").expect("it is there");
    let SessionCredentials::Tokens(tokens) = &session.credentials else { panic!("tokens were asked for") };
    let claims = claims_of(&tokens.access);
    let at = claims["auth_time"].as_i64();
    let how = listed.session.authentication;
    assert_eq!(how.map(|how| how.at.as_unix_seconds()), at);
    (how.map_or_else(String::new, |how| how.methods.words()), claims["amr"].clone(), at)
}

#[tokio::test]
async fn a_session_and_its_tokens_say_what_its_login_rested_on_and_when() {
    let world = World::new().await;
    let now = || Some(world.clock.now().as_unix_seconds());
    let (plain, _) = world.log_in().await;
    assert_eq!(told(&world, &plain).await, ("pwd".into(), json!(["pwd"]), now()));

    let (app, codes) = enrol(&world).await;
    let proof = Proof::TotpCode(code(&world, &app));
    let with_app = granted(go_on(&world, &begin(&world).await.continuation, proof).await);
    assert_eq!(told(&world, &with_app).await, ("pwd otp".into(), json!(["pwd", "otp", "mfa"]), now()));
    let proof = Proof::RecoveryCode(codes[0].clone());
    let with_code = granted(go_on(&world, &begin(&world).await.continuation, proof).await);
    let expected = json!(["pwd", "recovery_code", "mfa"]);
    assert_eq!(told(&world, &with_code).await, ("pwd recovery_code".into(), expected, now()));

    let at = now();
    world.clock.advance(600 * SECOND);
    let SessionCredentials::Tokens(tokens) = &with_app.credentials else { panic!("tokens were asked for") };
    let RefreshOutcome::Granted(next) =
        world.authority.refresh_tokens(&actor(), &tokens.refresh).await.expect("answers")
    else {
        panic!("it is good")
    };
    let claims = claims_of(&next.access);
    assert_eq!((&claims["amr"], claims["auth_time"].as_i64()), (&json!(["pwd", "otp", "mfa"]), at), "as it was");

    let wanted = IssueTokens { tenant: tenant(), identity: named("alice"), device: None, client: None };
    let IssueOutcome::Opened(vouched) = world.authority.issue_tokens(&actor(), wanted).await.expect("issues") else {
        panic!("it is new")
    };
    assert_eq!(told(&world, &vouched).await, (String::new(), Value::Null, None), "nobody proved it here");
}

#[tokio::test]
async fn a_password_that_must_be_replaced_costs_no_factor_and_one_that_is_changed_goes_on_with_the_login() {
    let world = World::new().await;
    let (_, codes) = enrol(&world).await;
    let reset = Reset::Temporary(Secret::from("temporary horse"));
    world.authority.reset_password(&actor(), &tenant(), &named("alice"), reset).await.expect("resets");
    let outcome = world.authority.log_in(&actor(), world.attempt("alice", "temporary horse")).await;
    let asked = challenged(outcome.expect("an outcome"));
    let asked = challenged(go_on(&world, &asked.continuation, Proof::RecoveryCode(codes[0].clone())).await);
    let new = Proof::NewPassword(Secret::from("another horse"));
    let session = granted(go_on(&world, &asked.continuation, new).await);
    let (words, _, at) = told(&world, &session).await;
    assert_eq!(words, "pwd recovery_code");

    world.clock.advance(60 * SECOND);
    let change = ChangePassword {
        tenant: tenant(),
        identity: named("alice"),
        current: Secret::from("another horse"),
        new: Secret::from("a third horse"),
        from: None,
        device: None,
        goes_on: Some((session.session.id, LoginMode::Tokens)),
    };
    let changed = world.authority.change_password(&actor(), change).await.expect("changes");
    let PasswordChange::Changed { session: Some(next), .. } = changed else { panic!("it goes on") };
    assert_eq!(told(&world, &next).await, ("pwd recovery_code".into(), json!(["pwd", "recovery_code", "mfa"]), at));
}

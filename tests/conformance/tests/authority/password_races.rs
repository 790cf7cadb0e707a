//! A password that several change at once, while somebody logs in by it.

use std::sync::Arc;

use auth_domain::{
    Actor, BeginError, Brought, ChangePassword, ChangePasswordError, Committed, DenyReason, EndBefore, FactorCode,
    IdentityRef, Label, LoginAttempt, LoginError, LoginMode, LoginOutcome, NewSession, OwnFactorError, OwnProof,
    PasswordChange, PasswordWasReset, Proof, Reason, Reset, RevokeSessions, RevokeTarget, SecondFactorError,
    SessionCredentials, SessionsBy,
};
use portcullis_types::{ClientId, Clock as _, Secret, SessionId};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

use super::world::{GUARD, PASSWORD, SECOND, World, actor, named, tenant};

const NEW: &str = "another horse battery";
const TEMPORARY: &str = "temporary horse";
/// How often what may come in any order is begun.
const ROUNDS: usize = 12;

async fn reset(world: &World, reset: Reset) -> PasswordWasReset {
    world.authority.reset_password(&actor(), &tenant(), &named("alice"), reset).await.expect("resets")
}

async fn change(world: &World, goes_on: SessionId) -> PasswordChange {
    change_to(world, NEW, Some((goes_on, LoginMode::Tokens))).await
}

async fn change_to(world: &World, new: &str, goes_on: Option<(SessionId, LoginMode)>) -> PasswordChange {
    change_by(world, &actor(), new, goes_on).await.expect("an outcome")
}

async fn change_by(
    world: &World,
    by: &Actor,
    new: &str,
    goes_on: Option<(SessionId, LoginMode)>,
) -> Result<PasswordChange, ChangePasswordError> {
    let change = ChangePassword {
        tenant: tenant(),
        identity: named("alice"),
        current: Secret::from(PASSWORD),
        new: Secret::from(new),
        from: None,
        device: None,
        goes_on,
    };
    world.authority.change_password(by, change).await
}

async fn log_in(world: &World, password: &str) -> LoginOutcome {
    world.authority.log_in(&actor(), world.attempt("alice", password)).await.expect("an outcome")
}

/// Begins when as many others do.
fn at_once<T: Send + 'static>(start: &Arc<Barrier>, what: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let start = Arc::clone(start);
    tokio::spawn(async move {
        start.wait().await;
        what.await
    })
}

/// The same password again, nobody logged in, and no guess counted any more.
async fn anew(world: &World) {
    world.clock.advance(GUARD.forget_after + GUARD.longest);
    world.authority.set_password(&actor(), &tenant(), &named("alice"), Secret::from(PASSWORD)).await.expect("sets");
}

fn token_of(session: &NewSession) -> &Secret {
    let SessionCredentials::Tokens(tokens) = &session.credentials else { panic!("tokens were asked for") };
    &tokens.access
}

async fn is_over(world: &World, session: &NewSession) {
    assert_eq!(world.denied(token_of(session)).await, (DenyReason::IdentityRevoked, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_judged_before_a_reset_does_not_undo_it() {
    let world = Arc::new(World::new().await);
    let (opened, _) = world.log_in().await;
    let (began, go_on) = world.hasher.hold_next();
    let slow = Arc::clone(&world);
    let changing = tokio::spawn(async move { change(&slow, opened.session.id).await });
    began.await.expect("the check begins");
    reset(&world, Reset::Temporary(Secret::from(TEMPORARY))).await;
    go_on.send(()).expect("it waits");
    assert!(matches!(changing.await.expect("no panic"), PasswordChange::Refused(_)));
    for gone in [PASSWORD, NEW] {
        assert!(matches!(log_in(&world, gone).await, LoginOutcome::Denied(_)), "{gone}");
    }
    assert!(matches!(log_in(&world, TEMPORARY).await, LoginOutcome::Challenged(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_was_checked_before_a_change_is_denied() {
    let world = Arc::new(World::new().await);
    let (opened, _) = world.log_in().await;
    let (began, go_on) = world.hasher.hold_next();
    let slow = Arc::clone(&world);
    let login = tokio::spawn(async move { log_in(&slow, PASSWORD).await });
    began.await.expect("the check begins");
    assert!(matches!(change(&world, opened.session.id).await, PasswordChange::Changed { .. }));
    go_on.send(()).expect("it waits");
    assert!(matches!(login.await.expect("no panic"), LoginOutcome::Denied(_)));
}

fn web() -> ClientId {
    ClientId::try_from("web").expect("a valid id")
}

/// What ends a session, and how it is refused then.
#[derive(Clone, Copy, Debug)]
enum End {
    Session,
    Identity,
    Client,
    Device,
    Before,
    Tenant,
    ClientBefore,
    TenantBefore,
}

const ENDS: [(End, DenyReason); 8] = [
    (End::Session, DenyReason::SessionRevoked),
    (End::Identity, DenyReason::IdentityRevoked),
    (End::Client, DenyReason::CredentialRevoked),
    (End::Device, DenyReason::SessionRevoked),
    (End::Before, DenyReason::SessionRevoked),
    (End::Tenant, DenyReason::TenantRevoked),
    (End::ClientBefore, DenyReason::CredentialRevoked),
    (End::TenantBefore, DenyReason::TenantRevoked),
];

impl End {
    async fn come_over(self, world: &World, session: SessionId) {
        let all = |by| {
            let which = named("alice");
            RevokeSessions { tenant: tenant(), which, by, reason: Reason::Compromised, pace: None }
        };
        let done = |_: Committed| ();
        let many = match self {
            Self::Session => return done(world.revoke(RevokeTarget::Session(session)).await),
            Self::Identity => return done(world.revoke(RevokeTarget::Identity(named("alice"))).await),
            Self::Client => return done(world.revoke(RevokeTarget::Client(web())).await),
            Self::Tenant => return done(world.revoke(RevokeTarget::Tenant).await),
            Self::ClientBefore => return done(end_before(world, Some(web())).await),
            Self::TenantBefore => return done(end_before(world, None).await),
            Self::Device => all(SessionsBy::Device(phone())),
            Self::Before => all(SessionsBy::BegunBefore(world.clock.now() + SECOND)),
        };
        let ended = world.authority.revoke_sessions(&actor(), many).await.expect("ends");
        assert!(ended.committed.is_some(), "{self:?}");
    }
}

/// Ends everything that began until now.
async fn end_before(world: &World, client: Option<ClientId>) -> Committed {
    world.clock.advance(SECOND);
    let before = EndBefore { tenant: tenant(), client, before: world.clock.now(), reason: Reason::Compromised };
    world.authority.end_before(&actor(), before).await.expect("ends")
}

fn phone() -> Label {
    Label::try_from("phone").expect("a valid label")
}

/// A session of alice on her phone, and how she acts in it.
async fn on_the_phone(world: &World) -> (NewSession, Actor) {
    let attempt = LoginAttempt { device: Some(phone()), ..world.attempt("alice", PASSWORD) };
    let outcome = world.authority.log_in(&actor(), attempt).await.expect("an outcome");
    let LoginOutcome::Granted(opened) = outcome else { panic!("alice could not log in") };
    let acting = world.allowed(token_of(&opened)).await.principal.acting();
    (*opened, acting)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_ended_while_its_password_is_hashed_changes_nothing() {
    let world = Arc::new(World::new().await);
    for (end, why) in ENDS {
        anew(&world).await;
        let (opened, by) = on_the_phone(&world).await;
        let id = opened.session.id;
        let (began, go_on) = world.hasher.hold_next();
        let slow = Arc::clone(&world);
        let changing = tokio::spawn(async move { change_by(&slow, &by, NEW, Some((id, LoginMode::Tokens))).await });
        began.await.expect("the check begins");
        end.come_over(&world, id).await;
        let head = world.store.head().await.expect("reads");
        go_on.send(()).expect("it waits");
        let answer = changing.await.expect("no panic");
        let refused = BeginError::HolderRefused(why);
        let Err(ChangePasswordError::Login(LoginError::Begin(error))) = answer else { panic!("{end:?}: {answer:?}") };
        assert_eq!(format!("{error:?}"), format!("{refused:?}"), "{end:?}");
        assert_eq!(world.store.head().await.expect("reads"), head, "nothing was changed: {end:?}");
        assert!(matches!(log_in(&world, PASSWORD).await, LoginOutcome::Granted(_)), "{end:?}");
    }
}

/// Where nothing was presented, by which the change could be refused, the password changes; but nobody goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_ended_while_its_password_is_hashed_has_no_successor() {
    let world = Arc::new(World::new().await);
    for (end, _) in ENDS {
        // The change ends the identity's sessions too, and which of the two came first is not told by its row.
        if matches!(end, End::Identity) {
            continue;
        }
        anew(&world).await;
        let id = on_the_phone(&world).await.0.session.id;
        let (began, go_on) = world.hasher.hold_next();
        let slow = Arc::clone(&world);
        let changing = tokio::spawn(async move { change(&slow, id).await });
        began.await.expect("the check begins");
        end.come_over(&world, id).await;
        go_on.send(()).expect("it waits");
        let answer = changing.await.expect("no panic");
        assert!(matches!(answer, PasswordChange::Changed { session: None, .. }), "{end:?}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_ended_while_a_password_is_hashed_keeps_no_second_factor_off() {
    let world = Arc::new(World::new().await);
    let enrolled = world.authority.enrol_totp(&actor(), &tenant(), &named("alice")).await.expect("enrols");
    let secret = enrolled.expect("for the first time").secret;
    let code = super::second_factor::code(&world, &secret);
    world.authority.confirm_totp(&actor(), &tenant(), &named("alice"), &code).await.expect("confirms");
    let issued = auth_domain::IssueTokens { tenant: tenant(), identity: named("alice"), device: None, client: None };
    let auth_domain::IssueOutcome::Opened(opened) =
        world.authority.issue_tokens(&actor(), issued).await.expect("opens")
    else {
        panic!("nobody named it")
    };
    let by = world.allowed(token_of(&opened)).await.principal.acting();
    world.clock.advance(SECOND * 30);
    let code = FactorCode::Totp(super::second_factor::code(&world, &secret));
    let proof = OwnProof { password: Secret::from(PASSWORD), code, from: None, device: None };
    let (began, go_on) = world.hasher.hold_next();
    let slow = Arc::clone(&world);
    let which: IdentityRef = named("alice");
    let removing =
        tokio::spawn(async move { slow.authority.remove_own_second_factor(&by, &tenant(), &which, proof).await });
    began.await.expect("the check begins");
    world.revoke(RevokeTarget::Session(opened.session.id)).await;
    go_on.send(()).expect("it waits");
    let answer = removing.await.expect("no panic");
    let Err(OwnFactorError::Factor(SecondFactorError::Begin(BeginError::HolderRefused(why)))) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(why, DenyReason::SessionRevoked);
    assert!(matches!(log_in(&world, PASSWORD).await, LoginOutcome::Challenged(_)), "it still stands");
}

/// A client application that is revoked between the steps of a login, or while the last of them is hashed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_must_replace_a_password_does_not_outlive_its_client_or_tenant() {
    let world = Arc::new(World::new().await);
    // Else nobody has heard of the client.
    let nobodys = world.log_in().await.0.session.id;
    for end in [End::Client, End::Tenant, End::Identity, End::ClientBefore, End::TenantBefore] {
        for meanwhile in [false, true] {
            anew(&world).await;
            reset(&world, Reset::Temporary(Secret::from(TEMPORARY))).await;
            let LoginOutcome::Challenged(asked) = log_in(&world, TEMPORARY).await else {
                panic!("it must be replaced")
            };
            let slow = Arc::clone(&world);
            let proof = Proof::NewPassword(Secret::from(NEW));
            let going = async move {
                slow.authority.continue_login(&actor(), &asked.continuation, proof, Brought::default()).await
            };
            let outcome = if meanwhile {
                let (began, go_on) = world.hasher.hold_next();
                let going = tokio::spawn(going);
                began.await.expect("the check begins");
                end.come_over(&world, nobodys).await;
                go_on.send(()).expect("it waits");
                going.await.expect("no panic")
            } else {
                end.come_over(&world, nobodys).await;
                going.await
            };
            assert!(matches!(outcome, Ok(LoginOutcome::Denied(_))), "{end:?}, {meanwhile}: {outcome:?}");
            assert!(matches!(log_in(&world, NEW).await, LoginOutcome::Denied(_)), "nothing was replaced");
        }
    }
}

/// The owner changes it, an administrator resets it, and somebody logs in by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_is_the_last_word_whatever_is_under_way() {
    let world = Arc::new(World::new().await);
    for round in 0..ROUNDS {
        anew(&world).await;
        let id = world.log_in().await.0.session.id;
        let by_token = round % 2 == 0;
        let how = if by_token { Reset::Token } else { Reset::Temporary(Secret::from(TEMPORARY)) };
        let start = Arc::new(Barrier::new(3));
        let of = || Arc::clone(&world);
        let (changing, resetting, login) = (of(), of(), of());
        let changing = at_once(&start, async move { change(&changing, id).await });
        let resetting = at_once(&start, async move { reset(&resetting, how).await });
        let login = at_once(&start, async move { log_in(&login, PASSWORD).await });
        let reset = resetting.await.expect("no panic").committed;
        if let PasswordChange::Changed { committed, session } = changing.await.expect("no panic") {
            assert!(committed.revision.seq < reset.revision.seq, "what was reset is not changed by who knew it before");
            if let Some(session) = session {
                is_over(&world, &session).await;
            }
        }
        if let LoginOutcome::Granted(session) = login.await.expect("no panic") {
            is_over(&world, &session).await;
        }
        for gone in [PASSWORD, NEW] {
            assert!(matches!(log_in(&world, gone).await, LoginOutcome::Denied(_)), "{gone}");
        }
        let temporary = matches!(log_in(&world, TEMPORARY).await, LoginOutcome::Challenged(_));
        assert_eq!(temporary, !by_token, "it is good only where it was set");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_change_a_password_at_once_one_does() {
    let world = Arc::new(World::new().await);
    for _ in 0..ROUNDS {
        anew(&world).await;
        let start = Arc::new(Barrier::new(2));
        let news = [NEW, "a third horse battery"];
        let changes = news.map(|new| {
            let world = Arc::clone(&world);
            at_once(&start, async move { change_to(&world, new, None).await })
        });
        let mut done = Vec::new();
        for (change, new) in changes.into_iter().zip(news) {
            if let PasswordChange::Changed { .. } = change.await.expect("no panic") {
                done.push(new);
            }
        }
        assert_eq!(done.len(), 1, "{done:?}");
        for new in news {
            assert_eq!(matches!(log_in(&world, new).await, LoginOutcome::Granted(_)), done == [new], "{new}");
        }
    }
}

/// The token of one reset is used while the next one is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_one_time_token_does_not_outlive_the_next_reset() {
    let world = Arc::new(World::new().await);
    for _ in 0..ROUNDS {
        anew(&world).await;
        let token = reset(&world, Reset::Token).await.token.expect("one was asked for").0;
        let start = Arc::new(Barrier::new(2));
        let (redeeming, resetting) = (Arc::clone(&world), Arc::clone(&world));
        let redeeming = at_once(&start, async move {
            redeeming.authority.redeem_reset(&actor(), &token, Secret::from(NEW)).await.expect("an outcome")
        });
        let resetting = at_once(&start, async move { reset(&resetting, Reset::Token).await.committed });
        let reset = resetting.await.expect("no panic");
        if let PasswordChange::Changed { committed, .. } = redeeming.await.expect("no panic") {
            assert!(committed.revision.seq < reset.revision.seq, "it is used up by the reset");
        }
        assert!(matches!(log_in(&world, NEW).await, LoginOutcome::Denied(_)));
    }
}

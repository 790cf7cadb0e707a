//! A password that several change at once, while somebody logs in by it.

use std::sync::Arc;

use auth_domain::{
    ChangePassword, DenyReason, LoginMode, LoginOutcome, NewSession, PasswordChange, PasswordWasReset, Reset,
    SessionCredentials,
};
use portcullis_types::{Secret, SessionId};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

use super::world::{GUARD, PASSWORD, World, actor, named, tenant};

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
    let change = ChangePassword {
        tenant: tenant(),
        identity: named("alice"),
        current: Secret::from(PASSWORD),
        new: Secret::from(new),
        from: None,
        goes_on,
    };
    world.authority.change_password(&actor(), change).await.expect("an outcome")
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

//! Devices that are remembered, and what they are worth to whoever has one.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    Authority, Brought, ChangePassword, FactorCode, FirstPassword, IdentityKind, KeyEncryptionKey, LoginAttempt,
    LoginMode, LoginOutcome, NewIdentity, NewSession, OwnProof, Parts, PasswordChange, Proof, Reset, RevokeTarget,
};
use futures_util::future::join_all;
use portcullis_types::{IdentityName, Secret, SeededEntropy, TenantId};

use super::second_factor::{code, enrol, wrong};
use super::world::{GUARD, KEK, PASSWORD, SECOND, World, actor, named, parts, tenant};

const HOME: &str = "192.0.2.1";
const WRONG: &str = "wrong horse battery";
const DAY: Duration = Duration::from_secs(86_400);

fn attempt(world: &World, address: &str, name: &str, password: &str, device: Option<&Secret>) -> LoginAttempt {
    let brought = Brought { device: device.cloned(), ..Brought::default() };
    LoginAttempt { from: address.parse().ok(), brought, ..world.attempt(name, password) }
}

/// How long somebody waits; none when it was let in.
async fn wait(world: &World, attempt: LoginAttempt) -> Option<Duration> {
    match world.authority.log_in(&actor(), attempt).await.expect("an outcome") {
        LoginOutcome::Granted(_) | LoginOutcome::Challenged(_) => None,
        LoginOutcome::Denied(refusal) => Some(refusal.retry_after),
    }
}

/// Logs in from an address that is not come back to, on a device that is remembered.
async fn remembered(world: &World, name: &str) -> Secret {
    let mut attempt = attempt(world, "203.0.113.77", name, PASSWORD, None);
    attempt.brought.remember = true;
    let LoginOutcome::Granted(opened) = world.authority.log_in(&actor(), attempt).await.expect("an outcome") else {
        panic!("the password is right")
    };
    value_of(&opened)
}

fn value_of(opened: &NewSession) -> Secret {
    let device = opened.device.as_ref().expect("it is remembered");
    assert_eq!(device.expires_in, 90 * DAY);
    device.value.clone()
}

/// Others guess until the account is as slow as it gets.
async fn siege(world: &World, name: &str) {
    let mut longest = Duration::ZERO;
    for guess in 0..60 {
        let wait = wait(world, attempt(world, &format!("198.51.100.{guess}"), name, WRONG, None)).await;
        longest = longest.max(wait.expect("it is wrong"));
        if longest < GUARD.longest {
            world.clock.advance(wait.unwrap_or_default());
        }
    }
    assert_eq!(longest, GUARD.longest);
}

#[tokio::test]
async fn on_a_device_that_was_logged_in_on_nobody_is_slowed_whatever_the_address() {
    let world = World::new().await;
    let device = remembered(&world, "alice").await;
    siege(&world, "alice").await;
    let elsewhere = |device| attempt(&world, "203.0.113.5", "alice", PASSWORD, device);
    assert!(wait(&world, elsewhere(None)).await.is_some(), "without it");
    let outcome = world.authority.log_in(&actor(), elsewhere(Some(&device))).await.expect("an outcome");
    let LoginOutcome::Granted(opened) = outcome else { panic!("with it: {outcome:?}") };
    assert_eq!(value_of(&opened), device, "it goes on");
}

#[tokio::test]
async fn a_device_that_is_forged_or_of_another_account_is_none() {
    let world = World::new().await;
    let bob = NewIdentity {
        password: Some(FirstPassword::Chosen(Secret::from(PASSWORD))),
        ..NewIdentity::plain(tenant(), IdentityKind::User, IdentityName::try_from("bob").expect("valid"))
    };
    world.authority.create_identity(&actor(), bob).await.expect("a new identity");
    let device = remembered(&world, "bob").await;
    siege(&world, "alice").await;
    let mut forged = device.expose_bytes().to_vec();
    forged[30] = if forged[30] == b'A' { b'B' } else { b'A' };
    for none in [device.clone(), Secret::new(forged), Secret::from("dv_x"), Secret::from("")] {
        assert!(wait(&world, attempt(&world, HOME, "alice", PASSWORD, Some(&none))).await.is_some());
        let nobody = attempt(&world, HOME, "nobody", PASSWORD, Some(&none));
        assert!(wait(&world, nobody).await.is_some());
    }
    world.clock.advance(GUARD.longest);
    let mut with_bobs = attempt(&world, HOME, "alice", PASSWORD, Some(&device));
    with_bobs.brought.remember = true;
    let outcome = world.authority.log_in(&actor(), with_bobs).await.expect("an outcome");
    let LoginOutcome::Granted(opened) = outcome else { panic!("it waited: {outcome:?}") };
    assert!(opened.device.is_some_and(|drawn| drawn.value != device), "what a client brings is not taken");
}

#[tokio::test]
async fn a_device_of_one_tenant_is_none_in_another() {
    let world = World::new().await;
    let device = remembered(&world, "alice").await;
    let other = TenantId::try_from("other").expect("valid");
    world.authority.create_tenant(&actor(), other.clone(), None, None).await.expect("a new tenant");
    let namesake = NewIdentity {
        password: Some(FirstPassword::Chosen(Secret::from(PASSWORD))),
        ..NewIdentity::plain(other.clone(), IdentityKind::User, IdentityName::try_from("alice").expect("valid"))
    };
    world.authority.create_identity(&actor(), namesake).await.expect("a new identity");
    let attempt = LoginAttempt { tenant: other, ..attempt(&world, HOME, "alice", PASSWORD, Some(&device)) };
    let outcome = world.authority.log_in(&actor(), attempt).await.expect("an outcome");
    let LoginOutcome::Granted(opened) = outcome else { panic!("the password is right: {outcome:?}") };
    assert!(opened.device.is_none(), "nothing was asked for, and nothing is known");
}

#[tokio::test]
async fn a_thief_has_the_guesses_of_the_device_beside_everybodys_and_slows_nobody_at_a_known_place() {
    let world = World::new().await;
    let device = remembered(&world, "alice").await;
    assert_eq!(wait(&world, attempt(&world, HOME, "alice", PASSWORD, None)).await, None);
    let mut told = Vec::new();
    let guesses = GUARD.free_per_place + 1 + GUARD.free_per_account + 1;
    for guess in 0..guesses {
        let stolen = attempt(&world, &format!("198.51.100.{guess}"), "alice", WRONG, Some(&device));
        told.push(wait(&world, stolen).await.expect("it is wrong").as_secs());
    }
    // First on the device, then as anybody.
    assert_eq!(told, [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let stolen = |password| attempt(&world, "198.51.100.200", "alice", password, Some(&device));
    assert_eq!(wait(&world, stolen(WRONG)).await, Some(SECOND));
    assert_eq!(wait(&world, stolen(PASSWORD)).await, Some(SECOND), "even the right one");
    assert_eq!(wait(&world, attempt(&world, HOME, "alice", PASSWORD, Some(&device))).await, None, "her own place");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_made_at_once_on_a_stolen_device_do_not_outrun_its_delay() {
    let world = Arc::new(World::new().await);
    let device = remembered(&world, "alice").await;
    siege(&world, "alice").await;
    let guesses = (0..50).map(|guess| {
        let (world, device) = (Arc::clone(&world), device.clone());
        tokio::spawn(async move {
            let stolen = attempt(&world, &format!("198.51.100.{guess}"), "alice", WRONG, Some(&device));
            wait(&world, stolen).await
        })
    });
    assert!(join_all(guesses).await.into_iter().all(|wait| wait.expect("no guess panics").is_some()));
    let right = || attempt(&world, "203.0.113.5", "alice", PASSWORD, Some(&device));
    assert_eq!(wait(&world, right()).await, Some(SECOND), "one was let in beyond the free ones");
    // Had more than one been, the delay would be longer than the first one.
    world.clock.advance(SECOND);
    assert_eq!(wait(&world, right()).await, None);
}

#[tokio::test]
async fn a_device_is_known_to_every_replica() {
    let world = World::new().await;
    let device = remembered(&world, "alice").await;
    siege(&world, "alice").await;
    let parts = parts(Arc::clone(&world.store), &world.clock, &world.hasher, KeyEncryptionKey::new(&KEK));
    let replica = Authority::open(Parts { entropy: Arc::new(SeededEntropy::new(2)), ..parts }).await.expect("opens");
    let elsewhere = attempt(&world, "203.0.113.5", "alice", PASSWORD, Some(&device));
    let outcome = replica.log_in(&actor(), elsewhere).await.expect("an outcome");
    assert!(matches!(outcome, LoginOutcome::Granted(_)), "{outcome:?}");
}

/// What makes the devices of an account unknown.
#[derive(Clone, Copy, Debug)]
enum End {
    Change,
    Reset,
    LogoutEverywhere,
    Disabling,
    Suspension,
}

impl End {
    /// Brings it about; the password from now on.
    async fn come(self, world: &World) -> &'static str {
        let (tenant, alice) = (tenant(), named("alice"));
        match self {
            Self::Change => {
                let (current, new) = (Secret::from(PASSWORD), Secret::from("another horse battery"));
                let change =
                    ChangePassword { tenant, identity: alice, current, new, from: None, device: None, goes_on: None };
                let changed = world.authority.change_password(&actor(), change).await.expect("an outcome");
                assert!(matches!(changed, PasswordChange::Changed { .. }), "{changed:?}");
                "another horse battery"
            }
            Self::Reset => {
                let temporary = Reset::Temporary(Secret::from("temporary horse"));
                world.authority.reset_password(&actor(), &tenant, &alice, temporary).await.expect("resets");
                "temporary horse"
            }
            Self::LogoutEverywhere => {
                world.revoke(RevokeTarget::Identity(alice)).await;
                PASSWORD
            }
            Self::Disabling => {
                world.authority.disable_identity(&actor(), &tenant, &alice).await.expect("disables");
                world.authority.enable_identity(&actor(), &tenant, &alice).await.expect("enables");
                PASSWORD
            }
            Self::Suspension => {
                world.authority.suspend_tenant(&actor(), &tenant).await.expect("suspends");
                world.authority.reinstate_tenant(&actor(), &tenant).await.expect("reinstates");
                PASSWORD
            }
        }
    }
}

#[tokio::test]
async fn a_new_password_and_the_end_of_every_session_forget_every_device() {
    for end in [End::Change, End::Reset, End::LogoutEverywhere, End::Disabling, End::Suspension] {
        let world = World::new().await;
        let device = remembered(&world, "alice").await;
        let password = end.come(&world).await;
        siege(&world, "alice").await;
        let back = attempt(&world, "203.0.113.5", "alice", password, Some(&device));
        assert!(wait(&world, back).await.is_some(), "{end:?}");
    }
}

#[tokio::test]
async fn an_account_has_so_many_known_devices() {
    let world = World::new().await;
    let mut devices = Vec::new();
    for _ in 0..33 {
        world.clock.advance(SECOND);
        devices.push(remembered(&world, "alice").await);
    }
    siege(&world, "alice").await;
    let known = async |device: &Secret| {
        wait(&world, attempt(&world, "203.0.113.5", "alice", PASSWORD, Some(device))).await.is_none()
    };
    assert!(!known(&devices[0]).await, "the one that was not used for longest");
    assert!(known(&devices[1]).await);
}

#[tokio::test]
async fn a_device_is_forgotten_that_was_not_used_for_ninety_days() {
    let world = World::new().await;
    let device = remembered(&world, "alice").await;
    for (days, is_known) in [(89, true), (89, true), (90, false)] {
        world.clock.advance(DAY * days);
        siege(&world, "alice").await;
        let back = attempt(&world, "203.0.113.5", "alice", PASSWORD, Some(&device));
        assert_eq!(wait(&world, back).await.is_none(), is_known, "{days}");
    }
}

#[tokio::test]
async fn nobody_is_remembered_unasked() {
    let world = World::new().await;
    let outcome = world.authority.log_in(&actor(), attempt(&world, HOME, "alice", PASSWORD, None)).await;
    let LoginOutcome::Granted(opened) = outcome.expect("an outcome") else { panic!("the password is right") };
    assert!(opened.device.is_none());
}

#[tokio::test]
async fn on_a_known_device_the_second_factor_is_not_slowed_by_others_either() {
    let world = World::new().await;
    let device = remembered(&world, "alice").await;
    let (app, _) = enrol(&world).await;
    for guess in 0..20 {
        let stranger = attempt(&world, &format!("198.51.100.{guess}"), "alice", PASSWORD, None);
        let outcome = world.authority.log_in(&actor(), stranger).await.expect("an outcome");
        let LoginOutcome::Challenged(asked) = outcome else { panic!("the password is right: {outcome:?}") };
        let proof = Proof::TotpCode(wrong(&world, &app));
        let refused = world.authority.continue_login(&actor(), &asked.continuation, proof, Brought::default()).await;
        drop(refused.expect("an outcome"));
    }
    for brought in [Brought::default(), Brought { device: Some(device.clone()), ..Brought::default() }] {
        let shows = brought.device.is_some();
        let begun = attempt(&world, "203.0.113.5", "alice", PASSWORD, brought.device.as_ref());
        let outcome = world.authority.log_in(&actor(), begun).await.expect("an outcome");
        let LoginOutcome::Challenged(asked) = outcome else { panic!("the password is right: {outcome:?}") };
        let proof = Proof::TotpCode(code(&world, &app));
        let outcome = world.authority.continue_login(&actor(), &asked.continuation, proof, brought).await;
        let granted = matches!(outcome.expect("an outcome"), LoginOutcome::Granted(_));
        assert_eq!(granted, shows);
    }
}

#[tokio::test]
async fn removing_the_second_factor_forgets_no_device() {
    let world = World::new().await;
    let device = remembered(&world, "alice").await;
    let (app, _) = enrol(&world).await;
    let proof = OwnProof {
        password: Secret::from(PASSWORD),
        code: FactorCode::Totp(code(&world, &app)),
        from: None,
        device: None,
    };
    let removed = world.authority.remove_own_second_factor(&actor(), &tenant(), &named("alice"), proof).await;
    removed.expect("an outcome").expect("both are right");
    siege(&world, "alice").await;
    assert_eq!(wait(&world, attempt(&world, HOME, "alice", PASSWORD, Some(&device))).await, None);
}

#[tokio::test]
async fn on_a_known_device_a_besieged_owner_changes_the_password_and_is_known_by_another_value() {
    let world = World::new().await;
    let (session, _) = world.log_in().await;
    let device = remembered(&world, "alice").await;
    siege(&world, "alice").await;
    let new = "another horse battery";
    let change = async |device: Option<&Secret>| {
        let change = ChangePassword {
            tenant: tenant(),
            identity: named("alice"),
            current: Secret::from(PASSWORD),
            new: Secret::from(new),
            from: "203.0.113.5".parse().ok(),
            device: device.cloned(),
            goes_on: Some((session.session.id, LoginMode::Tokens)),
        };
        world.authority.change_password(&actor(), change).await.expect("an outcome")
    };
    assert!(matches!(change(None).await, PasswordChange::Refused(_)), "without it");
    let PasswordChange::Changed { session: Some(opened), .. } = change(Some(&device)).await else {
        panic!("with it");
    };
    let next = value_of(&opened);
    assert!(wait(&world, attempt(&world, "203.0.113.6", "alice", new, Some(&device))).await.is_some(), "the old one");
    assert_eq!(wait(&world, attempt(&world, "203.0.113.6", "alice", new, Some(&next))).await, None, "the new one");
}

#[tokio::test]
async fn on_a_known_device_a_besieged_owner_removes_the_second_factor() {
    let world = World::new().await;
    let device = remembered(&world, "alice").await;
    let (app, _) = enrol(&world).await;
    siege(&world, "alice").await;
    for shown in [None, Some(device)] {
        let shows = shown.is_some();
        let proof = OwnProof {
            password: Secret::from(PASSWORD),
            code: FactorCode::Totp(code(&world, &app)),
            from: "203.0.113.5".parse().ok(),
            device: shown,
        };
        let removed = world.authority.remove_own_second_factor(&actor(), &tenant(), &named("alice"), proof).await;
        assert_eq!(removed.expect("an outcome").is_ok(), shows);
    }
}

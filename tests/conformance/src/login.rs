//! Sentences about what logging in rests on.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    AttemptKey, Attempts, Batch, Continuation, CredentialKind, Label, LoginMode, LoginStep, Method, Methods,
    PasswordReset, PasswordRow, Reason, Spent, StoredPassword, Target, TotpFactor,
};
use futures_util::future::join_all;
use portcullis_types::{ClientId, CredentialId, IdentityId, IdentityName, Revision, Timestamp};

use crate::seed::write;
use crate::{Seed, Subject};

pub(crate) fn key(n: u8) -> AttemptKey {
    AttemptKey::from_bytes([n; 16])
}

pub(crate) fn factor(seed: &Seed) -> TotpFactor {
    TotpFactor {
        id: CredentialId::new(seed.ids()),
        tenant: seed.tenant.clone(),
        identity: seed.identity,
        sealed_secret: vec![5; 48],
        kek_id: "kek".to_owned(),
        created_at: seed.now(),
        confirmed_at: None,
        last_step: 0,
    }
}

pub(crate) fn continuation(seed: &Seed) -> Continuation {
    Continuation {
        id: CredentialId::new(seed.ids()),
        tenant: seed.tenant.clone(),
        identity: seed.identity,
        digest: seed.bytes(),
        password: CredentialId::new(seed.ids()),
        issued: Revision { seq: 0, chain: u64::MAX },
        actor: "edge".into(),
        proved: Methods::from(Method::Password).and(Method::RecoveryCode),
        step: LoginStep::SecondFactor,
        refused: 2,
        mode: LoginMode::Cookie,
        device: Some(Label::try_from("Zoë's phone").expect("a valid label")),
        client: Some(ClientId::try_from("web").expect("a valid id")),
        account: key(1),
        place: Some(key(2)),
        expires_at: seed.now() + Duration::from_secs(300),
        spent: false,
    }
}

pub(crate) fn reset(seed: &Seed) -> PasswordReset {
    PasswordReset {
        id: CredentialId::new(seed.ids()),
        tenant: seed.tenant.clone(),
        identity: seed.identity,
        digest: seed.bytes(),
        issued_seq: None,
        created_at: seed.now(),
        expires_at: seed.now() + Duration::from_secs(3_600),
        spent: false,
    }
}

/// Runs `use_it` in so many transactions at once; how many of them it worked in.
async fn how_many<F, Fut>(times: u8, use_it: F) -> usize
where
    F: Fn(u8) -> Fut,
    Fut: Future<Output = bool> + Send + 'static,
{
    let uses = (0..times).map(|n| tokio::spawn(use_it(n)));
    join_all(uses).await.into_iter().filter(|used| *used.as_ref().expect("no use panics")).count()
}

/// Every column of every row.
pub async fn what_a_login_rests_on_reads_back_as_it_was_written(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let (app, row, token) = (factor(&seed), continuation(&seed), reset(&seed));
    let bare = Continuation {
        step: LoginStep::NewPassword,
        proved: Method::Password.into(),
        mode: LoginMode::Tokens,
        device: None,
        client: None,
        place: None,
        ..continuation(&seed)
    };
    let counted = Attempts { failures: 7, next_at: seed.now() + Duration::from_secs(8), last_at: seed.now() };
    let mut tx = write(&store).await;
    assert!(tx.put_totp_factor(&app).await.expect("writes"));
    tx.insert_continuation(&row, seed.now()).await.expect("writes");
    tx.insert_continuation(&bare, seed.now()).await.expect("writes");
    tx.put_password_reset(&token).await.expect("writes");
    assert_eq!(tx.lock_attempts(&key(9)).await.expect("reads"), Attempts::default());
    tx.set_attempts(&key(9), &counted).await.expect("writes");
    tx.note_place(&key(1), &key(2), seed.now(), 9).await.expect("writes");
    tx.put_recovery_codes(&seed.tenant, seed.identity, &[[1; 32], [2; 32]]).await.expect("writes");
    tx.commit().await.expect("commits");

    let mut tx = write(&store).await;
    assert_eq!(tx.totp_factor(&seed.tenant, seed.identity).await.expect("reads"), Some(app.clone()));
    assert_eq!(tx.continuation(row.id).await.expect("reads"), Some(row));
    assert_eq!(tx.continuation(bare.id).await.expect("reads"), Some(bare));
    assert_eq!(tx.password_reset(token.id).await.expect("reads"), Some(token));
    assert_eq!(tx.lock_attempts(&key(9)).await.expect("reads"), counted);
    assert_eq!(tx.place_seen_at(&key(1), &key(2)).await.expect("reads"), Some(seed.now()));
    assert_eq!(tx.place_seen_at(&key(2), &key(1)).await.expect("reads"), None);
    assert_eq!(tx.recovery_codes_left(&seed.tenant, seed.identity).await.expect("reads"), 2);
    assert!(tx.remove_second_factor(&seed.tenant, seed.identity).await.expect("writes"));
    assert!(!tx.remove_second_factor(&seed.tenant, seed.identity).await.expect("writes"));
    assert_eq!(tx.totp_factor(&seed.tenant, seed.identity).await.expect("reads"), None);
    assert_eq!(tx.recovery_codes_left(&seed.tenant, seed.identity).await.expect("reads"), 0);
}

/// Whoever has locked a count is alone with it.
pub async fn guesses_made_at_once_are_each_counted(subject: &impl Subject) {
    let store = subject.open(1).await;
    let now = Timestamp::from_unix_seconds(1_000_000);
    let counted = how_many(20, |_| {
        let store = Arc::clone(&store);
        async move {
            let mut tx = write(&store).await;
            let before = tx.lock_attempts(&key(1)).await.expect("reads");
            let after = Attempts { failures: before.failures + 1, next_at: now, last_at: now };
            tx.set_attempts(&key(1), &after).await.expect("writes");
            tx.commit().await.is_ok()
        }
    });
    assert_eq!(counted.await, 20);
    assert_eq!(write(&store).await.lock_attempts(&key(1)).await.expect("reads").failures, 20);
}

/// So that counting never becomes long work.
pub async fn counts_of_long_ago_are_forgotten_a_few_at_a_time(subject: &impl Subject) {
    let store = subject.open(1).await;
    let at = |seconds| Timestamp::from_unix_seconds(seconds);
    let mut tx = write(&store).await;
    for n in 1..=5 {
        let row = Attempts { failures: 1, next_at: at(0), last_at: at(i64::from(n)) };
        tx.lock_attempts(&key(n)).await.expect("reads");
        tx.set_attempts(&key(n), &row).await.expect("writes");
    }
    tx.forget_attempts(at(4), 2).await.expect("writes");
    let mut left = Vec::new();
    for n in 1..=5 {
        left.push(tx.lock_attempts(&key(n)).await.expect("reads").failures);
    }
    assert_eq!(left, [0, 0, 1, 1, 1], "the oldest first");
}

/// The one unused for longest goes first.
pub async fn an_account_has_so_many_known_places(subject: &impl Subject) {
    let store = subject.open(1).await;
    let at = |seconds| Timestamp::from_unix_seconds(seconds);
    let mut tx = write(&store).await;
    tx.note_place(&key(100), &key(1), at(1), 3).await.expect("writes");
    for (place, seconds) in [(1, 1), (2, 2), (3, 3), (1, 4), (4, 5)] {
        tx.note_place(&key(99), &key(place), at(seconds), 3).await.expect("writes");
    }
    let mut seen = Vec::new();
    for place in 1..=4 {
        seen.push(tx.place_seen_at(&key(99), &key(place)).await.expect("reads"));
    }
    assert_eq!(seen, [Some(at(4)), None, Some(at(3)), Some(at(5))]);
    assert_eq!(tx.place_seen_at(&key(100), &key(1)).await.expect("reads"), Some(at(1)), "another account's");
}

/// The first at or after the draw, else the first of all.
pub async fn a_decoy_is_drawn_from_the_passwords_of_the_tenant(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut tx = write(&store).await;
    assert_eq!(tx.password_decoy(&seed.tenant, &[0x80; 8]).await.expect("reads"), None);
    for end in [0x90, 0xa0, 0xb0] {
        let identity = IdentityId::from_bytes([end; 16]);
        assert!(tx.insert_identity(&seed.identity_row(&format!("user-{end}"), identity)).await.expect("writes"));
        let mut id = [end; 16];
        // Only the second half counts.
        id[..8].copy_from_slice(&[0xff - end; 8]);
        let id = CredentialId::from_bytes(id);
        let password = StoredPassword { id, phc: format!("${end}$"), set_at: seed.now(), must_change: false };
        tx.set_password(&seed.tenant, identity, &password).await.expect("writes");
    }
    for (draw, expected) in [(0x80, 0x90), (0x90, 0x90), (0x91, 0xa0), (0xb0, 0xb0), (0xbf, 0x90)] {
        let drawn = tx.password_decoy(&seed.tenant, &[draw; 8]).await.expect("reads");
        assert_eq!(drawn, Some(format!("${expected}$")), "{draw:x}");
    }
    let other = "elsewhere".try_into().expect("a valid name");
    assert_eq!(tx.password_decoy(&other, &[0x80; 8]).await.expect("reads"), None);
}

/// Replays are refused, over all writers.
pub async fn a_code_is_taken_by_one_of_many_and_no_earlier_one_after_it(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let app = factor(&seed);
    let mut tx = write(&store).await;
    assert!(tx.put_totp_factor(&app).await.expect("writes"));
    assert!(!tx.use_totp_step(&app, 1).await.expect("answers"), "it does not count yet");
    assert!(tx.confirm_totp_factor(&app, 100, seed.now()).await.expect("writes"));
    assert!(!tx.confirm_totp_factor(&app, 101, seed.now()).await.expect("answers"), "once");
    tx.commit().await.expect("commits");
    let taken = how_many(20, |_| {
        let (store, app) = (Arc::clone(&store), app.clone());
        async move {
            let mut tx = write(&store).await;
            let taken = tx.use_totp_step(&app, 102).await.expect("answers");
            tx.commit().await.expect("commits");
            taken
        }
    });
    assert_eq!(taken.await, 1);
    let mut tx = write(&store).await;
    for (step, takes) in [(100, false), (101, false), (102, false), (103, true)] {
        assert_eq!(tx.use_totp_step(&app, step).await.expect("answers"), takes, "{step}");
    }
    let another = TotpFactor { id: CredentialId::new(seed.ids()), ..app };
    assert!(!tx.use_totp_step(&another, 200).await.expect("answers"), "of an app that was replaced");
}

/// One that was never confirmed is.
pub async fn an_app_that_counts_is_not_replaced(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let (first, second, third) = (factor(&seed), factor(&seed), factor(&seed));
    let mut tx = write(&store).await;
    assert!(tx.put_totp_factor(&first).await.expect("writes"));
    assert!(tx.put_totp_factor(&second).await.expect("writes"));
    assert!(!tx.confirm_totp_factor(&first, 1, seed.now()).await.expect("answers"), "it was replaced");
    assert!(tx.confirm_totp_factor(&second, 1, seed.now()).await.expect("writes"));
    assert!(!tx.put_totp_factor(&third).await.expect("answers"));
    let stands = tx.totp_factor(&seed.tenant, seed.identity).await.expect("reads").expect("there is one");
    assert_eq!((stands.id, stands.confirmed_at, stands.last_step), (second.id, Some(seed.now()), 1));
}

/// Each is of one use.
pub async fn a_recovery_code_is_used_by_one_of_many(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Arc::new(Seed::plant(&store).await);
    let mut tx = write(&store).await;
    tx.put_recovery_codes(&seed.tenant, seed.identity, &[[1; 32], [2; 32]]).await.expect("writes");
    tx.put_recovery_codes(&seed.tenant, seed.identity, &[[2; 32], [3; 32], [4; 32]]).await.expect("writes");
    tx.commit().await.expect("commits");
    let used = how_many(20, |_| {
        let (store, seed) = (Arc::clone(&store), Arc::clone(&seed));
        async move {
            let mut tx = write(&store).await;
            let used = tx.use_recovery_code(&seed.tenant, seed.identity, &[3; 32], seed.now()).await.expect("answers");
            tx.commit().await.expect("commits");
            used
        }
    });
    assert_eq!(used.await, 1);
    let mut tx = write(&store).await;
    assert_eq!(tx.recovery_codes_left(&seed.tenant, seed.identity).await.expect("reads"), 2);
    let replaced = tx.use_recovery_code(&seed.tenant, seed.identity, &[1; 32], seed.now()).await.expect("answers");
    assert!(!replaced, "it was replaced");
}

/// Right or wrong.
pub async fn a_login_goes_on_once(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let row = continuation(&seed);
    let mut tx = write(&store).await;
    tx.insert_continuation(&row, seed.now()).await.expect("writes");
    tx.commit().await.expect("commits");
    let spent = how_many(20, |_| {
        let (store, id, now) = (Arc::clone(&store), row.id, seed.now());
        async move {
            let mut tx = write(&store).await;
            let spent = tx.spend_continuation(id, now).await.expect("answers");
            tx.commit().await.expect("commits");
            spent
        }
    });
    assert_eq!(spent.await, 1);
    let mut tx = write(&store).await;
    assert!(tx.continuation(row.id).await.expect("reads").expect("it is kept until its end").spent);
    let later = row.expires_at + Duration::from_secs(1);
    tx.insert_continuation(&Continuation { expires_at: later, ..continuation(&seed) }, later).await.expect("writes");
    assert_eq!(tx.continuation(row.id).await.expect("reads"), None, "its time is over");
}

/// Of several only the newest.
pub async fn one_token_sets_a_password_once(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let (first, second) = (reset(&seed), reset(&seed));
    let mut tx = write(&store).await;
    tx.put_password_reset(&first).await.expect("writes");
    tx.put_password_reset(&second).await.expect("writes");
    assert_eq!(tx.password_reset(first.id).await.expect("reads"), None);
    assert!(!tx.spend_password_reset(first.id, seed.now()).await.expect("answers"));
    assert!(tx.spend_password_reset(second.id, seed.now()).await.expect("answers"));
    assert!(!tx.spend_password_reset(second.id, seed.now()).await.expect("answers"));
    assert!(tx.password_reset(second.id).await.expect("reads").expect("it is kept").spent);

    let id = CredentialId::new(seed.ids());
    let password = StoredPassword { id, phc: "$a$".to_owned(), set_at: seed.now(), must_change: false };
    tx.set_password(&seed.tenant, seed.identity, &password).await.expect("writes");
    assert!(tx.remove_password(&seed.tenant, seed.identity).await.expect("writes"));
    assert!(!tx.remove_password(&seed.tenant, seed.identity).await.expect("writes"));
    assert_eq!(tx.password(&seed.tenant, seed.identity).await.expect("reads"), None);
}

/// Whoever judges it while another one replaces it judges what the other one leaves.
pub async fn a_password_that_was_judged_is_replaced_by_one_of_many(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Arc::new(Seed::plant(&store).await);
    let password = |id| StoredPassword { id, phc: "$a$".to_owned(), set_at: seed.now(), must_change: false };
    // The first rounds are spent on opening connections.
    for round in 0..10 {
        let judged = CredentialId::new(seed.ids());
        let mut tx = write(&store).await;
        tx.set_password(&seed.tenant, seed.identity, &password(judged)).await.expect("writes");
        tx.commit().await.expect("commits");
        let replaced = how_many(20, |n| {
            let (store, seed) = (Arc::clone(&store), Arc::clone(&seed));
            let next = password(CredentialId::from_bytes([n; 16]));
            async move {
                let mut tx = write(&store).await;
                tx.hold_identity(&seed.tenant, seed.identity).await.expect("holds");
                let found = tx.password(&seed.tenant, seed.identity).await.expect("reads").expect("there is one");
                let is_judged = found.id == judged;
                if is_judged {
                    tx.set_password(&seed.tenant, seed.identity, &next).await.expect("writes");
                }
                tx.commit().await.expect("commits");
                is_judged
            }
        });
        assert_eq!(replaced.await, 1, "round {round}");
    }
}

/// And an end that only whoever knows it moves.
pub async fn a_session_cookie_has_one_successor(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let row = seed.credential_row(CredentialKind::SessionCookie);
    let other = seed.credential_row(CredentialKind::RefreshToken);
    seed.insert(&store, &row).await;
    seed.insert(&store, &other).await;
    let succeeded = how_many(20, |n| {
        let (store, id, now) = (Arc::clone(&store), row.id, seed.now());
        async move {
            let mut tx = write(&store).await;
            let successor = CredentialId::from_bytes([n; 16]);
            let succeeded = tx.succeed_session_cookie(id, successor, now).await.expect("answers");
            tx.commit().await.expect("commits");
            succeeded
        }
    });
    assert_eq!(succeeded.await, 1);
    let mut tx = write(&store).await;
    let read = tx.credential(row.id).await.expect("reads").expect("it is there");
    assert!(matches!(read.spent, Some(Spent::Rotated { .. })));
    let (end, later) = (row.expires_at.expect("it ends"), seed.now() + Duration::from_secs(99));
    assert!(!tx.succeed_session_cookie(other.id, row.id, seed.now()).await.expect("answers"), "no cookie");
    assert!(!tx.move_cookie_end(other.id, end, later).await.expect("answers"), "no cookie");
    assert!(!tx.move_cookie_end(row.id, later, end).await.expect("answers"), "it ends at another time");
    assert!(tx.move_cookie_end(row.id, end, later).await.expect("answers"));
    assert_eq!(tx.credential(row.id).await.expect("reads").expect("it is there").expires_at, Some(later));
}

/// Two replicas that seal the same secret anew do it once, and only for the enrolment that they saw.
pub async fn an_apps_secret_is_sealed_anew_once(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let factor = factor(&seed);
    let mut tx = write(&store).await;
    assert!(tx.put_totp_factor(&factor).await.expect("writes"));
    assert_eq!(tx.totp_factors_not_under("new", 10).await.expect("reads"), std::slice::from_ref(&factor));
    assert_eq!(tx.totp_factors_not_under("kek", 10).await.expect("reads"), []);
    assert_eq!(tx.totp_factors_by_kek().await.expect("reads"), [("kek".to_owned(), 1)]);
    let another = TotpFactor { id: CredentialId::new(seed.ids()), ..factor.clone() };
    assert!(!tx.reseal_totp_factor(&another, "new", &[1]).await.expect("answers"), "another enrolment");
    assert!(tx.reseal_totp_factor(&factor, "new", &[1, 2]).await.expect("answers"));
    assert!(!tx.reseal_totp_factor(&factor, "new", &[3]).await.expect("answers"), "it was done");
    tx.commit().await.expect("commits");
    let found = store.read().await.expect("reads").totp_factor(&seed.tenant, seed.identity).await.expect("reads");
    assert_eq!(found, Some(TotpFactor { kek_id: "new".to_owned(), sealed_secret: vec![1, 2], ..factor }));
}

/// Those without one too; a one-time token counts from the entry that it began with until it is used, over or ended.
pub async fn passwords_of_a_tenant_are_found_by_name(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let (bob, carol) = (IdentityId::new(seed.ids()), IdentityId::new(seed.ids()));
    let mut tx = write(&store).await;
    for (name, id) in [("bob", bob), ("carol", carol)] {
        assert!(tx.insert_identity(&seed.identity_row(name, id)).await.expect("writes"));
    }
    let password = StoredPassword {
        id: CredentialId::new(seed.ids()),
        phc: "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xA".to_owned(),
        set_at: seed.now(),
        must_change: true,
    };
    tx.set_password(&seed.tenant, bob, &password).await.expect("writes");
    let reset = PasswordReset {
        id: CredentialId::new(seed.ids()),
        tenant: seed.tenant.clone(),
        identity: carol,
        issued_seq: None,
        digest: [7; 32],
        created_at: seed.now(),
        expires_at: seed.now() + Duration::from_secs(1),
        spent: false,
    };
    tx.put_password_reset(&reset).await.expect("writes");
    let row = |name: &str, identity, stored, reset_ends_at| PasswordRow {
        identity,
        name: IdentityName::try_from(name).expect("a valid name"),
        stored,
        reset_ends_at,
    };
    let expected = [
        row("alice", seed.identity, None, None),
        row("bob", bob, Some(password), None),
        row("carol", carol, None, Some(reset.expires_at)),
    ];
    let carols = Target::Identity(seed.tenant.clone(), carol);
    let unbegun = tx.password_of(&seed.tenant, carol).await.expect("reads").expect("carol exists");
    assert_eq!(unbegun.reset_ends_at, None, "its entry is not written");
    let began = Batch::kill(carols.clone(), Reason::CredentialChanged).beginning(reset.id);
    tx.commit_with(began, seed.now()).await.expect("appends");
    let mut tx = write(&store).await;
    assert_eq!(tx.find_passwords(&seed.tenant, None, 9).await.expect("reads"), expected);
    assert_eq!(tx.find_passwords(&seed.tenant, Some("alice"), 1).await.expect("reads"), expected[1..2]);
    for row in &expected {
        assert_eq!(tx.password_of(&seed.tenant, row.identity).await.expect("reads").as_ref(), Some(row));
    }
    tx.commit_with(Batch::kill(carols, Reason::Compromised), seed.now()).await.expect("appends");
    let mut tx = write(&store).await;
    let ended = tx.password_of(&seed.tenant, carol).await.expect("reads").expect("carol exists");
    assert_eq!(ended.reset_ends_at, None, "it is older than what ended her sessions");
    assert!(!tx.remove_password_reset(&seed.tenant, carol, reset.expires_at).await.expect("answers"), "it is over");
    assert!(!tx.remove_password_reset(&seed.tenant, bob, seed.now()).await.expect("answers"));
    assert!(tx.remove_password_reset(&seed.tenant, carol, seed.now()).await.expect("answers"));
    assert_eq!(tx.password_reset(reset.id).await.expect("reads"), None);
}

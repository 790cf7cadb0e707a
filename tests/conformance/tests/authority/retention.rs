//! What is kept, and that nothing comes back with what is not.

use std::time::Duration;

use auth_domain::{
    ANSWERS_KEPT, CompactError, CookieUse, CredentialReference, DenyReason, Ended, Judgement, Lives, NewTicket,
    PresentationContext, Reason, RefreshOutcome, RetentionRules, RevokeRequest, RevokeTarget, TicketAsker,
    TicketOutcome, Tidied,
};
use portcullis_types::{ClientId, CredentialId, OpaqueKind, OpaqueToken, Revision, Secret, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use super::world::Shown as _;
use super::world::{SECOND, World, actor, allowed, denied, named, tenant};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Compacts until there is nothing left to do; how many entries are gone.
async fn compact(world: &World) -> u64 {
    let mut gone = 0;
    loop {
        match world.authority.compact_log(&RetentionRules::default()).await.expect("compacts") {
            Tidied::Removed { rows, .. } => gone += rows,
            Tidied::Nothing => return gone,
            Tidied::Elsewhere => panic!("nobody else does"),
        }
    }
}

#[tokio::test]
async fn an_entry_is_kept_for_as_long_as_anything_needs_it_and_the_newest_for_ever() {
    let world = World::new().await;
    let before = world.store.head().await.expect("reads").seq;
    for _ in 0..600 {
        world.revoke(RevokeTarget::Identity(named("alice"))).await;
    }
    let kept = RetentionRules::default().log();
    assert!(kept >= 25 * HOUR, "external tokens may be a day old, and clocks differ");
    world.clock.advance(kept);
    assert_eq!(compact(&world).await, 0);
    world.clock.advance(SECOND);
    assert_eq!(compact(&world).await, before + 599);
    assert_eq!(world.store.horizon().await.expect("reads"), before + 599);
    let newest = world.revoke(RevokeTarget::Identity(named("alice"))).await;
    assert_eq!(compact(&world).await, 1, "it is followed by another now");
    assert_eq!(world.store.horizon().await.expect("reads") + 1, newest.revision.seq);
}

#[tokio::test]
async fn what_was_issued_at_a_forgotten_position_lives_and_what_was_revoked_there_stays_dead() {
    let world = World::new().await;
    let (alive, key) = (world.api_key().await, world.api_key().await);
    let bad = world.cookie().await;
    world.revoke(RevokeTarget::Session(bad.0.session.id)).await;
    let dead = world.cookie().await;
    world.revoke(RevokeTarget::Credential(key.key.id)).await;
    world.revoke(RevokeTarget::Identity(named("alice"))).await;
    world.clock.advance(26 * HOUR);
    // One that is younger, so that the others are not the newest.
    world.revoke(RevokeTarget::Identity(named("alice"))).await;
    let denied = async || {
        let (bad, dead) = (world.denied(&bad.1).await, world.denied(&dead.1).await);
        (bad, dead, world.denied(&key.shown()).await)
    };
    let permanent = |reason| (reason, true);
    let expected = (DenyReason::SessionRevoked, DenyReason::IdentityRevoked, DenyReason::CredentialRevoked);
    let expected = (permanent(expected.0), permanent(expected.1), permanent(expected.2));
    assert_eq!(denied().await, expected);
    assert!(compact(&world).await >= 3);
    assert!(world.store.revision_at(dead.0.session.issued.seq).await.expect("reads").is_none(), "it is forgotten");
    assert_eq!(denied().await, expected);
    world.allowed(&alive.shown()).await;
    world.log_in().await;
}

/// Rows that came from another branch, under a session that is older than the fork, are denied by their position alone.
#[tokio::test]
async fn what_another_branch_issued_does_not_live_again_when_the_log_forgets() {
    let world = World::new().await;
    let (gone, _) = world.log_in().await;
    world.revoke(RevokeTarget::Session(gone.session.id)).await;
    let (_, cookie) = world.cookie().await;
    let cookie = OpaqueToken::parse(cookie.expose_str().expect("text")).expect("a cookie");
    let mut row =
        world.store.read().await.expect("reads").credential(cookie.id).await.expect("reads").expect("is there");
    row.expires_at = Some(Timestamp::from_unix_seconds(1_700_000_000) + 20 * DAY);
    let here = row.issued;
    let mut tokens = Vec::new();
    for (byte, issued) in
        [(1, here), (2, Revision { chain: here.chain ^ 1, ..here }), (3, Revision { seq: here.seq + 1, ..here })]
    {
        let id = CredentialId::from_bytes([byte; 16]);
        let token = OpaqueToken::from_secret(OpaqueKind::SessionCookie, id, [byte; 32]);
        (row.id, row.digest, row.issued) = (id, Some(token.digest()), issued);
        let mut tx = world.store.write().await.expect("writes");
        tx.insert_credential(&row).await.expect("writes");
        tx.commit().await.expect("commits");
        tokens.push(token.reveal());
    }
    for lost in &tokens[1..] {
        assert_eq!(world.denied(lost).await, (DenyReason::Invalid, true));
    }
    for _ in 0..2 {
        let (other, _) = world.log_in().await;
        world.revoke(RevokeTarget::Session(other.session.id)).await;
    }
    world.clock.advance(26 * HOUR);
    let (newest, _) = world.log_in().await;
    world.revoke(RevokeTarget::Session(newest.session.id)).await;
    assert!(compact(&world).await >= 3);
    assert!(world.store.revision_at(here.seq + 1).await.expect("reads").is_none(), "it is forgotten");
    for lost in &tokens[1..] {
        assert!(world.denied(lost).await.1, "for ever");
    }
    world.allowed(&tokens[0]).await;
}

#[tokio::test]
async fn a_damaged_log_stays_for_whoever_looks_into_it() {
    let world = World::new().await;
    for _ in 0..4 {
        world.revoke(RevokeTarget::Identity(named("alice"))).await;
    }
    // As somebody with the file would remove what was done first.
    let mut tx = world.store.write().await.expect("writes");
    let first = world.store.horizon().await.expect("reads");
    assert!(tx.move_horizon(first, first + 2).await.expect("writes"));
    tx.commit().await.expect("commits");
    let mut tx = world.store.write().await.expect("writes");
    assert!(tx.move_horizon(first + 2, first).await.expect("writes"), "the horizon is set back, the entries are gone");
    tx.commit().await.expect("commits");
    world.clock.advance(48 * HOUR);
    let refused = world.authority.compact_log(&RetentionRules::default()).await.expect_err("it is damaged");
    assert!(matches!(refused, CompactError::Damaged(_)), "{refused:?}");
}

/// Removes until there is nothing left to do; how many rows are gone.
pub(crate) async fn tidy(world: &World) -> u64 {
    let rules = RetentionRules::default();
    let mut gone = compact(world).await;
    for what in Ended::ALL {
        while let Tidied::Removed { rows, .. } = world.authority.remove_ended(&rules, what).await.expect("removes") {
            gone += rows;
        }
    }
    while let Tidied::Removed { rows, .. } = world.authority.remove_signing_keys(&rules).await.expect("removes") {
        gone += rows;
    }
    gone
}

async fn rows(world: &World, id: portcullis_types::CredentialId) -> bool {
    world.store.read().await.expect("reads").credential(id).await.expect("reads").is_some()
}

#[tokio::test]
async fn what_ended_goes_in_its_time_and_what_lives_stays() {
    let world = World::new().await;
    let (opened, pair) = world.log_in().await;
    let (key, forever) = (world.api_key().await, world.api_key().await);
    world.revoke(RevokeTarget::Credential(key.key.id)).await;
    assert_eq!(tidy(&world).await, 0, "nothing is over");
    world.clock.advance(25 * HOUR);
    assert!(tidy(&world).await > 0, "an access token has been over for a day");
    assert_eq!(world.denied(&pair.access).await.0, DenyReason::Unknown);
    assert!(matches!(
        world.authority.refresh_tokens(&actor(), &pair.refresh).await.expect("an outcome"),
        RefreshOutcome::Denied(DenyReason::Expired)
    ));
    world.clock.advance(24 * HOUR);
    tidy(&world).await;
    assert!(
        world.authority.session(&tenant(), opened.session.id).await.expect("reads").is_some(),
        "it did not end yet"
    );
    world.clock.advance(61 * DAY);
    tidy(&world).await;
    assert!(world.authority.session(&tenant(), opened.session.id).await.expect("reads").is_none());
    assert_eq!(world.denied(&key.shown()).await, (DenyReason::CredentialRevoked, true), "90 days are not over");
    world.clock.advance(30 * DAY);
    tidy(&world).await;
    assert_eq!(world.denied(&key.shown()).await, (DenyReason::Unknown, false));
    world.allowed(&forever.shown()).await;
    world.revoke(RevokeTarget::Credential(forever.key.id)).await;
    for _ in 0..2 {
        tidy(&world).await;
        world.clock.advance(91 * DAY);
    }
    tidy(&world).await;
    assert!(!rows(&world, forever.key.id).await);
}

/// Its key may live for ever: the socket is told an end, and when that is over nothing rests on the ticket.
#[tokio::test]
async fn a_redeemed_ticket_goes_when_its_socket_has_ended() {
    let world = World::new().await;
    let key = world.api_key().await;
    let ticket = world.ticket(&key.shown(), None, None).await;
    let context = PresentationContext::default();
    world.clock.advance(SECOND);
    let socket = allowed(world.redeem(&ticket, 1, &context).await);
    assert_eq!(socket.expires_in, Some(30 * DAY), "as a session would");
    let judged = async || {
        let verdicts = world.authority.batch_verify(std::slice::from_ref(&socket.reference)).await.expect("verdicts");
        verdicts[0].clone()
    };
    world.clock.advance(30 * DAY - SECOND);
    tidy(&world).await;
    assert_eq!(allowed(judged().await).expires_in, Some(SECOND), "it is judged by its row");
    world.clock.advance(SECOND);
    assert_eq!(denied(judged().await), (DenyReason::Expired, true));
    world.clock.advance(DAY);
    tidy(&world).await;
    assert!(rows(&world, socket.reference.credential).await, "clocks differ");
    world.clock.advance(SECOND);
    tidy(&world).await;
    assert!(!rows(&world, socket.reference.credential).await);
    assert_eq!(denied(judged().await).0, DenyReason::Unknown);
    assert_eq!(denied(world.redeem(&ticket, 1, &context).await).0, DenyReason::Unknown);
    world.allowed(&key.shown()).await;
}

#[test]
fn a_key_is_kept_for_longer_than_the_answer_that_names_it() {
    let rules = RetentionRules { api_keys: Some(DAY), ..RetentionRules::default() };
    let lives = Lives { guesses: Duration::ZERO, session: Duration::ZERO };
    let kept = rules.kept(Ended::ApiKeys, lives).expect("it is not kept for ever");
    assert!(kept > ANSWERS_KEPT, "answers go some time after their day");
}

#[tokio::test]
async fn a_sid_that_was_revoked_does_not_come_back_after_its_tokens_are_gone() {
    let (world, _) = World::trusting().await;
    let (token, alone) = (world.token(json!({})), world.token(json!({"sid": null, "jti": "alone"})));
    let session = world.allowed(&token).await.principal.session.expect("it has one");
    let of_one = world.allowed(&alone).await.principal.session.expect("it has one");
    let slept = world.allowed(&world.token(json!({"sid": "s2"}))).await.principal.session.expect("it has one");
    world.revoke(RevokeTarget::Session(session)).await;
    world.clock.advance(399 * DAY);
    tidy(&world).await;
    assert_eq!(world.denied(&token).await.0, DenyReason::Expired);
    assert!(world.authority.session(&tenant(), of_one).await.expect("reads").is_none(), "nothing comes back to it");
    assert_eq!(world.denied(&world.token(json!({}))).await, (DenyReason::SessionRevoked, true));
    let again = world.allowed(&world.token(json!({"sid": "s2"}))).await.principal.session;
    assert_eq!(again, Some(slept), "it slept for less than is kept");
    world.clock.advance(402 * DAY);
    tidy(&world).await;
    assert!(world.authority.session(&tenant(), slept).await.expect("reads").is_none());
    let anew = world.allowed(&world.token(json!({"sid": "s2"}))).await.principal.session;
    assert_ne!(anew, Some(slept));
    assert_eq!(world.denied(&world.token(json!({}))).await, (DenyReason::SessionRevoked, true), "this one never");
}

#[tokio::test]
async fn a_signing_key_goes_when_nothing_that_it_signed_is_left() {
    let world = World::new().await;
    let before = world.store.read().await.expect("reads").signing_keys().await.expect("reads");
    let (_, pair) = world.log_in().await;
    for _ in 0..4 {
        world.clock.advance(31 * DAY);
        while world.authority.tend_signing_keys().await.expect("tends") {}
        world.clock.advance(HOUR);
        while world.authority.tend_signing_keys().await.expect("tends") {}
    }
    let rules = RetentionRules::default();
    assert_eq!(world.authority.remove_signing_keys(&rules).await.expect("removes"), Tidied::Nothing, "a row is left");
    tidy(&world).await;
    let after = world.store.read().await.expect("reads").signing_keys().await.expect("reads");
    assert!(!after.iter().any(|key| before.iter().any(|old| old.id == key.id)), "the first is gone");
    assert!(after.len() >= 2, "the younger ones are not: {}", after.len());
    assert!(!matches!(world.verify(&pair.access).await.judgement, Judgement::Allowed(_)));
    let (_, pair) = world.log_in().await;
    world.allowed(&pair.access).await;
}

/// What somebody does, by a number for which of what they have.
#[derive(Clone, Copy, Debug)]
enum Act {
    LogIn,
    Cookie,
    ApiKey,
    Ticket(usize),
    Redeem(usize),
    Refresh(usize),
    UseCookie(usize),
    External(u8),
    RevokeBearer(usize),
    EndSession(usize),
    LogOutEverywhere,
    RevokeClient,
    Pass(u32),
}

fn act() -> impl Strategy<Value = Act> {
    let which = 0..32_usize;
    prop_oneof![
        2 => Just(Act::LogIn),
        2 => Just(Act::Cookie),
        1 => Just(Act::ApiKey),
        3 => which.clone().prop_map(Act::Ticket),
        3 => which.clone().prop_map(Act::Redeem),
        3 => which.clone().prop_map(Act::Refresh),
        2 => which.clone().prop_map(Act::UseCookie),
        5 => (0..2_u8).prop_map(Act::External),
        2 => which.clone().prop_map(Act::RevokeBearer),
        3 => which.prop_map(Act::EndSession),
        1 => Just(Act::LogOutEverywhere),
        1 => Just(Act::RevokeClient),
        // From minutes to more than a year: everything ends in some, and little in others.
        6 => prop_oneof![Just(2), Just(70), Just(1_600), Just(46_000), Just(140_000), Just(600_000)]
            .prop_map(Act::Pass),
    ]
}

/// Everything that somebody has, in one of two worlds.
#[derive(Default)]
struct Holder {
    bearers: Vec<Secret>,
    tickets: Vec<Secret>,
    refresh: Vec<Secret>,
    sockets: Vec<CredentialReference>,
}

fn pick<T>(from: &[T], which: usize) -> Option<&T> {
    from.get(which % from.len().max(1))
}

impl Holder {
    /// Whether it was granted; none where there is nothing to ask with.
    async fn act(&mut self, world: &World, act: Act) -> Option<bool> {
        let granted = match act {
            Act::LogIn => {
                let (_, pair) = world.log_in().await;
                self.bearers.push(pair.access);
                self.refresh.push(pair.refresh);
                true
            }
            Act::Cookie => {
                self.bearers.push(world.cookie().await.1);
                true
            }
            Act::ApiKey => {
                self.bearers.push(world.api_key().await.shown());
                true
            }
            Act::Ticket(which) => {
                let parent = pick(&self.bearers, which)?.clone();
                let request =
                    NewTicket { parent, audience: None, origin: None, within: None, by: TicketAsker::Service };
                match world.authority.create_ticket(&actor(), request).await.expect("an outcome") {
                    TicketOutcome::Granted { ticket, .. } => {
                        self.tickets.push(ticket);
                        true
                    }
                    TicketOutcome::Denied(_) => false,
                }
            }
            Act::Redeem(which) => {
                let ticket = pick(&self.tickets, which)?;
                match world.redeem(ticket, 1, &PresentationContext::default()).await.judgement {
                    Judgement::Allowed(allowed) => {
                        self.sockets.push(allowed.reference);
                        true
                    }
                    Judgement::Denied { .. } => false,
                }
            }
            Act::Refresh(which) => {
                let token = pick(&self.refresh, which)?;
                match world.authority.refresh_tokens(&actor(), token).await.expect("an outcome") {
                    RefreshOutcome::Granted(pair) => {
                        self.bearers.push(pair.access);
                        self.refresh.push(pair.refresh);
                        true
                    }
                    RefreshOutcome::Denied(_) => false,
                }
            }
            Act::UseCookie(which) => {
                let used = world.authority.use_cookie(pick(&self.bearers, which)?).await.expect("an outcome");
                if let Ok(CookieUse::Exchanged { value, .. }) = &used {
                    self.bearers.push(value.clone());
                }
                used.is_ok()
            }
            Act::External(sid) => {
                let sid = if sid == 0 { json!(null) } else { json!(format!("s{sid}")) };
                let token = world.token(json!({"sid": sid}));
                let judgement = world.verify(&token).await.judgement;
                self.bearers.push(token);
                matches!(judgement, Judgement::Allowed(_))
            }
            Act::RevokeBearer(which) => {
                let target = RevokeTarget::Presented(pick(&self.bearers, which)?.clone());
                let reason = Reason::Administrative;
                let request = RevokeRequest { tenant: tenant(), target, reason, pace: None, request_id: None };
                // What is gone cannot be revoked, and need not be: this is not compared.
                drop(world.authority.revoke(&actor(), request).await);
                true
            }
            Act::EndSession(which) => {
                let Judgement::Allowed(allowed) = world.verify(pick(&self.bearers, which)?).await.judgement else {
                    return Some(false);
                };
                world.revoke(RevokeTarget::Session(allowed.principal.session?)).await;
                true
            }
            Act::LogOutEverywhere => {
                world.revoke(RevokeTarget::Identity(named("alice"))).await;
                true
            }
            Act::RevokeClient => {
                let client = ClientId::try_from("web").expect("a valid id");
                world.revoke(RevokeTarget::Client(client)).await;
                true
            }
            Act::Pass(minutes) => {
                world.clock.advance(Duration::from_secs(u64::from(minutes) * 60));
                true
            }
        };
        Some(granted)
    }

    /// Who is let in, of everything that was ever given out.
    async fn let_in(&self, world: &World) -> Vec<bool> {
        let mut let_in = Vec::new();
        for bearer in &self.bearers {
            let_in.push(matches!(world.verify(bearer).await.judgement, Judgement::Allowed(_)));
        }
        let verdicts = world.authority.batch_verify(&self.sockets).await.expect("verdicts");
        let_in.extend(verdicts.iter().map(|verdict| matches!(verdict.judgement, Judgement::Allowed(_))));
        let_in
    }
}

/// Two worlds in which the same is done, and only one of them removes what is over: nobody can tell by being let in.
async fn nobody_can_tell(acts: &[Act]) -> Result<(), TestCaseError> {
    let ((keeps, _), (tidies, _)) = (World::trusting().await, World::trusting().await);
    let (mut one, mut other) = (Holder::default(), Holder::default());
    for act in acts {
        let (kept, tidied) = (one.act(&keeps, *act).await, other.act(&tidies, *act).await);
        prop_assert_eq!(kept, tidied, "{:?} ended otherwise", act);
        if matches!(act, Act::Pass(_)) {
            tidy(&tidies).await;
            prop_assert_eq!(one.let_in(&keeps).await, other.let_in(&tidies).await, "after {:?}", act);
        }
    }
    Ok(())
}

#[test]
fn removing_what_is_over_lets_nobody_in_and_throws_nobody_out() {
    let config = Config { cases: 24, failure_persistence: None, max_shrink_iters: 64, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // What chance seldom comes to.
    let hard = [
        &[Act::External(1), Act::EndSession(0), Act::Pass(600_000), Act::External(1)][..],
        &[Act::ApiKey, Act::Ticket(0), Act::Redeem(0), Act::Pass(600_000), Act::RevokeBearer(0), Act::Pass(600_000)],
        &[Act::LogIn, Act::Refresh(0), Act::Pass(2), Act::Refresh(0), Act::Pass(1_600), Act::Refresh(0)],
    ];
    for acts in hard {
        runtime.block_on(nobody_can_tell(acts)).expect("nobody can tell");
    }
    let outcome = TestRunner::new_with_rng(config, rng)
        .run(&prop::collection::vec(act(), 10..40), |acts| runtime.block_on(nobody_can_tell(&acts)));
    outcome.expect("nobody can tell");
}

//! Sentences about what a store removes: what goes goes whole, and nothing that lives goes with it.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    Attempts, Batch, CertificateName, Committed, Continuation, Credential, CredentialKind, Ended, PasswordReset,
    Reason, Session, Spent, Store, Target, check_log,
};
use portcullis_types::{CredentialId, RedemptionId, Revision, SessionId, SigningKeyId, Timestamp};

use crate::issuers::issuer;
use crate::login::{continuation, key, reset};
use crate::seed::write;
use crate::{Seed, Subject, signature_keys};

pub(crate) async fn append(store: &Arc<dyn Store>, seed: &Seed) -> Committed {
    write(store).await.commit_with(seed.kill(), seed.now()).await.expect("appends")
}

/// The log's first entry, or the one after its head.
async fn first_kept(store: &Arc<dyn Store>) -> u64 {
    store.log_after(0, 1).await.expect("reads").first().map_or(u64::MAX, |entry| entry.seq)
}

async fn move_horizon(store: &Arc<dyn Store>, from: u64, to: u64) -> bool {
    let mut tx = write(store).await;
    assert!(tx.take_turn().await.expect("reads"), "nobody else tidies");
    let moved = tx.move_horizon(from, to).await.expect("writes");
    tx.commit().await.expect("commits");
    moved
}

/// What is dead by its position alone says so itself before nobody can tell any more; what never dies by it lives on.
pub async fn what_another_branch_issued_is_marked_before_its_position_is_forgotten(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut positions = vec![store.head().await.expect("reads").revision()];
    for _ in 0..4 {
        positions.push(append(&store, &seed).await.revision);
    }
    let elsewhere = |seq: usize| Revision { chain: positions[seq].chain ^ 1, ..positions[seq] };
    let (mut sessions, mut credentials) = (Vec::new(), Vec::new());
    for (issued, is_lost) in [
        (positions[0], false),
        (positions[2], false),
        (positions[3], false),
        (elsewhere(0), true),
        (elsewhere(2), true),
        (elsewhere(3), true),
        (elsewhere(4), false),
        (Revision { seq: 9, chain: 9 }, false),
    ] {
        let session = Session { issued, ..seed.session_row(SessionId::new(seed.ids())) };
        let mut tx = write(&store).await;
        tx.insert_session(&session).await.expect("writes");
        tx.commit().await.expect("commits");
        sessions.push((session.id, is_lost));
        let of = |kind, session| Credential { issued, session, parent: None, ..seed.credential_row(kind) };
        for (row, is_lost) in [
            (of(CredentialKind::SessionCookie, Some(session.id)), is_lost),
            (of(CredentialKind::AccessToken, None), is_lost),
            (of(CredentialKind::ApiKey, None), false),
        ] {
            seed.insert(&store, &row).await;
            credentials.push((row.id, is_lost));
        }
        let n = 1 + u8::try_from(sessions.len()).expect("they are few");
        let mut key = signature_keys::row(&seed, n, None);
        key.credential.issued = issued;
        assert!(signature_keys::insert(&store, &key).await, "nobody has it");
        credentials.push((key.credential.id, is_lost));
    }
    // That of the seed says that it is dead.
    let lost = 3 * 4;
    let counted = async |limit| store.read().await.expect("reads").count_lost(0, 3, limit).await.expect("reads");
    assert_eq!((counted(100).await, counted(1).await), (lost, 2), "one of either kind");
    let mut tx = write(&store).await;
    assert!(tx.take_turn().await.expect("reads"), "nobody else tidies");
    assert_eq!(tx.mark_lost(0, 3).await.expect("writes"), lost);
    assert!(tx.move_horizon(0, 3).await.expect("writes"));
    tx.commit().await.expect("commits");
    let mut view = store.read().await.expect("reads");
    for (id, is_lost) in sessions {
        let row = view.session(&seed.tenant, id).await.expect("reads").expect("it is there");
        assert_eq!(row.revoked_seq, is_lost.then_some(3), "{:?}", row.issued);
    }
    for (id, is_lost) in credentials {
        let row = view.credential(id).await.expect("reads").expect("it is there");
        assert_eq!(row.revoked_seq, is_lost.then_some(3), "{:?} {:?}", row.kind, row.issued);
    }
}

/// I17: whoever sees that an entry is gone can see that it was said to be.
pub async fn entries_that_are_forgotten_and_the_horizon_go_together(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut positions = vec![store.head().await.expect("reads").revision()];
    for _ in 0..5 {
        positions.push(append(&store, &seed).await.revision);
    }
    let mut dropped = write(&store).await;
    assert!(dropped.move_horizon(0, 3).await.expect("writes"));
    drop(dropped);
    // The next transaction begins when the one before has ended.
    drop(write(&store).await);
    assert_eq!((store.horizon().await.expect("reads"), first_kept(&store).await), (0, 1), "it left no trace");
    assert_eq!(store.read().await.expect("reads").forgotten_until().await.expect("reads"), None);

    assert!(move_horizon(&store, 0, 3).await);
    assert_eq!((store.horizon().await.expect("reads"), first_kept(&store).await), (3, 4));
    for (seq, position) in (0..).zip(&positions) {
        let known = (seq >= 3).then_some(*position);
        assert_eq!(store.revision_at(seq).await.expect("reads"), known, "{seq}");
    }
    let until = async || store.read().await.expect("reads").forgotten_until().await.expect("reads");
    assert_eq!(until().await, Some(seed.now()), "as young as the youngest that is gone");
    assert!(!move_horizon(&store, 0, 4).await, "it has moved since");
    assert_eq!((store.horizon().await.expect("reads"), first_kept(&store).await), (3, 4));
    let whole = check_log(&*store).await.expect("what is kept is whole");
    assert_eq!((whole.horizon, whole.head.seq), (3, 5));
}

/// Whatever order they were committed in, by whichever clock: the latest of all that are gone stays.
pub async fn how_young_the_youngest_forgotten_entry_was_is_kept(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let at = |seconds| Timestamp::from_unix_seconds(seconds);
    for seconds in [100, 300, 200, 250, 400, 500] {
        write(&store).await.commit_with(seed.kill(), at(seconds)).await.expect("appends");
    }
    let until = async || store.read().await.expect("reads").forgotten_until().await.expect("reads");
    for (from, to, expected) in [(0, 1, 100), (1, 3, 300), (3, 4, 300), (4, 5, 400)] {
        assert!(move_horizon(&store, from, to).await);
        assert_eq!(until().await, Some(at(expected)), "up to {to}");
    }
}

/// The chain goes on over it, and over a restart.
pub async fn a_log_that_was_compacted_goes_on(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    for _ in 0..3 {
        append(&store, &seed).await;
    }
    assert!(move_horizon(&store, 0, 2).await);
    let head = store.head().await.expect("reads");
    drop(store);
    subject.close().await;
    let store = subject.open(2).await;
    assert_eq!(store.head().await.expect("reads"), head);
    assert_eq!(append(&store, &seed).await.revision.seq, 4);
    assert!(move_horizon(&store, 2, 3).await);
    let whole = check_log(&*store).await.expect("what is kept is whole");
    assert_eq!((whole.horizon, whole.head.seq), (3, 4));
    let session = store.read().await.expect("reads").session(&seed.tenant, seed.session).await.expect("reads");
    assert_eq!(session.expect("planted").revoked_seq, Some(4), "what killed a row stands on it");
}

/// A reader never finds a gap that it cannot explain, whenever it looks.
pub async fn readers_beside_a_compaction_see_it_whole_or_not_at_all(subject: &impl Subject) {
    const ENTRIES: u64 = 60;
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    for _ in 0..ENTRIES {
        append(&store, &seed).await;
    }
    let compacting = async {
        for to in 1..ENTRIES {
            assert!(move_horizon(&store, to - 1, to).await);
        }
    };
    let reading = async {
        let mut horizon = 0;
        while horizon < ENTRIES - 1 {
            // The horizon is read after what it explains.
            let first = first_kept(&store).await;
            let known = store.revision_at(horizon).await.expect("reads").is_some();
            let now = store.horizon().await.expect("reads");
            assert!(first <= now + 1, "entry {first} is the first, though those after {now} are kept");
            assert!(known || horizon < now, "position {horizon} is not known");
            check_log(&*store).await.expect("it is whole");
            horizon = now;
        }
    };
    futures_util::future::join(compacting, reading).await;
}

/// The instant before which it is over, in all sentences below.
fn then(seed: &Seed) -> Timestamp {
    seed.now()
}

fn ended(seed: &Seed, row: Credential, seconds: i64) -> Credential {
    let end = Timestamp::from_micros(then(seed).as_micros() + seconds * 1_000_000);
    Credential { expires_at: Some(end), parent: None, ..row }
}

async fn remove(store: &Arc<dyn Store>, seed: &Seed, what: Ended, limit: u32) -> u64 {
    let mut tx = write(store).await;
    let rows = tx.remove_ended(what, then(seed), limit).await.expect("removes");
    tx.commit().await.expect("commits");
    rows
}

async fn remove_all(store: &Arc<dyn Store>, seed: &Seed, what: Ended) {
    while remove(store, seed, what, 3).await > 0 {}
}

async fn is_there(store: &Arc<dyn Store>, id: CredentialId) -> bool {
    store.read().await.expect("reads").credential(id).await.expect("reads").is_some()
}

/// In small pieces, the oldest first, and only what ended before.
pub async fn credentials_go_after_their_end_a_few_at_a_time(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut over = Vec::new();
    for seconds in [-4, -1, -3, -2] {
        let row = ended(&seed, seed.credential_row(CredentialKind::AccessToken), seconds);
        seed.insert(&store, &row).await;
        over.push(row.id);
    }
    let mut lives = Vec::new();
    for kind in [CredentialKind::AccessToken, CredentialKind::RefreshToken, CredentialKind::SessionCookie] {
        let row = ended(&seed, seed.credential_row(kind), 0);
        seed.insert(&store, &row).await;
        lives.push(row.id);
    }
    let endless = Credential { expires_at: None, ..seed.credential_row(CredentialKind::ApiKey) };
    let over_key = ended(&seed, seed.credential_row(CredentialKind::ApiKey), -100);
    for row in [&endless, &over_key] {
        seed.insert(&store, row).await;
        lives.push(row.id);
    }
    let count = async || store.read().await.expect("reads").count_ended(Ended::Credentials, then(&seed), 10).await;
    assert_eq!(count().await.expect("reads"), 4);
    assert_eq!(remove(&store, &seed, Ended::Credentials, 3).await, 3);
    let left: Vec<_> = [is_there(&store, over[0]).await, is_there(&store, over[1]).await].into();
    assert_eq!(left, [false, true], "the oldest went first");
    assert_eq!(remove(&store, &seed, Ended::Credentials, 3).await, 1);
    assert_eq!(remove(&store, &seed, Ended::Credentials, 3).await, 0);
    assert_eq!(count().await.expect("reads"), 0);
    for id in lives {
        assert!(is_there(&store, id).await, "it had not ended, or is kept by other rules");
    }
}

/// A socket rests on it for as long as the parent is good.
pub async fn a_redeemed_ticket_goes_with_its_parent(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let parent = ended(&seed, seed.credential_row(CredentialKind::SessionCookie), 0);
    seed.insert(&store, &parent).await;
    let mut tickets = Vec::new();
    for _ in 0..5 {
        let ticket = ended(&seed, seed.credential_row(CredentialKind::Ticket), -10);
        let ticket = Credential { parent: Some(parent.id), signing_key: None, ..ticket };
        seed.insert(&store, &ticket).await;
        tickets.push(ticket.id);
    }
    let at = Timestamp::from_micros(then(&seed).as_micros() - 11_000_000);
    for id in &tickets[1..] {
        let mut tx = write(&store).await;
        assert!(tx.redeem_ticket(*id, RedemptionId::from_bytes([7; 16]), at).await.expect("writes"));
        tx.commit().await.expect("commits");
    }
    remove_all(&store, &seed, Ended::Credentials).await;
    assert!(!is_there(&store, tickets[0]).await, "nobody redeemed it");
    for id in [&tickets[1..], &[parent.id]].concat() {
        assert!(is_there(&store, id).await, "its parent lives");
    }
    let end = parent.expires_at.expect("it has one");
    let mut tx = write(&store).await;
    let before = Timestamp::from_micros(end.as_micros() - 1);
    assert!(tx.move_cookie_end(parent.id, end, before).await.expect("writes"));
    tx.commit().await.expect("commits");
    remove_all(&store, &seed, Ended::Credentials).await;
    for id in [&tickets[..], &[parent.id]].concat() {
        assert!(!is_there(&store, id).await);
    }
}

/// Its parent may have no end, and its socket has one.
pub async fn a_ticket_goes_so_long_after_its_redemption(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut tickets = Vec::new();
    for earlier in [1, 0, -1] {
        let ticket = Credential { signing_key: None, ..seed.credential_row(CredentialKind::Ticket) };
        let ticket = Credential { expires_at: Some(seed.now() + Duration::from_secs(99)), ..ticket };
        seed.insert(&store, &ticket).await;
        let at = Timestamp::from_micros(then(&seed).as_micros() - earlier);
        let mut tx = write(&store).await;
        assert!(tx.redeem_ticket(ticket.id, RedemptionId::from_bytes([7; 16]), at).await.expect("writes"));
        tx.commit().await.expect("commits");
        tickets.push(ticket.id);
    }
    let unused = ended(&seed, Credential { signing_key: None, ..seed.credential_row(CredentialKind::Ticket) }, -10);
    seed.insert(&store, &unused).await;
    remove_all(&store, &seed, Ended::Tickets).await;
    let mut left = Vec::new();
    for id in tickets {
        left.push(is_there(&store, id).await);
    }
    assert_eq!(left, [false, true, true]);
    assert!(is_there(&store, unused.id).await, "nobody redeemed it");
}

/// Presenting a spent token that has not ended finds its successor, or a theft would not be noticed.
pub async fn a_successor_stays_while_its_predecessor_has_not_ended(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let old = ended(&seed, seed.credential_row(CredentialKind::RefreshToken), 10);
    let new = ended(&seed, seed.credential_row(CredentialKind::RefreshToken), -10);
    let new = Credential { parent: Some(old.id), ..new };
    for row in [&old, &new] {
        seed.insert(&store, row).await;
    }
    let mut tx = write(&store).await;
    assert!(tx.spend_refresh_token(old.id, new.id, then(&seed)).await.expect("writes"));
    tx.commit().await.expect("commits");
    remove_all(&store, &seed, Ended::Credentials).await;
    assert!(is_there(&store, new.id).await);
    let found = store.read().await.expect("reads").credential(old.id).await.expect("reads").expect("it is there");
    assert!(matches!(found.spent, Some(Spent::Rotated { successor, .. }) if successor == new.id));
}

/// Whatever was issued under it goes before it, and one that was revoked is no exception.
pub async fn a_session_goes_after_everything_of_it(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let before = Timestamp::from_micros(then(&seed).as_micros() - 1);
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let id = SessionId::new(seed.ids());
        let mut tx = write(&store).await;
        tx.insert_session(&Session { expires_at: before, ..seed.session_row(id) }).await.expect("writes");
        tx.commit().await.expect("commits");
        sessions.push(id);
    }
    let kill = Batch::kill(Target::Session(seed.tenant.clone(), sessions[1]), Reason::Logout);
    write(&store).await.commit_with(kill, seed.now()).await.expect("appends");
    let of_first = ended(&seed, seed.credential_row(CredentialKind::AccessToken), -10);
    let of_first = Credential { session: Some(sessions[0]), ..of_first };
    seed.insert(&store, &of_first).await;
    let there = async |id| {
        let mut view = store.read().await.expect("reads");
        view.session(&seed.tenant, id).await.expect("reads").is_some()
    };
    remove_all(&store, &seed, Ended::Sessions).await;
    assert!(there(sessions[0]).await, "something of it is left");
    assert!(!there(sessions[1]).await);
    remove_all(&store, &seed, Ended::Credentials).await;
    remove_all(&store, &seed, Ended::Sessions).await;
    assert!(!there(sessions[0]).await);
    assert!(there(seed.session).await, "it has not ended");
}

/// The time is noted when it is seen.
pub async fn an_api_key_goes_when_it_was_over_for_long_enough(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let key = |seconds| ended(&seed, seed.credential_row(CredentialKind::ApiKey), seconds);
    let (over, lives) = (key(-10), key(10));
    let revoked = Credential { expires_at: None, ..key(0) };
    let endless = Credential { expires_at: None, ..key(0) };
    for row in [&over, &lives, &revoked, &endless] {
        seed.insert(&store, row).await;
    }
    let kill = Batch::kill(Target::Credential(seed.tenant.clone(), revoked.id), Reason::Compromised);
    write(&store).await.commit_with(kill, seed.now()).await.expect("appends");
    remove_all(&store, &seed, Ended::ApiKeys).await;
    assert!(is_there(&store, over.id).await, "nobody has noted when");
    let name = CertificateName::try_from("over.example").expect("a valid name");
    let mut tx = write(&store).await;
    assert!(tx.take_certificate_name(&name, revoked.id, None, then(&seed)).await.expect("writes"));
    assert_eq!(tx.note_ended_api_keys(then(&seed), 10).await.expect("writes"), 2);
    assert_eq!(tx.note_ended_api_keys(then(&seed), 10).await.expect("writes"), 0, "once");
    tx.commit().await.expect("commits");
    remove_all(&store, &seed, Ended::ApiKeys).await;
    assert!(!is_there(&store, over.id).await);
    assert!(is_there(&store, revoked.id).await, "it is over since now");
    let mut tx = write(&store).await;
    let later = then(&seed) + Duration::from_micros(1);
    assert_eq!(tx.remove_ended(Ended::ApiKeys, later, 10).await.expect("removes"), 2, "the key and its name");
    tx.commit().await.expect("commits");
    assert!(!is_there(&store, revoked.id).await);
    let mut tx = write(&store).await;
    assert!(tx.take_certificate_name(&name, lives.id, None, then(&seed)).await.expect("writes"), "it is free");
    assert!(is_there(&store, lives.id).await && is_there(&store, endless.id).await);
}

/// A key that signs, or that signed something with a row, or that was revoked within the log.
pub async fn a_signing_key_that_something_rests_on_stays(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let later = then(&seed) + Duration::from_secs(1);
    let over = async || store.read().await.expect("reads").signing_keys_over(later).await.expect("reads");
    assert_eq!(over().await, [], "it signs");
    let token = seed.credential_row(CredentialKind::AccessToken);
    seed.insert(&store, &token).await;
    let kill = Batch::kill(Target::SigningKey(seed.signing_key), Reason::Compromised);
    let mut tx = write(&store).await;
    let (from, to) = (auth_domain::KeyState::Signing, auth_domain::KeyState::Revoked);
    assert!(tx.move_signing_key(seed.signing_key, from, to, then(&seed)).await.expect("writes"));
    tx.commit_with(kill, then(&seed)).await.expect("appends");
    assert_eq!(over().await, [], "a token of it has a row");
    let mut tx = write(&store).await;
    let end = token.expires_at.expect("it has one") + Duration::from_secs(1);
    tx.remove_ended(Ended::Credentials, end, 10).await.expect("removes");
    tx.commit().await.expect("commits");
    assert_eq!(over().await, [], "the log still says that it was revoked");
    append(&store, &seed).await;
    assert!(move_horizon(&store, 0, 1).await);
    assert_eq!(over().await, [seed.signing_key]);
    let mut tx = write(&store).await;
    assert!(tx.remove_signing_key(seed.signing_key).await.expect("writes"));
    assert!(!tx.remove_signing_key(SigningKeyId::new(seed.ids())).await.expect("writes"));
    tx.commit().await.expect("commits");
    assert!(store.read().await.expect("reads").signing_key(seed.signing_key).await.expect("reads").is_none());
}

/// A `sid` may come back: its session is kept by rules of its own, and for ever when it was revoked. A token that had none
/// is over when it ended.
pub async fn external_rows_go_as_their_issuer_can_bring_them_back(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let one = issuer(&seed, "one", "app");
    let before = Timestamp::from_micros(then(&seed).as_micros() - 1);
    let ids = [(); 3].map(|()| SessionId::new(seed.ids()));
    let [slept, revoked, alone] = ids;
    let mut tx = write(&store).await;
    assert!(tx.put_issuer(&one).await.expect("writes"));
    for id in ids {
        tx.insert_session(&Session { expires_at: before, ..seed.session_row(id) }).await.expect("writes");
    }
    let mut tokens = Vec::new();
    for (session, sid, digest) in [(slept, 1, 11), (revoked, 2, 12), (alone, 13, 13)] {
        let row = ended(&seed, seed.credential_row(CredentialKind::AccessToken), -1);
        let row = Credential { session: Some(session), signing_key: None, ..row };
        tx.insert_credential(&row).await.expect("writes");
        assert!(tx.insert_external_token(one.id, &[digest; 32], row.id, &[]).await.expect("writes"));
        let inserted = tx.insert_external_session(one.id, &[sid; 32], 0, seed.identity, None, session).await;
        assert!(inserted.expect("writes"));
        tokens.push(row.id);
    }
    let kill = Batch::kill(Target::Session(seed.tenant.clone(), revoked), Reason::Logout);
    tx.commit_with(kill, seed.now()).await.expect("appends");

    for what in [Ended::Credentials, Ended::Sessions] {
        remove_all(&store, &seed, what).await;
    }
    let there = async |id| {
        let mut view = store.read().await.expect("reads");
        view.session(&seed.tenant, id).await.expect("reads").is_some()
    };
    for id in tokens {
        assert!(!is_there(&store, id).await);
    }
    assert_eq!([there(slept).await, there(revoked).await, there(alone).await], [true, true, false]);
    let mut view = store.read().await.expect("reads");
    assert_eq!(view.external_token_by(one.id, &[11; 32]).await.expect("reads"), None);
    let found = view.external_session(one.id, &[1; 32], 0, seed.identity, None).await.expect("reads");
    assert_eq!(found, Some(slept), "the next token of the `sid` goes on with it");
    drop(view);

    remove_all(&store, &seed, Ended::ExternalSessions).await;
    assert_eq!([there(slept).await, there(revoked).await], [false, true]);
    let mut view = store.read().await.expect("reads");
    assert_eq!(view.external_session(one.id, &[1; 32], 0, seed.identity, None).await.expect("reads"), None);
    assert!(view.external_session_is_revoked(one.id, &[2; 32]).await.expect("reads"), "it never comes back");
}

/// What is refused when unknown, and what counts no more.
pub async fn what_logins_leave_behind_goes(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let (now, before) = (then(&seed), Timestamp::from_micros(then(&seed).as_micros() - 1));
    let under_way = continuation(&seed);
    let over = Continuation { expires_at: before, ..continuation(&seed) };
    let token = PasswordReset { expires_at: before, ..reset(&seed) };
    let mut tx = write(&store).await;
    for row in [&under_way, &over] {
        tx.insert_continuation(row, Timestamp::from_micros(0)).await.expect("writes");
    }
    tx.put_password_reset(&token).await.expect("writes");
    for (which, last_at, next_at) in [(1, before, before), (2, now, before), (3, before, now)] {
        tx.lock_attempts(&key(which)).await.expect("reads");
        let attempts = Attempts { failures: 9, next_at, last_at };
        tx.set_attempts(&key(which), &attempts).await.expect("writes");
    }
    for (place, at) in [(4, before), (5, now)] {
        tx.note_place(&key(1), &key(place), at, 9).await.expect("writes");
    }
    tx.commit().await.expect("commits");
    for what in [Ended::Continuations, Ended::PasswordResets, Ended::Attempts, Ended::Places] {
        let counted = store.read().await.expect("reads").count_ended(what, now, 9).await.expect("reads");
        assert_eq!((counted, remove(&store, &seed, what, 9).await, remove(&store, &seed, what, 9).await), (1, 1, 0));
    }
    let mut tx = write(&store).await;
    assert!(tx.continuation(under_way.id).await.expect("reads").is_some());
    assert!(tx.continuation(over.id).await.expect("reads").is_none());
    assert!(tx.password_reset(token.id).await.expect("reads").is_none());
    let mut left = Vec::new();
    for which in 1..4 {
        left.push(tx.lock_attempts(&key(which)).await.expect("reads").failures);
    }
    assert_eq!(left, [0, 9, 9], "what still counts, or still delays, stays");
    assert_eq!(tx.place_seen_at(&key(1), &key(4)).await.expect("reads"), None);
    assert_eq!(tx.place_seen_at(&key(1), &key(5)).await.expect("reads"), Some(now));
}

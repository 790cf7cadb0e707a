//! The audit trail when its oldest rows are removed: it stays whole, says so, and whoever tampers with that is found.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    Actor, AuditBeginning, AuditFilter, AuditRecord, Authority, CompactError, KeyEncryptionKey, KeyEncryptionKeys,
    Page, RetentionRules, SealMark, Tidied, TrailFault,
};
use portcullis_types::{AuditAnchor, AuditCheck, AuditFinding, AuditSeal, SealedRow, TenantId};

use super::world::{KEK, SECOND, World, parts};

const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn rules() -> RetentionRules {
    RetentionRules { audit: Some(30 * DAY), ..RetentionRules::default() }
}

/// A trail of three seals, of which the first two are old enough.
pub(crate) async fn old() -> World {
    let world = World::new().await;
    seal(&world).await;
    for _ in 0..2 {
        world.clock.advance(SECOND);
        world.log_in().await;
        seal(&world).await;
    }
    world.clock.advance(32 * DAY);
    world
}

pub(crate) async fn seal(world: &World) -> AuditAnchor {
    world.authority.seal_audit().await.expect("seals").expect("there are rows").anchor()
}

pub(crate) async fn removed(authority: &Authority) -> u64 {
    match authority.remove_audit(&rules()).await.expect("removes") {
        Tidied::Removed { rows, .. } => rows,
        Tidied::Nothing => 0,
        Tidied::Elsewhere => panic!("nobody else does"),
    }
}

/// What somebody finds who is handed the trail: where it begins, and what is wrong.
pub(crate) async fn checked(
    authority: &Authority,
    noted: Option<AuditAnchor>,
) -> (Option<AuditBeginning>, Vec<AuditFinding>) {
    let (mut check, mut begins, mut findings, mut after) = (AuditCheck::from_the_beginning(noted), None, Vec::new(), 0);
    while let Some(part) = authority.sealed_audit_after(after).await.expect("reads") {
        let rows: Vec<SealedRow> = part.rows.iter().map(AuditRecord::sealed).collect();
        if let Some(beginning) = part.beginning {
            findings.extend(check.begin_after(beginning.after, beginning.is_vouched_for, &rows));
            (begins, after) = (Some(beginning), beginning.after.number);
        }
        if let Some(seal) = part.seal {
            findings.extend(check.next(&seal, &rows));
            after = seal.number;
        }
    }
    findings.extend(check.end());
    (begins, findings)
}

pub(crate) async fn found(world: &World) -> Vec<AuditFinding> {
    checked(&world.authority, None).await.1
}

#[tokio::test]
async fn old_batches_go_whole_and_the_trail_says_up_to_where() {
    let world = old().await;
    let mut sealed = Vec::new();
    let mut after = 0;
    while let Some(part) = world.authority.sealed_audit_after(after).await.expect("reads") {
        let seal = part.seal.expect("nothing was removed");
        after = seal.number;
        sealed.push(seal);
    }
    let gone = (sealed[0].rows.len() + sealed[1].rows.len()) as u64;
    assert_eq!(removed(&world.authority).await, gone);
    assert_eq!(removed(&world.authority).await, 0, "the newest seal stays, however old it is");
    let (begins, findings) = checked(&world.authority, Some(sealed[2].anchor())).await;
    assert_eq!(begins, Some(AuditBeginning { after: sealed[1].anchor(), is_vouched_for: true }));
    assert_eq!(findings, []);
    let page = world.authority.audit_entries(&TenantId::system(), &AuditFilter::default(), Page::default()).await;
    let said = page.expect("reads").items.remove(0);
    assert_eq!((&*said.action, &*said.actor), ("audit.remove", "authority"));
    assert_eq!(said.target, format!("seal:{}", sealed[1].anchor()));

    seal(&world).await;
    world.clock.advance(40 * DAY);
    world.log_in().await;
    let newest = seal(&world).await;
    assert!(removed(&world.authority).await > 0, "and so it goes on");
    let (begins, findings) = checked(&world.authority, Some(sealed[2].anchor())).await;
    let begins_after = begins.expect("it begins later").after.number;
    assert_eq!(begins_after, newest.number - 1);
    assert_eq!(
        findings,
        [AuditFinding::AnchorGone { noted: 3, begins_after }],
        "what was noted proves nothing any more"
    );
    assert_eq!(found(&world).await, []);
}

#[tokio::test]
async fn rows_are_kept_for_ever_or_for_as_long_as_is_said() {
    let world = old().await;
    for kept in [None, Some(32 * DAY)] {
        let rules = RetentionRules { audit: kept, ..RetentionRules::default() };
        assert_eq!(world.authority.remove_audit(&rules).await.expect("reads"), Tidied::Nothing, "{kept:?}");
    }
    assert_eq!(RetentionRules::default().audit, None);
    assert_eq!(checked(&world.authority, None).await, (None, vec![]));
}

#[tokio::test]
async fn a_removal_never_makes_a_damaged_trail_look_whole() {
    for (sql, seal) in [
        ("UPDATE audit SET reason = 'none' WHERE seal = 1", 1),
        ("DELETE FROM audit WHERE seal = 2", 2),
        ("UPDATE audit_seals SET sealed_at = sealed_at + 1 WHERE number = 2", 2),
        ("DELETE FROM audit_seals WHERE number = 1", 2),
    ] {
        let world = old().await;
        world.data.tamper(sql).await;
        let refused = world.authority.remove_audit(&rules()).await;
        assert!(
            matches!(refused, Err(CompactError::Trail(TrailFault::Changed(of))) if of == seal),
            "{sql}: {refused:?}"
        );
        assert!(!found(&world).await.is_empty(), "{sql}");
    }
}

/// Whoever can write the database can make all seals again, in a chain that is whole by itself.
#[tokio::test]
async fn seals_that_were_made_again_to_look_old_are_not_removed() {
    let forgeries: [fn(&SealMark) -> Vec<u8>; 4] =
        [|_| Vec::new(), |of| of.mark.clone(), |of| [&of.mark[..16], &[7; 32]].concat(), |_| vec![b'x'; 48]];
    for (n, forge) in forgeries.into_iter().enumerate() {
        let world = World::new().await;
        seal(&world).await;
        for _ in 0..2 {
            world.log_in().await;
            seal(&world).await;
        }
        let mut view = world.store.read().await.expect("reads");
        let (seals, marks) = (view.audit_seals(0, 9).await, view.seal_marks(0, 9).await);
        drop(view);
        world.data.tamper("UPDATE audit SET seal = NULL WHERE seal > 0").await;
        world.data.tamper("DELETE FROM audit_seals WHERE number > 0").await;
        let mut last = None;
        for (seal, mark) in seals.expect("reads").iter().zip(marks.expect("reads")) {
            let again = AuditSeal::over(last, seal.sealed_at.saturating_sub(40 * DAY), seal.rows.clone());
            let mark = SealMark { seal: again.anchor(), sealed_at: again.sealed_at, mark: forge(&mark) };
            let mut tx = world.store.write().await.expect("begins");
            assert!(tx.insert_audit_seal(&again, &mark).await.expect("writes"));
            tx.commit().await.expect("commits");
            last = Some(again.anchor());
        }
        assert_eq!(found(&world).await, [], "by itself it is whole");
        let refused = world.authority.remove_audit(&rules()).await;
        assert!(matches!(refused, Err(CompactError::Trail(TrailFault::Unmarked(1)))), "{n}: {refused:?}");
        assert_eq!(checked(&world.authority, None).await.0, None, "nothing was removed");
    }
}

#[tokio::test]
async fn what_was_planted_before_the_beginning_is_not_removed_unseen() {
    let refused = async |world: &World, at| {
        let refused = world.authority.remove_audit(&rules()).await;
        assert!(matches!(refused, Err(CompactError::Trail(TrailFault::Changed(of))) if of == at), "{at}: {refused:?}");
    };
    let world = old().await;
    world.log_in().await;
    world.data.tamper("UPDATE audit SET seal = 0 WHERE seal IS NULL").await;
    refused(&world, 0).await;

    let world = old().await;
    assert!(removed(&world.authority).await > 0);
    seal(&world).await;
    world.clock.advance(40 * DAY);
    world.log_in().await;
    world.data.tamper("UPDATE audit SET seal = 1 WHERE seal IS NULL").await;
    refused(&world, 2).await;
    assert!(matches!(found(&world).await[..], [AuditFinding::RowAdded { seal: 2, .. }, ..]));
}

/// Whoever can write the database has no key-encryption key.
#[tokio::test]
async fn a_beginning_that_is_moved_forged_or_taken_away_is_found() {
    let forged = |seal| AuditFinding::BeginningForged { seal };
    let missing = |from, before| AuditFinding::SealsMissing { from, before };
    for (tampering, expected) in [
        // Forward, over what shall not be seen.
        (
            &[
                "UPDATE audit_start SET number = 3, hash = (SELECT hash FROM audit_seals WHERE number = 3)",
                "DELETE FROM audit WHERE seal = 3",
                "DELETE FROM audit_seals WHERE number = 3",
            ][..],
            vec![forged(3)],
        ),
        (&["UPDATE audit_start SET number = 1"], vec![forged(1), missing(2, 3)]),
        (&["UPDATE audit_start SET hash = mark"], vec![forged(2), AuditFinding::SealForked { seal: 3 }]),
        (&["UPDATE audit_start SET mark = hash"], vec![forged(2)]),
        (&["UPDATE audit_start SET kek_id = 'another'"], vec![forged(2)]),
        (&["DELETE FROM audit_start"], vec![missing(1, 3)]),
        (&["DELETE FROM audit_seals WHERE number = 3"], vec![missing(3, 4)]),
    ] {
        let world = old().await;
        assert!(removed(&world.authority).await > 0);
        seal(&world).await;
        assert_eq!(found(&world).await, []);
        for sql in tampering {
            world.data.tamper(sql).await;
        }
        assert_eq!(found(&world).await, expected, "{tampering:?}");
    }
}

#[tokio::test]
async fn what_comes_after_the_beginning_is_held_in_place_as_ever() {
    let world = old().await;
    assert!(removed(&world.authority).await > 0);
    let noted = seal(&world).await;
    let last = world.authority.sealed_audit_after(3).await.expect("reads").expect("there is one");
    let row = last.rows[0].id;
    world.data.tamper("UPDATE audit SET reason = 'none' WHERE seal = 4").await;
    assert_eq!(found(&world).await, [AuditFinding::RowAltered { seal: 4, row }]);
    world.data.tamper("UPDATE audit SET seal = 1 WHERE seal = 4").await;
    let planted = [AuditFinding::RowAdded { seal: 2, row }, AuditFinding::RowRemoved { seal: 4, row }];
    assert_eq!(found(&world).await, planted, "under a seal that is gone");
    world.data.tamper("DELETE FROM audit WHERE seal = 1").await;
    world.data.tamper("DELETE FROM audit_seals WHERE number = 4").await;
    let cut = checked(&world.authority, Some(noted)).await.1;
    assert_eq!(cut, [AuditFinding::Truncated { noted: 4, last: 3 }]);
}

#[tokio::test]
async fn nobody_goes_on_from_a_beginning_that_no_key_vouches_for() {
    let world = old().await;
    assert!(removed(&world.authority).await > 0);
    seal(&world).await;
    world.clock.advance(40 * DAY);
    world.data.tamper("UPDATE audit_start SET mark = hash").await;
    let refused = world.authority.remove_audit(&rules()).await;
    assert!(matches!(refused, Err(CompactError::Trail(TrailFault::Unvouched(2)))), "{refused:?}");
}

pub(crate) fn new_key() -> KeyEncryptionKey {
    KeyEncryptionKey::new(&[8; 32])
}

/// The authority on the same store, with these keys.
pub(crate) async fn opened(world: &World, keks: KeyEncryptionKeys) -> Authority {
    let parts = parts(Arc::clone(&world.store), &world.clock, &world.hasher, keks);
    Authority::open(parts).await.expect("opens")
}

pub(crate) async fn with_both_keys(world: &World) -> Authority {
    opened(world, KeyEncryptionKeys::new(new_key(), vec![KeyEncryptionKey::new(&KEK)])).await
}

/// Or whoever can write the database would only have to wait for it.
#[tokio::test]
async fn a_new_key_encryption_key_vouches_for_no_seal_that_none_vouched_for() {
    let world = old().await;
    let mark = world.store.read().await.expect("reads").seal_marks(0, 1).await.expect("reads").remove(0);
    let forged = SealMark { mark: [&mark.mark[..16], &[7; 32]].concat(), ..mark.clone() };
    let mut tx = world.store.write().await.expect("begins");
    assert!(tx.mark_seal(&mark, &forged).await.expect("writes"));
    tx.commit().await.expect("commits");
    let both = with_both_keys(&world).await;
    both.reencrypt(&Actor::authority()).await.expect("encrypts the others anew");
    let refused = both.remove_audit(&rules()).await;
    assert!(matches!(refused, Err(CompactError::Trail(TrailFault::Unmarked(1)))), "{refused:?}");
}

#[tokio::test]
async fn a_new_key_encryption_key_vouches_for_the_beginning_too() {
    let world = old().await;
    assert!(removed(&world.authority).await > 0);
    let both = with_both_keys(&world).await;
    let vouched = async |authority: &Authority| {
        let (begins, findings) = checked(authority, None).await;
        assert_eq!(findings.is_empty(), begins.expect("it begins later").is_vouched_for);
        findings.is_empty()
    };
    assert!(vouched(&both).await);
    let done = both.reencrypt(&Actor::authority()).await.expect("encrypts anew");
    assert!(done.count >= 2, "the signing key, and this");
    let only_new = opened(&world, new_key().into()).await;
    assert!(vouched(&only_new).await);
    let later = seal(&world).await;
    world.clock.advance(40 * DAY);
    assert!(
        matches!(only_new.remove_audit(&rules()).await, Ok(Tidied::Removed { .. })),
        "it vouches for the seals that were there: {later}"
    );
    assert!(!vouched(&world.authority).await, "whoever has only the old key cannot tell");
}

//! Seals of the audit trail that no key-encryption key vouches for, or another one than is given now.

use auth_domain::{Actor, AuditFilter, Authority, CompactError, Page, SealMark, TrailFault, VouchError};
use portcullis_types::{AuditAnchor, TenantId};

use super::audit_removal::{checked, found, new_key, old, opened, removed, rules, seal, with_both_keys};
use super::world::World;

/// As rows are that a version without marks wrote.
const UNMARK: &str = "UPDATE audit_seals SET mark = substr(mark, 1, 0)";

async fn marks(world: &World) -> Vec<SealMark> {
    world.store.read().await.expect("reads").seal_marks(0, 9).await.expect("reads")
}

async fn anchors(world: &World) -> Vec<AuditAnchor> {
    marks(world).await.iter().map(|mark| mark.seal).collect()
}

async fn vouch(world: &World, noted: AuditAnchor) -> Result<u64, VouchError> {
    world.authority.vouch_for_seals(&Actor::authority(), noted).await
}

async fn is_unmarked(authority: &Authority, seal: u64) -> bool {
    let refused = authority.remove_audit(&rules()).await;
    matches!(refused, Err(CompactError::Trail(TrailFault::Unmarked(of))) if of == seal)
}

#[tokio::test]
async fn seals_from_before_the_marks_go_once_somebody_vouches_for_one_that_was_noted() {
    let world = old().await;
    let noted = anchors(&world).await;
    world.data.tamper(UNMARK).await;
    assert!(is_unmarked(&world.authority, 1).await);
    assert_eq!(vouch(&world, noted[1]).await.expect("it is the noted one"), 2);
    assert!(marks(&world).await[2].mark.is_empty(), "nobody said anything of what came after");
    assert_eq!(vouch(&world, noted[1]).await.expect("it is the noted one"), 0, "once");
    assert!(removed(&world.authority).await > 0);
    seal(&world).await;
    assert_eq!(found(&world).await, []);
    let page = Page::new(100, "").expect("a page");
    let rows = world.authority.audit_entries(&TenantId::system(), &AuditFilter::default(), page).await;
    let vouched: Vec<_> = rows.expect("reads").items.into_iter().filter(|row| row.action == "audit.vouch").collect();
    assert_eq!(vouched.len(), 1);
    assert_eq!((&*vouched[0].target, &*vouched[0].detail), (&*format!("seal:{}", noted[1]), r#"{"seals":2}"#));
}

#[tokio::test]
async fn nothing_is_vouched_for_by_another_seal_than_the_one_that_is_there() {
    let world = old().await;
    let noted = anchors(&world).await;
    world.data.tamper(UNMARK).await;
    let other = AuditAnchor { hash: [7; 32], ..noted[1] };
    assert!(matches!(vouch(&world, other).await, Err(VouchError::OtherSeal(2))));
    let later = AuditAnchor { number: 9, ..noted[1] };
    assert!(matches!(vouch(&world, later).await, Err(VouchError::NotThere(9))));
    let none = AuditAnchor { number: 0, ..noted[1] };
    assert!(matches!(vouch(&world, none).await, Err(VouchError::NotThere(0))));
    world.data.tamper("UPDATE audit SET reason = 'none' WHERE seal = 1").await;
    assert!(matches!(vouch(&world, noted[1]).await, Err(VouchError::Trail(TrailFault::Changed(1)))));
    assert!(marks(&world).await.iter().all(|mark| mark.mark.is_empty()));
}

#[tokio::test]
async fn a_mark_that_is_wrong_is_not_made_good_by_vouching() {
    let world = old().await;
    let noted = anchors(&world).await;
    world.data.tamper("UPDATE audit_seals SET mark = hash WHERE number = 1").await;
    assert_eq!(vouch(&world, noted[1]).await.expect("it is the noted one"), 0);
    assert!(is_unmarked(&world.authority, 1).await);
}

#[tokio::test]
async fn the_next_key_vouches_for_every_seal_so_that_the_older_one_can_go() {
    let world = old().await;
    let done = with_both_keys(&world).await.reencrypt(&Actor::authority()).await.expect("encrypts anew");
    assert_eq!(done.seals_left, 0);
    let next = opened(&world, new_key().into()).await;
    assert!(removed(&next).await > 0);
    assert_eq!(checked(&next, None).await.1, []);
}

/// Whoever can write rows could name any key; that must not keep anybody from changing keys.
#[tokio::test]
async fn a_mark_of_an_unknown_key_is_told_and_the_others_are_made_anew() {
    let world = old().await;
    let before = marks(&world).await;
    let unknown = SealMark { mark: vec![b'x'; 48], ..before[0].clone() };
    let mut tx = world.store.write().await.expect("begins");
    assert!(tx.mark_seal(&before[0], &unknown).await.expect("writes"));
    tx.commit().await.expect("commits");
    let both = with_both_keys(&world).await;
    for time in ["once", "and again"] {
        let done = both.reencrypt(&Actor::authority()).await.expect("encrypts anew");
        assert_eq!(done.seals_left, 1, "{time}");
    }
    let after = marks(&world).await;
    assert_eq!(after[0], unknown);
    assert!(before[1..].iter().zip(&after[1..]).all(|(before, after)| before.mark != after.mark));
    assert!(is_unmarked(&opened(&world, new_key().into()).await, 1).await);
}

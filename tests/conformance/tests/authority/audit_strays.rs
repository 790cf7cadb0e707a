//! Rows of the audit trail that say they are sealed, and that no seal knows.

use auth_domain::AuditRecord;
use portcullis_types::AuditFinding;

use super::audit_removal::{found, old, removed, seal};
use super::world::World;

async fn rows_of(world: &World, after: u64) -> Vec<AuditRecord> {
    world.authority.sealed_audit_after(after).await.expect("reads").expect("there is one").rows
}

#[tokio::test]
async fn a_row_under_the_number_of_no_seal_is_found() {
    for sql in [
        "UPDATE audit SET seal = 9999 WHERE seal IS NULL",
        "UPDATE audit SET seal = 4 WHERE seal IS NULL",
        "UPDATE audit SET seal = 0 WHERE seal IS NULL",
        "UPDATE audit SET seal = -3 WHERE seal IS NULL",
    ] {
        for begins_later in [false, true] {
            let world = old().await;
            if begins_later {
                // Which is a row without a seal.
                assert!(removed(&world.authority).await > 0);
            } else {
                world.log_in().await;
            }
            assert_eq!(found(&world).await, [], "{sql}");
            world.data.tamper(sql).await;
            let findings = found(&world).await;
            let added = findings.iter().all(|finding| matches!(finding, AuditFinding::RowAdded { .. }));
            assert!(added && !findings.is_empty(), "{sql}, {begins_later}: {findings:?}");
        }
    }
}

#[tokio::test]
async fn what_a_seal_held_that_was_taken_away_is_found_though_it_was_the_newest() {
    let world = old().await;
    let held: Vec<_> = rows_of(&world, 2).await.iter().map(|row| row.id).collect();
    world.data.tamper("DELETE FROM audit_seals WHERE number = 3").await;
    let added: Vec<_> = held.iter().map(|row| AuditFinding::RowAdded { seal: 2, row: *row }).collect();
    assert_eq!(found(&world).await, added);
}

#[tokio::test]
async fn a_trail_without_any_of_its_seals_is_not_taken_for_one_that_begins() {
    for begins_later in [false, true] {
        let world = old().await;
        if begins_later {
            assert!(removed(&world.authority).await > 0);
            seal(&world).await;
        }
        world.data.tamper("DELETE FROM audit_seals WHERE number > 0").await;
        let findings = found(&world).await;
        let forged = findings.contains(&AuditFinding::BeginningForged { seal: 1 });
        let added = findings.iter().any(|finding| matches!(finding, AuditFinding::RowAdded { .. }));
        assert!(added && forged != begins_later, "{findings:?}");
    }
}

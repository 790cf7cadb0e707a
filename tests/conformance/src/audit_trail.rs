//! Sentences about the audit trail.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    About, Actor, AuditEntry, AuditFilter, AuditOutcome, AuditRecord, AuditStart, Detail, RequestId, SealMark, Store,
    StoreError, TextMatch,
};
use futures_util::future::join_all;
use portcullis_types::{AuditSeal, IdentityId, SessionId, TenantId};

use crate::seed::write;
use crate::{Seed, Subject};

fn entry(seed: &Seed, action: &'static str) -> AuditEntry {
    AuditEntry {
        at: seed.now(),
        tenant: seed.tenant.clone(),
        actor: Actor::identity(&seed.tenant, seed.identity),
        action,
        about: About::Session { id: SessionId::from_bytes([1; 16]), of: seed.identity },
        outcome: AuditOutcome::Done,
        reason: None,
        detail: Detail::default(),
        request: None,
    }
}

async fn note(store: &Arc<dyn Store>, entries: &[AuditEntry]) {
    let mut tx = write(store).await;
    tx.insert_audits(entries).await.expect("writes");
    tx.commit().await.expect("commits");
}

/// As if the key-encryption key of this name vouched for it.
fn marked(seal: &AuditSeal, kek_id: &str) -> SealMark {
    SealMark { seal: seal.anchor(), sealed_at: seal.sealed_at, mark: [kek_id.as_bytes(), &[7; 32]].concat() }
}

async fn unsealed(store: &Arc<dyn Store>) -> Vec<AuditRecord> {
    store.read().await.expect("reads").unsealed_audit(0, 1_000).await.expect("reads")
}

/// Filters join, and a page goes on where the one before it ended, though many rows are of one instant.
pub async fn audit_rows_are_found_by_what_they_say(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut rows: Vec<_> = ["session.create", "session.revoke", "identity.create"].map(|a| entry(&seed, a)).into();
    seed.clock.advance(Duration::from_secs(1));
    let denied = AuditEntry {
        outcome: AuditOutcome::Denied,
        reason: Some("SCOPE_MISSING".to_owned()),
        request: RequestId::try_from("r-1").ok(),
        actor: Actor::edge().at("2001:db8::1".parse().ok()),
        about: About::Method("/x"),
        detail: Detail::default().and("how", "\u{e9}"),
        ..entry(&seed, "rpc.deny")
    };
    rows.push(denied.clone());
    note(&store, &rows).await;

    let all = AuditFilter::default();
    let find = async |filter: &AuditFilter, before, limit| {
        let mut view = store.read().await.expect("reads");
        view.find_audit(&seed.tenant, filter, before, limit).await.expect("reads")
    };
    let actions = async |filter: AuditFilter| {
        find(&filter, None, 9).await.into_iter().map(|row| row.action).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(actions(all.clone()).await, "rpc.deny identity.create session.revoke session.create", "newest first");
    let newest = find(&all, None, 1).await.remove(0);
    let expected = AuditRecord {
        id: newest.id,
        at: seed.now(),
        tenant: seed.tenant.to_string(),
        actor: "edge".to_owned(),
        action: "rpc.deny".to_owned(),
        target: "method:/x".to_owned(),
        outcome: "denied".to_owned(),
        reason: "SCOPE_MISSING".to_owned(),
        request: "r-1".to_owned(),
        identity: String::new(),
        detail: r#"{"how":"é"}"#.to_owned(),
        address: "2001:db8::1".to_owned(),
    };
    assert_eq!(newest, expected, "nothing is lost or changed on the way");
    let (mut walked, mut before) = (Vec::new(), None);
    while let Some(row) = find(&all, before, 1).await.pop() {
        before = Some((row.at, row.id));
        walked.push(row);
    }
    assert_eq!(walked, find(&all, None, 9).await, "each once");

    let beginning = |text: &str| Some(TextMatch::Beginning(text.to_owned()));
    let whole = |text: &str| Some(TextMatch::Whole(text.to_owned()));
    assert_eq!(
        actions(AuditFilter { action: beginning("session."), ..all.clone() }).await,
        "session.revoke session.create"
    );
    assert_eq!(actions(AuditFilter { action: whole("session"), ..all.clone() }).await, "");
    assert_eq!(actions(AuditFilter { action: beginning("%"), ..all.clone() }).await, "");
    assert_eq!(actions(AuditFilter { actor: whole("edge"), ..all.clone() }).await, "rpc.deny");
    assert_eq!(actions(AuditFilter { target: Some("method:/x".to_owned()), ..all.clone() }).await, "rpc.deny");
    let of = |identity| AuditFilter { identity: Some(identity), ..all.clone() };
    assert_eq!(actions(of(seed.identity)).await, "identity.create session.revoke session.create");
    assert_eq!(actions(of(IdentityId::from_bytes([9; 16]))).await, "");
    assert_eq!(actions(AuditFilter { outcome: Some(AuditOutcome::Denied), ..all.clone() }).await, "rpc.deny");
    assert_eq!(actions(AuditFilter { since: Some(seed.now()), ..all.clone() }).await, "rpc.deny");
    let until = AuditFilter { until: Some(seed.now()), action: beginning("session"), ..all.clone() };
    assert_eq!(actions(until).await, "session.revoke session.create");
    let other = TenantId::try_from("other").expect("valid");
    let mut view = store.read().await.expect("reads");
    assert_eq!(view.find_audit(&other, &all, None, 9).await.expect("reads"), []);
}

/// A row is under one seal, and a seal's rows are read back as they were sealed.
pub async fn a_row_is_sealed_once(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    note(&store, &["session.create", "session.revoke"].map(|action| entry(&seed, action))).await;
    let rows: Vec<_> = unsealed(&store).await.iter().map(AuditRecord::sealed).collect();
    assert_eq!(rows.len(), 2);
    let first = AuditSeal::over(None, seed.now(), rows.clone());
    let mut tx = write(&store).await;
    assert_eq!(tx.last_audit_seal().await.expect("reads"), None);
    assert!(tx.insert_audit_seal(&first, &marked(&first, "first")).await.expect("writes"));
    tx.commit().await.expect("commits");

    assert_eq!(unsealed(&store).await, []);
    let mut view = store.read().await.expect("reads");
    assert_eq!(view.last_audit_seal().await.expect("reads").as_ref(), Some(&first));
    assert_eq!(view.audit_seals(0, 9).await.expect("reads"), std::slice::from_ref(&first));
    assert_eq!(view.audit_seals(1, 9).await.expect("reads"), []);
    let sealed: Vec<_> = view.sealed_audit(1, 9).await.expect("reads").iter().map(AuditRecord::sealed).collect();
    assert_eq!(sealed, rows);
    drop(view);

    let mut tx = write(&store).await;
    assert!(!tx.insert_audit_seal(&first, &marked(&first, "first")).await.expect("answers"), "the number is taken");
    drop(tx);
    let again = AuditSeal::over(Some(first.anchor()), seed.now(), rows);
    let mut tx = write(&store).await;
    let refused = tx.insert_audit_seal(&again, &marked(&again, "again")).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "its rows are sealed: {refused:?}");
}

/// Rows and seals go together, from where the trail begins; whoever comes late changes nothing.
pub async fn sealed_rows_go_up_to_a_seal_and_the_trail_begins_there(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut seals: Vec<AuditSeal> = Vec::new();
    for _ in 0..4 {
        note(&store, &["session.create", "session.revoke"].map(|action| entry(&seed, action))).await;
        let rows = unsealed(&store).await.iter().map(AuditRecord::sealed).collect();
        let seal = AuditSeal::over(seals.last().map(AuditSeal::anchor), seed.now(), rows);
        let mut tx = write(&store).await;
        assert!(tx.insert_audit_seal(&seal, &marked(&seal, "0123456789abcdef")).await.expect("writes"));
        tx.commit().await.expect("commits");
        seals.push(seal);
    }
    note(&store, &[entry(&seed, "session.create")]).await;
    let start = |seal: usize, kek: &str| AuditStart {
        anchor: seals[seal].anchor(),
        kek_id: kek.to_owned(),
        mark: [u8::try_from(seal).expect("few"); 32],
    };
    let remove = async |from: Option<usize>, next: &AuditStart| {
        let mut tx = write(&store).await;
        let from = from.map(|seal| seals[seal].anchor());
        let rows = tx.remove_sealed_audit(from, next).await.expect("writes");
        tx.commit().await.expect("commits");
        rows
    };
    assert_eq!(store.read().await.expect("reads").audit_start().await.expect("reads"), None);
    assert_eq!(remove(Some(0), &start(1, "kek")).await, None, "it does not begin there");
    assert_eq!(remove(None, &start(1, "kek")).await, Some(4));
    assert_eq!(remove(None, &start(2, "kek")).await, None, "it begins later since");
    assert_eq!(remove(Some(1), &start(2, "kek")).await, Some(2));

    let (kept, kek) = (&seals[3], "0123456789abcdef");
    let (mark, anew) = (marked(kept, kek), marked(kept, "fedcba9876543210"));
    let mut tx = write(&store).await;
    assert_eq!(tx.seal_marks(0, 9).await.expect("reads"), std::slice::from_ref(&mark));
    assert_eq!(tx.seal_marks(4, 9).await.expect("reads"), []);
    assert_eq!(tx.seal_marks_not_under(kek, 0, 9).await.expect("reads"), []);
    assert!(!tx.mark_seal(&anew, &mark).await.expect("answers"), "it is not marked so");
    assert!(tx.mark_seal(&mark, &anew).await.expect("writes"));
    assert_eq!(tx.seal_marks_not_under(kek, 0, 9).await.expect("reads"), [anew]);
    assert_eq!(tx.seal_marks_not_under(kek, 4, 9).await.expect("reads"), []);
    drop(tx);

    let mut tx = write(&store).await;
    let (now, anew) = (start(2, "kek"), AuditStart { mark: [9; 32], ..start(2, "new") });
    assert!(!tx.mark_audit_start(&start(1, "kek"), &anew).await.expect("answers"), "it begins later");
    assert!(!tx.mark_audit_start(&start(2, "other"), &anew).await.expect("answers"), "another key vouches");
    assert!(tx.mark_audit_start(&now, &anew).await.expect("writes"));
    tx.commit().await.expect("commits");
    let mut view = store.read().await.expect("reads");
    assert_eq!(view.audit_start().await.expect("reads"), Some(anew));
    assert_eq!(view.audit_seals(0, 9).await.expect("reads"), seals[3..]);
    assert_eq!(view.audit_up_to(3, 9).await.expect("reads"), []);
    let left: Vec<_> = view.audit_up_to(4, 9).await.expect("reads").iter().map(AuditRecord::sealed).collect();
    assert_eq!(left, seals[3].rows);
    assert_eq!(view.unsealed_audit(0, 9).await.expect("reads").len(), 1, "what is not sealed stays");
}

/// However many seal at once, each row is under one seal and the numbers have no gap.
pub async fn many_sealers_seal_each_row_once(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Arc::new(Seed::plant(&store).await);
    let work = (0..8).map(|_| {
        let (store, seed) = (Arc::clone(&store), Arc::clone(&seed));
        tokio::spawn(async move {
            for _ in 0..5 {
                note(&store, &[entry(&seed, "session.create")]).await;
                let mut tx = write(&store).await;
                let rows: Vec<_> =
                    tx.unsealed_audit(0, 3).await.expect("reads").iter().map(AuditRecord::sealed).collect();
                let last = tx.last_audit_seal().await.expect("reads");
                let seal = AuditSeal::over(last.as_ref().map(AuditSeal::anchor), seed.now(), rows);
                // Another one may have been faster; then this one leaves no trace.
                if !seal.rows.is_empty()
                    && matches!(tx.insert_audit_seal(&seal, &marked(&seal, "0123456789abcdef")).await, Ok(true))
                {
                    tx.commit().await.expect("commits");
                }
            }
        })
    });
    for sealer in join_all(work).await {
        sealer.expect("no sealer panics");
    }
    let mut view = store.read().await.expect("reads");
    let seals = view.audit_seals(0, 1_000).await.expect("reads");
    let mut check = portcullis_types::AuditCheck::from_the_beginning(None);
    let mut sealed = 0;
    for seal in &seals {
        let rows = view.sealed_audit(seal.number, 1_000).await.expect("reads");
        let rows: Vec<_> = rows.iter().map(AuditRecord::sealed).collect();
        assert_eq!(check.next(seal, &rows), []);
        sealed += rows.len();
    }
    let waiting = view.unsealed_audit(0, 1_000).await.expect("reads").len();
    assert_eq!(sealed + waiting, 40, "nothing is lost");
    assert!(sealed > 0);
}

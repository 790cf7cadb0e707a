use super::*;

const ROW: AuditRow<'_> = AuditRow {
    id: 1,
    at: Timestamp::from_unix_seconds(1),
    tenant: "acme",
    actor: "edge",
    action: "session.create",
    target: "session:1",
    outcome: "done",
    reason: "",
    request: "",
    identity: "",
    detail: "",
    address: "",
};

fn row(id: u64, target: &str) -> SealedRow {
    AuditRow { id, target, ..ROW }.sealed()
}

fn trail() -> Vec<AuditSeal> {
    let mut seals: Vec<AuditSeal> = Vec::new();
    for number in 0..3_u64 {
        let rows = (0..3).map(|n| row(3 * number + n, "session:1")).collect();
        let after = seals.last().map(AuditSeal::anchor);
        seals.push(AuditSeal::over(after, Timestamp::from_unix_seconds(2), rows));
    }
    seals
}

fn check(
    seals: &[AuditSeal],
    noted: Option<AuditAnchor>,
    rows: impl Fn(&AuditSeal) -> Vec<SealedRow>,
) -> Vec<AuditFinding> {
    let mut check = AuditCheck::from_the_beginning(noted);
    let mut findings: Vec<_> = seals.iter().flat_map(|seal| check.next(seal, &rows(seal))).collect();
    findings.extend(check.end());
    findings
}

fn as_sealed(seal: &AuditSeal) -> Vec<SealedRow> {
    seal.rows.clone()
}

#[test]
fn an_untouched_trail_has_no_findings() {
    let seals = trail();
    assert_eq!(check(&seals, Some(seals[2].anchor()), as_sealed), []);
    assert_eq!(check(&[], None, as_sealed), []);
}

#[test]
fn a_removed_an_altered_and_an_added_row_are_named() {
    let touched = |seal: &AuditSeal| {
        let mut rows = as_sealed(seal);
        if seal.number == 2 {
            rows.remove(0);
            rows[0] = row(4, "session:2");
            rows.push(row(99, "session:1"));
        }
        rows
    };
    let found = [
        AuditFinding::RowRemoved { seal: 2, row: 3 },
        AuditFinding::RowAltered { seal: 2, row: 4 },
        AuditFinding::RowAdded { seal: 2, row: 99 },
    ];
    assert_eq!(check(&trail(), None, touched), found);
}

#[test]
fn rows_that_changed_places_are_both_named() {
    let swapped = |seal: &AuditSeal| {
        let mut rows = as_sealed(seal);
        if seal.number == 1 {
            rows[0].digest = row(1, "session:1").digest;
            rows[1].digest = row(0, "session:1").digest;
        }
        rows
    };
    let found = [AuditFinding::RowAltered { seal: 1, row: 0 }, AuditFinding::RowAltered { seal: 1, row: 1 }];
    assert_eq!(check(&trail(), None, swapped), found);
}

#[test]
fn whoever_makes_the_seals_again_is_found_by_the_one_that_was_noted() {
    let noted = trail()[1].anchor();
    let mut again = trail();
    again[0] = AuditSeal::over(None, Timestamp::from_unix_seconds(2), vec![row(0, "session:2")]);
    assert_eq!(check(&again, Some(noted), as_sealed), [AuditFinding::SealForked { seal: 2 }]);
    for index in 1..3 {
        let after = Some(again[index - 1].anchor());
        again[index] = AuditSeal::over(after, again[index].sealed_at, again[index].rows.clone());
    }
    assert_eq!(check(&again, None, as_sealed), [], "by itself it is whole");
    assert_eq!(check(&again, Some(noted), as_sealed), [AuditFinding::AnchorMissed { seal: 2 }]);
}

#[test]
fn a_seal_that_is_gone_or_changed_is_named() {
    let seals = trail();
    let without = [seals[0].clone(), seals[2].clone()];
    assert_eq!(check(&without, None, as_sealed), [AuditFinding::SealsMissing { from: 2, before: 3 }]);
    let mut changed = trail();
    changed[1].rows.pop();
    let found = check(&changed, None, |seal| trail()[usize::try_from(seal.number).expect("small") - 1].rows.clone());
    assert_eq!(found, [AuditFinding::SealAltered { seal: 2 }, AuditFinding::RowAdded { seal: 2, row: 5 }]);
}

#[test]
fn a_tail_that_was_cut_off_is_found_by_the_seal_that_was_noted() {
    let seals = trail();
    let noted = seals[2].anchor();
    assert_eq!(check(&seals[..2], None, as_sealed), [], "by itself it is whole");
    assert_eq!(check(&seals[..2], Some(noted), as_sealed), [AuditFinding::Truncated { noted: 3, last: 2 }]);
}

#[test]
fn a_trail_that_begins_later_is_whole_from_there() {
    let seals = trail();
    let of = |noted, begins: AuditAnchor, is_vouched_for, rows: &[SealedRow], rest: &[AuditSeal]| {
        let mut check = AuditCheck::from_the_beginning(noted);
        let mut findings = check.begin_after(begins, is_vouched_for, rows);
        findings.extend(rest.iter().flat_map(|seal| check.next(seal, &seal.rows)));
        findings.extend(check.end());
        findings
    };
    let first = seals[0].anchor();
    assert_eq!(of(Some(seals[2].anchor()), first, true, &[], &seals[1..]), []);
    assert_eq!(of(Some(first), first, true, &[], &seals[1..]), []);
    let gone = AuditFinding::AnchorGone { noted: 1, begins_after: 2 };
    assert_eq!(of(Some(first), seals[1].anchor(), true, &[], &seals[2..]), [gone]);
    let other = AuditAnchor { hash: [9; 32], ..first };
    let forked = AuditFinding::SealForked { seal: 2 };
    assert_eq!(
        of(Some(first), other, false, &[], &seals[1..]),
        [AuditFinding::BeginningForged { seal: 1 }, AuditFinding::AnchorMissed { seal: 1 }, forked]
    );
    assert_eq!(of(None, other, true, &[], &seals[1..]), [forked]);
    let missing = AuditFinding::SealsMissing { from: 2, before: 3 };
    assert_eq!(of(None, first, true, &[], &seals[2..]), [missing]);
    let added = AuditFinding::RowAdded { seal: 1, row: 99 };
    assert_eq!(of(None, first, true, &[row(99, "session:1")], &seals[1..]), [added]);
    let cut = AuditFinding::Truncated { noted: 3, last: 1 };
    assert_eq!(of(Some(seals[2].anchor()), first, true, &[], &[]), [cut]);
}

#[test]
fn a_noted_seal_that_is_removed_once_it_was_compared_is_not_gone() {
    let seals = trail();
    let mut check = AuditCheck::from_the_beginning(Some(seals[0].anchor()));
    assert_eq!(check.next(&seals[0], &seals[0].rows), []);
    assert_eq!(check.begin_after(seals[1].anchor(), true, &[]), [], "the first two went meanwhile");
    assert_eq!(check.next(&seals[2], &seals[2].rows), []);
    assert_eq!(check.end(), None);
}

#[test]
fn an_anchor_has_exactly_one_text() {
    let anchor = trail()[1].anchor();
    let text = anchor.to_string();
    assert_eq!(text.parse(), Ok(anchor));
    let shouted = text.to_uppercase();
    for other in ["", "2", "2-ab", &text[1..], &shouted, &format!("0{text}"), &format!("{text}0")] {
        assert_eq!(other.parse::<AuditAnchor>(), Err(InvalidAnchor), "{other}");
    }
}

#[test]
fn a_row_separates_its_fields() {
    let of = |actor, action| AuditRow { actor, action, ..ROW }.sealed().digest;
    assert_ne!(of("ab", "c"), of("a", "bc"));
    let of = |identity, detail, address| AuditRow { identity, detail, address, ..ROW }.sealed().digest;
    let all = [of("x", "", ""), of("", "x", ""), of("", "", "x"), of("xx", "", ""), of("x", "x", "")];
    for (n, one) in all.iter().enumerate() {
        assert_ne!(*one, ROW.sealed().digest, "what is added is seen");
        assert!(all[n + 1..].iter().all(|other| other != one), "{n}");
    }
}

#[test]
fn a_row_from_before_there_was_more_to_say_has_the_digest_that_it_was_sealed_with() {
    let digest: String = ROW.sealed().digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "64c12941d9fb0a61503a46a2fc826a9763e8f9215ad5e152218344007aea3b0b");
}

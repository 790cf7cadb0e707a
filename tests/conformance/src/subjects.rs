//! Sentences about subjects of external issuers that are bound to identities.

use auth_domain::SubjectsOf;
use portcullis_types::{IdentityId, TenantId};

use crate::seed::write;
use crate::{Seed, Subject, issuer};

/// By issuer, by identity and by both, in pages, and of the tenant alone.
pub async fn bound_subjects_are_found_by_issuer_and_by_identity(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let (one, two) = (issuer(&seed, "one", "app"), issuer(&seed, "two", "api"));
    let mut people = vec![seed.identity];
    let mut tx = write(&store).await;
    for issuer in [&one, &two] {
        assert!(tx.put_issuer(issuer).await.expect("writes"));
    }
    for name in ["bob", "carol"] {
        let id = IdentityId::new(seed.ids());
        assert!(tx.insert_identity(&seed.identity_row(name, id)).await.expect("writes"));
        people.push(id);
    }
    people.sort();
    for (n, person) in (1..).zip(&people) {
        assert!(tx.bind_subject(one.id, &[n; 32], &seed.tenant, *person).await.expect("writes"));
    }
    assert!(tx.bind_subject(two.id, &[9; 32], &seed.tenant, seed.identity).await.expect("writes"));
    assert!(tx.remove_issuer(two.id, seed.now()).await.expect("writes"));
    tx.commit().await.expect("commits");

    let mut view = store.read().await.expect("reads");
    let all = view.find_subjects(&seed.tenant, SubjectsOf::Issuer(one.id), None, 9).await.expect("reads");
    assert!(all.iter().map(|found| found.identity).eq(people.iter().copied()), "{all:?}");
    assert!(all.iter().zip(1..).all(|(found, n)| found.subject == [n; 32] && found.is_trusted), "{all:?}");
    let alice = all.iter().find(|found| found.identity == seed.identity).expect("she is bound");
    assert_eq!((alice.identity_name.as_str(), &alice.issuer_name), ("alice", &one.name));
    let (first, after) = (&all[..2], Some((one.id, all[1].identity)));
    let page = view.find_subjects(&seed.tenant, SubjectsOf::Issuer(one.id), None, 2).await.expect("reads");
    assert_eq!(page, first);
    let rest = view.find_subjects(&seed.tenant, SubjectsOf::Issuer(one.id), after, 2).await.expect("reads");
    assert_eq!(rest, all[2..]);

    let hers = view.find_subjects(&seed.tenant, SubjectsOf::Identity(seed.identity), None, 9).await.expect("reads");
    assert_eq!(hers.len(), 2);
    assert!(hers.iter().is_sorted_by_key(|found| found.issuer));
    assert!(hers.iter().all(|found| found.is_trusted == (found.issuer == one.id)), "{hers:?}");
    let after = Some((hers[0].issuer, seed.identity));
    let rest = view.find_subjects(&seed.tenant, SubjectsOf::Identity(seed.identity), after, 9).await.expect("reads");
    assert_eq!(rest, hers[1..]);
    let both = SubjectsOf::Both(two.id, seed.identity);
    let found = view.find_subjects(&seed.tenant, both, None, 9).await.expect("reads");
    assert!(found.len() == 1 && found[0].subject == [9; 32], "{found:?}");
    let globex = TenantId::try_from("globex").expect("a valid name");
    assert!(view.find_subjects(&globex, both, None, 9).await.expect("reads").is_empty(), "of another tenant");
}

/// What is unbound is bound to nobody, and can be bound again.
pub async fn a_subject_is_unbound_once(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let one = issuer(&seed, "one", "app");
    let mut tx = write(&store).await;
    assert!(tx.put_issuer(&one).await.expect("writes"));
    assert!(!tx.unbind_subject(one.id, seed.identity).await.expect("answers"), "none is");
    assert!(tx.bind_subject(one.id, &[1; 32], &seed.tenant, seed.identity).await.expect("writes"));
    assert!(tx.unbind_subject(one.id, seed.identity).await.expect("writes"));
    assert!(!tx.unbind_subject(one.id, seed.identity).await.expect("answers"), "none is any more");
    assert_eq!(tx.bound_to(one.id, &[1; 32]).await.expect("reads"), None);
    assert!(tx.bind_subject(one.id, &[2; 32], &seed.tenant, seed.identity).await.expect("writes"), "another one");
    tx.commit().await.expect("commits");
}

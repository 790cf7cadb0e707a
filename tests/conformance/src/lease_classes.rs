//! Sentences about lease classes.

use auth_domain::Tenant;
use portcullis_types::{LeaseClass, TenantId};

use crate::seed::write;
use crate::{Seed, Subject};

/// A class is kept, exchanged and taken back, and tenants are found by it.
pub async fn a_tenant_has_the_lease_class_it_was_given_last(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let name = |text: &str| TenantId::try_from(text).expect("a valid name");
    let mut tx = write(&store).await;
    for (text, class) in [("beta", LeaseClass::Hold), ("gamma", LeaseClass::Tolerant)] {
        let row = Tenant { lease_class: Some(class), ..Tenant::new(name(text), seed.now()) };
        assert!(tx.insert_tenant(&row).await.expect("writes"));
    }
    assert!(tx.set_lease_class(&name("gamma"), Some(LeaseClass::Hold)).await.expect("writes"));
    assert!(tx.set_lease_class(&seed.tenant, Some(LeaseClass::Strict)).await.expect("writes"));
    assert!(!tx.set_lease_class(&name("nobody"), Some(LeaseClass::Strict)).await.expect("answers"));
    tx.commit().await.expect("commits");

    let mut view = store.read().await.expect("reads");
    let planted = view.tenant(&seed.tenant).await.expect("reads").expect("planted");
    assert_eq!(planted.lease_class, Some(LeaseClass::Strict));
    let held = view.tenants_of_class(&[LeaseClass::Hold, LeaseClass::Tolerant], 10).await.expect("reads");
    assert_eq!(held.iter().map(|tenant| tenant.name.as_str()).collect::<Vec<_>>(), ["beta", "gamma"]);
    assert!(held.iter().all(|tenant| tenant.lease_class == Some(LeaseClass::Hold)), "{held:?}");
    assert_eq!(view.tenants_of_class(&[LeaseClass::Hold], 1).await.expect("reads").len(), 1);
    drop(view);

    let mut tx = write(&store).await;
    assert!(tx.set_lease_class(&name("beta"), None).await.expect("writes"));
    tx.commit().await.expect("commits");
    let mut view = store.read().await.expect("reads");
    assert_eq!(view.tenant(&name("beta")).await.expect("reads").expect("made").lease_class, None);
}

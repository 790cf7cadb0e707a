//! Sentences about what began before a time.

use std::time::Duration;

use auth_domain::{Batch, CredentialKind, Reason, SessionFilter, Target};
use portcullis_types::{ClientId, SessionId};

use crate::seed::write;
use crate::{Seed, Subject};

/// Of the tenant and of one client application, each by itself; it stands beside the credential and never moves back.
pub async fn what_is_ended_before_a_time_is_known_wherever_it_matters(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let (web, other) = (ClientId::try_from("web"), ClientId::try_from("other"));
    let (web, other) = (web.expect("a valid id"), other.expect("a valid id"));
    let row = seed.credential_row(CredentialKind::AccessToken);
    seed.insert(&store, &row).await;
    let after = |seconds| seed.now() + Duration::from_secs(seconds);
    for (at, kept) in [(after(5), after(5)), (after(9), after(9)), (after(7), after(9))] {
        let mut tx = write(&store).await;
        assert!(tx.end_tenant_before(&seed.tenant, at).await.expect("writes"));
        tx.commit().await.expect("commits");
        let found = store.standing(row.id).await.expect("reads").1.expect("it is there");
        assert_eq!((found.tenant.ended_before, found.client_ended_before), (Some(kept), None));
    }
    for (at, kept) in [(after(1), after(1)), (after(3), after(3)), (after(2), after(3))] {
        let mut tx = write(&store).await;
        tx.end_client_before(&seed.tenant, &web, at).await.expect("writes");
        tx.commit().await.expect("commits");
        let found = store.standing(row.id).await.expect("reads").1.expect("it is there");
        assert_eq!((found.client_revoked_seq, found.client_ended_before), (None, Some(kept)), "no entry killed it");
    }
    let mut view = store.read().await.expect("reads");
    assert_eq!(view.client_ended_before(&seed.tenant, &web).await.expect("reads"), Some(after(3)));
    assert_eq!(view.client_revoked_seq(&seed.tenant, &web).await.expect("reads"), None);
    assert_eq!(view.client_ended_before(&seed.tenant, &other).await.expect("reads"), None);
    drop(view);

    let killed = Batch::kill(Target::Client(seed.tenant.clone(), web.clone()), Reason::Administrative);
    let killed = write(&store).await.commit_with(killed, seed.now()).await.expect("appends").revision.seq;
    let mut view = store.read().await.expect("reads");
    assert_eq!(view.client_revoked_seq(&seed.tenant, &web).await.expect("reads"), Some(killed));
    assert_eq!(view.client_ended_before(&seed.tenant, &web).await.expect("reads"), Some(after(3)), "it is kept");
}

/// As by an entry: what is dead by a time is not active.
pub async fn sessions_from_before_what_is_ended_are_not_found_among_the_living(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let app = |text| ClientId::try_from(text).expect("a valid id");
    let mut ids = Vec::new();
    for (seconds, client) in [(1, "web"), (3, "web"), (3, "other"), (5, "web")] {
        let mut row = seed.session_row(SessionId::new(seed.ids()));
        row.created_at = row.created_at + Duration::from_secs(seconds);
        row.client = Some(app(client));
        ids.push(row.id);
        let mut tx = write(&store).await;
        tx.insert_session(&row).await.expect("writes");
        tx.commit().await.expect("commits");
    }
    let living = async || {
        let filter = SessionFilter { live_at: Some(seed.now()), ..SessionFilter::default() };
        let mut view = store.read().await.expect("reads");
        let rows = view.find_sessions(&seed.tenant, seed.identity, &filter, None, 9).await.expect("reads");
        let found = rows.iter().filter_map(|row| ids.iter().position(|id| *id == row.id));
        let mut found: Vec<_> = found.collect();
        found.sort_unstable();
        found
    };
    assert_eq!(living().await, [0, 1, 2, 3]);
    let after = |seconds| seed.now() + Duration::from_secs(seconds);
    let mut tx = write(&store).await;
    assert!(tx.end_tenant_before(&seed.tenant, after(3)).await.expect("writes"));
    tx.commit().await.expect("commits");
    assert_eq!(living().await, [1, 2, 3], "what began at that time began not before it");
    let mut tx = write(&store).await;
    tx.end_client_before(&seed.tenant, &app("web"), after(4)).await.expect("writes");
    tx.commit().await.expect("commits");
    assert_eq!(living().await, [2, 3]);
}

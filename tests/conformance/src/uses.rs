//! Sentences about what can be used once.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{Actor, Answered, Caller, Credential, CredentialKind, Request, RequestId, Scopes, Spent, StoreError};
use futures_util::future::join_all;
use portcullis_types::{CredentialId, IdentityId, RedemptionId, Revision};

use crate::seed::write;
use crate::{Seed, Subject};

/// Tickets are of one use, over all writers; the one that used it may ask again.
pub async fn a_ticket_is_redeemed_by_one_handshake_of_many(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Arc::new(Seed::plant(&store).await);
    let row = seed.credential_row(CredentialKind::Ticket);
    seed.insert(&store, &row).await;
    let handshakes = (0..50).map(|n| {
        let (store, now, id) = (Arc::clone(&store), seed.now(), row.id);
        tokio::spawn(async move {
            let redemption = RedemptionId::from_bytes([n; 16]);
            let mut tx = write(&store).await;
            let redeemed = tx.redeem_ticket(id, redemption, now).await.expect("answers");
            tx.commit().await.expect("commits");
            redeemed.then_some(redemption)
        })
    });
    let winners: Vec<_> =
        join_all(handshakes).await.into_iter().filter_map(|won| won.expect("no handshake panics")).collect();
    assert_eq!(winners.len(), 1);

    seed.clock.advance(Duration::from_secs(1));
    let mut tx = write(&store).await;
    assert!(tx.redeem_ticket(row.id, winners[0], seed.now()).await.expect("answers"), "the same handshake again");
    let other = RedemptionId::from_bytes([99; 16]);
    assert!(!tx.redeem_ticket(row.id, other, seed.now()).await.expect("answers"));
    let spent = tx.credential(row.id).await.expect("reads").expect("inserted").spent;
    assert_eq!(spent, Some(Spent::Redeemed { by: winners[0], at: row.created_at }), "when it was used first");
}

/// A thing expires when its end is reached.
pub async fn a_ticket_is_not_redeemed_at_its_end(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let row = seed.credential_row(CredentialKind::Ticket);
    seed.insert(&store, &row).await;
    let end = row.expires_at.expect("tickets end");
    let redemption = RedemptionId::from_bytes([1; 16]);
    let mut tx = write(&store).await;
    assert!(!tx.redeem_ticket(row.id, redemption, end).await.expect("answers"));
    let unknown = CredentialId::new(seed.ids());
    assert!(!tx.redeem_ticket(unknown, redemption, seed.now()).await.expect("answers"));
    let key = seed.credential_row(CredentialKind::ApiKey);
    tx.insert_credential(&key).await.expect("writes");
    assert!(!tx.redeem_ticket(key.id, redemption, seed.now()).await.expect("answers"), "not a ticket");
}

/// Of a session by the session, of what has none by the credential that they are from; used or not.
pub async fn tickets_fill_what_they_are_of_until_the_next_is_over(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let parent = CredentialId::new(seed.ids());
    let now = seed.now();
    let mut tx = write(&store).await;
    for seconds in [30, 10, 20] {
        let expires_at = Some(now + Duration::from_secs(seconds));
        let row = Credential { expires_at, ..seed.credential_row(CredentialKind::Ticket) };
        tx.insert_credential(&row).await.expect("writes");
        assert!(tx.redeem_ticket(row.id, RedemptionId::from_bytes([1; 16]), now).await.expect("answers"));
        let row = Credential { id: CredentialId::new(seed.ids()), session: None, parent: Some(parent), ..row };
        tx.insert_credential(&row).await.expect("writes");
        let row = Credential { expires_at, ..seed.credential_row(CredentialKind::AccessToken) };
        tx.insert_credential(&row).await.expect("writes");
    }
    let until = |seconds| Some(now + Duration::from_secs(seconds));
    for holder in [seed.session.as_bytes(), parent.as_bytes()] {
        for (most, at, expected) in
            [(4, 0, None), (3, 0, until(10)), (2, 0, until(10)), (3, 10, None), (2, 10, until(20))]
        {
            let found = tx.tickets_fill_until(holder, most, now + Duration::from_secs(at)).await.expect("reads");
            assert_eq!(found, expected, "{most} at {at}");
        }
    }
    let another = CredentialId::new(seed.ids());
    assert_eq!(tx.tickets_fill_until(another.as_bytes(), 1, now).await.expect("reads"), None);
}

/// One successor, whoever is first.
pub async fn a_refresh_token_is_spent_by_one_of_many(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Arc::new(Seed::plant(&store).await);
    let row = seed.credential_row(CredentialKind::RefreshToken);
    seed.insert(&store, &row).await;
    let uses = (0..20).map(|n| {
        let (store, now, id) = (Arc::clone(&store), seed.now(), row.id);
        tokio::spawn(async move {
            let successor = CredentialId::from_bytes([n; 16]);
            let mut tx = write(&store).await;
            let spent = tx.spend_refresh_token(id, successor, now).await.expect("answers");
            tx.commit().await.expect("commits");
            spent.then_some(successor)
        })
    });
    let winners: Vec<_> = join_all(uses).await.into_iter().filter_map(|won| won.expect("no use panics")).collect();
    assert_eq!(winners.len(), 1);
    let spent = store.read().await.expect("reads").credential(row.id).await.expect("reads").expect("inserted").spent;
    assert_eq!(spent, Some(Spent::Rotated { successor: winners[0], at: seed.now() }));
}

/// A caller's name for a request is its own whichever of its keys it asks with, and one answer is all that it gets.
pub async fn a_name_is_whose_it_is_with_any_key(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let by = |identity, key: u8| {
        let caller = Caller {
            tenant: seed.tenant.clone(),
            identity: IdentityId::from_bytes([identity; 16]),
            credential: CredentialId::from_bytes([key; 16]),
            scopes: Scopes::NONE,
            keys: Vec::new(),
            revision: Revision { seq: 0, chain: 0 },
            address: None,
            asked: None,
        };
        let id = RequestId::try_from("req-1").expect("a valid id");
        Request { tenant: seed.tenant.clone(), actor: Actor::caller(&caller), id }
    };
    let answer = Answered { content: [7; 32], committed: None, subject: Some("alice".to_owned()) };
    let mut tx = write(&store).await;
    tx.insert_answer(&by(1, 1), &answer, seed.now()).await.expect("writes");
    tx.commit().await.expect("commits");
    let answered = async |request| store.read().await.expect("reads").answered(&request).await.expect("reads");
    assert_eq!(answered(by(1, 1)).await.as_ref(), Some(&answer));
    assert_eq!(answered(by(1, 2)).await.as_ref(), Some(&answer), "the next key of the same caller");
    assert_eq!(answered(by(2, 1)).await, None, "another caller");

    let second = async {
        let mut tx = write(&store).await;
        tx.insert_answer(&by(1, 2), &answer, seed.now()).await?;
        tx.commit().await
    };
    let second = second.await;
    assert!(matches!(second, Err(StoreError::Conflict)), "{second:?}");
    let batch = seed.kill().answering(by(1, 3), [7; 32], None);
    assert!(write(&store).await.commit_with(batch, seed.now()).await.is_err(), "nor by an entry of the log");
    assert_eq!(store.head().await.expect("reads").seq, 0, "a refused batch left an entry");
}

/// The answer is in the transaction that it answers, or there is none.
pub async fn a_named_request_is_answered_from_its_transaction(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let id = RequestId::try_from("req-1").expect("a valid id");
    let request = Request { tenant: seed.tenant.clone(), actor: Actor::edge(), id };
    assert_eq!(write(&store).await.answered(&request).await.expect("reads"), None);
    let batch = seed.kill().answering(request.clone(), [7; 32], None);
    let committed = write(&store).await.commit_with(batch, seed.now()).await.expect("appends");

    let answered = store.read().await.expect("reads").answered(&request).await.expect("reads").expect("answered");
    assert_eq!((answered.content, answered.committed), ([7; 32], Some(committed)));
    let another = Request { actor: Actor::authority(), ..request.clone() };
    assert_eq!(store.read().await.expect("reads").answered(&another).await.expect("reads"), None, "another's name");

    let again = seed.kill().answering(request.clone(), [8; 32], None);
    assert!(write(&store).await.commit_with(again, seed.now()).await.is_err(), "a name answers once");
    assert_eq!(store.head().await.expect("reads").seq, 1, "a refused batch left an entry");
}

/// An entry answers as many requests as its batch names, or none.
pub async fn several_named_requests_are_answered_by_one_entry(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let request = |name: &str| {
        let id = RequestId::try_from(name).expect("a valid id");
        Request { tenant: seed.tenant.clone(), actor: Actor::edge(), id }
    };
    let batch = seed.kill().answering(request("one"), [1; 32], None);
    let batch = batch.answering(request("two"), [2; 32], Some("subject".to_owned()));
    let committed = write(&store).await.commit_with(batch, seed.now()).await.expect("appends");
    for (name, content, subject) in [("one", [1; 32], None), ("two", [2; 32], Some("subject"))] {
        let answered = store.read().await.expect("reads").answered(&request(name)).await.expect("reads");
        let answered = answered.expect("answered");
        let found = (answered.content, answered.committed, answered.subject.as_deref());
        assert_eq!(found, (content, Some(committed), subject));
    }
    let batch = seed.kill().answering(request("three"), [3; 32], None).answering(request("two"), [4; 32], None);
    assert!(write(&store).await.commit_with(batch, seed.now()).await.is_err(), "a name answers once");
    let third = store.read().await.expect("reads").answered(&request("three")).await.expect("reads");
    assert_eq!(third, None, "a refused batch left an answer");
}

//! Sentences about signing keys and API keys.

use std::time::Duration;

use auth_domain::{CredentialKind, KeyState, SigningKey};
use portcullis_types::{CredentialId, SigningKeyId};

use crate::seed::write;
use crate::{Seed, Subject};

/// Two replicas that move the same key move it once, and there is never a second one that signs.
pub async fn a_signing_key_moves_on_from_the_state_it_is_in(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let id = SigningKeyId::new(seed.ids());
    let next = SigningKey { state: KeyState::Published, signing_at: None, ..seed.signing_key_row(id) };
    let mut tx = write(&store).await;
    assert!(tx.insert_signing_key(&next).await.expect("writes"));
    let another = SigningKey { id: SigningKeyId::new(seed.ids()), ..next.clone() };
    assert!(!tx.insert_signing_key(&another).await.expect("answers"), "one key is published");
    assert!(!tx.move_signing_key(id, KeyState::Published, KeyState::Signing, seed.now()).await.expect("answers"));
    let moved = tx.move_signing_key(seed.signing_key, KeyState::Signing, KeyState::Retained, seed.now()).await;
    assert!(moved.expect("answers"));
    let again = tx.move_signing_key(seed.signing_key, KeyState::Signing, KeyState::Retained, seed.now()).await;
    assert!(!again.expect("answers"), "it is in another state");
    assert_eq!(tx.key_that_signs().await.expect("reads"), None);
    assert!(tx.move_signing_key(id, KeyState::Published, KeyState::Signing, seed.now()).await.expect("answers"));
    tx.commit().await.expect("commits");

    let mut view = store.read().await.expect("reads");
    let signs = SigningKey { state: KeyState::Signing, signing_at: Some(seed.now()), ..next };
    assert_eq!(view.key_that_signs().await.expect("reads"), Some(signs));
    let retained = view.signing_key(seed.signing_key).await.expect("reads").expect("is there");
    assert_eq!((retained.state, retained.retained_at), (KeyState::Retained, Some(seed.now())));
    assert!(retained.sealed_private.is_empty(), "what no longer signs has no private half");
}

/// Two replicas that seal the same private half anew do it once.
pub async fn a_private_half_is_sealed_anew_once(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut tx = write(&store).await;
    assert!(!tx.reseal_signing_key(seed.signing_key, "other", "new", &[1]).await.expect("answers"));
    assert!(tx.reseal_signing_key(seed.signing_key, "kek", "new", &[1, 2]).await.expect("answers"));
    assert!(!tx.reseal_signing_key(seed.signing_key, "kek", "new", &[3]).await.expect("answers"));
    tx.commit().await.expect("commits");
    let key = store.read().await.expect("reads").signing_key(seed.signing_key).await.expect("reads");
    let key = key.expect("is there");
    assert_eq!((&*key.kek_id, &*key.sealed_private), ("new", &[1, 2][..]));
}

/// Two exchanges of one API key make one successor, and the key's end only moves forward.
pub async fn an_api_key_has_one_successor(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let key = seed.credential_row(CredentialKind::ApiKey);
    let end = key.expires_at.expect("it ends");
    let (first, second) = (CredentialId::new(seed.ids()), CredentialId::new(seed.ids()));
    let ticket = seed.credential_row(CredentialKind::Ticket);
    let mut tx = write(&store).await;
    tx.insert_credential(&key).await.expect("writes");
    tx.insert_credential(&ticket).await.expect("writes");
    assert!(!tx.replace_api_key(ticket.id, None, first, None).await.expect("answers"), "no API key");
    assert!(tx.replace_api_key(key.id, None, first, Some(end + Duration::from_secs(1))).await.expect("answers"));
    let row = tx.credential(key.id).await.expect("reads").expect("is there");
    assert_eq!(row.expires_at, Some(end), "later than it would end by itself");
    assert!(!tx.replace_api_key(key.id, None, second, None).await.expect("answers"), "it has a successor");
    let sooner = seed.now() + Duration::from_secs(1);
    assert!(tx.replace_api_key(key.id, Some(first), second, Some(sooner)).await.expect("answers"));
    tx.commit().await.expect("commits");
    let row = store.read().await.expect("reads").credential(key.id).await.expect("reads").expect("is there");
    assert_eq!(row.expires_at, Some(sooner));
    assert_eq!(row.key_terms.expect("it is an API key").replaced_by, Some(second));
}

/// What two replicas saw is the later of both.
pub async fn the_last_use_of_an_api_key_is_the_latest_that_was_noted(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let key = seed.credential_row(CredentialKind::ApiKey);
    let later = seed.now() + Duration::from_secs(9);
    let mut tx = write(&store).await;
    tx.insert_credential(&key).await.expect("writes");
    let unknown = CredentialId::new(seed.ids());
    tx.note_api_key_uses(&[(key.id, later), (unknown, later)]).await.expect("writes");
    tx.note_api_key_uses(&[(key.id, seed.now())]).await.expect("writes");
    tx.commit().await.expect("commits");
    let row = store.read().await.expect("reads").credential(key.id).await.expect("reads").expect("is there");
    assert_eq!(row.key_terms.expect("it is an API key").last_used_at, Some(later));
}

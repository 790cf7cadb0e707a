//! What is encrypted before a store sees it, and what is derived instead of stored.
//!
//! Key-encryption keys are given by the binary, in versions: what is new is encrypted under the current one, what an
//! older one encrypted still opens. From each come, by HKDF with a label each: the AES-256-GCM key that encrypts private
//! signing keys, the HMAC key from which the successor of a refresh token is derived, the one under which the content of a
//! named request is digested, and the one that vouches for where the audit trail begins and when its seals were made.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use portcullis_types::{AuditAnchor, CredentialId, Entropy, Secret, Timestamp};
use sha2::{Digest, Sha256};

/// The key that protects what the store must not read.
pub struct KeyEncryptionKey {
    id: String,
    sealing: LessSafeKey,
    refresh: hmac::Key,
    requests: hmac::Key,
    trail: hmac::Key,
}

/// The key-encryption keys of this process: the current one, and older ones whose work still opens.
#[derive(Debug)]
pub struct KeyEncryptionKeys {
    current: KeyEncryptionKey,
    older: Vec<KeyEncryptionKey>,
}

/// No key-encryption key of this name was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key-encryption key {wanted} was not given; given: {given}")]
pub struct KekMissing {
    /// The one that would open it.
    pub wanted: String,
    /// Those that were given.
    pub given: String,
}

impl KeyEncryptionKeys {
    /// The current one, and those before it.
    pub fn new(current: KeyEncryptionKey, older: Vec<KeyEncryptionKey>) -> Self {
        Self { current, older }
    }

    /// What encrypts.
    pub fn current(&self) -> &KeyEncryptionKey {
        &self.current
    }

    /// All of them, the current one first.
    pub fn iter(&self) -> impl Iterator<Item = &KeyEncryptionKey> {
        std::iter::once(&self.current).chain(&self.older)
    }

    /// The one of this name.
    pub fn named(&self, id: &str) -> Result<&KeyEncryptionKey, KekMissing> {
        self.iter().find(|kek| kek.id() == id).ok_or_else(|| KekMissing {
            wanted: id.to_owned(),
            given: self.iter().map(KeyEncryptionKey::id).collect::<Vec<_>>().join(", "),
        })
    }
}

impl From<KeyEncryptionKey> for KeyEncryptionKeys {
    fn from(current: KeyEncryptionKey) -> Self {
        Self::new(current, Vec::new())
    }
}

/// It does not open: another key-encryption key, another name, or changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("encrypted bytes do not open with this key")]
pub struct DoesNotOpen;

impl KeyEncryptionKey {
    /// From 32 random bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        let id = Sha256::new().chain_update(b"portcullis key-encryption key id").chain_update(key).finalize();
        let sealing = UnboundKey::new(&AES_256_GCM, derive(key, b"portcullis signing keys at rest").expose_bytes())
            .expect("AES-256 takes the 32 bytes that HKDF gave");
        let refresh = derive(key, b"portcullis refresh successors");
        let requests = derive(key, b"portcullis named requests");
        let trail = derive(key, b"portcullis audit trail");
        Self {
            id: id[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
            sealing: LessSafeKey::new(sealing),
            refresh: hmac::Key::new(hmac::HMAC_SHA256, refresh.expose_bytes()),
            requests: hmac::Key::new(hmac::HMAC_SHA256, requests.expose_bytes()),
            trail: hmac::Key::new(hmac::HMAC_SHA256, trail.expose_bytes()),
        }
    }

    /// Its name, which rows carry.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Encrypts, bound to a name: nonce, ciphertext, tag.
    pub fn seal(&self, name: &[u8], plain: &Secret, entropy: &dyn Entropy) -> Vec<u8> {
        // 96 random bits: fewer than 2^32 keys are ever sealed under one key-encryption key.
        let nonce: [u8; NONCE_LEN] = entropy.array();
        let mut body = plain.expose_bytes().to_vec();
        self.sealing
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut body)
            .expect("a signing key is far shorter than what AES-GCM takes");
        let mut sealed = nonce.to_vec();
        sealed.append(&mut body);
        sealed
    }

    /// Decrypts what [`KeyEncryptionKey::seal`] made for the same name.
    pub fn open(&self, name: &[u8], sealed: &[u8]) -> Result<Secret, DoesNotOpen> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(DoesNotOpen)?;
        let mut body = body.to_vec();
        let plain = self
            .sealing
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(name), &mut body)
            .map_err(|_| DoesNotOpen)?;
        Ok(Secret::new(&*plain))
    }

    /// Where in the random halves of ids an account's decoy is looked for. Keyed, so that nobody can tell from a name.
    pub(crate) fn decoy_draw(&self, account: &[u8]) -> [u8; 8] {
        let mut draw = [0; 8];
        // No opaque credential begins so.
        let named = [b"decoy of ", account].concat();
        draw.copy_from_slice(&hmac::sign(&self.refresh, &named).as_ref()[..8]);
        // The variant bits of a UUID come first in that half.
        draw[0] = 0x80 | (draw[0] & 0x3f);
        draw
    }

    /// The secret of the one opaque credential that follows this one. It takes the token itself, which no store has: neither
    /// the key nor the rows are enough to foresee it.
    pub(crate) fn refresh_successor(&self, token: &Secret) -> [u8; 32] {
        bytes_of(&hmac::sign(&self.refresh, token.expose_bytes()))
    }

    /// The secret of the ticket of this id that a named request makes from a credential. It takes the credential, which no
    /// store has: neither the key nor the rows are enough to foresee it.
    pub(crate) fn ticket_of(&self, parent: &Secret, id: CredentialId) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.refresh);
        // No opaque credential begins so, and no decoy's name.
        for part in [b"ticket of ".as_slice(), id.as_bytes(), parent.expose_bytes()] {
            context.update(part);
        }
        bytes_of(&context.sign())
    }

    /// The tag of a challenge for whoever registers a signature key.
    pub(crate) fn signature_challenge(&self, bound_to: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.refresh);
        // No opaque credential begins so, no decoy's name and no ticket's.
        for part in [b"challenge of ".as_slice(), bound_to] {
            context.update(part);
        }
        bytes_of(&context.sign())
    }

    /// How this key vouches for it that the audit trail was removed up to a seal.
    pub(crate) fn audit_mark(&self, up_to: &AuditAnchor) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.trail);
        context.update(&up_to.number.to_be_bytes());
        context.update(&up_to.hash);
        bytes_of(&context.sign())
    }

    /// How this key vouches for it that a seal of the audit trail was made at an instant.
    pub(crate) fn seal_mark(&self, seal: &AuditAnchor, sealed_at: Timestamp) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.trail);
        // Longer than what vouches for a beginning: neither can stand for the other.
        context.update(b"seal");
        context.update(&seal.number.to_be_bytes());
        context.update(&seal.hash);
        context.update(&sealed_at.as_micros().to_be_bytes());
        bytes_of(&context.sign())
    }

    /// The digest of what a named request asks. Keyed, so that whoever reads the rows cannot try passwords on it.
    pub(crate) fn request_content(&self, method: &str, message: &Secret) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.requests);
        for part in [method.as_bytes(), message.expose_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        bytes_of(&context.sign())
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEncryptionKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn bytes_of(tag: &hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

fn derive(key: &[u8; 32], label: &[u8]) -> Secret {
    let mut out = vec![0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(key)
        .expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut out))
        .expect("HKDF-SHA256 gives 32 bytes");
    Secret::new(out)
}

#[cfg(test)]
mod tests {
    use portcullis_types::SeededEntropy;

    use super::*;

    #[test]
    fn what_is_sealed_opens_under_its_key_and_name_only() {
        let (kek, other) = (KeyEncryptionKey::new(&[1; 32]), KeyEncryptionKey::new(&[2; 32]));
        let mut sealed = kek.seal(b"name", &Secret::from("private"), &SeededEntropy::new(1));
        assert_eq!(kek.open(b"name", &sealed), Ok(Secret::from("private")));
        assert_eq!(kek.open(b"another", &sealed), Err(DoesNotOpen));
        assert_eq!(other.open(b"name", &sealed), Err(DoesNotOpen));
        assert_ne!(kek.id(), other.id());
        sealed[NONCE_LEN] ^= 1;
        assert_eq!(kek.open(b"name", &sealed), Err(DoesNotOpen));
        assert_eq!(kek.open(b"name", &sealed[..4]), Err(DoesNotOpen));
    }

    #[test]
    fn a_successor_depends_on_the_key_and_the_token() {
        let (kek, token) = (KeyEncryptionKey::new(&[1; 32]), Secret::from("rt_1"));
        assert_eq!(kek.refresh_successor(&token), KeyEncryptionKey::new(&[1; 32]).refresh_successor(&token));
        assert_ne!(kek.refresh_successor(&token), kek.refresh_successor(&Secret::from("rt_2")));
        assert_ne!(kek.refresh_successor(&token), KeyEncryptionKey::new(&[2; 32]).refresh_successor(&token));
    }

    #[test]
    fn a_ticket_depends_on_the_key_the_credential_and_its_id() {
        let (kek, parent) = (KeyEncryptionKey::new(&[1; 32]), Secret::from("at_1"));
        let id = |byte| CredentialId::from_bytes([byte; 16]);
        let ticket = kek.ticket_of(&parent, id(1));
        assert_eq!(ticket, KeyEncryptionKey::new(&[1; 32]).ticket_of(&parent, id(1)));
        assert_ne!(ticket, kek.ticket_of(&parent, id(2)));
        assert_ne!(ticket, kek.ticket_of(&Secret::from("at_2"), id(1)));
        assert_ne!(ticket, KeyEncryptionKey::new(&[2; 32]).ticket_of(&parent, id(1)));
        assert_ne!(ticket, kek.refresh_successor(&Secret::new([id(1).as_bytes(), parent.expose_bytes()].concat())));
    }

    #[test]
    fn what_vouches_for_a_beginning_depends_on_the_key_and_the_seal() {
        let (kek, hash) = (KeyEncryptionKey::new(&[1; 32]), [7; 32]);
        let mark = kek.audit_mark(&AuditAnchor { number: 3, hash });
        assert_eq!(mark, KeyEncryptionKey::new(&[1; 32]).audit_mark(&AuditAnchor { number: 3, hash }));
        assert_ne!(mark, kek.audit_mark(&AuditAnchor { number: 4, hash }));
        assert_ne!(mark, kek.audit_mark(&AuditAnchor { number: 3, hash: [8; 32] }));
        assert_ne!(mark, KeyEncryptionKey::new(&[2; 32]).audit_mark(&AuditAnchor { number: 3, hash }));
    }

    #[test]
    fn what_vouches_for_a_seal_depends_on_the_key_the_seal_and_its_time() {
        let (kek, hash, at) = (KeyEncryptionKey::new(&[1; 32]), [7; 32], Timestamp::from_unix_seconds);
        let seal = AuditAnchor { number: 3, hash };
        let mark = kek.seal_mark(&seal, at(5));
        assert_eq!(mark, KeyEncryptionKey::new(&[1; 32]).seal_mark(&seal, at(5)));
        assert_ne!(mark, kek.seal_mark(&AuditAnchor { number: 4, hash }, at(5)));
        assert_ne!(mark, kek.seal_mark(&AuditAnchor { number: 3, hash: [8; 32] }, at(5)));
        assert_ne!(mark, kek.seal_mark(&seal, at(6)));
        assert_ne!(mark, KeyEncryptionKey::new(&[2; 32]).seal_mark(&seal, at(5)));
        assert_ne!(mark, kek.audit_mark(&seal), "neither stands for the other");
    }

    #[test]
    fn the_content_of_a_request_depends_on_the_key_the_method_and_the_message() {
        let (kek, message) = (KeyEncryptionKey::new(&[1; 32]), Secret::from("message"));
        let content = kek.request_content("Create", &message);
        assert_eq!(content, KeyEncryptionKey::new(&[1; 32]).request_content("Create", &message));
        assert_ne!(content, kek.request_content("Createm", &Secret::from("essage")));
        assert_ne!(content, kek.request_content("Create", &Secret::from("another")));
        assert_ne!(content, KeyEncryptionKey::new(&[2; 32]).request_content("Create", &message));
    }
}

//! The keys that sign access tokens.
//!
//! Guarantees: one key signs, and which one is read in the transaction that issues, so that every replica signs with the
//! key that another has just put in place. A private half is never stored in the clear, and not at all once its key no
//! longer signs. A key has one algorithm, and verifies nothing signed by another.
//! Public halves are kept in memory as they are first needed, only those that have a row, so the map is bounded by the
//! rows. The cryptographic library draws keys and signature nonces from its own random source.

mod jwks;
mod lifecycle;
mod plan;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use jsonwebtoken::{DecodingKey, EncodingKey};
use portcullis_types::{Clock, Entropy, InvalidName, Secret, SigningKeyId, Timestamp, UuidSource};

pub(crate) use self::jwks::jwks;
pub use self::lifecycle::{RevokeSigningKeyError, RotateError, RotateSigningKey, Rotation, SigningKeyStanding};
pub use self::plan::KeySettings;

use crate::{KeyEncryptionKey, KeyEncryptionKeys, OpenError, ReadView, Store, StoreError};

/// Where a signing key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// Verifiers may know it; nothing is signed with it yet.
    Published,
    /// New tokens are signed with it.
    Signing,
    /// Nothing new is signed with it; what was is still good.
    Retained,
    /// Everything signed with it is dead.
    Revoked,
}

/// How a key signs. It never signs in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Es256, Self::EdDsa];

    /// Its name in JOSE (RFC 7518, RFC 8037), in rows and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(crate) const fn jose(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

impl TryFrom<&str> for Algorithm {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        let known = Self::ALL.into_iter().find(|algorithm| algorithm.name() == text);
        known.ok_or(InvalidName { what: "algorithm", rule: "ES256 or EdDSA" })
    }
}

/// A signing key's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// Its id; the `kid` of what it signs.
    pub id: SigningKeyId,
    /// Where it stands.
    pub state: KeyState,
    /// How it signs.
    pub algorithm: Algorithm,
    /// The public half: an uncompressed point on P-256, 65 bytes, or an Ed25519 key, 32 bytes.
    pub public: Vec<u8>,
    /// The private half as PKCS #8, encrypted and bound to the id; empty once the key no longer signs.
    pub sealed_private: Vec<u8>,
    /// The key-encryption key that opens it.
    pub kek_id: String,
    /// When it was made, and published.
    pub created_at: Timestamp,
    /// Since when it signs, or from when it did.
    pub signing_at: Option<Timestamp>,
    /// Since when it no longer signs.
    pub retained_at: Option<Timestamp>,
    /// The newest entry that killed it; kept for ever.
    pub revoked_seq: Option<u64>,
}

/// A key that signs, opened.
pub(crate) struct Signer {
    pub(crate) id: SigningKeyId,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: EncodingKey,
}

/// A public half, ready to verify.
pub(crate) struct Verifier {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

#[derive(Default)]
pub(crate) struct Keyring {
    /// The key that this process signed with last.
    signer: RwLock<Option<Arc<Signer>>>,
    public: RwLock<HashMap<SigningKeyId, Arc<Verifier>>>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.public.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Keyring").field("known", &known).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Makes the first key where there is none, and opens the one that signs.
    pub(crate) async fn open(
        store: &dyn Store,
        keks: &KeyEncryptionKeys,
        settings: &KeySettings,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Self, OpenError> {
        let mut tx = store.write().await?;
        let row = match tx.key_that_signs().await? {
            Some(row) => row,
            None => {
                let row = SigningKey {
                    state: KeyState::Signing,
                    signing_at: Some(clock.now()),
                    ..generate(settings.algorithm, keks.current(), clock, entropy)
                };
                // Another replica may start at the same time: then its key is the one.
                if tx.insert_signing_key(&row).await? {
                    tx.commit().await?;
                    row
                } else {
                    drop(tx);
                    store.read().await?.key_that_signs().await?.ok_or(StoreError::Conflict)?
                }
            }
        };
        let this = Self::default();
        this.open_signer(&row, keks)?;
        Ok(this)
    }

    /// The key that signs in this transaction.
    pub(crate) async fn signer(
        &self,
        view: &mut dyn ReadView,
        keks: &KeyEncryptionKeys,
    ) -> Result<Arc<Signer>, StoreError> {
        let row = view.key_that_signs().await?.ok_or(StoreError::Corrupt { what: "no key signs" })?;
        if let Some(known) = &*self.signer.read().unwrap_or_else(PoisonError::into_inner)
            && known.id == row.id
        {
            return Ok(Arc::clone(known));
        }
        self.open_signer(&row, keks).map_err(|error| match error {
            OpenError::Kek(missing) => StoreError::Sealed(missing),
            OpenError::KeyDamaged(_) | OpenError::Hash(_) | OpenError::Store(_) => {
                StoreError::Corrupt { what: "a signing key that does not decrypt" }
            }
        })
    }

    fn open_signer(&self, row: &SigningKey, keks: &KeyEncryptionKeys) -> Result<Arc<Signer>, OpenError> {
        let private = unseal(row, keks)?;
        let key = match row.algorithm {
            Algorithm::Es256 => EncodingKey::from_ec_der(private.expose_bytes()),
            Algorithm::EdDsa => EncodingKey::from_ed_der(private.expose_bytes()),
        };
        let signer = Arc::new(Signer { id: row.id, algorithm: row.algorithm, key });
        *self.signer.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&signer));
        Ok(signer)
    }

    /// The public half of a key that has a row, whatever its state: the row decides about that.
    pub(crate) async fn public(
        &self,
        store: &dyn Store,
        id: SigningKeyId,
    ) -> Result<Option<Arc<Verifier>>, StoreError> {
        if let Some(key) = self.public.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Some(Arc::clone(key)));
        }
        let Some(row) = store.read().await?.signing_key(id).await? else { return Ok(None) };
        let key = Arc::new(Verifier { algorithm: row.algorithm, key: decoding_key(&row) });
        self.public.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&key));
        Ok(Some(key))
    }
}

fn decoding_key(row: &SigningKey) -> DecodingKey {
    match row.algorithm {
        Algorithm::Es256 => DecodingKey::from_ec_der(&row.public),
        Algorithm::EdDsa => DecodingKey::from_ed_der(&row.public),
    }
}

/// The private half in the clear.
pub(crate) fn unseal(row: &SigningKey, keks: &KeyEncryptionKeys) -> Result<Secret, OpenError> {
    let kek = keks.named(&row.kek_id)?;
    kek.open(row.id.as_bytes(), &row.sealed_private).map_err(|_| OpenError::KeyDamaged(row.id))
}

/// A new key, published now.
fn generate(algorithm: Algorithm, kek: &KeyEncryptionKey, clock: &dyn Clock, entropy: &dyn Entropy) -> SigningKey {
    let id = SigningKeyId::new(UuidSource::new(clock, entropy));
    let (public, private) = match algorithm {
        Algorithm::Es256 => draw_p256(),
        Algorithm::EdDsa => draw_ed25519(),
    };
    SigningKey {
        id,
        state: KeyState::Published,
        algorithm,
        public,
        sealed_private: kek.seal(id.as_bytes(), &private, entropy),
        kek_id: kek.id().to_owned(),
        created_at: clock.now(),
        signing_at: None,
        retained_at: None,
        revoked_seq: None,
    }
}

fn draw_p256() -> (Vec<u8>, Secret) {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let private = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
        .expect("the cryptographic library makes P-256 keys on every supported system");
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref()).expect("a key just made is a key");
    (pair.public_key().as_ref().to_vec(), Secret::new(private.as_ref()))
}

fn draw_ed25519() -> (Vec<u8>, Secret) {
    let private = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .expect("the cryptographic library makes Ed25519 keys on every supported system");
    let pair = Ed25519KeyPair::from_pkcs8(private.as_ref()).expect("a key just made is a key");
    (pair.public_key().as_ref().to_vec(), Secret::new(private.as_ref()))
}

//! The keys that sign access tokens.
//!
//! Guarantees: one key signs; its private half is never stored in the clear. Public halves are kept in memory as they
//! are first needed, only those that have a row, so the map is bounded by the rows.
//! The cryptographic library draws keys and signature nonces from its own random source.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use portcullis_types::{Clock, Entropy, Secret, SigningKeyId, Timestamp, UuidSource};
use serde_json::{Value, json};

use crate::{KeyEncryptionKey, OpenError, Store, StoreError};

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

/// A signing key's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// Its id; the `kid` of what it signs.
    pub id: SigningKeyId,
    /// Where it stands.
    pub state: KeyState,
    /// The public half: an uncompressed point on P-256, 65 bytes.
    pub public: Vec<u8>,
    /// The private half as PKCS #8, encrypted and bound to the id.
    pub sealed_private: Vec<u8>,
    /// The key-encryption key that opens it.
    pub kek_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The newest entry that killed it; kept for ever.
    pub revoked_seq: Option<u64>,
}

pub(crate) struct Keyring {
    signing: (SigningKeyId, EncodingKey),
    public: RwLock<HashMap<SigningKeyId, Arc<DecodingKey>>>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("signing", &self.signing.0).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Loads the key that signs, or makes the first one.
    pub(crate) async fn open(
        store: &dyn Store,
        kek: &KeyEncryptionKey,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Self, OpenError> {
        let mut tx = store.write().await?;
        let found = tx.signing_keys().await?.into_iter().find(|key| key.state == KeyState::Signing);
        let row = match found {
            Some(row) => row,
            None => {
                let row = generate(kek, clock, entropy);
                if !tx.insert_signing_key(&row).await? {
                    return Err(StoreError::Conflict.into());
                }
                tx.commit().await?;
                row
            }
        };
        if row.kek_id != kek.id() {
            return Err(OpenError::OtherKek { wanted: row.kek_id, given: kek.id().to_owned() });
        }
        let private = kek.open(row.id.as_bytes(), &row.sealed_private).map_err(|_| OpenError::KeyDamaged(row.id))?;
        let signing = (row.id, EncodingKey::from_ec_der(private.expose_bytes()));
        let public = HashMap::from([(row.id, decoding_key(&row))]);
        Ok(Self { signing, public: RwLock::new(public) })
    }

    /// The key that signs.
    pub(crate) fn signing(&self) -> (SigningKeyId, &EncodingKey) {
        (self.signing.0, &self.signing.1)
    }

    /// The public half of a key that has a row, whatever its state: the row decides about that.
    pub(crate) async fn public(
        &self,
        store: &dyn Store,
        id: SigningKeyId,
    ) -> Result<Option<Arc<DecodingKey>>, StoreError> {
        if let Some(key) = self.public.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Some(Arc::clone(key)));
        }
        let Some(row) = store.read().await?.signing_key(id).await? else { return Ok(None) };
        let key = decoding_key(&row);
        self.public.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&key));
        Ok(Some(key))
    }
}

/// The public keys whose signatures are good, as a JSON Web Key Set (RFC 7517).
pub(crate) async fn jwks(store: &dyn Store) -> Result<Value, StoreError> {
    let keys = store.read().await?.signing_keys().await?;
    let keys: Vec<_> = keys.iter().filter(|key| key.state != KeyState::Revoked).filter_map(jwk).collect();
    Ok(json!({ "keys": keys }))
}

fn jwk(key: &SigningKey) -> Option<Value> {
    let (tag, point) = key.public.split_first()?;
    let (x, y) = point.split_at_checked(32)?;
    (*tag == 4 && y.len() == 32).then(|| {
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": key.id.to_string(),
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    })
}

fn decoding_key(row: &SigningKey) -> Arc<DecodingKey> {
    Arc::new(DecodingKey::from_ec_der(&row.public))
}

fn generate(kek: &KeyEncryptionKey, clock: &dyn Clock, entropy: &dyn Entropy) -> SigningKey {
    let id = SigningKeyId::new(UuidSource::new(clock, entropy));
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let private = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
        .expect("the cryptographic library makes P-256 keys on every supported system");
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref()).expect("a key just made is a key");
    SigningKey {
        id,
        state: KeyState::Signing,
        public: pair.public_key().as_ref().to_vec(),
        sealed_private: kek.seal(id.as_bytes(), &Secret::new(private.as_ref()), entropy),
        kek_id: kek.id().to_owned(),
        created_at: clock.now(),
        revoked_seq: None,
    }
}

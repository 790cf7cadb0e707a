//! The public keys as a JSON Web Key Set (RFC 7517): what is published, what signs, and what is retained while anything
//! that it signed can still be good.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_types::Timestamp;
use serde_json::{Value, json};

use super::plan::Plan;
use super::{Algorithm, SigningKey};
use crate::{Store, StoreError};

/// Reads the set.
pub(crate) async fn jwks(store: &dyn Store, plan: &Plan, now: Timestamp) -> Result<Value, StoreError> {
    let keys = store.read().await?.signing_keys().await?;
    let keys: Vec<_> = keys.iter().filter(|key| plan.is_shown(key, now)).filter_map(jwk).collect();
    Ok(json!({ "keys": keys }))
}

fn jwk(key: &SigningKey) -> Option<Value> {
    let (kid, alg) = (key.id.to_string(), key.algorithm.name());
    match key.algorithm {
        Algorithm::Es256 => {
            let (tag, point) = key.public.split_first()?;
            let (x, y) = point.split_at_checked(32)?;
            (*tag == 4 && y.len() == 32).then(|| {
                json!({
                    "kty": "EC", "crv": "P-256", "alg": alg, "use": "sig", "kid": kid,
                    "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
                })
            })
        }
        Algorithm::EdDsa => (key.public.len() == 32).then(|| {
            let x = URL_SAFE_NO_PAD.encode(&key.public);
            json!({ "kty": "OKP", "crv": "Ed25519", "alg": alg, "use": "sig", "kid": kid, "x": x })
        }),
    }
}

//! What an issuer publishes: its discovery document (OpenID Connect Discovery 1.0) and its key set (RFC 7517).
//!
//! Guarantees: a discovery document counts only when it names the very issuer that was asked; a key counts only when it
//! is public, asymmetric and meant for signatures. At most 64 keys are kept; a set with more is refused, and so is a
//! document over 256 KiB.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::{IssuerAlgorithm, IssuerUrl};

/// The largest document that is read.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

const MAX_KEYS: usize = 64;
const MAX_KID: usize = 255;

/// A document of an issuer that means nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    /// It is larger than any honest one.
    #[error("the document has more than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge,
    /// It is not the JSON that the standard says.
    #[error("the document is not what the standard says")]
    Malformed,
    /// It speaks for somebody else.
    #[error("the discovery document names another issuer")]
    OtherIssuer,
    /// Its keys are where keys may not be.
    #[error("the discovery document names a key set that is not at a plain https URL")]
    KeysElsewhere,
    /// It has more keys than anybody needs.
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooManyKeys,
}

/// What is needed of a discovery document: where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Where the key set is.
    pub jwks: IssuerUrl,
}

impl Discovery {
    /// Where the document of an issuer is.
    pub fn url(issuer: &IssuerUrl) -> String {
        format!("{}/.well-known/openid-configuration", issuer.as_str().trim_end_matches('/'))
    }

    /// Reads the document of an issuer.
    pub fn parse(bytes: &[u8], issuer: &IssuerUrl) -> Result<Self, InvalidDocument> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            jwks_uri: String,
        }
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(InvalidDocument::TooLarge);
        }
        let document: Document = serde_json::from_slice(bytes).map_err(|_| InvalidDocument::Malformed)?;
        if document.issuer != issuer.as_str() {
            return Err(InvalidDocument::OtherIssuer);
        }
        let jwks = IssuerUrl::try_from(&*document.jwks_uri).map_err(|_| InvalidDocument::KeysElsewhere)?;
        // Keys in the clear are as good as no keys, unless the issuer itself is spoken to so, on this machine.
        if jwks.is_plaintext() && !issuer.is_plaintext() {
            Err(InvalidDocument::KeysElsewhere)
        } else {
            Ok(Self { jwks })
        }
    }
}

/// A public key of an issuer.
#[derive(Debug)]
pub struct IssuerKey {
    key: DecodingKey,
    /// The only algorithm it is for, when it says so or its curve does.
    algorithm: Option<Box<str>>,
}

impl IssuerKey {
    /// The key, when it may verify what this algorithm signed.
    pub(crate) fn for_algorithm(&self, algorithm: IssuerAlgorithm) -> Option<&DecodingKey> {
        let fits = self.key.family() == algorithm.jose().family()
            && self.algorithm.as_deref().is_none_or(|only| only == algorithm.name());
        fits.then_some(&self.key)
    }
}

/// The keys of an issuer, by `kid`.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: BTreeMap<Box<str>, Arc<IssuerKey>>,
}

impl KeySet {
    /// Reads a key set. Keys that are of no use here are passed over; two under one `kid` make it nobody's.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidDocument> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(InvalidDocument::TooLarge);
        }
        let document: Document = serde_json::from_slice(bytes).map_err(|_| InvalidDocument::Malformed)?;
        if document.keys.len() > MAX_KEYS {
            return Err(InvalidDocument::TooManyKeys);
        }
        let (mut keys, mut doubtful) = (BTreeMap::new(), Vec::new());
        for (kid, key) in document.keys.into_iter().filter_map(usable) {
            if keys.insert(kid.clone(), Arc::new(key)).is_some() {
                doubtful.push(kid);
            }
        }
        keys.retain(|kid, _| !doubtful.contains(kid));
        Ok(Self { keys })
    }

    /// The key of this id.
    pub fn get(&self, kid: &str) -> Option<&Arc<IssuerKey>> {
        self.keys.get(kid)
    }
}

fn usable(value: Value) -> Option<(Box<str>, IssuerKey)> {
    // A private half has no place in a published set: whoever publishes it has lost the key.
    if value.get("d").is_some() {
        return None;
    }
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let kid = jwk.common.key_id.as_deref().filter(|kid| (1..=MAX_KID).contains(&kid.len()))?.into();
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let by_curve = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => None,
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => Some("ES256"),
            EllipticCurve::P384 => Some("ES384"),
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Some("EdDSA"),
        _ => return None,
    };
    let said = jwk.common.key_algorithm.map(|algorithm| algorithm.to_string());
    if let (Some(curve), Some(said)) = (by_curve, &said)
        && curve != said
    {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok().filter(|key| key.family() != AlgorithmFamily::Hmac)?;
    Some((kid, IssuerKey { key, algorithm: said.or_else(|| by_curve.map(str::to_owned)).map(String::into_boxed_str) }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn url(text: &str) -> IssuerUrl {
        IssuerUrl::try_from(text).expect("a valid issuer")
    }

    fn ec(kid: &str) -> Value {
        json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
               "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
    }

    #[test]
    fn a_document_that_speaks_for_another_issuer_is_refused() {
        let issuer = url("https://id.example/a");
        let parse = |named: &str, jwks: &str| {
            Discovery::parse(json!({"issuer": named, "jwks_uri": jwks}).to_string().as_bytes(), &issuer)
        };
        let good = parse("https://id.example/a", "https://keys.example/jwks").expect("it is its own");
        assert_eq!(good.jwks, url("https://keys.example/jwks"));
        for other in ["https://id.example/a/", "https://id.example", "https://evil.example/a", "HTTPS://id.example/a"] {
            assert_eq!(parse(other, "https://keys.example/jwks"), Err(InvalidDocument::OtherIssuer), "{other}");
        }
        for elsewhere in ["http://keys.example/jwks", "file:///etc/passwd", "https://a@b", ""] {
            assert_eq!(parse("https://id.example/a", elsewhere), Err(InvalidDocument::KeysElsewhere), "{elsewhere}");
        }
        assert_eq!(Discovery::url(&issuer), "https://id.example/a/.well-known/openid-configuration");
    }

    #[test]
    fn only_public_signature_keys_are_kept_and_a_kid_that_names_two_names_none() {
        let mut private = ec("private");
        private["d"] = json!("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE");
        let mut encrypts = ec("encrypts");
        encrypts["use"] = json!("enc");
        let mut lies = ec("lies");
        lies["alg"] = json!("ES384");
        let secret = json!({"kty": "oct", "kid": "secret", "k": "AAAA"});
        let nameless = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"});
        let set = json!({"keys": [ec("good"), ec("twice"), ec("twice"), private, encrypts, lies, secret, nameless, 7]});
        let set = KeySet::parse(set.to_string().as_bytes()).expect("it is a set");
        assert!(set.get("good").is_some_and(|key| key.for_algorithm(IssuerAlgorithm::Es256).is_some()));
        assert!(set.get("good").is_some_and(|key| key.for_algorithm(IssuerAlgorithm::Rs256).is_none()));
        assert_eq!(set.keys.len(), 1, "{:?}", set.keys.keys());
    }

    #[test]
    fn a_set_that_is_too_large_is_refused_whole() {
        let keys: Vec<_> = (0..=MAX_KEYS).map(|n| ec(&n.to_string())).collect();
        assert_eq!(
            KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).err(),
            Some(InvalidDocument::TooManyKeys)
        );
        assert_eq!(KeySet::parse(&vec![b' '; MAX_DOCUMENT_BYTES + 1]).err(), Some(InvalidDocument::TooLarge));
        assert_eq!(KeySet::parse(b"{}").err(), Some(InvalidDocument::Malformed));
    }
}

//! A public key as a JSON Web Key (RFC 7517), and its thumbprint (RFC 7638).
//!
//! Guarantees: what is read is public, on P-256 or Ed25519, a point on its curve, and for signatures alone; it is kept as
//! the one text that RFC 7638 hashes, so that equal keys are equal texts.
//! Refuses: a key with its private half in it, which is neither kept nor repeated; everything over 2 KiB; Ed25519 points of
//! small order, under which anybody can make a signature. Other members of the JSON are dropped.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};

use crate::Algorithm;

/// The longest JSON that is looked at.
pub const MAX_JWK_BYTES: usize = 2 * 1024;

/// The bytes of a coordinate on P-256, and of a key on Ed25519.
const COORDINATE: usize = 32;
/// What stands before the coordinates of a point that is not compressed.
const UNCOMPRESSED: u8 = 4;

/// Why a JSON text is no key for signatures. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJwk {
    /// It is longer than any honest key.
    #[error("a key has at most {MAX_JWK_BYTES} bytes of JSON")]
    TooLong,
    /// It is not the JSON that the standard says.
    #[error("it is not a JSON Web Key")]
    Malformed,
    /// Its private half is in it.
    #[error("the private half is in it: nobody but its owner may have that, so make another key")]
    Private,
    /// Another type or curve.
    #[error("it must be `EC` on `P-256`, or `OKP` on `Ed25519`")]
    UnknownCurve,
    /// It says that it is for another algorithm.
    #[error("its `alg` is not the one of its curve")]
    OtherAlgorithm,
    /// It says that it is for something else.
    #[error("its `use` or `key_ops` do not let it verify signatures")]
    OtherUse,
    /// Its coordinates are no point on the curve, or one that no honest key is.
    #[error("it is not a point on its curve that a key can be")]
    NotAPoint,
}

/// A public key with which signatures are verified.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    algorithm: Algorithm,
    jwk: Box<str>,
}

/// The name of a key: SHA-256 over its one text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; 32]);

/// The members that are looked at. Whether there is a private half is asked before anything else.
#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    d: Option<IgnoredAny>,
    kty: String,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct PrivateHalf {
    #[serde(default)]
    d: Option<IgnoredAny>,
}

impl PublicKey {
    /// Reads a JSON Web Key.
    pub fn from_jwk(text: &str) -> Result<Self, InvalidJwk> {
        if text.len() > MAX_JWK_BYTES {
            return Err(InvalidJwk::TooLong);
        }
        let members: Members = serde_json::from_str(text).map_err(|_| match serde_json::from_str(text) {
            Ok(PrivateHalf { d: Some(_) }) => InvalidJwk::Private,
            Ok(PrivateHalf { d: None }) | Err(_) => InvalidJwk::Malformed,
        })?;
        if members.d.is_some() {
            return Err(InvalidJwk::Private);
        }
        let algorithm = members.algorithm()?;
        members.judge_purpose()?;
        let x = coordinate(members.x.as_deref())?;
        match algorithm {
            Algorithm::Es256 => {
                let y = coordinate(members.y.as_deref())?;
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point(&x, &y)).map_err(|_| InvalidJwk::NotAPoint)?;
                let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
                let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
                Ok(Self { algorithm, jwk: jwk.into() })
            }
            // Whether it decompresses is seen when it verifies, which every key does before it is registered.
            Algorithm::EdDsa if has_small_order(&x) => Err(InvalidJwk::NotAPoint),
            Algorithm::EdDsa => {
                let x = URL_SAFE_NO_PAD.encode(x);
                Ok(Self { algorithm, jwk: format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).into() })
            }
        }
    }

    /// How it signs.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// As the one JSON text.
    pub fn jwk(&self) -> &str {
        &self.jwk
    }

    /// Its name.
    pub fn thumbprint(&self) -> Thumbprint {
        Thumbprint(Sha256::digest(self.jwk.as_bytes()).into())
    }

    /// Whether its private half signed these bytes. The signature is that of JWS (RFC 7518, 3.4 and RFC 8037, 3.1).
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(members) = serde_json::from_str::<Members>(&self.jwk) else { return false };
        let Ok(x) = coordinate(members.x.as_deref()) else { return false };
        let verified = match self.algorithm {
            Algorithm::Es256 => {
                let Ok(y) = coordinate(members.y.as_deref()) else { return false };
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point(&x, &y)).verify(message, signature)
            }
            Algorithm::EdDsa => UnparsedPublicKey::new(&ED25519, x).verify(message, signature),
        };
        verified.is_ok()
    }
}

impl Members {
    fn algorithm(&self) -> Result<Algorithm, InvalidJwk> {
        let (algorithm, names): (_, &[&str]) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => (Algorithm::Es256, &["ES256"]),
            // The second is the same algorithm by its newer name (RFC 9864), which browsers write.
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, &["EdDSA", "Ed25519"]),
            _ => return Err(InvalidJwk::UnknownCurve),
        };
        match self.alg.as_deref() {
            Some(alg) if !names.contains(&alg) => Err(InvalidJwk::OtherAlgorithm),
            Some(_) | None => Ok(algorithm),
        }
    }

    fn judge_purpose(&self) -> Result<(), InvalidJwk> {
        let is_used_so = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        let does_that = self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|one| one == "verify"));
        if is_used_so && does_that { Ok(()) } else { Err(InvalidJwk::OtherUse) }
    }
}

impl Thumbprint {
    /// As JOSE writes it, in base64url.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.jwk)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// As rows have it.
impl TryFrom<&str> for PublicKey {
    type Error = InvalidJwk;

    fn try_from(text: &str) -> Result<Self, InvalidJwk> {
        Self::from_jwk(text)
    }
}

/// Base64url has one text for the same bytes, here as everywhere.
fn coordinate(text: Option<&str>) -> Result<[u8; COORDINATE], InvalidJwk> {
    let bytes = URL_SAFE_NO_PAD.decode(text.ok_or(InvalidJwk::Malformed)?).map_err(|_| InvalidJwk::Malformed)?;
    bytes.try_into().map_err(|_| InvalidJwk::NotAPoint)
}

fn point(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[UNCOMPRESSED], x, y].concat()
}

/// Whether an Ed25519 key is one of the points of order 1, 2, 4 or 8, or is written with a coordinate beyond the field:
/// with the sign taken away, the coordinate is 0, 1, one of two of order 8, or at least p - 1.
fn has_small_order(key: &[u8; COORDINATE]) -> bool {
    const OF_ORDER_8: [[u8; COORDINATE]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let mut y = *key;
    y[COORDINATE - 1] &= 0x7f;
    // p = 2^255 - 19, lowest byte first.
    let is_beyond = y[COORDINATE - 1] == 0x7f && y[1..COORDINATE - 1].iter().all(|byte| *byte == 0xff) && y[0] >= 0xec;
    let is_tiny = y[1..].iter().all(|byte| *byte == 0) && y[0] <= 1;
    is_beyond || is_tiny || OF_ORDER_8.contains(&y)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
    use serde_json::{Value, json};

    use super::*;

    /// The keys of RFC 7517, appendix A, and RFC 8037, appendix A.
    fn ec() -> Value {
        json!({"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
               "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"})
    }

    fn okp() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    fn read(key: &Value) -> Result<PublicKey, InvalidJwk> {
        PublicKey::from_jwk(&key.to_string())
    }

    fn ed25519(bytes: &[u8]) -> Value {
        with(okp(), "x", json!(URL_SAFE_NO_PAD.encode(bytes)))
    }

    #[test]
    fn a_key_is_kept_as_its_one_text_whatever_else_it_says() {
        let key = read(&okp()).expect("a public key");
        assert_eq!(key.thumbprint().text(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "RFC 8037, appendix A.3");
        let more = json!({"kid": "mine", "use": "sig", "key_ops": ["verify"], "ext": true, "alg": "EdDSA", "x5u": "https://e"});
        let mut verbose = okp();
        verbose.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        assert_eq!(read(&verbose), Ok(key.clone()));
        assert_eq!(read(&with(okp(), "alg", json!("Ed25519"))), Ok(key.clone()));
        let again = PublicKey::try_from(key.jwk()).expect("its own text");
        assert_eq!((again.jwk(), again.algorithm()), (key.jwk(), Algorithm::EdDsa));
        let ec = read(&ec()).expect("a public key");
        assert_eq!(
            (ec.thumbprint().text().as_str(), ec.algorithm()),
            ("cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s", Algorithm::Es256)
        );
    }

    #[test]
    fn a_private_half_is_refused_before_anything_else_and_never_repeated() {
        let secret = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
        for key in [
            with(ec(), "d", json!(secret)),
            with(okp(), "d", json!(secret)),
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": secret}),
            json!({"d": secret}),
            with(with(ec(), "d", json!(secret)), "x", json!(7)),
        ] {
            let refused = read(&key).expect_err("its private half is in it");
            assert_eq!(refused, InvalidJwk::Private, "{key}");
            assert!(!format!("{refused} {refused:?}").contains(secret));
        }
    }

    #[test]
    fn what_is_no_public_key_for_signatures_is_refused() {
        let refused = [
            (json!({"kty": "oct", "k": "AAAA"}), InvalidJwk::UnknownCurve),
            (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), InvalidJwk::UnknownCurve),
            (with(ec(), "crv", json!("P-384")), InvalidJwk::UnknownCurve),
            (with(ec(), "crv", json!("secp256k1")), InvalidJwk::UnknownCurve),
            (with(ec(), "kty", json!("OKP")), InvalidJwk::UnknownCurve),
            (with(okp(), "crv", json!("X25519")), InvalidJwk::UnknownCurve),
            (with(okp(), "crv", json!("Ed448")), InvalidJwk::UnknownCurve),
            (with(ec(), "alg", json!("ES384")), InvalidJwk::OtherAlgorithm),
            (with(ec(), "alg", json!("EdDSA")), InvalidJwk::OtherAlgorithm),
            (with(ec(), "alg", json!("none")), InvalidJwk::OtherAlgorithm),
            (with(ec(), "alg", json!("HS256")), InvalidJwk::OtherAlgorithm),
            (with(okp(), "alg", json!("ES256")), InvalidJwk::OtherAlgorithm),
            (with(ec(), "use", json!("enc")), InvalidJwk::OtherUse),
            (with(ec(), "key_ops", json!(["sign"])), InvalidJwk::OtherUse),
            (with(ec(), "key_ops", json!([])), InvalidJwk::OtherUse),
            (with(ec(), "x", json!("AAAA")), InvalidJwk::NotAPoint),
            (with(ec(), "x", json!("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D5")), InvalidJwk::Malformed),
            (with(ec(), "x", json!("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4=")), InvalidJwk::Malformed),
            (with(ec(), "x", json!(URL_SAFE_NO_PAD.encode([7; 32]))), InvalidJwk::NotAPoint),
            (with(ec(), "x", json!(URL_SAFE_NO_PAD.encode([0xff; 32]))), InvalidJwk::NotAPoint),
            (with(ec(), "y", json!(null)), InvalidJwk::Malformed),
            (json!([]), InvalidJwk::Malformed),
            (json!("key"), InvalidJwk::Malformed),
        ];
        for (key, why) in refused {
            assert_eq!(read(&key), Err(why), "{key}");
        }
        let twice = ec().to_string().replacen('{', r#"{"x":"AAAA","#, 1);
        assert_eq!(PublicKey::from_jwk(&twice), Err(InvalidJwk::Malformed));
        let long = with(ec(), "kid", json!("k".repeat(MAX_JWK_BYTES)));
        assert_eq!(read(&long), Err(InvalidJwk::TooLong));
    }

    #[test]
    fn a_key_under_which_anybody_can_sign_is_refused() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        // Why: with the neutral element as the key and as the nonce, this signature is good for every message.
        let forged = [neutral, [0; 32]].concat();
        assert!(UnparsedPublicKey::new(&ED25519, neutral).verify(b"anything", &forged).is_ok());
        let mut beyond = [0xff; 32];
        (beyond[0], beyond[31]) = (0xee, 0x7f);
        let mut minus_one = beyond;
        minus_one[0] = 0xec;
        let mut signed = neutral;
        signed[31] |= 0x80;
        let of_order_8 =
            URL_SAFE_NO_PAD.decode("JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU").expect("it is base64url");
        for weak in [&[0; 32][..], &neutral, &signed, &beyond, &minus_one, &of_order_8] {
            assert_eq!(read(&ed25519(weak)), Err(InvalidJwk::NotAPoint), "{weak:?}");
        }
    }

    #[test]
    fn a_key_verifies_what_its_private_half_signed_and_nothing_else() {
        let random = SystemRandom::new();
        let document = Ed25519KeyPair::generate_pkcs8(&random).expect("it draws");
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("it was just made");
        let key = read(&ed25519(pair.public_key().as_ref())).expect("a public key");
        let signature = pair.sign(b"message");
        assert!(key.verifies(b"message", signature.as_ref()));
        assert!(!key.verifies(b"another", signature.as_ref()) && !key.verifies(b"message", b""));

        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("it draws");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).expect("just made");
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let own = with(with(ec(), "x", json!(URL_SAFE_NO_PAD.encode(x))), "y", json!(URL_SAFE_NO_PAD.encode(y)));
        let signature = pair.sign(&random, b"message").expect("it signs");
        assert!(read(&own).expect("a public key").verifies(b"message", signature.as_ref()));
        assert!(!read(&ec()).expect("a public key").verifies(b"message", signature.as_ref()), "of another key");
    }
}

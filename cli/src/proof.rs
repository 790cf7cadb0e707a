//! Proof that whoever registers a public key has its private half: a challenge, signed on this machine.
//!
//! The private half is read from a file of one's own, and goes nowhere: what is sent is the public half and a signature.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_types::Secret;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use crate::failure::Failure;

/// No key file is longer; a stream that goes on is none.
const MOST_BYTES: u64 = 16 * 1024;

/// A client's key, with its private half.
pub(crate) enum ClientKey {
    /// For `EdDSA`.
    Ed25519(Ed25519KeyPair),
    /// For `ES256`.
    P256(EcdsaKeyPair),
}

impl ClientKey {
    /// Reads a file of PKCS #8 in PEM, as `openssl genpkey` writes it. What is in it is not repeated in any error.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let named = |what: &str| Failure::usage(format!("{}: {what}", path.display()));
        let unreadable = |error: io::Error| named(&format!("cannot be read: {error}"));
        let mut text = Vec::new();
        File::open(path).map_err(unreadable)?.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(unreadable)?;
        let is_too_long = text.len() as u64 > MOST_BYTES;
        let text = Secret::new(text);
        if is_too_long {
            return Err(named("it is longer than any key"));
        }
        Self::parse(&text).ok_or_else(|| {
            named(
                "it is no private key on Ed25519 or P-256 in PKCS #8 PEM, without a passphrase; make one with `openssl \
                 genpkey -algorithm ed25519 -out key.pem`",
            )
        })
    }

    fn parse(text: &Secret) -> Option<Self> {
        let document = PrivatePkcs8KeyDer::from_pem_slice(text.expose_bytes()).ok()?;
        let bytes = document.secret_pkcs8_der();
        let ed25519 = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map(Self::Ed25519);
        ed25519.or_else(|_| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes).map(Self::P256)).ok()
    }

    /// The public half as a JSON Web Key, in the one text of which RFC 7638 takes the thumbprint.
    pub(crate) fn jwk(&self) -> String {
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ed25519(pair) => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, coordinate(pair.public_key().as_ref()))
            }
            Self::P256(pair) => {
                // A byte that says "not compressed", and the two coordinates.
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, coordinate(x), coordinate(y))
            }
        }
    }

    /// A challenge of the authority that calls itself so, signed.
    pub(crate) fn prove(&self, challenge: &str, audience: &str) -> Result<String, Failure> {
        let jkt = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.jwk().as_bytes()));
        let header = json!({ "typ": "portcullis-key-proof+jwt", "alg": self.algorithm() });
        let claims = json!({ "aud": audience, "challenge": challenge, "jkt": jkt });
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = match self {
            Self::Ed25519(pair) => pair.sign(signed.as_bytes()),
            Self::P256(pair) => pair
                .sign(&SystemRandom::new(), signed.as_bytes())
                .map_err(|_| Failure::usage("the key cannot sign: this machine has no source of randomness"))?,
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl genpkey -algorithm ed25519` writes it: the key of RFC 8410, section 10.3.
    const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

    fn parse(text: &str) -> Option<ClientKey> {
        ClientKey::parse(&Secret::from(text))
    }

    fn p256() -> ClientKey {
        let way = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let made = EcdsaKeyPair::generate_pkcs8(way, &SystemRandom::new()).expect("it draws");
        let lines = base64::engine::general_purpose::STANDARD.encode(made.as_ref());
        parse(&format!("-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n")).expect("it is PKCS #8")
    }

    #[test]
    fn a_key_of_openssl_is_read_and_its_public_half_is_told() {
        let key = parse(ED25519).expect("it is PKCS #8");
        assert_eq!(key.jwk(), r#"{"crv":"Ed25519","kty":"OKP","x":"Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE"}"#);
        let jwk: serde_json::Value = serde_json::from_str(&p256().jwk()).expect("it is JSON");
        for coordinate in ["x", "y"] {
            assert_eq!(jwk[coordinate].as_str().map(str::len), Some(43), "{jwk}");
        }
        assert!(jwk.get("d").is_none());
    }

    #[test]
    fn a_proof_has_what_the_authority_asks_for_and_no_private_half() {
        for key in [parse(ED25519).expect("it is PKCS #8"), p256()] {
            let proof = key.prove("ch_x", "https://auth.example").expect("it signs");
            let parts: Vec<_> =
                proof.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("it is base64url")).collect();
            let [header, claims, signature] = <[Vec<u8>; 3]>::try_from(parts).expect("three parts");
            let header: serde_json::Value = serde_json::from_slice(&header).expect("it is JSON");
            assert_eq!(header, json!({ "typ": "portcullis-key-proof+jwt", "alg": key.algorithm() }));
            let claims: serde_json::Value = serde_json::from_slice(&claims).expect("it is JSON");
            assert_eq!((&claims["aud"], &claims["challenge"]), (&json!("https://auth.example"), &json!("ch_x")));
            assert_eq!((claims["jkt"].as_str().map(str::len), signature.len()), (Some(43), 64));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_a_word_of_it() {
        for bad in ["", "nobody-may-see-this", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
        let missing = ClientKey::read(Path::new("/nonexistent/key.pem"));
        let Err(missing) = missing else { panic!("there is no such file") };
        assert!(missing.to_string().contains("/nonexistent/key.pem"));
    }
}

//! Proof of possession: whoever registers a public key has its private half.
//!
//! A challenge is a sealed value and no row, so that asking for one costs the store nothing: its end and its random part,
//! and a tag over them, the tenant, the identity and the session, by the key-encryption key that all replicas share.
//! Guarantees: a proof is for one key, one holder and this authority, and for [`CHALLENGE_LIFE`]. One that is sent again
//! has no effect: its key is known by then, and is remembered for longer than any challenge lives.
//! Refuses: every header parameter but `typ` and `alg`, so that no proof can say how it is to be verified, and any text
//! over 2 KiB.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_types::{Entropy, IdentityId, SessionId, TenantId, Timestamp};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::PublicKey;
use crate::{Algorithm, KeyEncryptionKey, KeyEncryptionKeys};

/// How long a challenge can be answered.
pub const CHALLENGE_LIFE: Duration = Duration::from_secs(300);

/// The longest proof that is looked at.
pub const MAX_PROOF_BYTES: usize = 2 * 1024;

const TYP: &str = "portcullis-key-proof+jwt";
const PREFIX: &str = "ch_";
const END: usize = 8;
const NONCE: usize = 16;

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProof {
    /// It is longer than any honest proof.
    #[error("a proof has at most {MAX_PROOF_BYTES} bytes")]
    TooLong,
    /// It is no compact JWS with the claims that are needed.
    #[error("it is not a compact JWS with the claims `aud`, `challenge` and `jkt`")]
    Malformed,
    /// Its header says something else than what it must.
    #[error("its header must be exactly `typ` (`{TYP}`) and `alg` (that of the key)")]
    OtherHeader,
    /// The key did not sign it.
    #[error("its signature is not one of the key")]
    BadSignature,
    /// It is for another authority.
    #[error("its `aud` is not the issuer's name of this authority")]
    OtherAudience,
    /// It is for another key.
    #[error("its `jkt` is not the thumbprint of the key")]
    OtherKey,
    /// The challenge is not one of this authority for this holder.
    #[error("its challenge is not one for this identity and session")]
    OtherChallenge,
    /// The challenge is over.
    #[error("its challenge is over: ask for another one")]
    ChallengeOver,
}

/// For whom a challenge is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) tenant: TenantId,
    pub(crate) identity: IdentityId,
    pub(crate) session: Option<SessionId>,
}

/// What a proof claims, and nothing of it is true yet but that a key signed it.
#[derive(Debug, Deserialize)]
pub struct Claims {
    aud: String,
    challenge: String,
    jkt: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
}

impl Claims {
    /// Reads a proof that this key signed.
    pub fn signed_by(key: &PublicKey, proof: &str) -> Result<Self, InvalidProof> {
        if proof.len() > MAX_PROOF_BYTES {
            return Err(InvalidProof::TooLong);
        }
        let (signed, signature) = proof.rsplit_once('.').ok_or(InvalidProof::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(InvalidProof::Malformed)?;
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| InvalidProof::OtherHeader)?;
        if header.typ != TYP || Algorithm::try_from(header.alg.as_str()) != Ok(key.algorithm()) {
            return Err(InvalidProof::OtherHeader);
        }
        if !key.verifies(signed.as_bytes(), &decoded(signature)?) {
            return Err(InvalidProof::BadSignature);
        }
        serde_json::from_slice(&decoded(claims)?).map_err(|_| InvalidProof::Malformed)
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, InvalidProof> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidProof::Malformed)
}

/// Whether a proof is one for this key, by whoever holds it, to this authority.
pub(super) fn judge(
    key: &PublicKey,
    proof: &str,
    issuer: &str,
    holder: &Holder,
    keks: &KeyEncryptionKeys,
    now: Timestamp,
) -> Result<(), InvalidProof> {
    let claims = Claims::signed_by(key, proof)?;
    if claims.aud != issuer {
        return Err(InvalidProof::OtherAudience);
    }
    if claims.jkt != key.thumbprint().text() {
        return Err(InvalidProof::OtherKey);
    }
    let end = keks.iter().find_map(|kek| end_of(&claims.challenge, holder, kek)).ok_or(InvalidProof::OtherChallenge)?;
    if now < end { Ok(()) } else { Err(InvalidProof::ChallengeOver) }
}

/// A challenge for a holder that can be answered until then.
pub(super) fn challenge(holder: &Holder, end: Timestamp, kek: &KeyEncryptionKey, entropy: &dyn Entropy) -> String {
    let nonce: [u8; NONCE] = entropy.array();
    let mut sealed = [&end.as_micros().to_be_bytes()[..], &nonce].concat();
    sealed.extend_from_slice(&kek.signature_challenge(&bound_to(holder, &sealed)));
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed))
}

/// Until when a challenge can be answered, when it is one for this holder by this key-encryption key.
fn end_of(challenge: &str, holder: &Holder, kek: &KeyEncryptionKey) -> Option<Timestamp> {
    let sealed = URL_SAFE_NO_PAD.decode(challenge.strip_prefix(PREFIX)?).ok()?;
    let (body, tag) = sealed.split_at_checked(END + NONCE)?;
    if !bool::from(kek.signature_challenge(&bound_to(holder, body)).ct_eq(tag)) {
        return None;
    }
    let (end, _) = body.split_first_chunk::<END>()?;
    Some(Timestamp::from_micros(i64::from_be_bytes(*end)))
}

/// Whatever has no fixed length comes last, so that no two holders are one text.
fn bound_to(holder: &Holder, body: &[u8]) -> Vec<u8> {
    let session = holder.session.as_ref().map_or(&[0; 16], SessionId::as_bytes);
    [body, holder.identity.as_bytes(), session, holder.tenant.as_str().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use portcullis_types::SeededEntropy;
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://portcullis.test";

    struct Scene {
        pair: Ed25519KeyPair,
        key: PublicKey,
        keks: KeyEncryptionKeys,
        holder: Holder,
        entropy: SeededEntropy,
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    impl Scene {
        fn new() -> Self {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes");
            let x = URL_SAFE_NO_PAD.encode(pair.public_key());
            let key = PublicKey::from_jwk(&json!({"kty": "OKP", "crv": "Ed25519", "x": x}).to_string());
            let holder = Holder {
                tenant: TenantId::try_from("acme").expect("a name"),
                identity: IdentityId::from_bytes([1; 16]),
                session: Some(SessionId::from_bytes([2; 16])),
            };
            let keks = KeyEncryptionKey::new(&[1; 32]).into();
            Self { pair, key: key.expect("a key"), keks, holder, entropy: SeededEntropy::new(1) }
        }

        fn challenge(&self) -> String {
            challenge(&self.holder, at(400), &KeyEncryptionKey::new(&[1; 32]), &self.entropy)
        }

        fn signed(&self, header: &Value, claims: &Value) -> String {
            let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
            let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(format!("{header}.{claims}").as_bytes()));
            format!("{header}.{claims}.{signature}")
        }

        fn claims(&self) -> Value {
            json!({"aud": ISSUER, "challenge": self.challenge(), "jkt": self.key.thumbprint().text()})
        }

        fn proof(&self) -> String {
            self.signed(&header(), &self.claims())
        }

        fn judge(&self, proof: &str) -> Result<(), InvalidProof> {
            self.judge_for(proof, &self.holder, at(100))
        }

        fn judge_for(&self, proof: &str, holder: &Holder, now: Timestamp) -> Result<(), InvalidProof> {
            judge(&self.key, proof, ISSUER, holder, &self.keks, now)
        }
    }

    fn header() -> Value {
        json!({"typ": TYP, "alg": "EdDSA"})
    }

    fn with(mut value: Value, name: &str, other: Value) -> Value {
        value[name] = other;
        value
    }

    #[test]
    fn a_proof_is_good_for_its_holder_until_its_challenge_ends() {
        let scene = Scene::new();
        let proof = scene.proof();
        assert_eq!(scene.judge(&proof), Ok(()));
        let more = scene.signed(&header(), &with(scene.claims(), "iat", json!(7)));
        assert_eq!(scene.judge(&more), Ok(()), "libraries add claims");
        let last = Timestamp::from_micros(at(400).as_micros() - 1);
        assert_eq!(scene.judge_for(&proof, &scene.holder, last), Ok(()));
        assert_eq!(scene.judge_for(&proof, &scene.holder, at(400)), Err(InvalidProof::ChallengeOver));
        let holder = || scene.holder.clone();
        for other in [
            Holder { tenant: TenantId::try_from("acme2").expect("a name"), ..holder() },
            Holder { identity: IdentityId::from_bytes([3; 16]), ..holder() },
            Holder { session: Some(SessionId::from_bytes([3; 16])), ..holder() },
            Holder { session: None, ..holder() },
        ] {
            assert_eq!(scene.judge_for(&proof, &other, at(100)), Err(InvalidProof::OtherChallenge), "{other:?}");
        }
    }

    #[test]
    fn a_challenge_outlives_an_exchange_of_the_key_encryption_key_and_cannot_be_made_up() {
        let scene = Scene::new();
        let proof = scene.proof();
        let both = KeyEncryptionKeys::new(KeyEncryptionKey::new(&[2; 32]), vec![KeyEncryptionKey::new(&[1; 32])]);
        assert_eq!(judge(&scene.key, &proof, ISSUER, &scene.holder, &both, at(100)), Ok(()));
        let other = KeyEncryptionKey::new(&[2; 32]).into();
        let refused = judge(&scene.key, &proof, ISSUER, &scene.holder, &other, at(100));
        assert_eq!(refused, Err(InvalidProof::OtherChallenge));
        assert_ne!(scene.challenge(), scene.challenge());
        let mut later = URL_SAFE_NO_PAD.decode(&scene.challenge()[PREFIX.len()..]).expect("it is base64url");
        later[6] ^= 1;
        for made_up in ["", "ch_", "ch_AAAA", &format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(later))] {
            let proof = scene.signed(&header(), &with(scene.claims(), "challenge", json!(made_up)));
            assert_eq!(scene.judge(&proof), Err(InvalidProof::OtherChallenge), "{made_up}");
        }
    }

    #[test]
    fn a_header_that_says_anything_else_is_no_proofs() {
        let scene = Scene::new();
        for other in [
            json!({"alg": "EdDSA"}),
            json!({"typ": TYP}),
            with(header(), "typ", json!("JWT")),
            with(header(), "typ", json!("at+jwt")),
            with(header(), "alg", json!("none")),
            with(header(), "alg", json!("HS256")),
            with(header(), "alg", json!("ES256")),
            with(header(), "alg", json!(["EdDSA"])),
            with(header(), "kid", json!("mine")),
            with(header(), "jwk", json!({"kty": "OKP"})),
            with(header(), "jku", json!("https://evil.example")),
            with(header(), "x5u", json!("https://evil.example")),
            with(header(), "crit", json!(["exp"])),
        ] {
            let proof = scene.signed(&other, &scene.claims());
            assert_eq!(scene.judge(&proof), Err(InvalidProof::OtherHeader), "{other}");
        }
    }

    #[test]
    fn claims_for_another_authority_or_key_and_unsigned_ones_prove_nothing() {
        let scene = Scene::new();
        for (name, other, why) in [
            ("aud", json!("https://other.example"), InvalidProof::OtherAudience),
            ("aud", json!([ISSUER]), InvalidProof::Malformed),
            ("jkt", json!("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"), InvalidProof::OtherKey),
            ("challenge", json!(7), InvalidProof::Malformed),
        ] {
            let proof = scene.signed(&header(), &with(scene.claims(), name, other));
            assert_eq!(scene.judge(&proof), Err(why), "{name}");
        }
        let proof = scene.proof();
        let (signed, signature) = proof.rsplit_once('.').expect("it has three parts");
        let other = scene.signed(&header(), &json!({}));
        let foreign = other.rsplit_once('.').expect("it has three parts").1;
        for (text, why) in [
            (format!("{signed}."), InvalidProof::BadSignature),
            (format!("{signed}.{foreign}"), InvalidProof::BadSignature),
            (format!("{signed}.{signature}="), InvalidProof::Malformed),
            (signed.to_owned(), InvalidProof::Malformed),
            (format!("{proof}.{signature}"), InvalidProof::BadSignature),
            (String::new(), InvalidProof::Malformed),
            ("..".to_owned(), InvalidProof::OtherHeader),
            ("a".repeat(MAX_PROOF_BYTES + 1), InvalidProof::TooLong),
        ] {
            assert_eq!(scene.judge(&text), Err(why), "{text}");
        }
    }
}

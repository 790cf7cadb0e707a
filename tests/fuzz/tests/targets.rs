//! The parsers that need nothing but their input. Those that need an authority are in `tests/conformance`.

use std::fmt::Write as _;

use auth_domain::watch::{Entry, judge};
use auth_domain::{LogEntry, MAX_JWK_BYTES, MAX_PROOF_BYTES, ProofClaims, PublicKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_core::protocol::{FrameLimits, Request, decode};
use portcullis_fuzz::Target;
use portcullis_proto::auth::v1;
use portcullis_types::{
    Chain, CredentialId, KeyDigest, KeyKind, OpaqueKind, OpaqueToken, Revision, SeededEntropy, TenantId, Timestamp,
};
use prost::Message as _;
use ws_gateway::credential::{Carrier, CredentialRules, Presented, looks_like_a_credential};

fn target(name: &'static str) -> Target {
    Target::new(name, env!("CARGO_MANIFEST_DIR"))
}

fn opaque_credentials() -> Vec<String> {
    let entropy = SeededEntropy::new(1);
    let of = |kind| OpaqueToken::generate(kind, CredentialId::from_bytes([7; 16]), &entropy).reveal();
    OpaqueKind::ALL.into_iter().map(|kind| of(kind).expose_str().expect("text").to_owned()).collect()
}

#[test]
fn an_opaque_credential_has_one_text() {
    target("opaque").seeds(opaque_credentials()).must_reach(&["refused", "read"]).run(|input| {
        let text = String::from_utf8_lossy(input);
        match OpaqueToken::parse(&text) {
            Err(_) => "refused",
            Ok(token) => {
                assert_eq!(token.reveal().expose_str(), Some(&*text), "another text of the same credential");
                "read"
            }
        }
    });
}

#[test]
fn what_a_gateway_lets_pass_has_the_form_that_its_carrier_may_carry() {
    let token = format!("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.{}", "A".repeat(86));
    let seeds = opaque_credentials().into_iter().chain([token]);
    let rules = CredentialRules { most_bytes: 8_192, allow_api_keys: true };
    target("presented").seeds(seeds).must_reach(&["refused", "carried"]).run(|input| {
        let text = String::from_utf8_lossy(input);
        let mut word = "refused";
        for carrier in [Carrier::Header, Carrier::Query, Carrier::Command] {
            let Ok(presented) = Presented::read(&text, carrier, rules) else { continue };
            word = "carried";
            assert!(text.len() <= rules.most_bytes && !text.contains(|c: char| c.is_whitespace() || c.is_control()));
            assert!(looks_like_a_credential(&text), "it would not be found in a URL");
            assert!(!format!("{presented:?}").contains(&*text), "it can be printed");
        }
        word
    });
}

#[test]
fn a_revision_has_one_text() {
    let seeds = ["42-00000000000000ab", "0-ffffffffffffffff", "18446744073709551615-0123456789abcdef"];
    target("revision").seeds(seeds).must_reach(&["refused", "read"]).run(|input| {
        let text = String::from_utf8_lossy(input);
        match text.parse::<Revision>() {
            Err(_) => "refused",
            Ok(revision) => {
                assert_eq!(revision.to_string(), text);
                "read"
            }
        }
    });
}

#[test]
fn only_the_cursor_that_the_log_has_is_resumed() {
    let head = Revision { seq: 9, chain: 0x0123_4567_89ab_cdef };
    let start = v1::WatchStart {
        gateway_id: "gateway-1".to_owned(),
        boot_id: vec![1; 16],
        cursor: Some(head.into()),
        ..Default::default()
    };
    let message = |message| v1::WatchRequest { message: Some(message) }.encode_to_vec();
    let sharded = v1::WatchStart { cursor: Some(v1::Revision { shard: 1, seq: 9, chain: 1 }), ..start.clone() };
    let seeds = [
        message(v1::watch_request::Message::Start(start)),
        message(v1::watch_request::Message::Start(sharded)),
        message(v1::watch_request::Message::Probe(v1::Probe { probe_id: 7, ..Default::default() })),
    ];
    let words = &["no message", "no cursor", "another shard", "resync", "resumed"];
    target("cursor").seeds(seeds).must_reach(words).run(|input| {
        let Ok(request) = v1::WatchRequest::decode(input) else { return "no message" };
        let Some(v1::watch_request::Message::Start(start)) = request.message else { return "no cursor" };
        let Some(cursor) = start.cursor else { return "no cursor" };
        let Ok(cursor) = Revision::try_from(cursor) else { return "another shard" };
        match judge(Some(cursor), (cursor.seq == head.seq).then_some(head), 0, head) {
            Err(_) => "resync",
            Ok(position) => {
                assert_eq!((position.revision(), cursor), (head, head), "a forged cursor was resumed");
                "resumed"
            }
        }
    });
}

#[test]
fn an_entry_of_the_log_is_forwarded_byte_for_byte_or_refused() {
    let key = |kind, id: &str| KeyDigest::of(&TenantId::system(), kind, id).into();
    let fact = |effect: v1::Effect, keys| v1::Revocation {
        keys,
        effect: effect.into(),
        reason: 1,
        close_code: 4511,
        ..Default::default()
    };
    let batch = v1::RevocationBatch {
        revocations: vec![
            fact(v1::Effect::Kill, vec![key(KeyKind::Session, "a"), key(KeyKind::Identity, "b")]),
            fact(v1::Effect::Reauthorize, vec![key(KeyKind::Role, "c")]),
        ],
    };
    target("entry").seeds([batch.encode_to_vec()]).must_reach(&["refused", "read"]).run(|input| {
        let previous = Chain::from_bytes([1; 16]);
        let chain = previous.extended_by(input);
        let committed_at = Timestamp::from_unix_seconds(1);
        let entry = LogEntry { seq: 1, previous, chain, payload: input.to_vec(), committed_at };
        match Entry::from_log(entry) {
            Err(_) => "refused",
            Ok(entry) => {
                assert_eq!(entry.to_wire().payload, input, "what is hashed is what is sent");
                assert!(entry.weight() >= input.len());
                "read"
            }
        }
    });
}

#[test]
fn frames_are_decoded_within_their_limits() {
    let seeds = [
        r#"{"id":1,"connect":{"token":"eyJhbGciOiJFUzI1NiJ9.e30.AAAA","data":{"a":[1,2]},"name":"js"}}"#,
        r#"{"id":8,"subscribe":{"channel":"room:2"}}"#,
        "{\"id\":2,\"subscribe\":{\"channel\":\"room:1\"}}\n{\"id\":3,\"publish\":{\"channel\":\"room:1\",\"data\":{\"x\":null}}}",
        r#"{"id":4,"unsubscribe":{"channel":"r\u00f6om"}}"#,
        r#"{"id":5,"refresh":{"token":"t"}}"#,
        r#"{"id":6,"ping":{}}"#,
        r#"{"id":7,"history":{"channel":"a"}}"#,
        "{}",
    ];
    let limits = FrameLimits { bytes: 65_536, depth: 32, commands: 128 };
    let words = &["over a limit", "malformed", "connect", "subscribe", "publish", "pong", "other"];
    target("frame").seeds(seeds).must_reach(words).run(|input| {
        let text = String::from_utf8_lossy(input);
        let Ok(commands) = decode(&text, limits) else { return "over a limit" };
        assert!(text.len() <= limits.bytes);
        let (mut count, mut word) = (0, "other");
        for command in commands {
            count += 1;
            let Ok(command) = command else { return "malformed" };
            let mut shown = String::new();
            write!(shown, "{command:?}").expect("a string takes everything");
            word = match command.request {
                Request::Connect { .. } => "connect",
                Request::Subscribe { .. } => "subscribe",
                Request::Publish { data, .. } => {
                    // It is forwarded as it is, so it must be one whole value.
                    assert!(data.is_none_or(|data| !data.get().contains('\n')), "a line within a line");
                    "publish"
                }
                Request::Pong => "pong",
                _ => "other",
            };
        }
        assert!(count <= limits.commands);
        word
    });
}

const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

#[test]
fn a_public_key_has_one_text_and_no_private_half() {
    let seeds = [
        ED25519,
        r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","alg":"ES256","use":"sig","key_ops":["verify"],"kid":"1"}"#,
        r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    ];
    target("jwk").seeds(seeds).must_reach(&["refused", "read"]).run(|input| {
        let text = String::from_utf8_lossy(input);
        match PublicKey::from_jwk(&text) {
            Err(why) => {
                assert!(text.is_empty() || !why.to_string().contains(&*text), "it is repeated");
                "refused"
            }
            Ok(key) => {
                assert!(text.len() <= MAX_JWK_BYTES && !key.jwk().contains(r#""d""#));
                let again = PublicKey::from_jwk(key.jwk()).expect("it is its own text");
                assert_eq!((again.jwk(), again.thumbprint()), (key.jwk(), key.thumbprint()));
                "read"
            }
        }
    });
}

/// Nobody has the private half here but the one proof that is known.
#[test]
fn only_what_a_key_signed_is_its_proof() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes");
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    let key = PublicKey::from_jwk(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)).expect("a key");
    let header = r#"{"typ":"portcullis-key-proof+jwt","alg":"EdDSA"}"#;
    let claims = r#"{"aud":"https://a.example","challenge":"ch_x","jkt":"y"}"#;
    let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let known = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes())));
    target("proof").seeds([known.clone()]).must_reach(&["refused", "read"]).run(|input| {
        let text = String::from_utf8_lossy(input);
        match ProofClaims::signed_by(&key, &text) {
            Err(_) => "refused",
            Ok(_) => {
                assert!(text.len() <= MAX_PROOF_BYTES && text == known, "nobody signed this");
                "read"
            }
        }
    });
}

/// The loop itself: an input that fails is found, made small, and kept.
#[test]
fn an_input_that_fails_is_found_and_kept_small() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("text").to_owned();
    let found = std::panic::catch_unwind(|| {
        Target::new("broken", &path).seeds(["good input that is long"]).run(|input| {
            assert!(!input.contains(&0), "a byte that nobody expected");
            "read"
        });
    });
    assert!(found.is_err(), "it was not found");
    let kept = std::fs::read(folder.path().join("regressions/broken/000")).expect("it was kept");
    assert!(kept.contains(&0) && kept.len() < 64, "{}", kept.escape_ascii());
}

//! Public signature keys over both transports.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::signature_keys_service_client::SignatureKeysServiceClient;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tonic::Code;
use tonic::transport::Channel;

use super::world::{World, by, named, reason};

/// A client's key, with its private half.
pub(super) struct ClientKey(Ed25519KeyPair);

impl ClientKey {
    pub(super) fn new() -> Self {
        Self(Ed25519KeyPair::generate().expect("it draws"))
    }

    pub(super) fn jwk(&self) -> Value {
        json!({"crv": "Ed25519", "kty": "OKP", "x": URL_SAFE_NO_PAD.encode(self.0.public_key())})
    }

    pub(super) fn prove(&self, challenge: &str, audience: &str) -> String {
        // Members in order and no white space: the text of RFC 7638.
        let jkt = URL_SAFE_NO_PAD.encode(Sha256::digest(self.jwk().to_string()));
        let header = json!({"typ": "portcullis-key-proof+jwt", "alg": "EdDSA"});
        let claims = json!({"aud": audience, "challenge": challenge, "jkt": jkt});
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

impl World {
    pub(super) fn signature_keys(&self) -> SignatureKeysServiceClient<Channel> {
        SignatureKeysServiceClient::new(self.channel.clone())
    }

    /// What registers a key of an identity, or of one session.
    pub(super) async fn wanted_key(&self, name: &str, session: &str) -> v1::RegisterSignatureKeyRequest {
        let identity = || Some(named("demo", name));
        let begin = v1::BeginSignatureKeyRequest { identity: identity(), session_id: session.to_owned() };
        let begun = self.signature_keys().begin_signature_key(by(&self.admin, begin)).await.expect("it may");
        let (begun, key) = (begun.into_inner(), ClientKey::new());
        v1::RegisterSignatureKeyRequest {
            identity: identity(),
            session_id: session.to_owned(),
            jwk: key.jwk().to_string(),
            proof: key.prove(&begun.challenge, &begun.audience),
            ..Default::default()
        }
    }

    pub(super) async fn register_key(&self, name: &str, session: &str) -> v1::SignatureKey {
        let request = self.wanted_key(name, session).await;
        let registered = self.signature_keys().register_signature_key(by(&self.admin, request)).await;
        registered.expect("the administrator may").into_inner().signature_key.expect("it was registered")
    }
}

#[tokio::test]
async fn a_key_is_registered_carried_exchanged_and_revoked_over_grpc() {
    let world = World::new().await;
    let mut client = world.signature_keys();
    let (session, tokens) = world.issue().await;
    let (own, whole) = (world.register_key("ada", &session).await, world.register_key("ada", "").await);
    assert_eq!((own.session_id.as_str(), own.state()), (session.as_str(), v1::SignatureKeyState::Active));
    assert_eq!((whole.session_id.as_str(), whole.expires_at), ("", None));
    let carried = async || {
        let allowed = world.verify(&world.admin, &tokens.access_token).await.allowed.expect("it is good");
        allowed.signature_keys.iter().map(|key| (key.id.clone(), key.of_session)).collect::<BTreeSet<_>>()
    };
    assert_eq!(carried().await, BTreeSet::from([(whole.id.clone(), false), (own.id.clone(), true)]));

    let wanted = world.wanted_key("ada", &session).await;
    let rotate = v1::RotateSignatureKeyRequest {
        tenant: "demo".into(),
        id: own.id.clone(),
        jwk: wanted.jwk,
        proof: wanted.proof,
        old_ends_in_ms: 60_000,
        ..Default::default()
    };
    let rotated = client.rotate_signature_key(by(&world.admin, rotate)).await.expect("it may").into_inner();
    let (next, old) = (rotated.signature_key.expect("a successor"), rotated.old.expect("the old one"));
    assert_eq!((&next.replaces, &old.replaced_by), (&own.id, &next.id));
    assert_eq!(carried().await.len(), 3);

    let list = |page_size, page_token| v1::ListSignatureKeysRequest {
        identity: Some(named("demo", "ada")),
        page_size,
        page_token,
        ..Default::default()
    };
    let first =
        client.list_signature_keys(by(&world.admin, list(2, String::new()))).await.expect("it may").into_inner();
    let rest = client.list_signature_keys(by(&world.admin, list(2, first.next_page_token))).await.expect("it may");
    let listed = [first.signature_keys, rest.into_inner().signature_keys].concat();
    let listed: BTreeSet<_> = listed.iter().map(|key| key.id.clone()).collect();
    assert_eq!(listed, BTreeSet::from([next.id.clone(), whole.id.clone(), own.id.clone()]));
    let of_session = v1::ListSignatureKeysRequest { session_id: session.clone(), ..list(0, String::new()) };
    let of_session = client.list_signature_keys(by(&world.admin, of_session)).await.expect("it may").into_inner();
    assert_eq!(of_session.signature_keys.len(), 2);

    let revoke =
        |id: &str| v1::RevokeSignatureKeyRequest { tenant: "demo".into(), id: id.to_owned(), ..Default::default() };
    let revoked = client.revoke_signature_key(by(&world.admin, revoke(&next.id))).await.expect("it may").into_inner();
    let again = client.revoke_signature_key(by(&world.admin, revoke(&next.id))).await.expect("it may").into_inner();
    assert_eq!(revoked.revision, again.revision);
    world.revoke(v1::revoke_request::Target::CredentialId(whole.id)).await;
    assert_eq!(carried().await, BTreeSet::from([(own.id, true)]));
    let get = v1::GetSignatureKeyRequest { tenant: "demo".into(), id: next.id };
    let got = client.get_signature_key(by(&world.admin, get)).await.expect("it may").into_inner();
    assert_eq!(got.signature_key.expect("it is there").state(), v1::SignatureKeyState::Revoked);
}

#[tokio::test]
async fn what_cannot_be_registered_is_told_by_its_reason_and_repeats_nothing() {
    let world = World::new().await;
    let mut client = world.signature_keys();
    let good = world.wanted_key("ada", "").await;
    let secret = "nobody-may-see-this";
    let mut private: Value = serde_json::from_str(&good.jwk).expect("it is JSON");
    private["d"] = json!(secret);
    let another = world.wanted_key("ada", "").await;
    for (request, code, why) in [
        (
            v1::RegisterSignatureKeyRequest { jwk: private.to_string(), ..good.clone() },
            Code::InvalidArgument,
            "FIELD_INVALID",
        ),
        (
            v1::RegisterSignatureKeyRequest { jwk: String::new(), ..good.clone() },
            Code::InvalidArgument,
            "FIELD_INVALID",
        ),
        (
            v1::RegisterSignatureKeyRequest { jwk: another.jwk.clone(), ..good.clone() },
            Code::InvalidArgument,
            "KEY_PROOF_REFUSED",
        ),
        (
            v1::RegisterSignatureKeyRequest { session_id: world.ada.clone(), ..good.clone() },
            Code::NotFound,
            "TARGET_NOT_FOUND",
        ),
        (v1::RegisterSignatureKeyRequest { expires_in_ms: -1, ..good.clone() }, Code::InvalidArgument, "FIELD_INVALID"),
    ] {
        let refused = client.register_signature_key(by(&world.admin, request)).await.expect_err("it is refused");
        assert_eq!((refused.code(), reason(&refused).as_str()), (code, why), "{refused:?}");
        assert!(!format!("{refused:?}").contains(secret));
    }
    client.register_signature_key(by(&world.admin, good.clone())).await.expect("it is good");
    let known = client.register_signature_key(by(&world.admin, good)).await.expect_err("it is known");
    assert_eq!((known.code(), reason(&known).as_str()), (Code::AlreadyExists, "SIGNATURE_KEY_KNOWN"));
    let revoke = v1::RevokeSignatureKeyRequest { tenant: "demo".into(), id: world.ada.clone(), ..Default::default() };
    let unknown = client.revoke_signature_key(by(&world.admin, revoke)).await.expect_err("there is none");
    assert_eq!(reason(&unknown), "SIGNATURE_KEY_NOT_FOUND");
}

/// Neither another session of the same person, nor the identity's key.
#[tokio::test]
async fn at_the_edge_a_session_sees_and_ends_its_own_keys_only() {
    let world = World::new().await;
    let ((mine, tokens), (other, _)) = (world.issue().await, world.issue().await);
    let mine = world.register_key("ada", &mine).await;
    let foreign = [world.register_key("ada", &other).await, world.register_key("ada", "").await];
    let bearer = format!("Bearer {}", tokens.access_token);
    let headers = [(header::AUTHORIZATION, bearer.as_str()), (header::CONTENT_TYPE, "application/json")];
    let listed: Value =
        serde_json::from_slice(world.send(http::Method::GET, "/v1/signature-keys", &headers, "").await.body())
            .expect("it is JSON");
    let ids: Vec<_> = listed["keys"].as_array().expect("a list").iter().map(|key| key["id"].clone()).collect();
    assert_eq!(ids, [json!(mine.id)]);
    for key in foreign {
        let (response, problem) =
            world.http("/v1/signature-keys/revoke", &headers, &json!({"id": key.id}).to_string()).await;
        assert_eq!((response.status().as_u16(), &problem["reason"]), (404, &json!("no_signature_key")));
    }
    let (response, _) = world.http("/v1/signature-keys/revoke", &headers, &json!({"id": mine.id}).to_string()).await;
    assert_eq!(response.status(), 200);
    let allowed = world.verify(&world.admin, &tokens.access_token).await.allowed.expect("the session goes on");
    assert_eq!(allowed.signature_keys.len(), 1, "the identity's");
}

#[tokio::test]
async fn the_trail_says_from_where_a_session_registered_and_revoked_a_key() {
    let world = World::new().await;
    let (_, tokens) = world.issue().await;
    let bearer = format!("Bearer {}", tokens.access_token);
    let headers = [(header::AUTHORIZATION, bearer.as_str()), (header::CONTENT_TYPE, "application/json")];
    let post = async |what: &str, body: Value| {
        let path = format!("/v1/signature-keys/{what}");
        let (response, answer) = world.http(&path, &headers, &body.to_string()).await;
        assert_eq!(response.status(), 200, "{what}: {answer}");
        answer
    };
    let begun = post("begin", json!({})).await;
    let (key, text) = (ClientKey::new(), |name: &str| begun[name].as_str().expect("a text").to_owned());
    let wanted = json!({"jwk": key.jwk(), "proof": key.prove(&text("challenge"), &text("audience"))});
    let registered = post("register", wanted).await;
    post("revoke", json!({"id": registered["key"]["id"]})).await;
    let request = v1::ListAuditEntriesRequest { tenant: "demo".into(), page_size: 2, ..Default::default() };
    let found = world.audit().list_audit_entries(by(&world.admin, request)).await.expect("it may").into_inner();
    let rows: Vec<_> = found.entries.iter().map(|entry| (entry.action.as_str(), entry.address.as_str())).collect();
    assert_eq!(rows, [("credential.revoke", "127.0.0.1"), ("signature_key.register", "127.0.0.1")]);
}

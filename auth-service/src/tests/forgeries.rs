//! Forged tokens at every entrance of this process: where one is judged, exchanged, revoked, brought to the edge, and where
//! it calls. What each forgery is made of is docs/attacks.md; how it fails in detail is shown where tokens are read.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use aws_lc_rs::{hmac, signature};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{Method, StatusCode, header};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::service_tokens_service_client::ServiceTokensServiceClient;
use portcullis_proto::auth::v1::tickets_service_client::TicketsServiceClient;
use serde_json::{Value, json};
use tonic::Code;

use super::world::{World, by};

/// A token, taken apart.
#[derive(Clone)]
struct Token {
    header: Value,
    claims: Value,
    signature: String,
}

impl Token {
    fn of(text: &str) -> Self {
        let parts: Vec<_> = text.split('.').collect();
        let json = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
            serde_json::from_slice(&bytes).expect("JSON")
        };
        Self { header: json(parts[0]), claims: json(parts[1]), signature: parts[2].to_owned() }
    }

    fn signed_part(&self) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }

    fn text(&self) -> String {
        format!("{}.{}", self.signed_part(), self.signature)
    }

    /// The same with something else in its header, under its old signature.
    fn saying(&self, name: &str, value: Value) -> Self {
        let mut other = self.clone();
        other.header[name] = value;
        other
    }

    /// The same with something else in its claims, under its old signature.
    fn claiming(&self, name: &str, value: Value) -> Self {
        let mut other = self.clone();
        other.claims[name] = value;
        other
    }

    fn unsigned(self) -> Self {
        Self { signature: String::new(), ..self }
    }

    /// Signed with HMAC under something that everybody knows.
    fn signed_under(&self, secret: &[u8]) -> Self {
        let other = self.saying("alg", json!("HS256"));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), other.signed_part().as_bytes());
        Self { signature: URL_SAFE_NO_PAD.encode(tag), ..other }
    }

    /// Signed by the forger, who may bring its key along.
    fn signed_by(&self, key: &EcdsaKeyPair, brings: bool) -> Self {
        let mut other = self.clone();
        if brings {
            let (x, y) = key.public_key().as_ref()[1..].split_at(32);
            let text = |half: &[u8]| URL_SAFE_NO_PAD.encode(half);
            other.header["jwk"] = json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "x": text(x), "y": text(y)});
        }
        let signed: signature::Signature =
            key.sign(&SystemRandom::new(), other.signed_part().as_bytes()).expect("it signs");
        Self { signature: URL_SAFE_NO_PAD.encode(signed), ..other }
    }
}

/// The published key, in forms that somebody might take for a secret: the point, and PEM.
async fn published(world: &World) -> [Vec<u8>; 2] {
    const SPKI: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\
                          \x03\x42\x00";
    let keys: Value = serde_json::from_str(&world.get("/.well-known/jwks.json").await).expect("JSON");
    let half = |name: &str| {
        let text = keys["keys"][0][name].as_str().expect("a coordinate");
        URL_SAFE_NO_PAD.decode(text).expect("base64url")
    };
    let point = [vec![4], half("x"), half("y")].concat();
    let text = STANDARD.encode([SPKI, &point].concat());
    let (first, second) = text.split_at(64);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n");
    [point, pem.into_bytes()]
}

/// What a forger makes of a good token.
fn forgeries(text: &str, published: &[Vec<u8>]) -> Vec<(&'static str, String)> {
    let token = Token::of(text);
    let own = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("makes a key");
    let mut made = vec![
        ("alg=none", token.saying("alg", json!("none")).unsigned()),
        ("alg=none and the signature", token.saying("alg", json!("none"))),
        ("no signature", token.clone().unsigned()),
        ("another typ", token.saying("typ", json!("JWT"))),
        ("another kid", token.saying("kid", json!("0192f0c1-2345-7abc-8def-0123456789ab"))),
        ("a hostile kid", token.saying("kid", json!("../../../../dev/null"))),
        ("jku", token.saying("jku", json!("https://evil.example/keys"))),
        ("the forger's key", token.signed_by(&own, false)),
        ("the forger's key in the header", token.signed_by(&own, true)),
        ("exp as a text", token.claiming("exp", json!(token.claims["exp"].to_string()))),
        ("a later exp", token.claiming("exp", json!(9_999_999_999_i64))),
        ("another tenant", token.claiming("tenant", json!("system"))),
        ("somebody else", token.claiming("sub", json!("0192f0c1-2345-7abc-8def-0123456789ab"))),
    ];
    made.extend(published.iter().map(|secret| ("HS256 under the public key", token.signed_under(secret))));
    let mut texts: Vec<_> = made.into_iter().map(|(what, token)| (what, token.text())).collect();
    let mut without = token.clone();
    without.claims.as_object_mut().expect("an object").remove("exp");
    let (header, claims) = text.rsplit_once('.').expect("three parts").0.split_once('.').expect("two parts");
    texts.extend([
        ("no exp", without.text()),
        ("cut off", text[..text.len() - 7].to_owned()),
        ("five parts", format!("{header}..AAAA.{claims}.AAAA")),
        ("too long", format!("{text}{}", "A".repeat(8_192))),
    ]);
    texts
}

/// Where a user's token is taken.
#[derive(Clone, Copy, Debug)]
enum Entrance {
    Verify,
    CreateTicket,
    Revoke,
    Edge(&'static str, &'static str),
}

impl Entrance {
    const ALL: [Self; 7] = [
        Self::Verify,
        Self::CreateTicket,
        Self::Revoke,
        Self::Edge("GET", "/v1/session"),
        Self::Edge("GET", "/v1/signature-keys"),
        Self::Edge("POST", "/v1/ws-ticket"),
        Self::Edge("POST", "/v1/logout"),
    ];

    async fn takes(self, world: &World, token: &str) -> bool {
        match self {
            Self::Verify => world.verify(&world.admin, token).await.outcome() == v1::Outcome::Allowed,
            Self::CreateTicket => {
                let request = v1::CreateTicketRequest {
                    parent_credential: token.to_owned(),
                    ..v1::CreateTicketRequest::default()
                };
                let mut tickets = TicketsServiceClient::new(world.channel.clone());
                tickets.create_ticket(by(&world.admin, request)).await.is_ok()
            }
            Self::Revoke => {
                let target = Some(v1::revoke_request::Target::Credential(token.to_owned()));
                let request = v1::RevokeRequest { tenant: "demo".to_owned(), target, ..Default::default() };
                world.credentials().revoke(by(&world.admin, request)).await.is_ok()
            }
            Self::Edge(method, path) => {
                let bearer = format!("Bearer {token}");
                let method = Method::from_bytes(method.as_bytes()).expect("a method");
                let answer = world.send(method, path, &[(header::AUTHORIZATION, &bearer)], "").await;
                let taken = answer.status().is_success();
                assert!(taken || answer.status() == StatusCode::UNAUTHORIZED, "{path}: {answer:?}");
                taken
            }
        }
    }
}

#[tokio::test]
async fn no_entrance_takes_a_forged_token() {
    let world = World::new().await;
    let published = published(&world).await;
    for entrance in Entrance::ALL {
        let good = world.issue().await.1.access_token;
        for (what, forged) in forgeries(&good, &published) {
            assert!(!entrance.takes(&world, &forged).await, "{entrance:?}: {what}");
        }
        assert!(entrance.takes(&world, &good).await, "{entrance:?}");
    }
}

#[tokio::test]
async fn nobody_calls_with_a_forged_token() {
    let world = World::new().await;
    let published = published(&world).await;
    let (key, _) = world.service_key("demo", "backend", &["verify"]).await;
    let issued = ServiceTokensServiceClient::new(world.channel.clone())
        .issue_service_token(by(&key, v1::IssueServiceTokenRequest::default()))
        .await
        .expect("for its own key")
        .into_inner();
    let call = async |token: &str| world.revocations().get_guarantee(by(token, v1::GetGuaranteeRequest {})).await;
    for (what, forged) in forgeries(&issued.token, &published) {
        let refused = call(&forged).await.expect_err(what);
        assert_eq!(refused.code(), Code::Unauthenticated, "{what}");
    }
    call(&issued.token).await.expect("it is good");
    let (_, of_ada) = world.issue().await;
    assert_eq!(call(&of_ada.access_token).await.expect_err("a user's").code(), Code::Unauthenticated);
}

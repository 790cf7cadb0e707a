//! Every kind of client by every carrier: recognised, or told why not. And whoever lies gains nothing.
//!
//! A browser sends an `Origin` and cannot set headers. A desktop program (Node, with no cookie jar) sets headers and sends
//! no `Origin`. A plain client is anything else that speaks the client protocol.

use serde_json::{Value, json};
use test_harness::{Login, Node, Site, Socket};

/// The page whose origin the site's gateways allow.
const PAGE: (&str, &str) = ("origin", "https://app.example");

/// What carries the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Header,
    Url,
    Connect,
}

/// What the credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AccessToken,
    ApiKey,
    Ticket,
}

/// Everything that may be presented in this way.
const MATRIX: [(Carrier, Kind); 6] = [
    (Carrier::Header, Kind::AccessToken),
    (Carrier::Header, Kind::ApiKey),
    (Carrier::Url, Kind::Ticket),
    (Carrier::Connect, Kind::AccessToken),
    (Carrier::Connect, Kind::ApiKey),
    (Carrier::Connect, Kind::Ticket),
];

/// A site, a user who is logged in, and a service with a key for sockets.
struct Scene {
    site: Site,
    login: Login,
    service: String,
    key: String,
}

impl Scene {
    async fn new() -> Self {
        use portcullis_proto::auth::v1::IdentityKind;
        let site = Site::start().await;
        let login = site.log_in("alice").await;
        let service = site.admin.create_identity("acme", "robot", IdentityKind::Service, "", &["member"]).await;
        let (_, key) = site.admin.create_api_key("acme", "robot", &[]).await;
        Self { site, login, service, key }
    }

    fn url(&self) -> String {
        self.site.gateways[0].url()
    }

    /// A credential that was not used, and whose it is. Tickets are bound to the page that gets them.
    async fn credential(&self, kind: Kind, origin: Option<(&str, &str)>) -> (String, &str) {
        match kind {
            Kind::AccessToken => (self.login.access_token.clone(), &self.login.identity),
            Kind::ApiKey => (self.key.clone(), &self.service),
            Kind::Ticket => {
                let bearer = format!("Bearer {}", self.login.access_token);
                let mut headers = vec![("authorization", bearer.as_str())];
                headers.extend(origin);
                let answer = self.site.edge().post("/v1/ws-ticket", &headers, &json!({})).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                (answer.json()["ticket"].as_str().expect("a text").to_owned(), &self.login.identity)
            }
        }
    }
}

fn assert_recognised(data: &Value, identity: &str, case: impl std::fmt::Debug) {
    assert_eq!(data["authenticated"], json!(true), "{case:?}: {data}");
    assert_eq!(data["identity"], json!(identity), "{case:?}: {data}");
    assert_eq!(data["tenant"], json!("acme"), "{case:?}: {data}");
    assert_eq!(data["reason"], Value::Null, "{case:?}: {data}");
}

fn assert_told_why(data: &Value) {
    assert_eq!(data["authenticated"], json!(false), "{data}");
    assert_eq!(data["reason"], json!("no_credential"), "{data}");
    assert_eq!((&data["identity"], &data["session"]), (&Value::Null, &Value::Null), "{data}");
}

/// What a socket is told about itself.
async fn by_socket(scene: &Scene, origin: Option<(&str, &str)>, carrier: Carrier, credential: &str) -> Value {
    let (mut url, bearer) = (scene.url(), format!("Bearer {credential}"));
    let mut headers = Vec::from_iter(origin);
    match carrier {
        Carrier::Header => headers.push(("authorization", bearer.as_str())),
        Carrier::Url => url = format!("{url}?ticket={credential}"),
        Carrier::Connect => {}
    }
    let mut socket = Socket::open(&url, &headers).await.expect("a handshake");
    let token = (carrier == Carrier::Connect).then_some(credential);
    socket.connect(token).await.data().clone()
}

/// What a program with the SDK in Node is told about itself.
async fn by_desktop(scene: &Scene, carrier: Carrier, credential: &str) -> Value {
    let url = scene.url();
    let open = match carrier {
        Carrier::Header => json!({ "url": url, "headers": { "authorization": format!("Bearer {credential}") } }),
        Carrier::Url => json!({ "url": format!("{url}?ticket={credential}") }),
        Carrier::Connect => json!({ "url": url, "token": credential, "asks": true }),
    };
    let mut desktop = Node::sdk();
    desktop.send("open", open).await;
    desktop.event("connected").await.0["data"].clone()
}

#[tokio::test]
async fn a_browser_is_recognised_by_every_carrier_that_it_has() {
    let scene = Scene::new().await;
    for (carrier, kind) in MATRIX.into_iter().filter(|(carrier, _)| *carrier != Carrier::Header) {
        let (credential, identity) = scene.credential(kind, Some(PAGE)).await;
        let data = by_socket(&scene, Some(PAGE), carrier, &credential).await;
        assert_recognised(&data, identity, (carrier, kind));
    }
}

#[tokio::test]
async fn a_desktop_program_without_cookies_is_recognised_by_every_carrier() {
    let scene = Scene::new().await;
    for (carrier, kind) in MATRIX {
        let (credential, identity) = scene.credential(kind, None).await;
        assert_recognised(&by_desktop(&scene, carrier, &credential).await, identity, (carrier, kind));
    }
}

#[tokio::test]
async fn a_plain_client_is_recognised_by_every_carrier() {
    let scene = Scene::new().await;
    for (carrier, kind) in MATRIX {
        let (credential, identity) = scene.credential(kind, None).await;
        assert_recognised(&by_socket(&scene, None, carrier, &credential).await, identity, (carrier, kind));
    }
}

#[tokio::test]
async fn whoever_has_no_credential_is_told_so_and_never_left_silent() {
    let scene = Scene::new().await;
    for origin in [None, Some(PAGE)] {
        let mut socket = Socket::open(&scene.url(), origin.as_slice()).await.expect("a handshake");
        assert_told_why(socket.connect(None).await.data());
    }
    let mut desktop = Node::sdk();
    desktop.send("open", json!({ "url": scene.url() })).await;
    assert_told_why(&desktop.event("connected").await.0["data"]);
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_whatever_it_carries() {
    let scene = Scene::new().await;
    for origin in ["https://evil.example", "http://app.example", "https://app.example.evil.example", "null"] {
        for (carrier, kind) in MATRIX.into_iter().filter(|(carrier, _)| *carrier != Carrier::Header) {
            let (credential, _) = scene.credential(kind, None).await;
            let url = match carrier {
                Carrier::Url => format!("{}?ticket={credential}", scene.url()),
                Carrier::Header | Carrier::Connect => scene.url(),
            };
            let mut socket = Socket::open(&url, &[("origin", origin)]).await.expect("a handshake");
            let token = (carrier == Carrier::Connect).then_some(credential.as_str());
            let refused = socket.try_connect(token).await.expect("an answer before the close");
            assert_eq!(refused.error(), Some((103, "origin_not_allowed")), "{origin} {carrier:?}");
            assert_eq!(socket.closed().await.code, 4540, "{origin} {carrier:?}");
        }
    }
}

#[tokio::test]
async fn a_ticket_is_worth_nothing_to_another_page() {
    let scene = Scene::new().await;
    let (credential, _) = scene.credential(Kind::Ticket, Some(PAGE)).await;
    for origin in [None, Some(("origin", "https://evil.example"))] {
        let mut socket = Socket::open(&scene.url(), origin.as_slice()).await.expect("a handshake");
        let refused = socket.try_connect(Some(&credential)).await.expect("an answer before the close");
        assert_eq!(refused.error().map(|(code, _)| code), Some(103), "{:?}", refused.0);
        assert_eq!(socket.closed().await.code, 4540);
    }
    // It was not spent by them.
    assert_recognised(
        &by_socket(&scene, Some(PAGE), Carrier::Connect, &credential).await,
        &scene.login.identity,
        "its own page",
    );
}

/// Claims to be `victim` in every place of a handshake that is not a credential.
fn lies(victim: &Login) -> Vec<(&'static str, String)> {
    let identity = &victim.identity;
    let mut lies = Vec::new();
    for name in ["x-user", "x-user-id", "x-portcullis-identity", "x-forwarded-user", "x-authenticated-user"] {
        lies.push((name, identity.clone()));
    }
    lies.push(("x-portcullis-tenant", "system".to_owned()));
    lies.push(("x-portcullis-session", victim.session.clone()));
    let cookie = format!("identity={identity}; session={}; user=alice", victim.session);
    lies.push(("cookie", format!("{cookie}; __Host-portcullis_session={}", victim.session)));
    lies.push(("forwarded", format!("for=127.0.0.1;by={identity}")));
    lies
}

#[tokio::test]
async fn a_client_that_lies_about_itself_in_the_handshake_gains_nothing() {
    let scene = Scene::new().await;
    let bob = scene.site.log_in("bob").await;
    let lies = lies(&scene.login);
    let mut headers: Vec<_> = lies.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let query = format!("?user=alice&identity={}&tenant=system&authenticated=true", scene.login.identity);
    let url = format!("{}{query}", scene.url());

    let mut nobody = Socket::open(&url, &headers).await.expect("a handshake");
    assert_told_why(nobody.connect(None).await.data());

    let bearer = format!("Bearer {}", bob.access_token);
    headers.push(("authorization", &bearer));
    let mut socket = Socket::open(&url, &headers).await.expect("a handshake");
    assert_recognised(socket.connect(None).await.data(), &bob.identity, "bob");
}

#[tokio::test]
async fn a_client_that_lies_about_itself_in_its_messages_gains_nothing() {
    let scene = Scene::new().await;
    let (alice, bob) = (&scene.login, scene.site.log_in("bob").await);
    let mut of_alice = scene.site.gateways[0].open().await;
    of_alice.connect(Some(&alice.access_token)).await;
    of_alice.subscribe("room:lobby").await;

    let claims =
        json!({ "identity": alice.identity, "user": alice.identity, "authenticated": true, "tenant": "system" });
    for token in [None, Some(bob.access_token.as_str())] {
        let mut liar = scene.site.gateways[0].open().await;
        let mut body = json!({
            "data": claims, "name": alice.identity, "user": alice.identity, "headers": { "X-User": alice.identity },
            "subs": { format!("@{}", alice.identity): {} },
        });
        if let Some(token) = token {
            body["token"] = json!(token);
        }
        let answer = liar.call("connect", body).await.expect("an answer");
        let own: Vec<_> = answer["connect"]["subs"].as_object().into_iter().flat_map(|subs| subs.keys()).collect();
        match token {
            None => assert_told_why(&answer["connect"]["data"]),
            Some(_) => assert_recognised(&answer["connect"]["data"], &bob.identity, "bob"),
        }
        assert!(!own.contains(&&format!("@{}", alice.identity)), "{own:?}");
        // The names of channels that are not the client's.
        for channel in [format!("@{}", alice.identity), format!("acme/@{}", alice.identity), "$system".to_owned()] {
            let refused = liar.call("subscribe", json!({ "channel": channel })).await.expect("an answer");
            assert!(refused.get("error").is_some(), "{channel}: {refused}");
            let refused = liar.publish(&channel, claims.clone()).await.expect("an answer");
            assert!(refused.get("error").is_some(), "{channel}: {refused}");
        }
        // What is said is stamped with who says it.
        let said = liar
            .call("publish", json!({ "channel": "room:lobby", "data": claims, "info": { "user": alice.identity } }))
            .await
            .expect("an answer");
        match token {
            None => assert_eq!(said["error"]["code"], json!(103), "{said}"),
            Some(_) => {
                let heard = of_alice.publication("room:lobby").await;
                assert_eq!(heard["info"]["user"], json!(bob.identity));
                assert_eq!(heard["data"], claims);
            }
        }
    }
}

#[tokio::test]
async fn nobody_becomes_somebody_on_an_open_socket() {
    let scene = Scene::new().await;
    let bob = scene.site.log_in("bob").await;
    let mut nobody = scene.site.gateways[0].open().await;
    nobody.connect(None).await;
    let refused = nobody.call("refresh", json!({ "token": bob.access_token })).await.expect("an answer");
    assert_eq!(refused["error"]["code"], json!(103), "{refused}");

    let mut of_alice = scene.site.gateways[0].open().await;
    of_alice.connect(Some(&scene.login.access_token)).await;
    let refused = of_alice.call("refresh", json!({ "token": bob.access_token })).await.expect("an answer");
    assert_eq!(refused["error"]["message"], json!("another_identity"), "{refused}");
    assert_eq!(of_alice.closed().await.code, 4501);
}

//! What is presented, and where that is seen: a site, a socket, and the published SDK.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_proto::auth::v1;
use serde_json::{Value, json};
use test_harness::{Edge, Gateway, Login, Node, Site, Socket, eventually};

use super::words::{NOTHING, Seen, close_text, connect_answer, end_of, first_state, http_answer, last_state};

/// One handshake and its `connect`.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    pub(super) query: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) token: Option<String>,
}

pub(super) fn nothing() -> Attempt {
    Attempt::default()
}

pub(super) fn in_header(credential: &str) -> Attempt {
    Attempt { headers: vec![("authorization", format!("Bearer {credential}"))], ..Attempt::default() }
}

pub(super) fn in_query(query: String) -> Attempt {
    Attempt { query, ..Attempt::default() }
}

pub(super) fn in_connect(credential: &str) -> Attempt {
    Attempt { token: Some(credential.to_owned()), ..Attempt::default() }
}

/// A site, and alice logged in.
pub(super) struct Scene {
    pub(super) site: Site,
    pub(super) gateway: Gateway,
    pub(super) alice: Login,
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::with_authority("").await
    }

    /// The authority is set up with more, as TOML tables.
    pub(super) async fn with_authority(more: &str) -> Self {
        let mut site = Site::start_with(more).await;
        let (gateway, alice) = (site.gateways.remove(0), site.log_in("alice").await);
        Self { site, gateway, alice }
    }

    /// The gateway is set up otherwise: keys of `[hub]`, or the site's own when empty; and more, as TOML tables.
    pub(super) async fn with_gateway(hub: &str, more: &str) -> Self {
        Self::with("", hub, more).await
    }

    /// Both are set up otherwise.
    pub(super) async fn with(authority: &str, hub: &str, more: &str) -> Self {
        let mut scene = Self::with_authority(authority).await;
        let mut options = scene.site.gateway_options("gateway-other");
        if !hub.is_empty() {
            hub.clone_into(&mut options.hub);
        }
        more.clone_into(&mut options.more);
        scene.gateway = scene.site.start_gateway(&options).await;
        scene.gateway.synced().await;
        scene
    }

    pub(super) fn edge(&self) -> Edge {
        self.site.edge()
    }

    pub(super) fn token(&self) -> &str {
        &self.alice.access_token
    }

    pub(super) async fn ticket(&self) -> String {
        self.edge().ticket(self.token()).await
    }

    pub(super) async fn ticket_with(&self, headers: &[(&str, &str)], body: Value) -> String {
        self.ticket_of(self.token(), headers, body).await
    }

    /// A ticket of another credential.
    pub(super) async fn ticket_of(&self, parent: &str, headers: &[(&str, &str)], body: Value) -> String {
        let bearer = format!("Bearer {parent}");
        let headers = [headers, &[("authorization", bearer.as_str())]].concat();
        let answer = self.edge().post("/v1/ws-ticket", &headers, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["ticket"].as_str().expect("a text").to_owned()
    }

    /// A ticket that was used.
    pub(super) async fn spent_ticket(&self) -> String {
        let ticket = self.ticket().await;
        self.gateway.open().await.connect(Some(&ticket)).await;
        ticket
    }

    pub(super) async fn api_key(&self) -> (String, String) {
        self.site.admin.create_api_key("acme", "backend", &[]).await
    }

    /// Waits until the authority no longer allows the access token.
    pub(super) async fn token_has_expired(&self) {
        eventually("the token to expire", || async {
            self.site.admin.verify(self.token()).await.allowed.is_none().then_some(())
        })
        .await;
    }

    /// Waits until a ticket is over. It is presented where it is not meant for, so that it is not spent.
    pub(super) async fn ticket_has_expired(&self, ticket: &str) {
        let presentation = v1::TicketPresentation { ticket: ticket.to_owned(), redemption_id: vec![7; 16] };
        let context = v1::PresentationContext { audience: "elsewhere".to_owned(), ..Default::default() };
        let request = v1::VerifyRequest {
            credential: Some(v1::verify_request::Credential::Ticket(presentation)),
            context: Some(context),
        };
        eventually("the ticket to expire", || async {
            let verdict = self.site.admin.verification().verify(request.clone()).await.expect("a verdict").into_inner();
            (verdict.deny_reason() == v1::DenyReason::Expired).then_some(())
        })
        .await;
    }

    pub(super) fn url(&self, attempt: &Attempt) -> String {
        format!("{}{}", self.gateway.url(), attempt.query)
    }

    /// Makes an attempt with a socket.
    pub(super) async fn socket(&self, attempt: &Attempt) -> Result<Socket, (u16, String)> {
        let headers: Vec<_> = attempt.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Socket::open(&self.url(attempt), &headers).await
    }

    /// Makes an attempt with the SDK. It can ask for another token only where it brought one itself.
    pub(super) async fn sdk(&self, attempt: &Attempt) -> Node {
        let mut sdk = Node::sdk();
        let headers: serde_json::Map<_, _> =
            attempt.headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let token = attempt.token.clone().unwrap_or_default();
        let asks = attempt.token.is_some();
        let open = json!({ "url": self.url(attempt), "headers": headers, "token": token, "asks": asks });
        sdk.send("open", open).await;
        sdk
    }

    /// What comes of what `make` makes, twice: tickets are for one use.
    pub(super) async fn of(&self, make: impl AsyncFn() -> Attempt) -> Seen {
        let attempt = make().await;
        let (answer, close) = match self.socket(&attempt).await {
            Err((status, body)) => (http_answer(status, &body), NOTHING.to_owned()),
            Ok(mut socket) => {
                let token = attempt.token.as_deref();
                let answer = socket.try_connect(token).await;
                (connect_answer(&answer), end_of(&answer, &mut socket).await)
            }
        };
        let sdk = first_state(&mut self.sdk(&make().await).await).await;
        Seen { answer, close, sdk }
    }

    /// What comes of `act` on connections that were opened with what `make` makes.
    pub(super) async fn after(
        &self,
        make: impl AsyncFn() -> Attempt,
        act: impl AsyncFn(&mut Socket, &mut Node) -> Option<String>,
    ) -> Seen {
        let attempt = make().await;
        let mut socket = self.socket(&attempt).await.expect("a handshake");
        socket.connect(attempt.token.as_deref()).await;
        let mut sdk = self.sdk(&make().await).await;
        sdk.event("connected").await;
        let answer = act(&mut socket, &mut sdk).await;
        let close = if answer.is_some() && socket.is_alive().await {
            NOTHING.to_owned()
        } else {
            close_text(&socket.closed().await)
        };
        let sdk = if close == NOTHING { "connected".to_owned() } else { last_state(&mut sdk).await };
        Seen { answer: answer.unwrap_or_else(|| NOTHING.to_owned()), close, sdk }
    }

    /// What comes of a frame that is sent on an open connection.
    pub(super) async fn of_frame(&self, frame: Frame) -> Seen {
        self.after(
            async || in_connect(self.token()),
            async |socket, sdk| {
                match &frame {
                    Frame::Text(text) => {
                        socket.send_text(text).await;
                        sdk.send("raw", json!({ "text": text })).await;
                    }
                    Frame::Binary(bytes) => {
                        socket.send_binary(bytes).await;
                        sdk.send("raw", json!({ "base64": STANDARD.encode(bytes) })).await;
                    }
                }
                None
            },
        )
        .await
    }
}

/// A frame from a client.
pub(super) enum Frame {
    Text(String),
    Binary(Vec<u8>),
}

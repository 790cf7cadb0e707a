//! The page of the demonstration, in a real browser: the main job as a person sees it.

use std::path::PathBuf;

use serde_json::{Value, json};
use test_harness::{Event, Gateway, Link, Node, PASSWORD, Process, Site};

const DESKTOP: (u32, u32) = (1280, 1180);
const PHONE: (u32, u32) = (375, 812);

/// A site with the page's back end, and a browser that has opened the page.
struct Page {
    browser: Node,
    site: Site,
    _demo: Process,
    _gateways: Vec<(Link, Gateway)>,
}

impl Page {
    async fn open() -> Self {
        let site = Site::start().await;
        // The page must know its gateways and the gateways the page's origin: links have their addresses before both.
        let links = [Link::to(site.authority.http).await, Link::to(site.authority.http).await];
        let (demo, origin) = start_demo(&site, &links).await;
        let mut gateways = Vec::new();
        for (number, link) in (1..).zip(links) {
            let mut options = site.gateway_options(&format!("gateway-of-the-page-{number}"));
            options.hub = options.hub.replace("https://app.example", &origin);
            let gateway = site.start_gateway(&options).await;
            gateway.synced().await;
            link.retarget(gateway.http);
            gateways.push((link, gateway));
        }
        let mut browser = Node::browser();
        browser.ask("open", json!({ "url": origin, "width": DESKTOP.0, "height": DESKTOP.1 })).await;
        Self { browser, site, _demo: demo, _gateways: gateways }
    }

    async fn click(&mut self, id: &str) {
        self.browser.ask("click", json!({ "id": id })).await;
    }

    async fn read(&mut self, id: &str) -> Event {
        self.browser.ask("read", json!({ "id": id })).await
    }

    /// Waits until the element is there with these `data-` attributes.
    async fn wait(&mut self, id: &str, has: Value) -> Event {
        self.browser.ask("wait", json!({ "id": id, "has": has })).await
    }

    async fn both_open(&mut self, who: &str) {
        for gateway in [1, 2] {
            self.wait(&format!("{who}-gw{gateway}-state"), json!({ "state": "open" })).await;
        }
    }

    /// Logs a user in and waits for the sockets to both gateways.
    async fn log_in(&mut self, who: &str) {
        self.click(&format!("{who}-login")).await;
        self.both_open(who).await;
    }

    /// Says something through a gateway, once the channel is followed there by whoever `listens`.
    async fn say(&mut self, who: &str, text: &str, channel: &str, gateway: u32, listens: &str) {
        let followed = format!("{listens}-gw{gateway}-channels");
        self.wait(&followed, json!({})).await;
        self.browser.ask("select", json!({ "id": format!("{who}-channel"), "value": channel })).await;
        let via = (gateway - 1).to_string();
        self.browser.ask("select", json!({ "id": format!("{who}-via"), "value": via })).await;
        self.browser.ask("fill", json!({ "id": format!("{who}-message"), "text": text })).await;
        self.click(&format!("{who}-send")).await;
    }

    /// Both sockets of a user are closed, and the page says how and how long after the commit.
    async fn both_closed(&mut self, who: &str, code: u16, reason: &str) {
        for gateway in [1, 2] {
            let has = json!({ "code": code, "reason": reason, "ms-after-commit": null, "ms-after-press": null });
            let close = self.wait(&format!("{who}-gw{gateway}-close"), has).await;
            for key in ["msAfterCommit", "msAfterPress"] {
                let ms = close.0["data"][key].as_str().expect("a text");
                assert!(ms.parse::<f64>().is_ok(), "{key}: {ms}");
            }
            assert!(close.text("text").contains(&code.to_string()) && close.text("text").contains(reason));
            assert!(close.text("text").contains("ms") && close.text("text").contains("after commit"), "{close:?}");
            let state = self.read(&format!("{who}-gw{gateway}-state")).await;
            assert_eq!(state.0["data"]["state"], json!("stopped"));
        }
    }

    async fn assert_both_open(&mut self, who: &str) {
        for gateway in [1, 2] {
            let state = self.read(&format!("{who}-gw{gateway}-state")).await;
            assert_eq!(state.0["data"]["state"], json!("open"), "{who}, gateway {gateway}");
        }
    }

    async fn assert_no_problems(&mut self) {
        assert_eq!(self.browser.ask("problems", json!({})).await.0["list"], json!([]));
    }
}

/// Where pictures of the page go: into the site's own folder, or where they are wanted.
fn pictures(site: &Site) -> PathBuf {
    std::env::var_os("PORTCULLIS_PICTURES").map_or_else(|| site.folder().to_owned(), PathBuf::from)
}

async fn start_demo(site: &Site, links: &[Link]) -> (Process, String) {
    let scopes = ["verify", "issue", "revoke", "identity.read", "identity.write"];
    let (_, key) = site.admin.create_api_key("acme", "backend", &scopes).await;
    let file = |name: &str, content: &str| {
        let path = site.folder().join(name);
        std::fs::write(&path, content).expect("the file can be written");
        path.to_str().expect("the path is text").to_owned()
    };
    let key = file("demo.key", &key);
    let passwords = file("passwords.json", &json!({ "alice": PASSWORD, "bob": PASSWORD }).to_string());
    let ready = site.folder().join("demo.ready.json");
    let authority = [site.authority.grpc, site.authority.http].map(|address| format!("http://{address}"));
    let gateways: Vec<_> = links.iter().map(|link| format!("ws://{}/connection/websocket", link.address())).collect();
    let mut arguments = vec!["--listen", "127.0.0.1:0", "--tenant", "acme", "--api-key-file", &key];
    arguments.extend(["--passwords-file", &passwords, "--ready-file", ready.to_str().expect("text")]);
    arguments.extend(["--authority", &authority[0], "--authority-http", &authority[1]]);
    for gateway in &gateways {
        arguments.extend(["--gateway", gateway]);
    }
    let mut demo = Process::start("portcullis-demo", &arguments, &site.folder().join("demo.log"));
    let address = demo.ready(&ready).await["http"].as_str().expect("an address").to_owned();
    (demo, format!("http://{address}"))
}

#[tokio::test]
async fn revoking_a_session_closes_that_users_sockets_before_ones_eyes_and_no_others() {
    let mut page = Page::open().await;
    page.log_in("alice").await;
    page.log_in("bob").await;
    for who in ["alice", "bob"] {
        let told = page.read(&format!("{who}-authenticated")).await;
        assert_eq!((told.text("text"), &told.0["visible"]), ("yes", &json!(true)));
    }
    page.say("alice", "hello bob", "room:lobby", 1, "bob").await;
    let heard = page.wait("bob-chat-message", json!({ "sender": "alice", "gateway": 1 })).await;
    assert!(heard.text("text").contains("hello bob"));
    page.say("bob", "hello alice", "room:lobby", 2, "alice").await;
    page.wait("alice-chat-message", json!({ "sender": "bob", "gateway": 2 })).await;
    page.assert_no_problems().await;

    page.click("alice-revoke-session").await;

    page.both_closed("alice", 4511, "session revoked").await;
    page.assert_both_open("bob").await;
    page.wait("ruler-mark", json!({ "mark": "committed" })).await;
    page.wait("receipt", json!({ "status": "enforced_by_acknowledgement", "enforced": true })).await;
    for gateway in ["gateway-of-the-page-1", "gateway-of-the-page-2"] {
        let has = json!({ "gateway": gateway, "state": "applied", "fenced": 1, "closed": 1 });
        let part = page.wait("receipt-gateway", has).await;
        assert!(part.text("text").contains("1 of 1 closed"), "{part:?}");
    }
    // Bob's sockets do not only look open.
    page.say("bob", "still here", "room:lobby", 1, "bob").await;
    let heard = page.wait("bob-chat-message", json!({ "sender": "bob", "gateway": 1 })).await;
    assert!(heard.text("text").contains("still here"));
    page.assert_no_problems().await;

    // The old token buys nothing any more.
    page.click("alice-come-back").await;
    let result = page.wait("alice-come-back-result", json!({ "status": 401 })).await;
    assert_eq!(result.0["data"]["reason"], json!("session_revoked"));
    // A new login does.
    page.log_in("alice").await;
    page.assert_both_open("bob").await;
}

#[tokio::test]
async fn disabling_a_user_closes_the_sockets_and_keeps_the_user_out_until_enabled() {
    let mut page = Page::open().await;
    page.log_in("alice").await;
    page.log_in("bob").await;

    page.click("bob-disable").await;
    page.both_closed("bob", 4512, "identity revoked").await;
    page.assert_both_open("alice").await;
    page.assert_no_problems().await;

    page.click("bob-login").await;
    page.wait("bob-problem", json!({})).await;
    page.click("bob-enable").await;
    page.log_in("bob").await;
    page.assert_both_open("alice").await;
}

#[tokio::test]
async fn the_anonymous_panel_hears_the_public_channel_only_and_says_why_it_is_anonymous() {
    let mut page = Page::open().await;
    page.both_open("anon").await;
    let why = page.wait("anon-reason", json!({ "reason": "no_credential" })).await;
    assert!(why.text("text").contains("No credential was presented"));
    page.log_in("alice").await;
    page.say("alice", "not for everybody", "room:lobby", 1, "alice").await;
    page.wait("alice-chat-message", json!({ "channel": "room:lobby" })).await;
    page.say("alice", "for everybody", "public:news", 1, "anon").await;
    let heard = page.wait("anon-news-message", json!({ "channel": "public:news" })).await;
    assert!(heard.text("text").contains("for everybody") && heard.text("text").contains("alice"));
    assert_eq!(page.read("anon-news-message").await.0["count"], json!(1));

    page.click("alice-revoke-identity").await;
    page.both_closed("alice", 4512, "identity revoked").await;
    page.assert_both_open("anon").await;
    page.assert_no_problems().await;
}

#[tokio::test]
async fn the_page_fits_a_phone_and_a_desktop() {
    let mut page = Page::open().await;
    page.log_in("alice").await;
    page.log_in("bob").await;
    page.say("alice", "a message that is long enough to need more than one line on a phone", "room:lobby", 1, "bob")
        .await;
    page.wait("bob-chat-message", json!({})).await;
    page.click("alice-revoke-session").await;
    page.both_closed("alice", 4511, "session revoked").await;
    for (name, (width, height)) in [("desktop", DESKTOP), ("phone", PHONE)] {
        let overflow = page.browser.ask("resize", json!({ "width": width, "height": height })).await;
        assert_eq!(overflow.0["overflow"], json!(0), "{name}");
        let path = pictures(&page.site).join(format!("{name}.png"));
        page.browser.ask("screenshot", json!({ "path": path })).await;
        assert!(std::fs::metadata(&path).expect("there is a picture").len() > 10_000);
    }
    page.assert_no_problems().await;
}

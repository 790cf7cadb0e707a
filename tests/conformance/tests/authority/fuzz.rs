//! Hostile variants of what an authority is given: credentials and page tokens.

use auth_domain::{IdentityFilter, Judgement, ListError, Page, PresentationContext, Presented};
use portcullis_fuzz::Target;
use portcullis_types::{RedemptionId, Secret};
use tokio::runtime::Runtime;

use super::world::Shown as _;
use super::world::{World, tenant};

fn target(name: &'static str) -> Target {
    Target::new(name, env!("CARGO_MANIFEST_DIR"))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn only_the_exact_text_of_a_credential_is_allowed() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    let credentials = runtime
        .block_on(async { [world.log_in().await.1.access, world.api_key().await.shown(), world.cookie().await.1] });
    let texts = credentials.map(|credential| credential.expose_str().expect("text").to_owned());
    target("bearer").seeds(texts.clone()).must_reach(&["denied", "allowed"]).run(|input| {
        let text = String::from_utf8_lossy(input);
        let bearer = Secret::from(&*text);
        let context = PresentationContext::default();
        let verdict = runtime.block_on(world.authority.verify(Presented::Bearer(&bearer), &context));
        match verdict.expect("the store answers").judgement {
            Judgement::Denied { .. } => "denied",
            Judgement::Allowed(_) => {
                assert!(texts.iter().any(|known| *known == text), "nobody issued this");
                "allowed"
            }
        }
    });
}

#[test]
fn only_the_exact_text_of_a_ticket_is_redeemed_and_only_once() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    let ticket = runtime.block_on(async {
        let access = world.log_in().await.1.access;
        world.ticket(&access, None, None).await
    });
    let known = ticket.expose_str().expect("text").to_owned();
    target("ticket").seeds([known.clone()]).must_reach(&["denied", "allowed"]).run(|input| {
        let text = String::from_utf8_lossy(input);
        let ticket = Secret::from(&*text);
        // The same handshake each time: a redemption may be repeated by whoever made it.
        let presented = Presented::Ticket { ticket: &ticket, redemption: RedemptionId::from_bytes([1; 16]) };
        let verdict = runtime.block_on(world.authority.verify(presented, &PresentationContext::default()));
        match verdict.expect("the store answers").judgement {
            Judgement::Denied { .. } => "denied",
            Judgement::Allowed(_) => {
                assert_eq!(known, text, "nobody issued this");
                "allowed"
            }
        }
    });
}

#[test]
fn a_page_token_is_a_position_in_its_own_list_or_refused() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    let list = |token: &str| {
        let page = Page::new(1, token).expect("small");
        runtime.block_on(world.authority.identities(&tenant(), &IdentityFilter::default(), page))
    };
    runtime.block_on(async {
        for name in ["bob", "carol"] {
            super::callers::service(&world, name).await;
        }
    });
    let token = list("").expect("the first page").next.expect("there is more");
    target("page_token").seeds([token]).must_reach(&["refused", "read"]).run(|input| {
        match list(&String::from_utf8_lossy(input)) {
            Err(ListError::Page(_)) => "refused",
            Err(ListError::Store(error)) => panic!("it came as far as the store: {error}"),
            Ok(page) => {
                assert!(page.items.len() <= 1 && page.items.iter().all(|identity| identity.tenant == tenant()));
                "read"
            }
        }
    });
}

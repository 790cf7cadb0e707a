//! Tickets.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    Actor, CreateTicketError, DenyReason, Judgement, NewApiKey, NewTicket, PresentationContext, Presented,
    RefreshOutcome, RevokeTarget, Scopes, Settings, TicketAsker, TicketOutcome, TicketRules,
};
use futures_util::future::join_all;
use portcullis_types::{AddressRange, KeyDigest, KeyKind, OpaqueKind, OpaqueToken, RedemptionId, Secret, TenantId};

use super::world::Shown as _;
use super::world::{SECOND, World, actor, allowed, audience, denied, named, origin, tenant};

fn anywhere() -> PresentationContext {
    PresentationContext::default()
}

#[tokio::test]
async fn whoever_may_not_know_of_a_ticket_does_not_spend_it_and_learns_nothing_of_it() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let ticket = world.ticket(&tokens.access, None, None).await;
    let elsewhere = PresentationContext { within: Some(TenantId::system()), ..anywhere() };
    assert_eq!(denied(world.redeem(&ticket, 1, &elsewhere).await), (DenyReason::Unknown, false));
    let here = PresentationContext { within: Some(tenant()), ..anywhere() };
    allowed(world.redeem(&ticket, 2, &here).await);
    assert_eq!(
        denied(world.redeem(&ticket, 3, &elsewhere).await),
        (DenyReason::Unknown, false),
        "not even that it is spent"
    );
}

#[tokio::test]
async fn a_socket_of_a_ticket_rests_on_the_ticket_and_on_its_parent() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let parent = world.allowed(&tokens.access).await;
    world.clock.advance(10 * SECOND);
    let ticket = world.ticket(&tokens.access, None, None).await;
    let verdict = allowed(world.redeem(&ticket, 1, &anywhere()).await);
    assert_eq!(verdict.principal, parent.principal, "the parent speaks");
    assert_eq!(verdict.expires_in, Some(Duration::from_secs(590)), "and its end is the socket's");
    assert_eq!(verdict.cache_ttl, Duration::ZERO);
    let id = OpaqueToken::parse(ticket.expose_str().expect("text")).expect("a ticket").id;
    let mut keys = parent.keys;
    keys.push(KeyDigest::of(&tenant(), KeyKind::Credential, &id.to_string()));
    keys.sort();
    assert_eq!(verdict.keys, keys);
}

#[tokio::test]
async fn a_ticket_opens_one_handshake_which_may_ask_again() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let ticket = world.ticket(&tokens.access, None, None).await;
    allowed(world.redeem(&ticket, 1, &anywhere()).await);
    allowed(world.redeem(&ticket, 1, &anywhere()).await);
    assert_eq!(denied(world.redeem(&ticket, 2, &anywhere()).await), (DenyReason::Spent, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_handshakes_at_once_one_gets_in() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let ticket = world.ticket(&tokens.access, None, None).await;
    let handshakes = (0..50).map(|n| {
        let (authority, ticket) = (Arc::clone(&world.authority), ticket.clone());
        tokio::spawn(async move {
            let presented = Presented::Ticket { ticket: &ticket, redemption: RedemptionId::from_bytes([n; 16]) };
            let verdict = authority.verify(presented, &PresentationContext::default()).await.expect("a verdict");
            matches!(verdict.judgement, Judgement::Allowed(_))
        })
    });
    let admitted = futures_util::future::join_all(handshakes).await;
    assert_eq!(admitted.into_iter().filter(|in_| *in_.as_ref().expect("no panic")).count(), 1);
}

#[tokio::test]
async fn a_ticket_lasts_thirty_seconds() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let ticket = world.ticket(&tokens.access, None, None).await;
    world.clock.advance(30 * SECOND);
    assert_eq!(denied(world.redeem(&ticket, 1, &anywhere()).await), (DenyReason::Expired, true));
}

#[tokio::test]
async fn a_ticket_never_outlives_its_parent() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    world.clock.advance(590 * SECOND);
    let ticket = world.ticket(&tokens.access, None, None).await;
    world.clock.advance(10 * SECOND);
    assert_eq!(denied(world.redeem(&ticket, 1, &anywhere()).await), (DenyReason::Expired, true));
}

#[tokio::test]
async fn the_wrong_place_is_refused_and_does_not_spend_the_ticket() {
    let world = World::new().await;
    let cookie = world.cookie().await.1;
    let ticket = world.ticket(&cookie, Some("chat"), Some("https://app.example")).await;
    let place = |asked: &str, from: Option<&str>| PresentationContext {
        address: None,
        audience: Some(audience(asked)),
        origin: from.map(origin),
        within: None,
        asker: None,
    };
    let evil = place("chat", Some("https://app.example.evil"));
    assert_eq!(denied(world.redeem(&ticket, 1, &evil).await), (DenyReason::WrongOrigin, false));
    let nowhere = place("chat", None);
    assert_eq!(denied(world.redeem(&ticket, 1, &nowhere).await), (DenyReason::WrongOrigin, false));
    let elsewhere = place("portcullis", Some("https://app.example"));
    assert_eq!(denied(world.redeem(&ticket, 1, &elsewhere).await), (DenyReason::WrongAudience, false));
    let verdict = allowed(world.redeem(&ticket, 2, &place("chat", Some("https://app.example"))).await);
    assert_eq!(verdict.origins, [origin("https://app.example")]);
    assert_eq!(verdict.audiences, [audience("chat")]);
}

#[tokio::test]
async fn a_ticket_dies_with_its_parent_its_session_and_by_its_own_key() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    let ticket = world.ticket(&tokens.access, None, None).await;
    world.revoke(RevokeTarget::Presented(ticket.clone())).await;
    assert_eq!(denied(world.redeem(&ticket, 1, &anywhere()).await), (DenyReason::CredentialRevoked, true));

    let ticket = world.ticket(&tokens.access, None, None).await;
    world.revoke(RevokeTarget::Presented(tokens.access.clone())).await;
    assert_eq!(denied(world.redeem(&ticket, 1, &anywhere()).await), (DenyReason::CredentialRevoked, true));

    let tokens = world.log_in().await.1;
    let ticket = world.ticket(&tokens.access, None, None).await;
    world.revoke(RevokeTarget::Identity(auth_domain::IdentityRef::Id(opened.identity.id))).await;
    assert_eq!(denied(world.redeem(&ticket, 1, &anywhere()).await), (DenyReason::IdentityRevoked, true));
}

#[tokio::test]
async fn a_ticket_of_an_api_key_dies_only_with_the_key() {
    let world = World::new().await;
    let key = world.api_key().await;
    let (first, second) = (world.ticket(&key.shown(), None, None).await, world.ticket(&key.shown(), None, None).await);
    world.revoke(RevokeTarget::Identity(auth_domain::IdentityRef::Id(world.alice.id))).await;
    allowed(world.redeem(&first, 1, &anywhere()).await);
    world.revoke(RevokeTarget::Credential(key.key.id)).await;
    assert_eq!(denied(world.redeem(&second, 1, &anywhere()).await), (DenyReason::CredentialRevoked, true));
}

#[tokio::test]
async fn a_bad_parent_gives_no_ticket() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let ticket = world.ticket(&tokens.access, None, None).await;
    world.revoke(RevokeTarget::Presented(tokens.access.clone())).await;
    let before = world.store.head().await.expect("reads");
    for (parent, reason) in [
        (&tokens.access, DenyReason::CredentialRevoked),
        (&tokens.refresh, DenyReason::WrongKind),
        (&ticket, DenyReason::WrongKind),
        (&Secret::from("hello"), DenyReason::Malformed),
    ] {
        let request =
            NewTicket { parent: parent.clone(), audience: None, origin: None, within: None, by: TicketAsker::Service };
        let outcome = world.authority.create_ticket(&actor(), request).await.expect("an outcome");
        assert!(matches!(outcome, TicketOutcome::Denied(why) if why == reason), "{outcome:?}");
    }
    assert_eq!(world.store.head().await.expect("reads"), before);
}

#[tokio::test]
async fn what_is_not_a_ticket_is_not_redeemed() {
    let world = World::new().await;
    let (tokens, key) = (world.log_in().await.1, world.api_key().await.shown());
    for other in [&tokens.access, &tokens.refresh, &key] {
        assert_eq!(denied(world.redeem(other, 1, &anywhere()).await), (DenyReason::WrongKind, true));
    }
    assert_eq!(denied(world.redeem(&Secret::from("tk_"), 1, &anywhere()).await), (DenyReason::Malformed, true));
}

/// A key that may be presented in one place.
async fn bound_key(world: &World) -> Secret {
    let token = OpaqueToken::generate(
        OpaqueKind::ApiKey,
        portcullis_types::CredentialId::from_bytes([5; 16]),
        &portcullis_types::SeededEntropy::new(5),
    );
    let id = world.api_key().await.key.id;
    let mut row = world.store.read().await.expect("reads").credential(id).await.expect("reads").expect("it was made");
    (row.id, row.digest) = (token.id, Some(token.digest()));
    (row.audiences, row.origins) = (vec![audience("chat")], vec![origin("https://app.example")]);
    let mut tx = world.store.write().await.expect("writes");
    tx.insert_credential(&row).await.expect("writes");
    tx.commit().await.expect("commits");
    token.reveal()
}

#[tokio::test]
async fn a_ticket_is_good_nowhere_that_its_parent_is_not() {
    let world = World::new().await;
    let (access, key) = (world.log_in().await.1.access, bound_key(&world).await);
    for (parent, asked, from, reason) in [
        (&access, Some("chat"), None, DenyReason::WrongAudience),
        (&key, None, None, DenyReason::WrongAudience),
        (&key, Some("portcullis"), None, DenyReason::WrongAudience),
        (&key, Some("chat"), Some("https://evil.example"), DenyReason::WrongOrigin),
    ] {
        let request = NewTicket {
            parent: parent.clone(),
            audience: asked.map(audience),
            origin: from.map(origin),
            within: None,
            by: TicketAsker::Service,
        };
        let outcome = world.authority.create_ticket(&actor(), request).await.expect("an outcome");
        assert!(matches!(outcome, TicketOutcome::Denied(why) if why == reason), "{asked:?} {from:?}: {outcome:?}");
    }
    let ticket = world.ticket(&key, Some("chat"), None).await;
    let place =
        |from| PresentationContext { audience: Some(audience("chat")), origin: Some(origin(from)), ..anywhere() };
    let evil = denied(world.redeem(&ticket, 1, &place("https://evil.example")).await);
    assert_eq!(evil, (DenyReason::WrongOrigin, false), "the parent's origin is the ticket's");
    let verdict = allowed(world.redeem(&ticket, 2, &place("https://app.example")).await);
    assert_eq!(verdict.origins, [origin("https://app.example")]);
}

#[tokio::test]
async fn a_ticket_that_says_more_than_its_parent_is_judged_by_both() {
    let world = World::new().await;
    let key = bound_key(&world).await;
    let ticket = world.ticket(&key, Some("chat"), None).await;
    let id = OpaqueToken::parse(ticket.expose_str().expect("text")).expect("a ticket").id;
    let mut row = world.store.read().await.expect("reads").credential(id).await.expect("reads").expect("it was made");
    let wide = OpaqueToken::generate(
        OpaqueKind::Ticket,
        portcullis_types::CredentialId::from_bytes([6; 16]),
        &portcullis_types::SeededEntropy::new(6),
    );
    (row.id, row.digest, row.audiences, row.origins) = (wide.id, Some(wide.digest()), Vec::new(), Vec::new());
    let mut tx = world.store.write().await.expect("writes");
    tx.insert_credential(&row).await.expect("writes");
    tx.commit().await.expect("commits");
    let place =
        |to, from| PresentationContext { audience: Some(audience(to)), origin: Some(origin(from)), ..anywhere() };
    let elsewhere = world.redeem(&wide.reveal(), 1, &place("portcullis", "https://app.example")).await;
    assert_eq!(denied(elsewhere), (DenyReason::WrongAudience, false));
    let evil = world.redeem(&wide.reveal(), 1, &place("chat", "https://evil.example")).await;
    assert_eq!(denied(evil), (DenyReason::WrongOrigin, false));
    allowed(world.redeem(&wide.reveal(), 1, &place("chat", "https://app.example")).await);
}

async fn try_ticket(
    world: &World,
    by: &Actor,
    parent: &Secret,
) -> Result<(Secret, portcullis_types::CredentialId), CreateTicketError> {
    let request =
        NewTicket { parent: parent.clone(), audience: None, origin: None, within: None, by: TicketAsker::Service };
    match world.authority.create_ticket(by, request).await? {
        TicketOutcome::Granted { ticket, id, .. } => Ok((ticket, id)),
        TicketOutcome::Denied(reason) => panic!("no ticket: {reason:?}"),
    }
}

/// How soon there may be the next; none where there may be one now.
async fn full_for(world: &World, parent: &Secret) -> Option<Duration> {
    match try_ticket(world, &Actor::edge(), parent).await {
        Ok(_) => None,
        Err(CreateTicketError::TooMany { retry_after }) => Some(retry_after),
        Err(other) => panic!("another refusal: {other}"),
    }
}

/// Used or not: whoever uses them at once leaves as many rows.
#[tokio::test]
async fn a_session_has_so_many_tickets_at_once_whatever_it_asks_with() {
    let world = World::new().await;
    let (_, first) = world.log_in().await;
    let RefreshOutcome::Granted(next) =
        world.authority.refresh_tokens(&actor(), &first.refresh).await.expect("answers")
    else {
        panic!("it is good")
    };
    for n in 0..64_u8 {
        let parent = if n % 2 == 0 { &first.access } else { &next.access };
        let (ticket, _) = try_ticket(&world, &Actor::edge(), parent).await.expect("there is room");
        if n < 32 {
            allowed(world.redeem(&ticket, n, &anywhere()).await);
        }
        if n == 0 {
            world.clock.advance(10 * SECOND);
        }
    }
    let writer = world.store.write().await.expect("the only writer");
    for parent in [&first.access, &next.access] {
        assert_eq!(full_for(&world, parent).await, Some(20 * SECOND), "a read finds it out");
    }
    drop(writer);
    let others = world.log_in().await.1;
    assert_eq!(full_for(&world, &others.access).await, None, "another session");
    assert_eq!(full_for(&world, &world.api_key().await.shown()).await, None, "a key of the same identity");
    world.clock.advance(20 * SECOND);
    assert_eq!(full_for(&world, &first.access).await, None, "the first is over");
    assert_eq!(full_for(&world, &first.access).await, Some(10 * SECOND));
}

#[tokio::test]
async fn a_key_without_a_session_has_a_bound_of_its_own() {
    let world = World::new().await;
    let settings =
        Settings { ticket_rules: TicketRules { per_session: 1, per_key: 3 }, ..world.authority.settings().clone() };
    let world = world.with_settings(settings).await;
    let (key, other) = (world.api_key().await.shown(), world.api_key().await.shown());
    for _ in 0..3 {
        assert_eq!(full_for(&world, &key).await, None);
    }
    assert_eq!(full_for(&world, &key).await, Some(30 * SECOND));
    assert_eq!(full_for(&world, &other).await, None);
}

/// Whoever has the parent asks without end; what a service does for somebody else is always told.
#[tokio::test]
async fn a_ticket_of_the_edge_is_in_the_trail_once_it_is_used() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    let parent = world.allowed(&tokens.access).await.principal.credential;
    let rows = async |action: &str| world.trail_of(opened.identity.id, action).await;
    let (unused, _) = try_ticket(&world, &Actor::edge(), &tokens.access).await.expect("there is room");
    assert_eq!(rows("ticket.create").await.len(), 0);
    allowed(world.redeem(&unused, 1, &anywhere()).await);
    let used = rows("ticket.redeem").await;
    assert_eq!(used.len(), 1);
    assert_eq!(used[0].detail, format!(r#"{{"from":"{parent}"}}"#));
    let service = Actor::caller(&world.admin);
    let (_, id) = try_ticket(&world, &service, &tokens.access).await.expect("there is room");
    let made = rows("ticket.create").await;
    assert_eq!(made.iter().map(|row| row.target.clone()).collect::<Vec<_>>(), [format!("credential:{id}")]);
}

/// Whoever holds what is dead costs a read, and keeps nobody from writing.
#[tokio::test]
async fn what_is_refused_anyway_keeps_no_writer_waiting() {
    let world = World::new().await;
    let (spent, old) = (world.log_in().await.1, world.log_in().await.1);
    let redeemed = world.ticket(&old.access, None, None).await;
    allowed(world.redeem(&redeemed, 1, &anywhere()).await);
    let ticket = world.ticket(&spent.access, None, None).await;
    world.revoke(RevokeTarget::Presented(spent.refresh.clone())).await;
    let chat = PresentationContext { audience: Some(audience("chat")), ..anywhere() };
    let live = world.ticket(&old.access, None, None).await;

    let writer = world.store.write().await.expect("the only writer");
    assert_eq!(denied(world.redeem(&redeemed, 2, &anywhere()).await), (DenyReason::Spent, true));
    assert_eq!(denied(world.redeem(&ticket, 1, &anywhere()).await), (DenyReason::SessionRevoked, true));
    assert_eq!(denied(world.redeem(&live, 1, &chat).await), (DenyReason::WrongAudience, false));
    let refreshed = world.authority.refresh_tokens(&actor(), &spent.refresh).await.expect("an outcome");
    assert!(matches!(refreshed, RefreshOutcome::Denied(DenyReason::SessionRevoked)));
    let request = NewTicket {
        parent: spent.access.clone(),
        audience: None,
        origin: None,
        within: None,
        by: TicketAsker::Service,
    };
    let made = world.authority.create_ticket(&actor(), request).await.expect("an outcome");
    assert!(matches!(made, TicketOutcome::Denied(DenyReason::SessionRevoked)));
    world.clock.advance(600 * SECOND);
    let request =
        NewTicket { parent: old.access.clone(), audience: None, origin: None, within: None, by: TicketAsker::Service };
    let made = world.authority.create_ticket(&actor(), request).await.expect("an outcome");
    assert!(matches!(made, TicketOutcome::Denied(DenyReason::Expired)));
    drop(writer);
}

/// Whoever invents credentials costs a read, and keeps nobody from writing.
#[tokio::test]
async fn an_invented_credential_keeps_no_writer_waiting() {
    let world = World::new().await;
    let entropy = portcullis_types::SeededEntropy::new(99);
    let invent =
        |kind| OpaqueToken::generate(kind, portcullis_types::CredentialId::from_bytes([1; 16]), &entropy).reveal();
    let writer = world.store.write().await.expect("the only writer");
    let ticket = invent(OpaqueKind::Ticket);
    assert_eq!(denied(world.redeem(&ticket, 1, &anywhere()).await), (DenyReason::Unknown, false));
    let refreshed =
        world.authority.refresh_tokens(&actor(), &invent(OpaqueKind::RefreshToken)).await.expect("an outcome");
    assert!(matches!(refreshed, RefreshOutcome::Denied(DenyReason::Unknown)));
    let request = NewTicket {
        parent: invent(OpaqueKind::ApiKey),
        audience: None,
        origin: None,
        within: None,
        by: TicketAsker::Service,
    };
    let made = world.authority.create_ticket(&actor(), request).await.expect("an outcome");
    assert!(matches!(made, TicketOutcome::Denied(DenyReason::Unknown)));
    drop(writer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_ticket_presented_by_fifty_clients_at_once_admits_one() {
    let world = Arc::new(World::new().await);
    let tokens = world.log_in().await.1;
    let ticket = world.ticket(&tokens.access, None, None).await;
    let clients = (0..50).map(|handshake| {
        let (world, ticket) = (Arc::clone(&world), ticket.clone());
        tokio::spawn(async move { world.redeem(&ticket, handshake, &PresentationContext::default()).await })
    });
    let verdicts = join_all(clients).await.into_iter().map(|verdict| verdict.expect("no client panics"));
    let admitted = verdicts.filter(|verdict| matches!(verdict.judgement, Judgement::Allowed(_))).count();
    assert_eq!(admitted, 1);
}

#[tokio::test]
async fn a_key_that_is_bound_to_addresses_gives_no_ticket_elsewhere() {
    let world = World::new().await;
    let new = NewApiKey {
        tenant: tenant(),
        identity: named("alice"),
        label: None,
        scopes: Scopes::NONE,
        expires_in: None,
        grants: None,
        addresses: vec![AddressRange::try_from("10.0.0.0/8").expect("a range")],
    };
    let key = world.authority.create_api_key(&world.admin, new).await.expect("a new key").shown();
    let ask = async |by| {
        let request = NewTicket { parent: key.clone(), audience: None, origin: None, within: None, by };
        world.authority.create_ticket(&Actor::edge(), request).await.expect("an outcome")
    };
    for from in [Some("192.0.2.7".parse().expect("an address")), None] {
        let outcome = ask(TicketAsker::Holder(from)).await;
        assert!(matches!(outcome, TicketOutcome::Denied(DenyReason::WrongAddress)), "{from:?}: {outcome:?}");
    }
    let here = ask(TicketAsker::Holder(Some("10.1.2.3".parse().expect("an address")))).await;
    let forwarded = ask(TicketAsker::Service).await;
    for outcome in [here, forwarded] {
        assert!(matches!(outcome, TicketOutcome::Granted { .. }), "{outcome:?}");
    }
}

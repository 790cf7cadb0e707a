//! How many events a tenant's services may write.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use auth_domain::{
    Actor, Authority, BeginError, ChangeIdentityError, IdentityKind, KeyEncryptionKey, NewApiKey, NewIdentity, Parts,
    Reason, RequestId, RevokeError, RevokeRequest, RevokeSessions, RevokeTarget, Scopes, SessionsBy, Settings,
};
use portcullis_types::{Clock as _, IdentityName, SessionId};

use super::world::{KEK, Shown as _, World, actor, named, parts, tenant};

/// An authority on the world's store that lets a tenant write three events a minute, and a service of the tenant.
async fn sparing(world: &World) -> (Authority, Actor) {
    let name = IdentityName::try_from("backend").expect("a valid name");
    let service = NewIdentity::plain(tenant(), IdentityKind::Service, name);
    world.authority.create_identity(&actor(), service).await.expect("a new service");
    let key = NewApiKey {
        tenant: tenant(),
        identity: named("backend"),
        label: None,
        scopes: Scopes::all(),
        expires_in: None,
        grants: None,
        addresses: Vec::new(),
    };
    let key = world.authority.create_api_key(&world.admin, key).await.expect("a new key");
    let settings = Settings { events_per_minute: 3, ..world.authority.settings().clone() };
    let parts = parts(Arc::clone(&world.store), &world.clock, &world.hasher, KeyEncryptionKey::new(&KEK));
    let authority = Authority::open(Parts { settings, ..parts }).await.expect("opens");
    let caller = authority.authenticate_caller(&key.shown(), None).await.expect("a service");
    (authority, Actor::caller(&caller))
}

fn request(session: SessionId, name: Option<&str>) -> RevokeRequest {
    RevokeRequest {
        tenant: tenant(),
        target: RevokeTarget::Session(session),
        reason: Reason::Administrative,
        pace: None,
        request_id: name.map(|name| RequestId::try_from(name).expect("a valid id")),
    }
}

#[tokio::test]
async fn a_tenant_that_writes_too_many_events_is_refused_and_repeats_cost_nothing() {
    let world = World::new().await;
    let (authority, service) = sparing(&world).await;
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(world.log_in().await.0.session.id);
    }
    let revoke =
        async |by: &Actor, which: usize, name: Option<&str>| authority.revoke(by, request(sessions[which], name)).await;
    for which in 0..3 {
        let name = format!("req-{which}");
        let first = revoke(&service, which, Some(&name)).await.expect("it may").revision;
        assert_eq!(revoke(&service, which, Some(&name)).await.expect("it was done").revision, first);
        assert_eq!(revoke(&service, which, None).await.expect("it is dead").revision, first);
    }
    let refused = revoke(&service, 3, None).await.expect_err("it is one too many");
    let RevokeError::Begin(BeginError::TenantQuota { retry_after }) = refused else { panic!("{refused:?}") };
    assert!(retry_after <= Duration::from_secs(20), "{retry_after:?}");
    let disabled = authority.disable_identity(&service, &tenant(), &named("alice")).await;
    assert!(matches!(disabled, Err(ChangeIdentityError::Begin(BeginError::TenantQuota { .. }))), "{disabled:?}");
    assert_eq!(authority.event_quota().refused(), 2);
    revoke(&service, 0, None).await.expect("what is dead already is answered all the same");
    revoke(&actor(), 4, None).await.expect("who is of no tenant is not counted");
    revoke(&Actor::caller(&world.admin), 4, None).await.expect("nor is whoever is of the system tenant");
    world.clock.advance(retry_after);
    revoke(&service, 3, None).await.expect("one came back");
}

/// Polls it so often, and leaves.
async fn leaving_after<T>(polls: u32, call: impl Future<Output = T>) -> Option<T> {
    let (mut call, mut left) = (pin!(call), polls);
    poll_fn(|context| {
        left -= 1;
        match call.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Wherever it leaves: before the commit nothing is written and nothing counted, and from then on both.
#[tokio::test]
async fn whoever_leaves_its_calls_writes_no_more_events_than_whoever_waits() {
    let world = World::new().await;
    let (authority, service) = sparing(&world).await;
    let (mut left, mut refused) = (0, 0);
    let before = world.store.head().await.expect("reads").seq;
    for polls in 1.. {
        let session = world.log_in().await.0.session.id;
        let call = async {
            if polls % 2 == 0 {
                let by = SessionsBy::BegunBefore(world.clock.now() + Duration::from_secs(1));
                let (tenant, which, reason) = (tenant(), named("alice"), Reason::Administrative);
                let asked = RevokeSessions { tenant, which, by, reason, pace: None };
                authority.revoke_sessions(&service, asked).await.map(drop).map_err(|error| format!("{error:?}"))
            } else {
                let revoked = authority.revoke(&service, request(session, None)).await;
                revoked.map(drop).map_err(|error| format!("{error:?}"))
            }
        };
        match leaving_after(polls, call).await {
            None => left += 1,
            Some(Ok(())) => {}
            Some(Err(why)) => {
                assert!(why.contains("TenantQuota"), "{why}");
                refused += 1;
            }
        }
        if refused > 3 {
            break;
        }
    }
    assert!(left > 0, "nobody left");
    // Nothing else writes any. A commit that was left may still be under way.
    let written = async || world.store.head().await.expect("reads").seq - before;
    let all = async {
        while written().await < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), all).await.expect("three were counted, and fewer were written");
    drop(world.store.write_urgently().await.expect("it waits for whoever writes"));
    assert_eq!(written().await, 3, "{left} left");
}

#[tokio::test]
async fn what_comes_to_no_event_is_given_back() {
    let world = World::new().await;
    let (authority, service) = sparing(&world).await;
    for _ in 0..9 {
        let nobody = authority.disable_identity(&service, &tenant(), &named("nobody")).await;
        assert!(matches!(nobody, Err(ChangeIdentityError::NotFound)), "{nobody:?}");
        let nothing = authority.revoke(&service, request(SessionId::from_bytes([1; 16]), None)).await;
        assert!(matches!(nothing, Err(RevokeError::NotFound)), "{nothing:?}");
    }
    authority.disable_identity(&service, &tenant(), &named("alice")).await.expect("three are left");
    assert_eq!(authority.event_quota().refused(), 0);
}

//! Keys that are made while all keys of their identity end.

use std::sync::Arc;

use auth_domain::{
    Actor, Caller, CertificateName, IdentityKind, NewApiKey, NewCertificate, NewIdentity, Page, Reason, RevokeKeys,
    RotateApiKey, Scopes,
};
use portcullis_types::{IdentityName, TenantId};
use tokio::sync::Barrier;

use super::callers::new_key;
use super::world::Shown as _;
use super::world::{SECOND, World, actor, named, tenant};

/// How often what may come in any order is begun.
const ROUNDS: usize = 6;

/// How whoever has a key of the robot makes another one of it.
#[derive(Clone, Copy, Debug)]
enum Making {
    Exchange,
    ApiKey,
    Certificate,
}

const MAKINGS: [Making; 3] = [Making::Exchange, Making::ApiKey, Making::Certificate];

impl Making {
    /// Whether it was made.
    async fn by(self, world: &World, caller: &Caller, round: usize) -> bool {
        let (authority, of) = (&world.authority, caller.tenant.clone());
        match self {
            Self::Exchange => {
                let asked = RotateApiKey { tenant: of, id: caller.credential, old_ends_in: SECOND, expires_in: None };
                authority.rotate_api_key(caller, asked).await.is_ok()
            }
            Self::ApiKey => authority.create_api_key(caller, key_in(of)).await.is_ok(),
            Self::Certificate => {
                let name = format!("robot-{round}.{of}.internal");
                let new = NewCertificate {
                    tenant: of,
                    identity: named("robot"),
                    name: CertificateName::try_from(&*name).expect("a valid name"),
                    label: None,
                    scopes: Scopes::NONE,
                    expires_in: None,
                    addresses: Vec::new(),
                };
                authority.register_certificate(caller, &Actor::caller(caller), new).await.is_ok()
            }
        }
    }
}

fn key_in(tenant: TenantId) -> NewApiKey {
    NewApiKey { tenant, ..new_key("robot", Scopes::NONE) }
}

/// How many keys of the robot live.
async fn living(world: &World, of: &TenantId) -> usize {
    let (robot, page) = (named("robot"), Page::default);
    let keys = world.authority.api_keys(of, &robot, true, page()).await.expect("reads").items.len();
    keys + world.authority.client_certificates(of, &robot, true, page()).await.expect("reads").items.len()
}

/// Whoever found a key makes another one with it, while its owner ends all: that is one of them, or it is never made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_made_by_another_one_while_all_end_is_one_of_them_or_is_not_made() {
    let world = Arc::new(World::new().await);
    for of in [tenant(), TenantId::system()] {
        let name = IdentityName::try_from("robot").expect("a valid name");
        let robot = NewIdentity::plain(of.clone(), IdentityKind::Service, name);
        world.authority.create_identity(&actor(), robot).await.expect("a new identity");
        for (round, making) in (0..ROUNDS).flat_map(|round| MAKINGS.map(|making| (round, making))) {
            let found = world.authority.create_api_key(&world.admin, key_in(of.clone())).await.expect("a new key");
            let caller = world.authority.authenticate_caller(&found.shown(), None).await.expect("it is good");
            let start = Arc::new(Barrier::new(2));
            let (thief, at) = (Arc::clone(&world), Arc::clone(&start));
            let thief = tokio::spawn(async move {
                at.wait().await;
                making.by(&thief, &caller, round).await
            });
            let (owner, which) = (Arc::clone(&world), named("robot"));
            let all =
                RevokeKeys { tenant: of.clone(), which, made_before: None, reason: Reason::Compromised, pace: None };
            let owner = tokio::spawn(async move {
                start.wait().await;
                owner.authority.revoke_keys(&actor(), all).await.expect("nothing keeps it").keys
            });
            let (made, ended) = (thief.await.expect("no panic"), owner.await.expect("no panic"));
            let told = format!("{of}, round {round}, {making:?}");
            assert_eq!((ended, living(&world, &of).await), (1 + u32::from(made), 0), "{told}");
        }
    }
}

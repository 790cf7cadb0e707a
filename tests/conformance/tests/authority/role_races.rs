//! A role that two put at once.

use std::sync::Arc;

use auth_domain::{Action, Role};
use tokio::sync::Barrier;

use super::world::{World, actor, grant, role, tenant};

/// How often what may come in any order is begun.
const ROUNDS: usize = 12;

/// Between the two somebody may come to hold it, so the second is an entry, by which its holders are judged again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_make_a_role_at_once_one_changes_it() {
    let world = Arc::new(World::new().await);
    for round in 0..ROUNDS {
        let start = Arc::new(Barrier::new(2));
        let puts = ["room:1", "room:2"].map(|pattern| {
            let (world, start) = (Arc::clone(&world), Arc::clone(&start));
            let grants = vec![grant(Action::Publish, pattern)];
            let role = Role { tenant: tenant(), name: role(&format!("role-{round}")), grants };
            tokio::spawn(async move {
                start.wait().await;
                world.authority.put_role(&actor(), role, None).await.expect("either may").1
            })
        });
        let mut entries = 0;
        for put in puts {
            entries += usize::from(put.await.expect("no panic").is_some());
        }
        assert_eq!(entries, 1, "round {round}");
    }
}

//! A restored backup is loud: everybody sees it, and what rests on the lost branch ends.

use std::path::Path;

use test_harness::{Edge, Site, Socket, eventually};

use crate::receipts::command;
use crate::replicas::counted;

/// What a gateway counts when it begins anew upon another branch; before that there is no such series.
pub(crate) const FORKS: &str = "portcullis_gateway_resyncs_total{reason=\"fork\"}";

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder can be made");
    for file in std::fs::read_dir(from).expect("the folder is there") {
        let file = file.expect("it can be listed").path();
        std::fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("it can be copied");
    }
}

/// The messages that a program logged as errors.
fn errors(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).expect("the log is there");
    text.lines().filter(|line| line.contains("\"level\":\"ERROR\"")).map(str::to_owned).collect()
}

async fn connected(site: &Site, token: &str) -> Socket {
    let mut socket = site.gateways[0].open().await;
    socket.connect(Some(token)).await;
    socket
}

#[tokio::test]
async fn a_restored_backup_is_seen_by_everybody_and_what_rests_on_the_lost_branch_ends() {
    let mut site = Site::start().await;
    let (kept, revoked) = (site.log_in("alice").await, site.log_in("alice").await);
    let mut of_kept = connected(&site, &kept.access_token).await;
    // The copy, taken in order.
    let (data, backup) = (site.authority_folder().join("data"), site.folder().join("backup"));
    assert!(site.authority.process.stop().await.success());
    copy(&data, &backup);
    site.restart_authority().await;
    for gateway in &site.gateways {
        gateway.synced().await;
    }
    // What the copy does not have: somebody who logged in, and a revocation that every gateway has applied.
    let lost = site.log_in("bob").await;
    let mut of_lost = connected(&site, &lost.access_token).await;
    let revision = site.backend.revoke_session("acme", &revoked.session).await.revision.expect("a revision");
    for gateway in &site.gateways {
        eventually("the gateway to apply it", async || {
            let applied = gateway.metric("portcullis_gateway_applied_seq", "").await;
            (applied >= revision.seq as f64).then_some(())
        })
        .await;
    }
    assert_eq!(site.authority.metric("portcullis_auth_forks", "").await, 0.0);

    site.kill_authority();
    std::fs::remove_dir_all(&data).expect("the data can be lost");
    copy(&backup, &data);
    site.restart_authority().await;

    let closed = of_lost.closed().await;
    assert!(closed.code >= 4500, "who rests on the lost branch is told to stop: {closed:?}");
    for gateway in &site.gateways {
        eventually("the gateway to begin anew", async || {
            (counted(Edge::at(gateway.http), FORKS).await >= 1.0).then_some(())
        })
        .await;
        gateway.synced().await;
    }
    assert!(of_kept.is_alive().await, "what rests on what was restored stays");
    // The operator: logs, metrics, the command line.
    for name in ["gateway-1", "gateway-2"] {
        let errors = errors(&site.folder().join(format!("{name}.log")));
        assert!(errors.iter().any(|line| line.contains("a backup was restored")), "{name}: {errors:?}");
    }
    let errors = errors(&site.authority_folder().join("auth-service.log"));
    assert!(errors.iter().any(|line| line.contains("a backup was restored")), "{errors:?}");
    assert!(site.authority.metric("portcullis_auth_forks", "").await >= 2.0);
    let (code, documents) = command(&site, &["guarantee"]).await;
    let fork = &documents[0]["last_fork"];
    assert!(code == 0 && fork["count"].as_u64() >= Some(2), "{documents:?}");
    assert!(fork["cursor"].as_str().is_some_and(|cursor| cursor.starts_with(&format!("{}-", revision.seq))), "{fork}");
}

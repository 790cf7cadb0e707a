//! What the audit trail holds, and what it never does.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_proto::auth::v1;
use portcullis_types::{AuditCheck, AuditRow, AuditSeal, SealedRow, Timestamp};

use super::calling::contract;
use super::guard::{Known, ask, choices, fill};
use super::world::{PASSWORD, World, by, reason};

/// Whether a method only reads, by its name.
fn only_reads(method: &str) -> bool {
    let (_, name) = method.split_once('.').expect("a service and a method");
    ["Get", "List", "BatchGet", "Verify", "BatchVerify", "Watch", "Await", "Fetch", "Export"]
        .iter()
        .any(|beginning| name.starts_with(beginning))
}

async fn export(world: &World) -> Vec<v1::ExportAuditResponse> {
    let request = by(&world.admin, v1::ExportAuditRequest { after_seal: 0 });
    let mut stream = world.audit().export_audit(request).await.expect("the administrator may").into_inner();
    let mut parts = Vec::new();
    while let Some(part) = stream.message().await.expect("it goes on to its end") {
        parts.push(part);
    }
    parts
}

async fn rows(world: &World) -> Vec<v1::AuditEntry> {
    export(world).await.into_iter().flat_map(|part| part.entries).collect()
}

#[tokio::test]
async fn every_change_writes_a_row_and_no_row_holds_a_secret() {
    let world = World::new().await;
    let known = Known::of(&world).await;
    let key = world.service_key("demo", "backend", &["verify"]).await.0;
    let mut secrets = vec![PASSWORD.to_owned(), known.bearer.clone(), key, world.admin.clone()];
    let (_, tokens) = world.issue().await;
    secrets.extend([tokens.access_token, tokens.refresh_token]);
    let (mut changed, mut without_row) = (BTreeSet::new(), BTreeSet::new());
    let speaker = v1::Role { tenant: "demo".to_owned(), name: "speaker".to_owned(), ..Default::default() };
    let speaker = v1::PutRoleRequest { role: Some(speaker), ..Default::default() };
    world.roles().put_role(by(&world.admin, speaker)).await.expect("it may");
    let mut methods: Vec<_> = contract().into_iter().filter(|(name, _)| !only_reads(name)).collect();
    // What takes away what the others need comes last.
    methods.sort_by_key(|(name, _)| ["Disable", "Delete", "Suspend"].iter().any(|word| name.contains(word)));
    // What was refused is written when there is time for it.
    let count = async || rows(&world).await.iter().filter(|row| row.outcome() == v1::AuditOutcome::Done).count();
    for (name, method) in methods {
        for choices in choices(&method.input()) {
            let before = count().await;
            let message = fill(&method.input(), "demo", &known, &choices);
            secrets.extend(Known::secrets_in(&message));
            if ask(&world, &world.admin, &method, message).await.is_ok() {
                let written = count().await > before;
                let _ = if written { changed.insert(name.clone()) } else { without_row.insert(name.clone()) };
            }
        }
    }
    // A denial is a successful answer and changes nothing; nor does doing what was done before.
    let may_be_nothing = |name: &String| {
        let (_, method) = name.split_once('.').expect("a service and a method");
        let either = ["BeginAuthentication", "ContinueAuthentication", "RefreshTokens", "RedeemPasswordReset"];
        either.contains(&method) || ["Revoke", "SetLeaseClass", "Reencrypt"].contains(&method)
    };
    assert!(without_row.iter().all(may_be_nothing), "no row was written for {without_row:?}");
    for name in ["IdentitiesService.UpdateIdentity", "IdentitiesService.SetPassword", "CredentialsService.Revoke"] {
        assert!(changed.contains(name), "{name} was not done: {changed:?}");
    }
    let trail = format!("{:?}", export(&world).await);
    assert!(trail.contains("identity.set_password"), "the trail is read as it is");
    for secret in secrets.iter().filter(|secret| secret.len() >= 8) {
        assert!(!trail.contains(secret.as_str()), "a secret is in the trail");
        // A part of it that could still be tried.
        let half = &secret[secret.len() / 2..];
        assert!(half.len() < 12 || !trail.contains(half), "half a secret is in the trail");
    }
}

#[tokio::test]
async fn an_export_after_a_seal_that_is_not_there_is_refused_and_not_empty() {
    let world = World::new().await;
    let request = by(&world.admin, v1::ExportAuditRequest { after_seal: 99_999 });
    let mut stream = world.audit().export_audit(request).await.expect("it begins").into_inner();
    let refused = stream.message().await.expect_err("there is no such seal");
    assert_eq!((refused.code(), &*reason(&refused)), (tonic::Code::InvalidArgument, "FIELD_INVALID"));
}

fn micros(at: Option<&prost_types::Timestamp>) -> Timestamp {
    let at = at.expect("the contract says one");
    Timestamp::from_micros(at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000)
}

fn sealed(entry: &v1::AuditEntry) -> SealedRow {
    let row = AuditRow {
        id: entry.id,
        at: micros(entry.at.as_ref()),
        tenant: &entry.tenant,
        actor: &entry.actor,
        action: &entry.action,
        target: &entry.target,
        outcome: if entry.outcome() == v1::AuditOutcome::Denied { "denied" } else { "done" },
        reason: &entry.reason,
        request: &entry.request_id,
        identity: &entry.identity_id,
        detail: &entry.detail,
        address: &entry.address,
    };
    row.sealed()
}

fn seal_of(seal: &v1::AuditSeal) -> AuditSeal {
    let hash = |bytes: &[u8]| bytes.try_into().expect("32 bytes");
    AuditSeal {
        number: seal.number,
        previous: hash(&seal.previous),
        sealed_at: micros(seal.sealed_at.as_ref()),
        rows: seal.rows.iter().map(|row| SealedRow { id: row.id, digest: hash(&row.digest) }).collect(),
        hash: hash(&seal.hash),
    }
}

#[tokio::test]
async fn the_trail_is_sealed_in_time_and_whoever_checks_it_finds_it_whole() {
    let world = World::new().await;
    world.issue().await;
    let parts = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let parts = export(&world).await;
            if parts
                .iter()
                .any(|part| part.entries.iter().any(|row| row.action == "session.create" && part.seal.is_some()))
            {
                return parts;
            }
            tokio::task::yield_now().await;
        }
    });
    let parts = parts.await.expect("rows are sealed in seconds");
    let mut check = AuditCheck::from_the_beginning(None);
    for part in parts.iter().filter(|part| part.seal.is_some()) {
        let rows: Vec<_> = part.entries.iter().map(sealed).collect();
        let seal = seal_of(part.seal.as_ref().expect("it has one"));
        assert_eq!(check.next(&seal, &rows), [], "seal {}", seal.number);
    }
    assert!(check.last().is_some());
}

#[tokio::test]
async fn rows_are_found_by_time_actor_action_and_target() {
    let world = World::new().await;
    let (session, _) = world.issue().await;
    world.revoke(v1::revoke_request::Target::SessionId(session.clone())).await;
    let list = async |change: &dyn Fn(&mut v1::ListAuditEntriesRequest)| {
        let mut request = v1::ListAuditEntriesRequest { tenant: "demo".to_owned(), ..Default::default() };
        change(&mut request);
        let found = world.audit().list_audit_entries(by(&world.admin, request)).await.expect("it may").into_inner();
        found.entries.into_iter().map(|entry| entry.action).collect::<Vec<_>>()
    };
    let all = ["session.revoke", "session.create", "identity.create", "tenant.create"];
    assert_eq!(list(&|_| ()).await, all, "newest first");
    assert_eq!(list(&|request| request.action = "session.*".to_owned()).await, all[..2]);
    assert_eq!(list(&|request| request.action = "session".to_owned()).await, [""; 0]);
    assert_eq!(list(&|request| request.target = format!("session:{session}")).await, all[..2]);
    assert_eq!(list(&|request| request.actor = "identity:system/*".to_owned()).await, all);
    assert_eq!(list(&|request| request.actor = "edge".to_owned()).await, [""; 0]);
    let long_ago = Some(prost_types::Timestamp { seconds: 1_000_000_000, nanos: 0 });
    assert_eq!(list(&|request| request.until = long_ago).await, [""; 0]);
    assert_eq!(list(&|request| request.since = long_ago).await, all);
    let revoked = v1::ListAuditEntriesRequest { tenant: "demo".to_owned(), page_size: 1, ..Default::default() };
    let page = world.audit().list_audit_entries(by(&world.admin, revoked.clone())).await.expect("it may").into_inner();
    assert_eq!((&*page.entries[0].action, &*page.entries[0].reason), ("session.revoke", "administrative"));
    let next = v1::ListAuditEntriesRequest { page_token: page.next_page_token, ..revoked };
    let page = world.audit().list_audit_entries(by(&world.admin, next)).await.expect("it may").into_inner();
    assert_eq!(page.entries[0].action, "session.create");
}

#[tokio::test]
async fn a_tenants_auditor_reads_its_own_rows_and_exports_nothing() {
    let world = World::new().await;
    let (key, _) = world.service_key("demo", "auditor", &["audit"]).await;
    let own = v1::ListAuditEntriesRequest { tenant: "demo".to_owned(), ..Default::default() };
    let found = world.audit().list_audit_entries(by(&key, own)).await.expect("its own").into_inner().entries;
    assert!(found.iter().all(|entry| entry.tenant == "demo"));
    let refused =
        world.audit().export_audit(by(&key, v1::ExportAuditRequest::default())).await.expect_err("all tenants");
    assert_eq!(reason(&refused), "TENANT_FORBIDDEN");
}

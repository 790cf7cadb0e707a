//! Tenants, identities, roles and sessions through their whole life, over the real transport.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use portcullis_proto::auth::v1;
use prost_types::FieldMask;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tonic::Code;

use super::world::{PASSWORD, World, by, named, reason};

const JSON: (http::HeaderName, &str) = (http::header::CONTENT_TYPE, "application/json");

fn update(paths: &[&str]) -> v1::UpdateIdentityRequest {
    v1::UpdateIdentityRequest {
        identity: Some(named("demo", "ada")),
        update_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_update_changes_what_its_mask_names_and_nothing_else() {
    let world = World::new().await;
    let attributes = BTreeMap::from([("team".to_owned(), "red".to_owned())]);
    let both = v1::UpdateIdentityRequest {
        display_name: "Ada L.".into(),
        attributes: attributes.clone(),
        ..update(&["display_name", "attributes"])
    };
    let answer = world.identities().update_identity(by(&world.admin, both)).await.expect("it may").into_inner();
    let ada = answer.identity.expect("it is there");
    assert_eq!((&*ada.display_name, &ada.attributes, answer.revision), ("Ada L.", &attributes, None));

    let name = v1::UpdateIdentityRequest { display_name: "Ada".into(), ..update(&["display_name"]) };
    let answer = world.identities().update_identity(by(&world.admin, name)).await.expect("it may").into_inner();
    let ada = answer.identity.expect("it is there");
    assert_eq!((&*ada.display_name, &ada.attributes), ("Ada", &attributes));
    for paths in [&[][..], &["tenant"], &["display_name", "state"]] {
        let status =
            world.identities().update_identity(by(&world.admin, update(paths))).await.expect_err("no such path");
        assert_eq!((status.code(), &*reason(&status)), (Code::InvalidArgument, "FIELD_INVALID"), "{paths:?}");
    }
}

#[tokio::test]
async fn a_renamed_identity_logs_in_with_its_new_name_and_keeps_its_sessions() {
    let world = World::new().await;
    let (_, tokens) = world.issue().await;
    world.make_identity("demo", "bob", v1::IdentityKind::User).await;
    let rename = |to: &str, etag: &str| v1::UpdateIdentityRequest {
        name: to.to_owned(),
        etag: etag.to_owned(),
        ..update(&["name"])
    };
    for (to, code, why) in [
        ("bob", Code::AlreadyExists, "IDENTITY_EXISTS"),
        ("deleted:bob", Code::InvalidArgument, "FIELD_INVALID"),
        ("", Code::InvalidArgument, "FIELD_INVALID"),
    ] {
        let status =
            world.identities().update_identity(by(&world.admin, rename(to, ""))).await.expect_err("it may not");
        assert_eq!((status.code(), &*reason(&status)), (code, why), "{to}");
    }
    let same = world.identities().update_identity(by(&world.admin, rename("ada", ""))).await.expect("it has it");
    assert_eq!(same.into_inner().revision, None, "nothing is judged again");
    let status =
        world.identities().update_identity(by(&world.admin, rename("ada.l", "1"))).await.expect_err("an old etag");
    assert_eq!(reason(&status), "ETAG_STALE");
    let renamed = world.identities().update_identity(by(&world.admin, rename("ada.l", "2"))).await.expect("it may");
    let renamed = renamed.into_inner();
    assert!(renamed.revision.is_some(), "live sockets are told");
    let ada = renamed.identity.expect("it is there");
    assert_eq!((&*ada.name, &ada.id), ("ada.l", &world.ada));

    let verdict = world.verify(&world.admin, &tokens.access_token).await;
    let principal = verdict.allowed.expect("sessions stay").principal.expect("somebody's");
    assert_eq!((&*principal.identity_name, &principal.identity_id), ("ada.l", &world.ada));
    let log_in = async |name: &str| {
        let body =
            serde_json::json!({ "tenant": "demo", "name": name, "password": PASSWORD, "mode": "token" }).to_string();
        world.http("/v1/login", &[JSON], &body).await.0.status() == 200
    };
    assert!(log_in("ada.l").await);
    assert!(!log_in("ada").await, "nobody has this name");
    let another = world.make_identity("demo", "ada", v1::IdentityKind::User).await;
    assert_ne!(another, world.ada, "the name is free");
    let list = v1::ListIdentitiesRequest { tenant: "demo".into(), name_prefix: "ada".into(), ..Default::default() };
    let listed = world.identities().list_identities(by(&world.admin, list)).await.expect("it may").into_inner();
    let ids: Vec<_> = listed.identities.iter().map(|identity| &identity.id).collect();
    assert_eq!(ids, [&another, &world.ada]);
}

#[tokio::test]
async fn an_update_from_an_old_etag_is_refused() {
    let world = World::new().await;
    let get = || by(&world.admin, v1::GetIdentityRequest { identity: Some(named("demo", "ada")) });
    let read =
        world.identities().get_identity(get()).await.expect("it may").into_inner().identity.expect("it is there");
    let with = |etag: &str, name: &str| v1::UpdateIdentityRequest {
        display_name: name.into(),
        etag: etag.into(),
        ..update(&["display_name"])
    };
    world.identities().update_identity(by(&world.admin, with(&read.etag, "first"))).await.expect("it is the newest");
    let status =
        world.identities().update_identity(by(&world.admin, with(&read.etag, "second"))).await.expect_err("old");
    assert_eq!((status.code(), &*reason(&status)), (Code::Aborted, "ETAG_STALE"));
    let status = world.identities().update_identity(by(&world.admin, with("x", "third"))).await.expect_err("no etag");
    assert_eq!(reason(&status), "FIELD_INVALID");
    let read =
        world.identities().get_identity(get()).await.expect("it may").into_inner().identity.expect("it is there");
    assert_eq!(read.display_name, "first");
}

#[tokio::test]
async fn a_named_request_is_done_once_and_refused_with_other_content() {
    let world = World::new().await;
    let create = |name: &str, password: &str| v1::CreateIdentityRequest {
        tenant: "demo".into(),
        kind: v1::IdentityKind::User.into(),
        name: name.into(),
        password: password.into(),
        request_id: "r-1".into(),
        ..Default::default()
    };
    let first = world.identities().create_identity(by(&world.admin, create("bob", "password one"))).await.expect("new");
    let again =
        world.identities().create_identity(by(&world.admin, create("bob", "password one"))).await.expect("once");
    assert_eq!(first.into_inner(), again.into_inner());
    for other in [create("carol", "password one"), create("bob", "password two")] {
        let status = world.identities().create_identity(by(&world.admin, other)).await.expect_err("another content");
        assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "REQUEST_ID_REUSED"));
    }
    let disable = v1::DisableIdentityRequest { identity: Some(named("demo", "bob")), request_id: "r-1".into() };
    let status = world.identities().disable_identity(by(&world.admin, disable)).await.expect_err("another method");
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");

    let issue = || v1::IssueTokensRequest {
        identity: Some(named("demo", "bob")),
        request_id: "r-2".into(),
        ..Default::default()
    };
    let first = world.credentials().issue_tokens(by(&world.admin, issue())).await.expect("new").into_inner();
    let again = world.credentials().issue_tokens(by(&world.admin, issue())).await.expect("once").into_inner();
    assert_eq!((first.session_id, again.tokens), (again.session_id, None), "the session, and no stored secret");
    assert!(first.tokens.is_some());
}

#[tokio::test]
async fn a_deleted_identity_is_a_tombstone_and_its_name_is_free() {
    let world = World::new().await;
    let (session, tokens) = world.issue().await;
    let delete = || v1::DeleteIdentityRequest { identity: Some(named("demo", "ada")), ..Default::default() };
    let deleted = world.identities().delete_identity(by(&world.admin, delete())).await.expect("it may").into_inner();
    let tombstone = deleted.identity.expect("something is left");
    assert_eq!((tombstone.state(), &tombstone.id), (v1::IdentityState::Deleted, &world.ada));
    assert_eq!(tombstone.name, format!("deleted:{}", world.ada));
    let verdict = world.verify(&world.admin, &tokens.access_token).await;
    assert_eq!(verdict.deny_reason(), v1::DenyReason::IdentityRevoked);
    let request = v1::GetSessionRequest { tenant: "demo".into(), session_id: session };
    let session = world.credentials().get_session(by(&world.admin, request)).await.expect("it may").into_inner();
    assert_eq!(session.session.expect("it is kept").state(), v1::SessionState::Revoked);

    let status = world.identities().delete_identity(by(&world.admin, delete())).await.expect_err("nobody has the name");
    assert_eq!(reason(&status), "IDENTITY_NOT_FOUND");
    let by_id = || {
        let identity = Some(v1::identity_reference::Identity::Id(world.ada.clone()));
        Some(v1::IdentityReference { tenant: "demo".into(), identity })
    };
    let enable = v1::EnableIdentityRequest { identity: by_id(), ..Default::default() };
    let status = world.identities().enable_identity(by(&world.admin, enable)).await.expect_err("it stays deleted");
    assert_eq!(reason(&status), "IDENTITY_DELETED");
    let issue = v1::IssueTokensRequest { identity: by_id(), ..Default::default() };
    assert!(world.credentials().issue_tokens(by(&world.admin, issue)).await.is_err());
    assert_ne!(world.make_identity("demo", "ada", v1::IdentityKind::User).await, world.ada);
    let reserved = v1::CreateIdentityRequest {
        tenant: "demo".into(),
        kind: v1::IdentityKind::User.into(),
        name: "deleted:bob".into(),
        ..Default::default()
    };
    let status = world.identities().create_identity(by(&world.admin, reserved)).await.expect_err("it is a tombstone's");
    assert_eq!(reason(&status), "FIELD_INVALID");
}

#[tokio::test]
async fn a_suspended_tenant_is_refused_and_its_sessions_stay_dead() {
    let world = World::new().await;
    let (key, _) = world.service_key("demo", "backend", &["verify"]).await;
    let (_, tokens) = world.issue().await;
    let suspend = |name: &str| v1::SuspendTenantRequest { name: name.into(), ..Default::default() };
    let suspended =
        world.tenants().suspend_tenant(by(&world.admin, suspend("demo"))).await.expect("it may").into_inner();
    assert_eq!(suspended.tenant.expect("it is there").state(), v1::TenantState::Suspended);
    assert!(suspended.revision.is_some(), "one event");
    let request =
        || v1::VerifyRequest { credential: Some(v1::verify_request::Credential::Bearer("x".into())), context: None };
    let status = world.verification().verify(by(&key, request())).await.expect_err("its key is refused meanwhile");
    assert_eq!(reason(&status), "CREDENTIAL_REFUSED");
    let issue = v1::IssueTokensRequest { identity: Some(named("demo", "ada")), ..Default::default() };
    let status = world.credentials().issue_tokens(by(&world.admin, issue)).await.expect_err("no sessions meanwhile");
    assert_eq!(reason(&status), "TENANT_SUSPENDED");
    let verdict = world.verify(&world.admin, &key).await;
    assert_eq!(verdict.outcome(), v1::Outcome::DeniedTransient, "a key is only refused by state");

    let reinstate = v1::ReinstateTenantRequest { name: "demo".into(), ..Default::default() };
    world.tenants().reinstate_tenant(by(&world.admin, reinstate)).await.expect("it may");
    world.verification().verify(by(&key, request())).await.expect("its key works again");
    let verdict = world.verify(&world.admin, &tokens.access_token).await;
    assert_eq!(verdict.deny_reason(), v1::DenyReason::TenantRevoked, "what was revoked stays dead");
    let (_, tokens) = world.issue().await;
    assert_eq!(world.verify(&world.admin, &tokens.access_token).await.outcome(), v1::Outcome::Allowed);
    let status =
        world.tenants().suspend_tenant(by(&world.admin, suspend("system"))).await.expect_err("who would undo it");
    assert_eq!(reason(&status), "LAST_ADMINISTRATOR");
}

#[tokio::test]
async fn the_last_administrators_key_cannot_be_revoked() {
    let world = World::new().await;
    let list = v1::ListCredentialsRequest { identity: Some(named("system", "admin")), ..Default::default() };
    let listed = world.credentials().list_credentials(by(&world.admin, list)).await.expect("it may").into_inner();
    let last = listed.credentials[0].id.clone();
    let revoke = || v1::RevokeRequest {
        tenant: "system".into(),
        target: Some(v1::revoke_request::Target::CredentialId(last.clone())),
        ..Default::default()
    };
    let status = world.credentials().revoke(by(&world.admin, revoke())).await.expect_err("nobody else administers");
    assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "LAST_ADMINISTRATOR"));
    let presented = v1::revoke_request::Target::Credential(world.admin.clone());
    let presented = v1::RevokeRequest { tenant: "system".into(), target: Some(presented), ..Default::default() };
    let status = world.credentials().revoke(by(&world.admin, presented)).await.expect_err("the same key");
    assert_eq!(reason(&status), "LAST_ADMINISTRATOR");
    let (second, _) = world.service_key("system", "second", &["admin", "revoke"]).await;
    world.credentials().revoke(by(&second, revoke())).await.expect("the second administers");
}

#[tokio::test]
async fn sessions_end_by_when_they_began_and_by_their_device() {
    let world = World::new().await;
    let issue = async |device: &str| {
        let request = v1::IssueTokensRequest {
            identity: Some(named("demo", "ada")),
            device: device.into(),
            client_id: "web".into(),
            ..Default::default()
        };
        let issued = world.credentials().issue_tokens(by(&world.admin, request)).await.expect("it may").into_inner();
        issued.tokens.expect("they were issued").access_token
    };
    let (phone, desk) = (issue("phone").await, issue("desk").await);
    let ada = || Some(named("demo", "ada"));
    let on = |device: &str| {
        let asked = v1::SessionsOnDevice { identity: ada(), device: device.into() };
        v1::revoke_request::Target::SessionsOnDevice(asked)
    };
    let ended = world.revoke(on("phone")).await;
    assert_eq!((ended.sessions, ended.revision.is_some()), (1, true));
    assert_eq!(world.verify(&world.admin, &phone).await.deny_reason(), v1::DenyReason::SessionRevoked);
    assert_eq!(world.verify(&world.admin, &desk).await.outcome(), v1::Outcome::Allowed);
    let again = world.revoke(on("phone")).await;
    assert_eq!((again.sessions, again.revision), (0, None), "none of them lives");

    let before = |seconds| {
        let begun_before = Some(prost_types::Timestamp { seconds, nanos: 0 });
        v1::revoke_request::Target::SessionsBefore(v1::SessionsBefore { identity: ada(), begun_before })
    };
    assert_eq!(world.revoke(before(1_000_000_000)).await.sessions, 0);
    assert_eq!(world.revoke(before(100_000_000_000)).await.sessions, 1);
    assert_eq!(world.verify(&world.admin, &desk).await.deny_reason(), v1::DenyReason::SessionRevoked);
}

#[tokio::test]
async fn what_began_before_a_time_is_revoked_in_a_tenant_and_of_a_client_application() {
    let world = World::new().await;
    let at = |session: String| {
        let read = by(&world.admin, v1::GetSessionRequest { tenant: "demo".into(), session_id: session });
        let mut credentials = world.credentials();
        async move { credentials.get_session(read).await.expect("it may").into_inner().session.expect("it is").created_at }
    };
    let issue = async || {
        let identity = Some(named("demo", "ada"));
        let request = v1::IssueTokensRequest { identity, client_id: "web".into(), ..Default::default() };
        let issued = world.credentials().issue_tokens(by(&world.admin, request)).await.expect("it may").into_inner();
        (issued.session_id, issued.tokens.expect("they were issued").access_token)
    };
    let is_good = async |token: &str| world.verify(&world.admin, token).await.outcome() == v1::Outcome::Allowed;
    for of_a_client in [true, false] {
        let ((_, old), (session, new)) = (issue().await, issue().await);
        let begun_before = at(session).await;
        let target = if of_a_client {
            v1::revoke_request::Target::ClientBefore(v1::ClientBefore { client_id: "web".into(), begun_before })
        } else {
            v1::revoke_request::Target::TenantBefore(v1::TenantBefore { begun_before })
        };
        let request = |closes_per_second| v1::RevokeRequest {
            tenant: "demo".into(),
            target: Some(target.clone()),
            request_id: format!("of-a-client-{of_a_client}"),
            closes_per_second,
            ..Default::default()
        };
        let status = world.credentials().revoke(by(&world.admin, request(5))).await.expect_err("it has no pace");
        assert_eq!(reason(&status), "FIELD_INVALID");
        let first = world.credentials().revoke(by(&world.admin, request(0))).await.expect("it may").into_inner();
        let again = world.credentials().revoke(by(&world.admin, request(0))).await.expect("it was done").into_inner();
        assert_eq!((&first.revision, first.sessions), (&again.revision, 0));
        assert!(!is_good(&old).await && is_good(&new).await);
        let request = v1::GetTenantRequest { name: "demo".into() };
        let tenant = world.tenants().get_tenant(by(&world.admin, request)).await.expect("it may").into_inner();
        let ended = tenant.tenant.expect("it is there").sessions_ended_before;
        assert_eq!(ended, begun_before.filter(|_| !of_a_client), "it is inspectable");
    }
}

#[tokio::test]
async fn a_client_application_and_a_whole_tenant_are_revoked_and_log_in_again() {
    let world = World::new().await;
    for target in [
        v1::revoke_request::Target::ClientId("web".into()),
        v1::revoke_request::Target::WholeTenant(v1::WholeTenant {}),
    ] {
        let issue = async |client: &str| {
            let identity = Some(named("demo", "ada"));
            let request = v1::IssueTokensRequest { identity, client_id: client.into(), ..Default::default() };
            let issued =
                world.credentials().issue_tokens(by(&world.admin, request)).await.expect("it may").into_inner();
            issued.tokens.expect("they were issued").access_token
        };
        let (web, other) = (issue("web").await, issue("other").await);
        let is_good = async |token: &str| world.verify(&world.admin, token).await.outcome() == v1::Outcome::Allowed;
        assert!(is_good(&web).await && is_good(&other).await);
        let whole = matches!(target, v1::revoke_request::Target::WholeTenant(_));
        world.revoke(target).await;
        assert!(!is_good(&web).await);
        assert_eq!(is_good(&other).await, !whole);
        assert!(is_good(&issue("web").await).await, "whoever logs in afterwards is not revoked");
    }
}

#[tokio::test]
async fn each_of_many_revocations_at_once_is_answered_and_counted() {
    let world = World::new().await;
    let mut sessions = Vec::new();
    for _ in 0..24 {
        sessions.push(world.issue().await);
    }
    let revoke = |n: usize| {
        let (world, session) = (&world, sessions[n].0.clone());
        async move { world.revoke(v1::revoke_request::Target::SessionId(session)).await.revision.expect("it has one") }
    };
    let revisions = join_all((0..sessions.len()).map(revoke)).await;
    for (session, tokens) in &sessions {
        let verdict = world.verify(&world.admin, &tokens.access_token).await;
        assert_eq!(verdict.outcome(), v1::Outcome::DeniedPermanent, "{session}");
    }
    let entries: BTreeSet<_> = revisions.iter().map(|revision| revision.seq).collect();
    let metrics = world.get("/metrics").await;
    let shown = |line: &str| assert!(metrics.lines().any(|shown| shown == line), "{line} is not in {metrics}");
    shown("portcullis_auth_revocations_at_once_sum 24.0");
    shown(&format!("portcullis_auth_revocations_at_once_count {}", entries.len()));
}

/// What a group fails at is not known, so each of it is carried out alone.
#[tokio::test]
async fn a_revocation_that_the_store_fails_at_keeps_no_other() {
    let world = World::new().await;
    let mut sessions = Vec::new();
    for _ in 0..8 {
        sessions.push(world.issue().await);
    }
    let options = SqliteConnectOptions::new().filename(world.config.data_dir.join("authority.db"));
    let mut raw = SqliteConnection::connect_with(&options).await.expect("it opens");
    let cursed = format!(
        "CREATE TRIGGER curse BEFORE UPDATE OF revoked_seq ON sessions WHEN hex(NEW.id) = '{}' \
         BEGIN SELECT RAISE(IGNORE); END",
        sessions[3].0.replace('-', "").to_uppercase(),
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(cursed)).execute(&mut raw).await.expect("it is made");
    let revoke = |session: &str| {
        let target = Some(v1::revoke_request::Target::SessionId(session.to_owned()));
        let request = v1::RevokeRequest { tenant: "demo".to_owned(), target, ..Default::default() };
        let (mut credentials, request) = (world.credentials(), by(&world.admin, request));
        async move { credentials.revoke(request).await.is_ok() }
    };
    let revoked = join_all(sessions.iter().map(|(session, _)| revoke(session.as_str()))).await;
    for (n, (_, tokens)) in sessions.iter().enumerate() {
        let verdict = world.verify(&world.admin, &tokens.access_token).await;
        let is_dead = verdict.outcome() == v1::Outcome::DeniedPermanent;
        assert_eq!((revoked[n], is_dead), (n != 3, n != 3), "{n}");
    }
}

#[tokio::test]
async fn credentials_are_listed_with_where_they_stand() {
    let world = World::new().await;
    let (session, _) = world.issue().await;
    let list = async |kind: v1::CredentialKind| {
        let identity = Some(named("demo", "ada"));
        let request = v1::ListCredentialsRequest { identity, kind: kind.into(), ..Default::default() };
        let listed =
            world.credentials().list_credentials(by(&world.admin, request)).await.expect("it may").into_inner();
        listed.credentials
    };
    let access = list(v1::CredentialKind::AccessToken).await;
    assert_eq!((access.len(), access[0].state(), &access[0].session_id), (1, v1::CredentialState::Active, &session));
    assert_eq!(list(v1::CredentialKind::Unspecified).await.len(), 2, "and the refresh token");
    let id = access[0].id.clone();
    world.revoke(v1::revoke_request::Target::CredentialId(id.clone())).await;
    let get = v1::GetCredentialRequest { tenant: "demo".into(), credential_id: id };
    let read = world.credentials().get_credential(by(&world.admin, get)).await.expect("it may").into_inner();
    assert_eq!(read.credential.expect("it is kept").state(), v1::CredentialState::Revoked);
    let disable = v1::DisableIdentityRequest { identity: Some(named("demo", "ada")), ..Default::default() };
    world.identities().disable_identity(by(&world.admin, disable)).await.expect("it may");
    let refresh = list(v1::CredentialKind::RefreshToken).await;
    assert_eq!(refresh[0].state(), v1::CredentialState::Revoked, "with its session");
}

#[tokio::test]
async fn many_are_read_at_once_and_a_role_is_taken_from_everybody() {
    let world = World::new().await;
    let role = |grants: &[&str]| v1::PutRoleRequest {
        role: Some(v1::Role {
            tenant: "demo".into(),
            name: "member".into(),
            grants: grants.iter().map(|pattern| v1::Grant { action: 1, pattern: (*pattern).into() }).collect(),
            ..Default::default()
        }),
        ..Default::default()
    };
    world.roles().put_role(by(&world.admin, role(&["room:*"]))).await.expect("it may");
    let with_role = v1::UpdateIdentityRequest { roles: vec!["member".into()], ..update(&["roles"]) };
    let answer = world.identities().update_identity(by(&world.admin, with_role)).await.expect("it may").into_inner();
    assert!(answer.revision.is_some(), "other roles are an event");
    let (_, tokens) = world.issue().await;
    let grants = async || {
        let verdict = world.verify(&world.admin, &tokens.access_token).await;
        verdict.allowed.and_then(|allowed| allowed.principal).map_or(0, |principal| principal.grants.len())
    };
    assert_eq!(grants().await, 1);
    let delete = || v1::DeleteRoleRequest { tenant: "demo".into(), name: "member".into(), ..Default::default() };
    let deleted = world.roles().delete_role(by(&world.admin, delete())).await.expect("it may").into_inner();
    assert!(deleted.revision.is_some(), "holders are judged again");
    assert_eq!(grants().await, 0);
    let status = world.roles().delete_role(by(&world.admin, delete())).await.expect_err("it is gone");
    assert_eq!(reason(&status), "ROLE_NOT_FOUND");

    let batch = |tenant: &str, names: &[&str]| v1::BatchGetIdentitiesRequest {
        tenant: tenant.into(),
        identities: names.iter().map(|name| named("demo", name)).collect(),
    };
    let read = world.identities().batch_get_identities(by(&world.admin, batch("demo", &["ada", "nobody"]))).await;
    let found: Vec<_> = read.expect("it may").into_inner().results.into_iter().map(|result| result.identity).collect();
    assert_eq!((found.len(), found[0].is_some(), found[1].is_none()), (2, true, true));
    for bad in [batch("demo", &[]), batch("demo", &["ada"; 101]), batch("system", &["ada"])] {
        let status = world.identities().batch_get_identities(by(&world.admin, bad)).await.expect_err("refused");
        assert_eq!(reason(&status), "FIELD_INVALID");
    }
}

#[tokio::test]
async fn a_filter_of_a_later_version_is_refused_and_never_left_out() {
    let world = World::new().await;
    let demo = || "demo".to_owned();
    let state = v1::ListIdentitiesRequest { tenant: demo(), state: 99, ..Default::default() };
    let kind = v1::ListIdentitiesRequest { tenant: demo(), kind: 99, ..Default::default() };
    for asked in [state, kind] {
        let status = world.identities().list_identities(by(&world.admin, asked)).await.expect_err("a later version's");
        assert_eq!(reason(&status), "FIELD_INVALID");
    }
    let kind = v1::ListCredentialsRequest { identity: Some(named("demo", "ada")), kind: 99, ..Default::default() };
    let status = world.credentials().list_credentials(by(&world.admin, kind)).await.expect_err("a later version's");
    assert_eq!(reason(&status), "FIELD_INVALID");
    let outcome = v1::ListAuditEntriesRequest { tenant: demo(), outcome: 99, ..Default::default() };
    let status = world.audit().list_audit_entries(by(&world.admin, outcome)).await.expect_err("a later version's");
    assert_eq!(reason(&status), "FIELD_INVALID");
}

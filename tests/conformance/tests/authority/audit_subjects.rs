//! The trail says who, and what exactly, also when nothing else knows it any more.

use std::time::Duration;

use auth_domain::{
    About, Attributes, AuditFilter, AuditRecord, IdentityKind, IdentityUpdate, NewApiKey, NewIdentity, Page, Role,
    RotateApiKey, Scopes, TextMatch,
};
use portcullis_types::{CredentialId, IdentityId, IdentityName, SessionId};
use serde_json::{Value, json};

use super::issuers::corp;
use super::retention::tidy;
use super::world::{PASSWORD, World, actor, named, role, tenant};

const YEAR: Duration = Duration::from_secs(366 * 86_400);

impl World {
    async fn trail(&self, filter: AuditFilter) -> Vec<AuditRecord> {
        let page = Page::new(100, "").expect("a page");
        self.authority.audit_entries(&tenant(), &filter, page).await.expect("reads").items
    }

    pub(super) async fn trail_of(&self, identity: IdentityId, action: &str) -> Vec<AuditRecord> {
        let action = Some(TextMatch::Whole(action.to_owned()));
        self.trail(AuditFilter { identity: Some(identity), action, ..AuditFilter::default() }).await
    }
}

fn told(row: &AuditRecord) -> Value {
    serde_json::from_str(&row.detail).expect("a JSON object")
}

#[tokio::test]
async fn whose_a_session_was_is_known_when_nothing_is_left_of_it() {
    let world = World::new().await;
    let (opened, _) = world.log_in().await;
    let key = world.api_key().await;
    world.clock.advance(YEAR);
    tidy(&world).await;
    assert!(world.authority.session(&tenant(), opened.session.id).await.expect("reads").is_none(), "it is gone");
    let logins = world.trail_of(world.alice.id, "session.create").await;
    assert_eq!(logins.len(), 1, "all logins of alice");
    assert_eq!(logins[0].target, format!("session:{}", opened.session.id));
    assert_eq!(told(&logins[0]), json!({"client": "web", "methods": ["pwd"], "with": "tokens"}));
    let keys = world.trail_of(world.alice.id, "api_key.create").await;
    assert_eq!(keys[0].target, format!("credential:{}", key.key.id));
}

#[tokio::test]
async fn a_login_says_from_where_it_came() {
    let world = World::new().await;
    let mut attempt = world.attempt("alice", PASSWORD);
    attempt.from = "192.0.2.7".parse().ok();
    world.authority.log_in(&actor(), attempt).await.expect("an outcome");
    assert_eq!(world.trail_of(world.alice.id, "session.create").await[0].address, "192.0.2.7");
}

#[tokio::test]
async fn both_keys_of_an_exchange_have_a_row_and_name_each_other() {
    let world = World::new().await;
    let old = world.api_key().await.key.id;
    let asked = RotateApiKey { tenant: tenant(), id: old, old_ends_in: Duration::ZERO, expires_in: None };
    let new = world.authority.rotate_api_key(&world.admin, asked).await.expect("rotates").issued.key.id;
    let rotated = world.trail_of(world.alice.id, "api_key.rotate").await;
    assert_eq!(rotated[0].target, format!("credential:{old}"));
    assert_eq!(told(&rotated[0])["successor"], new.to_string());
    let created = world.trail_of(world.alice.id, "api_key.create").await;
    assert_eq!(created[0].target, format!("credential:{new}"), "newest first");
    assert_eq!(told(&created[0])["replaces"], old.to_string());
}

#[tokio::test]
async fn which_roles_scopes_and_grants_were_given_is_written() {
    let world = World::new().await;
    let listener = Role { tenant: tenant(), name: role("listener"), grants: Vec::new() };
    world.authority.put_role(&actor(), listener.clone(), None).await.expect("a new role");
    let alice = named("alice");
    world.authority.set_identity_roles(&actor(), &tenant(), &alice, vec![role("listener")]).await.expect("sets");
    let update = IdentityUpdate {
        tenant: tenant(),
        which: alice,
        name: None,
        display_name: None,
        attributes: Some(Attributes::default()),
        roles: Some(vec![role("speaker")]),
        from_version: None,
    };
    world.authority.update_identity(&actor(), update).await.expect("updates");
    let roles: Vec<_> = world.trail_of(world.alice.id, "identity.set_roles").await.iter().map(told).collect();
    let (newer, older) = (
        json!({"roles": ["speaker"], "removed": ["listener"]}),
        json!({"roles": ["listener"], "removed": ["speaker"]}),
    );
    assert_eq!(roles, [newer, older], "however they were set");
    let update = &world.trail_of(world.alice.id, "identity.update").await[0];
    assert_eq!(told(update), json!({"fields": ["attributes", "roles"]}));

    let action = Some(TextMatch::Whole("role.put".to_owned()));
    let put = world.trail(AuditFilter { action, ..AuditFilter::default() }).await;
    assert_eq!((put[0].target.as_str(), told(&put[0])["grants"]["count"].as_u64()), ("role:listener", Some(0)));
    assert_eq!(told(&put[1])["grants"]["count"], 2);

    let name = IdentityName::try_from("robot").expect("a valid name");
    let robot = NewIdentity::plain(tenant(), IdentityKind::Service, name.clone());
    let robot = world.authority.create_identity(&actor(), robot).await.expect("a new identity");
    let key = NewApiKey {
        tenant: tenant(),
        identity: auth_domain::IdentityRef::Name(name),
        label: None,
        scopes: Scopes::all(),
        expires_in: Some(YEAR),
        grants: None,
        addresses: Vec::new(),
    };
    let key = world.authority.create_api_key(&world.admin, key).await.expect("a new key").key;
    let told = told(&world.trail_of(robot.id, "api_key.create").await[0]);
    assert_eq!(told["scopes"].as_array().map(Vec::len), Some(Scopes::all().iter().count()));
    assert_eq!(told["expires_at"].as_i64(), key.expires_at.map(portcullis_types::Timestamp::as_unix_seconds));
}

#[tokio::test]
async fn linking_a_person_to_an_issuers_subject_is_a_row_of_its_own() {
    let world = World::new().await;
    let mut issuer = corp();
    issuer.mapping.link_identities = true;
    issuer.mapping.name = auth_domain::NameTemplate::try_from("{sub}").expect("a valid template");
    let issuer = world.authority.put_issuer(&actor(), issuer).await.expect("trusts");
    for _ in 0..2 {
        world.allowed(&world.token(json!({"sub": "alice"}))).await;
    }
    let links = world.trail_of(world.alice.id, "identity.link").await;
    assert_eq!(links.len(), 1, "once");
    assert_eq!(links[0].actor, format!("issuer:acme/{}", issuer.id));
    assert_eq!(told(&links[0]), json!({"issuer": issuer.id.to_string()}));
    assert_eq!(world.trail_of(world.alice.id, "session.create").await.len(), 1);
}

#[test]
fn what_belongs_to_somebody_names_whom_it_belongs_to() {
    let of = IdentityId::from_bytes([1; 16]);
    let session = About::Session { id: SessionId::from_bytes([2; 16]), of };
    let credential = About::Credential { id: CredentialId::from_bytes([3; 16]), of };
    for (about, kind) in [(About::Identity(of), "identity:"), (session, "session:"), (credential, "credential:")] {
        assert_eq!(about.identity(), Some(of));
        assert!(about.to_string().starts_with(kind), "{about}");
    }
    assert_eq!(About::Role(role("speaker")).identity(), None);
}

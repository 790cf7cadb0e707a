//! Who may call what, for every method of the contract, as `docs/scopes.md` says it.

use std::collections::{BTreeMap, BTreeSet};

use auth_domain::Scope;
use portcullis_proto::auth::v1;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, MethodDescriptor, ReflectMessage as _, Value};
use tonic::{Code, Request, Status};

use super::calling::{call, contract, path_of};
use super::world::{World, by, named, reason};
use crate::grpc::METHODS;

const DOCUMENT: &str = include_str!("../../../docs/scopes.md");

/// What the document says of a method.
struct Row {
    scope: String,
    tenant: String,
}

/// Every row by its method, and nothing twice.
fn document() -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for line in DOCUMENT.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        let [method, scope, tenant] = <[String; 3]>::try_from(cells).expect("a row has three cells");
        let row = Row { scope: scope.trim_matches('`').to_owned(), tenant };
        assert!(rows.insert(method.trim_matches('`').to_owned(), row).is_none(), "{method} is there twice");
    }
    rows
}

/// Calls it as this key.
pub(super) async fn ask(
    world: &World,
    key: &str,
    method: &MethodDescriptor,
    message: DynamicMessage,
) -> Result<DynamicMessage, Status> {
    call(world, method, by(key, message)).await
}

/// What somebody of another tenant knows of `demo`, and would like to use.
pub(super) struct Known {
    identity: String,
    session: String,
    credential: String,
    pub(super) bearer: String,
}

impl Known {
    pub(super) async fn of(world: &World) -> Self {
        let (session, tokens) = world.issue().await;
        let allowed = world.verify(&world.admin, &tokens.access_token).await.allowed.expect("it is good");
        let credential = allowed.reference.expect("it has one").credential_id;
        Self { identity: world.ada.clone(), session, credential, bearer: tokens.access_token }
    }

    /// What a message holds that must be nowhere else.
    pub(super) fn secrets_in(message: &DynamicMessage) -> Vec<String> {
        let names = ["password", "credential", "parent_credential", "refresh_token", "bearer", "ticket"];
        let texts = message.fields().flat_map(|(field, value)| match value {
            Value::String(text) if names.contains(&field.name()) => vec![text.clone()],
            Value::Message(inner) => Self::secrets_in(inner),
            _ => Vec::new(),
        });
        texts.collect()
    }

    /// A text for a field of this name, as good as can be told from it.
    fn text(&self, message: &str, field: &str) -> String {
        match (message, field) {
            ("IdentityReference", "id") => self.identity.clone(),
            ("Role", "name") | (_, "roles") => "speaker".to_owned(),
            (_, "session_id") => self.session.clone(),
            (_, "id" | "credential_id" | "signing_key_id" | "instead_of" | "api_key_id") => self.credential.clone(),
            (_, "credential" | "parent_credential" | "refresh_token" | "bearer" | "ticket") => self.bearer.clone(),
            (_, "password") => "correct horse battery".to_owned(),
            (_, "pattern") => "room:*".to_owned(),
            (_, "scopes") => "verify".to_owned(),
            (_, "paths") => "display_name".to_owned(),
            (_, "name" | "device" | "client_id" | "display_name" | "label") => "ada".to_owned(),
            _ => String::new(),
        }
    }
}

/// Which alternative each `oneof` takes, by its full name.
pub(super) type Choices = BTreeMap<String, usize>;

/// A whole message: every field filled, every tenant in it `tenant`, of each `oneof` the chosen alternative.
pub(super) fn fill(descriptor: &MessageDescriptor, tenant: &str, known: &Known, choices: &Choices) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if let Some(oneof) = field.containing_oneof() {
            let chosen = choices.get(oneof.full_name()).copied().unwrap_or(0);
            if oneof.fields().nth(chosen).as_ref() != Some(&field) {
                continue;
            }
        }
        let one = match field.kind() {
            Kind::String if field.name() == "tenant" || is_name_of_a_tenant(descriptor, field.name()) => {
                Value::String(tenant.to_owned())
            }
            Kind::String => Value::String(known.text(descriptor.name(), field.name())),
            Kind::Message(inner) if !field.is_map() => Value::Message(fill(&inner, tenant, known, choices)),
            Kind::Enum(_) => Value::EnumNumber(1),
            Kind::Bool => Value::Bool(false),
            _ => continue,
        };
        let value = if field.is_list() { Value::List(vec![one]) } else { one };
        message.set_field(&field, value);
    }
    message
}

/// The requests of `TenantsService` call it `name`.
fn is_name_of_a_tenant(descriptor: &MessageDescriptor, field: &str) -> bool {
    field == "name" && descriptor.name().ends_with("TenantRequest")
}

/// Every alternative of every `oneof` below a message, one at a time.
pub(super) fn choices(descriptor: &MessageDescriptor) -> Vec<Choices> {
    let mut found = BTreeMap::new();
    let (mut open, mut seen) = (vec![descriptor.clone()], BTreeSet::new());
    while let Some(next) = open.pop() {
        if !seen.insert(next.full_name().to_owned()) {
            continue;
        }
        found.extend(next.oneofs().map(|oneof| (oneof.full_name().to_owned(), oneof.fields().count())));
        open.extend(next.fields().filter_map(|field| field.kind().as_message().cloned()));
    }
    let each = found.iter().flat_map(|(name, count)| (0..*count).map(|index| Choices::from([(name.clone(), index)])));
    std::iter::once(Choices::new()).chain(each).collect()
}

/// The paths of all fields below a message that name a tenant.
fn tenant_paths(message: &DynamicMessage) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (field, value) in message.fields() {
        let here = field.name().to_owned();
        let inner = match value {
            Value::String(_) if here == "tenant" || is_name_of_a_tenant(&message.descriptor(), &here) => {
                paths.push(vec![here]);
                continue;
            }
            Value::Message(inner) => tenant_paths(inner),
            Value::List(items) => items.iter().filter_map(Value::as_message).flat_map(tenant_paths).collect(),
            _ => continue,
        };
        paths.extend(inner.into_iter().map(|path| [vec![here.clone()], path].concat()));
    }
    paths
}

/// Whether it does anywhere.
pub(super) fn names_a_tenant(message: &DynamicMessage) -> bool {
    !tenant_paths(message).is_empty()
}

/// Puts a tenant where a path leads.
fn put(message: &mut DynamicMessage, path: &[String], tenant: &str) {
    let (first, rest) = path.split_first().expect("a path leads somewhere");
    let value = message.get_field_by_name_mut(first).expect("it was found there");
    match (value, rest.is_empty()) {
        (Value::String(text), true) => tenant.clone_into(text),
        (Value::Message(inner), false) => put(inner, rest, tenant),
        (Value::List(items), false) => {
            items.iter_mut().filter_map(Value::as_message_mut).for_each(|item| put(item, rest, tenant))
        }
        (other, _) => panic!("no path leads to {other:?}"),
    }
}

fn own_field(row: &Row) -> Option<Vec<String>> {
    let path = row.tenant.strip_prefix('`')?.strip_suffix('`')?;
    Some(path.split('.').map(str::to_owned).collect())
}

#[test]
fn the_document_has_every_method_with_its_scope_and_a_tenant() {
    let (document, contract) = (document(), contract());
    assert_eq!(document.keys().collect::<Vec<_>>(), contract.keys().collect::<Vec<_>>());
    let known =
        Known { identity: String::new(), session: String::new(), credential: String::new(), bearer: String::new() };
    for (name, row) in document {
        let method = &contract[&name];
        let guarded = METHODS.iter().find(|guarded| guarded.path == path_of(method)).expect("the gate knows it");
        assert_eq!(guarded.streams, method.is_server_streaming(), "{}", guarded.path);
        assert_eq!(row.scope, guarded.scope.map_or("any key", Scope::name), "{name}");
        let words = ["system only", "answers about its own", "whoever presents the credential", "names none"];
        match own_field(&row) {
            None => assert!(words.contains(&&*row.tenant), "{name}: {}", row.tenant),
            Some(path) => {
                let message = fill(&method.input(), "demo", &known, &Choices::new());
                assert!(tenant_paths(&message).contains(&path), "{name} has no field {}", row.tenant);
            }
        }
    }
}

#[tokio::test]
async fn every_method_is_refused_without_a_key_and_without_its_scope() {
    let world = World::new().await;
    let contract = contract();
    for scope in Scope::ALL {
        let others: Vec<_> = Scope::ALL.into_iter().filter(|other| *other != scope).map(Scope::name).collect();
        let (key, _) = world.service_key("system", &format!("all-but-{scope}"), &others).await;
        for (name, _) in document().into_iter().filter(|(_, row)| row.scope == scope.name()) {
            let method = &contract[&name];
            let empty = || DynamicMessage::new(method.input());
            let refused = "the gate stands before it";
            let nobody = call(&world, method, Request::new(empty())).await.expect_err(refused);
            assert_eq!((nobody.code(), &*reason(&nobody)), (Code::Unauthenticated, "CREDENTIAL_MISSING"), "{name}");
            let liar = ask(&world, "pk_x", method, empty()).await.expect_err(refused);
            assert_eq!((liar.code(), &*reason(&liar)), (Code::Unauthenticated, "CREDENTIAL_REFUSED"), "{name}");
            let weak = ask(&world, &key, method, empty()).await.expect_err(refused);
            assert_eq!((weak.code(), &*reason(&weak)), (Code::PermissionDenied, "SCOPE_MISSING"), "{name}");
        }
    }
}

/// A service of another tenant with every scope.
async fn stranger(world: &World) -> String {
    world.make_tenant("other").await;
    let scopes: Vec<_> = Scope::ALL.into_iter().map(Scope::name).collect();
    world.service_key("other", "backend", &scopes).await.0
}

#[tokio::test]
async fn every_method_is_refused_for_another_tenant() {
    let world = World::new().await;
    let (key, known, contract) = (stranger(&world).await, Known::of(&world).await, contract());
    for (name, row) in document() {
        let method = &contract[&name];
        for choices in choices(&method.input()) {
            let message = fill(&method.input(), "demo", &known, &choices);
            let asked = ask(&world, &key, method, message).await;
            if row.tenant != "system only" && own_field(&row).is_none() {
                continue;
            }
            let status = asked.expect_err("it is another's");
            let told = (status.code(), &*reason(&status));
            assert_eq!(told, (Code::PermissionDenied, "TENANT_FORBIDDEN"), "{name} {choices:?}: {}", status.message());
        }
    }
}

#[tokio::test]
async fn another_tenant_hides_nowhere_in_a_request_for_ones_own() {
    let world = World::new().await;
    let (key, known, contract) = (stranger(&world).await, Known::of(&world).await, contract());
    let mut smuggled = 0;
    for (name, row) in document() {
        let Some(own) = own_field(&row) else { continue };
        let method = &contract[&name];
        for choices in choices(&method.input()) {
            let whole = fill(&method.input(), "other", &known, &choices);
            for path in tenant_paths(&whole).into_iter().filter(|path| *path != own) {
                let mut message = whole.clone();
                put(&mut message, &path, "demo");
                let status = ask(&world, &key, method, message).await.expect_err("another tenant is named");
                let refused = matches!(status.code(), Code::InvalidArgument | Code::PermissionDenied);
                assert!(refused, "{name} with {path:?} and {choices:?}: {status:?}");
                smuggled += 1;
            }
        }
    }
    assert!(smuggled >= 4, "there are requests with more than one tenant in them: {smuggled}");
}

/// Everything that there is in `demo` and could have been changed, as its administrator sees it.
async fn state_of_demo(world: &World) -> String {
    let tenant = || "demo".to_owned();
    let admin = &world.admin;
    let identities = v1::ListIdentitiesRequest { tenant: tenant(), ..Default::default() };
    let identities = world.identities().list_identities(by(admin, identities)).await.expect("it may").into_inner();
    let ada = Some(named("demo", "ada"));
    let sessions = v1::ListSessionsRequest { identity: ada.clone(), ..Default::default() };
    let sessions = world.credentials().list_sessions(by(admin, sessions)).await.expect("it may").into_inner();
    let credentials = v1::ListCredentialsRequest { identity: ada, ..Default::default() };
    let credentials = world.credentials().list_credentials(by(admin, credentials)).await.expect("it may").into_inner();
    let audit = v1::ListAuditEntriesRequest { tenant: tenant(), page_size: 1_000, ..Default::default() };
    let audit = world.audit().list_audit_entries(by(admin, audit)).await.expect("it may").into_inner();
    format!("{identities:?} {sessions:?} {credentials:?} {audit:?}")
}

/// Every text in an answer.
fn texts_in(message: &DynamicMessage) -> Vec<String> {
    let of = |value: &Value| match value {
        Value::String(text) => vec![text.clone()],
        Value::Message(inner) => texts_in(inner),
        _ => Vec::new(),
    };
    let texts = message.fields().flat_map(|(_, value)| match value {
        Value::List(items) => items.iter().flat_map(of).collect(),
        Value::Map(entries) => entries.values().flat_map(of).collect(),
        one => of(one),
    });
    texts.collect()
}

#[tokio::test]
async fn ids_of_another_tenants_rows_reach_nothing_there() {
    let world = World::new().await;
    let (key, known, contract) = (stranger(&world).await, Known::of(&world).await, contract());
    // A bearer is good by itself, whoever brings it; what it is worth is tested where it is used.
    let known = Known { bearer: "pk_x".to_owned(), ..known };
    let before = state_of_demo(&world).await;
    let theirs = ["demo", &known.identity, &known.session, &known.credential];
    let mut answered = 0;
    for (name, row) in document() {
        if own_field(&row).is_none() {
            continue;
        }
        let method = &contract[&name];
        for choices in choices(&method.input()) {
            // Whatever is answered, it is about `other`.
            if let Ok(answer) = ask(&world, &key, method, fill(&method.input(), "other", &known, &choices)).await {
                answered += 1;
                let told = texts_in(&answer);
                let leaked = told.iter().find(|text| theirs.iter().any(|one| text.contains(one)));
                assert_eq!(leaked, None, "{name} with {choices:?} tells of another tenant");
            }
        }
    }
    assert!(answered >= 10, "nearly everything is refused: {answered}");
    assert_eq!(state_of_demo(&world).await, before);
    for (id, of) in [(&known.session, true), (&known.credential, false)] {
        let tenant = || "other".to_owned();
        let status = if of {
            let request = v1::GetSessionRequest { tenant: tenant(), session_id: id.clone() };
            world.credentials().get_session(by(&key, request)).await.map(drop)
        } else {
            let request = v1::GetCredentialRequest { tenant: tenant(), credential_id: id.clone() };
            world.credentials().get_credential(by(&key, request)).await.map(drop)
        };
        assert_eq!(reason(&status.expect_err("it is another's")), "TARGET_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_denied_call_is_in_the_trail_and_a_flood_of_them_is_not() {
    let world = World::new().await;
    let (key, id) = world.service_key("demo", "backend", &["verify"]).await;
    let get = || by(&key, v1::GetIdentityRequest { identity: Some(named("demo", "ada")) });
    for _ in 0..30 {
        let status = world.identities().get_identity(get()).await.expect_err("it lacks the scope");
        assert_eq!(reason(&status), "SCOPE_MISSING");
    }
    let denied = v1::ListAuditEntriesRequest {
        tenant: "demo".into(),
        outcome: v1::AuditOutcome::Denied.into(),
        ..Default::default()
    };
    let rows = world.audit().list_audit_entries(by(&world.admin, denied)).await.expect("it may").into_inner().entries;
    assert_eq!(rows.len(), 10, "each caller a few times a minute");
    let row = &rows[0];
    assert_eq!((&*row.action, &*row.reason), ("rpc.deny", "SCOPE_MISSING"));
    assert_eq!(row.target, "method:/portcullis.auth.v1.IdentitiesService/GetIdentity");
    assert!(row.actor.starts_with("identity:demo/") && row.actor.ends_with(&id), "{}", row.actor);
    let metrics = world.get("/metrics").await;
    assert!(metrics.contains("portcullis_auth_audit_denials_unwritten_total 20"), "{metrics}");
    assert!(metrics.contains(r#"IdentitiesService/GetIdentity",code="PERMISSION_DENIED"} 30"#), "{metrics}");
}

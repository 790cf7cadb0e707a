//! Undoing that an issuer's subject is somebody here.

use auth_domain::{DenyReason, ListSubjectsError, NameTemplate, NewIssuer, Page, UnlinkError, WhichSubjects};
use portcullis_types::IssuerName;
use serde_json::json;

use super::issuers::{MINUTE, SECOND, corp, name};
use super::world::{World, actor, named, tenant};

/// Whoever is called so at the issuer is the person of that name.
fn linking() -> NewIssuer {
    let mut issuer = corp();
    issuer.mapping.name = NameTemplate::try_from("{preferred}").expect("a valid template");
    issuer.mapping.create_identities = false;
    issuer.mapping.link_identities = true;
    issuer
}

fn of(issuer: Option<IssuerName>, person: Option<&str>) -> WhichSubjects {
    WhichSubjects { tenant: tenant(), issuer, identity: person.map(named) }
}

impl World {
    async fn linked(&self, which: &WhichSubjects) -> Vec<String> {
        let page = Page::new(0, "").expect("the first page");
        let found = self.authority.issuer_subjects(which, page).await.expect("reads");
        found.items.iter().map(|subject| subject.identity_name.to_string()).collect()
    }
}

#[tokio::test]
async fn a_wrong_link_is_undone_and_what_rested_on_it_is_dead() {
    let world = World::new().await;
    world.authority.put_issuer(&actor(), linking()).await.expect("trusts");
    let (session, own) = world.log_in().await;
    let token = world.token(json!({"preferred": "alice"}));
    assert_eq!(world.allowed(&token).await.principal.identity_name.as_str(), "alice");
    assert_eq!(world.linked(&of(Some(name("corp")), None)).await, ["alice"]);
    assert_eq!(world.linked(&of(None, Some("alice"))).await, ["alice"]);
    assert_eq!(world.linked(&of(Some(name("corp")), Some("alice"))).await, ["alice"]);

    world.pass(SECOND);
    let (corp, alice) = (name("corp"), named("alice"));
    let undone = world.authority.unlink_subject(&actor(), &tenant(), &alice, &corp).await.expect("it is undone");
    assert_eq!(world.store.head().await.expect("reads").seq, undone.revision.seq, "by one event");
    assert_eq!(world.denied(&token).await, (DenyReason::IdentityRevoked, true));
    assert_eq!(world.denied(&own.access).await, (DenyReason::IdentityRevoked, true), "of {}", session.session.id);
    assert!(world.linked(&of(None, Some("alice"))).await.is_empty());
    let again = world.authority.unlink_subject(&actor(), &tenant(), &alice, &corp).await;
    assert!(matches!(again, Err(UnlinkError::NotLinked)), "{again:?}");

    // Another mapping, and the subject is somebody else.
    let mut other = linking();
    other.mapping.name = NameTemplate::try_from("corp:{sub}").expect("a valid template");
    other.mapping.create_identities = true;
    world.authority.put_issuer(&actor(), other).await.expect("trusts");
    world.pass(MINUTE + SECOND);
    let good = world.allowed(&world.token(json!({"preferred": "alice", "sid": "s2"}))).await;
    assert_eq!(good.principal.identity_name.as_str(), "corp:u1");
    world.log_in().await;
}

#[tokio::test]
async fn where_the_mapping_stays_the_same_subject_is_linked_again() {
    let world = World::new().await;
    world.authority.put_issuer(&actor(), linking()).await.expect("trusts");
    world.allowed(&world.token(json!({"preferred": "alice"}))).await;
    world.pass(SECOND);
    world.authority.unlink_subject(&actor(), &tenant(), &named("alice"), &name("corp")).await.expect("it is undone");
    world.pass(MINUTE + SECOND);
    let good = world.allowed(&world.token(json!({"preferred": "alice", "sid": "s2"}))).await;
    assert_eq!(good.principal.identity_name.as_str(), "alice");
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let (world, _) = World::trusting().await;
    let unlink = async |person: &str, issuer: &str| {
        world.authority.unlink_subject(&actor(), &tenant(), &named(person), &name(issuer)).await
    };
    assert!(matches!(unlink("alice", "nobody").await, Err(UnlinkError::IssuerNotFound)));
    assert!(matches!(unlink("nobody", "corp").await, Err(UnlinkError::IdentityNotFound)));
    assert!(matches!(unlink("alice", "corp").await, Err(UnlinkError::NotLinked)));
    let page = || Page::new(0, "").expect("the first page");
    let read = async |which: WhichSubjects| world.authority.issuer_subjects(&which, page()).await;
    assert!(matches!(read(of(None, None)).await, Err(ListSubjectsError::OfNobody)));
    assert!(matches!(read(of(Some(name("nobody")), None)).await, Err(ListSubjectsError::IssuerNotFound)));
    assert!(matches!(read(of(None, Some("nobody"))).await, Err(ListSubjectsError::IdentityNotFound)));
}

//! Sentences about external issuers.

use std::time::Duration;

use auth_domain::{
    Action, Audience, Batch, CredentialKind, Grant, Issuer, IssuerAlgorithm, IssuerUrl, Mapping, NameTemplate, Pattern,
    Reason, Role, RoleRule, SessionFilter, Target, Tenant,
};
use portcullis_types::{ClientId, IdentityId, IssuerId, IssuerName, RoleName, SessionId, TenantId};

use crate::seed::write;
use crate::{Seed, Subject};

/// One that is trusted for an audience.
pub fn issuer(seed: &Seed, name: &str, audience: &str) -> Issuer {
    let role = RoleName::try_from("speaker").expect("a valid name");
    let rule = RoleRule { claim: "a.b".try_into().expect("a valid claim"), value: "\"x: y\"".into(), role };
    Issuer {
        id: IssuerId::new(seed.ids()),
        tenant: seed.tenant.clone(),
        name: IssuerName::try_from(name).expect("a valid name"),
        url: IssuerUrl::try_from("https://id.example").expect("a valid issuer"),
        audience: Audience::try_from(audience).expect("a valid audience"),
        algorithms: vec![IssuerAlgorithm::Es256, IssuerAlgorithm::Ps512],
        mapping: Mapping {
            name: NameTemplate::try_from("corp:{sub}").expect("a valid template"),
            roles: vec![rule],
            create_identities: true,
            link_identities: false,
        },
        created_at: seed.now(),
        removed_at: None,
        revoked_seq: None,
    }
}

/// Nothing is lost or changed on the way, and what is trusted no more is not listed.
pub async fn an_issuer_reads_back_as_it_was_put(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let mut one = issuer(&seed, "one", "app");
    let mut tx = write(&store).await;
    assert!(tx.put_issuer(&one).await.expect("writes"));
    one.mapping.roles.clear();
    one.mapping.link_identities = true;
    one.algorithms = vec![IssuerAlgorithm::EdDsa];
    one.name = IssuerName::try_from("uno").expect("a valid name");
    assert!(tx.put_issuer(&one).await.expect("writes"));
    tx.commit().await.expect("commits");

    let mut tx = write(&store).await;
    assert_eq!(tx.issuer(one.id).await.expect("reads").as_ref(), Some(&one));
    assert_eq!(tx.issuers(&seed.tenant).await.expect("reads"), [one.clone()]);
    assert_eq!(tx.issuers_at(&one.url).await.expect("reads"), [one.clone()]);
    let found = tx.issuer_of(&seed.tenant, &one.url, &one.audience).await.expect("reads");
    assert_eq!(found.as_ref(), Some(&one));
    assert!(tx.remove_issuer(one.id, seed.now()).await.expect("writes"));
    assert!(!tx.remove_issuer(one.id, seed.now()).await.expect("answers"), "it was before");
    let batch = Batch::kill(Target::Issuer(seed.tenant.clone(), one.id), Reason::Administrative);
    tx.commit_with(batch, seed.now()).await.expect("appends");

    let mut view = store.read().await.expect("reads");
    let removed = Issuer { removed_at: Some(seed.now()), revoked_seq: Some(1), ..one.clone() };
    assert_eq!(view.issuer(one.id).await.expect("reads").as_ref(), Some(&removed));
    assert_eq!(view.issuer_of(&seed.tenant, &one.url, &one.audience).await.expect("reads"), Some(removed));
    assert!(view.issuers(&seed.tenant).await.expect("reads").is_empty());
    assert!(view.issuers_at(&one.url).await.expect("reads").is_empty());
}

/// URL and audience together name one tenant, and a tenant calls two by two names.
pub async fn an_issuer_is_one_tenants_under_one_name(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let globex = TenantId::try_from("globex").expect("a valid name");
    let mut tx = write(&store).await;
    assert!(tx.insert_tenant(&Tenant::new(globex.clone(), seed.now())).await.expect("writes"));
    let one = issuer(&seed, "one", "app");
    assert!(tx.put_issuer(&one).await.expect("writes"));
    let theirs = Issuer { tenant: globex, ..issuer(&seed, "one", "app") };
    assert!(!tx.put_issuer(&theirs).await.expect("answers"), "URL and audience are taken");
    assert!(!tx.put_issuer(&issuer(&seed, "one", "api")).await.expect("answers"), "the name is taken");
    let two = issuer(&seed, "two", "api");
    assert!(tx.put_issuer(&two).await.expect("writes"));
    assert!(!tx.put_issuer(&Issuer { name: one.name.clone(), ..two }).await.expect("answers"), "it is taken still");
    assert!(tx.remove_issuer(one.id, seed.now()).await.expect("writes"));
    assert!(tx.put_issuer(&theirs).await.expect("writes"), "what nobody trusts is free");
    assert!(!tx.put_issuer(&one).await.expect("answers"), "and then it is not");
    tx.commit().await.expect("commits");
}

/// Two replicas that see the same for the first time do not see it twice.
pub async fn what_is_seen_of_an_issuer_is_seen_once(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let one = issuer(&seed, "one", "app");
    let mut tx = write(&store).await;
    assert!(tx.put_issuer(&one).await.expect("writes"));
    let bob = IdentityId::new(seed.ids());
    assert!(tx.insert_identity(&seed.identity_row("bob", bob)).await.expect("writes"));
    assert!(tx.bind_subject(one.id, &[1; 32], &seed.tenant, seed.identity).await.expect("writes"));
    assert!(!tx.bind_subject(one.id, &[1; 32], &seed.tenant, bob).await.expect("answers"), "the subject is bound");
    assert!(!tx.bind_subject(one.id, &[2; 32], &seed.tenant, seed.identity).await.expect("answers"), "the identity is");
    assert_eq!(tx.bound_to(one.id, &[1; 32]).await.expect("reads"), Some(seed.identity));
    assert_eq!(tx.bound_to(one.id, &[2; 32]).await.expect("reads"), None);
    assert!(
        tx.is_bound(one.id, seed.identity).await.expect("reads") && !tx.is_bound(one.id, bob).await.expect("reads")
    );

    assert!(tx.insert_external_session(one.id, &[3; 32], 0, seed.identity, None, seed.session).await.expect("writes"));
    let other = SessionId::new(seed.ids());
    assert!(!tx.insert_external_session(one.id, &[3; 32], 0, seed.identity, None, other).await.expect("answers"));
    let found = tx.external_session(one.id, &[3; 32], 0, seed.identity, None).await.expect("reads");
    assert_eq!(found, Some(seed.session));
    assert_eq!(tx.external_session(one.id, &[3; 32], 1, seed.identity, None).await.expect("reads"), None);
    let app = ClientId::try_from("app").expect("a valid id");
    assert_eq!(tx.external_session(one.id, &[3; 32], 0, seed.identity, Some(&app)).await.expect("reads"), None);
    let inserted = tx.insert_external_session(one.id, &[3; 32], 0, seed.identity, Some(&app), other).await;
    assert!(inserted.expect("writes"), "each client application has its own");
    let found = tx.external_session(one.id, &[3; 32], 0, seed.identity, Some(&app)).await.expect("reads");
    assert_eq!(found, Some(other));
    assert!(!tx.external_session_is_revoked(one.id, &[3; 32]).await.expect("reads"));
    let ends = seed.session_row(seed.session).expires_at;
    for (until, expected) in [(ends + Duration::from_secs(9), 9), (ends, 9)] {
        assert!(tx.prolong_session(&seed.tenant, seed.session, until).await.expect("writes"), "it is there");
        let session = tx.session(&seed.tenant, seed.session).await.expect("reads").expect("planted");
        assert_eq!(session.expires_at, ends + Duration::from_secs(expected));
    }
    assert!(!tx.prolong_session(&seed.tenant, other, ends).await.expect("answers"), "none is there");
    let over = ends + Duration::from_secs(10);
    for or_dormant in [true, false] {
        let filter = SessionFilter { live_at: Some(over), or_dormant, ..SessionFilter::default() };
        let found = tx.find_sessions(&seed.tenant, seed.identity, &filter, None, 9).await.expect("reads");
        assert_eq!(found.len(), usize::from(or_dormant), "its `sid` may come again");
    }
    tx.commit_with(seed.kill(), seed.now()).await.expect("appends");
    let mut view = store.read().await.expect("reads");
    assert!(view.external_session_is_revoked(one.id, &[3; 32]).await.expect("reads"));
    assert!(!view.external_session_is_revoked(one.id, &[4; 32]).await.expect("reads"));
}

/// An access token that no key here signed stands on the issuer that did, and on the roles that it brought.
pub async fn a_standing_knows_who_vouched(subject: &impl Subject) {
    let store = subject.open(1).await;
    let seed = Seed::plant(&store).await;
    let one = issuer(&seed, "one", "app");
    let mut row = seed.credential_row(CredentialKind::AccessToken);
    row.signing_key = None;
    let speaker = RoleName::try_from("speaker").expect("a valid name");
    let ghost = RoleName::try_from("ghost").expect("a valid name");
    let room = Grant { action: Action::Publish, pattern: Pattern::try_from("room:*").expect("a valid pattern") };
    let role = Role { tenant: seed.tenant.clone(), name: speaker.clone(), grants: vec![room.clone()] };
    let mut tx = write(&store).await;
    tx.put_role(&role).await.expect("writes");
    assert!(tx.put_issuer(&one).await.expect("writes"));
    tx.insert_credential(&row).await.expect("writes");
    assert!(tx.standing(row.id).await.is_err(), "nobody signed it");
    let roles = [speaker, ghost];
    assert!(tx.insert_external_token(one.id, &[5; 32], row.id, &roles).await.expect("writes"));
    assert!(!tx.insert_external_token(one.id, &[5; 32], row.id, &roles).await.expect("answers"), "it was seen");
    assert_eq!(tx.external_token_by(one.id, &[5; 32]).await.expect("reads"), Some(row.id));
    let external = tx.standing(row.id).await.expect("reads").expect("inserted").external.expect("somebody vouched");
    assert_eq!((external.issuer, external.is_removed, external.revoked_seq), (one.id, false, None));
    assert_eq!((&external.roles[..], &external.grants[..]), (&roles[..], &[room][..]));
    let batch = Batch::kill(Target::Issuer(seed.tenant.clone(), one.id), Reason::Administrative);
    tx.commit_with(batch, seed.now()).await.expect("appends");
    let (_, standing) = store.standing(row.id).await.expect("reads");
    let external = standing.as_ref().and_then(|rows| rows.external.as_ref());
    assert_eq!(external.and_then(|external| external.revoked_seq), Some(1));
}

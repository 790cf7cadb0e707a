//! Names in certificates that services are known by: what limits a registration, and where it is good.

use std::net::IpAddr;
use std::time::Duration;

use auth_domain::{
    Caller, CertificateName, ClientCertificate, MAX_API_KEY_LIFE, MAX_CERTIFICATES, MAX_KEY_ADDRESSES, NewApiKey,
    NewCertificate, RegisterCertificateError, RevokeTarget, Scopes, ShownCertificate,
};
use portcullis_types::AddressRange;

use super::callers::service;
use super::world::Shown as _;
use super::world::{SECOND, World, actor, named, tenant};

fn ranges(texts: &[&str]) -> Vec<AddressRange> {
    texts.iter().map(|text| AddressRange::try_from(*text).expect("a range")).collect()
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().expect("an address"))
}

/// The name of the service `job`.
fn new(name: &str) -> NewCertificate {
    NewCertificate {
        tenant: tenant(),
        identity: named("job"),
        name: CertificateName::try_from(name).expect("a valid name"),
        label: None,
        scopes: Scopes::NONE,
        expires_in: None,
        addresses: Vec::new(),
    }
}

impl World {
    async fn register_by(
        &self,
        caller: &Caller,
        new: NewCertificate,
    ) -> Result<ClientCertificate, RegisterCertificateError> {
        self.authority.register_certificate(caller, &actor(), new).await
    }

    async fn register(&self, new: NewCertificate) -> Result<ClientCertificate, RegisterCertificateError> {
        self.register_by(&self.admin, new).await
    }

    /// Whether whoever shows a good certificate with this name calls from there.
    async fn calls_from(&self, name: &str, from: Option<IpAddr>) -> bool {
        let now = portcullis_types::Clock::now(&*self.clock);
        let name = CertificateName::try_from(name).expect("a valid name");
        let shown = ShownCertificate { name, not_before: now, not_after: now + SECOND };
        self.authority.authenticate_certificate(&shown, from).await.is_ok()
    }
}

#[tokio::test]
async fn a_name_is_registered_for_a_service_that_may_call() {
    let world = World::new().await;
    let unknown = world.register(new("a.internal")).await;
    assert!(matches!(unknown, Err(RegisterCertificateError::NotFound)), "{unknown:?}");
    let person = world.register(NewCertificate { identity: named("alice"), ..new("a.internal") }).await;
    assert!(matches!(person, Err(RegisterCertificateError::NeedsService)), "{person:?}");
    service(&world, "job").await;
    world.authority.disable_identity(&actor(), &tenant(), &named("job")).await.expect("disables");
    let disabled = world.register(new("a.internal")).await;
    assert!(matches!(disabled, Err(RegisterCertificateError::Disabled)), "{disabled:?}");
    world.authority.enable_identity(&actor(), &tenant(), &named("job")).await.expect("enables");
    world.register(new("a.internal")).await.expect("what was refused took no name");
}

#[tokio::test]
async fn what_limits_a_registration_is_bounded() {
    let world = World::new().await;
    service(&world, "job").await;
    let lives = |expires_in| NewCertificate { expires_in: Some(expires_in), ..new("a.internal") };
    let long = world.register(lives(MAX_API_KEY_LIFE + Duration::from_micros(1))).await;
    assert!(matches!(long, Err(RegisterCertificateError::TooLong)), "{long:?}");
    let from = |count| NewCertificate { addresses: vec![ranges(&["10.0.0.0/8"])[0]; count], ..new("b.internal") };
    let many = world.register(from(MAX_KEY_ADDRESSES + 1)).await;
    assert!(matches!(many, Err(RegisterCertificateError::TooManyAddresses)), "{many:?}");
    world.register(lives(MAX_API_KEY_LIFE)).await.expect("as long as a key may live");
    world.register(from(MAX_KEY_ADDRESSES)).await.expect("as many as a key may have");
}

#[tokio::test]
async fn an_identity_has_so_many_live_names_and_dead_ones_leave_room() {
    let world = World::new().await;
    service(&world, "job").await;
    let mut registered = Vec::new();
    for n in 1..MAX_CERTIFICATES {
        registered.push(world.register(new(&format!("n{n}.internal"))).await.expect("there is room"));
    }
    let short = NewCertificate { expires_in: Some(SECOND), ..new("short.internal") };
    world.register(short).await.expect("the last one");
    let is_full = async |name: &str| matches!(world.register(new(name)).await, Err(RegisterCertificateError::TooMany));
    assert!(is_full("x.internal").await);
    world.revoke(RevokeTarget::Credential(registered[0].id)).await;
    world.register(new("x.internal")).await.expect("one is revoked");
    assert!(is_full("y.internal").await);
    world.clock.advance(SECOND);
    world.register(new("y.internal")).await.expect("one has ended");
    assert!(is_full("z.internal").await);
}

#[tokio::test]
async fn a_certificate_calls_from_the_addresses_of_its_registration() {
    let world = World::new().await;
    service(&world, "job").await;
    let bound = NewCertificate { addresses: ranges(&["10.0.0.0/8", "2001:db8::/32"]), ..new("bound.internal") };
    world.register(bound).await.expect("a new name");
    world.register(new("free.internal")).await.expect("a new name");
    for inside in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"] {
        assert!(world.calls_from("bound.internal", address(inside)).await, "{inside}");
    }
    for outside in [address("192.0.2.1"), address("::1"), None] {
        assert!(!world.calls_from("bound.internal", outside).await, "{outside:?}");
        assert!(world.calls_from("free.internal", outside).await, "{outside:?}");
    }
}

#[tokio::test]
async fn a_registration_is_good_from_no_more_addresses_than_its_makers_key() {
    let world = World::new().await;
    service(&world, "job").await;
    let key = NewApiKey {
        tenant: tenant(),
        identity: named("job"),
        label: None,
        scopes: Scopes::NONE,
        expires_in: None,
        grants: None,
        addresses: ranges(&["10.0.0.0/8", "192.0.2.1"]),
    };
    let key = world.authority.create_api_key(&world.admin, key).await.expect("a new key").shown();
    let maker = world.authority.authenticate_caller(&key, address("10.0.0.1")).await.expect("it is good");
    let from = |name, addresses: &[&str]| NewCertificate { addresses: ranges(addresses), ..new(name) };
    for beyond in [&["0.0.0.0/0"][..], &["10.0.0.0/8", "192.0.2.2"], &["::/0"]] {
        let refused = world.register_by(&maker, from("a.internal", beyond)).await;
        assert!(matches!(refused, Err(RegisterCertificateError::AddressesBeyondCaller)), "{beyond:?}: {refused:?}");
    }
    for (name, asked, made) in
        [("a.internal", &[][..], &["10.0.0.0/8", "192.0.2.1"][..]), ("b.internal", &["10.1.0.0/16"], &["10.1.0.0/16"])]
    {
        let registered = world.register_by(&maker, from(name, asked)).await.expect("a new name");
        assert_eq!(registered.addresses, ranges(made));
        assert!(world.calls_from(name, address("10.1.0.1")).await);
        assert!(!world.calls_from(name, address("192.0.2.2")).await);
    }
}

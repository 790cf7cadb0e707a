//! What a verdict costs its store, in questions: each is one statement, or begins a snapshot or a transaction. How many
//! there are of each kind of credential holds for every store; what a look is told without a statement is its own matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use auth_domain::{
    Authority, Brought, CertificateName, Certified, Connections, Head, KeyEncryptionKey, LogEntry, LoginAttempt,
    LoginOutcome, PoolUse, PresentationContext, Presented, ReadView, RevokeTarget, Scopes, StandingRows, Store,
    StoreError, Verdict, WithParent, WriteTx,
};
use portcullis_types::{CredentialId, RedemptionId, Revision, Secret};

use super::callers::{new_key, service};
use super::world::{KEK, PASSWORD, Shown as _, World, actor, allowed, named, parts, tenant};

/// How often a store was asked what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    looks: usize,
    snapshots: usize,
    transactions: usize,
    others: usize,
}

/// A store that counts, and that can be away.
#[derive(Debug)]
pub(crate) struct Counted {
    store: Arc<dyn Store>,
    looks: AtomicUsize,
    snapshots: AtomicUsize,
    transactions: AtomicUsize,
    others: AtomicUsize,
    is_away: AtomicBool,
}

impl Counted {
    fn new(store: Arc<dyn Store>) -> Self {
        let zero = AtomicUsize::default;
        Self { store, looks: zero(), snapshots: zero(), transactions: zero(), others: zero(), is_away: false.into() }
    }

    /// Whether nothing can be written from now on.
    pub(crate) fn is_away(&self, away: bool) {
        self.is_away.store(away, Ordering::Relaxed);
    }

    /// Since the last time.
    fn taken(&self) -> Asked {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
        Asked {
            looks: take(&self.looks),
            snapshots: take(&self.snapshots),
            transactions: take(&self.transactions),
            others: take(&self.others),
        }
    }
}

fn count(what: &AtomicUsize) {
    what.fetch_add(1, Ordering::Relaxed);
}

#[async_trait]
impl Certified for Counted {
    async fn certified(&self, name: &CertificateName) -> Result<(Head, Option<Arc<StandingRows>>), StoreError> {
        count(&self.looks);
        self.store.certified(name).await
    }
}

impl Connections for Counted {
    fn connections(&self) -> Vec<PoolUse> {
        self.store.connections()
    }
}

#[async_trait]
impl Store for Counted {
    async fn read(&self) -> Result<Box<dyn ReadView>, StoreError> {
        count(&self.snapshots);
        self.store.read().await
    }

    async fn write(&self) -> Result<Box<dyn WriteTx>, StoreError> {
        count(&self.transactions);
        if self.is_away.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("it is away".into()));
        }
        self.store.write().await
    }

    async fn write_urgently(&self) -> Result<Box<dyn WriteTx>, StoreError> {
        count(&self.transactions);
        self.store.write_urgently().await
    }

    async fn standing(&self, id: CredentialId) -> Result<(Head, Option<Arc<StandingRows>>), StoreError> {
        count(&self.looks);
        self.store.standing(id).await
    }

    async fn standing_with_parent(&self, id: CredentialId) -> Result<(Head, Option<WithParent>), StoreError> {
        count(&self.looks);
        self.store.standing_with_parent(id).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        count(&self.others);
        self.store.head().await
    }

    async fn head_after(&self, known: u64) -> Result<Head, StoreError> {
        count(&self.others);
        self.store.head_after(known).await
    }

    async fn log_after(&self, seq: u64, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        count(&self.others);
        self.store.log_after(seq, limit).await
    }

    async fn revision_at(&self, seq: u64) -> Result<Option<Revision>, StoreError> {
        count(&self.others);
        self.store.revision_at(seq).await
    }

    async fn horizon(&self) -> Result<u64, StoreError> {
        count(&self.others);
        self.store.horizon().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

/// An authority over the same rows, and what it asks for.
pub(crate) async fn counted(world: &World) -> (Arc<Counted>, Authority) {
    let counted = Arc::new(Counted::new(Arc::clone(&world.store)));
    let store = Arc::clone(&counted) as Arc<dyn Store>;
    let parts = parts(store, &world.clock, &world.hasher, KeyEncryptionKey::new(&KEK));
    (counted, Authority::open(parts).await.expect("opens"))
}

async fn verify(authority: &Authority, presented: Presented<'_>) -> Verdict {
    authority.verify(presented, &PresentationContext::default()).await.expect("a verdict")
}

#[tokio::test]
async fn a_verdict_takes_one_look_whatever_is_presented() {
    let world = World::new().await;
    let bearers = [world.log_in().await.1.access, world.api_key().await.shown(), world.cookie().await.1];
    let (counted, authority) = counted(&world).await;
    // The public half of a signing key is kept from its first use on.
    verify(&authority, Presented::Bearer(&bearers[0])).await;
    for bearer in &bearers {
        counted.taken();
        let verdict = verify(&authority, Presented::Bearer(bearer)).await;
        allowed(verdict);
        assert_eq!(counted.taken(), Asked { looks: 1, ..Asked::default() });
    }
    // Its revision, and nothing else.
    verify(&authority, Presented::Bearer(&Secret::from("not a credential"))).await;
    assert_eq!(counted.taken(), Asked { others: 1, ..Asked::default() });
}

#[tokio::test]
async fn a_caller_takes_one_look() {
    let world = World::new().await;
    service(&world, "backend").await;
    let key = world.authority.create_api_key(&world.admin, new_key("backend", Scopes::all())).await.expect("a new key");
    let (counted, authority) = counted(&world).await;
    counted.taken();
    authority.authenticate_caller(&key.shown(), None).await.expect("a good key");
    assert_eq!(counted.taken(), Asked { looks: 1, ..Asked::default() });
}

#[tokio::test]
async fn a_ticket_takes_a_look_and_the_transaction_that_spends_it() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let ticket = world.ticket(&tokens.access, None, None).await;
    let (counted, authority) = counted(&world).await;
    counted.taken();
    let redemption = RedemptionId::from_bytes([1; 16]);
    allowed(verify(&authority, Presented::Ticket { ticket: &ticket, redemption }).await);
    assert_eq!(counted.taken(), Asked { looks: 1, transactions: 1, ..Asked::default() });
}

/// Those of identities are noted, and in no transaction more.
#[tokio::test]
async fn a_refused_login_takes_the_same_whoever_it_is_about() {
    let world = World::new().await;
    service(&world, "robot").await;
    service(&world, "backend").await;
    world.authority.disable_identity(&actor(), &tenant(), &named("backend")).await.expect("disables");
    let (counted, authority) = counted(&world).await;
    let mut taken = Vec::new();
    for name in ["nobody", "alice", "robot", "backend"] {
        counted.taken();
        let outcome = authority.log_in(&actor(), world.attempt(name, "wrong horse battery")).await.expect("an outcome");
        assert!(matches!(outcome, LoginOutcome::Denied(_)), "{name}");
        taken.push(counted.taken());
    }
    assert!(taken.iter().all(|one| *one == taken[0] && one.transactions == 1), "{taken:?}");
}

/// A transaction more would tell by its time that the password is right.
#[tokio::test]
async fn in_a_suspended_tenant_a_right_password_takes_what_a_wrong_one_takes() {
    let world = World::new().await;
    world.authority.suspend_tenant(&actor(), &tenant()).await.expect("suspends");
    let (counted, authority) = counted(&world).await;
    let log_in = async |password| {
        counted.taken();
        let before = world.hasher.evaluations();
        let outcome = authority.log_in(&actor(), world.attempt("alice", password)).await.expect("an outcome");
        assert!(matches!(outcome, LoginOutcome::Denied(_)), "{password}");
        assert_eq!(world.hasher.evaluations(), before + 1, "{password}");
        counted.taken()
    };
    assert_eq!(log_in("wrong horse battery").await, log_in(PASSWORD).await);
}

/// What is asked more for whoever exists would tell who does, to anybody with a device of any account.
#[tokio::test]
async fn whatever_device_is_shown_nobody_takes_what_somebody_takes() {
    let world = World::new().await;
    let (counted, authority) = counted(&world).await;
    let remembered = LoginAttempt { brought: remember(None), ..world.attempt("alice", PASSWORD) };
    let LoginOutcome::Granted(opened) = authority.log_in(&actor(), remembered).await.expect("an outcome") else {
        panic!("the password is right")
    };
    let hers = opened.device.expect("it is remembered").value;
    world.revoke(RevokeTarget::Identity(named("alice"))).await;
    for shown in [None, Some(hers), Some(Secret::from("dv_x"))] {
        let log_in = async |name| {
            counted.taken();
            let before = world.hasher.evaluations();
            let attempt =
                LoginAttempt { brought: remember(shown.clone()), ..world.attempt(name, "wrong horse battery") };
            let outcome = authority.log_in(&actor(), attempt).await.expect("an outcome");
            assert_eq!(world.hasher.evaluations(), before + 1, "{name}");
            (counted.taken(), format!("{outcome:?}"))
        };
        assert_eq!(log_in("nobody").await, log_in("alice").await, "{shown:?}");
    }
}

fn remember(device: Option<Secret>) -> Brought {
    Brought { device, remember: true, ..Brought::default() }
}

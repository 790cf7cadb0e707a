//! A hasher that counts, and that can be held in the middle of a password.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use auth_domain::{Argon2id, ForeignLimits, HashError, HashQueue, PasswordHasher, PasswordHashes, UnfitHash};
use portcullis_types::{Secret, SystemEntropy};
use tokio::sync::oneshot;

#[derive(Debug)]
pub(crate) struct CountingHasher {
    hashes: PasswordHashes,
    evaluations: AtomicUsize,
    last_checked: Mutex<String>,
    last_queue: Mutex<Option<HashQueue>>,
    gate: Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
}

impl CountingHasher {
    pub(crate) fn new() -> Self {
        Self::with_memory(8)
    }

    pub(crate) fn with_memory(kib: u32) -> Self {
        let argon = Argon2id::new(kib, 1, 1).expect("small parameters");
        let limits = ForeignLimits { memory_kib: 16_384, bcrypt_cost: 6 };
        Self {
            hashes: PasswordHashes::new(argon, limits),
            evaluations: AtomicUsize::new(0),
            last_checked: Mutex::default(),
            last_queue: Mutex::default(),
            gate: Mutex::new(None),
        }
    }

    /// Holds the next check: the first channel says that it began, the second lets it go on.
    pub(crate) fn hold_next(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let (began, hear_began) = oneshot::channel();
        let (go_on, wait) = oneshot::channel();
        *self.gate.lock().expect("not poisoned") = Some((began, wait));
        (hear_began, go_on)
    }

    /// The hash that a password was checked against last.
    pub(crate) fn last_checked(&self) -> String {
        self.last_checked.lock().expect("not poisoned").clone()
    }

    /// The queue in which it waited.
    pub(crate) fn last_queue(&self) -> Option<HashQueue> {
        *self.last_queue.lock().expect("not poisoned")
    }

    pub(crate) fn evaluations(&self) -> usize {
        self.evaluations.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl PasswordHasher for CountingHasher {
    async fn hash(&self, password: Secret) -> Result<String, HashError> {
        self.evaluations.fetch_add(1, Ordering::SeqCst);
        self.hashes.hash(&password, &SystemEntropy)
    }

    async fn verify(&self, queue: HashQueue, password: Secret, phc: String) -> Result<bool, HashError> {
        *self.last_queue.lock().expect("not poisoned") = Some(queue);
        let gate = self.gate.lock().expect("not poisoned").take();
        if let Some((began, wait)) = gate {
            began.send(()).expect("the test listens");
            wait.await.expect("the test lets it go on");
        }
        self.evaluations.fetch_add(1, Ordering::SeqCst);
        self.last_checked.lock().expect("not poisoned").clone_from(&phc);
        self.hashes.verify(&password, &phc)
    }

    fn is_current(&self, phc: &str) -> bool {
        self.hashes.is_current(phc)
    }

    fn check_foreign(&self, hash: &str) -> Result<(), UnfitHash> {
        self.hashes.check(hash)
    }
}

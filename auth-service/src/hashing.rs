//! The pool on which passwords are hashed: a bounded number at once, a bounded number waiting in each of its queues.
//!
//! Owns the threads on which they are hashed, which give way to all others: see [`NICE`].
//! Guarantees: a client that leaves does not free the place of a hash that still runs, because the blocking task owns
//! its permit; so memory is at most `workers` evaluations, whatever clients do. When the queue is full, the answer is
//! [`HashError::Overloaded`] at once.

use std::sync::Arc;

use async_trait::async_trait;
use auth_domain::{Argon2id, HashError, HashQueue, PasswordHasher, PasswordHashes, UnfitHash};
use portcullis_types::Secret;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;
use crate::metrics::Metrics;
use crate::startup::Surroundings;

/// By how much a hash gives way (`setpriority(2)`): where there is more to do than the processor can, it gets a tenth of
/// what a verdict gets, so that logins go on, and a flood of them is not felt by those who are verified.
const NICE: i32 = 10;

/// The threads that hash, apart from those that answer. A thread cannot be given its old priority back.
#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Threads {
    /// At most so many; each begins when it is needed.
    fn new(workers: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(workers)
            .thread_name("hash")
            .on_thread_start(|| {
                // In Linux these are about the thread that asks.
                let inherited = rustix::process::getpriority_process(None);
                let lowered = inherited.and_then(|nice| rustix::process::setpriority_process(None, nice + NICE));
                if let Err(error) = lowered {
                    tracing::warn!(%error, "logins may delay verdicts: a thread that hashes cannot give way");
                }
            })
            .build()?;
        Ok(Self(Some(runtime)))
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, HashError> {
        let runtime = self.0.as_ref().ok_or(HashError::Failed)?;
        runtime.spawn_blocking(work).await.map_err(|_| HashError::Failed)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // What still hashes is not waited for: a runtime must not wait within another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The pool.
#[derive(Debug)]
pub(crate) struct HashPool {
    hashes: PasswordHashes,
    around: Surroundings,
    metrics: Arc<Metrics>,
    known: Lane,
    unknown: Lane,
    refused: Lane,
    makings: Lane,
    workers: Arc<Semaphore>,
    threads: Threads,
}

/// A queue of its own for each kind of those who log in, and another for those who were let in: a flood of one neither
/// takes the places of the others nor stands before them.
#[derive(Debug)]
struct Lane {
    admitted: Arc<Semaphore>,
    /// How many of this queue may ask for a worker at once.
    turns: Arc<Semaphore>,
}

impl Lane {
    fn new(workers: usize, queue: usize) -> Self {
        Self { admitted: Arc::new(Semaphore::new(workers + queue)), turns: Arc::new(Semaphore::new(workers)) }
    }
}

/// A place in the pool; the gauge follows it.
struct Place {
    metrics: Arc<Metrics>,
    _admitted: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.hash_depth.dec();
    }
}

impl HashPool {
    /// With the configured parameters and bounds.
    pub(crate) fn new(config: &Config, around: Surroundings, metrics: Arc<Metrics>) -> Result<Self, HashError> {
        let Config { password, password_import, .. } = config;
        let argon = Argon2id::new(password.memory_kib, password.iterations, password.parallelism)?;
        Ok(Self {
            hashes: PasswordHashes::new(argon, password_import.limits()),
            around,
            metrics,
            known: Lane::new(password.workers, password.queue),
            unknown: Lane::new(password.workers, password.queue),
            refused: Lane::new(password.workers, password.queue),
            makings: Lane::new(password.workers, password.queue),
            workers: Arc::new(Semaphore::new(password.workers)),
            threads: Threads::new(password.workers).map_err(|_| HashError::Failed)?,
        })
    }

    fn admit(&self, lane: &Lane) -> Result<Place, HashError> {
        let Ok(admitted) = Arc::clone(&lane.admitted).try_acquire_owned() else {
            self.metrics.hash_rejected.inc();
            return Err(HashError::Overloaded);
        };
        self.metrics.hash_depth.inc();
        Ok(Place { metrics: Arc::clone(&self.metrics), _admitted: admitted })
    }

    /// What runs is finished; what waits when the process is asked to end is told so.
    async fn wait_for(&self, places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, HashError> {
        tokio::select! {
            biased;
            () = self.around.shutdown.requested() => Err(HashError::Leaving),
            place = Arc::clone(places).acquire_owned() => place.map_err(|_| HashError::Failed),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        lane: &Lane,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let place = self.admit(lane)?;
        let began = self.around.clock.boottime();
        let turn = self.wait_for(&lane.turns).await?;
        let worker = self.wait_for(&self.workers).await?;
        self.metrics.hash_wait.observe(self.around.clock.boottime().saturating_since(began).as_secs_f64());
        self.threads
            .run(move || {
                let _held = (place, turn, worker);
                work()
            })
            .await?
    }
}

#[async_trait]
impl PasswordHasher for HashPool {
    async fn hash(&self, password: Secret) -> Result<String, HashError> {
        let (hashes, entropy) = (self.hashes.clone(), Arc::clone(&self.around.entropy));
        self.run(&self.makings, move || hashes.hash(&password, &*entropy)).await
    }

    async fn verify(&self, queue: HashQueue, password: Secret, phc: String) -> Result<bool, HashError> {
        let lane = match queue {
            HashQueue::Known => &self.known,
            HashQueue::Unknown => &self.unknown,
            HashQueue::Refused => &self.refused,
        };
        if let Err(unfit) = self.hashes.check(&phc) {
            tracing::error!(%unfit, "a stored password cannot be verified: raise `password_import`, or reset it");
            // Refused like a wrong one, after as much work: an answer of its own would tell that the account exists.
            let (hashes, entropy) = (self.hashes.clone(), Arc::clone(&self.around.entropy));
            return self.run(lane, move || hashes.hash(&password, &*entropy).map(|_| false)).await;
        }
        let hashes = self.hashes.clone();
        self.run(lane, move || hashes.verify(&password, &phc)).await
    }

    fn is_current(&self, phc: &str) -> bool {
        self.hashes.is_current(phc)
    }

    fn check_foreign(&self, hash: &str) -> Result<(), UnfitHash> {
        self.hashes.check(hash)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Barrier, mpsc};
    use std::task::Poll;

    use portcullis_types::{Shutdown, SystemClock, SystemEntropy};

    use super::*;
    use crate::config::Password;

    fn pool(workers: usize, queue: usize) -> HashPool {
        let password = Password { memory_kib: 8, iterations: 1, parallelism: 1, workers, queue };
        let config = Config { password, ..Config::default() };
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let around = Surroundings { clock, entropy, shutdown: Shutdown::new() };
        HashPool::new(&config, around, Arc::new(Metrics::new())).expect("the smallest parameters")
    }

    #[tokio::test]
    async fn a_password_is_known_again() {
        let pool = pool(1, 1);
        let phc = pool.hash(Secret::from("correct horse")).await.expect("there is room");
        assert!(
            pool.verify(HashQueue::Unknown, Secret::from("correct horse"), phc.clone()).await.expect("there is room")
        );
        assert!(!pool.verify(HashQueue::Unknown, Secret::from("battery staple"), phc).await.expect("there is room"));
        assert_eq!(pool.metrics.hash_depth.get(), 0);
    }

    #[tokio::test]
    async fn more_than_the_queue_holds_is_refused_at_once() {
        let pool = pool(1, 1);
        let (go, wait) = mpsc::channel::<()>();
        let mut working = std::pin::pin!(pool.run(&pool.unknown, move || wait.recv().map_err(|_| HashError::Failed)));
        let mut waiting = std::pin::pin!(pool.run(&pool.unknown, || Ok(())));
        assert!(futures_util::poll!(&mut working).is_pending() && futures_util::poll!(&mut waiting).is_pending());
        assert!(matches!(pool.run(&pool.unknown, || Ok(())).await, Err(HashError::Overloaded)));
        assert_eq!((pool.metrics.hash_depth.get(), pool.metrics.hash_rejected.get()), (2, 1));
        go.send(()).expect("it waits");
        assert!(working.await.is_ok() && waiting.await.is_ok());
    }

    #[tokio::test]
    async fn a_client_that_leaves_does_not_free_the_place_of_a_hash_that_runs() {
        let pool = pool(1, 1);
        let (go, wait) = mpsc::channel::<()>();
        {
            let mut left = Box::pin(pool.run(&pool.unknown, move || wait.recv().map_err(|_| HashError::Failed)));
            assert!(futures_util::poll!(&mut left).is_pending());
        }
        assert_eq!(pool.workers.available_permits(), 0, "it still runs");
        let mut next = std::pin::pin!(pool.run(&pool.unknown, || Ok(())));
        assert!(futures_util::poll!(&mut next).is_pending());
        go.send(()).expect("it waits");
        assert!(next.await.is_ok());
    }

    #[tokio::test]
    async fn a_hash_gives_way_to_whatever_else_is_to_be_done() {
        let pool = pool(1, 1);
        let priority = || rustix::process::getpriority_process(None).map_err(|_| HashError::Failed);
        let before = priority().expect("it can be read");
        assert_eq!(pool.run(&pool.unknown, priority).await.expect("there is room"), (before + NICE).min(19));
        assert_eq!(priority().expect("it can be read"), before, "nobody else does");
    }

    /// Memory is at most so many evaluations: whatever is asked for at once, of whatever kind, and whoever leaves.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_flood_computes_no_more_hashes_at_once_than_there_are_workers() {
        let pool = Arc::new(pool(2, 200));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let both = Arc::new(Barrier::new(2));
        let ask = |n: usize| {
            let (pool, now, most, both) = (Arc::clone(&pool), Arc::clone(&now), Arc::clone(&most), Arc::clone(&both));
            async move {
                let lane = if n.is_multiple_of(2) { &pool.unknown } else { &pool.makings };
                let hashed = pool.hashes.clone();
                let work = pool.run(lane, move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    // Two of them run at the same time for sure.
                    if n == 1 || n == 2 {
                        both.wait();
                    }
                    let hash = hashed.hash(&Secret::from("correct horse"), &SystemEntropy);
                    now.fetch_sub(1, Ordering::SeqCst);
                    hash
                });
                let mut work = Box::pin(work);
                // Every third client leaves as soon as it has asked, and may have been answered by then.
                if n.is_multiple_of(3) {
                    return !matches!(futures_util::poll!(&mut work), Poll::Ready(Err(_)));
                }
                work.await.is_ok()
            }
        };
        let asked: Vec<_> = (0..200).map(|n| tokio::spawn(ask(n))).collect();
        for answer in asked {
            assert!(answer.await.expect("no client panics"));
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_flood_of_logins_neither_refuses_a_new_password_nor_stands_before_it() {
        let pool = pool(1, 2);
        let (go, wait) = mpsc::channel::<()>();
        let mut working = std::pin::pin!(pool.run(&pool.unknown, move || wait.recv().map_err(|_| HashError::Failed)));
        assert!(futures_util::poll!(&mut working).is_pending());
        let mut first = std::pin::pin!(pool.run(&pool.unknown, || Ok(())));
        let mut second = std::pin::pin!(pool.run(&pool.unknown, || Ok(())));
        assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
        assert!(matches!(pool.run(&pool.unknown, || Ok(())).await, Err(HashError::Overloaded)), "the flood is full");
        let mut making = std::pin::pin!(pool.run(&pool.makings, || Ok(())));
        assert!(futures_util::poll!(&mut making).is_pending());
        go.send(()).expect("it waits");
        // Those who wait to log in are not even asked: what stood before it would stop it for ever.
        assert!(working.await.is_ok() && making.await.is_ok());
    }

    #[tokio::test]
    async fn a_flood_of_those_who_are_refused_anyway_keeps_nobody_from_logging_in() {
        let pool = pool(1, 1);
        let (go, wait) = mpsc::channel::<()>();
        let mut working = std::pin::pin!(pool.run(&pool.refused, move || wait.recv().map_err(|_| HashError::Failed)));
        let phc = pool.hashes.hash(&Secret::from("correct horse"), &SystemEntropy).expect("the smallest parameters");
        let ask = |queue| pool.verify(queue, Secret::from("correct horse"), phc.clone());
        let mut second = ask(HashQueue::Refused);
        assert!(futures_util::poll!(&mut working).is_pending() && futures_util::poll!(&mut second).is_pending());
        assert!(matches!(ask(HashQueue::Refused).await, Err(HashError::Overloaded)), "the flood is full");
        let (mut known, mut unknown) = (ask(HashQueue::Known), ask(HashQueue::Unknown));
        assert!(futures_util::poll!(&mut known).is_pending() && futures_util::poll!(&mut unknown).is_pending());
        go.send(()).expect("it waits");
        // The second of the flood is not asked any more: what stood before the others would stop them for ever.
        assert!(
            working.await.is_ok() && known.await.is_ok_and(|right| right) && unknown.await.is_ok_and(|right| right)
        );
    }

    #[tokio::test]
    async fn a_password_whose_hash_costs_more_than_is_allowed_now_is_refused_like_a_wrong_one() {
        let pool = pool(1, 1);
        let dear = "$argon2id$v=19$m=4194304,t=3,p=1$c29tZXNhbHQxMjM0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert!(pool.check_foreign(dear).is_err());
        let answer = pool.verify(HashQueue::Unknown, Secret::from("correct horse"), dear.to_owned()).await;
        assert!(answer.is_ok_and(|right| !right));
    }

    #[tokio::test]
    async fn who_waits_when_the_process_ends_is_told_so_and_who_runs_is_answered() {
        let pool = pool(1, 2);
        let (go, wait) = mpsc::channel::<()>();
        let mut working = std::pin::pin!(pool.run(&pool.unknown, move || wait.recv().map_err(|_| HashError::Failed)));
        let mut waiting = std::pin::pin!(pool.run(&pool.unknown, || Ok(())));
        assert!(futures_util::poll!(&mut working).is_pending() && futures_util::poll!(&mut waiting).is_pending());
        pool.around.shutdown.request();
        assert!(matches!(waiting.await, Err(HashError::Leaving)));
        assert!(matches!(pool.run(&pool.unknown, || Ok(())).await, Err(HashError::Leaving)));
        go.send(()).expect("it waits");
        assert!(working.await.is_ok());
    }
}

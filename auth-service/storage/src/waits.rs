//! Who waits for a connection of a pool.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use auth_domain::PoolUse;
use sqlx::{Database, Pool};

/// Counts those who wait, whatever ends their waiting.
#[derive(Debug, Default)]
pub(crate) struct Waits(AtomicUsize);

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Waits {
    /// Counts one more until `wait` has ended or is given up.
    pub(crate) async fn during<T>(&self, wait: impl Future<Output = T>) -> T {
        self.0.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.0);
        wait.await
    }

    /// How the pool that they wait for is used.
    pub(crate) fn of<DB: Database>(&self, name: &'static str, pool: &Pool<DB>) -> PoolUse {
        let (open, idle) = (pool.size() as usize, pool.num_idle());
        let most = pool.options().get_max_connections() as usize;
        let waiting = self.0.load(Ordering::Relaxed);
        PoolUse { pool: name, busy: open.saturating_sub(idle), idle, most, waiting }
    }
}

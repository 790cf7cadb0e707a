//! The open sockets of this process.
//!
//! Owns their numbers and their mailboxes, for draining. Bounded by the listener's cap on connections.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway_core::ConnectionId;

use crate::mailbox::Mailbox;

/// See the module.
#[derive(Debug, Default)]
pub struct Inventory {
    last: AtomicU64,
    open: Mutex<HashMap<ConnectionId, Arc<Mailbox>>>,
}

impl Inventory {
    /// A new socket with this mailbox.
    pub fn enter(&self, mailbox: Arc<Mailbox>) -> ConnectionId {
        let connection = ConnectionId::new(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        self.lock().insert(connection, mailbox);
        connection
    }

    /// The socket is gone.
    pub fn leave(&self, connection: ConnectionId) {
        self.lock().remove(&connection);
    }

    /// All of them now.
    pub fn mailboxes(&self) -> Vec<Arc<Mailbox>> {
        self.lock().values().map(Arc::clone).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    // Each step leaves the map whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Mailbox>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

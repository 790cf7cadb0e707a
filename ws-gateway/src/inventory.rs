//! The open sockets of this process.
//!
//! Owns their numbers and their mailboxes, for draining. Refuses more than it may hold.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway_core::ConnectionId;

use crate::mailbox::Mailbox;

/// See the module.
#[derive(Debug)]
pub struct Inventory {
    most: usize,
    last: AtomicU64,
    open: Mutex<HashMap<ConnectionId, Arc<Mailbox>>>,
}

impl Inventory {
    /// Empty, and never with more than `most`.
    pub fn holding(most: usize) -> Self {
        Self { most, last: AtomicU64::new(0), open: Mutex::default() }
    }

    /// A new socket with this mailbox; none when there are as many as may be.
    pub fn enter(&self, mailbox: Arc<Mailbox>) -> Option<ConnectionId> {
        let mut open = self.lock();
        if open.len() >= self.most {
            return None;
        }
        let connection = ConnectionId::new(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        open.insert(connection, mailbox);
        Some(connection)
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

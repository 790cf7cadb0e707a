//! A PostgreSQL server for as long as a test program runs.
//!
//! Owns: a server's directory, its process, and an empty database for each test.
//! Guarantees: servers listen on this machine alone, on ports that were free; they stop and their directories are gone
//! when the test program ends, even when it is killed. As the superuser, who may not run one, it is run by the user
//! that Debian's package makes, or by `nobody`.
//! Refuses: to install anything; what is missing is named with the command that brings it.

mod programs;
mod server;
mod watchdog;

pub use server::{Options, Server, address};

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A new empty database on the one server of this test program: its address.
///
/// # Panics
/// When there is no PostgreSQL, or it does not start.
pub fn database() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let server = SERVER.get_or_init(|| Server::start(Options::default()));
    server.create_database(&format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

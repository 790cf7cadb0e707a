//! A PostgreSQL server for as long as a test program runs.
//!
//! Owns: a server's directory, its process, and an empty database for each test.
//! Guarantees: servers listen on this machine alone, on ports that nobody else is given; they stop and their directories
//! are gone when the test program ends, even when it is killed. As the superuser, who may not run one, it is run by the
//! user that Debian's package makes, or by `nobody`.
//! Refuses: to install anything; what is missing is named with the command that brings it.

mod database;
mod port;
mod programs;
mod server;
mod watchdog;

pub use database::{Database, database};
pub use server::{Options, Server, address};

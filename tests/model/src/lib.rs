//! The revocation protocol as a model: one shard of the log, up to two replicas of the authority, one gateway.
//!
//! Owns the abstract protocol, what may go wrong around it, what it promises, and every rule that can be broken on
//! purpose to see the promise fail. Explored exhaustively, within bounds, by a model checker.
//! Refuses: to know anything of the product's code; the cores have property tests of their own. The README says what
//! is modelled and what is not.

mod action;
mod authority;
mod config;
mod explore;
mod fixed;
mod gateway;
mod mutants;
mod prefix;
mod property;
mod receipt;
mod state;
mod stream;

pub use config::{Config, Fault, Heads, Registrations};
pub use explore::{Exploration, explore, explore_until_broken};
pub use fixed::{FIXED, Fixed, LARGE};
pub use mutants::{MUTANTS, Mutant};
pub use property::Promise;

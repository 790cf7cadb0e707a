//! The promise, held against both real cores at once.
//!
//! `auth-domain`'s ring, watchers, cursors and registrations are joined with `gateway-core`'s enforcer by a network, a
//! store and clocks that are simulated, and delay, lose and interleave whatever they can. What is checked after every
//! step is what the protocol promises, and none of the rules that keep it. Each rule of `tests/model` is then broken in
//! its turn, and missed: `table.rs`, with the feature `faults`.

mod authority;
mod broken;
mod events;
mod gateway;
mod promise;
#[cfg(feature = "faults")]
mod table;
mod world;

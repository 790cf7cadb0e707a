//! The gateway as a program: sockets, clocks and the line to the authority around the rules of `gateway-core`.
//!
//! Owns no rule about who may be connected or what may be said: those are `gateway-core`'s. Owns listening, the
//! handshake, the verdict cache, the watch, one task a connection, and how all of it starts and ends.
//!
//! ```text
//! listener ─ routes ─ handshake ─ credential ─┐
//!                                             ├─ admission ─ verifier ─ authority
//! connection ─ wire, mailbox, farewell ───────┘      │
//!      └─ broker                                enforcement ─ watch, reverify ─ authority
//! ```
#![forbid(unsafe_code)]

pub mod admission;
pub mod authority;
pub mod broker;
pub mod closings;
pub mod config;
pub mod connection;
pub mod credential;
pub mod drain;
pub mod enforcement;
pub mod farewell;
pub mod gauges;
pub mod handshake;
pub mod hub;
pub mod inventory;
pub mod listener;
pub mod mailbox;
pub mod metrics;
pub mod origin;
pub mod problem;
pub mod reverify;
pub mod routes;
pub mod startup;
pub mod verifier;
pub mod watch;
pub mod wire;

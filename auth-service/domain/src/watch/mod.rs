//! How gateways follow the revocation log, without I/O: entries and the time in, messages out.
//!
//! Owns: the [`Ring`] of recent entries that all watchers share, the judgement of a gateway's [`cursor`](judge), and the
//! [`Watcher`], the state of one watch; and which gateways may hold a lease and what they enforce ([`Registrations`]), and where
//! several processes answer gateways, which probes a proof of the head answers ([`Beats`]).
//! Guarantees: a watcher emits every entry after its start exactly once and in order, each chained to the one before it;
//! a checkpoint never overtakes an entry that its head includes.
//! Refuses: reading the store, waiting, and any queue of its own: a watcher that is slow costs a cursor.

mod beats;
mod cursor;
mod entry;
mod receipt;
mod registrations;
mod ring;
mod watcher;

pub use beats::{Beats, TooManyWaiting};
pub use cursor::{Position, judge};
pub use entry::{Entry, InvalidEntry};
pub use receipt::{Acknowledgement, GatewayReceipt, GatewayState, Receipt, Status};
pub use registrations::{Able, Committed, Registrations, Run, Terms, TooManyGateways};
pub use ring::{Found, NotContiguous, Ring, RingLimits};
pub use watcher::{End, Freshness, Message, Next, Resync, TooManyProbes, Watcher, WatcherParts};

#[cfg(test)]
mod tests;

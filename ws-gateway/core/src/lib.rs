//! The gateway's rules: who may be connected, and what a connection may say.
//!
//! Owns: the enforcement half ([`Enforcer`], [`Guard`], [`Verdict`]), which decides about connections by the
//! authority's log, and the hub half (client protocol, channels, outgoing queues), which the connections speak.
//! Guarantees: every rule is a function of its input and the time that is passed in, so that production, simulation and
//! model run the same code.
//! Refuses: sockets, clocks, runtimes, and any knowledge of how the authority stores what it knows.

mod enforcer;
pub mod faults;
mod guard;
mod index;
mod lease;
mod registry;
mod verdict;

pub use enforcer::{Counts, Enforcer, Input, NotAdmitted, Output, ResyncReason, Settings, State, Welcome};
pub use guard::{Fence, Guard, Stop, Wake};
pub use lease::Deadlines;
pub use verdict::{CredentialReference, Judgement, Presentation, Principal, Refused, Verdict};

mod channels;
mod close;
mod connection_id;
mod denial;
mod grants;
mod outbox;
pub mod protocol;
pub mod session;

pub use channels::{Channels, Receiver};
pub use close::CloseReason;
pub use connection_id::ConnectionId;
pub use denial::{CredentialForm, Denial, Refusal};
pub use grants::{Action, Grants, InvalidPattern};
pub use outbox::{Outbox, Pushed};
pub use session::Session;

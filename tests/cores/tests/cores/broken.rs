//! Runs something with a rule broken inside the cores; without the feature `faults`, with none.

use protocol_model::Fault;

#[cfg(feature = "faults")]
mod cores {
    use gateway_core::faults::Fault as G;

    use super::Fault;
    use crate::table::{Place, place};

    /// Does something with the cores broken as this fault says.
    pub(crate) fn with_fault<T>(fault: Option<Fault>, what: impl FnOnce() -> T) -> T {
        // Nothing is put right that somebody else has broken.
        let Some(fault) = fault else { return what() };
        let (gateway, authority) = match place(fault) {
            Place::Gateway(broken) => (Some(broken), None),
            Place::Authority(broken) => (None, Some(broken)),
            Place::Both(gateway, authority) => (Some(gateway), Some(authority)),
            Place::Standing | Place::Around | Place::Nowhere => (None, None),
        };
        gateway_core::faults::while_broken(gateway, || auth_domain::faults::while_broken(authority, what))
    }

    /// Admits without a look into the index.
    pub(crate) fn unchecked<T>(what: impl FnOnce() -> T) -> T {
        gateway_core::faults::while_broken(Some(G::HandshakeUnchecked), what)
    }
}

#[cfg(not(feature = "faults"))]
mod cores {
    use super::Fault;

    pub(crate) fn with_fault<T>(_: Option<Fault>, what: impl FnOnce() -> T) -> T {
        what()
    }

    pub(crate) fn unchecked<T>(what: impl FnOnce() -> T) -> T {
        what()
    }
}

pub(crate) use cores::{unchecked, with_fault};

//! Rules that a test may break while it runs, to see the promise break with them.
//!
//! Owns the list of them, and which one is broken on this thread. Without the feature `faults`, which no program
//! enables, none ever is: `is_broken` is the constant `false`, and what stands behind it is compiled away.

/// A rule, named by what is done instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Positions are compared by number alone.
    NoChain,
    /// A verdict admits without a look into the index.
    HandshakeUnchecked,
    /// A verdict from below the floor of the index is judged by what is left of it.
    FloorUnchecked,
    /// The index forgets without raising its floor.
    ForgottenSilently,
    /// The lease counts from when a checkpoint came, not from when it was asked for.
    LeaseFromReceipt,
    /// The lease is renewed though entries up to the head are missing.
    RenewedBehindHead,
    /// A frame does not look at the deadline.
    TimerOnly,
    /// After a resync, who rests on a position that looks new enough is not judged again.
    OldBranchKept,
    /// After a resync nobody is judged again.
    ReconcileSkipped,
    /// After a resync handshakes are admitted on the lease from before it.
    AdmittedUnproven,
    /// A resync begins a new lease.
    ResyncExtendsLease,
    /// A resumed watch begins a new lease.
    ThawBeforeCatchUp,
    /// A position is claimed before everybody from before a resync was judged again.
    AcknowledgedWhileReconciling,
    /// A run says that it is over while somebody passes frames.
    ReleasedEarly,
    /// A run that said that it is over admits somebody.
    AdmittedAfterRelease,
}

#[cfg(not(feature = "faults"))]
pub(crate) const fn is_broken(_: Fault) -> bool {
    false
}

#[cfg(feature = "faults")]
thread_local! {
    static BROKEN: portcullis_types::faults::Broken<Fault> = const { portcullis_types::faults::Broken::new(None) };
}

#[cfg(feature = "faults")]
pub(crate) fn is_broken(fault: Fault) -> bool {
    portcullis_types::faults::is_broken(&BROKEN, fault)
}

/// Does something on this thread with this rule broken, or with none.
#[cfg(feature = "faults")]
pub fn while_broken<T>(fault: Option<Fault>, what: impl FnOnce() -> T) -> T {
    portcullis_types::faults::while_broken(&BROKEN, fault, what)
}

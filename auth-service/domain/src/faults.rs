//! Rules that a test may break while it runs, to see the promise break with them.
//!
//! Owns the list of them, and which one is broken on this thread. Without the feature `faults`, which no program
//! enables, none ever is: `is_broken` is the constant `false`, and what stands behind it is compiled away.

/// A rule, named by what is done instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Positions are compared by number alone.
    NoChain,
    /// A checkpoint does not say how old its knowledge of the head is.
    StaleTail,
    /// A checkpoint overtakes entries that its head includes.
    CheckpointOvertakes,
    /// A newer run of a gateway takes the place of an older one.
    RegisteredByName,
    /// Only the first probe of a run is recorded.
    RegistrationNotRenewed,
    /// Acknowledgements are compared by number alone.
    AcknowledgedByNumber,
    /// A process that lost its registrations answers from what it has.
    EmptyAfterRestart,
    /// Clocks are taken to run alike.
    ElapsedWithoutDrift,
    /// A session that was inserted after the end of what it rests on lives, whatever revision it was begun at.
    IssueRevisionIgnored,
    /// A session lives though it was begun on a branch of the log that was lost.
    LoginSpansFailover,
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

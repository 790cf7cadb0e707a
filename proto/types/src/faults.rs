//! Which rule is broken on this thread: for tests that break rules of a core while it runs.
//!
//! Each core has a list of its own and a place of its own for the one that is broken. Only with the feature `faults`, which
//! no program enables.

use std::cell::Cell;
use std::thread::LocalKey;

/// Where a core keeps which of its rules is broken on this thread, if one is.
pub type Broken<F> = Cell<Option<F>>;

/// Puts back what was, whatever happens.
struct Before<F: Copy + 'static>(&'static LocalKey<Broken<F>>, Option<F>);

impl<F: Copy> Drop for Before<F> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

/// Whether this rule is broken on this thread.
pub fn is_broken<F: Copy + Eq>(broken: &'static LocalKey<Broken<F>>, fault: F) -> bool {
    broken.get() == Some(fault)
}

/// Does something on this thread with this rule broken, or with none.
pub fn while_broken<F: Copy, T>(broken: &'static LocalKey<Broken<F>>, fault: Option<F>, what: impl FnOnce() -> T) -> T {
    let _before = Before(broken, broken.replace(fault));
    what()
}

//! How far behind the slowest gateway is, for those who watch over the process.

use portcullis_types::Boottime;

use super::Registrations;

impl Registrations {
    /// How many of the log's `head` entries the run that is furthest behind, among those that may hold a lease, does not
    /// enforce yet. Zero when there is none, and for one that has not said anything yet: its watch began at the head.
    pub fn furthest_behind(&self, head: u64, now: Boottime) -> u64 {
        let may_hold_lease = self.runs.values().filter(|run| now < run.lease_over());
        let behind = may_hold_lease.filter_map(|run| run.applied).map(|applied| head.saturating_sub(applied.seq));
        behind.max().unwrap_or_default()
    }
}

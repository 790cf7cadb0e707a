//! Probes that wait for the word that a head is the newest, where several processes append to one log.
//!
//! One beat at a time reads the head, commits the renewals of the probes that have arrived, and is thereby proof that
//! the head was the newest when it began. The probes that it renews are answered by the next beat, which begins when
//! their renewals are committed: so whoever reads a revocation as committed and then the renewals, sees every run that
//! gets a lease from a head without it (PROTOCOL 0.1.7).
//! Guarantees: no probe is answered from a beat that began before its own renewal was committed. A beat that failed, or
//! whose outcome is unknown, renews again and answers nobody.
//! Refuses: one probe more than [`Beats::MOST`].

use std::collections::BTreeMap;
use std::mem;

use portcullis_types::{Boottime, Revision};

use super::{Freshness, Run};
use crate::Renewal;

/// Too many probes wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many probes wait for a proof of the head")]
pub struct TooManyWaiting;

/// See the module. `W` is who waits.
#[derive(Debug)]
pub struct Beats<W> {
    arrived: Vec<(Option<Renewal>, W)>,
    running: Vec<(Option<Renewal>, W)>,
    began: Option<Boottime>,
    renewed: Vec<W>,
}

impl<W> Default for Beats<W> {
    fn default() -> Self {
        Self { arrived: Vec::new(), running: Vec::new(), began: None, renewed: Vec::new() }
    }
}

impl<W> Beats<W> {
    /// How many probes may wait.
    pub const MOST: usize = 16_384;

    /// A probe arrived, with its renewal if it may be given a lease.
    pub fn ask(&mut self, renewal: Option<Renewal>, waiter: W) -> Result<(), TooManyWaiting> {
        if self.arrived.len() + self.running.len() + self.renewed.len() >= Self::MOST {
            return Err(TooManyWaiting);
        }
        self.arrived.push((renewal, waiter));
        Ok(())
    }

    /// Whether a beat is needed.
    pub fn is_needed(&self) -> bool {
        !(self.arrived.is_empty() && self.running.is_empty() && self.renewed.is_empty())
    }

    /// A beat begins: what it must commit after it has read the head, the newest of each run in the order of the runs.
    pub fn begin(&mut self, now: Boottime) -> Vec<Renewal> {
        self.failed();
        self.running = mem::take(&mut self.arrived);
        self.began = Some(now);
        let renewals = self.running.iter().filter_map(|(renewal, _)| renewal.clone());
        let of_each: BTreeMap<Run, Renewal> = renewals.map(|renewal| (renewal.run.clone(), renewal)).collect();
        of_each.into_values().collect()
    }

    /// The beat committed, and had read this head: the proof, and whom it answers.
    pub fn committed(&mut self, head: Revision) -> Option<(Freshness, Vec<W>)> {
        let proven_at = self.began.take()?;
        let renewed = mem::take(&mut self.running).into_iter().map(|(_, waiter)| waiter).collect();
        Some((Freshness { head, proven_at }, mem::replace(&mut self.renewed, renewed)))
    }

    /// The beat failed, or nobody knows whether it did.
    pub fn failed(&mut self) {
        self.began = None;
        let arrived_since = mem::take(&mut self.arrived);
        self.arrived = mem::take(&mut self.running);
        self.arrived.extend(arrived_since);
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

//! Applying an entry of the log.
//!
//! Guarantees: an entry is applied only as the next of the chain (I8), the index first and then the registry (I9), and is
//! acknowledged only when nothing passes any more that it forbids.
//! Refuses to skip an entry that it cannot read, and takes an effect that it does not know for the strongest.

use std::collections::HashSet;

use portcullis_proto::auth::v1;
use portcullis_types::{Boottime, KeyDigest, Revision};
use prost::Message as _;

use super::messages::Output;
use super::{Enforcer, close_of};
use crate::guard::Fence;
use crate::index::{Effect, Fact};

impl Enforcer {
    pub(super) fn entry(
        &mut self,
        revision: Revision,
        previous_chain: u64,
        payload: &[u8],
        now: Boottime,
        out: &mut Vec<Output>,
    ) {
        let Some(index) = self.index.as_mut().filter(|_| self.stream.is_up()) else { return };
        if index.chain_at(revision.seq) == Some(revision.chain) {
            return;
        }
        // An entry that cannot be read cannot be skipped either: nothing after it is applied, and the lease runs out.
        let Ok(facts) = facts_of(payload) else { return self.drop_stream(out) };
        // Index first, then the registry (I9). Nobody can look in between: this is one step.
        if index.append(revision, previous_chain, &facts, now).is_err() {
            return self.drop_stream(out);
        }
        let fenced = facts.iter().map(|fact| self.enforce(fact, revision, now)).sum();
        self.close_in_turn(now);
        // Only now: from here on nothing passes that this entry forbids.
        out.push(Output::Acknowledge { revision, fenced });
        self.send_questions(out);
    }

    /// How many connections it fenced that were not fenced before.
    fn enforce(&mut self, fact: &Fact, by: Revision, now: Boottime) -> u64 {
        let (mut fenced, mut waiting) = (0, Vec::new());
        let pace = match fact.closes_per_second {
            0 => self.settings.revoked_closes_per_second,
            said => said,
        };
        for connection in self.registry.resting_on(&fact.key) {
            let Some(member) = self.registry.get(connection).filter(|member| member.seq < by.seq) else { continue };
            match fact.effect {
                Effect::Kill => {
                    let fence = Fence { reason: close_of(fact.key.kind), by: Some(by), at: now };
                    if pace > 0 && member.guard.fence_and_wait(fence) {
                        waiting.push(connection);
                    } else if pace == 0 && member.guard.fence(fence) {
                        fenced += 1;
                    } else if pace == 0 {
                        self.close_out_of_turn(connection);
                    }
                }
                Effect::Reauthorize if member.reference.is_some() => {
                    member.guard.suspend();
                    // An answer on its way is from before this entry: ask once more.
                    self.questions.ask(connection, Some(now + self.settings.reauthorize_within), false);
                }
                Effect::Reauthorize => {}
            }
        }
        fenced += waiting.len() as u64;
        self.closing.wait(waiting, pace, by.chain, now);
        fenced
    }
}

/// What an entry says, each key once. An effect this gateway does not know is taken for the strongest.
fn facts_of(payload: &[u8]) -> Result<Vec<Fact>, UnreadableEntry> {
    let batch = v1::RevocationBatch::decode(payload).map_err(|_| UnreadableEntry)?;
    let mut facts = Vec::new();
    let mut seen = HashSet::new();
    for revocation in batch.revocations {
        let effect = match revocation.effect() {
            v1::Effect::Reauthorize => Effect::Reauthorize,
            v1::Effect::Kill | v1::Effect::Unspecified => Effect::Kill,
        };
        for key in revocation.keys {
            let key = KeyDigest::try_from(key).map_err(|_| UnreadableEntry)?;
            if seen.insert((key, effect == Effect::Kill)) {
                facts.push(Fact { key, effect, closes_per_second: revocation.closes_per_second });
            }
        }
    }
    Ok(facts)
}

struct UnreadableEntry;

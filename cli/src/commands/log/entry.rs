//! One entry of the log: decoded, worded, and checked against the one before it.

use portcullis_proto::auth::v1;
use portcullis_types::{Revision, Timestamp};
use prost::Message as _;
use serde_json::{Value, json};

use crate::commands::verify::key_json;
use crate::failure::Failure;
use crate::{span, words};

/// An entry, decoded.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its position.
    pub(super) revision: Revision,
    previous_chain: u64,
    committed_at: Timestamp,
    batch: v1::RevocationBatch,
}

impl TryFrom<v1::LogEntry> for Entry {
    type Error = Failure;

    fn try_from(wire: v1::LogEntry) -> Result<Self, Failure> {
        let broken = |what: &str| Failure::Log {
            what: format!("the log holds an entry that cannot be read: {what}"),
            next: "compare the versions of the authority and of this program".to_owned(),
        };
        let revision = wire.revision.ok_or_else(|| broken("no revision"))?;
        Ok(Self {
            revision: Revision::try_from(revision).map_err(|wrong| broken(wrong.what))?,
            previous_chain: wire.previous_chain,
            committed_at: Timestamp::from_micros(wire.committed_at_us),
            batch: v1::RevocationBatch::decode(wire.payload).map_err(|_| broken("no revocation batch"))?,
        })
    }
}

impl Entry {
    /// For programs.
    pub(super) fn json(&self) -> Value {
        let revocations: Vec<Value> = self
            .batch
            .revocations
            .iter()
            .map(|revocation| {
                json!({
                    "effect": words::effect(revocation.effect),
                    "reason": words::revocation_reason(revocation.reason),
                    "close_code": revocation.close_code,
                    "closes_per_second": (revocation.closes_per_second > 0).then_some(revocation.closes_per_second),
                    "keys": revocation.keys.iter().map(key_json).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({
            "revision": self.revision.to_string(),
            "previous_chain": format!("{:016x}", self.previous_chain),
            "committed_at": words::timestamp(self.committed_at),
            "revocations": revocations,
        })
    }

    /// For people: a line for each fact.
    pub(super) fn lines(&self) -> String {
        let at = words::timestamp(self.committed_at);
        let facts = self.batch.revocations.iter().map(|fact| {
            let (effect, reason) = (words::effect(fact.effect), words::revocation_reason(fact.reason));
            let close = match (fact.close_code, fact.closes_per_second) {
                (0, _) => String::new(),
                (code, 0) => format!("  close {code}"),
                (code, pace) => format!("  close {code} at {pace}/s"),
            };
            format!("{}  {at}  {effect:<11}  {reason:<18}  {}{close}\n", self.revision, keys_in_words(&fact.keys))
        });
        facts.collect()
    }
}

/// Kinds with the first 4 bytes of each digest: enough to tell two apart on a screen.
fn keys_in_words(keys: &[v1::Key]) -> String {
    let key = |key: &v1::Key| {
        let head: String = key.id.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("{}:{head}", words::key_kind(key.kind))
    };
    keys.iter().map(key).collect::<Vec<_>>().join(" ")
}

/// Where the reader stands, and whether the next entry follows.
///
/// Only 8 bytes of the running hash travel, so the hash cannot be computed again here; that each entry names the one
/// before it can be checked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position(Option<Revision>);

impl Position {
    /// After this revision.
    pub(super) const fn after(revision: Revision) -> Self {
        Self(Some(revision))
    }

    /// The last entry that was read.
    pub(super) const fn revision(self) -> Option<Revision> {
        self.0
    }

    /// Moves past an entry, if it is the next.
    pub(super) fn advance(&mut self, entry: &Entry) -> Result<(), Failure> {
        if let Some(last) = self.0 {
            let next = last.seq.checked_add(1) == Some(entry.revision.seq);
            if !next || last.chain != entry.previous_chain {
                return Err(Failure::Log {
                    what: format!(
                        "the chain is broken: {} does not follow {last} (it names {:016x} before it)",
                        entry.revision, entry.previous_chain
                    ),
                    next: "treat the log as forked: look whether a backup was restored, and read again with \
                           --from-start"
                        .to_owned(),
                });
            }
        }
        self.0 = Some(entry.revision);
        Ok(())
    }
}

/// What is said when a watch begins.
pub(super) fn welcome(welcome: &v1::WatchWelcome) -> String {
    let from = words::revision(welcome.position.as_ref());
    format!(
        "Following the log after {from}; what it revokes is enforced within {}.",
        span::millis_in_words(welcome.bound_ms)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(seq: u64, previous_chain: u64, chain: u64) -> v1::LogEntry {
        let fact = v1::Revocation {
            keys: vec![v1::Key { kind: v1::KeyKind::Session.into(), id: vec![0xab; 16] }],
            effect: v1::Effect::Kill.into(),
            reason: v1::RevocationReason::Logout.into(),
            close_code: 4511,
            closes_per_second: 20,
        };
        v1::LogEntry {
            revision: Some(v1::Revision { shard: 0, seq, chain }),
            previous_chain,
            payload: v1::RevocationBatch { revocations: vec![fact] }.encode_to_vec().into(),
            committed_at_us: 1_000_000,
        }
    }

    fn entry(seq: u64, previous_chain: u64, chain: u64) -> Entry {
        Entry::try_from(wire(seq, previous_chain, chain)).expect("well formed")
    }

    #[test]
    fn entries_that_follow_each_other_are_accepted() {
        let mut position = Position::default();
        for (seq, previous, chain) in [(5, 1, 2), (6, 2, 3), (7, 3, 4)] {
            position.advance(&entry(seq, previous, chain)).expect("it follows");
        }
        assert_eq!(position.revision(), Some(Revision { seq: 7, chain: 4 }));
    }

    #[test]
    fn a_gap_a_repeat_and_a_fork_are_refused_and_do_not_move_the_position() {
        for (seq, previous, chain) in [(7, 2, 3), (5, 1, 2), (6, 9, 3)] {
            let mut position = Position::after(Revision { seq: 5, chain: 2 });
            assert!(position.advance(&entry(seq, previous, chain)).is_err());
            assert_eq!(position.revision(), Some(Revision { seq: 5, chain: 2 }));
        }
    }

    #[test]
    fn an_entry_is_worded_for_both_readers() {
        let entry = entry(5, 1, 2);
        let line = entry.lines();
        for part in
            ["5-0000000000000002", "1970-01-01T00:00:01Z", "kill", "logout", "session:abababab", "close 4511 at 20/s"]
        {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert_eq!(entry.json()["revocations"][0]["keys"][0]["kind"], "session");
        assert_eq!(entry.json()["previous_chain"], "0000000000000001");
    }

    #[test]
    fn an_entry_that_cannot_be_decoded_is_not_skipped() {
        let garbage = v1::LogEntry { payload: vec![0xff].into(), ..wire(1, 0, 1) };
        assert!(Entry::try_from(garbage).is_err());
        assert!(Entry::try_from(v1::LogEntry { revision: None, ..wire(1, 0, 1) }).is_err());
    }
}

//! What a watch promises, for any order of appends, probes and polls.

use std::sync::Arc;
use std::time::Duration;

use portcullis_proto::auth::v1;
use portcullis_types::{Boottime, Chain, KeyDigest, KeyKind, Revision, TenantId, Timestamp};
use proptest::prelude::*;
use prost::Message as _;

use super::*;

/// A log in memory that keeps everything after its horizon.
struct Log {
    chain: Chain,
    genesis: Revision,
    entries: Vec<Arc<Entry>>,
    horizon: u64,
}

impl Log {
    fn new() -> Self {
        let chain = Chain::from_bytes([7; 16]);
        Self { chain, genesis: Revision { seq: 0, chain: chain.short() }, entries: Vec::new(), horizon: 0 }
    }

    fn of(entries: u64) -> Self {
        let mut log = Self::new();
        (0..entries).for_each(|_| drop(log.append(&key("nobody"), v1::Effect::Kill)));
        log
    }

    fn append(&mut self, key: &KeyDigest, effect: v1::Effect) -> Arc<Entry> {
        self.append_facts(vec![v1::Revocation {
            keys: vec![(*key).into()],
            effect: effect.into(),
            ..Default::default()
        }])
    }

    fn append_facts(&mut self, revocations: Vec<v1::Revocation>) -> Arc<Entry> {
        let payload = v1::RevocationBatch { revocations }.encode_to_vec();
        let previous = self.chain.short();
        self.chain = self.chain.extended_by(&payload);
        let revision = Revision { seq: self.entries.len() as u64 + 1, chain: self.chain.short() };
        let entry = Entry::decode(revision, previous, payload.into(), Timestamp::from_micros(1)).expect("a batch");
        self.entries.push(Arc::new(entry));
        Arc::clone(&self.entries[self.entries.len() - 1])
    }

    fn at(&self, seq: u64) -> Option<Revision> {
        match seq.checked_sub(1) {
            None => Some(self.genesis),
            Some(index) => self.entries.get(usize::try_from(index).ok()?).map(|entry| entry.revision()),
        }
    }

    fn head(&self) -> Revision {
        self.at(self.entries.len() as u64).expect("the head is in the log")
    }

    fn after(&self, seq: u64, limit: usize) -> Vec<Arc<Entry>> {
        let first = seq.max(self.horizon);
        self.entries.iter().filter(|entry| entry.revision().seq > first).take(limit).map(Arc::clone).collect()
    }

    fn judge(&self, cursor: Option<Revision>) -> Result<Position, Resync> {
        let at_cursor = cursor.and_then(|cursor| self.at(cursor.seq));
        super::judge(cursor, at_cursor, self.horizon, self.head())
    }
}

fn key(id: &str) -> KeyDigest {
    KeyDigest::of(&TenantId::system(), KeyKind::Credential, id)
}

fn at(seconds: u64) -> Boottime {
    Boottime::from_nanos(seconds * 1_000_000_000)
}

fn ring_at(head: Revision, entries: usize) -> Ring {
    Ring::starting_at(head, RingLimits { entries, bytes: usize::MAX }, at(0))
}

fn watcher_at(position: Position, head: Revision) -> Watcher {
    let parts = WatcherParts {
        position,
        caller_keys: vec![key("caller")],
        caller_revision: head,
        patience: Duration::from_secs(7),
    };
    Watcher::new(parts, head)
}

fn fresh(head: Revision) -> Freshness {
    Freshness { head, proven_at: at(1) }
}

/// Steps until there is nothing to do, loading from the log in pages of two.
fn run(watcher: &mut Watcher, ring: &Ring, log: &Log, now: Boottime) -> (Vec<Message>, Option<End>) {
    let mut sent = Vec::new();
    loop {
        match watcher.next(ring, now) {
            Next::Send(message) => sent.push(message),
            Next::Load { after } => watcher.loaded(log.after(after, 2)),
            Next::Wait => return (sent, None),
            Next::End(end) => return (sent, Some(end)),
        }
    }
}

fn seqs(sent: &[Message]) -> Vec<u64> {
    let entries = sent.iter().filter_map(|message| match message {
        Message::Entry(entry) => Some(entry.revision().seq),
        Message::Welcome(_) | Message::Checkpoint { .. } | Message::Drain => None,
    });
    entries.collect()
}

#[test]
fn a_cursor_on_the_log_is_resumed_and_gets_exactly_what_it_missed() {
    let log = Log::of(6);
    let cursor = log.at(2).expect("it is there");
    let position = log.judge(Some(cursor)).expect("it is on the log");
    assert_eq!(position, Position::Resumed(cursor));
    let (sent, end) = run(&mut watcher_at(position, log.head()), &ring_at(log.head(), 9), &log, at(1));
    assert_eq!((seqs(&sent), end), (vec![3, 4, 5, 6], None));
    assert_eq!(sent[0], Message::Welcome(position));
}

#[test]
fn a_gateway_without_a_cursor_begins_at_the_head() {
    let log = Log::of(3);
    assert_eq!(log.judge(None), Ok(Position::FromHead(log.head())));
    let (sent, _) =
        run(&mut watcher_at(Position::FromHead(log.head()), log.head()), &ring_at(log.head(), 9), &log, at(1));
    assert_eq!(sent.len(), 1, "only the welcome");
}

#[test]
fn the_empty_log_can_be_resumed() {
    let log = Log::new();
    assert_eq!(log.judge(Some(log.head())), Ok(Position::Resumed(log.head())));
}

#[test]
fn a_cursor_on_another_branch_or_beyond_the_head_is_a_fork() {
    let log = Log::of(3);
    let real = log.at(2).expect("it is there");
    assert_eq!(log.judge(Some(Revision { chain: real.chain ^ 1, ..real })), Err(Resync::Fork));
    assert_eq!(log.judge(Some(Revision { seq: 4, chain: real.chain })), Err(Resync::Fork));
}

#[test]
fn a_cursor_older_than_the_log_keeps_is_beyond_the_horizon() {
    let mut log = Log::of(5);
    log.horizon = 3;
    assert_eq!(log.judge(log.at(2)), Err(Resync::Horizon));
    assert!(log.judge(log.at(3)).is_ok(), "everything after it is kept");
}

#[test]
fn entries_that_the_store_lost_meanwhile_end_the_watch_at_the_horizon() {
    let mut log = Log::of(5);
    let position = Position::Resumed(log.at(1).expect("it is there"));
    let mut watcher = watcher_at(position, log.head());
    log.horizon = 3;
    let (sent, end) = run(&mut watcher, &ring_at(log.head(), 9), &log, at(1));
    assert_eq!((seqs(&sent), end), (vec![], Some(End::Resync(Resync::Horizon))));
}

#[test]
fn a_checkpoint_waits_for_every_entry_up_to_its_head() {
    let mut log = Log::of(1);
    let mut ring = ring_at(log.head(), 9);
    let mut watcher = watcher_at(Position::FromHead(log.head()), log.head());
    let _ = run(&mut watcher, &ring, &log, at(1));
    let missing = log.append(&key("x"), v1::Effect::Kill);
    watcher.probe(5, at(1), fresh(log.head())).expect("there is room");
    assert_eq!(watcher.next(&ring, at(1)), Next::Wait, "the store is ahead of the ring");
    ring.append(Arc::clone(&missing), at(1)).expect("it follows");
    let (sent, _) = run(&mut watcher, &ring, &log, at(1));
    let checkpoint = Message::Checkpoint { probe: 5, head: log.head(), age: Duration::ZERO };
    assert_eq!(sent, [Message::Entry(missing), checkpoint]);
}

#[test]
fn a_checkpoint_is_not_starved_by_a_log_that_grows() {
    let mut log = Log::of(1);
    let mut ring = ring_at(log.head(), 9);
    let mut watcher = watcher_at(Position::FromHead(log.head()), log.head());
    watcher.probe(1, at(1), fresh(log.head())).expect("there is room");
    ring.append(log.append(&key("x"), v1::Effect::Kill), at(1)).expect("it follows");
    let (sent, _) = run(&mut watcher, &ring, &log, at(1));
    assert!(matches!(sent[..], [Message::Welcome(_), Message::Checkpoint { probe: 1, .. }, Message::Entry(_)]));
}

#[test]
fn the_age_is_that_of_the_proof_when_the_probe_arrived() {
    let log = Log::of(1);
    let ring = ring_at(log.head(), 9);
    for (proven_at, age) in [(at(3), 2), (at(5), 0), (at(6), 0)] {
        let mut watcher = watcher_at(Position::FromHead(log.head()), log.head());
        watcher.probe(1, at(5), Freshness { head: log.head(), proven_at }).expect("there is room");
        let (sent, _) = run(&mut watcher, &ring, &log, at(9));
        let checkpoint = Message::Checkpoint { probe: 1, head: log.head(), age: Duration::from_secs(age) };
        assert_eq!(sent[1..], [checkpoint]);
    }
}

#[test]
fn probes_beyond_the_bound_are_refused() {
    let log = Log::of(1);
    let mut watcher = watcher_at(Position::FromHead(log.head()), log.head());
    for id in 0..Watcher::MOST_PROBES as u64 {
        watcher.probe(id, at(1), fresh(log.head())).expect("there is room");
    }
    assert!(!watcher.accepts_probe());
    assert_eq!(watcher.probe(99, at(1), fresh(log.head())), Err(TooManyProbes));
}

#[test]
fn a_watcher_that_leaves_an_entry_unsent_too_long_is_lagged() {
    let mut log = Log::of(1);
    let mut ring = ring_at(log.head(), 9);
    let start = Position::FromHead(log.head());
    let (mut prompt, mut late) = (watcher_at(start, log.head()), watcher_at(start, log.head()));
    ring.append(log.append(&key("x"), v1::Effect::Kill), at(10)).expect("it follows");
    assert_eq!(run(&mut prompt, &ring, &log, at(17)).1, None);
    assert_eq!(run(&mut late, &ring, &log, at(18)).1, Some(End::Resync(Resync::Lagged)));
}

#[test]
fn a_watcher_that_fell_out_of_the_ring_is_lagged_by_what_left_it() {
    let mut log = Log::of(1);
    let mut ring = ring_at(log.head(), 2);
    let mut watcher = watcher_at(Position::FromHead(log.head()), log.head());
    for second in 10..14 {
        ring.append(log.append(&key("x"), v1::Effect::Kill), at(second)).expect("it follows");
    }
    assert_eq!(run(&mut watcher, &ring, &log, at(19)).1, Some(End::Resync(Resync::Lagged)));
}

#[test]
fn catching_up_with_history_is_not_lagging() {
    let mut log = Log::of(8);
    let mut ring = ring_at(log.head(), 9);
    let mut watcher = watcher_at(Position::Resumed(log.genesis), log.head());
    assert!(matches!(watcher.next(&ring, at(1)), Next::Send(Message::Welcome(_))));
    ring.append(log.append(&key("x"), v1::Effect::Kill), at(500)).expect("it follows");
    let (sent, end) = run(&mut watcher, &ring, &log, at(501));
    assert_eq!((seqs(&sent), end), ((1..=9).collect(), None));
}

#[test]
fn a_watch_ends_after_the_entry_that_revokes_its_caller() {
    let mut log = Log::of(1);
    let mut ring = ring_at(log.head(), 9);
    let mut watcher = watcher_at(Position::FromHead(log.head()), log.head());
    let killed = log.append(&key("caller"), v1::Effect::Kill);
    ring.append(Arc::clone(&killed), at(1)).expect("it follows");
    ring.append(log.append(&key("x"), v1::Effect::Kill), at(1)).expect("it follows");
    let (sent, end) = run(&mut watcher, &ring, &log, at(1));
    assert_eq!(sent[1..], [Message::Entry(killed)]);
    assert_eq!(end, Some(End::CallerRevoked));
}

#[test]
fn a_caller_outlives_what_was_revoked_before_it_was_judged_and_a_change_of_grants() {
    let mut log = Log::of(1);
    log.append(&key("caller"), v1::Effect::Kill);
    let ring = ring_at(log.head(), 9);
    let mut resumed = watcher_at(Position::Resumed(log.genesis), log.head());
    assert_eq!(run(&mut resumed, &ring, &log, at(1)).1, None);

    let mut ring = ring_at(log.head(), 9);
    let mut watcher = watcher_at(Position::FromHead(log.head()), log.head());
    ring.append(log.append(&key("caller"), v1::Effect::Reauthorize), at(1)).expect("it follows");
    assert_eq!(run(&mut watcher, &ring, &log, at(1)).1, None);
}

#[test]
fn a_leaving_replica_says_so_once_and_goes_on() {
    let mut log = Log::of(1);
    let mut ring = ring_at(log.head(), 9);
    let mut watcher = watcher_at(Position::FromHead(log.head()), log.head());
    let _ = run(&mut watcher, &ring, &log, at(1));
    watcher.drain();
    watcher.drain();
    ring.append(log.append(&key("x"), v1::Effect::Kill), at(1)).expect("it follows");
    let (sent, _) = run(&mut watcher, &ring, &log, at(1));
    assert!(matches!(sent[..], [Message::Drain, Message::Entry(_)]));
    assert!(watcher.is_leaving());
}

#[test]
fn the_ring_refuses_a_gap_and_another_branch() {
    let (mut log, mut other) = (Log::of(1), Log::new());
    let mut ring = ring_at(log.head(), 9);
    let (second, third) = (log.append(&key("x"), v1::Effect::Kill), log.append(&key("x"), v1::Effect::Kill));
    assert!(ring.append(third, at(1)).is_err(), "a gap");
    other.append(&key("y"), v1::Effect::Kill);
    assert!(ring.append(other.append(&key("x"), v1::Effect::Kill), at(1)).is_err(), "another branch");
    assert!(ring.append(second, at(1)).is_ok());
}

#[test]
fn the_ring_is_bounded_by_bytes_and_keeps_the_newest() {
    let mut log = Log::new();
    let mut ring = Ring::starting_at(log.head(), RingLimits { entries: 99, bytes: 1 }, at(0));
    for _ in 0..3 {
        ring.append(log.append(&key("x"), v1::Effect::Kill), at(1)).expect("it follows");
    }
    assert_eq!(ring.len(), 1);
    assert_eq!(ring.after(2), Found::Entry(Arc::clone(&log.entries[2]), at(1)));
    assert_eq!(ring.after(1), Found::Gone(at(1)));
    assert_eq!(ring.after(3), Found::NotYet);
}

#[test]
fn a_page_from_the_store_is_kept_up_to_so_many_bytes_and_the_rest_is_asked_for_again() {
    for (entries, facts) in [(250, 256), (2, 1 << 15)] {
        let mut log = Log::new();
        let fact =
            v1::Revocation { keys: vec![key("x").into()], effect: v1::Effect::Kill.into(), ..Default::default() };
        (0..entries).for_each(|_| drop(log.append_facts(vec![fact.clone(); facts])));
        let kept = (Watcher::MOST_LOADED / log.entries[0].weight()).max(1);
        assert!(kept < entries, "it is more than a watch keeps");
        let mut watcher = watcher_at(Position::Resumed(log.genesis), log.head());
        let ring = ring_at(log.head(), 9);
        assert!(matches!(watcher.next(&ring, at(1)), Next::Send(Message::Welcome(_))));
        for after in [0, kept as u64] {
            let step = watcher.next(&ring, at(1));
            assert!(step == Next::Load { after }, "it asks for what comes after {after}");
            watcher.loaded(log.after(after, entries));
            for _ in 0..kept {
                assert!(matches!(watcher.next(&ring, at(1)), Next::Send(Message::Entry(_))));
            }
        }
    }
}

#[test]
fn a_payload_that_cannot_be_read_is_refused_with_its_position() {
    let revision = Revision { seq: 4, chain: 1 };
    let broken = Entry::decode(revision, 0, vec![0xff].into(), Timestamp::from_micros(1));
    assert_eq!(broken, Err(InvalidEntry { seq: 4 }));
}

#[derive(Clone, Debug)]
enum Event {
    /// The store commits.
    Commit,
    /// The tailer brings so many entries into the ring.
    Tail(usize),
    /// A probe arrives.
    Probe,
    /// There is room for so many messages.
    Poll(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => Just(Event::Commit),
        2 => (1..4_usize).prop_map(Event::Tail),
        2 => Just(Event::Probe),
        3 => (1..5_usize).prop_map(Event::Poll),
    ];
    proptest::collection::vec(event, 0..80)
}

proptest! {
    #[test]
    fn any_interleaving_gives_contiguous_entries_and_truthful_checkpoints(
        before in 0..6_u64, start in 0..6_u64, room in 1..5_usize, events in events()
    ) {
        let mut log = Log::of(before);
        let mut ring = ring_at(log.head(), room);
        let begin = log.at(start.min(before)).expect("it is there");
        let mut watcher = watcher_at(Position::Resumed(begin), log.head());
        let (mut stands_at, mut asked, mut answered) = (begin, Vec::new(), 0);
        let finish = [Event::Tail(usize::MAX), Event::Poll(usize::MAX)];
        for event in events.into_iter().chain(finish) {
            match event {
                Event::Commit => drop(log.append(&key("x"), v1::Effect::Kill)),
                Event::Tail(most) => {
                    for entry in log.after(ring.head().seq, most) {
                        prop_assert!(ring.append(entry, at(1)).is_ok());
                    }
                }
                Event::Probe if watcher.accepts_probe() => {
                    asked.push(log.head());
                    prop_assert!(watcher.probe(asked.len() as u64 - 1, at(1), fresh(log.head())).is_ok());
                }
                Event::Probe => {}
                Event::Poll(most) => for _ in 0..most {
                    match watcher.next(&ring, at(1)) {
                        Next::Send(Message::Entry(entry)) => {
                            prop_assert!(entry.follows(stands_at));
                            stands_at = entry.revision();
                        }
                        Next::Send(Message::Checkpoint { probe, head, .. }) => {
                            prop_assert_eq!(probe, answered as u64, "in order, each once");
                            prop_assert_eq!(head, asked[answered], "the head when it was asked for");
                            prop_assert!(head.seq <= stands_at.seq, "no entry is overtaken");
                            answered += 1;
                        }
                        Next::Send(Message::Welcome(_) | Message::Drain) => {}
                        Next::Load { after } => watcher.loaded(log.after(after, 2)),
                        Next::Wait => break,
                        Next::End(end) => prop_assert!(false, "ended: {:?}", end),
                    }
                },
            }
        }
        prop_assert_eq!(stands_at, log.head());
        prop_assert_eq!(answered, asked.len());
    }
}

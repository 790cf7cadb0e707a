//! The authority: the real ring, watchers, cursors and registrations over a simulated store.

use std::collections::VecDeque;
use std::sync::Arc;

use auth_domain::watch::{
    self, Acknowledgement, End, Entry, Freshness, Message, Next, Position, Resync, Ring, RingLimits, Run, Watcher,
    WatcherParts,
};
use bytes::Bytes;
use gateway_core::{Input, ResyncReason, Welcome};
use portcullis_proto::auth::v1;
use portcullis_types::{Boottime, Revision, Timestamp};
use prost::Message as _;
use protocol_model::Fault;

use crate::events::Heads;
use crate::gateway::{Said, identity_key};
use crate::world::{LEASE, PEOPLE, Told, World, clock, lease_terms, terms};

/// A row of the log: this person's sessions up to this one end.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) entry: Arc<Entry>,
    pub(crate) person: u8,
    pub(crate) session: u16,
    /// Somebody was told of it: it is never lost.
    pub(crate) told: bool,
}

impl Row {
    pub(crate) fn revision(&self) -> Revision {
        self.entry.revision()
    }
}

/// What a deposed primary still answers with.
#[derive(Clone, Debug)]
pub(crate) struct Deposed {
    rows: Vec<Row>,
    sessions: [u16; PEOPLE as usize],
}

/// A process of the authority.
#[derive(Debug)]
pub(crate) struct Replica {
    ring: Ring,
    pub(crate) deposed: Option<Deposed>,
    /// The last beat: its number, and what it proved.
    beat: (u64, Freshness),
}

impl Replica {
    pub(crate) fn new(now: Boottime) -> Self {
        Self::starting_at(ORIGIN, now)
    }

    fn starting_at(head: Revision, now: Boottime) -> Self {
        let ring = Ring::starting_at(head, RingLimits::default(), now);
        Self { ring, deposed: None, beat: (0, Freshness { head, proven_at: now }) }
    }
}

/// An open watch.
#[derive(Debug)]
pub(crate) struct Watch {
    watcher: Watcher,
    run: Run,
    heard: VecDeque<HeardProbe>,
}

#[derive(Clone, Copy, Debug)]
struct HeardProbe {
    id: u64,
    arrived: Boottime,
    /// Beats there were before it was recorded.
    beats: u64,
    /// Its run was registered before.
    was_known: bool,
}

const ORIGIN: Revision = Revision { seq: 0, chain: 0 };

fn head(rows: &[Row]) -> Revision {
    rows.last().map_or(ORIGIN, Row::revision)
}

fn revision_at(rows: &[Row], seq: u64) -> Option<Revision> {
    match seq.checked_sub(1) {
        None => Some(ORIGIN),
        Some(before) => rows.get(usize::try_from(before).expect("it fits")).map(Row::revision),
    }
}

const fn reason(resync: Resync) -> ResyncReason {
    match resync {
        Resync::Fork => ResyncReason::Fork,
        Resync::Horizon => ResyncReason::Horizon,
        Resync::Lagged => ResyncReason::Lagged,
    }
}

impl World {
    pub(crate) fn authority_now(&self) -> Boottime {
        clock(self.real, self.drifts[0])
    }

    /// The store as a replica sees it.
    fn view(&self, replica: usize) -> &[Row] {
        self.replicas[replica].deposed.as_ref().map_or(&self.log, |deposed| &deposed.rows)
    }

    pub(crate) fn head_in_view(&self, replica: usize) -> Revision {
        head(self.view(replica))
    }

    pub(crate) fn newest_session(&self, replica: usize, person: u8) -> u16 {
        let deposed = self.replicas[replica].deposed.as_ref();
        deposed.map_or(&self.sessions, |deposed| &deposed.sessions)[usize::from(person)]
    }

    /// Whether a session is good, as a replica sees it.
    pub(crate) fn is_good(&self, replica: usize, person: u8, session: u16) -> bool {
        let is_there = session <= self.newest_session(replica, person);
        is_there && !self.view(replica).iter().any(|row| row.person == person && row.session >= session)
    }

    pub(crate) fn revoke(&mut self, person: u8, told: bool) {
        let (previous, now) = (head(&self.log), self.authority_now());
        self.written += 1;
        let revision = Revision { seq: previous.seq + 1, chain: self.written };
        let keys = vec![identity_key(person).into()];
        let revocation = v1::Revocation { keys, effect: v1::Effect::Kill.into(), ..Default::default() };
        let payload = Bytes::from(v1::RevocationBatch { revocations: vec![revocation] }.encode_to_vec());
        let entry = Entry::decode(revision, previous.chain, payload, Timestamp::from_micros(0)).expect("well formed");
        let session = self.sessions[usize::from(person)];
        self.concerned[usize::from(person)] = true;
        if told {
            let told = Told { revision, person, session, at: self.real, seen: now };
            if self.told.is_empty() && self.breaks(Fault::RegistrationsReadEarly) {
                self.promised |= self.early;
            }
            self.told.push(told);
        }
        self.log.push(Row { entry: Arc::new(entry), person, session, told });
    }

    pub(crate) fn fail_over(&mut self) {
        if !self.failed_over && self.log.pop_if(|row| !row.told).is_some() {
            self.failed_over = true;
        }
    }

    pub(crate) fn depose(&mut self) {
        let deposed = Deposed { rows: self.log.clone(), sessions: self.sessions };
        self.replicas[0].deposed.get_or_insert(deposed);
    }

    /// Reads what is new; a replica that can write proves its head by it. One whose log is not the one it was begins anew.
    pub(crate) fn poll(&mut self, replica: usize) {
        let now = self.authority_now();
        let rows = self.view(replica).to_vec();
        self.early = self.registrations.count(now).0 == 0;
        let known = &mut self.replicas[replica];
        let tail = known.ring.head();
        let mut is_contiguous = rows.len() as u64 >= tail.seq;
        for row in rows.iter().skip(usize::try_from(tail.seq).expect("it fits")) {
            is_contiguous &= known.ring.append(Arc::clone(&row.entry), now).is_ok();
        }
        if !is_contiguous {
            return self.restart(replica);
        }
        if known.deposed.is_none() {
            self.beats += 1;
            known.beat = (self.beats, Freshness { head: known.ring.head(), proven_at: now });
        }
    }

    /// A replica's process is another one. Registrations that are not shared are gone with it.
    pub(crate) fn restart(&mut self, replica: usize) {
        let now = self.authority_now();
        let deposed = self.replicas[replica].deposed.take();
        self.replicas[replica] = Replica { deposed, ..Replica::starting_at(self.head_in_view(replica), now) };
        if let Some(deposed) = &self.replicas[replica].deposed {
            self.replicas[replica].ring = Ring::starting_at(head(&deposed.rows), RingLimits::default(), now);
        }
        if self.replicas.len() == 1 {
            self.registrations = auth_domain::watch::Registrations::new(terms(Some(LEASE)), now);
            self.recorded.clear();
            self.told.iter_mut().for_each(|told| told.seen = now);
        }
        for gateway in 0..self.gateways.len() {
            self.gateways[gateway].drop_next(replica);
            if self.gateways[gateway].line.as_ref().is_some_and(|line| line.replica == replica) {
                self.break_line(gateway);
            }
        }
    }

    /// The authority takes the next message of a gateway. False if there is none.
    pub(crate) fn hear(&mut self, gateway: usize) -> bool {
        let Some(line) = &mut self.gateways[gateway].line else { return false };
        let Some(said) = line.to_authority.pop_front() else { return false };
        let replica = line.replica;
        match said {
            Said::Start { cursor } => self.open(gateway, replica, cursor),
            Said::Released => {
                let (run, now) = (self.gateways[gateway].run.clone(), self.authority_now());
                self.registrations.released(&run, now);
            }
            Said::Probe { id, applied } => self.hear_probe(gateway, replica, id, applied),
            Said::Applied { revision, fenced } => {
                let run = self.gateways[gateway].run.clone();
                let said = Acknowledgement { fenced, closed: 0, apply: std::time::Duration::ZERO };
                let now = self.authority_now();
                if self.is_claimable(replica, revision) {
                    self.registrations.acknowledge(&run, revision, said, now);
                }
            }
        }
        true
    }

    fn open(&mut self, gateway: usize, replica: usize, cursor: Option<Revision>) {
        let rows = self.view(replica);
        let (head, at_cursor) = (head(rows), cursor.and_then(|cursor| revision_at(rows, cursor.seq)));
        let judged = match std::mem::take(&mut self.refuse[gateway]) && cursor.is_some() {
            true => Err(Resync::Horizon),
            false => watch::judge(cursor, at_cursor, 0, head),
        };
        let (run, now) = (self.gateways[gateway].run.clone(), self.authority_now());
        let can_write = self.replicas[replica].deposed.is_none();
        let Some(line) = &mut self.gateways[gateway].line else { return };
        match judged {
            Err(resync) => {
                line.to_gateway.push_back(Input::ResyncRequired(reason(resync)));
                line.is_ended = true;
            }
            Ok(position) => {
                if can_write {
                    self.registrations.register(&run, now).expect("there is room");
                }
                let parts =
                    WatcherParts { position, caller_keys: Vec::new(), caller_revision: head, patience: LEASE / 2 };
                let watcher = Watcher::new(parts, head);
                line.watch = Some(Watch { watcher, run, heard: VecDeque::new() });
            }
        }
    }

    /// A probe is recorded when it arrives, before the head is read that answers it; a deposed primary can record nothing.
    fn hear_probe(&mut self, gateway: usize, replica: usize, id: u64, applied: Option<Revision>) {
        let (now, beats) = (self.authority_now(), self.beats);
        let can_write = self.replicas[replica].deposed.is_none() || self.breaks(Fault::PlainRead);
        let early = self.breaks(Fault::AnsweredUnregistered);
        let claimed = applied.filter(|applied| applied.seq > 0 && self.is_claimable(replica, *applied));
        let fresh = Freshness { head: self.head_in_view(replica), proven_at: now };
        let Some(watch) = self.gateways[gateway].line.as_mut().and_then(|line| line.watch.as_mut()) else { return };
        if !can_write {
            return;
        }
        let was_known = self.recorded.contains(&watch.run);
        self.recorded.insert(watch.run.clone());
        if early && !was_known {
            // Recorded when it is too late, with the next one.
            let _full = watch.watcher.probe(id, now, fresh);
            return;
        }
        self.registrations.probed(&watch.run, 1, now).expect("there is room");
        watch.heard.push_back(HeardProbe { id, arrived: now, beats, was_known });
        if let Some(applied) = claimed {
            self.registrations.applied(&watch.run, applied);
        }
    }

    /// Whether what a gateway claims is on this log.
    fn is_claimable(&self, replica: usize, revision: Revision) -> bool {
        revision_at(self.view(replica), revision.seq) == Some(revision)
    }

    /// The authority answers the oldest probe, as soon as it can prove a head. False if it cannot.
    pub(crate) fn answer(&mut self, gateway: usize) -> bool {
        let Some(replica) = self.gateways[gateway].line.as_ref().map(|line| line.replica) else { return false };
        let head = self.head_in_view(replica);
        let (number, beat) = self.replicas[replica].beat;
        let (any_beat, any_for_known) =
            (self.breaks(Fault::BeatBeforeRegistration), self.breaks(Fault::BeatBeforeRenewal));
        let Some(watch) = self.gateways[gateway].line.as_mut().and_then(|line| line.watch.as_mut()) else {
            return false;
        };
        let Some(probe) = watch.heard.front().copied() else { return false };
        let fresh = match self.setting.heads {
            Heads::Fresh => Freshness { head, proven_at: probe.arrived },
            Heads::Aged => beat,
            Heads::Beats if number > probe.beats || any_beat || (any_for_known && probe.was_known) => beat,
            Heads::Beats => return false,
        };
        watch.heard.pop_front();
        watch.watcher.probe(probe.id, probe.arrived, fresh).is_ok()
    }

    /// The authority says at most so many things that are due.
    pub(crate) fn speak(&mut self, gateway: usize, most: u8) {
        let now = self.authority_now();
        for _ in 0..most {
            let Some(replica) = self.gateways[gateway].line.as_ref().map(|line| line.replica) else { return };
            let rows = self.view(replica).to_vec();
            let ring = &self.replicas[replica].ring;
            let Some(line) = self.gateways[gateway].line.as_mut().filter(|line| !line.is_ended) else { return };
            let Some(watch) = &mut line.watch else { return };
            match watch.watcher.next(ring, now) {
                Next::Send(message) => line.to_gateway.extend(on_the_wire(message)),
                Next::Load { after } => {
                    let missing = rows.iter().filter(|row| row.revision().seq > after);
                    watch.watcher.loaded(missing.map(|row| Arc::clone(&row.entry)));
                }
                Next::Wait => return,
                Next::End(End::Resync(resync)) => {
                    line.to_gateway.push_back(Input::ResyncRequired(reason(resync)));
                    line.is_ended = true;
                }
                Next::End(End::CallerRevoked) => unreachable!("the caller rests on nothing"),
            }
        }
    }

    /// Whether a receipt would say that this is enforced, from a replica that has read it.
    pub(crate) fn is_proven(&self, told: Told) -> bool {
        let of = watch::Committed { revision: told.revision, seen: told.seen };
        self.registrations.receipt(of, self.authority_now()).status.is_enforced()
    }

    /// Whether some replica that is no relic has read this row.
    pub(crate) fn is_read(&self, revision: Revision) -> bool {
        let has_read = |replica: &&Replica| replica.ring.revision_at(revision.seq) == Some(revision);
        self.replicas.iter().filter(|replica| replica.deposed.is_none()).any(|replica| has_read(&replica))
    }
}

fn on_the_wire(message: Message) -> Option<Input> {
    Some(match message {
        Message::Welcome(position) => Input::Welcome(Welcome {
            resumed: matches!(position, Position::Resumed(_)),
            position: position.revision(),
            terms: lease_terms(),
            probe_interval: std::time::Duration::from_millis(200),
            bound: LEASE,
        }),
        Message::Entry(entry) => Input::Entry {
            revision: entry.revision(),
            previous_chain: entry.previous_chain(),
            payload: entry.payload().clone(),
        },
        Message::Checkpoint { probe, head, age } => Input::Checkpoint { probe_id: probe, head, age },
        Message::Drain => return None,
    })
}

//! The registry: which connections rest on which keys.
//!
//! Owns the members, and a map from the keys that are named often (credential, session, identity) to them; a tenant, a
//! client, a signing key or a role is found by looking at every member, because it names many and seldom comes.
//! Refuses: to decide anything; the enforcer does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use portcullis_types::{Boottime, KeyDigest, KeyKind, LeaseClass};

use crate::connection_id::ConnectionId;
use crate::guard::Guard;
use crate::verdict::CredentialReference;

/// A connection that rests on a verdict, or an anonymous one that rests on its tenant alone.
#[derive(Debug)]
pub(crate) struct Member {
    /// What its task, the channels and the registry share.
    pub(crate) guard: Arc<Guard>,
    /// What it rests on.
    pub(crate) keys: Box<[KeyDigest]>,
    /// The position its verdict was made at: an entry after it that names one of the keys concerns this member.
    pub(crate) seq: u64,
    /// The class of its lease; anonymous connections have none.
    pub(crate) class: Option<LeaseClass>,
    /// What to ask the authority about; anonymous connections have nothing to ask.
    pub(crate) reference: Option<CredentialReference>,
    /// When it is judged again; anonymous connections never are.
    pub(crate) revalidate_at: Option<Boottime>,
}

/// Connections that rest on one key: nearly always one, so one costs no allocation.
#[derive(Debug)]
enum Holders {
    One(ConnectionId),
    Many(HashSet<ConnectionId>),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    members: HashMap<ConnectionId, Member>,
    holders: HashMap<KeyDigest, Holders>,
    of_class: [usize; LeaseClass::ALL.len()],
}

const fn is_mapped(kind: KeyKind) -> bool {
    match kind {
        KeyKind::Credential | KeyKind::Session | KeyKind::Identity => true,
        KeyKind::Tenant | KeyKind::Client | KeyKind::SigningKey | KeyKind::Role | KeyKind::Issuer => false,
    }
}

impl Registry {
    /// Puts a member in, in place of what stood under its id.
    pub(crate) fn insert(&mut self, id: ConnectionId, member: Member) {
        self.remove(id);
        for key in member.keys.iter().filter(|key| is_mapped(key.kind)) {
            self.hold(*key, id);
        }
        if let Some(class) = member.class {
            self.of_class[class.index()] += 1;
        }
        self.members.insert(id, member);
    }

    /// Takes a member out.
    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Member> {
        let member = self.members.remove(&id)?;
        for key in member.keys.iter().filter(|key| is_mapped(key.kind)) {
            self.let_go(key, id);
        }
        if let Some(class) = member.class {
            self.of_class[class.index()] -= 1;
        }
        Some(member)
    }

    /// Reads a member.
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// Changes a member; its keys stay what they are.
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Member> {
        self.members.get_mut(&id)
    }

    /// Who rests on a key.
    pub(crate) fn resting_on(&self, key: &KeyDigest) -> Vec<ConnectionId> {
        if is_mapped(key.kind) {
            return match self.holders.get(key) {
                None => Vec::new(),
                Some(Holders::One(id)) => vec![*id],
                Some(Holders::Many(ids)) => ids.iter().copied().collect(),
            };
        }
        self.members.iter().filter(|(_, member)| member.keys.contains(key)).map(|(id, _)| *id).collect()
    }

    /// All members.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Member)> {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// How many there are of each class, in the order of [`LeaseClass::ALL`].
    pub(crate) const fn of_class(&self) -> [usize; LeaseClass::ALL.len()] {
        self.of_class
    }

    fn hold(&mut self, key: KeyDigest, id: ConnectionId) {
        match self.holders.get_mut(&key) {
            None => {
                self.holders.insert(key, Holders::One(id));
            }
            Some(Holders::Many(ids)) => {
                ids.insert(id);
            }
            Some(one @ Holders::One(_)) => {
                let Holders::One(first) = *one else { return };
                *one = Holders::Many(HashSet::from([first, id]));
            }
        }
    }

    fn let_go(&mut self, key: &KeyDigest, id: ConnectionId) {
        let Some(holders) = self.holders.get_mut(key) else { return };
        let empty = match holders {
            Holders::One(holder) => *holder == id,
            Holders::Many(ids) => {
                ids.remove(&id);
                ids.is_empty()
            }
        };
        if empty {
            self.holders.remove(key);
        }
    }
}

//! Revoking: the write path of the promise. What is asked for at the same time shares one transaction and one entry
//! (group commit).
//!
//! Entries follow one another, and each takes as long as the disk or the nearest standby takes to keep it. So what is
//! asked for while one commits is gathered into the next, and the rate of revocations is not that of commits.
//! Guarantees: each request is judged for itself, and one that is refused keeps no other of the group from being carried
//! out. All that revoke anything are answered with the same entry. Where the store fails at one of them, nothing is done
//! for any, soon, and the caller does each alone.
//! Refuses to gather what could not tell whether it comes before or after another of the group: two that name the same
//! target, two of the same name, and whatever is the system tenant's, where the last administrator is counted. Nor what
//! would be seen in the receipt of another: two tenants, and what is closed at a pace of its own.

use std::collections::{HashMap, HashSet};

use portcullis_types::{CredentialId, TenantId};

use crate::audit::{About, Actor};
use crate::batch::{Batch, Effect, Fact, Target};
use crate::event_quota::Charge;
use crate::outrun::unless_outrun;
use crate::revocation::{action_on, content_of, resolve, target_of};
use crate::verification::Form;
use crate::{
    Answered, AuditEntry, Authority, BeginError, Committed, Request, RequestId, RevokeError, RevokeRequest,
    RevokeTarget, StoreError, WriteTx,
};

/// The most that one entry answers.
pub const MAX_GROUP: usize = 256;

/// A revocation, and who asks for it.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Who.
    pub actor: Actor,
    /// What.
    pub request: RevokeRequest,
}

impl Asking {
    fn name(&self) -> Option<Request> {
        let id = self.request.request_id.clone()?;
        Some(Request { tenant: self.request.tenant.clone(), actor: self.actor.clone(), id })
    }
}

/// Revocations that may share an entry.
#[derive(Debug, Default)]
pub struct Group {
    asked: Vec<Asking>,
    targets: HashSet<[u8; 32]>,
    names: HashSet<(Box<str>, RequestId)>,
}

impl Group {
    /// Whether it may share an entry with anything. What is presented may have to be asked about elsewhere first.
    pub fn takes(request: &RevokeRequest) -> bool {
        let is_apart = request.tenant == TenantId::system() || request.pace.is_some();
        !is_apart && !matches!(request.target, RevokeTarget::Presented(_))
    }

    /// Adds it, or gives it back: the group is full, or it has to come after this group.
    pub fn add(&mut self, asking: Asking) -> Result<(), Box<Asking>> {
        let target = target_of(&asking.request);
        let name = asking.name().map(|name| (Box::from(name.actor.who()), name.id));
        if let Some(first) = self.asked.first() {
            let takes = Self::takes(&first.request) && Self::takes(&asking.request);
            let is_known =
                self.targets.contains(&target) || name.as_ref().is_some_and(|name| self.names.contains(name));
            let is_elsewhere = first.request.tenant != asking.request.tenant;
            if !takes || is_known || is_elsewhere || self.asked.len() >= MAX_GROUP {
                return Err(Box::new(asking));
            }
        }
        self.targets.insert(target);
        self.names.extend(name);
        self.asked.push(asking);
        Ok(())
    }

    /// How many.
    pub const fn len(&self) -> usize {
        self.asked.len()
    }

    /// What it is made of.
    pub fn into_asked(self) -> Vec<Asking> {
        self.asked
    }

    /// Whether nothing is in it.
    pub const fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }
}

/// What one request of a group comes to.
enum Decision {
    /// It was done before, by this entry; what is asked for by a name is remembered.
    Before(Committed, Option<Request>),
    /// It kills this, which is somebody's, and is counted.
    Kill(Target, About, Option<Request>, Option<Charge>),
}

/// What a revocation is answered with.
pub type Revoked = Result<Committed, RevokeError>;

impl Authority {
    /// Kills what rests on a target and is older. When it returns, the entry is durable.
    pub async fn revoke(&self, actor: &Actor, request: RevokeRequest) -> Revoked {
        let presented = match &request.target {
            RevokeTarget::Presented(secret) => Some(self.read_presented(secret, &request.tenant).await?),
            _ => None,
        };
        let asking = [Asking { actor: actor.clone(), request }];
        unless_outrun(async || {
            let answers = self.revoke_at_once(&asking, presented.as_ref()).await?;
            answers.into_iter().next().ok_or(StoreError::Corrupt { what: "no answer to a revocation" })?
        })
        .await
    }

    /// The same for a group, each answered in its place; on an error nothing was done for any of them, unless its outcome
    /// is unknown.
    pub async fn revoke_together(&self, group: &Group) -> Result<Vec<Revoked>, StoreError> {
        self.revoke_at_once(&group.asked, None).await
    }

    /// One transaction. What is presented belongs to the only one there is.
    async fn revoke_at_once(&self, asked: &[Asking], presented: Option<&Form>) -> Result<Vec<Revoked>, StoreError> {
        let mut tx = self.store().write_urgently().await?;
        let mut callers = HashMap::new();
        let mut decisions = Vec::with_capacity(asked.len());
        for asking in asked {
            decisions.push(match self.decide(tx.as_mut(), asking, presented, &mut callers).await {
                Err(RevokeError::Store(error) | RevokeError::Begin(BeginError::Store(error))) => return Err(error),
                decided => decided,
            });
        }
        let outcome = self.write(tx, asked, &mut decisions).await;
        let mut answers = Vec::with_capacity(decisions.len());
        for decision in decisions {
            answers.push(match decision {
                Ok(Decision::Before(before, _)) => Ok(before),
                Ok(Decision::Kill(.., charge)) => {
                    if let Some(charge) = charge {
                        charge.settle(&outcome);
                    }
                    let committed = outcome.as_ref().ok().copied().flatten();
                    committed.ok_or(RevokeError::Store(StoreError::Corrupt { what: "a kill without entry" }))
                }
                Err(refused) => Err(refused),
            });
        }
        outcome.map(|_| answers)
    }

    async fn decide(
        &self,
        tx: &mut dyn WriteTx,
        asking: &Asking,
        presented: Option<&Form>,
        callers: &mut HashMap<CredentialId, bool>,
    ) -> Result<Decision, RevokeError> {
        if let Some(key) = asking.actor.key() {
            let is_good = match callers.get(&key) {
                Some(is_good) => *is_good,
                None => self.is_good(tx, key).await?,
            };
            callers.insert(key, is_good);
            if !is_good {
                return Err(BeginError::CallerRefused.into());
            }
        }
        let name = asking.name();
        if let Some(name) = &name
            && let Some(before) = tx.answered(name).await?
        {
            return match before.committed {
                Some(committed) if before.content == content_of(&asking.request) => {
                    Ok(Decision::Before(committed, None))
                }
                _ => Err(RevokeError::RequestIdReused),
            };
        }
        let found = resolve(tx, &asking.request, presented).await?;
        if let Some(seq) = found.dead_since
            && let Some(entry) = tx.log_entry(seq).await?
        {
            let before = Committed { revision: entry.revision(), committed_at: entry.committed_at };
            return Ok(Decision::Before(before, name));
        }
        // Not before: whoever asks again for what ended its own session is told which entry that was.
        self.judge_holder(tx, &asking.actor).await?;
        if let Target::Credential(tenant, key) = &found.target
            && self.is_last_administrators_key(tx, tenant, *key).await?
        {
            return Err(RevokeError::LastAdministrator);
        }
        Ok(Decision::Kill(found.target, found.about, name, self.charge(&asking.actor)?))
    }

    /// Writes what was decided; the entry, where anything is killed.
    async fn write(
        &self,
        mut tx: Box<dyn WriteTx>,
        asked: &[Asking],
        decisions: &mut [Result<Decision, RevokeError>],
    ) -> Result<Option<Committed>, StoreError> {
        let (mut audits, mut batch, mut remembered) = (Vec::new(), None::<Batch>, false);
        let shared = asked.len() > 1;
        for (asking, decision) in asked.iter().zip(&*decisions) {
            let content = || content_of(&asking.request);
            match decision {
                Ok(Decision::Kill(target, about, name, _)) => {
                    audits.push(self.audit_of(asking, target, about.clone()));
                    let RevokeRequest { reason, pace, .. } = asking.request;
                    let fact = Fact { target: target.clone(), effect: Effect::Kill, reason, pace };
                    let with = match batch.take() {
                        Some(batch) => batch.and(fact),
                        None => Batch::of(fact),
                    };
                    batch = Some(match name {
                        Some(name) => with.answering(name.clone(), content(), None),
                        None => with,
                    });
                }
                Ok(Decision::Before(before, Some(name))) => {
                    let answer = Answered { content: content(), committed: Some(*before), subject: None };
                    tx.insert_answer(name, &answer, self.now()).await?;
                    remembered = true;
                }
                Ok(Decision::Before(_, None)) | Err(_) => {}
            }
        }
        match batch {
            Some(batch) => {
                tx.insert_audits(&audits).await?;
                let batch = if shared { batch.shared() } else { batch };
                for decision in decisions {
                    if let Ok(Decision::Kill(.., Some(charge))) = decision {
                        charge.commit();
                    }
                }
                tx.commit_with(batch, self.now()).await.map(Some)
            }
            None if remembered => tx.commit().await.map(|()| None),
            None => Ok(None),
        }
    }

    fn audit_of(&self, asking: &Asking, target: &Target, about: About) -> AuditEntry {
        let Asking { actor, request } = asking;
        let mut entry = self.audit(actor, &request.tenant, action_on(target), about);
        entry.request.clone_from(&request.request_id);
        entry.reason = Some(request.reason.text().to_owned());
        entry
    }
}

#[cfg(test)]
mod tests {
    use portcullis_types::SessionId;

    use super::*;
    use crate::{Pace, Reason};

    fn asking(tenant: &str, target: RevokeTarget, name: Option<&str>) -> Asking {
        let tenant = TenantId::try_from(tenant).expect("a name");
        let request_id = name.map(|name| RequestId::try_from(name).expect("a name"));
        let request = RevokeRequest { tenant, target, reason: Reason::Logout, pace: None, request_id };
        Asking { actor: Actor::edge(), request }
    }

    fn session(n: usize) -> RevokeTarget {
        RevokeTarget::Session(SessionId::from_bytes([u8::try_from(n % 250).expect("it fits"); 16]))
    }

    #[test]
    fn a_group_takes_what_can_be_told_apart() {
        let mut group = Group::default();
        assert!(group.add(asking("acme", session(1), Some("one"))).is_ok());
        assert!(group.add(asking("acme", session(2), Some("two"))).is_ok());
        assert!(group.add(asking("other", session(3), None)).is_err(), "of another tenant");
        let mut paced = asking("acme", session(3), None);
        paced.request.pace = Pace::try_from(1).ok();
        assert!(group.add(paced).is_err(), "its receipt would keep the others waiting");
        assert!(group.add(asking("acme", session(2), Some("three"))).is_err(), "the same target");
        assert!(group.add(asking("acme", session(4), Some("two"))).is_err(), "the same name");
        assert!(group.add(asking("system", session(5), None)).is_err(), "where administrators are counted");
        assert!(group.add(asking("acme", RevokeTarget::Presented("x".into()), None)).is_err(), "it may need others");
        assert_eq!(group.len(), 2);
    }

    #[test]
    fn a_group_of_one_takes_everything() {
        assert!(Group::default().add(asking("system", session(1), None)).is_ok());
        assert!(Group::default().add(asking("acme", RevokeTarget::Presented("x".into()), None)).is_ok());
    }

    #[test]
    fn a_group_ends_at_its_cap() {
        let mut group = Group::default();
        for n in 0..MAX_GROUP {
            let client = portcullis_types::ClientId::try_from(format!("client-{n}").as_str()).expect("a name");
            assert!(group.add(asking("acme", RevokeTarget::Client(client), None)).is_ok());
        }
        assert!(group.add(asking("acme", session(1), None)).is_err());
        assert!(!group.is_empty());
    }
}

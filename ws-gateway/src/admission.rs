//! From a presented credential to a registered connection.
//!
//! Guarantees that nobody rests on a verdict that did not pass, at this use, its own constraints and the enforcer's
//! register step (I10, I12). What cannot be decided is refused, never let in.

use std::net::IpAddr;
use std::sync::Arc;

use gateway_core::{ConnectionId, Denial, Guard, Judgement, NotAdmitted, Presentation, Refusal, Verdict, Wake};
use portcullis_observe::{Kind, Parent, Span};
use portcullis_types::{Clock, Entropy, RedemptionId, UuidSource};

use crate::credential::Presented;
use crate::enforcement::Enforcement;
use crate::verifier::{Question, Verifier};

/// How often a verdict that is too old to be judged here, or that what happened since has refuted, is asked for again.
const RENEWALS: usize = 2;

/// Where a handshake came in.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// The audience of the route.
    pub audience: Arc<str>,
    /// The page's origin.
    pub origin: Option<Box<str>>,
    /// The client's address.
    pub remote: IpAddr,
    /// The trace that its handshake is part of.
    pub trace: Parent,
}

/// A connection that may pass frames, as long as its guard says so.
#[derive(Debug)]
pub struct Admitted {
    /// What stands before each of its frames.
    pub guard: Arc<Guard>,
    /// What it rests on.
    pub verdict: Box<Verdict>,
}

/// See the module.
#[derive(Debug)]
pub struct Gatekeeper {
    verifier: Verifier,
    enforcement: Arc<Enforcement>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Gatekeeper {
    /// By these verdicts and this enforcer.
    pub fn new(
        verifier: Verifier,
        enforcement: Arc<Enforcement>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { verifier, enforcement, clock, entropy }
    }

    /// Admits a new connection.
    pub async fn admit(
        &self,
        connection: ConnectionId,
        presented: &Presented,
        entrance: &Entrance,
        waker: &Arc<dyn Wake>,
    ) -> Result<Admitted, Refusal> {
        match self.traced("admission", entrance, self.judge(connection, presented, entrance, Some(waker))).await {
            Ok((verdict, Some(guard))) => Ok(Admitted { guard, verdict }),
            // Registering gives a guard; without one nobody passes.
            Ok((_, None)) => Err(Refusal::new(Denial::NotReady, presented.kind.form())),
            Err(denial) => Err(Refusal::new(denial, presented.kind.form())),
        }
    }

    /// Lets a connection rest on a newer credential of the same identity.
    pub async fn refresh(
        &self,
        connection: ConnectionId,
        presented: &Presented,
        entrance: &Entrance,
    ) -> Result<Box<Verdict>, Refusal> {
        let judged = self.traced("refresh", entrance, self.judge(connection, presented, entrance, None)).await;
        judged.map(|(verdict, _)| verdict).map_err(|denial| Refusal::new(denial, presented.kind.form()))
    }

    /// The span of a judgement says how it went, and not about whom.
    async fn traced<T>(
        &self,
        name: &'static str,
        entrance: &Entrance,
        judging: impl Future<Output = Result<T, Denial>>,
    ) -> Result<T, Denial> {
        let span = Span::begin(name, Kind::Server, &entrance.trace);
        let judged = span.over(judging).await;
        span.say("portcullis.outcome", judged.as_ref().map_or_else(|denial| denial.text(), |_| "admitted"));
        judged
    }

    /// Registers a connection with a waker; without one, replaces what an open one rests on.
    async fn judge(
        &self,
        connection: ConnectionId,
        presented: &Presented,
        entrance: &Entrance,
        waker: Option<&Arc<dyn Wake>>,
    ) -> Result<(Box<Verdict>, Option<Arc<Guard>>), Denial> {
        let (origin, address) = (entrance.origin.as_deref(), entrance.remote);
        let at = Presentation { audience: &entrance.audience, origin, address };
        let redemption = RedemptionId::new(UuidSource::new(&*self.clock, &*self.entropy));
        let question = Question { presented, at, redemption };
        let mut refuted = None;
        for _ in 0..=RENEWALS {
            // Without a lease no verdict could admit: the authority need not be asked, nor a ticket spent.
            if !self.enforcement.may_admit() {
                return Err(Denial::NotReady);
            }
            let answered = self.verifier.verify(&question, refuted).await?;
            let verdict = match answered.judgement {
                Judgement::Allowed(verdict) => verdict,
                Judgement::Denied(refused) => return Err(refused.denial),
            };
            verdict.permits(at, self.clock.boottime())?;
            match self.enter(connection, &verdict, waker).await {
                Ok(guard) => return Ok((Box::new(verdict), guard)),
                Err(NotAdmitted::Stale) => refuted = Some(answered.asked),
                Err(NotAdmitted::NotLive | NotAdmitted::Ahead { .. } | NotAdmitted::Gone) => {
                    return Err(Denial::NotReady);
                }
                Err(NotAdmitted::OtherIdentity) => return Err(Denial::AnotherIdentity),
                Err(NotAdmitted::Revoked(denial)) => return Err(denial),
            }
        }
        if let Some(refuted) = refuted {
            self.verifier.leave_alone(&question, refuted).await;
        }
        Err(Denial::NotReady)
    }

    async fn enter(
        &self,
        connection: ConnectionId,
        verdict: &Verdict,
        waker: Option<&Arc<dyn Wake>>,
    ) -> Result<Option<Arc<Guard>>, NotAdmitted> {
        match waker {
            Some(waker) => self.enforcement.register(connection, verdict, waker).await.map(Some),
            None => self.enforcement.replace(connection, verdict).await.map(|()| None),
        }
    }
}

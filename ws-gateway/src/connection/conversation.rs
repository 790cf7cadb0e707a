//! What the session of a connection wants, done.
//!
//! Guarantees that the session's outputs are carried out in their order, and that what was decided about a credential at
//! the handshake is what `connect` is answered with.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::session::{Output, Presented as Wanted, Purpose, Ruling};
use gateway_core::{CloseReason, Denial, Principal, Receiver as _, Wake};
use portcullis_types::{Boottime, TenantId};

use super::{Carried, Connection, End, Judging};
use crate::credential::{Carrier, Presented};
use crate::hub::{Hub, Judged, Seat};
use crate::metrics::Kind;

/// How long the last frames before a close may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl Connection {
    /// What was lost is left before another frame passes. Frames of it that already wait cannot be told from the others,
    /// so a client that lost something while frames wait begins anew.
    pub(super) fn on_news(&mut self, principal: Arc<Principal>) -> ControlFlow<End> {
        let mut outputs = Vec::new();
        self.session.on_principal(principal, &mut outputs);
        self.perform_losses_first(outputs)
    }

    /// As [`Connection::on_news`], for what a newer credential of an open session brings.
    pub(super) fn on_refreshed(&mut self, judged: Judged, now: Boottime) -> ControlFlow<End> {
        let mut outputs = Vec::new();
        self.on_judged(judged, now, &mut outputs);
        self.perform_losses_first(outputs)
    }

    fn perform_losses_first(&mut self, outputs: Vec<Output>) -> ControlFlow<End> {
        let (left, rest): (Vec<_>, Vec<_>) =
            outputs.into_iter().partition(|output| matches!(output, Output::Unsubscribe(_)));
        let lost = !left.is_empty();
        let now = self.hub().clock.boottime();
        self.perform(left, now);
        if lost && (self.wire.is_writing() || self.seat.mailbox().outbox.queued_bytes() > 0) {
            return ControlFlow::Break(End::Close(CloseReason::AuthorityChanged));
        }
        self.perform(rest, now);
        ControlFlow::Continue(())
    }

    pub(super) fn on_judged(&mut self, judged: Judged, now: Boottime, outputs: &mut Vec<Output>) {
        let was_carried = matches!(self.carried, Carried::Judging);
        if judged.guard.is_some() {
            self.guard.clone_from(&judged.guard);
        }
        if was_carried && !self.carried_wanted {
            self.carried = Carried::Judged(Box::new(judged));
        } else {
            self.carried = Carried::Nothing;
            self.rule(judged.ruling, now, outputs);
        }
    }

    fn rule(&mut self, mut ruling: Ruling, now: Boottime, outputs: &mut Vec<Output>) {
        // What was decided at the handshake may have been judged again since.
        if let Ruling::Admitted(admission) = &mut ruling
            && let Some(principal) = self.guard.as_ref().and_then(|guard| guard.take_news())
        {
            admission.principal = principal;
        }
        // A refresh is no handshake.
        if self.session.tenant().is_none() {
            self.count_handshake(&ruling);
            if let Ruling::Anonymous(guest) = &ruling {
                let waker: Arc<dyn Wake> = self.seat.mailbox().clone();
                let enforcement = &self.seat.hub().enforcement;
                self.guard = Some(enforcement.register_anonymous(self.seat.connection(), &guest.tenant, waker));
            }
        }
        self.session.on_ruling(ruling, now, outputs);
    }

    fn count_handshake(&mut self, ruling: &Ruling) {
        let kind = match ruling {
            Ruling::Admitted(_) => "authenticated",
            Ruling::Anonymous(_) => "anonymous",
            Ruling::Refused(refusal) => {
                self.hub().metrics.handshake(refusal.denial().text());
                return;
            }
        };
        let metrics = &self.seat.hub().metrics;
        metrics.handshake(kind);
        metrics.sockets.get_or_create(&Kind { kind: self.kind }).dec();
        metrics.sockets.get_or_create(&Kind { kind }).inc();
        self.kind = kind;
    }

    /// Does what the session wants, in order.
    pub(super) fn perform(&mut self, outputs: Vec<Output>, now: Boottime) {
        let mut outputs = VecDeque::from(outputs);
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Verify { presented, purpose } => outputs.extend(self.verify(presented, purpose, now)),
                Output::Reply(frame) => self.seat.mailbox().deliver(frame),
                Output::Subscribe(channel) => self.with_tenant(|hub, tenant, seat| {
                    hub.broker.subscribe(tenant, &channel, seat.connection(), seat.mailbox().clone());
                }),
                Output::Unsubscribe(channel) => self.with_tenant(|hub, tenant, seat| {
                    hub.broker.unsubscribe(tenant, &channel, seat.connection());
                }),
                // One message may hold many: whoever is stopped in the middle does not say the rest.
                Output::Publish { .. } if self.check().is_err() => {
                    self.last_words = Some((CloseReason::AuthorityChanged, now));
                    return;
                }
                Output::Publish { channel, frame } => self.with_tenant(|hub, tenant, _| {
                    hub.broker.publish(tenant, &channel, &frame);
                }),
                Output::Close(reason) => self.last_words = Some((self.told(reason), now + LAST_WORDS)),
            }
        }
    }

    pub(super) fn with_tenant(&self, act: impl FnOnce(&Hub, &TenantId, &Seat)) {
        if let Some(tenant) = self.session.tenant() {
            act(self.hub(), tenant, &self.seat);
        }
    }

    /// A client that was refused at the handshake and then said nothing is told why it was refused.
    fn told(&self, reason: CloseReason) -> CloseReason {
        match (&self.carried, reason) {
            (Carried::Barred(refusal), CloseReason::Stale) => CloseReason::Refused(*refusal),
            (Carried::Judged(judged), CloseReason::Stale) => match judged.ruling {
                Ruling::Refused(refusal) => CloseReason::Refused(refusal),
                Ruling::Admitted(_) | Ruling::Anonymous(_) => reason,
            },
            _ => reason,
        }
    }

    fn verify(&mut self, wanted: Wanted, purpose: Purpose, now: Boottime) -> Vec<Output> {
        let mut outputs = Vec::new();
        let ruling = match (std::mem::replace(&mut self.carried, Carried::Nothing), wanted) {
            (Carried::Barred(refusal), _) => Ruling::Refused(refusal),
            (Carried::Judging, Wanted::Carried) => {
                self.carried = Carried::Judging;
                self.carried_wanted = true;
                return outputs;
            }
            (Carried::Judged(judged), Wanted::Carried) => judged.ruling,
            (_, Wanted::Carried) => self.hub().rules.ruling_on(Denial::NoCredential.into()),
            (_, Wanted::Token(token)) => {
                let text = token.expose_str().unwrap_or_default();
                match Presented::read(text, Carrier::Command, self.hub().rules.credentials) {
                    Ok(presented) => {
                        self.judging = Some(self.judge(presented, purpose));
                        return outputs;
                    }
                    Err(refusal) => match purpose {
                        Purpose::Connect => self.hub().rules.ruling_on(refusal),
                        Purpose::Refresh => Ruling::Refused(refusal),
                    },
                }
            }
        };
        self.rule(ruling, now, &mut outputs);
        outputs
    }

    pub(super) fn judge(&self, presented: Presented, purpose: Purpose) -> Judging {
        let (hub, seat, entrance) = (Arc::clone(self.seat.hub()), self.seat.to_ref(), Arc::clone(&self.entrance));
        Box::pin(async move {
            match purpose {
                Purpose::Connect => hub.judge(seat, &presented, &entrance).await,
                Purpose::Refresh => hub.judge_newer(seat, &presented, &entrance).await,
            }
        })
    }
}

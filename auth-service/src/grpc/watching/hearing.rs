//! What a gateway says on its watch: how it begins, its probes, and what it enforces.
//!
//! Refuses what is out of turn or makes no sense, by name: the watch ends with it.

use std::time::Duration;

use auth_domain::watch::{Acknowledgement, Run};
use portcullis_proto::auth::v1;
use portcullis_types::{BootId, GatewayId, Revision};
use tonic::Status;

use super::{Ended, Following, Proven, Watching};
use crate::grpc::errors::{Failure, Reason};
use crate::receipts::NoProof;

/// What a gateway said first.
pub(super) struct Start {
    pub(super) run: Run,
    pub(super) cursor: Option<Revision>,
    /// It holds no sockets: it gets no lease, and no receipt waits for it.
    pub(super) observer: bool,
}

impl Start {
    /// The run to register, if it may be given a lease.
    pub(super) fn registered(&self) -> Option<&Run> {
        (!self.observer).then_some(&self.run)
    }
}

impl Watching {
    /// The first request.
    pub(super) async fn start(&mut self) -> Result<Start, Ended> {
        let Ok(Some(request)) = self.requests.message().await else {
            return Err(Ended::Left);
        };
        let Some(v1::watch_request::Message::Start(start)) = request.message else {
            return Err(Failure::new(Reason::WatchStartExpected, "the first request of a watch is `start`").into());
        };
        let boot: [u8; 16] =
            start.boot_id.try_into().map_err(|_| Failure::field("start.boot_id", "must be 16 bytes"))?;
        Ok(Start {
            run: Run {
                gateway: GatewayId::try_from(start.gateway_id.as_str()).map_err(Failure::name("start.gateway_id"))?,
                boot: BootId::from_bytes(boot),
            },
            observer: start.observer,
            cursor: start.cursor.map(Revision::try_from).transpose().map_err(Failure::wire("start.cursor"))?,
        })
    }

    /// A request after the first, or the end.
    pub(super) async fn hear(
        &self,
        following: &mut Following,
        request: Result<Option<v1::WatchRequest>, Status>,
    ) -> Result<(), Ended> {
        let Ok(Some(request)) = request else { return Err(Ended::Left) };
        match request.message {
            Some(v1::watch_request::Message::Probe(probe)) => self.hear_probe(following, &probe).await,
            Some(v1::watch_request::Message::Applied(applied)) => match &following.run {
                Some(run) => self.hear_applied(run, &applied).await,
                None => Ok(()),
            },
            Some(v1::watch_request::Message::Closed(closed)) => match &following.run {
                Some(run) => self.hear_closed(run, &closed).await,
                None => Ok(()),
            },
            Some(v1::watch_request::Message::Released(v1::Released {})) => {
                if let Some(run) = &following.run {
                    self.api.receipts.released(run).await?;
                }
                Err(Ended::Released)
            }
            Some(v1::watch_request::Message::Start(_)) => {
                Err(Failure::new(Reason::WatchStartedTwice, "a watch is started once").into())
            }
            None => Err(Failure::field("message", "is needed").into()),
        }
    }

    async fn hear_probe(&self, following: &mut Following, probe: &v1::Probe) -> Result<(), Ended> {
        let arrived = self.api.clock.boottime();
        if let (Some(run), Some(applied)) = (&following.run, probe.applied) {
            let applied = Revision::try_from(applied).map_err(Failure::wire("probe.applied"))?;
            self.api.receipts.applied(run, applied).await?;
        }
        // Before the head is read: whoever asks for a receipt between the two must count this gateway in.
        let run = following.run.as_ref().map(|run| (run, probe.sockets));
        let (id, proof) = (probe.probe_id, self.api.receipts.prove(run, arrived)?);
        following.proofs.push_back(Box::pin(async move { (id, arrived, proof.await) }));
        Ok(())
    }

    /// The word has come that a head is the newest.
    pub(super) fn hear_proof(following: &mut Following, (id, arrived, proof): Proven) -> Result<(), Ended> {
        let fresh = proof?;
        following.wake(|watcher| watcher.probe(id, arrived, fresh)).map_err(|_| Ended::Left)
    }

    async fn hear_applied(&self, run: &Run, applied: &v1::Applied) -> Result<(), Ended> {
        let revision = named("applied.revision", applied.revision)?;
        let apply = micros("applied.apply_us", applied.apply_us)?;
        let said = Acknowledgement { fenced: applied.fenced, closed: 0, apply };
        Ok(self.api.receipts.acknowledge(run, revision, said).await?)
    }

    async fn hear_closed(&self, run: &Run, closed: &v1::Closed) -> Result<(), Ended> {
        let revision = named("closed.revision", closed.revision)?;
        let apply = micros("closed.apply_us", closed.apply_us)?;
        let said = Acknowledgement { fenced: closed.fenced, closed: closed.closed, apply };
        Ok(self.api.receipts.closed(run, revision, said, closed.again).await?)
    }
}

fn micros(field: &'static str, micros: i64) -> Result<Duration, Failure> {
    u64::try_from(micros).map(Duration::from_micros).map_err(|_| Failure::field(field, "is negative"))
}

fn named(field: &'static str, revision: Option<v1::Revision>) -> Result<Revision, Failure> {
    let revision = revision.ok_or_else(|| Failure::field(field, "is needed"))?;
    Revision::try_from(revision).map_err(Failure::wire(field))
}

impl From<NoProof> for Failure {
    fn from(error: NoProof) -> Self {
        match error {
            NoProof::Gateways(error) => error.into(),
            NoProof::Waiting(error) => Self::new(Reason::GatewaysExhausted, error.to_string()),
        }
    }
}

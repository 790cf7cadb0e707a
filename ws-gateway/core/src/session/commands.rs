//! What each command of an admitted client does.

use portcullis_types::{Boottime, ChannelName, IdentityId};
use serde_json::value::RawValue;

use super::rate::Charge;
use super::{Open, Output, Session, State};
use crate::protocol::{
    ClientInfo, Command, Commands, ErrorCode, Request, error_reply, ping_reply, publication, publish_reply,
    subscribe_reply, unsubscribe_push, unsubscribe_reply,
};
use crate::{Action, CloseReason};

impl Session {
    /// Runs commands in their order, until one has to wait for a verdict or closes the connection.
    pub(super) fn run(&mut self, mut commands: Commands<'_>, now: Boottime, out: &mut Vec<Output>) {
        let mut ran_any = false;
        loop {
            if matches!(self.state, State::Opening(_)) {
                if !ran_any || !commands.rest().is_empty() {
                    self.park(commands.rest(), out);
                }
                return;
            }
            match commands.next() {
                Some(Ok(command)) => self.run_one(command, now, out),
                Some(Err(_)) => self.close(CloseReason::BadRequest, out),
                // A message without commands is not free either.
                None if !ran_any && self.rate.charge(&self.limits, now) == Charge::Abuse => {
                    self.close(CloseReason::RateExceeded, out);
                }
                None => return,
            }
            if self.is_closed() {
                return;
            }
            ran_any = true;
        }
    }

    fn park(&mut self, commands: &str, out: &mut Vec<Output>) {
        let State::Opening(opening) = &mut self.state else { return };
        if opening.parked.len() + commands.len() + 1 > self.limits.message_bytes {
            return self.close(CloseReason::RateExceeded, out);
        }
        opening.parked.push_str(commands);
        opening.parked.push('\n');
    }

    fn run_one(&mut self, command: Command<'_>, now: Boottime, out: &mut Vec<Output>) {
        let Command { id, request } = command;
        match self.rate.charge(&self.limits, now) {
            Charge::Within => {}
            Charge::Abuse => return self.close(CloseReason::RateExceeded, out),
            Charge::Over => match request {
                // An answer that we asked for; and an SDK whose `unsubscribe` is refused starts anew, which helps nobody.
                Request::Pong | Request::Unsubscribe { .. } => {}
                Request::Connect { .. }
                | Request::Subscribe { .. }
                | Request::Publish { .. }
                | Request::Refresh { .. }
                | Request::Ping
                | Request::Unknown => {
                    return out.push(Output::Reply(error_reply(id, ErrorCode::TooManyRequests)));
                }
            },
        }
        self.perform(id, request, out);
    }

    fn perform(&mut self, id: u32, request: Request<'_>, out: &mut Vec<Output>) {
        match (&mut self.state, request) {
            (State::Awaiting(_), Request::Connect { token }) => self.connect(id, token, out),
            (State::Open(open), Request::Pong) => open.heartbeat.pong(),
            (State::Open(_), Request::Refresh { token }) => self.refresh(id, token, out),
            (State::Open(open), Request::Subscribe { channel }) => {
                match open.subscribe(&channel, self.limits.subscriptions) {
                    Ok(channel) => out.extend([Output::Reply(subscribe_reply(id)), Output::Subscribe(channel)]),
                    Err(code) => out.push(Output::Reply(error_reply(id, code))),
                }
            }
            (State::Open(open), Request::Unsubscribe { channel }) => {
                out.extend(open.unsubscribe(&channel).map(Output::Unsubscribe));
                out.push(Output::Reply(unsubscribe_reply(id)));
            }
            (State::Open(open), Request::Publish { channel, data }) => {
                let info = ClientInfo { user: open.who.identity(), client: &self.client };
                match open.publish(&channel, data, info) {
                    Ok(publish) => out.extend([publish, Output::Reply(publish_reply(id))]),
                    Err(code) => out.push(Output::Reply(error_reply(id, code))),
                }
            }
            (State::Open(_), Request::Ping) => out.push(Output::Reply(ping_reply(id))),
            (State::Open(_), Request::Unknown) => {
                out.push(Output::Reply(error_reply(id, ErrorCode::MethodNotFound)));
            }
            // Out of turn: a second `connect`, or anything before the first.
            (State::Open(_), Request::Connect { .. }) | (State::Awaiting(_), _) => {
                self.close(CloseReason::BadRequest, out);
            }
            // `run` parks what comes while opening, and ends at a close.
            (State::Opening(_) | State::Closed(_), _) => {}
        }
    }
}

impl Open {
    /// Follows a channel, if that is allowed now.
    fn subscribe(&mut self, name: &str, most: usize) -> Result<ChannelName, ErrorCode> {
        let channel = ChannelName::try_from(name).map_err(|_| ErrorCode::BadRequest)?;
        if self.subscriptions.contains(&channel) {
            return Err(ErrorCode::AlreadySubscribed);
        }
        if !self.may_follow(&channel) {
            return Err(ErrorCode::PermissionDenied);
        }
        if self.subscriptions.len() >= most {
            return Err(ErrorCode::LimitExceeded);
        }
        self.subscriptions.push(channel.clone());
        Ok(channel)
    }

    /// Leaves a channel. Leaving what is not followed is no error: the SDK says so after a race.
    fn unsubscribe(&mut self, name: &str) -> Option<ChannelName> {
        let place = self.subscriptions.iter().position(|channel| channel.as_str() == name)?;
        Some(self.subscriptions.swap_remove(place))
    }

    /// Says something, if that is allowed now. Who says it is stamped here, beside the payload, whatever that claims.
    fn publish(&self, name: &str, data: Option<&RawValue>, info: ClientInfo<'_>) -> Result<Output, ErrorCode> {
        let channel = ChannelName::try_from(name).map_err(|_| ErrorCode::BadRequest)?;
        let data = data.ok_or(ErrorCode::BadRequest)?;
        if !self.who.grants().allows(Action::Publish, &channel) {
            return Err(ErrorCode::PermissionDenied);
        }
        let frame = publication(&channel, data, Some(info));
        Ok(Output::Publish { channel, frame })
    }

    /// Leaves what the grants of now do not allow, telling the client, which does not try again.
    pub(super) fn leave_what_is_forbidden(&mut self, out: &mut Vec<Output>) {
        let followed = std::mem::take(&mut self.subscriptions);
        let (kept, lost) = followed.into_iter().partition(|channel| self.may_follow(channel));
        self.subscriptions = kept;
        for channel in Vec::into_iter(lost) {
            let push = unsubscribe_push(&channel);
            out.extend([Output::Unsubscribe(channel), Output::Reply(push)]);
        }
    }

    // An identity's own channel needs no grant, and no grant reaches somebody else's.
    fn may_follow(&self, channel: &ChannelName) -> bool {
        let personal = channel.as_str().strip_prefix('@').and_then(|id| IdentityId::try_from(id).ok());
        match personal {
            Some(owner) => self.who.identity() == Some(owner),
            None => self.who.grants().allows(Action::Subscribe, channel),
        }
    }
}

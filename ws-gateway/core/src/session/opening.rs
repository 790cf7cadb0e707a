//! How a session opens, and how it goes on with a newer credential.

use std::time::Duration;

use portcullis_types::{Boottime, ChannelName, IdentityId, Secret};

use super::heartbeat::{Heartbeat, told_seconds};
use super::{Expiry, Handshake, Open, Opening, Output, Presented, Purpose, Ruling, Session, State, Who};
use crate::protocol::{
    ConnectData, ConnectResult, ErrorCode, FrameLimits, RefreshIn, RefreshResult, connect_reply, decode, error_reply,
    refresh_reply, refusal_reply,
};
use crate::{CloseReason, CredentialForm, Denial, Refusal};

impl Session {
    /// The first command.
    pub(super) fn connect(&mut self, id: u32, token: Option<Secret>, out: &mut Vec<Output>) {
        let presented = match token {
            None => Presented::Carried,
            Some(_) if self.handshake == Handshake::Credential => {
                return self.refuse(id, Denial::TwoCredentials.into(), out);
            }
            Some(token) => match self.within_size(token) {
                Ok(token) => Presented::Token(token),
                Err(refusal) => return self.refuse(id, refusal, out),
            },
        };
        let presented_token = matches!(presented, Presented::Token(_));
        self.state = State::Opening(Box::new(Opening { id, presented_token, parked: String::new() }));
        out.push(Output::Verify { presented, purpose: Purpose::Connect });
    }

    /// The verdict on the first command.
    pub(super) fn open(&mut self, id: u32, by_token: bool, ruling: Ruling, now: Boottime, out: &mut Vec<Output>) {
        let who = match ruling {
            Ruling::Refused(refusal) => return self.refuse(id, refusal, out),
            Ruling::Admitted(admission) => Who::Known(admission),
            Ruling::Anonymous(guest) => Who::Nobody(guest),
        };
        let personal = who.identity().map(personal_channel);
        // An SDK that is told of an expiry refreshes, and ends itself when it has no way to get a new credential: so it is
        // told only when it brought the credential itself.
        let refresh_in = if by_token { refresh_in(who.expires(), now) } else { None };
        let result = ConnectResult {
            client: &self.client,
            version: &self.limits.version,
            refresh_in,
            data: self.connect_data(&who),
            subs: personal.as_ref(),
            ping: told_seconds(self.limits.ping_interval),
            pong: true,
        };
        out.push(Output::Reply(connect_reply(id, &result)));
        out.extend(personal.clone().map(Output::Subscribe));
        let heartbeat = Heartbeat::starting(&self.limits, &self.client, now);
        let subscriptions = Vec::from_iter(personal);
        self.state = State::Open(Box::new(Open { who, subscriptions, heartbeat, refreshing: None }));
    }

    /// What came while the verdict was being made. Each message was within the limits when it came.
    pub(super) fn run_parked(&mut self, parked: &str, now: Boottime, out: &mut Vec<Output>) {
        let limits = FrameLimits { bytes: usize::MAX, depth: self.limits.json_depth, commands: usize::MAX };
        if parked.is_empty() || self.is_closed() {
            return;
        }
        match decode(parked, limits) {
            Ok(commands) => self.run(commands, now, out),
            Err(_) => self.close(CloseReason::BadRequest, out),
        }
    }

    /// A newer credential is presented.
    pub(super) fn refresh(&mut self, id: u32, token: Option<Secret>, out: &mut Vec<Output>) {
        let State::Open(open) = &mut self.state else { return };
        let error = match (&open.who, token) {
            // Nobody becomes somebody by coming anew.
            (Who::Nobody(_), _) => ErrorCode::PermissionDenied,
            (Who::Known(_), None) => ErrorCode::BadRequest,
            // One at a time; the SDK tries again later.
            (Who::Known(_), Some(_)) if open.refreshing.is_some() => ErrorCode::TooManyRequests,
            (Who::Known(_), Some(token)) => {
                match self.within_size(token) {
                    Ok(token) => self.ask_for_refresh(id, token, out),
                    Err(refusal) => self.refuse(id, refusal, out),
                }
                return;
            }
        };
        out.push(Output::Reply(error_reply(id, error)));
    }

    fn ask_for_refresh(&mut self, id: u32, token: Secret, out: &mut Vec<Output>) {
        let State::Open(open) = &mut self.state else { return };
        open.refreshing = Some(id);
        out.push(Output::Verify { presented: Presented::Token(token), purpose: Purpose::Refresh });
    }

    /// The verdict on a newer credential. One that is only late or spent leaves the connection to the older one; one that
    /// is bad ends it, because a client that presents a revoked credential is not believed on the strength of another.
    pub(super) fn refreshed(&mut self, id: u32, ruling: Ruling, now: Boottime, out: &mut Vec<Output>) {
        let State::Open(open) = &mut self.state else { return };
        let newer = match ruling {
            Ruling::Refused(refusal) if refusal.is_temporary() => {
                return out.push(Output::Reply(refusal_reply(id, refusal)));
            }
            Ruling::Refused(refusal) => return self.refuse(id, refusal, out),
            Ruling::Anonymous(guest) => return self.refuse(id, guest.reason.into(), out),
            Ruling::Admitted(newer) => newer,
        };
        if open.who.identity() != Some(newer.principal.identity) || open.who.tenant() != &newer.principal.tenant {
            return self.refuse(id, Denial::AnotherIdentity.into(), out);
        }
        let refresh_in = refresh_in(newer.expires, now);
        open.who = Who::Known(newer);
        let result = RefreshResult { client: &self.client, version: &self.limits.version, refresh_in };
        out.push(Output::Reply(refresh_reply(id, &result)));
        open.leave_what_is_forbidden(out);
    }

    /// Answers with the refusal and closes.
    fn refuse(&mut self, id: u32, refusal: Refusal, out: &mut Vec<Output>) {
        out.push(Output::Reply(refusal_reply(id, refusal)));
        self.close(CloseReason::Refused(refusal), out);
    }

    fn within_size(&self, token: Secret) -> Result<Secret, Refusal> {
        if token.len() <= self.limits.credential_bytes {
            return Ok(token);
        }
        let form = token.expose_str().map_or(CredentialForm::Other, CredentialForm::of);
        Err(Refusal::new(Denial::Malformed, form))
    }

    fn connect_data<'a>(&self, who: &'a Who) -> ConnectData<'a> {
        let (session, reason, revision) = match who {
            Who::Known(admission) => (admission.principal.session, None, Some(admission.revision)),
            Who::Nobody(guest) => (None, Some(guest.reason), None),
        };
        ConnectData {
            authenticated: matches!(who, Who::Known(_)),
            identity: who.identity(),
            tenant: who.tenant(),
            session,
            reason,
            expires_at: who.expires().map(|expiry| expiry.shown),
            revision,
            limits: self.limits.effective(),
        }
    }
}

/// The channel that only this identity reads: `@` and its id.
pub fn personal_channel(identity: IdentityId) -> ChannelName {
    ChannelName::try_from(format!("@{identity}").as_str()).expect("'@' and a UUID are 37 visible ASCII characters")
}

/// SDKs refresh when `ttl` is over, so it ends early: by a fifth of what remains, at most by 30 s.
fn refresh_in(expires: Option<Expiry>, now: Boottime) -> Option<RefreshIn> {
    let remaining = expires?.at.saturating_since(now);
    let ttl = remaining - (remaining / 5).min(Duration::from_secs(30));
    Some(RefreshIn::seconds(u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_refreshes_a_fifth_or_half_a_minute_before_the_end_and_never_at_once() {
        let now = Boottime::from_nanos(1);
        for (remaining, ttl) in [(600, 570), (150, 120), (100, 80), (10, 8), (1, 1), (0, 1)] {
            let expiry = Expiry { at: now + Duration::from_secs(remaining), shown: Default::default() };
            let told = serde_json::to_string(&refresh_in(Some(expiry), now)).expect("it has a JSON form");
            assert_eq!(told, format!(r#"{{"expires":true,"ttl":{ttl}}}"#));
        }
        assert!(refresh_in(None, now).is_none());
    }
}

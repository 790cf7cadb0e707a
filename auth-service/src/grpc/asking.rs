//! Requests that their callers name, so that one that is sent twice is done once.
//!
//! What a named request asks is its method and its whole message: the same name with anything else in it is refused.

use auth_domain::{Actor, Asked, Caller, RequestId};
use portcullis_types::Secret;
use prost::Message;

use super::Api;
use super::errors::Failure;

impl Api {
    /// The actor, asking for what the caller named, when it did. `id` is the message's own `request_id`.
    pub(crate) fn named(
        &self,
        actor: Actor,
        method: &'static str,
        id: &str,
        message: &impl Message,
    ) -> Result<Actor, Failure> {
        Ok(actor.asking(self.name_of(method, id, message)?))
    }

    /// The same for a caller.
    pub(crate) fn named_caller(
        &self,
        caller: &Caller,
        method: &'static str,
        id: &str,
        message: &impl Message,
    ) -> Result<Caller, Failure> {
        Ok(caller.clone().asking(self.name_of(method, id, message)?))
    }

    fn name_of(&self, method: &'static str, id: &str, message: &impl Message) -> Result<Option<Asked>, Failure> {
        if id.is_empty() {
            return Ok(None);
        }
        let id = RequestId::try_from(id).map_err(Failure::name("request_id"))?;
        // There may be a password in it.
        let content = Secret::new(message.encode_to_vec());
        Ok(Some(self.authority.asked(id, method, &content)))
    }
}

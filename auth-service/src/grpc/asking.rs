//! Requests that their callers name, so that one that is sent twice is done once.
//!
//! What a named request asks is its method and its whole message: the same name with anything else in it is refused.

use auth_domain::{Actor, RequestId};
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
        if id.is_empty() {
            return Ok(actor);
        }
        let id = RequestId::try_from(id).map_err(Failure::name("request_id"))?;
        // There may be a password in it.
        let content = Secret::new(message.encode_to_vec());
        Ok(actor.asking(Some(self.authority.asked(id, method, &content))))
    }
}

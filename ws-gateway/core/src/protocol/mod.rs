//! The client protocol, in its JSON form: what a frame says, and how a frame is written.
//!
//! Owns: the codec of `portcullis.client.v1`, whose names and numbers are those of the published Centrifuge SDKs.
//! Guarantees: limits are checked by a scan before anything is parsed; decoding borrows from the frame and allocates
//! only for text with escapes and for a credential; `data` passes as it came, byte for byte.
//! Refuses: to know what a command means; see [`crate::Session`].

mod decode;
mod encode;
mod error_code;
#[cfg(test)]
mod tests;

pub use decode::{Command, Commands, FrameLimits, FrameRefused, Malformed, Request, decode};
pub use encode::{
    ClientInfo, ConnectData, ConnectResult, EffectiveLimits, PING, RefreshIn, RefreshResult, connect_reply,
    error_reply, frozen_push, ping_reply, publication, publish_reply, refresh_reply, refusal_reply, subscribe_reply,
    thawed_push, unsubscribe_push, unsubscribe_reply,
};
pub use error_code::ErrorCode;

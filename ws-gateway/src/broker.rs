//! Who carries a publication to the followers of its channel.
//!
//! Owns the seam between one gateway and many: the hub knows only this trait. The in-process broker spans this process
//! alone, so a channel reaches the sockets of one gateway; revocations reach every gateway whatever the broker.

use std::sync::Arc;

use bytes::Bytes;
use gateway_core::{Channels, ConnectionId, Receiver};
use portcullis_types::{ChannelName, TenantId};

/// Carries publications. No method waits: a broker over a network queues within its own bounds.
pub trait Broker: Send + Sync + std::fmt::Debug {
    /// Lets a connection of this process follow a channel.
    fn subscribe(
        &self,
        tenant: &TenantId,
        channel: &ChannelName,
        connection: ConnectionId,
        receiver: Arc<dyn Receiver>,
    );

    /// Ends that.
    fn unsubscribe(&self, tenant: &TenantId, channel: &ChannelName, connection: ConnectionId);

    /// Delivers an encoded push to everyone who follows the channel.
    fn publish(&self, tenant: &TenantId, channel: &ChannelName, frame: &Bytes);
}

/// Spans this process.
#[derive(Debug, Default)]
pub struct InProcess {
    channels: Channels,
}

impl Broker for InProcess {
    fn subscribe(
        &self,
        tenant: &TenantId,
        channel: &ChannelName,
        connection: ConnectionId,
        receiver: Arc<dyn Receiver>,
    ) {
        self.channels.subscribe(tenant, channel, connection, receiver);
    }

    fn unsubscribe(&self, tenant: &TenantId, channel: &ChannelName, connection: ConnectionId) {
        self.channels.unsubscribe(tenant, channel, connection);
    }

    fn publish(&self, tenant: &TenantId, channel: &ChannelName, frame: &Bytes) {
        self.channels.publish(tenant, channel, frame);
    }
}

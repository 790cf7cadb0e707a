//! `[grpc.limits]`: what peers may take of the gRPC listener.

use std::time::Duration;

use portcullis_config::TrustedProxies;
use serde::Deserialize;

use super::Rule;
use crate::listen::Caps;

/// `[grpc.limits]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GrpcLimits {
    /// How many connections there may be; one more waits.
    pub(crate) connections: usize,
    /// How many of them one address may have (of IPv6, one network of 64 bits); one more is refused.
    pub(crate) connections_per_address: usize,
    /// How long a connection may be open over which nobody has called who may.
    pub(crate) admission_ms: u64,
    /// How many watches may be open.
    pub(crate) watches: usize,
    /// How many callers may wait for receipts.
    pub(crate) receipts: usize,
    /// How many runs of gateways are remembered because they may hold a lease.
    pub(crate) gateways: usize,
}

impl Default for GrpcLimits {
    fn default() -> Self {
        Self {
            connections: 2_048,
            connections_per_address: 256,
            admission_ms: 60_000,
            watches: 1_024,
            receipts: 256,
            gateways: 2_048,
        }
    }
}

impl GrpcLimits {
    /// As the listener keeps them. No proxy is believed here: whoever calls says so itself.
    pub(crate) fn caps(&self) -> Caps {
        Caps {
            most: self.connections,
            per_address: self.connections_per_address,
            proxies: TrustedProxies::default(),
            admission: Some(Duration::from_millis(self.admission_ms)),
        }
    }

    /// What this section must hold.
    pub(super) fn rules(&self) -> [Rule; 6] {
        let some = 1..=65_536;
        [
            (some.contains(&self.connections), "grpc.limits.connections", "must be 1 to 65536"),
            (some.contains(&self.connections_per_address), "grpc.limits.connections_per_address", "must be 1 to 65536"),
            ((1_000..=3_600_000).contains(&self.admission_ms), "grpc.limits.admission_ms", "must be 1000 to 3600000"),
            (some.contains(&self.watches), "grpc.limits.watches", "must be 1 to 65536"),
            (some.contains(&self.receipts), "grpc.limits.receipts", "must be 1 to 65536"),
            (some.contains(&self.gateways), "grpc.limits.gateways", "must be 1 to 65536"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, refused};

    #[test]
    fn values_out_of_range_name_their_key() {
        for key in ["connections", "connections_per_address", "admission_ms", "watches", "receipts", "gateways"] {
            assert!(refused(&format!("[grpc.limits]\n{key} = 0")).contains(&format!("grpc.limits.{key}`")), "{key}");
        }
        assert_eq!(read("[grpc.limits]\nwatches = 7").expect("it may").grpc.limits.watches, 7);
    }
}

//! `[grpc]`: the listener for programs.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::{GrpcLimits, Rule};

/// `[grpc]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Grpc {
    /// A loopback address, or any with TLS.
    pub(crate) listen: SocketAddr,
    /// What is shown to whoever connects; absent: the transport is in the clear.
    pub(crate) tls: Option<Tls>,
    /// Whether the contract can be asked for.
    pub(crate) reflection: bool,
    /// The largest message taken or given.
    pub(crate) max_message_bytes: usize,
    /// The longest a unary call may take.
    pub(crate) max_deadline_ms: u64,
    /// What peers may take of it.
    pub(crate) limits: GrpcLimits,
}

/// `[grpc.tls]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The certificate and those that vouch for it, in PEM; read again when it changes.
    pub(crate) cert_file: PathBuf,
    /// Its private key, in PEM.
    pub(crate) key_file: PathBuf,
    /// The certificate authorities that vouch for the certificates of callers, in PEM; absent: callers show none.
    #[serde(default)]
    pub(crate) client_ca_file: Option<PathBuf>,
}

impl Default for Grpc {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7700)),
            tls: None,
            reflection: false,
            max_message_bytes: 1 << 20,
            max_deadline_ms: 30_000,
            limits: GrpcLimits::default(),
        }
    }
}

impl Grpc {
    /// Which of its keys may not be used.
    pub(super) fn rules(&self) -> [Rule; 3] {
        [
            (
                self.listen.ip().is_loopback() || self.tls.is_some(),
                "grpc.listen",
                "must be a loopback address, or have `grpc.tls.cert_file` and `grpc.tls.key_file`: the clear stays on this \
                 machine",
            ),
            (
                (1 << 12..=64 << 20).contains(&self.max_message_bytes),
                "grpc.max_message_bytes",
                "must be 4096 to 67108864",
            ),
            ((100..=300_000).contains(&self.max_deadline_ms), "grpc.max_deadline_ms", "must be 100 to 300000"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, refused};

    #[test]
    fn grpc_in_the_clear_stays_on_loopback() {
        for address in ["0.0.0.0:7700", "[::]:7700", "192.0.2.1:7700"] {
            assert!(refused(&format!("[grpc]\nlisten = '{address}'")).contains("grpc.listen"), "{address}");
        }
        assert!(read("[grpc]\nlisten = '[::1]:0'").is_ok());
        let tls = "[grpc.tls]\ncert_file = 'a'\nkey_file = 'b'";
        assert!(read(&format!("[grpc]\nlisten = '0.0.0.0:7700'\n{tls}")).is_ok());
        assert!(refused("[grpc.tls]\ncert_file = 'a'").contains("key_file"));
    }
}

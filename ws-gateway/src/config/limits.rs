//! `[limits]`: what peers may take.

use serde::Deserialize;

/// What peers may take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Bytes of a request's head; 431 above.
    pub header_bytes: usize,
    /// Until a socket has said `connect`.
    pub connect_timeout_ms: u64,
    /// Bytes of one message from a client; closed with 1009 above.
    pub message_bytes: usize,
    /// Levels of nesting in one message.
    pub json_depth: usize,
    /// Channels one socket may follow.
    pub subscriptions_per_socket: usize,
    /// Bytes waiting for one socket; closed with 4008 above.
    pub outgoing_bytes_per_socket: usize,
    /// Sockets, and connections that may become one; 503 above.
    pub sockets: usize,
    /// Bytes of one credential.
    pub credential_bytes: usize,
    /// Commands one socket may send in a second, in the long run, and twice as many after a pause. Refused above, and
    /// closed with 4029 when it goes on.
    pub commands_per_second: u32,
    /// How long one write to a slow peer may be stuck; closed above.
    pub write_timeout_ms: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            header_bytes: 16_384,
            connect_timeout_ms: 10_000,
            message_bytes: 65_536,
            json_depth: 32,
            subscriptions_per_socket: 128,
            outgoing_bytes_per_socket: 1_048_576,
            sockets: 19_000,
            credential_bytes: 8_192,
            commands_per_second: 100,
            write_timeout_ms: 15_000,
        }
    }
}

impl LimitsConfig {
    /// Says of each rule whether it holds.
    pub(super) fn broken_rules(&self, rule: &mut impl FnMut(bool, &str)) {
        rule((8_192..=65_536).contains(&self.header_bytes), "limits.header_bytes: 8192 to 65536");
        rule(
            (64..=self.header_bytes).contains(&self.credential_bytes),
            "limits.credential_bytes: 64 to limits.header_bytes",
        );
        rule((1_024..=1 << 24).contains(&self.message_bytes), "limits.message_bytes: 1024 to 16777216");
        rule((4..=128).contains(&self.json_depth), "limits.json_depth: 4 to 128");
        rule(self.connect_timeout_ms >= 100, "limits.connect_timeout_ms: at least 100");
        rule(self.write_timeout_ms >= 100, "limits.write_timeout_ms: at least 100");
        rule(self.outgoing_bytes_per_socket >= 4_096, "limits.outgoing_bytes_per_socket: at least 4096");
        rule(self.sockets > 0 && self.commands_per_second > 0, "limits: sockets and commands_per_second at least 1");
    }
}

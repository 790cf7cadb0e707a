//! Which port is whose, and whether all of them are free before anything starts.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use portcullis_types::Entropy;

/// The page's port is chosen below the range from which the kernel gives ports away by itself.
const PAGE_PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The ports; 0 takes any free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) grpc: u16,
    pub(super) http: u16,
    gateways: [u16; 2],
    pub(super) demo: u16,
}

/// Why the ports cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortsError {
    /// Some are taken.
    #[error(
        "{}\n  next: stop the program that holds it, or choose other ports: cargo xtask dev --port-base {}",
        taken_text(.taken), .base
    )]
    Taken {
        /// Port, whose it would be, and why it cannot be had.
        taken: Vec<(u16, &'static str, String)>,
        /// Another base to try.
        base: u16,
    },
    /// No port could be found for the page.
    #[error("no free port was found between {} and {}", PAGE_PORTS.start, PAGE_PORTS.end)]
    NoneFree,
}

fn taken_text(taken: &[(u16, &'static str, String)]) -> String {
    let lines = taken.iter().map(|(port, whose, why)| format!("port {port} ({whose}) {why}"));
    lines.collect::<Vec<_>>().join("\n       ")
}

impl Ports {
    /// A fixed distance each from the first.
    pub(super) const fn from_base(base: u16) -> Self {
        Self { grpc: base, http: base + 1, gateways: [base + 11, base + 12], demo: base + 80 }
    }

    /// Any free ones. The page's is chosen here, because the gateways must know its origin before it starts.
    pub(super) fn ephemeral(entropy: &dyn Entropy) -> Result<Self, PortsError> {
        let width = u64::from(PAGE_PORTS.end - PAGE_PORTS.start);
        let candidates = (0..100).map(|_| {
            PAGE_PORTS.start + u16::try_from(entropy.u64() % width).expect("the width of the range fits in 16 bits")
        });
        let demo = candidates.into_iter().find(|port| is_free(*port).is_ok()).ok_or(PortsError::NoneFree)?;
        Ok(Self { grpc: 0, http: 0, gateways: [0, 0], demo })
    }

    /// The gateways' names and ports.
    pub(super) fn gateways(&self) -> [(&'static str, u16); 2] {
        [("gateway-1", self.gateways[0]), ("gateway-2", self.gateways[1])]
    }

    /// Whether all are free; `base` is what a person would change.
    pub(super) fn check(&self, base: u16) -> Result<(), PortsError> {
        let [first, second] = self.gateways();
        let named = [
            (self.grpc, "authority, gRPC"),
            (self.http, "authority, HTTP"),
            (first.1, first.0),
            (second.1, second.0),
            (self.demo, "demo page"),
        ];
        let taken: Vec<_> = named
            .into_iter()
            .filter_map(|(port, whose)| Some((port, whose, in_words(&is_free(port).err()?))))
            .collect();
        if taken.is_empty() { Ok(()) } else { Err(PortsError::Taken { taken, base: another(base) }) }
    }
}

fn is_free(port: u16) -> io::Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop)
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "is taken".to_owned(),
        _ => format!("cannot be had: {error}"),
    }
}

const fn another(base: u16) -> u16 {
    if base < 30_000 { base + 1_000 } else { base - 1_000 }
}

#[cfg(test)]
mod tests {
    use portcullis_types::SeededEntropy;

    use super::*;

    #[test]
    fn the_default_ports_are_the_documented_ones() {
        let ports = Ports::from_base(7700);
        assert_eq!((ports.grpc, ports.http, ports.demo), (7700, 7701, 7780));
        assert_eq!(ports.gateways(), [("gateway-1", 7711), ("gateway-2", 7712)]);
    }

    #[test]
    fn a_taken_port_is_named_with_the_flag_to_change_it() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
        let port = holder.local_addr().expect("it is bound").port();
        let ports = Ports { grpc: 0, http: 0, gateways: [0, port], demo: 0 };
        let message = ports.check(7700).expect_err("it is held").to_string();
        assert!(message.contains(&format!("port {port} (gateway-2) is taken")), "{message}");
        assert!(message.contains("--port-base 8700"), "{message}");
        assert_eq!(message.matches("is taken").count(), 1, "{message}");
        drop(holder);
        assert!(ports.check(7700).is_ok());
    }

    #[test]
    fn ephemeral_ports_leave_only_the_page_fixed() {
        let ports = Ports::ephemeral(&SeededEntropy::new(3)).expect("some port is free");
        assert!(PAGE_PORTS.contains(&ports.demo));
        assert_eq!((ports.grpc, ports.http, ports.gateways), (0, 0, [0, 0]));
    }
}

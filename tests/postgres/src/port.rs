//! A port of this machine that nobody else is given.
//!
//! A port that was free a moment ago may be another's when the server comes to listen on it, and again while the server
//! is down in the middle of a test. So it is held from the first moment on, by a socket that is bound and does not
//! listen: the system gives such a port to nobody who asks for any, and lets a server have it that asks for it by number
//! and, like ours, allows its address to be used again.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};

/// See the module.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _held: OwnedFd,
}

impl Port {
    /// One that is free, for as long as this lives.
    ///
    /// # Panics
    /// When there is none.
    pub(crate) fn reserve() -> Self {
        let held = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
        set_socket_reuseaddr(&held, true).expect("it is a socket");
        bind(&held, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let bound = getsockname(&held).expect("it is bound");
        let bound = SocketAddrV4::try_from(bound).expect("as it was bound");
        Self { number: bound.port(), _held: held }
    }

    /// Which.
    pub(crate) const fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_server_may_listen_where_a_port_is_held_and_come_back_there() {
        let port = Port::reserve();
        for _ in 0..3 {
            let server = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).expect("it is held for it");
            assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).is_err(), "two servers at one port");
            drop(server);
        }
    }

    #[test]
    fn nobody_else_is_given_a_port_that_is_held() {
        let port = Port::reserve();
        let others: Vec<_> = (0..500).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("any")).collect();
        let given = others.iter().map(|other| other.local_addr().expect("it is bound").port());
        assert!(!given.into_iter().any(|given| given == port.number()));
    }
}

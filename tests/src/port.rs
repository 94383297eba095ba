//! Ports for servers that come back to where they were.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::random::Random;

/// A loopback address that stays free while nobody listens on it: systems do not give these ports to clients.
#[must_use]
pub fn lasting(random: &mut Random) -> SocketAddr {
    loop {
        let port = 20_000 + u16::try_from(random.below(10_000)).expect("small");
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
}

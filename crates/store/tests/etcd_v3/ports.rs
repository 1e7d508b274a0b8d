//! Ports for servers that are told where to listen before they do.
//!
//! The system gives ports from 32768 on to whoever connects, so one of those that is free may be taken when a server comes to listen
//! on it. These are below, and none is given twice.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Those of whole clusters of processes follow these.
const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;
/// Programs that run at the same time begin at different ones, most likely.
const STEP: u32 = 97;

/// An address of this machine that nobody listens on.
pub fn free_address() -> SocketAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let place = std::process::id().wrapping_mul(STEP).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from(place % u32::from(COUNT)).expect("it is below the count");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free between {FIRST} and {}", FIRST + COUNT);
}

/// So many of them.
pub fn free_addresses<const MANY: usize>() -> [SocketAddr; MANY] {
    [(); MANY].map(|()| free_address())
}

//! Ports for servers that tests stop and start again.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// The lowest of them, and how many there are: systems give none of these to a socket that asks for any port, connections
/// included. So a port stays free while its server is down.
const FROM: u16 = 10_240;
const COUNT: u16 = 16_384;
/// Ports a process may use before it meets those of the next one.
const EACH: u16 = 64;

/// Ports that nobody listens on, each given once by a process. Where a process begins depends on its id.
pub fn free_ports<const N: usize>() -> [u16; N] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let place = std::process::id() % u32::from(COUNT / EACH);
    let begin = u16::try_from(place).unwrap_or_default() * EACH;
    std::array::from_fn(|_| {
        loop {
            let port = FROM + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return port;
            }
        }
    })
}

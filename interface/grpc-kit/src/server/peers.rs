//! Who is connected: how many connections each address has, so that one cannot take the places of all.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use metrics::{Counter, Gauge};

use crate::origin::Origin;

/// Connections open now, also those that are still in their handshake.
pub const CONNECTIONS: &str = "grpc_server_connections";
/// Connections closed at once because their address had its share.
pub const REFUSED: &str = "grpc_server_connections_refused_total";

/// The connections of a server by where they come from.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// For one address.
    most: usize,
    /// Addresses with at least one connection, so that there are never more than connections.
    by_address: Mutex<HashMap<Origin, Address>>,
    open: Gauge,
    refused: Counter,
}

#[derive(Debug, Default)]
struct Address {
    connections: usize,
    /// Whether it was said that it has its share.
    told: bool,
}

impl Peers {
    /// Registers its series with the process's recorder, which has to be installed before.
    pub(super) fn new(most: usize) -> Self {
        metrics::describe_gauge!(CONNECTIONS, "connections open now");
        metrics::describe_counter!(REFUSED, "connections refused because their address had its share");
        let (open, refused) = (metrics::gauge!(CONNECTIONS), metrics::counter!(REFUSED));
        // Not set: another server of the process counts in the same.
        open.increment(0.0);
        refused.increment(0);
        Self { shared: Arc::new(Shared { most, by_address: Mutex::default(), open, refused }) }
    }

    /// Takes a connection from there, in memory if from nowhere; `None` when its address has its share.
    pub(super) fn admit(&self, peer: Option<SocketAddr>) -> Option<Seat> {
        if let Some(peer) = peer
            && !self.shared.take(peer)
        {
            self.shared.refused.increment(1);
            return None;
        }
        self.shared.open.increment(1.0);
        Some(Seat { shared: Arc::clone(&self.shared), from: peer.map(|peer| peer.ip().into()) })
    }
}

impl Shared {
    fn take(&self, peer: SocketAddr) -> bool {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let address = by_address.entry(peer.ip().into()).or_default();
        if address.connections < self.most {
            address.connections += 1;
            return true;
        }
        if !std::mem::replace(&mut address.told, true) {
            let (address, limit) = (peer.ip(), self.most);
            tracing::warn!(%address, limit, "an address has its share of connections: others from it are refused");
        }
        false
    }

    fn give_back(&self, from: Origin) {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(address) = by_address.get_mut(&from) else { return };
        address.connections -= 1;
        // Said again only after it was far from it.
        address.told &= address.connections >= self.most - self.most / 4;
        if address.connections == 0 {
            by_address.remove(&from);
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Seat {
    shared: Arc<Shared>,
    from: Option<Origin>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(from) = self.from {
            self.shared.give_back(from);
        }
        // Last: who sees one fewer finds its place free.
        self.shared.open.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(address.parse().expect("an address"), 1))
    }

    #[test]
    fn an_address_has_its_share_and_a_network_of_ipv6_is_one() {
        let peers = Peers::new(2);
        for [one, same, other] in [
            ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"],
            ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"],
        ] {
            let (first, _second) =
                (peers.admit(from(one)).expect("free"), peers.admit(from(same)).expect("free"));
            assert!(peers.admit(from(one)).is_none() && peers.admit(from(same)).is_none());
            assert!(peers.admit(from(other)).is_some());
            drop(first);
            assert!(peers.admit(from(same)).is_some());
        }
        assert!(peers.shared.by_address.lock().expect("no panic").is_empty());
        let in_memory: Vec<_> = (0..3).map(|_| peers.admit(None)).collect();
        assert!(in_memory.iter().all(Option::is_some));
    }
}

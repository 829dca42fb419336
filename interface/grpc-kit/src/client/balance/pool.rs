//! The connections of one target: whose addresses they go to, and which one a call takes.

use std::{
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::metrics::Gauge;
use tokio::{sync::Mutex, time::Instant};

use super::{
    connect::{Connector, Sender},
    endpoint::{Endpoint, Load, Offer, Slot},
    resolve::Resolve,
    target::Target,
};
use crate::{
    client::breaker::{Breaker, BreakerSettings, Permit},
    failure::{Failure, Kind},
    tls::ClientTls,
};

/// A failing address asks for others, but not more often than this.
const RESOLVE_AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// Addresses used at most; a name with more is a mistake, or an attack.
const MAX_ADDRESSES: usize = 1024;

/// How a target's connections are made.
#[derive(Debug)]
pub(in crate::client) struct PoolSettings {
    pub(in crate::client) target: Target,
    /// Connections, at least one an address.
    pub(in crate::client) connections: usize,
    pub(in crate::client) connect_timeout: Duration,
    pub(in crate::client) keep_alive: Option<(Duration, Duration)>,
    /// With `https`.
    pub(in crate::client) tls: Option<ClientTls>,
    pub(in crate::client) resolver: Arc<dyn Resolve>,
    pub(in crate::client) resolve_interval: Duration,
    /// `None` without breakers.
    pub(in crate::client) breaker: Option<BreakerSettings>,
    /// Of closed, half open and open breakers.
    pub(in crate::client) gauges: [Gauge; 3],
}

/// Response headers above this break a call.
const MAX_HEADER_BYTES: u32 = 16 * 1024;

#[derive(Clone, Debug, Default)]
struct Resolved {
    slots: Arc<[Arc<Slot>]>,
    at: Option<Instant>,
}

/// The connections of one target.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) settings: PoolSettings,
    connector: Arc<Connector>,
    resolved: RwLock<Resolved>,
    resolving: Mutex<()>,
    refreshing: AtomicBool,
}

/// What a call was given.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) sender: Sender,
    pub(super) permit: Permit,
    pub(super) load: Load,
}

/// The outcome of one look at all connections.
enum Look {
    Taken(Taken),
    Wait(tokio::sync::watch::Receiver<()>),
    /// None to be had, and when there might be.
    None {
        open: bool,
        later: Option<Instant>,
    },
}

impl Pool {
    /// Connects to nothing yet.
    pub(super) fn new(settings: PoolSettings) -> Self {
        let connector = Connector::new(
            settings.connect_timeout,
            settings.keep_alive,
            MAX_HEADER_BYTES,
            settings.tls.clone(),
        );
        Self {
            settings,
            connector: Arc::new(connector),
            resolved: RwLock::default(),
            resolving: Mutex::default(),
            refreshing: AtomicBool::new(false),
        }
    }

    /// A connection for a call. Waits only when one is being made and none is there.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Taken, Failure> {
        let slots = self.slots().await?;
        // An address can fail while it is waited for, so there is another look for each.
        for _ in 0..=slots.len() {
            match look(&slots) {
                Look::Taken(taken) => return Ok(taken),
                // An error tells the end of the attempt, as a change would.
                Look::Wait(mut ended) => _ = ended.changed().await,
                Look::None { open, later } => {
                    self.refresh(RESOLVE_AT_MOST_EVERY);
                    return Err(none_to_be_had(open, later));
                }
            }
        }
        self.refresh(RESOLVE_AT_MOST_EVERY);
        Err(none_to_be_had(false, None))
    }

    /// The present addresses' slots; waits for the first time a target is used.
    async fn slots(self: &Arc<Self>) -> Result<Arc<[Arc<Slot>]>, Failure> {
        if let Some(slots) = self.present() {
            self.refresh(self.settings.resolve_interval);
            return Ok(slots);
        }
        let _one = self.resolving.lock().await;
        match self.present() {
            Some(slots) => Ok(slots),
            None => self.resolve().await,
        }
    }

    fn read(&self) -> Resolved {
        self.resolved.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn present(&self) -> Option<Arc<[Arc<Slot>]>> {
        Some(self.read().slots).filter(|slots| !slots.is_empty())
    }

    /// Looks the addresses up again in the background when they are older than this.
    fn refresh(self: &Arc<Self>, older_than: Duration) {
        let old = self.read().at.is_none_or(|at| at.elapsed() >= older_than);
        if !old || self.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            let _one = pool.resolving.lock().await;
            if pool.resolve().await.is_err() {
                // The old addresses stay; they may work still.
                tracing::debug!("a target's name could not be resolved again");
            }
            pool.refreshing.store(false, Ordering::Release);
        });
    }

    async fn resolve(&self) -> Result<Arc<[Arc<Slot>]>, Failure> {
        let mut addresses = Vec::new();
        let mut failed = None;
        for host in &self.settings.target.hosts {
            match self.settings.resolver.resolve(&host.name, host.port).await {
                Ok(found) => addresses.extend(found),
                Err(error) => failed = Some(error),
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        let mut resolved = self.resolved.write().unwrap_or_else(PoisonError::into_inner);
        resolved.at = Some(Instant::now());
        if addresses.is_empty() {
            let failure = Failure::new(Kind::Unavailable, "the target's name has no address").untouched();
            return Err(match failed {
                Some(error) => failure.caused_by(error),
                None => failure,
            });
        }
        resolved.slots = self.arrange(&resolved.slots, &addresses);
        Ok(Arc::clone(&resolved.slots))
    }

    /// The slots of these addresses. Those there already stay as they are, with their connections.
    fn arrange(&self, present: &[Arc<Slot>], addresses: &[SocketAddr]) -> Arc<[Arc<Slot>]> {
        let each = self.settings.connections.div_ceil(addresses.len()).max(1);
        let slots = addresses.iter().flat_map(|address| {
            let mut slots: Vec<_> =
                present.iter().filter(|slot| slot.endpoint.address == *address).cloned().collect();
            let endpoint = match slots.first() {
                Some(slot) => Arc::clone(&slot.endpoint),
                None => Endpoint::new(*address, self.breaker(), Arc::clone(&self.connector)),
            };
            slots.resize_with(each, || Slot::new(Arc::clone(&endpoint)));
            slots
        });
        slots.collect()
    }

    fn breaker(&self) -> Breaker {
        match self.settings.breaker {
            Some(settings) => Breaker::new(settings, self.settings.gauges.clone()),
            None => Breaker::disabled(),
        }
    }
}

fn none_to_be_had(open: bool, later: Option<Instant>) -> Failure {
    let (text, reason) = if open {
        ("the target fails and is left alone for a while", "CIRCUIT_OPEN")
    } else {
        ("the target cannot be reached", "UNREACHABLE")
    };
    let failure = Failure::new(Kind::Unavailable, text).with_reason(reason).untouched();
    match later {
        Some(at) => failure.retry_after(at.duration_since(Instant::now())),
        None => failure,
    }
}

/// The less loaded one of two connections drawn at random; the others, from a random one on, only when neither can be
/// had. A connection that is there goes before one that has to be made, which is begun meanwhile; one at a time, so
/// that a first call does not open all of them.
fn look(slots: &[Arc<Slot>]) -> Look {
    let (first, second) = draw(slots.len());
    let (first, second) =
        if slots[second].load() < slots[first].load() { (second, first) } else { (first, second) };
    let others = (0..slots.len()).map(|step| (first + step) % slots.len());
    let mut wait = None;
    let mut later: Option<Instant> = None;
    let mut open = false;
    for index in [first, second].into_iter().chain(others) {
        let slot = &slots[index];
        if slot.endpoint.breaker.is_open() {
            open = true;
            continue;
        }
        match slot.offer(wait.is_none()) {
            Offer::Connected(sender) => match slot.endpoint.breaker.permit() {
                Some(permit) => return Look::Taken(Taken { sender, permit, load: slot.loaded() }),
                None => open = true,
            },
            Offer::Connecting(ended) => wait = wait.or(Some(ended)),
            Offer::Nothing => {}
            Offer::Later(at) => later = Some(later.map_or(at, |other| other.min(at))),
        }
    }
    match wait {
        Some(ended) => Look::Wait(ended),
        None => Look::None { open: open && later.is_none(), later },
    }
}

/// Two different positions below `count`, if there are two.
fn draw(count: usize) -> (usize, usize) {
    let first = fastrand::usize(..count);
    if count == 1 {
        return (first, first);
    }
    let second = fastrand::usize(..count - 1);
    (first, if second >= first { second + 1 } else { second })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn two_different_ones_are_drawn(count in 1_usize..50) {
            let (first, second) = draw(count);
            prop_assert!(first < count && second < count && (first != second || count == 1));
        }
    }

    fn pool(connections: usize) -> Pool {
        Pool::new(PoolSettings {
            target: Target::parse("http://localhost:1").expect("a target"),
            connections,
            connect_timeout: Duration::from_secs(1),
            keep_alive: None,
            tls: None,
            resolver: Arc::new(super::super::resolve::Dns),
            resolve_interval: Duration::from_secs(1),
            breaker: None,
            gauges: std::array::from_fn(|_| Gauge::noop()),
        })
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn connections_are_spread_over_the_addresses() {
        let pool = pool(4);
        assert_eq!(pool.arrange(&[], &[address(1)]).len(), 4);
        assert_eq!(pool.arrange(&[], &[address(1), address(2), address(3)]).len(), 6);
        let many: Vec<_> = (1..=9).map(address).collect();
        assert_eq!(pool.arrange(&[], &many).len(), 9);
    }

    #[test]
    fn addresses_that_stay_keep_their_connections() {
        let pool = pool(2);
        let before = pool.arrange(&[], &[address(1), address(2)]);
        let after = pool.arrange(&before, &[address(2), address(3)]);
        assert!(after.iter().any(|slot| Arc::ptr_eq(slot, &before[1])));
        assert!(!after.iter().any(|slot| slot.endpoint.address == address(1)));
    }
}

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
use futures_util::future::{join_all, select_all};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

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

/// A failing address asks for others, and a name without any is asked again, but not more often than this.
const RESOLVE_AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// Addresses used at most; a name with more is a mistake, or an attack.
const MAX_ADDRESSES: usize = 1024;

/// Addresses a call waits for at a time: one of them may not answer at all.
const CONNECT_AT_ONCE: usize = 8;

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
    /// The addresses of each host when it was last found.
    by_host: Arc<[Vec<SocketAddr>]>,
    at: Option<Instant>,
}

/// The connections of one target.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) settings: PoolSettings,
    connector: Arc<Connector>,
    resolved: RwLock<Resolved>,
    refreshing: AtomicBool,
    /// Told whenever a lookup ends.
    refreshed: watch::Sender<()>,
}

/// A lookup that runs. On drop, whatever became of it, the next may.
struct Refreshing(Arc<Pool>);

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.refreshing.store(false, Ordering::Release);
        self.0.refreshed.send_replace(());
    }
}

/// What a call was given.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) sender: Sender,
    pub(super) permit: Permit,
    pub(super) load: Load,
}

/// The outcome of one look at all connections.
#[derive(Default)]
struct Look {
    taken: Option<Taken>,
    /// The connections that are being made, one an address.
    waits: Vec<(SocketAddr, watch::Receiver<()>)>,
    /// A breaker is open.
    open: bool,
    /// An address could not be reached, and will be tried again then.
    later: Option<Instant>,
    /// A connection has too many calls.
    crowded: bool,
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
            refreshing: AtomicBool::new(false),
            refreshed: watch::Sender::new(()),
        }
    }

    /// A connection for a call. Waits only when one is being made and none is there.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Taken, Failure> {
        let slots = self.slots().await?;
        // An address can fail while it is waited for, so there is another look for each.
        for _ in 0..=slots.len() {
            let look = look(&slots);
            if look.open || look.later.is_some() {
                self.refresh(RESOLVE_AT_MOST_EVERY);
            }
            match look.taken {
                Some(taken) => return Ok(taken),
                None if look.waits.is_empty() => return Err(none_to_be_had(&look)),
                // An error tells the end of the attempt, as a change would.
                None => {
                    let ends = look.waits.into_iter().map(|(_, mut ended)| {
                        Box::pin(async move {
                            _ = ended.changed().await;
                        })
                    });
                    select_all(ends).await;
                }
            }
        }
        Err(none_to_be_had(&Look::default()))
    }

    /// The present addresses' slots; waits for the first time a target is used.
    async fn slots(self: &Arc<Self>) -> Result<Arc<[Arc<Slot>]>, Failure> {
        if let Some(slots) = self.present() {
            self.refresh(self.settings.resolve_interval);
            return Ok(slots);
        }
        // Before the look at whether a lookup runs: its end must not be missed.
        let mut refreshed = self.refreshed.subscribe();
        self.refresh(RESOLVE_AT_MOST_EVERY);
        if self.refreshing.load(Ordering::Acquire) {
            _ = refreshed.changed().await;
        }
        self.present().ok_or_else(|| {
            Failure::new(Kind::Unavailable, "the target's name has no address")
                .with_reason("NO_ADDRESS")
                .untouched()
        })
    }

    fn read(&self) -> Resolved {
        self.resolved.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn present(&self) -> Option<Arc<[Arc<Slot>]>> {
        Some(self.read().slots).filter(|slots| !slots.is_empty())
    }

    /// Looks the addresses up in the background when they are older than this: once for all callers, none of whom can
    /// end it by going away.
    fn refresh(self: &Arc<Self>, older_than: Duration) {
        let old = self.read().at.is_none_or(|at| at.elapsed() >= older_than);
        if !old || self.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let running = Refreshing(Arc::clone(self));
        tokio::spawn(async move { running.0.resolve().await });
    }

    /// Each host in its time. One that is not found keeps the addresses it had; they may work still.
    async fn resolve(&self) {
        let lookups = self.settings.target.hosts.iter().map(|host| {
            timeout(self.settings.connect_timeout, self.settings.resolver.resolve(&host.name, host.port))
        });
        let found = join_all(lookups).await;
        let before = self.read().by_host;
        let by_host = found.into_iter().enumerate().map(|(index, found)| match found {
            Ok(Ok(addresses)) => addresses,
            failed => {
                let error = failed.map(Result::err);
                tracing::debug!(host = index, ?error, "a target's name could not be resolved");
                before.get(index).cloned().unwrap_or_default()
            }
        });
        let by_host: Arc<[_]> = by_host.collect();
        let mut addresses: Vec<_> = by_host.iter().flatten().copied().collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        let mut resolved = self.resolved.write().unwrap_or_else(PoisonError::into_inner);
        resolved.at = Some(Instant::now());
        if !addresses.is_empty() {
            resolved.slots = self.arrange(&resolved.slots, &addresses);
            resolved.by_host = by_host;
        }
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

fn none_to_be_had(look: &Look) -> Failure {
    if look.crowded {
        return Failure::new(Kind::Overloaded, "all connections to the target are full")
            .with_reason("CONNECTIONS_FULL")
            .untouched();
    }
    let (text, reason) = if look.open && look.later.is_none() {
        ("the target fails and is left alone for a while", "CIRCUIT_OPEN")
    } else {
        ("the target cannot be reached", "UNREACHABLE")
    };
    let failure = Failure::new(Kind::Unavailable, text).with_reason(reason).untouched();
    match look.later {
        Some(at) => failure.retry_after(at.duration_since(Instant::now())),
        None => failure,
    }
}

/// The less loaded one of two connections drawn at random; the others, from a random one on, only when neither can be
/// had. A connection that is there goes before one that has to be made, which is begun meanwhile; one an address, so
/// that a first call does not open all of them. A full one is taken only when there is no other and none is being made.
fn look(slots: &[Arc<Slot>]) -> Look {
    let (first, second) = draw(slots.len());
    let (first, second) =
        if slots[second].load() < slots[first].load() { (second, first) } else { (first, second) };
    let others = (0..slots.len()).map(|step| (first + step) % slots.len());
    let mut look = Look::default();
    let mut full = None;
    for index in [first, second].into_iter().chain(others) {
        let slot = &slots[index];
        let (address, breaker) = (slot.endpoint.address, &slot.endpoint.breaker);
        if breaker.is_open() {
            look.open = true;
            continue;
        }
        let waited_for = look.waits.iter().any(|(other, _)| *other == address);
        match slot.offer(!waited_for && look.waits.len() < CONNECT_AT_ONCE) {
            Offer::Connected(sender, load) => match breaker.permit() {
                Some(permit) => {
                    look.taken = Some(Taken { sender, permit, load });
                    return look;
                }
                None => look.open = true,
            },
            Offer::Full(sender, load) => full = full.or(Some((sender, load, breaker))),
            Offer::Crowded => look.crowded = true,
            Offer::Connecting(ended) if !waited_for => look.waits.push((address, ended)),
            Offer::Connecting(_) | Offer::Nothing => {}
            Offer::Later(at) => look.later = Some(look.later.map_or(at, |other| other.min(at))),
        }
    }
    if let Some((sender, load, breaker)) = full.filter(|_| look.waits.is_empty()) {
        look.taken = breaker.permit().map(|permit| Taken { sender, permit, load });
    }
    look
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
    use std::{
        collections::HashMap,
        pin::Pin,
        sync::{Mutex, atomic::AtomicUsize},
    };

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
        resolving(connections, "http://localhost:1", Arc::new(super::super::resolve::Dns))
    }

    fn resolving(connections: usize, target: &str, resolver: Arc<dyn Resolve>) -> Pool {
        Pool::new(PoolSettings {
            target: Target::parse(target).expect("a target"),
            connections,
            connect_timeout: Duration::from_secs(1),
            keep_alive: None,
            tls: None,
            resolver,
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

    #[tokio::test]
    async fn a_first_call_tries_every_address_once() {
        let pool = pool(6);
        let slots = pool.arrange(&[], &[address(1), address(2)]);
        for _ in 0..2 {
            let look = look(&slots);
            let mut tried: Vec<_> = look.waits.iter().map(|(address, _)| address.port()).collect();
            tried.sort_unstable();
            assert_eq!((tried, look.taken.is_some()), (vec![1, 2], false));
        }
    }

    #[test]
    fn addresses_that_stay_keep_their_connections() {
        let pool = pool(2);
        let before = pool.arrange(&[], &[address(1), address(2)]);
        let after = pool.arrange(&before, &[address(2), address(3)]);
        assert!(after.iter().any(|slot| Arc::ptr_eq(slot, &before[1])));
        assert!(!after.iter().any(|slot| slot.endpoint.address == address(1)));
    }

    /// Answers with what it has for a host, an error for one it does not know, and not at all for `never`.
    #[derive(Debug, Default)]
    struct Book {
        asked: AtomicUsize,
        hosts: Mutex<HashMap<String, SocketAddr>>,
    }

    impl Book {
        fn set(&self, hosts: &[(&str, u16)]) {
            let hosts = hosts.iter().map(|(host, port)| ((*host).to_owned(), address(*port)));
            *self.hosts.lock().expect("no panic") = hosts.collect();
        }
    }

    impl Resolve for Book {
        fn resolve<'a>(
            &'a self,
            host: &'a str,
            _: u16,
        ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send + 'a>> {
            Box::pin(async move {
                self.asked.fetch_add(1, Ordering::Relaxed);
                if host == "never" {
                    std::future::pending::<()>().await;
                }
                let hosts = self.hosts.lock().expect("no panic");
                let found = hosts.get(host).ok_or_else(|| std::io::Error::other("no such host"))?;
                Ok(vec![*found])
            })
        }
    }

    fn ports(slots: &[Arc<Slot>]) -> Vec<u16> {
        slots.iter().map(|slot| slot.endpoint.address.port()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_not_found_keeps_its_addresses() {
        let book = Arc::new(Book::default());
        let pool = Arc::new(resolving(1, "http://a:1,b:1", Arc::clone(&book) as Arc<dyn Resolve>));
        book.set(&[("a", 1), ("b", 2)]);
        assert_eq!(ports(&pool.slots().await.expect("addresses")), [1, 2]);
        book.set(&[("a", 3)]);
        pool.resolve().await;
        assert_eq!(ports(&pool.slots().await.expect("addresses")), [2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn all_callers_wait_for_one_lookup_that_ends() {
        let book = Arc::new(Book::default());
        let pool = Arc::new(resolving(1, "http://never:1", Arc::clone(&book) as Arc<dyn Resolve>));
        let begin = Instant::now();
        // One that goes away does not take the lookup with it.
        assert!(timeout(Duration::from_millis(1), pool.slots()).await.is_err());
        let all = join_all((0..20).map(|_| pool.slots())).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!((book.asked.load(Ordering::Relaxed), begin.elapsed().as_secs()), (1, 1));
        // Nobody asks again at once.
        assert!(pool.slots().await.is_err());
        assert_eq!(book.asked.load(Ordering::Relaxed), 1);
    }
}

//! One address of a target: its breaker, its connections, and how long to leave it alone when it cannot be reached.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::connect::{Connector, Sender, Traffic};
use crate::client::{breaker::Breaker, retry::backoff::Backoff};

/// Between attempts to connect to an address that cannot be reached: short at first, since a server that restarts is
/// back soon. Never long, since only calls begin an attempt, and each of them fails until the next one.
const RECONNECT: Backoff =
    Backoff { base: Duration::from_millis(50), max: Duration::from_secs(1), multiplier: 2.0 };

/// One address.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) breaker: Breaker,
    connector: Arc<Connector>,
    reach: Mutex<Reach>,
}

#[derive(Debug, Default)]
struct Reach {
    failures: u32,
    not_before: Option<Instant>,
}

impl Endpoint {
    pub(super) fn new(address: SocketAddr, breaker: Breaker, connector: Arc<Connector>) -> Arc<Self> {
        Arc::new(Self { address, breaker, connector, reach: Mutex::default() })
    }

    /// When to try to connect again; `None` for now.
    pub(super) fn not_before(&self) -> Option<Instant> {
        let reach = self.reach.lock().unwrap_or_else(PoisonError::into_inner);
        reach.not_before.filter(|at| *at > Instant::now())
    }

    fn reached(&self) {
        *self.reach.lock().unwrap_or_else(PoisonError::into_inner) = Reach::default();
    }

    fn not_reached(&self) {
        let mut reach = self.reach.lock().unwrap_or_else(PoisonError::into_inner);
        if reach.not_before.is_some_and(|at| at > Instant::now()) {
            // Another connection failed at the same time, for the same reason.
            return;
        }
        // Half of it is certain: a wait of nothing would be a loop.
        let wait = RECONNECT.longest(reach.failures) / 2 + RECONNECT.wait(reach.failures) / 2;
        *reach = Reach {
            failures: reach.failures.saturating_add(1),
            not_before: Instant::now().checked_add(wait),
        };
    }
}

#[derive(Debug)]
enum State {
    Idle,
    /// Told by its sender's end.
    Connecting(watch::Receiver<()>),
    Connected(Sender, Arc<Traffic>),
}

/// The place of one connection to an address.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) endpoint: Arc<Endpoint>,
    load: AtomicUsize,
    state: Mutex<State>,
}

/// What a slot has to offer.
pub(super) enum Offer {
    /// A connection.
    Connected(Sender, Load),
    /// One that has as many calls as the server takes at a time; another waits for one of them.
    Full(Sender, Load),
    /// One that has as many again that wait.
    Crowded,
    /// A connection is being made; this tells when that ended, one way or the other.
    Connecting(watch::Receiver<()>),
    /// Nothing before this time.
    Later(Instant),
    /// Nothing, unless it is begun.
    Nothing,
}

impl Slot {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Arc<Self> {
        Arc::new(Self { endpoint, load: AtomicUsize::new(0), state: Mutex::new(State::Idle) })
    }

    /// Calls on it now, those on connections it had before included.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// The connection, if there is one. If not, `begin` makes one unless the address is to be left alone.
    pub(super) fn offer(self: &Arc<Self>, begin: bool) -> Offer {
        let mut state = self.state();
        match &*state {
            State::Connected(sender, traffic) if !sender.is_closed() => {
                let calls = traffic.calls.load(Ordering::Relaxed);
                let most = traffic.streams.load(Ordering::Relaxed);
                return if calls < most {
                    Offer::Connected(sender.clone(), Load::new(self, traffic))
                } else if calls < most.saturating_mul(2) {
                    Offer::Full(sender.clone(), Load::new(self, traffic))
                } else {
                    Offer::Crowded
                };
            }
            State::Connecting(ended) if ended.has_changed().is_ok() => {
                return Offer::Connecting(ended.clone());
            }
            _ => {}
        }
        if let Some(at) = self.endpoint.not_before() {
            *state = State::Idle;
            return Offer::Later(at);
        }
        if !begin {
            return Offer::Nothing;
        }
        let (tell, ended) = watch::channel(());
        *state = State::Connecting(ended.clone());
        drop(state);
        tokio::spawn(Arc::clone(self).connect(tell));
        Offer::Connecting(ended)
    }

    /// In a task of its own: whoever asked for the connection may go away, others wait for it too.
    async fn connect(self: Arc<Self>, ended: watch::Sender<()>) {
        let connected = self.endpoint.connector.connect(self.endpoint.address).await;
        let state = match connected {
            Ok((sender, traffic)) => {
                self.endpoint.reached();
                State::Connected(sender, traffic)
            }
            Err(error) => {
                self.endpoint.not_reached();
                tracing::debug!(address = %self.endpoint.address, error, "an address cannot be reached");
                State::Idle
            }
        };
        *self.state() = state;
        drop(ended);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call on a slot, counted until it is dropped.
#[derive(Debug)]
pub(super) struct Load {
    slot: Arc<Slot>,
    traffic: Arc<Traffic>,
    /// The answers there were when it began.
    before: u64,
}

impl Load {
    fn new(slot: &Arc<Slot>, traffic: &Arc<Traffic>) -> Self {
        slot.load.fetch_add(1, Ordering::Relaxed);
        traffic.calls.fetch_add(1, Ordering::Relaxed);
        let before = traffic.answers.load(Ordering::Relaxed);
        Self { slot: Arc::clone(slot), traffic: Arc::clone(traffic), before }
    }

    /// An answer came.
    pub(super) fn heard(&self) {
        self.traffic.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Has the next call use another connection, if nobody was answered over this one since the call began.
    pub(super) fn retire_if_silent(&self) {
        if self.traffic.answers.load(Ordering::Relaxed) != self.before {
            return;
        }
        let mut state = self.slot.state();
        if matches!(&*state, State::Connected(_, traffic) if Arc::ptr_eq(traffic, &self.traffic)) {
            *state = State::Idle;
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.slot.load.fetch_sub(1, Ordering::Relaxed);
        self.traffic.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

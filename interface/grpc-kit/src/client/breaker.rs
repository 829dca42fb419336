//! The circuit breaker of one address: after failures in a row it is left alone for a while, then probed by a few
//! calls at a time until enough of them in a row succeed.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use ::metrics::Gauge;
use failsafe::{Instrument, StateMachine, backoff, failure_policy};
use tonic::Code;

/// When a breaker opens and closes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BreakerSettings {
    /// Failures in a row that open it.
    pub(super) threshold: u32,
    /// How long it stays open.
    pub(super) open_for: Duration,
    /// Probes at a time, and successes in a row that close it.
    pub(super) probes: u32,
}

/// What the end of a call says about the address it was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It works.
    Well,
    /// It does not.
    Ill,
    /// Nothing: the caller went away, or is asking too much.
    Neither,
}

/// What a code says. The mistakes of a caller are answered by a server that works.
pub(super) fn verdict(code: Code) -> Verdict {
    match code {
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unauthenticated => Verdict::Well,
        Code::Unknown | Code::DeadlineExceeded | Code::Internal | Code::Unavailable | Code::DataLoss => {
            Verdict::Ill
        }
        Code::Cancelled | Code::ResourceExhausted => Verdict::Neither,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    HalfOpen,
    Open,
}

const PHASES: [Phase; 3] = [Phase::Closed, Phase::HalfOpen, Phase::Open];

/// A probe may take at least this long, however short the breaker stays open.
const SHORTEST_PROBE: Duration = Duration::from_secs(1);

/// What the state machine leaves to its user: which calls are probes, and how many. Its lock is held around every use of
/// the machine, so that the two never disagree.
#[derive(Debug)]
struct Gate {
    phase: Phase,
    /// Counts the phases, so that a call that was let through in an earlier one has no say in this one.
    turn: u64,
    /// Since when each probe runs.
    probing: Vec<Seat>,
    succeeded: u32,
}

/// One probe's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seat {
    number: u64,
    until: Instant,
}

/// Takes down the machine's transitions.
struct Watch(Arc<AtomicU8>);

impl Instrument for Watch {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.0.store(Phase::Open as u8, Ordering::Relaxed);
    }

    fn on_half_open(&self) {
        self.0.store(Phase::HalfOpen as u8, Ordering::Relaxed);
    }

    fn on_closed(&self) {
        self.0.store(Phase::Closed as u8, Ordering::Relaxed);
    }
}

type Policy = failure_policy::ConsecutiveFailures<backoff::Constant>;

/// One breaker; clones share it.
#[derive(Clone)]
pub(super) struct Breaker(Option<Arc<Inner>>);

struct Inner {
    machine: StateMachine<Policy, Watch>,
    phase: Arc<AtomicU8>,
    gate: Mutex<Gate>,
    gauges: [Gauge; 3],
    probes: u32,
    /// How long a probe keeps its place: one that lasts must not keep the others out.
    probe_for: Duration,
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = self.0.as_ref().map(|inner| inner.gate().phase);
        f.debug_tuple("Breaker").field(&phase).finish()
    }
}

impl Breaker {
    /// A closed one, counted in the gauges of closed, half open and open ones.
    pub(super) fn new(settings: BreakerSettings, gauges: [Gauge; 3]) -> Self {
        gauges[Phase::Closed as usize].increment(1.0);
        let phase = Arc::new(AtomicU8::new(Phase::Closed as u8));
        let policy =
            failure_policy::consecutive_failures(settings.threshold, backoff::constant(settings.open_for));
        Self(Some(Arc::new(Inner {
            machine: StateMachine::new(policy, Watch(Arc::clone(&phase))),
            phase,
            gate: Mutex::new(Gate { phase: Phase::Closed, turn: 0, probing: Vec::new(), succeeded: 0 }),
            gauges,
            probes: settings.probes,
            probe_for: settings.open_for.max(SHORTEST_PROBE),
        })))
    }

    /// One that lets everything through.
    pub(super) fn disabled() -> Self {
        Self(None)
    }

    /// Whether a call would be let through, without taking a probe's place.
    pub(super) fn is_open(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| !inner.admits(&mut inner.gate()))
    }

    /// Lets a call through, or not.
    pub(super) fn permit(&self) -> Option<Permit> {
        let Some(inner) = &self.0 else { return Some(Permit { breaker: None, turn: 0, seat: None }) };
        let mut gate = inner.gate();
        if !inner.admits(&mut gate) {
            return None;
        }
        let seat = (gate.phase == Phase::HalfOpen).then(|| {
            let number = gate.probing.last().map_or(0, |seat| seat.number + 1);
            Seat { number, until: Instant::now() + inner.probe_for }
        });
        gate.probing.extend(seat);
        Some(Permit { breaker: Some(Arc::clone(inner)), turn: gate.turn, seat })
    }
}

impl Inner {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for a call.
    fn admits(&self, gate: &mut Gate) -> bool {
        let permitted = self.machine.is_call_permitted();
        self.settle(gate);
        if gate.phase == Phase::HalfOpen {
            let now = Instant::now();
            gate.probing.retain(|seat| seat.until > now);
        }
        permitted && gate.probing.len() < self.probes as usize
    }

    /// Follows the machine into its phase.
    fn settle(&self, gate: &mut Gate) {
        let now = self.phase.load(Ordering::Relaxed);
        let phase = PHASES.into_iter().find(|phase| *phase as u8 == now).unwrap_or(gate.phase);
        if phase == gate.phase {
            return;
        }
        self.gauges[gate.phase as usize].decrement(1.0);
        self.gauges[phase as usize].increment(1.0);
        *gate = Gate { phase, turn: gate.turn + 1, probing: Vec::new(), succeeded: 0 };
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let gate = self.gate.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.gauges[gate.phase as usize].decrement(1.0);
    }
}

/// The right to make one call. Dropped without a verdict it says nothing, and a probe's place is free again.
pub(super) struct Permit {
    breaker: Option<Arc<Inner>>,
    turn: u64,
    seat: Option<Seat>,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl Permit {
    /// Ends the call.
    pub(super) fn end(mut self, verdict: Verdict) {
        self.finish(verdict);
    }

    fn finish(&mut self, verdict: Verdict) {
        let Some(breaker) = self.breaker.take() else { return };
        let mut gate = breaker.gate();
        if gate.turn != self.turn {
            return;
        }
        let seat = self.seat.take();
        gate.probing.retain(|other| Some(*other) != seat);
        if gate.phase == Phase::HalfOpen {
            gate.succeeded += u32::from(verdict == Verdict::Well);
        }
        let enough = gate.phase != Phase::HalfOpen || gate.succeeded >= breaker.probes;
        match verdict {
            Verdict::Well if enough => breaker.machine.on_success(),
            Verdict::Ill => breaker.machine.on_error(),
            Verdict::Well | Verdict::Neither => {}
        }
        breaker.settle(&mut gate);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.finish(Verdict::Neither);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AN_HOUR: Duration = Duration::from_secs(3600);

    fn breaker(open_for: Duration, probes: u32) -> Breaker {
        let gauges = std::array::from_fn(|_| Gauge::noop());
        Breaker::new(BreakerSettings { threshold: 3, open_for, probes }, gauges)
    }

    fn call(breaker: &Breaker, verdict: Verdict) -> bool {
        let permit = breaker.permit();
        let through = permit.is_some();
        if let Some(permit) = permit {
            permit.end(verdict);
        }
        through
    }

    #[test]
    fn failures_in_a_row_open_it_and_nothing_else_does() {
        let breaker = breaker(AN_HOUR, 1);
        for verdict in
            [Verdict::Ill, Verdict::Ill, Verdict::Well, Verdict::Ill, Verdict::Neither, Verdict::Ill]
        {
            assert!(call(&breaker, verdict));
        }
        assert!(!breaker.is_open());
        assert!(call(&breaker, Verdict::Ill));
        assert!(breaker.is_open() && breaker.permit().is_none());
    }

    /// Open since so short a time that it is half open at the next look.
    fn half_open(probes: u32) -> Breaker {
        let breaker = breaker(Duration::ZERO, probes);
        for _ in 0..3 {
            call(&breaker, Verdict::Ill);
        }
        until_the_clock_moves();
        breaker
    }

    fn until_the_clock_moves() {
        let since = Instant::now();
        while since.elapsed().is_zero() {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn probes_are_few_and_all_have_to_succeed() {
        let breaker = half_open(2);
        let first = breaker.permit().expect("a probe");
        let second = breaker.permit().expect("another");
        assert!(breaker.permit().is_none(), "a third at a time");
        first.end(Verdict::Well);
        drop(second);
        let third = breaker.permit().expect("the place of the one that was dropped");
        third.end(Verdict::Well);
        let many: Vec<_> = (0..5).map(|_| breaker.permit().expect("closed")).collect();
        drop(many);
    }

    #[test]
    fn dropped_probes_do_not_hold_it_half_open_for_ever() {
        let breaker = half_open(1);
        for _ in 0..10 {
            drop(breaker.permit().expect("a probe"));
        }
        assert!(call(&breaker, Verdict::Well));
        assert!(!breaker.is_open());
    }

    #[test]
    fn one_failed_probe_opens_it_and_earlier_successes_are_forgotten() {
        let breaker = half_open(2);
        assert!(call(&breaker, Verdict::Well));
        assert!(call(&breaker, Verdict::Ill));
        let phase = || breaker.0.as_ref().map(|inner| inner.gate().phase);
        assert_eq!(phase(), Some(Phase::Open));
        until_the_clock_moves();
        assert!(call(&breaker, Verdict::Well));
        assert_eq!(phase(), Some(Phase::HalfOpen), "one success of two");
        assert!(call(&breaker, Verdict::Well));
        assert_eq!(phase(), Some(Phase::Closed));
    }

    #[test]
    fn a_probe_that_lasts_loses_its_place() {
        let breaker = half_open(1);
        let lasting = breaker.permit().expect("a probe");
        assert!(breaker.permit().is_none());
        let inner = breaker.0.as_ref().expect("a breaker");
        inner.gate().probing[0].until = Instant::now();
        let next = breaker.permit().expect("its place");
        drop(lasting);
        assert!(breaker.is_open(), "the place is the next one's");
        next.end(Verdict::Well);
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_call_from_before_has_no_say_later() {
        let breaker = breaker(AN_HOUR, 1);
        let late = breaker.permit().expect("closed");
        let failing: Vec<_> = (0..3).map(|_| breaker.permit().expect("closed")).collect();
        failing.into_iter().for_each(|permit| permit.end(Verdict::Ill));
        late.end(Verdict::Well);
        assert!(breaker.is_open());
    }

    #[test]
    fn the_callers_mistakes_do_not_count() {
        assert_eq!(verdict(Code::InvalidArgument), Verdict::Well);
        assert_eq!(verdict(Code::Cancelled), Verdict::Neither);
        assert_eq!(verdict(Code::Unavailable), Verdict::Ill);
    }

    proptest! {
        /// Against a count of failures in a row, which is all a closed breaker is.
        #[test]
        fn it_is_open_exactly_after_three_in_a_row(verdicts in proptest::collection::vec(0_u8..3, 0..60)) {
            let breaker = breaker(AN_HOUR, 1);
            let mut in_a_row = 0;
            for verdict in verdicts {
                let verdict = [Verdict::Well, Verdict::Ill, Verdict::Neither][usize::from(verdict)];
                prop_assert_eq!(call(&breaker, verdict), in_a_row < 3);
                if in_a_row < 3 {
                    match verdict {
                        Verdict::Well => in_a_row = 0,
                        Verdict::Ill => in_a_row += 1,
                        Verdict::Neither => {}
                    }
                }
            }
        }

        /// Whatever happens to probes, at most so many run at once, and it closes in the end.
        #[test]
        fn probes_stay_bounded(steps in proptest::collection::vec((0_u8..4, 0_usize..4), 0..60)) {
            let breaker = half_open(2);
            let mut held: Vec<Permit> = Vec::new();
            for (step, which) in steps {
                if breaker.0.as_ref().is_some_and(|inner| inner.gate().phase == Phase::Closed) {
                    break;
                }
                if step == 0 {
                    held.extend(breaker.permit());
                    prop_assert!(held.len() <= 2);
                } else if !held.is_empty() {
                    let permit = held.swap_remove(which % held.len());
                    permit.end(if step == 1 { Verdict::Well } else { Verdict::Neither });
                }
            }
            drop(held);
            for _ in 0..2 {
                call(&breaker, Verdict::Well);
            }
            prop_assert!((0..5).all(|_| call(&breaker, Verdict::Well)));
        }
    }
}

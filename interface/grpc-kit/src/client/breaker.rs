//! The circuit breaker of one address: after failures in a row it is left alone for a while, then probed by a few
//! calls at a time until enough of them in a row succeed.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
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

/// What the state machine tells, and what it leaves to its user: which calls are probes, and how many.
#[derive(Debug)]
struct Gate {
    phase: Phase,
    /// Counts the phases, so that a call that was let through in an earlier one has no say in this one.
    turn: u64,
    probing: u32,
    succeeded: u32,
}

/// Keeps the gate, and the gauges, by the state machine's transitions.
struct Watch {
    gate: Arc<Mutex<Gate>>,
    gauges: [Gauge; 3],
}

impl Watch {
    fn enter(&self, phase: Phase) {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.gauges[gate.phase as usize].decrement(1.0);
        *gate = Gate { phase, turn: gate.turn + 1, probing: 0, succeeded: 0 };
        self.gauges[phase as usize].increment(1.0);
    }
}

impl Instrument for Watch {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.enter(Phase::Open);
    }

    fn on_half_open(&self) {
        self.enter(Phase::HalfOpen);
    }

    fn on_closed(&self) {
        self.enter(Phase::Closed);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.gauges[gate.phase as usize].decrement(1.0);
    }
}

type Policy = failure_policy::ConsecutiveFailures<backoff::Constant>;

/// One breaker; clones share it.
#[derive(Clone)]
pub(super) struct Breaker(Option<Arc<Inner>>);

struct Inner {
    machine: StateMachine<Policy, Watch>,
    gate: Arc<Mutex<Gate>>,
    probes: u32,
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gate = self.0.as_ref().map(|inner| inner.gate());
        f.debug_tuple("Breaker").field(&gate.map(|gate| gate.phase)).finish()
    }
}

impl Breaker {
    /// A closed one, counted in the gauges of closed, half open and open ones.
    pub(super) fn new(settings: BreakerSettings, gauges: [Gauge; 3]) -> Self {
        let gate = Gate { phase: Phase::Closed, turn: 0, probing: 0, succeeded: 0 };
        let gate = Arc::new(Mutex::new(gate));
        gauges[Phase::Closed as usize].increment(1.0);
        let watch = Watch { gate: Arc::clone(&gate), gauges };
        let policy =
            failure_policy::consecutive_failures(settings.threshold, backoff::constant(settings.open_for));
        Self(Some(Arc::new(Inner {
            machine: StateMachine::new(policy, watch),
            gate,
            probes: settings.probes,
        })))
    }

    /// One that lets everything through.
    pub(super) fn disabled() -> Self {
        Self(None)
    }

    /// Whether a call would be let through, without taking a probe's place.
    pub(super) fn is_open(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| {
            !inner.machine.is_call_permitted() || {
                let gate = inner.gate();
                gate.phase == Phase::HalfOpen && gate.probing >= inner.probes
            }
        })
    }

    /// Lets a call through, or not.
    pub(super) fn permit(&self) -> Option<Permit> {
        let Some(inner) = &self.0 else { return Some(Permit { breaker: None, turn: 0 }) };
        if !inner.machine.is_call_permitted() {
            return None;
        }
        let mut gate = inner.gate();
        if gate.phase == Phase::HalfOpen {
            if gate.probing >= inner.probes {
                return None;
            }
            gate.probing += 1;
        }
        let turn = gate.turn;
        Some(Permit { breaker: Some(Arc::clone(inner)), turn })
    }
}

impl Inner {
    fn gate(&self) -> std::sync::MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make one call. Dropped without a verdict it says nothing, and a probe's place is free again.
pub(super) struct Permit {
    breaker: Option<Arc<Inner>>,
    turn: u64,
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
        let enough = {
            let mut gate = breaker.gate();
            if gate.turn != self.turn {
                return;
            }
            if gate.phase == Phase::HalfOpen {
                gate.probing = gate.probing.saturating_sub(1);
                gate.succeeded += u32::from(verdict == Verdict::Well);
            }
            gate.phase != Phase::HalfOpen || gate.succeeded >= breaker.probes
        };
        // Without the gate's lock: the machine takes it again when the phase changes.
        match verdict {
            Verdict::Well if enough => breaker.machine.on_success(),
            Verdict::Ill => breaker.machine.on_error(),
            Verdict::Well | Verdict::Neither => {}
        }
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
        // The clock has to have moved on.
        let since = std::time::Instant::now();
        while since.elapsed().is_zero() {
            std::hint::spin_loop();
        }
        breaker
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

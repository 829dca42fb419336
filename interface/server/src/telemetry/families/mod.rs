//! Every metric family there is: one line each. All of them are in the first scrape, each with its known series at 0.
//!
//! | file | owns |
//! | --- | --- |
//! | `platform` | gRPC, HTTP, the process |
//! | `tickets`, `orchestration`, `registry` | what a role measures |
//! | `neighbours`, `predictions` | families that watch something this system does not have, kept for those who query them |
//!
//! # To add a family
//!
//! A line in one of the tables; `docs/observability.md` has the same line, which a test compares. Then a handle made once
//! by [`super::series`], and whoever knows the fact records it.

mod neighbours;
mod orchestration;
mod platform;
mod predictions;
mod registry;
mod tickets;

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// When a family moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moves {
    /// With every plan that runs to its end, and with the calls about it.
    Always,
    /// Only when this happens.
    When(&'static str),
    /// Never, for this reason.
    Never(&'static str),
}

/// One metric family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Each label with its values that are known in advance: the series of all their combinations exist from the start.
    pub(crate) labels: &'static [Label],
    pub(crate) help: &'static str,
    pub(crate) moves: Moves,
}

/// A label and its values known in advance.
pub(crate) type Label = (&'static str, &'static [&'static str]);

impl Family {
    const fn new(name: &'static str, kind: Kind, labels: &'static [Label], help: &'static str) -> Self {
        Family { name, kind, labels, help, moves: Moves::Always }
    }

    const fn counter(name: &'static str, labels: &'static [Label], help: &'static str) -> Self {
        Self::new(name, Kind::Counter, labels, help)
    }

    const fn gauge(name: &'static str, labels: &'static [Label], help: &'static str) -> Self {
        Self::new(name, Kind::Gauge, labels, help)
    }

    const fn histogram(
        name: &'static str,
        buckets: &'static [f64],
        labels: &'static [Label],
        help: &'static str,
    ) -> Self {
        Self::new(name, Kind::Histogram(buckets), labels, help)
    }

    const fn when(mut self, what: &'static str) -> Self {
        self.moves = Moves::When(what);
        self
    }

    const fn never(mut self, reason: &'static str) -> Self {
        self.moves = Moves::Never(reason);
        self
    }
}

/// Every family.
pub(crate) fn all() -> impl Iterator<Item = &'static Family> {
    [
        platform::FAMILIES,
        tickets::FAMILIES,
        orchestration::FAMILIES,
        registry::FAMILIES,
        neighbours::FAMILIES,
        predictions::FAMILIES,
    ]
    .into_iter()
    .flatten()
}

/// The family of that name.
pub(crate) fn find(name: &str) -> Option<&'static Family> {
    all().find(|family| family.name == name)
}

/// Seconds of calls.
const CALLS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Seconds, from a short plan to a long one.
const PLANS: &[f64] = &[1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0];
/// Seconds of one step of a flow.
const STEPS: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0];
/// Seconds of an undo.
const UNDOS: &[f64] = &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0];
/// How many of something.
const COUNTS: &[f64] = &[0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0];
/// Shares and scores from 0 to 1.
const SHARES: &[f64] = &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

const TASK_TYPES: &[&str] =
    &["BUILD", "DEPLOY", "TEST", "VALIDATE", "EXECUTE", "COMPENSATE", "QUERY", "TRANSFORM"];
const PRIORITIES: &[&str] = &["LOW", "NORMAL", "HIGH", "CRITICAL"];
const RISK_BANDS: &[&str] = &["low", "medium", "high", "critical"];
const TICKET_STATUSES: &[&str] =
    &["PENDING", "RUNNING", "COMPLETED", "FAILED", "COMPENSATING", "COMPENSATED", "CANCELLED", "PREEMPTED"];
const PLAN_STATUSES: &[&str] = &["SUCCESS", "PARTIAL", "FAILED"];
const AGENT_TYPES: &[&str] = &["WORKER", "SCOUT", "GUARD", "ANALYST"];
const AGENT_STATUSES: &[&str] = &["HEALTHY", "UNHEALTHY", "DEGRADED"];

#[cfg(test)]
mod tests;

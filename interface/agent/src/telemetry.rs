//! An agent's own figures, as its heartbeats carry them.

use std::collections::VecDeque;

use hive_domain::registry::public::AgentTelemetry;
use hive_domain::time::Timestamp;

/// Executions from which the success rate is taken.
const WINDOW: usize = 50;

/// Counts what an agent did. Rates are those of late: an agent that failed for a while can recover, and one that got
/// nothing to do since its last heartbeat starts afresh, for it would get nothing ever again otherwise.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    total: i64,
    failed: i64,
    last_at: i64,
    recent: VecDeque<(bool, i64)>,
    told: i64,
}

impl Figures {
    pub(crate) fn count(&mut self, succeeded: bool, duration_ms: i64, at: Timestamp) {
        self.total += 1;
        self.failed += i64::from(!succeeded);
        self.last_at = at.millis();
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back((succeeded, duration_ms));
    }

    /// What the next heartbeat says.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "at most the window")]
    pub(crate) fn telemetry(&mut self) -> AgentTelemetry {
        if std::mem::replace(&mut self.told, self.total) == self.total {
            self.recent.clear();
        }
        let count = self.recent.len();
        let succeeded = self.recent.iter().filter(|(succeeded, _)| *succeeded).count();
        let duration_ms: i64 = self.recent.iter().map(|(_, duration_ms)| duration_ms).sum();
        AgentTelemetry {
            success_rate: if count == 0 { 1.0 } else { succeeded as f64 / count as f64 },
            avg_duration_ms: duration_ms / (count.max(1) as i64),
            total_executions: self.total,
            failed_executions: self.failed,
            last_execution_at: self.last_at,
        }
    }

    /// What an agent says that takes nothing more. That nothing it does succeeds is the only word of the registry's
    /// contract that makes others be chosen.
    pub(crate) fn closing(&self) -> AgentTelemetry {
        AgentTelemetry {
            success_rate: 0.0,
            total_executions: self.total.max(1),
            failed_executions: self.failed,
            last_execution_at: self.last_at,
            avg_duration_ms: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_chooses_an_agent_that_takes_nothing_more() {
        let status = Figures::default().closing().status();
        assert_eq!(status, hive_domain::registry::public::AgentStatus::Unhealthy);
    }

    const NOW: Timestamp = Timestamp::from_millis(1);

    #[test]
    fn old_failures_are_forgotten_and_idling_starts_afresh() {
        let mut figures = Figures::default();
        (0..10).for_each(|_| figures.count(false, 4, NOW));
        let telemetry = figures.telemetry();
        assert_eq!((telemetry.success_rate, telemetry.failed_executions), (0.0, 10));
        assert_eq!(telemetry.avg_duration_ms, 4);
        assert_eq!(figures.telemetry().success_rate, 1.0);
        (0..10).for_each(|_| figures.count(false, 4, NOW));
        (0..50).for_each(|_| figures.count(true, 4, NOW));
        assert_eq!(figures.telemetry().success_rate, 1.0);
        assert_eq!(figures.telemetry().total_executions, 70);
    }
}

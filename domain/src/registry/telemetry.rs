//! What an agent reports about its own work, and the status that follows.

use super::error::RegistryError;
use super::status::AgentStatus;

/// An agent's own figures. The default says: nothing done yet.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AgentTelemetry {
    /// Share of executions that succeeded, 0 to 1. Says nothing while there are no executions.
    pub success_rate: f64,
    /// Mean duration of an execution, in milliseconds.
    pub avg_duration_ms: i64,
    /// Executions so far.
    pub total_executions: i64,
    /// Executions that failed.
    pub failed_executions: i64,
    /// When the last execution ended; 0 when none did. Existing workers send a clock of their own: for show only.
    pub last_execution_at: i64,
}

const UNHEALTHY_BELOW: f64 = 0.3;
const DEGRADED_BELOW: f64 = 0.5;

impl AgentTelemetry {
    /// Checks the bounds; an error names the field as `telemetry.…`.
    pub fn check(self) -> Result<Self, RegistryError> {
        // Written so that NaN fails too.
        if !(0.0..=1.0).contains(&self.success_rate) {
            return Err(RegistryError::invalid("telemetry.success_rate", "must be a number from 0 to 1"));
        }
        let counters = [
            ("telemetry.avg_duration_ms", self.avg_duration_ms),
            ("telemetry.total_executions", self.total_executions),
            ("telemetry.failed_executions", self.failed_executions),
        ];
        match counters.into_iter().find(|(_, value)| *value < 0) {
            Some((field, _)) => Err(RegistryError::invalid(field, "must not be negative")),
            None => Ok(self),
        }
    }

    /// Below 0.3 UNHEALTHY, below 0.5 DEGRADED, else HEALTHY; without executions HEALTHY.
    pub fn status(&self) -> AgentStatus {
        if self.total_executions == 0 {
            AgentStatus::Healthy
        } else if self.success_rate < UNHEALTHY_BELOW {
            AgentStatus::Unhealthy
        } else if self.success_rate < DEGRADED_BELOW {
            AgentStatus::Degraded
        } else {
            AgentStatus::Healthy
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(success_rate: f64, total_executions: i64) -> AgentTelemetry {
        AgentTelemetry { success_rate, total_executions, ..AgentTelemetry::default() }
    }

    #[test]
    fn status_follows_the_success_rate_once_there_is_one() {
        let cases = [
            (0.0, 0, AgentStatus::Healthy),
            (0.0, 1, AgentStatus::Unhealthy),
            (0.299, 1, AgentStatus::Unhealthy),
            (0.3, 1, AgentStatus::Degraded),
            (0.499, 1, AgentStatus::Degraded),
            (0.5, 1, AgentStatus::Healthy),
            (1.0, 1, AgentStatus::Healthy),
        ];
        for (success_rate, total, expected) in cases {
            assert_eq!(rate(success_rate, total).status(), expected, "{success_rate} of {total}");
        }
    }

    #[test]
    fn out_of_bounds_names_the_field() {
        for bad in [f64::NAN, f64::INFINITY, -0.01, 1.01] {
            let refused = rate(bad, 1).check().unwrap_err();
            assert!(refused.to_string().starts_with("telemetry.success_rate"), "{refused}");
        }
        let refused = rate(1.0, -1).check().unwrap_err();
        assert!(refused.to_string().starts_with("telemetry.total_executions"), "{refused}");
        let failed = AgentTelemetry { failed_executions: -1, ..rate(1.0, 0) };
        assert!(failed.check().unwrap_err().to_string().starts_with("telemetry.failed_executions"));
        let slow = AgentTelemetry { avg_duration_ms: -1, ..rate(1.0, 0) };
        assert!(slow.check().unwrap_err().to_string().starts_with("telemetry.avg_duration_ms"));
        assert_eq!(rate(1.0, i64::MAX).check(), Ok(rate(1.0, i64::MAX)));
    }
}

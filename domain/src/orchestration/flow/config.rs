//! How flows behave.

use crate::orchestration::allocation::AllocationConfig;
use crate::orchestration::generation::SlaConfig;

/// How a flow behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowConfig {
    /// Service levels of generated tickets.
    pub sla: SlaConfig,
    /// What is dispatched first, and to whom.
    pub allocation: AllocationConfig,
    /// Waits between tries.
    pub retry: Backoff,
    /// Whether a failed plan is undone (`COMPENSATION_ENABLED`).
    pub compensation: bool,
}

impl Default for FlowConfig {
    fn default() -> Self {
        FlowConfig {
            sla: SlaConfig::default(),
            allocation: AllocationConfig::default(),
            retry: Backoff::default(),
            compensation: true,
        }
    }
}

/// Exponential waits between tries (`RETRY_INITIAL_INTERVAL_MS`, `RETRY_BACKOFF_COEFFICIENT`, `RETRY_MAX_INTERVAL_MS`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Milliseconds before the first retry.
    pub initial_ms: i64,
    /// Growth from one retry to the next.
    pub coefficient: f64,
    /// Milliseconds at most.
    pub max_ms: i64,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { initial_ms: 1_000, coefficient: 2.0, max_ms: 60_000 }
    }
}

impl Backoff {
    /// Milliseconds to wait after `tries` retries already made.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "saturates, then is capped"
    )]
    pub fn wait_ms(&self, tries: i32) -> i64 {
        let wait = self.initial_ms as f64 * self.coefficient.max(1.0).powi(tries.max(0));
        (wait as i64).min(self.max_ms)
    }
}

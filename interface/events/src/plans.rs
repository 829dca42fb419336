//! Messages of `plans.consensus`, handed to C1, which decodes and judges them.

use hive_application::context::CallContext;
use hive_application::error::Error;
use hive_application::orchestration::{Submission, ValidatePlan};

/// Takes in plans.
#[derive(Clone, Debug)]
pub struct PlanIntake {
    validate: ValidatePlan,
}

impl PlanIntake {
    /// Hands plans to `validate`.
    pub fn new(validate: ValidatePlan) -> Self {
        PlanIntake { validate }
    }

    /// Has a message judged.
    pub async fn take(&self, context: &CallContext, bytes: &[u8]) -> Result<Submission, Error> {
        self.validate.take(context, bytes).await
    }
}

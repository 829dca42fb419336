//! Takes in a plan and has it run.

use super::supervise_flows::SuperviseFlows;
use super::validate_plan::{Submission, ValidatePlan};
use crate::context::CallContext;
use crate::error::Error;

/// Takes in plans.
#[derive(Clone, Debug)]
pub struct SubmitPlan {
    validate: ValidatePlan,
    supervisor: SuperviseFlows,
}

impl SubmitPlan {
    pub(super) fn new(validate: ValidatePlan, supervisor: SuperviseFlows) -> Self {
        SubmitPlan { validate, supervisor }
    }

    /// Judges a message, JSON text in UTF-8; its flow runs unless it ended. The flow is remembered by then, so it also
    /// runs when nobody waits, and after a restart.
    pub async fn execute(&self, context: &CallContext, message: &[u8]) -> Result<Submission, Error> {
        context.must_be_service()?;
        let submission = self.validate.take(context, message).await?;
        if let Submission::Open { workflow_id, .. } = &submission {
            self.supervisor.submit(workflow_id);
        }
        Ok(submission)
    }
}

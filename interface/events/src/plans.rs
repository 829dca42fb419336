//! Messages of `plans.consensus`: decoded here, judged by C1. What cannot be decoded is a finding like any other.

use hive_application::context::CallContext;
use hive_application::error::Error;
use hive_application::messages::{DecodeError, decode};
use hive_application::orchestration::{Submission, ValidatePlan};
use hive_domain::orchestration::finding::{Code, Finding, Findings};

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

    /// Decodes a message and has it judged.
    pub async fn take(&self, context: &CallContext, bytes: &[u8]) -> Result<Submission, Error> {
        let limits = self.validate.limits();
        match decode(bytes, limits.max_message_bytes, limits.max_nesting) {
            Ok(body) => self.validate.execute(context, body).await,
            Err(error) => {
                let mut findings = Findings::default();
                findings.add_error(finding(&error));
                Ok(Submission::Invalid(findings))
            }
        }
    }
}

fn finding(error: &DecodeError) -> Finding {
    let code = match error {
        DecodeError::TooLarge { .. } => Code::MessageTooLarge,
        DecodeError::TooDeep { .. } => Code::NestingTooDeep,
        DecodeError::NotText { .. } | DecodeError::NotJson { .. } => Code::SchemaInvalid,
    };
    Finding::new(code, "$", error)
}

//! C1: judges a message, records the judgement, and remembers a plan that may run as a flow.

use std::sync::Arc;

use hive_domain::ids::{PlanId, WorkflowId};
use hive_domain::json::{Json, object};
use hive_domain::orchestration::finding::{Code, Finding, Findings};
use hive_domain::orchestration::generation::SlaConfig;
use hive_domain::orchestration::limits::Limits;
use hive_domain::orchestration::message::Message;
use hive_domain::orchestration::plan::ApprovedPlan;
use hive_domain::orchestration::validation::{Subject, Verdict, validate};
use hive_domain::time::Timestamp;
use tracing::Instrument as _;

use super::Dependencies;
use super::ports::{FlowOpening, Journal, Opened, OutboxMessage, StoredFlow};
use crate::clock::Clock;
use crate::context::CallContext;
use crate::error::{Error, chain};
use crate::ids::IdGenerator;
use crate::messages::{self, DecodeError};

/// Where judgements are told.
const AUDIT_TOPIC: &str = "validation.audit";

/// What became of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Submission {
    /// Its plan has a flow that has not ended: a new one, or one begun before.
    Open {
        /// The flow.
        workflow_id: WorkflowId,
        /// Whether it was begun before.
        resumed: bool,
        /// What is odd about the message, though no error.
        findings: Findings,
    },
    /// Its plan ran before; this is what came of it.
    Ended {
        /// The flow.
        workflow_id: WorkflowId,
        /// The stored result.
        outcome: Json,
        /// What is odd about the message, though no error.
        findings: Findings,
    },
    /// It was decided that the plan does not run.
    Rejected(Subject),
    /// A person has yet to decide.
    AwaitingApproval(Subject),
    /// The message breaks rules.
    Invalid(Findings),
}

/// C1.
#[derive(Clone)]
pub struct ValidatePlan {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    limits: Limits,
    sla: SlaConfig,
}

impl ValidatePlan {
    pub(super) fn new(dependencies: &Dependencies, limits: Limits, sla: SlaConfig) -> Self {
        ValidatePlan {
            journal: Arc::clone(&dependencies.journal),
            clock: Arc::clone(&dependencies.clock),
            ids: Arc::clone(&dependencies.ids),
            limits,
            sla,
        }
    }

    /// What messages are held to.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Judges a message as it arrived: JSON text in UTF-8. What cannot be decoded is a finding like any other.
    pub async fn take(&self, context: &CallContext, bytes: &[u8]) -> Result<Submission, Error> {
        match messages::decode(bytes, self.limits.max_message_bytes, self.limits.max_nesting) {
            Ok(body) => self.execute(context, body).await,
            Err(error) => Ok(Submission::Invalid(only(undecodable(&error)))),
        }
    }

    /// Judges a decoded message.
    pub async fn execute(&self, context: &CallContext, body: Json) -> Result<Submission, Error> {
        let span = tracing::info_span!(target: super::SPAN_TARGET, "orchestrator.validate_plan");
        self.judge(context, body).instrument(span).await
    }

    async fn judge(&self, context: &CallContext, body: Json) -> Result<Submission, Error> {
        let now = self.clock.now();
        let limits = &self.limits;
        let parse = |text: &str| {
            messages::decode(text.as_bytes(), limits.max_message_bytes, limits.max_nesting)
                .map_err(|error| error.to_string())
        };
        let message = match Message::open(body, limits, parse) {
            Ok(message) => message,
            Err(finding) => return Ok(Submission::Invalid(only(finding))),
        };
        let workflow_id = workflow_of(&message);
        let stored = match &workflow_id {
            Some(workflow_id) => self.journal.find(workflow_id).await?,
            None => None,
        };
        // A plan that has begun is judged by the time at which it did: it does not expire on the way.
        let judged_at = stored.as_ref().map_or(now, |stored| stored.opening.opened_at);
        let report = validate(&message, None, limits, judged_at);
        self.audit(workflow_id.as_ref(), &report.findings, now).await;
        match (report.verdict, stored) {
            (Verdict::Run(approved), Some(stored)) => Ok(known(&approved, stored, report.findings)),
            (Verdict::Run(approved), None) => self.open(context, *approved, report.findings, now).await,
            (Verdict::Rejected(subject), _) => Ok(Submission::Rejected(subject)),
            (Verdict::AwaitingApproval(subject), _) => Ok(Submission::AwaitingApproval(subject)),
            (Verdict::Invalid, _) => Ok(Submission::Invalid(report.findings)),
        }
    }

    async fn open(
        &self,
        context: &CallContext,
        mut approved: ApprovedPlan,
        findings: Findings,
        now: Timestamp,
    ) -> Result<Submission, Error> {
        let plan_hash = approved.plan.content_hash();
        let decision = &mut approved.decision;
        decision.correlation_id.get_or_insert_with(|| self.ids.uuid());
        if let (None, Some((trace_id, span_id))) = (&decision.trace_id, context.sampled_trace()) {
            decision.trace_id = Some(trace_id.to_owned());
            decision.span_id = Some(span_id.to_owned());
        }
        let workflow_id = WorkflowId::for_plan(&approved.plan.plan_id);
        let opening = FlowOpening {
            workflow_id: workflow_id.clone(),
            plan_id: approved.plan.plan_id.clone(),
            plan_hash,
            plan: approved.to_json(),
            sla: self.sla,
            opened_at: now,
        };
        match self.journal.open(opening).await? {
            Opened::New => Ok(Submission::Open { workflow_id, resumed: false, findings }),
            // Somebody else was faster.
            Opened::Existing(stored) => Ok(known(&approved, stored, findings)),
        }
    }

    /// Records the judgement. A plan is not held up by its audit.
    async fn audit(&self, workflow_id: Option<&WorkflowId>, findings: &Findings, now: Timestamp) {
        let texts = |findings: &[Finding]| -> Json {
            findings
                .iter()
                .map(|f| format!("{}: {}: {}", f.code.as_str(), f.path, f.message))
                .collect::<Vec<_>>()
                .into()
        };
        let mut document = object([
            ("workflow_id", workflow_id.map(WorkflowId::as_str).into()),
            (
                "validation_result",
                object([
                    ("valid", findings.is_clean().into()),
                    ("errors", texts(&findings.errors)),
                    ("warnings", texts(&findings.warnings)),
                    ("validated_at", now.to_string().into()),
                ]),
            ),
            ("timestamp", now.to_string().into()),
        ]);
        let hash = document.content_hash();
        if let Json::Object(members) = &mut document {
            members.insert("hash".to_owned(), hash.into());
        }
        let message = OutboxMessage {
            message_id: format!("validation:{}", self.ids.uuid()),
            topic: AUDIT_TOPIC.to_owned(),
            key: workflow_id.map(ToString::to_string).unwrap_or_default(),
            payload: document,
            at: now,
        };
        if let Err(error) = self.journal.publish(vec![message]).await {
            tracing::warn!(error = chain(&error), "validation was not audited");
        }
    }
}

/// The flow of the plan that a message is about, if it names one.
fn workflow_of(message: &Message) -> Option<WorkflowId> {
    PlanId::parse(message.plan_id()?).ok().map(|plan_id| WorkflowId::for_plan(&plan_id))
}

/// What to answer about a plan that has a flow.
fn known(approved: &ApprovedPlan, stored: StoredFlow, findings: Findings) -> Submission {
    if let Err(conflict) = approved.plan.check_conflict(&stored.opening.plan_hash) {
        return Submission::Invalid(only(conflict));
    }
    let workflow_id = stored.opening.workflow_id;
    match stored.outcome {
        Some(outcome) => Submission::Ended { workflow_id, outcome, findings },
        None => Submission::Open { workflow_id, resumed: true, findings },
    }
}

fn undecodable(error: &DecodeError) -> Finding {
    let code = match error {
        DecodeError::TooLarge { .. } => Code::MessageTooLarge,
        DecodeError::TooDeep { .. } => Code::NestingTooDeep,
        DecodeError::NotText { .. } | DecodeError::NotJson { .. } => Code::SchemaInvalid,
    };
    Finding::new(code, "$", error)
}

fn only(finding: Finding) -> Findings {
    let mut findings = Findings::default();
    findings.add_error(finding);
    findings
}

impl std::fmt::Debug for ValidatePlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValidatePlan").field("limits", &self.limits).finish_non_exhaustive()
    }
}

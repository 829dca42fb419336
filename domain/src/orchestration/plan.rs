//! An approved plan with typed values: what every later step of a flow works from.

use std::collections::BTreeMap;

use super::finding::{Code, Finding, Findings};
use super::graph::Graph;
use crate::ids::{DecisionId, IntentId, PlanId, TaskId};
use crate::json::{Json, Object, object};
use crate::tickets::public::{Priority, RiskBand, SecurityLevel, TaskType};
use crate::time::Timestamp;

/// The only schema version understood.
pub const SCHEMA_VERSION: i64 = 1;

/// A valid plan. Tasks are numbered by their position in [`Plan::tasks`]; the graph speaks in these numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The plan.
    pub plan_id: PlanId,
    /// The intent it was made for.
    pub intent_id: IntentId,
    /// The version its author gave it.
    pub version: String,
    /// Correlates everything that follows from one request.
    pub correlation_id: Option<String>,
    /// W3C trace id of the request.
    pub trace_id: Option<String>,
    /// W3C span id of the request.
    pub span_id: Option<String>,
    /// Risk, 0 to 1.
    pub risk_score: f64,
    /// The band the risk falls in.
    pub risk_band: RiskBand,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// After this point the plan must not start any more.
    pub valid_until: Option<Timestamp>,
    /// Milliseconds its author expects it to take.
    pub estimated_total_duration_ms: Option<i64>,
    /// The domain of the intent.
    pub original_domain: Option<String>,
    /// The priority asked for; none when absent or not understood.
    pub priority: Option<Priority>,
    /// Who may see what the tasks work on.
    pub security_level: SecurityLevel,
    /// Whatever else the author wanted to say.
    pub metadata: BTreeMap<String, String>,
    /// The tasks, as the plan lists them.
    pub tasks: Vec<Task>,
    /// Who waits for whom, and the order of execution: the plan's own if it holds, else one computed from it.
    pub graph: Graph,
}

/// One task of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Unique within the plan.
    pub task_id: TaskId,
    /// The kind of work.
    pub task_type: TaskType,
    /// The kind as its author wrote it.
    pub original_type: String,
    /// What to do, for people.
    pub description: String,
    /// Milliseconds its author expects it to take; never negative.
    pub estimated_duration_ms: Option<i64>,
    /// What an agent must be able to do.
    pub required_capabilities: Vec<String>,
    /// What an agent needs, kept as it came.
    pub parameters: Object,
    /// Whatever else the author wanted to say.
    pub metadata: BTreeMap<String, String>,
}

impl Plan {
    /// The tasks that task `index` depends on directly.
    pub fn dependencies(&self, index: u32) -> impl Iterator<Item = &Task> {
        self.graph.dependencies(index).iter().map(|dependency| &self.tasks[*dependency as usize])
    }

    /// All tasks with their numbers, each after everything it depends on.
    pub fn in_order(&self) -> impl Iterator<Item = (u32, &Task)> {
        self.graph.order().iter().map(|index| (*index, &self.tasks[*index as usize]))
    }

    /// The plan as a message: every field present, times in milliseconds. Validation reads the same plan back from it.
    pub fn to_json(&self) -> Json {
        let Json::Object(mut members) = self.content() else { return Json::Null };
        members.insert("correlation_id".to_owned(), self.correlation_id.clone().into());
        members.insert("trace_id".to_owned(), self.trace_id.clone().into());
        members.insert("span_id".to_owned(), self.span_id.clone().into());
        Json::Object(members)
    }

    /// Lower-case hex SHA-256 of what the plan asks for. It is taken from the typed values, so neither the notation of
    /// a date, nor an unknown key, nor the ids of the request that carried the plan make a difference.
    pub fn content_hash(&self) -> String {
        self.content().content_hash()
    }

    /// Compares with the hash of the plan of the same id that ran before.
    pub fn check_conflict(&self, earlier_hash: &str) -> Result<(), Finding> {
        if self.content_hash() == earlier_hash {
            return Ok(());
        }
        let message = format_args!("a plan {} with other content has already run", self.plan_id);
        Err(Finding::new(Code::PlanConflict, "plan_id", message))
    }

    fn content(&self) -> Json {
        let order = self.in_order().map(|(_, task)| Json::from(task.task_id.as_str())).collect();
        let tasks = (0_u32..).zip(&self.tasks).map(|(index, task)| self.task_json(index, task)).collect();
        object([
            ("plan_id", self.plan_id.as_str().into()),
            ("intent_id", self.intent_id.as_str().into()),
            ("version", self.version.as_str().into()),
            ("tasks", Json::List(tasks)),
            ("execution_order", Json::List(order)),
            ("risk_score", self.risk_score.into()),
            ("risk_band", self.risk_band.as_str().into()),
            ("created_at", self.created_at.map(Timestamp::millis).into()),
            ("valid_until", self.valid_until.map(Timestamp::millis).into()),
            ("estimated_total_duration_ms", self.estimated_total_duration_ms.into()),
            ("original_domain", self.original_domain.clone().into()),
            ("original_priority", self.priority.map(Priority::as_str).into()),
            ("original_security_level", self.security_level.as_str().into()),
            ("metadata", texts_json(&self.metadata)),
            ("schema_version", SCHEMA_VERSION.into()),
        ])
    }

    fn task_json(&self, index: u32, task: &Task) -> Json {
        let dependencies = self.dependencies(index).map(|task| Json::from(task.task_id.as_str())).collect();
        object([
            ("task_id", task.task_id.as_str().into()),
            ("task_type", task.original_type.as_str().into()),
            ("description", task.description.as_str().into()),
            ("dependencies", Json::List(dependencies)),
            ("estimated_duration_ms", task.estimated_duration_ms.into()),
            ("required_capabilities", task.required_capabilities.clone().into()),
            ("parameters", Json::Object(task.parameters.clone())),
            ("metadata", texts_json(&task.metadata)),
        ])
    }
}

/// What was decided about a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalDecision {
    /// It runs.
    Approve,
    /// It runs; the conditions are kept in the decision's metadata.
    Conditional,
    /// It never runs.
    Reject,
    /// A person decides.
    ReviewRequired,
}

impl FinalDecision {
    /// The words understood: those of the schema, and the two of the approval service.
    pub const WORDS: [&'static str; 6] =
        ["approve", "approved", "conditional", "reject", "rejected", "review_required"];

    /// The word of the schema.
    pub const fn as_str(self) -> &'static str {
        match self {
            FinalDecision::Approve => "approve",
            FinalDecision::Conditional => "conditional",
            FinalDecision::Reject => "reject",
            FinalDecision::ReviewRequired => "review_required",
        }
    }

    /// Reads one of [`Self::WORDS`].
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "approve" | "approved" => Some(FinalDecision::Approve),
            "conditional" => Some(FinalDecision::Conditional),
            "reject" | "rejected" => Some(FinalDecision::Reject),
            "review_required" => Some(FinalDecision::ReviewRequired),
            _ => None,
        }
    }
}

/// The decision that lets a plan run.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The decision; derived from the plan when the plan came on its own.
    pub decision_id: DecisionId,
    /// What was decided.
    pub final_decision: FinalDecision,
    /// Correlates everything that follows from one request; the plan's where the decision has none.
    pub correlation_id: Option<String>,
    /// W3C trace id of the request; the plan's where the decision has none.
    pub trace_id: Option<String>,
    /// W3C span id of the request; the plan's where the decision has none.
    pub span_id: Option<String>,
    /// After this point the decision must not be acted upon.
    pub valid_until: Option<Timestamp>,
    /// What came with it; a conditional decision adds its conditions under `decision.…`.
    pub metadata: BTreeMap<String, String>,
}

impl Decision {
    /// The decision that a plan without one carries in itself.
    pub(super) fn of_direct_plan(plan: &Plan) -> Self {
        Self {
            decision_id: DecisionId::for_direct_plan(&plan.plan_id),
            final_decision: FinalDecision::Approve,
            correlation_id: plan.correlation_id.clone(),
            trace_id: plan.trace_id.clone(),
            span_id: plan.span_id.clone(),
            valid_until: None,
            metadata: BTreeMap::new(),
        }
    }
}

/// A plan that may run, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovedPlan {
    /// The decision.
    pub decision: Decision,
    /// The plan.
    pub plan: Plan,
}

impl ApprovedPlan {
    /// Decision and plan as one message, which [`ApprovedPlan::restore`] reads back.
    pub fn to_json(&self) -> Json {
        let Decision {
            decision_id,
            final_decision,
            correlation_id,
            trace_id,
            span_id,
            valid_until,
            metadata,
        } = &self.decision;
        object([
            ("decision_id", decision_id.as_str().into()),
            ("plan_id", self.plan.plan_id.as_str().into()),
            ("intent_id", self.plan.intent_id.as_str().into()),
            ("final_decision", final_decision.as_str().into()),
            ("correlation_id", correlation_id.clone().into()),
            ("trace_id", trace_id.clone().into()),
            ("span_id", span_id.clone().into()),
            ("valid_until", valid_until.map(Timestamp::millis).into()),
            ("metadata", texts_json(metadata)),
            ("schema_version", SCHEMA_VERSION.into()),
            ("cognitive_plan", self.plan.to_json()),
        ])
    }

    /// Reads what [`ApprovedPlan::to_json`] wrote. Expiry, limits and policies were judged when the plan started and
    /// are not judged again.
    pub fn restore(stored: Json) -> Result<Self, Findings> {
        super::validation::restore(stored)
    }
}

fn texts_json(texts: &BTreeMap<String, String>) -> Json {
    Json::Object(texts.iter().map(|(key, text)| (key.clone(), Json::from(text.as_str()))).collect())
}

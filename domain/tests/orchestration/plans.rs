//! Small plans.

use std::collections::BTreeMap;

use hive_domain::ids::{DecisionId, IntentId, PlanId, TaskId};
use hive_domain::orchestration::graph::Graph;
use hive_domain::orchestration::plan::{ApprovedPlan, Decision, FinalDecision, Plan, Task};
use hive_domain::tickets::public::{RiskBand, SecurityLevel, TaskType};

/// A task and the names of those it depends on.
pub(crate) type TaskWithDependencies = (Task, Vec<String>);

pub(crate) fn task(id: &str, dependencies: &[&str], estimate_ms: Option<i64>) -> TaskWithDependencies {
    let task = Task {
        task_id: TaskId::parse(id).unwrap(),
        task_type: TaskType::Execute,
        original_type: "EXECUTE".to_owned(),
        description: format!("do {id}"),
        estimated_duration_ms: estimate_ms,
        required_capabilities: vec!["compute".to_owned()],
        parameters: BTreeMap::new(),
        metadata: BTreeMap::new(),
    };
    (task, dependencies.iter().map(|name| (*name).to_owned()).collect())
}

pub(crate) fn plan_with(id: &str, band: &str, tasks: Vec<TaskWithDependencies>) -> ApprovedPlan {
    let names: Vec<String> = tasks.iter().map(|(task, _)| task.task_id.to_string()).collect();
    let position =
        |name: &String| u32::try_from(names.iter().position(|other| other == name).unwrap()).unwrap();
    let dependencies: Vec<Vec<u32>> =
        tasks.iter().map(|(_, dependencies)| dependencies.iter().map(position).collect()).collect();
    let order: Vec<u32> = (0..u32::try_from(names.len()).unwrap()).collect();
    let plan_id = PlanId::parse(id).unwrap();
    let plan = Plan {
        intent_id: IntentId::parse("intent").unwrap(),
        version: "1.0.0".to_owned(),
        correlation_id: None,
        trace_id: None,
        span_id: None,
        risk_score: 0.5,
        risk_band: RiskBand::parse(band).unwrap(),
        created_at: None,
        valid_until: None,
        estimated_total_duration_ms: None,
        original_domain: None,
        priority: None,
        security_level: SecurityLevel::Internal,
        metadata: BTreeMap::new(),
        tasks: tasks.into_iter().map(|(task, _)| task).collect(),
        graph: Graph::try_new(&dependencies, &order).unwrap(),
        plan_id: plan_id.clone(),
    };
    let decision = Decision {
        decision_id: DecisionId::for_direct_plan(&plan_id),
        final_decision: FinalDecision::Approve,
        correlation_id: None,
        trace_id: None,
        span_id: None,
        valid_until: None,
        metadata: BTreeMap::new(),
    };
    ApprovedPlan { decision, plan }
}

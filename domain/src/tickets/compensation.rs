//! The ticket that undoes another one: complete, so that every reader of tickets can load it.

use std::collections::BTreeMap;

use super::content::{TicketContent, TicketState};
use super::error::TicketError;
use super::kinds::TaskType;
use super::sla::Sla;
use super::ticket::Ticket;
use crate::ids::{TaskId, TicketId};
use crate::json::{Json, Object};
use crate::time::Timestamp;

/// Milliseconds an undo may take.
pub const COMPENSATION_TIMEOUT_MS: i64 = 120_000;

/// Times an undo may be tried again.
pub const COMPENSATION_RETRIES: i32 = 1;

/// What undoes a type of task: the action, and the parameters it needs with their defaults.
struct Recipe {
    action: &'static str,
    parameters: &'static [(&'static str, Option<&'static str>)],
}

const fn recipe(task_type: TaskType) -> Recipe {
    match task_type {
        TaskType::Build => Recipe {
            action: "delete_artifacts",
            parameters: &[
                ("artifact_ids", None),
                ("registry_url", None),
                ("image_tag", None),
                ("repository", None),
            ],
        },
        TaskType::Deploy => Recipe {
            action: "rollback_deployment",
            parameters: &[
                ("deployment_name", None),
                ("previous_revision", Some("HEAD~1")),
                ("namespace", Some("default")),
                ("provider", Some("argocd")),
                ("cluster_server", None),
            ],
        },
        TaskType::Test => Recipe {
            action: "cleanup_test_env",
            parameters: &[
                ("test_id", None),
                ("namespace", None),
                ("resources", None),
                ("cleanup_jobs", None),
            ],
        },
        TaskType::Validate => Recipe {
            action: "revert_approval",
            parameters: &[("approval_id", None), ("validation_id", None), ("revert_status", Some("PENDING"))],
        },
        TaskType::Execute => Recipe {
            action: "rollback_execution",
            parameters: &[
                ("execution_id", None),
                ("rollback_script", None),
                ("working_dir", None),
                ("cleanup_outputs", None),
            ],
        },
        TaskType::Query | TaskType::Transform | TaskType::Compensate => {
            Recipe { action: "generic_cleanup", parameters: &[] }
        }
    }
}

/// How a caller wants a ticket undone.
#[derive(Debug, Clone, PartialEq)]
pub struct Compensation {
    /// Why.
    pub reason: String,
    /// The action; none for the one that suits the type of the task.
    pub action: Option<String>,
    /// Parameters of the action besides those taken from the undone ticket; they win over them.
    pub parameters: Object,
}

impl Compensation {
    /// Undone in the way that suits the type of the task.
    pub fn because(reason: &str) -> Self {
        Compensation { reason: reason.to_owned(), action: None, parameters: Object::new() }
    }
}

/// Builds the ticket that undoes `original`, standing at `state`.
pub(super) fn ticket_for(
    original: &TicketContent,
    state: &TicketState,
    wanted: &Compensation,
    now: Timestamp,
    by: &str,
) -> Result<Ticket, TicketError> {
    let recipe = recipe(original.task_type);
    let action = wanted.action.as_deref().unwrap_or(recipe.action);
    let reason = wanted.reason.as_str();
    let short: String = original.ticket_id.as_str().chars().take(8).collect();
    let task_id = TaskId::parse(&format!("compensate-{short}"))
        .map_err(|_| TicketError::InvalidField { field: "task_id", problem: "cannot be derived" })?;

    let mut parameters = BTreeMap::new();
    for (name, default) in recipe.parameters {
        let value = original.parameters.get(*name).cloned().or(default.map(Json::from));
        parameters.extend(value.map(|value| ((*name).to_owned(), value)));
    }
    parameters.extend(wanted.parameters.clone());
    for (name, value) in [
        ("action", action),
        ("reason", reason),
        ("original_ticket_id", original.ticket_id.as_str()),
        ("original_task_type", original.task_type.as_str()),
    ] {
        parameters.insert(name.to_owned(), value.into());
    }

    let mut metadata = BTreeMap::from([
        ("compensation_reason".to_owned(), reason.to_owned()),
        ("original_task_type".to_owned(), original.task_type.as_str().to_owned()),
        ("original_status".to_owned(), state.status.as_str().to_owned()),
    ]);
    let kept = ["workflow_id", "generated_by"].into_iter();
    metadata.extend(
        kept.filter_map(|key| state.metadata.get_key_value(key)).map(|(k, v)| (k.clone(), v.clone())),
    );

    let content = TicketContent {
        ticket_id: TicketId::for_compensation(&original.ticket_id),
        task_id,
        task_type: TaskType::Compensate,
        description: format!("Undo {} of task {}: {}", original.task_type, original.task_id, action),
        dependencies: Vec::new(),
        sla: Sla {
            deadline: now.plus_ms(COMPENSATION_TIMEOUT_MS),
            timeout_ms: COMPENSATION_TIMEOUT_MS,
            max_retries: COMPENSATION_RETRIES,
        },
        parameters,
        created_at: now,
        estimated_duration_ms: None,
        predictions: None,
        ..original.clone()
    };
    Ticket::create(content, metadata, by)
}

//! Between the orchestration contract and its domain. Times on the wire are Unix milliseconds.

use std::collections::HashMap;

use hive_application::error::{Error, ErrorKind};
use hive_application::orchestration::{FlowChange, FlowView, FlowWatch, Submission, TicketCounts};
use hive_domain::ids::{AgentId, WorkflowId};
use hive_domain::orchestration::finding::{Code, Finding, Findings};
use hive_domain::orchestration::flow::{Phase, PlanStatus, TicketRecord};
use hive_domain::orchestration::validation::Subject;
use hive_domain::tickets::public::TicketStatus;
use hive_proto::grpc::neural_hive::orchestration as wire;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};
use wire::workflow_event::Event;

use crate::status::{ERROR_DOMAIN, code};

/// Bytes of text that the violations of a refused plan may take in the answer: they travel in a trailer, and peers accept
/// 16 KiB of those, encoded in base 64.
const VIOLATION_BYTES: usize = 6 * 1024;
/// Characters of one text of a violation.
const TEXT_CHARS: usize = 512;

pub(super) fn submission(submission: Submission) -> Result<wire::SubmitPlanResponse, Status> {
    use wire::SubmissionStatus as Word;
    let response = |id: &WorkflowId, status: Word, findings: &Findings| wire::SubmitPlanResponse {
        workflow_id: id.to_string(),
        status: status.into(),
        findings: findings.warnings.iter().map(finding).collect(),
        result_json: String::new(),
    };
    let decided = |subject: &Subject, status: Word| {
        response(&WorkflowId::for_plan(&subject.plan_id), status, &Findings::default())
    };
    match submission {
        Submission::Open { workflow_id, resumed, findings } => {
            let status = if resumed { Word::Running } else { Word::Accepted };
            Ok(response(&workflow_id, status, &findings))
        }
        Submission::Ended { workflow_id, outcome, findings } => {
            let answer = response(&workflow_id, Word::Ended, &findings);
            Ok(wire::SubmitPlanResponse { result_json: outcome.to_string(), ..answer })
        }
        Submission::Rejected(subject) => Ok(decided(&subject, Word::Rejected)),
        Submission::AwaitingApproval(subject) => Ok(decided(&subject, Word::AwaitingApproval)),
        Submission::Invalid(findings) => Err(refusal(&findings)),
    }
}

fn finding(found: &Finding) -> wire::Finding {
    wire::Finding {
        code: found.code.as_str().to_owned(),
        path: found.path.clone(),
        message: found.message.clone(),
    }
}

/// Why a plan is refused: ALREADY_EXISTS for another plan under a known id, else INVALID_ARGUMENT; every violation by its
/// path, as far as they fit.
fn refusal(findings: &Findings) -> Status {
    let errors = &findings.errors;
    let conflict = errors.iter().find(|found| found.code == Code::PlanConflict);
    let (kind, lead) = match conflict {
        Some(found) => (ErrorKind::AlreadyExists, Some(found)),
        None => (ErrorKind::InvalidArgument, errors.first()),
    };
    let reason = lead.map_or("PLAN_INVALID", |found| found.code.as_str());
    let message = match (lead, errors.len()) {
        (None, _) => "the plan is not valid".to_owned(),
        (Some(found), 1) => shortened(&found.to_string()),
        (Some(found), count) => format!("{} (and {} more)", shortened(&found.to_string()), count - 1),
    };
    let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, HashMap::new());
    let mut room = VIOLATION_BYTES;
    for (index, found) in errors.iter().enumerate() {
        let path = shortened(&found.path);
        let text = format!("{}: {}", found.code, shortened(&found.message));
        let Some(left) = room.checked_sub(path.len() + text.len()) else {
            let rest = format!("and {} more that do not fit here", errors.len() - index);
            details.add_bad_request_violation("$", rest);
            break;
        };
        room = left;
        details.add_bad_request_violation(path, text);
    }
    Status::with_error_details(code(kind), message, details)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What names a flow in a request.
pub(super) fn workflow_id(text: &str) -> Result<WorkflowId, Error> {
    WorkflowId::parse(text).map_err(|error| Error::invalid("workflow_id", error))
}

pub(super) fn workflow(view: &FlowView) -> wire::Workflow {
    let parked = view.parked.iter();
    wire::Workflow {
        workflow_id: view.workflow_id.to_string(),
        plan_id: view.plan_id.to_string(),
        intent_id: view.intent_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        status: view.status().to_owned(),
        plan_status: view.plan_status.map(PlanStatus::as_str).unwrap_or_default().to_owned(),
        tickets: Some(counts(&view.tickets)),
        progress_percent: view.tickets.progress_percent(),
        started_at: view.opened_at.millis(),
        updated_at: view.updated_at.millis(),
        deadline: view.deadline.map(|at| at.millis()),
        parked: parked
            .map(|(ticket_id, reason)| wire::ParkedTicket {
                ticket_id: ticket_id.to_string(),
                reason: reason.clone(),
            })
            .collect(),
        failure: view.failure.clone().unwrap_or_default(),
        result_json: view.outcome.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn counts(tickets: &TicketCounts) -> wire::TicketCounts {
    let count = |status| tickets.in_status(status);
    wire::TicketCounts {
        total: tickets.total(),
        pending: count(TicketStatus::Pending),
        running: count(TicketStatus::Running),
        completed: count(TicketStatus::Completed),
        failed: count(TicketStatus::Failed),
        compensating: count(TicketStatus::Compensating),
        compensated: count(TicketStatus::Compensated),
        cancelled: count(TicketStatus::Cancelled),
        preempted: count(TicketStatus::Preempted),
    }
}

pub(super) fn event(heard: &FlowWatch) -> wire::WorkflowEvent {
    let event = match heard {
        FlowWatch::Snapshot(view) => Event::Snapshot(workflow(view)),
        FlowWatch::Lagged { missed } => Event::Lagged(wire::Lagged { missed: *missed }),
        FlowWatch::Changed(change) => match &**change {
            FlowChange::Entered { phase, at } => Event::Entered(entered(*phase, at.millis())),
            FlowChange::Ticket(record) => Event::Ticket(ticket(record)),
            FlowChange::Parked { ticket_id, reason, at } => Event::Parked(wire::TicketParked {
                ticket_id: ticket_id.to_string(),
                reason: reason.clone(),
                at: at.millis(),
            }),
        },
    };
    wire::WorkflowEvent { event: Some(event) }
}

fn entered(phase: Phase, at: i64) -> wire::PhaseEntered {
    wire::PhaseEntered { status: phase.as_str().to_owned(), at }
}

fn ticket(record: &TicketRecord) -> wire::TicketChanged {
    wire::TicketChanged {
        ticket_id: record.ticket_id.to_string(),
        status: record.status.as_str().to_owned(),
        agent_id: record.agent.as_ref().map(AgentId::to_string).unwrap_or_default(),
        retry_count: record.retry_count,
        error_message: record.error_message.clone().unwrap_or_default(),
        at: record.at.millis(),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code as GrpcCode;

    use super::*;

    fn refused(count: usize, message: &str) -> Status {
        let mut findings = Findings::default();
        for index in 0..count {
            findings.error(Code::UnknownDependency, format_args!("tasks[{index}].dependencies[0]"), message);
        }
        submission(Submission::Invalid(findings)).unwrap_err()
    }

    #[test]
    fn every_violation_has_its_path_and_code() {
        let status = refused(2, "is no task");
        assert_eq!(status.code(), GrpcCode::InvalidArgument);
        assert_eq!(
            status.message(),
            "UNKNOWN_DEPENDENCY at tasks[0].dependencies[0]: is no task (and 1 more)"
        );
        let violations = status.get_details_bad_request().unwrap().field_violations;
        let shown: Vec<_> = violations.iter().map(|v| (v.field.as_str(), v.description.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("tasks[0].dependencies[0]", "UNKNOWN_DEPENDENCY: is no task"),
                ("tasks[1].dependencies[0]", "UNKNOWN_DEPENDENCY: is no task"),
            ]
        );
        assert_eq!(status.get_details_error_info().unwrap().reason, "UNKNOWN_DEPENDENCY");
    }

    #[test]
    fn many_long_violations_stay_below_what_a_trailer_may_have() {
        let status = refused(1_000, &"é".repeat(10_000));
        assert!(status.details().len() < 11 * 1024, "{}", status.details().len());
        let violations = status.get_details_bad_request().unwrap().field_violations;
        let last = violations.last().unwrap();
        assert_eq!(last.description, format!("and {} more that do not fit here", 1_001 - violations.len()));
    }

    #[test]
    fn another_plan_under_a_known_id_exists_already() {
        let mut findings = Findings::default();
        findings.error(Code::PlanConflict, "plan_id", "has run with other content");
        assert_eq!(submission(Submission::Invalid(findings)).unwrap_err().code(), GrpcCode::AlreadyExists);
    }
}

//! What is measured: recorded through the `metrics` facade, shown in the Prometheus text format.

use std::time::Duration;

use hive_application::error::Error;
use hive_application::orchestration::{FlowObserver, Progress};
use hive_domain::orchestration::flow::{Flow, Phase, PlanStatus, TicketRecord};
use hive_domain::tickets::TicketAction;
use hive_domain::tickets::public::RiskBand;
use hive_http::metrics::{HttpMetrics, is_error};
use metrics::{counter, describe_counter, describe_histogram, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::exit::Failure;

const STARTED: &str = "orchestration_workflows_started_total";
const COMPLETED: &str = "orchestration_workflows_completed_total";
const DURATION: &str = "orchestration_workflow_duration_seconds";
const GENERATED: &str = "orchestration_tickets_generated_total";
const PUBLISHED: &str = "orchestration_tickets_published_total";
const TICKETS: &str = "orchestration_tickets_completed_total";
const RETRIES: &str = "orchestration_retries_total";
const REQUESTS: &str = "api_requests_total";
const REQUEST_DURATION: &str = "api_request_duration_seconds";
const ERRORS: &str = "api_errors_total";

/// Seconds, from a fast call to a slow one.
const CALLS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Seconds, from a short plan to a long one.
const PLANS: &[f64] = &[1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0];

/// The recorder of the process.
pub(crate) struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Records from now on. Once a process.
    pub(crate) fn install() -> Result<Self, Failure> {
        let failed = |error| Failure::Defect(Error::internal(error));
        let builder = PrometheusBuilder::new().set_buckets(CALLS).map_err(failed)?;
        let builder =
            builder.set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), PLANS).map_err(failed)?;
        let handle = builder.install_recorder().map_err(failed)?;
        describe();
        Ok(Metrics { handle })
    }

    /// Everything there is.
    pub(crate) fn render(&self) -> String {
        // Recorded values wait in buffers until somebody looks, or too many wait.
        self.handle.run_upkeep();
        self.handle.render()
    }
}

/// Names every family, and makes the series whose labels are known, so that they are there from the start.
fn describe() {
    describe_counter!(STARTED, "plans whose tickets were made, by risk band");
    describe_counter!(COMPLETED, "plans that ended, by status and risk band");
    describe_histogram!(DURATION, "seconds from a plan's arrival to its end");
    describe_counter!(GENERATED, "tickets made from plans");
    describe_counter!(PUBLISHED, "tickets handed to agents");
    describe_counter!(TICKETS, "ends of tickets by status; a failure that is tried again counts too");
    describe_counter!(RETRIES, "tickets that were tried again");
    describe_counter!(REQUESTS, "HTTP requests");
    describe_histogram!(REQUEST_DURATION, "seconds of HTTP requests");
    describe_counter!(ERRORS, "HTTP requests answered with a status from 400 on");
    for band in RiskBand::ALL {
        counter!(STARTED, "status" => "started", "risk_band" => band.as_str()).increment(0);
        for status in [PlanStatus::Success, PlanStatus::Partial, PlanStatus::Failed] {
            counter!(COMPLETED, "status" => status.as_str(), "risk_band" => band.as_str()).increment(0);
        }
    }
    counter!(PUBLISHED, "status" => "published").increment(0);
    counter!(RETRIES).increment(0);
}

impl HttpMetrics for Metrics {
    fn answered(&self, method: &'static str, endpoint: &str, status: u16, took: Duration) {
        let endpoint = endpoint.to_owned();
        counter!(REQUESTS, "method" => method, "endpoint" => endpoint.clone(), "status_code" => status.to_string())
            .increment(1);
        histogram!(REQUEST_DURATION, "method" => method, "endpoint" => endpoint.clone())
            .record(took.as_secs_f64());
        if is_error(status) {
            counter!(ERRORS, "endpoint" => endpoint).increment(1);
        }
    }
}

impl FlowObserver for Metrics {
    fn observe(&self, flow: &Flow, progress: Progress<'_>) {
        match progress {
            Progress::Entered(Phase::Executing) => started(flow),
            Progress::Entered(Phase::Ended) => ended(flow),
            Progress::Ticket(record) => ticket(flow, record),
            Progress::TakenUp | Progress::Entered(_) | Progress::Parked(..) => {}
        }
    }
}

fn band(flow: &Flow) -> &'static str {
    flow.approved().plan.risk_band.as_str()
}

fn started(flow: &Flow) {
    counter!(STARTED, "status" => "started", "risk_band" => band(flow)).increment(1);
    for node in flow.nodes().iter().filter(|node| node.undoes.is_none()) {
        let content = &node.content;
        counter!(
            GENERATED,
            "task_type" => content.task_type.as_str(),
            "risk_band" => content.risk_band.as_str(),
            "priority" => content.priority.as_str(),
        )
        .increment(1);
    }
}

fn ended(flow: &Flow) {
    let status = flow.status().map_or("UNKNOWN", PlanStatus::as_str);
    counter!(COMPLETED, "status" => status, "risk_band" => band(flow)).increment(1);
    let last = flow.nodes().iter().filter_map(|node| node.completed_at).max();
    let took = last.map_or(0, |last| last.since(flow.opened_at())).max(0);
    histogram!(DURATION, "status" => status, "risk_band" => band(flow))
        .record(Duration::from_millis(took.unsigned_abs()).as_secs_f64());
}

fn ticket(flow: &Flow, record: &TicketRecord) {
    match record.action {
        TicketAction::Dispatched => counter!(PUBLISHED, "status" => "published").increment(1),
        TicketAction::Retried => counter!(RETRIES).increment(1),
        TicketAction::Completed
        | TicketAction::Failed
        | TicketAction::Cancelled
        | TicketAction::Preempted
        | TicketAction::Compensated => {
            let task_type =
                flow.node(&record.ticket_id).map_or("UNKNOWN", |node| node.content.task_type.as_str());
            counter!(TICKETS, "status" => record.status.as_str(), "task_type" => task_type).increment(1);
        }
        TicketAction::Created
        | TicketAction::Annotated
        | TicketAction::Started
        | TicketAction::Released
        | TicketAction::CompensationStarted => {}
    }
}

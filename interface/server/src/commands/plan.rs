//! `hive plan submit`: hands a plan to orchestration, and follows it to its end if wanted.

use std::time::{Duration, Instant};

use hive_grpc_kit::client::Channel;
use hive_proto::grpc::neural_hive::orchestration as wire;
use hive_proto::result::ConsolidationJson;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use wire::orchestrator_service_client::OrchestratorServiceClient;
use wire::workflow_event::Event;
use wire::{SubmissionStatus, SubmitPlanRequest, SubmitPlanResponse, WatchWorkflowRequest, Workflow};

use super::input;
use super::server::{self, Server};
use crate::cli::SubmitArgs;
use crate::console::{Output, Screen};
use crate::exit::{Exit, Failure};
use crate::output::table;
use crate::output::words::{clean, count};
use crate::settings::Settings;
use crate::telemetry::Telemetry;

/// How long orchestration may be away before it is given up.
const AWAY: Duration = Duration::from_secs(60);
/// The longest time between two attempts to reach it.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Tickets up to which each change is a line.
const EACH_UP_TO: u32 = 200;
/// The largest message from orchestration.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;
/// The status of a plan whose every ticket completed.
const SUCCESS: &str = "SUCCESS";

/// Hands in the plan.
pub(super) fn submit(args: &SubmitArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let screen = Screen::plain();
    let _telemetry = Telemetry::logs(settings, &screen)?;
    let message = match input::read(&args.plan, &settings.orchestration.limits()) {
        Ok(message) => message,
        Err(error) => {
            let (code, message) = error.parts();
            screen.line(&format!("error: {code} at $: {}", clean(&message)));
            return Ok(Exit::Input);
        }
    };
    let url = args.server.clone().unwrap_or_else(|| server::orchestration(settings));
    super::runtime()?.block_on(async {
        let Some(server) = server::servers(vec![url], settings)?.pop() else { return Ok(Exit::Defect) };
        let mut submitting = Submitting { server, screen, told: Told::default() };
        let exit = submitting.submit(message, args.watch).await?;
        output.text(&submitting.told.text).map_err(Failure::Output)?;
        Ok(exit)
    })
}

struct Submitting {
    server: Server,
    screen: Screen,
    told: Told,
}

/// What was said already.
#[derive(Default)]
struct Told {
    /// For stdout.
    text: String,
    phase: String,
    total: u32,
    ended: u32,
    percent: u32,
    warned: bool,
}

impl Submitting {
    fn client(&self) -> OrchestratorServiceClient<Channel> {
        OrchestratorServiceClient::new(self.server.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    async fn submit(&mut self, message: Vec<u8>, watch: bool) -> Result<Exit, Failure> {
        let mut patience = Patience::new();
        let answer = loop {
            // Handing in the same plan again finds the flow that the first time began.
            let request = SubmitPlanRequest { message: message.clone() };
            match self.client().submit_plan(request).await {
                Ok(answer) => break answer.into_inner(),
                Err(status) if is_away(&status) => {
                    if !self.wait(&mut patience, &status).await {
                        return Ok(Exit::Unsuccessful);
                    }
                }
                Err(status) => return Ok(self.refused(&status)),
            }
        };
        for finding in &answer.findings {
            let text = format!("{} at {}: {}", finding.code, finding.path, finding.message);
            self.screen.line(&format!("warning: {}", clean(&text)));
        }
        match answer.status() {
            SubmissionStatus::Accepted | SubmissionStatus::Running if watch => self.watch(answer).await,
            SubmissionStatus::Accepted => Ok(self.say(&answer, "accepted", Exit::Success)),
            SubmissionStatus::Running => Ok(self.say(&answer, "runs already", Exit::Success)),
            SubmissionStatus::Ended => self.ended(&answer.result_json, None),
            SubmissionStatus::Rejected => Ok(self.say(
                &answer,
                "REJECTED: it was decided that the plan does not run",
                Exit::Unsuccessful,
            )),
            SubmissionStatus::AwaitingApproval => {
                let text = "AWAITING_APPROVAL: a person has yet to approve the plan";
                Ok(self.say(&answer, text, Exit::Unsuccessful))
            }
            SubmissionStatus::Unspecified => {
                Ok(self.say(&answer, "got an answer that makes no sense", Exit::Unsuccessful))
            }
        }
    }

    fn say(&mut self, answer: &SubmitPlanResponse, what: &str, exit: Exit) -> Exit {
        self.told.text = format!("{}: {what}\n", clean(&answer.workflow_id));
        exit
    }

    /// What orchestration has against the plan.
    fn refused(&self, status: &Status) -> Exit {
        let violations = status.get_details_bad_request().map(|request| request.field_violations);
        for violation in violations.into_iter().flatten() {
            let (code, message) =
                violation.description.split_once(": ").unwrap_or(("", &violation.description));
            let text = format!("{code} at {}: {message}", violation.field);
            self.screen.line(&format!("error: {}", clean(text.trim_start())));
        }
        let text = format!("hive: {}: {}", self.server.url, status.message());
        self.screen.line(&clean(&text));
        match status.code() {
            Code::InvalidArgument | Code::AlreadyExists => Exit::Input,
            _ => Exit::Unsuccessful,
        }
    }

    /// Follows the flow to its end, over restarts of orchestration.
    async fn watch(&mut self, answer: SubmitPlanResponse) -> Result<Exit, Failure> {
        let begun = Instant::now();
        let mut patience = Patience::new();
        let mut last = None;
        loop {
            let request = WatchWorkflowRequest { workflow_id: answer.workflow_id.clone() };
            let broken = match self.client().watch_workflow(request).await {
                Ok(stream) => {
                    let mut events = stream.into_inner();
                    loop {
                        match events.message().await {
                            Ok(Some(event)) => {
                                patience = Patience::new();
                                self.take_in(event.event, &mut last);
                            }
                            Ok(None) => break None,
                            Err(status) => break Some(status),
                        }
                    }
                }
                Err(status) => Some(status),
            };
            match (broken, last.take()) {
                (None, Some(workflow)) if workflow.result_json.is_empty() => {
                    let text = format!("hive: the flow stopped: {}", workflow.failure);
                    self.screen.line(&clean(&text));
                    return Ok(Exit::Unsuccessful);
                }
                (None, Some(workflow)) => {
                    let wall_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
                    return self.ended(&workflow.result_json, Some(wall_ms));
                }
                (None, None) => return Ok(self.refused(&Status::unknown("the stream ended without a word"))),
                (Some(status), _) if is_away(&status) => {
                    if !self.wait(&mut patience, &status).await {
                        return Ok(Exit::Unsuccessful);
                    }
                }
                (Some(status), _) => return Ok(self.refused(&status)),
            }
        }
    }

    fn take_in(&mut self, event: Option<Event>, last: &mut Option<Workflow>) {
        match event {
            Some(Event::Snapshot(workflow)) => {
                let counts = workflow.tickets.unwrap_or_default();
                let going = counts.pending + counts.running + counts.compensating;
                (self.told.total, self.told.ended) = (counts.total, counts.total.saturating_sub(going));
                self.phase(&workflow.status);
                *last = Some(workflow);
            }
            Some(Event::Entered(entered)) => self.phase(&entered.status),
            Some(Event::Ticket(ticket)) => {
                let is_over = !matches!(ticket.status.as_str(), "PENDING" | "RUNNING" | "COMPENSATING");
                self.told.ended += u32::from(is_over);
                if self.told.total > EACH_UP_TO {
                    return self.percent();
                }
                let wire::TicketChanged { ticket_id, status, agent_id, error_message, .. } = ticket;
                let text = format!("{status:<12} {ticket_id} {agent_id} {error_message}");
                self.screen.line(clean(&text).trim_end());
            }
            Some(Event::Parked(parked)) => {
                let text = format!("{:<12} {} {}", "parked", parked.ticket_id, parked.reason);
                self.screen.line(&clean(&text));
            }
            Some(Event::Lagged(_)) | None => {}
        }
    }

    fn phase(&mut self, phase: &str) {
        if self.told.phase != phase {
            phase.clone_into(&mut self.told.phase);
            let tickets = count(self.told.total as usize, "ticket");
            self.screen.line(&format!("{}: {tickets}", clean(phase)));
        }
    }

    fn percent(&mut self) {
        let Told { total, ended, percent, .. } = &mut self.told;
        let reached = (*ended).min(*total) * 100 / (*total).max(1) / 10 * 10;
        if reached > *percent {
            *percent = reached;
            let text = format!("{reached} %: {ended} of {total} tickets ended");
            self.screen.line(&text);
        }
    }

    fn ended(&mut self, result: &str, wall_ms: Option<i64>) -> Result<Exit, Failure> {
        let result: ConsolidationJson = serde_json::from_str(result)
            .map_err(|error| Failure::Defect(hive_application::error::Error::internal(error)))?;
        self.told.text.clear();
        table::summary(&result, wall_ms, &mut self.told.text);
        Ok(if result.status == SUCCESS { Exit::Success } else { Exit::Unsuccessful })
    }

    /// Waits for another attempt. Whether there is to be one.
    async fn wait(&mut self, patience: &mut Patience, status: &Status) -> bool {
        if !std::mem::replace(&mut self.told.warned, true) || patience.is_over() {
            let text = format!("hive: {} is not reached: {}", self.server.url, status.message());
            self.screen.line(&clean(&text));
        }
        patience.wait().await
    }
}

/// Whether another attempt may find the server.
fn is_away(status: &Status) -> bool {
    use Code::{Aborted, DeadlineExceeded, ResourceExhausted, Unavailable};
    use std::error::Error as _;
    matches!(status.code(), Unavailable | DeadlineExceeded | ResourceExhausted | Aborted)
        || status.source().is_some()
}

/// How long the server was away.
struct Patience {
    since: Instant,
    wait: Duration,
}

impl Patience {
    fn new() -> Self {
        Patience { since: Instant::now(), wait: Duration::from_millis(50) }
    }

    fn is_over(&self) -> bool {
        self.since.elapsed() > AWAY
    }

    async fn wait(&mut self) -> bool {
        if self.is_over() {
            return false;
        }
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        true
    }
}

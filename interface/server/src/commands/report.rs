//! What a run says in the end: for people or for programs.

use std::collections::HashMap;

use hive_application::clock::Clock;
use hive_application::error::Error;
use hive_application::tickets::{TicketFilter, TicketQuery, Tickets};
use hive_domain::ids::PlanId;
use hive_domain::json::Json;
use hive_domain::orchestration::finding::Findings;
use hive_domain::tickets::Ticket;
use hive_proto::result::{ConsolidationJson, FindingJson, RefusalJson, RunJson};

use super::input::InputError;
use crate::cli::OutputFormat;
use crate::clock::SystemClock;
use crate::console::{Output, Screen};
use crate::convert::{self, NotRun};
use crate::exit::{Exit, Failure};
use crate::output::words::clean;
use crate::output::{findings, table};

/// The status of a plan whose every ticket completed.
const SUCCESS: &str = "SUCCESS";
/// Tickets read at once.
const PAGE: u64 = 1_000;

/// A plan that ran.
#[derive(Debug)]
pub(super) struct Ran {
    result: ConsolidationJson,
    tickets: Vec<Ticket>,
    /// Milliseconds this process worked on it; nothing when it had ended before.
    wall_ms: Option<i64>,
}

impl Ran {
    /// Collects what there is to say about the plan whose flow ended with `outcome`.
    pub(super) async fn collect(
        tickets: &Tickets,
        outcome: &Json,
        wall_ms: Option<i64>,
    ) -> Result<Self, Error> {
        let result = convert::consolidation(outcome).map_err(Error::internal)?;
        let plan_id = PlanId::parse(&result.plan_id).map_err(Error::internal)?;
        let mut found = tickets_of(tickets, plan_id).await?;
        in_plan_order(&mut found, &result);
        Ok(Ran { result, tickets: found, wall_ms })
    }
}

/// As the result lists them. Those that undid others have no place in the plan and come last, as they were made.
fn in_plan_order(tickets: &mut [Ticket], result: &ConsolidationJson) {
    let places = result.tickets_summary.iter().enumerate();
    let places: HashMap<&str, usize> =
        places.map(|(place, ticket)| (ticket.ticket_id.as_str(), place)).collect();
    tickets.sort_by_cached_key(|ticket| {
        let place = places.get(ticket.id().as_str()).copied().unwrap_or(usize::MAX);
        (place, ticket.content().created_at, ticket.id().clone())
    });
}

async fn tickets_of(tickets: &Tickets, plan_id: PlanId) -> Result<Vec<Ticket>, Error> {
    let filter = TicketFilter { plan_id: Some(plan_id), ..TicketFilter::default() };
    let mut found: Vec<Ticket> = Vec::new();
    loop {
        let query =
            TicketQuery { filter: filter.clone(), offset: found.len() as u64, limit: PAGE, after: None };
        let page = tickets.list(&query).await?;
        let is_last = page.tickets.is_empty();
        found.extend(page.tickets);
        if is_last || found.len() as u64 >= page.total {
            return Ok(found);
        }
    }
}

/// Says it.
pub(super) struct Report<'a> {
    pub(super) format: OutputFormat,
    pub(super) output: &'a mut Output,
    pub(super) screen: &'a Screen,
    /// How the input is called.
    pub(super) input: String,
}

impl Report<'_> {
    /// The plan ran.
    pub(super) fn ran(&mut self, ran: Ran) -> Result<Exit, Failure> {
        let exit = if ran.result.status == SUCCESS { Exit::Success } else { Exit::Unsuccessful };
        let written = match self.format {
            OutputFormat::Table => {
                let text = table::report(&ran.result, &ran.tickets, ran.wall_ms, SystemClock.now());
                self.output.text(&text)
            }
            OutputFormat::Json => {
                let tickets = ran.tickets.into_iter().map(|ticket| hive_http::ticket_json(&ticket)).collect();
                self.output.json(&RunJson { result: ran.result, tickets })
            }
        };
        written.map_err(Failure::Output)?;
        Ok(exit)
    }

    /// The plan does not run, or not yet.
    pub(super) fn not_run(&mut self, plan_id: &PlanId, status: NotRun) -> Result<Exit, Failure> {
        let written = match self.format {
            OutputFormat::Table => {
                let why = match status {
                    NotRun::Rejected => "it was decided that the plan does not run",
                    NotRun::AwaitingApproval => "a person has yet to approve the plan",
                };
                self.output.text(&format!("plan {plan_id}: {}: {why}; no tickets\n", status.as_str()))
            }
            OutputFormat::Json => self.output.json(&convert::not_run(plan_id, status)),
        };
        written.map_err(Failure::Output)?;
        Ok(Exit::Unsuccessful)
    }

    /// The message was refused.
    pub(super) fn refused(&mut self, found: &Findings) -> Result<Exit, Failure> {
        self.screen.write(findings::refusal(&clean(&self.input), found).as_bytes());
        if self.format == OutputFormat::Json {
            self.output.json(&convert::refusal(found)).map_err(Failure::Output)?;
        }
        Ok(Exit::Input)
    }

    /// There was no message.
    pub(super) fn unreadable(&mut self, error: &InputError) -> Result<Exit, Failure> {
        let (code, message) = error.parts();
        self.screen.line(&format!("error: {code} at $: {}", clean(&message)));
        if self.format == OutputFormat::Json {
            let error = FindingJson { code: code.to_owned(), path: "$".to_owned(), message };
            let refusal = RefusalJson { errors: vec![error], warnings: Vec::new() };
            self.output.json(&refusal).map_err(Failure::Output)?;
        }
        Ok(Exit::Input)
    }

    /// It was told to stop.
    pub(super) fn stopped(&mut self, is_kept: bool) -> Exit {
        self.screen.line(if is_kept {
            "hive: stopped; the same command goes on where it left off"
        } else {
            "hive: stopped; nothing is kept without --data DIR"
        });
        Exit::Unsuccessful
    }
}

#[cfg(test)]
mod tests {
    use hive_proto::result::TicketSummaryJson;

    use super::*;
    use crate::output::testing::{finished, result};

    #[test]
    fn tickets_come_in_plan_order_and_undos_last() {
        let mut tickets = vec![finished("undo", 1), finished("b", 1), finished("a", 1)];
        let mut ended = result("SUCCESS", 2, 2);
        for ticket in [&tickets[2], &tickets[1]] {
            let ticket_id = ticket.id().to_string();
            ended.tickets_summary.push(TicketSummaryJson {
                ticket_id,
                status: "COMPLETED".to_owned(),
                duration: None,
            });
        }
        in_plan_order(&mut tickets, &ended);
        let tasks: Vec<&str> = tickets.iter().map(|ticket| ticket.content().task_id.as_str()).collect();
        assert_eq!(tasks, ["a", "b", "undo"]);
    }
}

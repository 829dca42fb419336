//! Progress as plain lines, for logs and pipes.

use std::collections::BTreeSet;

use hive_domain::orchestration::flow::{Flow, Phase, PlanStatus, TicketRecord};
use hive_domain::tickets::TicketAction;

use super::board::{Board, Told};
use super::ticket::Waiting;
use crate::output::words::{count, duration, shorten};

/// Tickets up to which each change is a line.
const EACH_UP_TO: usize = 200;
/// Of more tickets: a line for every that many percent.
const EVERY_PERCENT: usize = 10;
/// Of more tickets: different things waited for that are told.
const WAITING_TOLD: usize = 20;
/// Characters of a reason.
const REASON: usize = 160;

/// Decides what is worth a line, and words it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    told_percent: usize,
    told_waiting: BTreeSet<String>,
}

impl Lines {
    /// The lines about what the board took in.
    pub(super) fn about(&mut self, board: &Board, flow: &Flow, told: Told<'_>) -> Vec<String> {
        match told {
            Told::TakenUp => taken_up(board),
            Told::Entered(phase) => entered(board, flow, phase),
            Told::Ticket { task, record, will_retry } => {
                if board.total <= EACH_UP_TO {
                    ticket(board, &task, record, will_retry).into_iter().collect()
                } else {
                    self.percent(board).into_iter().collect()
                }
            }
            Told::Parked { task, waiting } => self.parked(board, &task, &waiting).into_iter().collect(),
        }
    }

    fn percent(&mut self, board: &Board) -> Option<String> {
        let percent = board.ended * 100 / board.total.max(1) / EVERY_PERCENT * EVERY_PERCENT;
        if percent <= self.told_percent {
            return None;
        }
        self.told_percent = percent;
        Some(format!("C4 {percent:>3} %        {} of {} ended: {}", board.ended, board.total, ends(board)))
    }

    fn parked(&mut self, board: &Board, task: &str, waiting: &Waiting) -> Option<String> {
        if board.total > EACH_UP_TO {
            let is_new =
                self.told_waiting.len() < WAITING_TOLD && self.told_waiting.insert(waiting.what.clone());
            is_new.then(|| format!("C3 parked       {task}, perhaps others: {waiting}"))
        } else {
            Some(format!("C3 parked       {task}: {waiting}"))
        }
    }
}

fn taken_up(board: &Board) -> Vec<String> {
    let tickets = count(board.total, "ticket");
    let mut lines = vec![format!("C1 validated    plan {}: {}", board.plan, count(board.total, "task"))];
    if board.resumed {
        lines.push(format!("C2 created      {tickets}, before"));
        lines.push(format!("C4 resumed      {} of {} ended: {}", board.ended, board.total, ends(board)));
        let waiting = board.parked.iter().take(WAITING_TOLD);
        lines.extend(waiting.map(|(task, waiting)| format!("C3 parked       {task}: {waiting}")));
    } else {
        lines.push(format!("C2 creating     {tickets}"));
    }
    lines
}

fn entered(board: &Board, flow: &Flow, phase: Phase) -> Vec<String> {
    match phase {
        Phase::Generating => Vec::new(),
        Phase::Executing => vec![format!("C2 created      {}", count(board.total, "ticket"))],
        Phase::Compensating => {
            vec![format!("C4 ended        {}", ends(board)), "C5 undoing      what was done".to_owned()]
        }
        Phase::Consolidating if board.undos > 0 => {
            vec![format!("C5 undone       {} of {}", board.undone, count(board.undos, "undo"))]
        }
        Phase::Consolidating => vec![format!("C4 ended        {}", ends(board))],
        Phase::Ended => {
            let status = flow.status().map_or("", PlanStatus::as_str);
            vec![format!("C5 consolidated {status}"), "C6 reported".to_owned()]
        }
    }
}

fn ends(board: &Board) -> String {
    format!("{} completed, {} not", board.completed, board.failed)
}

fn ticket(board: &Board, task: &str, record: &TicketRecord, will_retry: bool) -> Option<String> {
    let step = if board.phase == Some(Phase::Compensating) { "C5" } else { "C4" };
    let agent = record.agent.as_ref().map_or("nobody", |agent| agent.as_str());
    let reason = || shorten(record.error_message.as_deref().unwrap_or("no reason given"), REASON);
    let took = record.started_at.zip(record.completed_at).map_or(0, |(start, end)| end.since(start));
    let (word, rest) = match record.action {
        TicketAction::Created | TicketAction::Annotated => return None,
        TicketAction::Dispatched => ("dispatched", format!("{task} -> {agent}")),
        TicketAction::Started => ("started", format!("{task} on {agent}")),
        TicketAction::Completed => ("completed", format!("{task} in {}", duration(took))),
        TicketAction::Failed if will_retry => ("failed", format!("{task}: {}; to be tried again", reason())),
        TicketAction::Failed => ("failed", format!("{task}: {}", reason())),
        TicketAction::Retried => ("retried", format!("{task}, retry {}", record.retry_count)),
        TicketAction::Released => ("released", format!("{task}, back in the queue")),
        TicketAction::Cancelled => ("cancelled", format!("{task}: {}", reason())),
        TicketAction::Preempted => ("preempted", format!("{task}: {}", reason())),
        TicketAction::CompensationStarted => ("undoing", task.to_owned()),
        TicketAction::Compensated => ("undone", task.to_owned()),
    };
    Some(format!("{step} {word:<12} {rest}"))
}

//! The table at the end of a run: one line a ticket, then what did not succeed and why, then one line for the plan.

use std::collections::BTreeMap;
use std::fmt::Write;

use hive_domain::orchestration::flow::TIMED_OUT;
use hive_domain::tickets::{Ticket, TicketStatus};
use hive_domain::time::Timestamp;
use hive_proto::result::ConsolidationJson;

use super::words::{count, duration, shorten};

/// Tickets listed one by one; of more, only those that did not complete.
const LISTED: usize = 60;
/// Reasons told.
const REASONS: usize = 10;
/// Characters of a task or an agent.
const NAME: usize = 40;
/// Characters of a reason.
const REASON: usize = 160;

const HEAD: [&str; 6] = ["TICKET", "TASK", "AGENT", "STATUS", "DURATION", "SLA"];

/// The whole report. `wall_ms` is how long this process worked on the plan; nothing when it had ended before.
pub(crate) fn report(
    result: &ConsolidationJson,
    tickets: &[Ticket],
    wall_ms: Option<i64>,
    now: Timestamp,
) -> String {
    let mut text = String::new();
    let not_done: Vec<&Ticket> =
        tickets.iter().filter(|ticket| ticket.status() != TicketStatus::Completed).collect();
    if tickets.len() <= LISTED {
        table(tickets, now, &mut text);
    } else {
        table(not_done.iter().take(LISTED).copied(), now, &mut text);
        let left_out = not_done.len().saturating_sub(LISTED);
        if left_out > 0 {
            let _ = writeln!(text, "… and {left_out} more that did not complete");
        }
        let (completed, total) = (result.metrics.successful, result.metrics.total_tickets);
        let _ = writeln!(text, "{completed} of {total} tickets completed (--output json lists them all)");
    }
    reasons(&not_done, &mut text);
    summary(result, wall_ms, &mut text);
    text
}

fn table<'a>(tickets: impl IntoIterator<Item = &'a Ticket>, now: Timestamp, text: &mut String) {
    let rows: Vec<[String; 6]> = tickets.into_iter().map(|ticket| row(ticket, now)).collect();
    if rows.is_empty() {
        return;
    }
    let head = HEAD.map(str::to_owned);
    let mut widths = [0; 6];
    for row in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in [&head].into_iter().chain(&rows) {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
}

fn row(ticket: &Ticket, now: Timestamp) -> [String; 6] {
    let state = ticket.state();
    let absent = || "-".to_owned();
    [
        ticket.id().to_string(),
        shorten(ticket.content().task_id.as_str(), NAME),
        state.assigned_worker.as_ref().map_or_else(absent, |agent| shorten(agent.as_str(), NAME)),
        state.status.as_str().to_owned(),
        state.actual_duration_ms.map_or_else(absent, duration),
        service_level(ticket, now),
    ]
}

/// By the rule of the consolidated result: late against the deadline, or longer than the timeout allows.
fn service_level(ticket: &Ticket, now: Timestamp) -> String {
    let (state, sla) = (ticket.state(), ticket.content().sla);
    let ended_at = state.completed_at.unwrap_or(now);
    let worked_ms = state.actual_duration_ms.or_else(|| Some(ended_at.since(state.started_at?)));
    let over_ms = worked_ms.unwrap_or(0) - sla.timeout_ms;
    let late_ms = ended_at.since(sla.deadline);
    if over_ms > 0 || state.error_message.as_ref().is_some_and(|reason| reason.starts_with(TIMED_OUT)) {
        "timeout".to_owned()
    } else if late_ms > 0 {
        format!("late by {}", duration(late_ms))
    } else if worked_ms.is_none() {
        "-".to_owned()
    } else {
        "ok".to_owned()
    }
}

/// Why tickets did not succeed, one line a reason: what follows from one failure counts as one.
fn reasons(tickets: &[&Ticket], text: &mut String) {
    let mut by_reason: BTreeMap<(TicketStatus, &str), Vec<&Ticket>> = BTreeMap::new();
    for ticket in tickets {
        if let Some(reason) = ticket.state().error_message.as_deref() {
            by_reason.entry((ticket.status(), reason)).or_default().push(ticket);
        }
    }
    for ((status, reason), of) in by_reason.iter().take(REASONS) {
        let task = shorten(of[0].content().task_id.as_str(), NAME);
        let others = if of.len() > 1 { format!(" and {} more", of.len() - 1) } else { String::new() };
        let _ = writeln!(text, "{status}: {task}{others}: {}", shorten(reason, REASON));
    }
    if let Some(more) = by_reason.len().checked_sub(REASONS).filter(|more| *more > 0) {
        let _ = writeln!(text, "… and {}", count(more, "more reason"));
    }
}

/// One line for the plan.
pub(crate) fn summary(result: &ConsolidationJson, wall_ms: Option<i64>, text: &mut String) {
    let metrics = &result.metrics;
    let total = count(usize::try_from(metrics.total_tickets).unwrap_or(usize::MAX), "ticket");
    let mut parts = vec![format!("{} completed", metrics.successful)];
    for (number, word) in [
        (metrics.failed, "failed or cancelled"),
        (metrics.compensated, "undone"),
        (metrics.sla_violations, "late"),
        (metrics.total_retries.unsigned_abs(), "retries"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {word}"));
        }
    }
    let took = match wall_ms {
        Some(ms) => format!("took {}", duration(ms)),
        None => format!("ended before, at {}", result.consolidated_at),
    };
    let _ =
        writeln!(text, "plan {}: {}: {total}: {}; {took}", result.plan_id, result.status, parts.join(", "));
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cancelled, finished, result};
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(10_000);

    #[test]
    fn a_few_tickets_are_all_listed() {
        let tickets =
            [finished("fetch", 25), cancelled("render", "ticket x (task fetch), which it waits for, failed")];
        let text = report(&result("PARTIAL", 2, 1), &tickets, Some(1_234), NOW);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert_eq!(words(lines[0]), "TICKET TASK AGENT STATUS DURATION SLA");
        assert_eq!(words(lines[1]), format!("{} fetch agent-1 COMPLETED 25 ms ok", tickets[0].id()));
        assert_eq!(words(lines[2]), format!("{} render - CANCELLED - -", tickets[1].id()));
        assert_eq!(lines[3], "CANCELLED: render: ticket x (task fetch), which it waits for, failed");
        assert_eq!(
            lines[4],
            "plan plan-1: PARTIAL: 2 tickets: 1 completed, 1 failed or cancelled; took 1.2 s"
        );
        assert_eq!(lines[0].find("TASK"), lines[1].find("fetch"), "columns line up");
    }

    #[test]
    fn of_many_tickets_those_that_failed_are_listed() {
        let mut tickets: Vec<Ticket> = (0..100).map(|n| finished(&format!("t-{n}"), 1)).collect();
        tickets.extend((0..70).map(|n| cancelled(&format!("c-{n}"), "x failed")));
        let text = report(&result("PARTIAL", 170, 100), &tickets, None, NOW);
        assert_eq!(text.matches("CANCELLED  ").count(), LISTED);
        assert!(text.contains("… and 10 more that did not complete\n"), "{text}");
        assert!(text.contains("100 of 170 tickets completed (--output json lists them all)\n"), "{text}");
        assert!(text.contains("CANCELLED: c-0 and 69 more: x failed\n"), "{text}");
        assert!(text.ends_with("; ended before, at 1970-01-01T00:00:09.000Z\n"), "{text}");
    }

    #[test]
    fn service_levels() {
        assert_eq!(service_level(&finished("a", 25), NOW), "ok");
        assert_eq!(service_level(&finished("a", 1_500), NOW), "timeout", "the timeout is 1000 ms");
        assert_eq!(
            service_level(&finished("a", 900), NOW),
            "late by 200 ms",
            "the deadline is 700 ms after dispatch"
        );
    }
}

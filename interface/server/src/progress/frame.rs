//! Progress as a picture for a terminal: a line for each step, then what is going on.

use hive_domain::orchestration::flow::Phase;
use hive_domain::time::Timestamp;

use super::board::Board;
use crate::output::words::{count, duration, shorten};

/// Characters of a line, so that it wraps on no terminal.
const WIDTH: usize = 78;
/// Tickets shown: waiting ones first, of these at most [`WAITING`], two lines each.
const ROWS: usize = 8;
const WAITING: usize = 3;
/// Cells of a bar.
const BAR: usize = 24;
const SPINNER: [char; 8] = ['⠋', '⠙', '⠸', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// One picture; nothing before there is something to show. `number` moves what turns.
pub(super) fn draw(board: &Board, now: Timestamp, number: usize) -> Option<String> {
    let phase = board.phase?;
    let mut lines = vec![format!("plan {}", board.plan)];
    let is_over = matches!(phase, Phase::Consolidating | Phase::Ended);
    let waits = if board.parked.is_empty() || is_over {
        String::new()
    } else {
        format!("{} waiting for an agent", board.parked.len())
    };
    let mut work = format!("{} completed", board.completed);
    if board.failed > 0 {
        work.push_str(&format!(", {} not", board.failed));
    }
    if !board.running.is_empty() {
        work.push_str(&format!(", {} with agents", board.running.len()));
    }
    lines.push(step("C1 validate", "done", &count(board.total, "task")));
    lines.push(step("C2 tickets", &bar(board.created, board.total), ""));
    lines.push(step("C3 allocate", &bar(board.allocated, board.total), &waits));
    lines.push(step("C4 execute", &bar(board.ended, board.total), &work));
    let undos = format!("undo {} of {}", board.undone, board.undos);
    let (consolidate, report) = match phase {
        Phase::Generating | Phase::Executing => ("", ""),
        Phase::Compensating => (undos.as_str(), ""),
        Phase::Consolidating => ("…", ""),
        Phase::Ended => ("done", "done"),
    };
    lines.push(step("C5 consolidate", consolidate, ""));
    lines.push(step("C6 report", report, ""));
    if !is_over {
        lines.extend(rows(board, now, number));
    }
    Some(lines.iter().map(|line| shorten(line, WIDTH)).collect::<Vec<_>>().join("\n"))
}

fn step(name: &str, state: &str, note: &str) -> String {
    format!("  {name:<15} {state}  {note}").trim_end().to_owned()
}

fn bar(done: usize, total: usize) -> String {
    let full = (done.min(total) * BAR).checked_div(total).unwrap_or(0);
    format!("{}{} {done} of {total}", "█".repeat(full), "░".repeat(BAR - full))
}

fn rows(board: &Board, now: Timestamp, number: usize) -> Vec<String> {
    let turning = SPINNER[number % SPINNER.len()];
    let parked = board.parked.iter().take(WAITING);
    let waiting = parked.len();
    let mut rows: Vec<String> = parked
        .flat_map(|(task, waiting)| {
            let until = clock_time(waiting.until);
            [format!("   ! {task} waits until {until} for"), format!("       {}", waiting.what)]
        })
        .collect();
    let running = board.running.iter().take(ROWS - waiting);
    let shown = waiting + running.len();
    rows.extend(running.map(|(task, running)| {
        let since = duration(now.since(running.since).max(0));
        format!("   {turning} {task} -> {}  {since}", running.agent)
    }));
    let more = board.parked.len() + board.running.len() - shown;
    if more > 0 {
        rows.push(format!("     … and {more} more"));
    }
    rows
}

/// The time of day, UTC.
fn clock_time(at: Timestamp) -> String {
    let text = at.to_string();
    let time = text.split_once('T').and_then(|(_, time)| time.split_once('.'));
    time.map_or_else(|| text.clone(), |(time, _)| format!("{time} UTC"))
}

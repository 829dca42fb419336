//! C1: from bytes to a judgement.

use std::time::Instant;

use hive_application::messages::decode;
use hive_domain::orchestration::limits::Limits;
use hive_domain::orchestration::message::Message;
use hive_domain::orchestration::validation::{Verdict, validate};
use hive_domain::time::Timestamp;
use serde_json::Value;

use crate::plans::{graph, layered};
use crate::report::Report;

pub(crate) fn measure(report: &mut Report) {
    judge(report, "1000 tasks", &layered("plan-bench", 1_000), 21, "ms (goal 5)");
    judge(report, "10000 tasks", &layered("plan-bench", 10_000), 11, "ms");
    judge(report, "graph of 100000 nodes", &graph("plan-bench", 100_000), 5, "ms (goal 200)");
    judge(report, "100000 tasks with parameters", &layered("plan-bench", 100_000), 5, "ms");
}

fn judge(report: &mut Report, what: &str, plan: &Value, rounds: usize, goal: &str) {
    let limits = Limits { max_tasks: usize::MAX, max_message_bytes: usize::MAX, ..Limits::default() };
    let bytes = serde_json::to_vec(plan).unwrap();
    let (mut reading, mut judging) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let begin = Instant::now();
        let body = decode(&bytes, limits.max_message_bytes, limits.max_nesting).unwrap();
        reading.push(begin.elapsed());
        let message = Message::open(body, &limits, |_| Err(String::new())).unwrap();
        let begin = Instant::now();
        let verdict = validate(&message, None, &limits, Timestamp::from_millis(1)).verdict;
        judging.push(begin.elapsed());
        assert!(matches!(verdict, Verdict::Run(_)), "the plan is valid");
    }
    report.add("validation", format!("{what}: read from bytes"), median_ms(&mut reading), "ms");
    report.add("validation", format!("{what}: judged"), median_ms(&mut judging), goal);
}

/// The median, in milliseconds.
pub(crate) fn median_ms(times: &mut [std::time::Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1_000.0
}
